/* archive.h: an account as a file: tar entries of JSON and messages
 *
 * docs/administration.md describes it for others. In this order:
 *
 *	posthorn.json              {"format":"posthorn-archive","version":1,"id":...,"values":{...}}
 *	1/mailbox.json             name, uidvalidity, uidnext, change, special use, values
 *	1/messages-1.json          at most 500 records; their messages follow
 *	1/1.eml, 1/2.eml, ...      numbered through the mailbox
 *
 * What is read is hostile: every entry has a bound, JSON a depth, and nothing is taken for granted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TOOLS_ARCHIVE_H
#define PH_TOOLS_ARCHIVE_H

#include <posthorn/content.h>
#include <posthorn/record.h>

enum {
	PH_ARCHIVE_PIECE = 500, /* records of one messages-N.json */
};

/* PhArchiveMailbox: a mailbox as it is in an archive. uidvalidity 0: uids mean nothing. */
typedef struct {
	char *name;
	PhMailboxId id;
	bool has_id;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t change;
	uint32_t special_use;
	GHashTable *values; /* (nullable) key -> GBytes */
} PhArchiveMailbox;

void ph_archive_mailbox_clear(PhArchiveMailbox *mailbox);

/* --- writing --- */

/* ph_archive_append_record: one element of a messages-N.json. */
void ph_archive_append_record(GString *out, const PhRecord *record);

typedef struct {
	int fd;
	uint32_t mailbox; /* number of the present one */
	uint32_t piece;
	uint32_t message;
} PhArchiveWriter;

/* ph_archive_begin: @id: what an interrupted import knows the archive by. @values: (nullable). */
bool ph_archive_begin(PhArchiveWriter *writer, const char *id, GHashTable *values, GError **error);
bool ph_archive_put_mailbox(PhArchiveWriter *writer,
                            const PhArchiveMailbox *mailbox,
                            GError **error);

/* ph_archive_put_piece: @records: what ph_archive_append_record() wrote, with commas between. */
bool ph_archive_put_piece(PhArchiveWriter *writer, PhSlice records, GError **error);
bool ph_archive_put_message(PhArchiveWriter *writer, PhContent *content, GError **error);
bool ph_archive_finish(PhArchiveWriter *writer, GError **error);

/* --- reading --- */

/* PhArchiveEvents: what is in it, in order. Everything is borrowed for the call. */
typedef struct {
	bool (*begin)(const char *id, GHashTable *values, void *user_data, GError **error);
	bool (*mailbox)(const PhArchiveMailbox *mailbox, void *user_data, GError **error);
	bool (*message)(const PhRecord *record,
	                PhContent *content,
	                void *user_data,
	                GError **error);
	/* wanted: (nullable) must the next message's octets be read? */
	bool (*wanted)(const PhRecord *record, void *user_data);
	void *user_data;
} PhArchiveEvents;

/* ph_archive_read: @largest: of one message. Errors: INVALID with what is wrong. */
bool ph_archive_read(int fd, uint64_t largest, const PhArchiveEvents *events, GError **error);

#endif

/* sqlite.h: the inside of the sqlite store
 *
 * One database an account: PhIndex's tables and three for octets. Messages up to SMALL octets are
 * one row; larger ones are cut into pieces.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <posthorn/error.h>
#include <posthorn/index.h>

#include <pthread.h>

enum {
	SMALL = 256 * 1024,
	PIECE = 64 * 1024,
	PIECE_BITS = 20, /* of a piece's key; above them the blob's number */
	AHEAD = 32,      /* messages that are read ahead of who reads them in order */
	READERS = 2,     /* who read in order at the same time, and are told apart */
	KIND_UPLOAD = 'U',
	KIND_BLOB = 'B',
};

typedef struct {
	const char *path;
	PhDuration grace;
	PhSize largest;
} Settings;

/* Reader: somebody who seems to read one message after the other. */
typedef struct {
	PhContent *
		ahead[AHEAD]; /* ascending and without gaps from ahead_first; taken ones are NULL */
	uint64_t ahead_first;
	uint64_t last_read;
	uint64_t read_at;  /* the account's n_reads then */
	unsigned in_order; /* how many were asked for one after the other */
} Reader;

typedef struct {
	PhIndex *index;       /* first; who has a reference to the index may use the account */
	bool is_deferred;     /* commits wait for no sync; set right after opening */
	Settings settings;    /* a copy: the index outlives the instance while octets are read */
	pthread_mutex_t lock; /* guards until the blank line */
	GHashTable *uploads;  /* number -> PhContent: waiting for the commit that names them */
	uint64_t next_upload;
	Reader readers[READERS];
	uint64_t n_reads;

	GArray *used;      /* numbers of uploads that the running commit has stored */
	int64_t next_blob; /* belongs to the running commit; 0: not known */
} Account;

extern const PhIndexHooks octets_hooks;

void uploads_init(Account *account);
void uploads_clear(Account *account);

/* octets_parse_id: the number in a blob id of that kind. */
bool octets_parse_id(const PhBlobId *id, char kind, uint64_t *number_out);

bool octets_upload(void *account,
                   PhContent *content,
                   bool durable,
                   PhBlobId *blob_out,
                   GError **error);
void octets_abandon(void *account, const PhBlobId *blob);
bool octets_content(void *account,
                    const PhMailboxId *mailbox,
                    uint32_t uid,
                    const PhBlobId *blob,
                    PhContent **content_out,
                    GError **error);

/* content_forget_ahead: with the last reference to the account. */
void content_forget_ahead(Account *account);

#endif

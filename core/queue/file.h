/* file.h: one file of queued mail, and its index beside it
 *
 * Mails are appended and never changed; the file goes when none of them is left. The index tells
 * what has become of each. It is written behind the mails and not synced: what a crash takes from it
 * is found again in the mails themselves, at the price of a second delivery.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_FILE_H
#define PH_QUEUE_FILE_H

#include <posthorn/content.h>

#include "queue/record.h"

#include <sys/uio.h>

enum {
	PH_QUEUE_FILE_START = 64, /* where the first mail lies */
	PH_QUEUE_FILE_NAME = 24,
};

typedef struct PhQueueFile PhQueueFile;

struct PhQueueFile {
	gint refs;
	uint32_t number;
	int fd;
	int index_fd; /* -1: none may be written */
	uint64_t seed;
	PhContent *whole; /* all that the file may ever hold */
	/* the writer's */
	uint64_t end;        /* where the next mail goes */
	uint64_t index_size; /* octets */
	bool is_bad;         /* a write or sync has failed: nothing more is written */
	bool is_unsynced;    /* there are rows in the index that a crash may take */
	/* the queue's, under its lock */
	uint32_t n_live;     /* mails that are not done */
	uint32_t n_mails;    /* that were ever in it */
	uint64_t shown_end;  /* `end` of a while ago, for figures */
	bool is_kept;        /* what is left of it cannot be moved */
	GByteArray *rows;    /* (nullable) of the index that are not written yet */
	GHashTable *numbers; /* (nullable) "route\nkey" to number in the index */
};

/* ph_queue_file_make: a new one; its name is durable. ph_queue_file_open: one that is there. NULL with
 * CORRUPT when it cannot be told what lies in it, GONE when there never was anything. @folder_fd:
 * borrowed for the call. Returns: (owned). Blocks: on the disk, as all do. */
PhQueueFile *ph_queue_file_make(int folder_fd, uint32_t number, GError **error);
PhQueueFile *ph_queue_file_open(int folder_fd, uint32_t number, bool writes, GError **error);
PhQueueFile *ph_queue_file_ref(PhQueueFile *file);
void ph_queue_file_unref(PhQueueFile *file);

/* ph_queue_file_name: into a buffer of PH_QUEUE_FILE_NAME octets. ph_queue_file_number: false for
 * another name. */
void ph_queue_file_name(uint32_t number, bool is_index, char *name_out);
bool ph_queue_file_number(const char *name, bool *is_index_out, uint32_t *number_out);

/* ph_queue_file_remove: mails first, so that they never lie there without an index that says that
 * they are done. */
void ph_queue_file_remove(int folder_fd, uint32_t number);

/* ph_queue_file_put: writes the pieces at @position. @pieces: changed. */
bool ph_queue_file_put(PhQueueFile *file,
                       uint64_t position,
                       struct iovec *pieces,
                       size_t n,
                       GError **error);

/* ph_queue_file_read: head and envelope of a mail. @octets_out: (owned) both of them, checked.
 * Errors: CORRUPT. */
bool ph_queue_file_read(PhQueueFile *file,
                        uint64_t position,
                        PhQueueRecord *record_out,
                        GBytes **octets_out,
                        GError **error);

/* ph_queue_file_content: a mail's octets, where they lie; ph_queue_file_copy: in memory. Returns:
 * (owned); NULL when they cannot be read. ph_queue_file_check: is it what was written? Errors:
 * CORRUPT. */
PhContent *ph_queue_file_content(PhQueueFile *file, const PhQueueRecord *record);
PhContent *ph_queue_file_copy(PhQueueFile *file, const PhQueueRecord *record);
bool ph_queue_file_check(PhContent *content, const PhQueueRecord *record, GError **error);

/* ph_queue_file_scan: mails from @position on, in order; what is damaged is left out. @func: (head and
 * envelope) borrowed for the call. Returns: where the next mail can be written. */
typedef void (*PhQueueScanFunc)(const PhQueueRecord *record, PhSlice octets, void *user_data);

uint64_t ph_queue_file_scan(PhQueueFile *file,
                            uint64_t position,
                            PhQueueScanFunc func,
                            void *user_data,
                            uint64_t *damaged_out);

/* ph_queue_file_index: rows in order, up to the first that is damaged, behind which an index that may
 * be written is cut off. */
typedef void (*PhQueueRowFunc)(const PhQueueRow *row, void *user_data);

bool ph_queue_file_index(PhQueueFile *file, PhQueueRowFunc func, void *user_data, GError **error);

/* ph_queue_file_append: rows at the end of the index; @sync: durable on return. */
bool ph_queue_file_append(PhQueueFile *file, PhSlice rows, bool sync, GError **error);

/* ph_queue_file_replace: the index holds exactly these rows, durably, or what it held. */
bool ph_queue_file_replace(PhQueueFile *file, int folder_fd, PhSlice rows, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhQueueFile, ph_queue_file_unref)

#endif

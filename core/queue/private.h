/* private.h: inside the queue's folder only
 *
 * One lock guards everything that is in memory; it is never held while the disk is waited for. The
 * writer alone writes files, so that what lies in them needs no lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_PRIVATE_H
#define PH_QUEUE_PRIVATE_H

#include "base/lock.h"
#include "queue/file.h"
#include "queue/queue.h"
#include "queue/reasons.h"
#include "queue/schedule.h"

#define PH_QUEUE_LOCK "lock" /* a file in the folder: whoever has its lock uses the queue */

enum {
	PH_QUEUE_PRIORITY_NORMAL = 9, /* what 0 is in a row */
	PH_QUEUE_INLINE_MAX =
		64 * 1024, /* octets of a mail that are copied before they are written */
};

/* PhQueueEntry: a mail on its way to the disk. */
typedef struct PhQueueEntry PhQueueEntry;

struct PhQueueEntry {
	PhQueueEntry *next;
	uint8_t *
		octets; /* (owned) room for the head, the envelope, and the mail when it is small */
	size_t length;
	PhContent *content; /* (owned, nullable) the mail when it is large */
	PhQueueRecord record;
	PhTime arrived;
	PhTime not_before;
	PhTime by;
	int32_t priority;
	uint32_t bucket;
	uint32_t n_recipients;
	char *hold; /* (nullable) */
	PhQueueAddedFunc added;
	void *user_data;
	GError *error;
	PhQueueFile *file; /* (borrowed) where it was written */
	uint32_t destinations[];
};

struct PhQueue {
	gint refs;
	char *folder;
	int folder_fd;
	int lock_fd;
	bool writes;
	void (*begin)(PhQueueTask *task, void *user_data);
	void *user_data;
	PhLock lock;
	PhSignal work;    /* for the writer */
	PhSignal turn;    /* for the scheduler */
	bool is_reading;  /* what the index said need not be noted again */
	bool is_idle;     /* the scheduler waits */
	bool is_writing;  /* the writer does not wait */
	bool is_patient;  /* the writer waits, but not for rows of the index alone */
	bool is_stopping; /* nothing more is begun */
	bool is_closing;  /* the writer ends when nothing is left */
	bool is_closed;   /* it has ended: the files are another's */
	bool wants_sync;  /* of the index */
	bool is_syncing;  /* the writer is at one */
	bool is_unsynced; /* rows were taken that no sync has made durable yet */
	bool wants_adoption;
	uint64_t n_syncs; /* of it that were asked for and made */
	PhSignal synced;
	PhQueueSettings settings;
	PhDuration curve[PH_QUEUE_CURVE_MAX];
	PhQueueTable table;
	PhSchedule *schedule;
	PhReasons *reasons;
	GHashTable *files;     /* number to PhQueueFile (owned) */
	GHashTable *deadlines; /* mail to the ms of its BY deadline */
	PhQueueFile *active;   /* (nullable, borrowed) the writer's; changed under the lock */
	uint32_t last_number;  /* of a file */
	GPtrArray *dirty;      /* (borrowed) files with rows to be written */
	GArray *dead;          /* of uint32_t: files that are to be removed */
	bool has_removed;      /* the writer's: such files, since the folder was synced */
	PhQueueEntry *first;   /* to be written */
	PhQueueEntry **last;
	uint64_t next_sweep_ms;
	uint64_t n_finished; /* tasks */
	uint64_t n_trimmed;  /* of them, when memory was given back last */
	uint64_t octets;
	PhQueueStats stats; /* counts that are kept */
	GThread *writer;
	GThread *scheduler;
};

/* Everything below: with the lock held, unless it says otherwise. */

/* ph_queue_file_of: (borrowed) where a mail lies, and its position there. */
PhQueueFile *ph_queue_file_of(const PhQueue *queue,
                              const PhQueueMessage *message,
                              uint64_t *position_out);

/* ph_queue_insert: a mail whose record is durable; its recipients have no state yet. Returns: its
 * number. */
typedef struct {
	PhQueueFile *file;
	uint64_t position;
	uint64_t key;
	PhTime arrived;
	PhTime by;
	int32_t priority;
	uint32_t bucket;
	uint32_t n_recipients;
	const uint32_t *destinations; /* each counted for one recipient: ph_schedule_reserve() */
} PhQueueInsert;

uint32_t ph_queue_insert(PhQueue *queue, const PhQueueInsert *mail);

/* ph_queue_note: what is now known of a recipient goes to the index. ph_queue_note_mail: that a mail
 * is there. */
void ph_queue_note(PhQueue *queue, uint32_t slot);
void ph_queue_note_mail(PhQueue *queue,
                        const PhQueueInsert *mail,
                        uint64_t size,
                        PhTime not_before);

/* ph_queue_note_end: what lies before is known. */
void ph_queue_note_end(PhQueue *queue, PhQueueFile *file, uint64_t position);

/* ph_queue_leave_file: a mail lies there no more; the file may be gone then. */
void ph_queue_leave_file(PhQueue *queue, uint32_t message);

/* ph_queue_finish_slot: nothing more is to be done for a recipient; the mail may be gone then. */
void ph_queue_finish_slot(PhQueue *queue, uint32_t slot);

/* ph_queue_hold_slot: it is in no list. */
void ph_queue_hold_slot(PhQueue *queue, uint32_t slot, const char *reason);

/* ph_queue_nudge: the scheduler looks again. */
void ph_queue_nudge(PhQueue *queue);

/* ph_queue_writable_file: (borrowed) one that can be appended to; made when there is none or it is
 * full. The writer's, without the lock. */
PhQueueFile *ph_queue_writable_file(PhQueue *queue, GError **error);

/* ph_queue_tend: one step of looking after the files; false when nothing is to be done. The writer's,
 * without the lock. */
bool ph_queue_tend(PhQueue *queue);

void *ph_queue_write_for_ever(void *data);
void *ph_queue_schedule_for_ever(void *data);

/* ph_queue_take_names: files that other processes have left below the folder get numbers of this queue.
 * ph_queue_take_in: and are read. ph_queue_take_file: reads one file, whose mails are delivered from
 * now on. The writer's, or before there is one; without the lock. */
void ph_queue_take_names(PhQueue *queue, GArray *numbers);
void ph_queue_take_in(PhQueue *queue);
bool ph_queue_take_file(PhQueue *queue, uint32_t number, GError **error);

/* ph_queue_recover: reads all files. Without the lock: nobody else is there. */
bool ph_queue_recover(PhQueue *queue, GError **error);

#endif

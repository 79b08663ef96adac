/* private.h: the inside of the journal, shared by its files
 *
 * journal.c opens, reads the state and closes; writer.c enters and writes; checkpoint.c gives room
 * back; recover.c reads what an unclean stop left and replays it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_JOURNAL_PRIVATE_H
#define PH_JOURNAL_PRIVATE_H

#include "base/lock.h"
#include "journal/journal.h"
#include "journal/record.h"
#include "journal/segment.h"

#include <stdatomic.h>

enum {
	PH_JOURNAL_SLOTS = 16, /* segments at most */
	PH_JOURNAL_RECENT = 64,
	PH_JOURNAL_FIRST = 4096, /* the first position: 0 means none */
};

/* PhJournalRecent: octets entered lately, which another recipient may name too. */
typedef struct {
	PhContent *content; /* (owned, nullable) */
	uint64_t position;
} PhJournalRecent;

/* PhJournalPending: an account that waits for its replay. */
typedef struct {
	char *section;
	PhIdentity *identity;
	GArray *positions; /* of uint64_t: its transactions, ascending */
	bool is_replaying;
} PhJournalPending;

typedef struct {
	uint64_t dev;
	int fd;
} PhJournalSystem;

struct PhJournal {
	char *folder;
	int folder_fd;
	int lock_fd;
	int state_fd;
	uint64_t n_states; /* written; by whoever makes checkpoints */
	uint64_t id;
	uint64_t segment_size;
	uint64_t checkpoint_us;
	void (*failed)(void *user_data);
	void *user_data;
	GThread *writer;
	GThread *keeper; /* makes checkpoints */

	PhLock lock;     /* guards until the blank line */
	PhSignal work;   /* something was entered, or the end */
	PhSignal room;   /* a checkpoint was made, or the journal has failed */
	PhSignal wanted; /* a checkpoint is, or the end */
	GByteArray *filling;
	uint64_t end;     /* position behind what was entered */
	uint64_t durable; /* behind what was synced */
	uint64_t checkpoint;
	uint64_t epoch; /* octets before this position may not be named again */
	uint64_t reserved;
	uint64_t filling_us; /* when the first of `filling` was entered; 0: nothing was */
	uint64_t writing_us; /* the same of what is being written */
	uint64_t n_syncs;
	uint64_t n_batches;
	uint64_t n_checkpoints;
	bool checkpoint_wanted;
	bool is_idle; /* the writer waits for work */
	bool is_stopping;
	bool is_started;
	bool is_closed_off; /* failed */
	PhJournalRecent recent[PH_JOURNAL_RECENT];
	GPtrArray *segments; /* of PhSegment; the writer alone changes those in use */
	GArray *systems;     /* of PhJournalSystem */
	GHashTable *pending; /* key -> PhJournalPending */
	GPtrArray *pending_order;

	atomic_int n_expected; /* accounts at work */
	PhLock making;         /* segments; taken before `lock` */
	PhLock checkpointing;  /* one at a time; taken before `lock` */
	/* The writer's. */
	GByteArray *writing;
	uint64_t sync_us;   /* what one takes, on the average; 0: none was made yet */
	PhSegment *segment; /* being filled */
	uint64_t sequence;  /* the highest given */
};

/* ph_journal_write_state: @clean: nothing lies behind the checkpoint. Durable on return. */
bool ph_journal_write_state(PhJournal *journal, uint64_t checkpoint, bool clean, GError **error);

/* writer.c */
void *ph_journal_write_for_ever(void *journal);

/* ph_journal_add_segment: (borrowed). ph_journal_free_segment: (borrowed, nullable) one that can be
 * filled. */
PhSegment *ph_journal_add_segment(PhJournal *journal, GError **error);
PhSegment *ph_journal_free_segment(PhJournal *journal);

/* checkpoint.c */
void *ph_journal_keep_for_ever(void *journal);
void ph_journal_fail(PhJournal *journal);

/* recover.c: reads all segments from the checkpoint on; sets `end` and `pending`. */
bool ph_journal_recover(PhJournal *journal, GError **error);
void ph_journal_pending_free(void *pending);

#endif

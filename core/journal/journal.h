/* journal.h: what was committed without a sync, durable with one for everybody
 *
 * A store that can defer commits visibly and consistently, but not durably. The account layer then
 * enters the transactions with their results and octets here; a position comes back, and when the
 * horizon (base/horizon.h) has reached it the change survives the loss of power. A thread writes
 * what has gathered and syncs once for all of it; what comes meanwhile is the next batch.
 *
 * Now and then a checkpoint makes the stores themselves durable (syncfs) and gives the room back.
 * After an unclean stop what lies behind the last checkpoint is replayed, each account before its
 * first use. One journal for a data directory, used by one process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_JOURNAL_JOURNAL_H
#define PH_JOURNAL_JOURNAL_H

#include <posthorn/content.h>

#include "journal/entry.h"

enum {
	PH_JOURNAL_OCTETS_MAX = 64 * 1024, /* of one message; larger ones go to the store durably */
	PH_JOURNAL_INLINE_MAX = 2 * 1024 * 1024, /* of one transaction */
	PH_JOURNAL_SEGMENTS = 4,
};

typedef struct PhJournal PhJournal;

/* PhJournalParams: @failed: nothing can be written any more: the server must stop accepting; called
 * once, on the journal's thread. */
typedef struct {
	const char *folder;     /* of its own; made when missing */
	uint64_t size;          /* of all segments together */
	uint64_t checkpoint_us; /* at the latest after this time */
	uint64_t lock_wait_us;  /* for another process to let go of it */
	bool *used_out; /* (nullable) set when another process has it: ph_journal_open() fails */
	void (*failed)(void *user_data); /* (nullable) */
	void *user_data;
} PhJournalParams;

/* --- life: thread main ------------------------------------------------------------------------ */

/* ph_journal_exists: is there one in the folder, from this time or an earlier one? */
bool ph_journal_exists(const char *folder);

/* ph_journal_lets_pass: may a process that does not replay it work on the mail: is there no journal, or
 * one that nobody uses and that was closed cleanly? Errors: TEMPORARY. */
bool ph_journal_lets_pass(const char *folder, GError **error);

/* ph_journal_open: takes the lock and reads what is there; the horizon begins behind it. Errors:
 * TEMPORARY (another process has it), CORRUPT (records are missing between others). */
PhJournal *ph_journal_open(const PhJournalParams *params, GError **error);

/* ph_journal_id: never the same for two journals. ph_journal_folder: (borrowed).
 * ph_journal_holds: has the journal in that folder this id, and was not closed cleanly? True when that
 * cannot be told. */
uint64_t ph_journal_id(const PhJournal *journal);
const char *ph_journal_folder(const PhJournal *journal);
bool ph_journal_holds(const char *folder, uint64_t id);

/* ph_journal_start: from now on changes may be entered. Without it a journal is only replayed. */
bool ph_journal_start(PhJournal *journal, GError **error);
bool ph_journal_is_started(const PhJournal *journal);

/* ph_journal_close: syncs and, when nothing waits for a replay, makes a last checkpoint, so that
 * the next start has nothing to read. @remove: the files go too, unless something waits. */
void ph_journal_close(PhJournal *journal, bool remove);

/* ph_journal_end: closes it, so that another process can open it, while somebody may still look at
 * this one: to be freed with ph_journal_free() (nullable). Returns: is everything in the stores, and
 * nothing left to replay? */
bool ph_journal_end(PhJournal *journal, bool remove);
void ph_journal_free(PhJournal *journal);

/* --- entering: thread any ----------------------------------------------------------------------- */

/* PhJournalBatch: what one commit has done. */
typedef struct {
	const char *section;
	const PhIdentity *identity;
	PhTransaction *const *transactions; /* those that are not done are left out */
	size_t n;
	/* content: the octets of an APPEND that are to lie in the journal; NULL: they are durable. */
	PhContent *(*content)(const PhOp *op);
	bool is_hidden; /* the store hides what messages say: so does the journal */
} PhJournalBatch;

/* ph_journal_reserve: waits until so many octets (about) have room; before the store's commit, so
 * that nothing waits between it and ph_journal_enter, which gives the reservation back.
 * Errors: TEMPORARY when there was none until @deadline_us. */
bool ph_journal_reserve(PhJournal *journal, uint64_t octets, uint64_t deadline_us, GError **error);
void ph_journal_unreserve(PhJournal *journal, uint64_t octets);

/* ph_journal_enter: @position_out: durable when the horizon has reached it. Never waits. False when
 * it cannot hold the batch: then the store must be synced instead. */
bool ph_journal_enter(PhJournal *journal, const PhJournalBatch *batch, uint64_t *position_out);

/* ph_journal_expect: one more, or one fewer, account is at work whose changes will be entered soon. The
 * sync that could begin now waits for them, a few milliseconds at most: who would have to wait for
 * the next one is served by this. */
void ph_journal_expect(PhJournal *journal, int change);

/* ph_journal_size_of: about what a transaction takes. */
uint64_t ph_journal_size_of(const PhTransaction *transaction);

/* --- checkpoints: thread any -------------------------------------------------------------------- */

/* ph_journal_add_system: the file system on which @fd (owned) lies has deferred changes. */
void ph_journal_add_system(PhJournal *journal, int fd);

/* ph_journal_checkpoint: what was entered before is durable in the stores on return. Blocks: yes. */
bool ph_journal_checkpoint(PhJournal *journal, GError **error);

/* --- replay: thread any -------------------------------------------------------------------------- */

typedef bool (*PhJournalAccountFunc)(const char *section,
                                     const PhIdentity *identity,
                                     void *user_data);

/* ph_journal_each_pending: accounts that wait for their replay; false of @func stops.
 * ph_journal_has_pending: cheap. */
void ph_journal_each_pending(PhJournal *journal, PhJournalAccountFunc func, void *user_data);
bool ph_journal_has_pending(PhJournal *journal);

/* PhJournalReplayFunc: commits one transaction (given results; its id may be known) to the store. */
typedef bool (*PhJournalReplayFunc)(PhJournal *journal,
                                    PhJournalEntry *entry,
                                    void *user_data,
                                    GError **error);

/* ph_journal_replay: all that waits for this account, in order; when it succeeds nothing waits any
 * more. One call at a time for an account. Blocks: yes. */
bool ph_journal_replay(PhJournal *journal,
                       const char *section,
                       const char *address,
                       PhJournalReplayFunc func,
                       void *user_data,
                       GError **error);

/* ph_journal_octets: what an entry names. Returns: (owned). Errors: CORRUPT. */
PhContent *ph_journal_octets(PhJournal *journal, const PhJournalOctets *octets, GError **error);

/* PhJournalStats: for status and tests. */
typedef struct {
	uint64_t end;         /* position behind what was entered */
	uint64_t checkpoint;  /* what lies before is in the stores */
	uint64_t room;        /* octets between the two */
	uint64_t unsynced_us; /* age of the oldest that is not synced yet; 0: all is */
	uint64_t n_batches;   /* written */
	uint64_t n_syncs;
	uint64_t n_checkpoints;
	uint64_t n_pending; /* accounts */
} PhJournalStats;

void ph_journal_stats(PhJournal *journal, PhJournalStats *stats_out);

#endif

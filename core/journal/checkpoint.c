/* checkpoint.c: makes the stores durable and gives the journal's room back
 *
 * Everything that was entered had been applied to its store before, so one syncfs for each file
 * system makes all of it durable there. What waits for a replay is not applied: until all of that is
 * done nothing is given back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>

#include "base/clock.h"
#include "base/horizon.h"
#include "journal/private.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

void
ph_journal_add_system(PhJournal *journal, int fd)
{
	struct stat info = { 0 };
	PhJournalSystem added = { .fd = fd };

	if (fstat(fd, &info) != 0) {
		(void) close(fd);
		return;
	}
	added.dev = (uint64_t) info.st_dev;
	PH_LOCKED(&journal->lock);
	for (guint i = 0; i < journal->systems->len; i++) {
		if (g_array_index(journal->systems, PhJournalSystem, i).dev != added.dev)
			continue;
		(void) close(fd);
		return;
	}
	(void) g_array_append_val(journal->systems, added);
}

/* From here on no octets from before are named by new records. Returns: false with @error after a
 * failure; false without when there is nothing to do, or when it may not be done yet. */
static bool
begin(PhJournal *journal, uint64_t *target_out, GArray *fds, GError **error)
{
	PH_LOCKED(&journal->lock);
	journal->checkpoint_wanted = false;
	if (journal->is_closed_off) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the journal cannot be written");
		return false;
	}
	if (g_hash_table_size(journal->pending) > 0 || journal->end == journal->checkpoint)
		return false;
	*target_out = journal->end;
	journal->epoch = journal->end;
	for (guint i = 0; i < journal->systems->len; i++)
		(void) g_array_append_val(fds,
		                          g_array_index(journal->systems, PhJournalSystem, i).fd);
	return true;
}

static bool
sync_systems(const GArray *fds, GError **error)
{
	for (guint i = 0; i < fds->len; i++) {
		if (syncfs(g_array_index(fds, int, i)) == 0)
			continue;
		ph_error_set_errno(error, errno, "cannot sync a file system");
		return false;
	}
	return true;
}

void
ph_journal_fail(PhJournal *journal)
{
	bool first = false;

	ph_lock_take(&journal->lock);
	first = !journal->is_closed_off;
	journal->is_closed_off = true;
	ph_signal_all(&journal->room);
	ph_lock_drop(&journal->lock);
	ph_horizon_fail();
	if (first && journal->failed != NULL)
		journal->failed(journal->user_data);
}

/* What a failed sync has lost nobody knows, and the system tells of it once: the records are all
 * there is, and no later checkpoint may give them up. */
static void
fail_checkpoint(PhJournal *journal, const GError *why)
{
	ph_log(PH_LOG_ERROR, "checkpoint-failed",
	       "the stores could not be synced; nothing more is accepted", PH_LOG_FAILURE(why),
	       PH_LOG_END);
	ph_journal_fail(journal);
}

bool
ph_journal_checkpoint(PhJournal *journal, GError **error)
{
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	GError *why = NULL;
	uint64_t target = 0;

	PH_LOCKED(&journal->checkpointing);
	if (!begin(journal, &target, fds, &why)) {
		if (why != NULL)
			g_propagate_error(error, why);
		return why == NULL;
	}
	if (!sync_systems(fds, &why) || !ph_journal_write_state(journal, target, false, &why)) {
		fail_checkpoint(journal, why);
		g_propagate_error(error, why);
		return false;
	}
	PH_LOCKED(&journal->lock);
	journal->checkpoint = target;
	journal->n_checkpoints++;
	ph_signal_all(&journal->room);
	return true;
}

/* Waits until a checkpoint is due. Returns: false at the end. */
static bool
wait_until_due(PhJournal *journal)
{
	uint64_t due_us = ph_clock_us() + journal->checkpoint_us;

	PH_LOCKED(&journal->lock);
	while (!journal->is_stopping && !journal->is_closed_off && !journal->checkpoint_wanted)
		if (!ph_signal_wait_until(&journal->wanted, &journal->lock, due_us))
			break;
	return !journal->is_stopping && !journal->is_closed_off;
}

static guint
n_segments(PhJournal *journal)
{
	PH_LOCKED(&journal->lock);
	return journal->segments->len;
}

/* Makes the next segment before it is needed: filling one with zeros takes a while. */
static void
prepare_segment(PhJournal *journal)
{
	g_autoptr(GError) error = NULL;

	if ((n_segments(journal) < 2 || ph_journal_free_segment(journal) == NULL)
	    && ph_journal_add_segment(journal, &error) == NULL)
		ph_log(PH_LOG_WARNING, "journal-segment",
		       "there is no room for another segment of the journal", PH_LOG_FAILURE(error),
		       PH_LOG_END);
}

void *
ph_journal_keep_for_ever(void *data)
{
	PhJournal *journal = data;

	prepare_segment(journal);
	while (wait_until_due(journal)) {
		prepare_segment(journal);
		(void) ph_journal_checkpoint(journal, NULL);
	}
	return NULL;
}

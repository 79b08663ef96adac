/* journal.c: opens and closes the journal; its state file
 *
 * The state file says which journal this is, up to where the stores are durable, and whether the
 * last stop was a clean one. It is replaced as a whole.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/horizon.h"
#include "journal/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	FOLDER_MODE = 0700,
	STATE_OCTETS = 256,
	LOCK_LOOK_US = 50000,
	SEGMENT_LEAST = 256 * 1024,
};

#define STATE_FORMAT "posthorn journal 1\nid %016" PRIx64 "\ncheckpoint %020" PRIu64 "\nclean %d\n"

/* --- the state ---------------------------------------------------------------------------------- */

bool
ph_journal_write_state(PhJournal *journal, uint64_t checkpoint, bool clean, GError **error)
{
	g_autofree char *text = g_strdup_printf(STATE_FORMAT, journal->id, checkpoint, clean);

	return ph_durable_replace(journal->folder_fd, "state", ph_slice(text), PH_SEGMENT_MODE,
	                          error);
}

static bool
parse_state(PhJournal *journal, const char *text, bool *clean_out)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", 5);
	uint64_t clean = 0;

	if (g_strv_length(lines) != 5 || !g_str_equal(lines[0], "posthorn journal 1")
	    || !g_str_has_prefix(lines[1], "id ") || !g_str_has_prefix(lines[2], "checkpoint ")
	    || !g_str_has_prefix(lines[3], "clean ")
	    || !g_ascii_string_to_unsigned(lines[1] + 3, 16, 0, UINT64_MAX, &journal->id, NULL)
	    || !ph_slice_to_u64(ph_slice(lines[2] + 11), INT64_MAX, &journal->checkpoint)
	    || !ph_slice_to_u64(ph_slice(lines[3] + 6), 1, &clean))
		return false;
	*clean_out = clean == 1;
	return journal->checkpoint >= PH_JOURNAL_FIRST;
}

/* Reads the state, or begins a journal. */
static bool
take_state(PhJournal *journal, bool *clean_out, GError **error)
{
	char text[STATE_OCTETS + 1] = "";
	int fd = openat(journal->folder_fd, "state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = 0;

	if (fd < 0 && errno == ENOENT) {
		ph_secret_random(&journal->id, sizeof journal->id);
		journal->checkpoint = PH_JOURNAL_FIRST;
		*clean_out = true;
		return true;
	}
	n = fd >= 0 ? read(fd, text, STATE_OCTETS) : -1;
	if (fd >= 0)
		(void) close(fd);
	if (n >= 0 && parse_state(journal, text, clean_out))
		return true;
	ph_error_set(error, PH_ERROR_CORRUPT, "the journal's state in '%s' cannot be read",
	             journal->folder);
	return false;
}

/* --- opening -------------------------------------------------------------------------------------- */

/* The lock goes with the process that has it. */
static bool
take_lock(PhJournal *journal, uint64_t wait_us, GError **error)
{
	uint64_t deadline_us = ph_clock_us() + wait_us;

	journal->lock_fd =
		openat(journal->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, PH_SEGMENT_MODE);
	while (journal->lock_fd >= 0) {
		if (flock(journal->lock_fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK || ph_clock_us() >= deadline_us)
			break;
		g_usleep(LOCK_LOOK_US);
	}
	ph_error_set(error, PH_ERROR_TEMPORARY, "another process uses the journal in '%s'",
	             journal->folder);
	return false;
}

static bool
open_segments(PhJournal *journal, GError **error)
{
	for (unsigned slot = 0; slot < PH_JOURNAL_SLOTS; slot++) {
		g_autoptr(GError) why = NULL;
		PhSegment *segment = ph_segment_open(journal->folder_fd, slot, journal->id, &why);

		if (why != NULL) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		if (segment == NULL)
			continue;
		journal->sequence = MAX(journal->sequence, segment->sequence);
		g_ptr_array_add(journal->segments, segment);
	}
	return true;
}

static bool
open_folder(PhJournal *journal, GError **error)
{
	if (!ph_durable_make_folder(journal->folder, FOLDER_MODE, error))
		return false;
	journal->folder_fd = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (journal->folder_fd >= 0)
		return true;
	ph_error_set_errno(error, errno, "cannot open '%s'", journal->folder);
	return false;
}

static void
clear_recent(PhJournal *journal)
{
	for (size_t i = 0; i < G_N_ELEMENTS(journal->recent); i++)
		g_clear_pointer(&journal->recent[i].content, ph_content_unref);
}

static void
journal_free(PhJournal *journal)
{
	clear_recent(journal);
	for (guint i = 0; i < journal->systems->len; i++)
		(void) close(g_array_index(journal->systems, PhJournalSystem, i).fd);
	g_array_unref(journal->systems);
	g_ptr_array_unref(journal->segments);
	g_hash_table_unref(journal->pending);
	g_ptr_array_unref(journal->pending_order);
	(void) g_byte_array_unref(journal->filling);
	(void) g_byte_array_unref(journal->writing);
	if (journal->lock_fd >= 0)
		(void) close(journal->lock_fd);
	if (journal->folder_fd >= 0)
		(void) close(journal->folder_fd);
	ph_signal_clear(&journal->work);
	ph_signal_clear(&journal->room);
	ph_signal_clear(&journal->wanted);
	ph_lock_clear(&journal->checkpointing);
	ph_lock_clear(&journal->lock);
	g_free(journal->folder);
	g_free(journal);
}

static void
segment_free(void *data)
{
	ph_segment_free(data);
}

static PhJournal *
journal_new(const PhJournalParams *params)
{
	PhJournal *journal = g_new0(PhJournal, 1);

	journal->folder = g_strdup(params->folder);
	journal->folder_fd = -1;
	journal->lock_fd = -1;
	journal->segment_size = MAX(params->size / PH_JOURNAL_SEGMENTS, SEGMENT_LEAST);
	journal->checkpoint_us = params->checkpoint_us;
	journal->failed = params->failed;
	journal->user_data = params->user_data;
	ph_lock_init(&journal->lock);
	ph_lock_init(&journal->checkpointing);
	ph_signal_init(&journal->work);
	ph_signal_init(&journal->room);
	ph_signal_init(&journal->wanted);
	journal->filling = g_byte_array_new();
	journal->writing = g_byte_array_new();
	journal->segments = g_ptr_array_new_with_free_func(segment_free);
	journal->systems = g_array_new(FALSE, FALSE, sizeof(PhJournalSystem));
	journal->pending =
		g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, ph_journal_pending_free);
	journal->pending_order = g_ptr_array_new();
	return journal;
}

bool
ph_journal_exists(const char *folder)
{
	g_autofree char *state = g_build_filename(folder, "state", NULL);

	return g_file_test(state, G_FILE_TEST_EXISTS);
}

PhJournal *
ph_journal_open(const PhJournalParams *params, GError **error)
{
	PhJournal *journal = journal_new(params);
	bool clean = false;

	if (!open_folder(journal, error) || !take_lock(journal, params->lock_wait_us, error)
	    || !take_state(journal, &clean, error) || !open_segments(journal, error)) {
		journal_free(journal);
		return NULL;
	}
	journal->end = journal->checkpoint;
	if (!clean && !ph_journal_recover(journal, error)) {
		journal_free(journal);
		return NULL;
	}
	journal->durable = journal->epoch = journal->end;
	ph_horizon_begin(journal->end);
	return journal;
}

bool
ph_journal_lets_pass(const char *folder, GError **error)
{
	const PhJournalParams params = { .folder = folder };
	PhJournal *journal = NULL;
	bool clean = false;
	bool good = true;

	if (!ph_journal_exists(folder))
		return true;
	journal = journal_new(&params);
	good = open_folder(journal, error) && take_lock(journal, 0, error)
	       && take_state(journal, &clean, error);
	if (good && !clean) {
		ph_error_set(
			error, PH_ERROR_TEMPORARY,
			"the journal in '%s' holds mail that is not in the store yet; start the "
			"server: it puts it there",
			folder);
		good = false;
	}
	journal_free(journal);
	return good;
}

bool
ph_journal_start(PhJournal *journal, GError **error)
{
	if (!ph_journal_write_state(journal, journal->checkpoint, false, error))
		return false;
	journal->is_started = true;
	journal->writer = g_thread_new("journal", ph_journal_write_for_ever, journal);
	journal->keeper = g_thread_new("checkpoint", ph_journal_keep_for_ever, journal);
	return true;
}

bool
ph_journal_is_started(const PhJournal *journal)
{
	return journal->is_started;
}

/* --- closing --------------------------------------------------------------------------------------- */

static void
stop_threads(PhJournal *journal)
{
	ph_lock_take(&journal->lock);
	journal->is_stopping = true;
	ph_signal_all(&journal->work);
	ph_signal_all(&journal->wanted);
	ph_signal_all(&journal->room);
	ph_lock_drop(&journal->lock);
	(void) g_thread_join(journal->writer);
	(void) g_thread_join(journal->keeper);
}

static void
remove_files(PhJournal *journal)
{
	/* the state goes first: without it there is no journal */
	if (!ph_durable_unlink(journal->folder_fd, "state", NULL))
		return;
	for (guint i = 0; i < journal->segments->len; i++) {
		const PhSegment *segment = g_ptr_array_index(journal->segments, i);
		g_autofree char *name = g_strdup_printf("segment-%u", segment->slot);

		(void) unlinkat(journal->folder_fd, name, 0);
	}
	(void) unlinkat(journal->folder_fd, "lock", 0);
	(void) unlinkat(AT_FDCWD, journal->folder, AT_REMOVEDIR);
}

void
ph_journal_close(PhJournal *journal, bool remove)
{
	g_autoptr(GError) error = NULL;
	bool clean = false;

	if (journal == NULL)
		return;
	if (journal->is_started)
		stop_threads(journal);
	clean = !journal->is_closed_off && !ph_journal_has_pending(journal)
	        && (!journal->is_started || ph_journal_checkpoint(journal, &error));
	if (clean && remove)
		remove_files(journal);
	else if (clean)
		clean = ph_journal_write_state(journal, journal->checkpoint, true, &error);
	if (error != NULL)
		ph_log(PH_LOG_WARNING, "journal", "the journal was not closed cleanly",
		       PH_LOG_FAILURE(error), PH_LOG_END);
	journal_free(journal);
}

void
ph_journal_stats(PhJournal *journal, PhJournalStats *stats_out)
{
	PH_LOCKED(&journal->lock);
	*stats_out = (PhJournalStats){
		.end = journal->end,
		.checkpoint = journal->checkpoint,
		.n_batches = journal->n_batches,
		.n_checkpoints = journal->n_checkpoints,
		.n_pending = g_hash_table_size(journal->pending),
	};
}

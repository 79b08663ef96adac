/* journal.c: opens and closes the journal; its state file
 *
 * The state file says which journal this is, up to where the stores are durable, and whether the
 * last stop was a clean one.
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
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	FOLDER_MODE = 0700,
	SEQUENCES = 16,     /* bits: fillings between two states, far more than there are */
	STATE_OCTETS = 512, /* of each place */
	CHECK_OCTETS = 17,
	LOCK_LOOK_US = 50000,
	SEGMENT_LEAST = 256 * 1024,
};

#define STATE_FORMAT                                                                      \
	"posthorn journal 1\nid %016" PRIx64 "\nwritten %" PRIu64 "\ncheckpoint %" PRIu64 \
	"\nclean %d\n"

/* --- the state ---------------------------------------------------------------------------------- */

/* The file has two places that are written in turn, so that one is always whole, and a full disk is
 * no hindrance. Each is text, padded with spaces, and ends with its checksum. */
static uint64_t
state_checksum(const char *place)
{
	return ph_journal_checksum(PH_SLICE(place, STATE_OCTETS - CHECK_OCTETS), 0);
}

bool
ph_journal_write_state(PhJournal *journal, uint64_t checkpoint, bool clean, GError **error)
{
	char place[STATE_OCTETS + 1];
	uint64_t number = ++journal->n_states;
	int n = snprintf(place, sizeof place, STATE_FORMAT, journal->id, number, checkpoint, clean);

	memset(place + n, ' ', sizeof place - (size_t) n);
	(void) snprintf(place + STATE_OCTETS - CHECK_OCTETS, CHECK_OCTETS + 1, "%016" PRIx64 "\n",
	                state_checksum(place));
	if (pwrite(journal->state_fd, place, STATE_OCTETS, (off_t) (number % 2 * STATE_OCTETS))
	    != STATE_OCTETS) {
		ph_error_set_errno(error, errno, "cannot write the journal's state");
		return false;
	}
	return ph_durable_sync(journal->state_fd, error);
}

typedef struct {
	uint64_t id;
	uint64_t number;
	uint64_t checkpoint;
	uint64_t clean;
} State;

static bool
parse_state(const char *place, State *state)
{
	g_autofree char *text = g_strndup(place, STATE_OCTETS - CHECK_OCTETS);
	g_autofree char *end = g_strndup(place + STATE_OCTETS - CHECK_OCTETS, CHECK_OCTETS);
	g_auto(GStrv) lines = g_strsplit(text, "\n", 6);
	uint64_t check = 0;

	if (!g_ascii_string_to_unsigned(g_strchomp(end), 16, 0, UINT64_MAX, &check, NULL)
	    || check != state_checksum(place) || g_strv_length(lines) != 6)
		return false;
	return g_str_equal(lines[0], "posthorn journal 1") && g_str_has_prefix(lines[1], "id ")
	       && g_ascii_string_to_unsigned(lines[1] + 3, 16, 0, UINT64_MAX, &state->id, NULL)
	       && g_str_has_prefix(lines[2], "written ")
	       && ph_slice_to_u64(ph_slice(lines[2] + 8), INT64_MAX, &state->number)
	       && g_str_has_prefix(lines[3], "checkpoint ")
	       && ph_slice_to_u64(ph_slice(lines[3] + 11), INT64_MAX, &state->checkpoint)
	       && g_str_has_prefix(lines[4], "clean ")
	       && ph_slice_to_u64(ph_slice(lines[4] + 6), 1, &state->clean)
	       && state->checkpoint >= PH_JOURNAL_FIRST;
}

/* Begins a journal: its state is there before anything refers to it. */
static bool
make_state(PhJournal *journal, GError **error)
{
	char empty[2 * STATE_OCTETS];

	memset(empty, ' ', sizeof empty);
	ph_secret_random(&journal->id, sizeof journal->id);
	journal->checkpoint = PH_JOURNAL_FIRST;
	if (!ph_durable_replace(journal->folder_fd, "state", PH_SLICE(empty, sizeof empty),
	                        PH_SEGMENT_MODE, error))
		return false;
	journal->state_fd = openat(journal->folder_fd, "state", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return journal->state_fd >= 0
	       && ph_journal_write_state(journal, journal->checkpoint, true, error);
}

static bool
is_blank(const char *octets, ssize_t n)
{
	return n == 2 * STATE_OCTETS && strspn(octets, " ") >= 2 * STATE_OCTETS;
}

/* The newer of the two places; number 0 when none is whole. */
static State
newest_state(const char *octets, ssize_t n)
{
	State best = { .number = 0 };

	for (size_t i = 0; n == 2 * STATE_OCTETS && i < 2; i++) {
		State state = { .number = 0 };

		if (parse_state(octets + i * STATE_OCTETS, &state) && state.number > best.number)
			best = state;
	}
	return best;
}

bool
ph_journal_holds(const char *folder, uint64_t id)
{
	g_autofree char *path = g_build_filename(folder, "state", NULL);
	char octets[2 * STATE_OCTETS + 1] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	State state;
	ssize_t n = 0;

	if (fd < 0)
		return errno != ENOENT;
	n = pread(fd, octets, 2 * STATE_OCTETS, 0);
	(void) close(fd);
	state = newest_state(octets, n);
	return state.number == 0 || (state.id == id && state.clean != 1);
}

uint64_t
ph_journal_id(const PhJournal *journal)
{
	return journal->id;
}

const char *
ph_journal_folder(const PhJournal *journal)
{
	return journal->folder;
}

/* Reads the state, or begins a journal. */
static bool
take_state(PhJournal *journal, bool *clean_out, GError **error)
{
	char octets[2 * STATE_OCTETS + 1] = "";
	State best;
	ssize_t n = 0;

	*clean_out = true;
	journal->state_fd = openat(journal->folder_fd, "state", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (journal->state_fd < 0 && errno == ENOENT)
		return make_state(journal, error);
	if (journal->state_fd >= 0)
		n = pread(journal->state_fd, octets, 2 * STATE_OCTETS, 0);
	if (is_blank(octets, n)) {
		(void) close(journal->state_fd);
		return make_state(journal, error);
	}
	best = newest_state(octets, n);
	if (best.number == 0) {
		ph_error_set(error, PH_ERROR_CORRUPT, "the journal's state in '%s' cannot be read",
		             journal->folder);
		return false;
	}
	journal->id = best.id;
	journal->n_states = best.number;
	journal->checkpoint = best.checkpoint;
	*clean_out = best.clean == 1;
	return true;
}

/* --- opening -------------------------------------------------------------------------------------- */

/* The lock goes with the process that has it. @used_out: (nullable) set when that is another. */
static bool
take_lock(PhJournal *journal, uint64_t wait_us, bool *used_out, GError **error)
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
	if (errno != EWOULDBLOCK) {
		ph_error_set_errno(error, errno, "cannot lock '%s/lock'", journal->folder);
		return false;
	}
	if (used_out != NULL)
		*used_out = true;
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
	if (journal->state_fd >= 0)
		(void) close(journal->state_fd);
	if (journal->lock_fd >= 0)
		(void) close(journal->lock_fd);
	if (journal->folder_fd >= 0)
		(void) close(journal->folder_fd);
	ph_signal_clear(&journal->work);
	ph_signal_clear(&journal->room);
	ph_signal_clear(&journal->wanted);
	ph_lock_clear(&journal->making);
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
	journal->state_fd = -1;
	journal->segment_size = MAX(params->size / PH_JOURNAL_SEGMENTS, SEGMENT_LEAST);
	journal->checkpoint_us = params->checkpoint_us;
	journal->failed = params->failed;
	journal->user_data = params->user_data;
	ph_lock_init(&journal->lock);
	ph_lock_init(&journal->checkpointing);
	ph_lock_init(&journal->making);
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

	if (!open_folder(journal, error)
	    || !take_lock(journal, params->lock_wait_us, params->used_out, error)
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
	good = open_folder(journal, error) && take_lock(journal, 0, NULL, error)
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
	if ((journal->segments->len == 0 && ph_journal_add_segment(journal, error) == NULL)
	    || !ph_journal_write_state(journal, journal->checkpoint, false, error))
		return false;
	/* No seed is used again: of a filling whose head the power took, records may be left. */
	journal->sequence = MAX(journal->sequence, journal->n_states << SEQUENCES);
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

static void
drop_lock(PhJournal *journal)
{
	if (journal->lock_fd >= 0)
		(void) close(journal->lock_fd);
	journal->lock_fd = -1;
}

bool
ph_journal_end(PhJournal *journal, bool remove)
{
	g_autoptr(GError) error = NULL;
	bool clean = false;

	if (journal->is_started)
		stop_threads(journal);
	clean = !journal->is_closed_off && !ph_journal_has_pending(journal)
	        && ph_journal_checkpoint(journal, &error);
	if (clean && remove)
		remove_files(journal);
	else if (clean)
		clean = ph_journal_write_state(journal, journal->checkpoint, true, &error);
	if (error != NULL)
		ph_log(PH_LOG_WARNING, "journal", "the journal was not closed cleanly",
		       PH_LOG_FAILURE(error), PH_LOG_END);
	journal->is_started = false;
	drop_lock(journal);
	return clean;
}

void
ph_journal_free(PhJournal *journal)
{
	if (journal != NULL)
		journal_free(journal);
}

void
ph_journal_close(PhJournal *journal, bool remove)
{
	if (journal == NULL)
		return;
	(void) ph_journal_end(journal, remove);
	journal_free(journal);
}

/* With the lock held: of what was entered and is not synced. */
static uint64_t
age_of_oldest(const PhJournal *journal)
{
	uint64_t since_us = journal->writing_us != 0 ? journal->writing_us : journal->filling_us;

	return since_us != 0 ? ph_clock_us() - since_us : 0;
}

void
ph_journal_stats(PhJournal *journal, PhJournalStats *stats_out)
{
	PH_LOCKED(&journal->lock);
	*stats_out = (PhJournalStats){
		.end = journal->end,
		.checkpoint = journal->checkpoint,
		.room = journal->segment_size * (PH_JOURNAL_SEGMENTS - 1),
		.unsynced_us = age_of_oldest(journal),
		.n_batches = journal->n_batches,
		.n_syncs = journal->n_syncs,
		.n_checkpoints = journal->n_checkpoints,
		.n_pending = g_hash_table_size(journal->pending),
	};
}

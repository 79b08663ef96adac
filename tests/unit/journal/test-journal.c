/* test-journal.c: what was durable is replayed, whatever happened to the end of the journal
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "base/horizon.h"
#include "base/lock.h"
#include "journal/journal.h"
#include "journal/private.h"
#include "sample.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

enum {
	SIZE = 4 * 256 * 1024,
};

static PhContent *current;

static PhContent *
content_of(const PhOp *op)
{
	return current;
}

static void
remove_folder(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		(void) g_unlink(path);
	}
	(void) g_rmdir(folder);
}

/* The journal as it lies there now, for another process. */
static void
copy_folder(const char *from, const char *to)
{
	g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
	const char *name = NULL;

	g_assert_cmpint(g_mkdir(to, 0700), ==, 0);
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *source = g_build_filename(from, name, NULL);
		g_autofree char *target = g_build_filename(to, name, NULL);
		g_autofree char *octets = NULL;
		gsize length = 0;

		g_assert_true(g_file_get_contents(source, &octets, &length, NULL));
		g_assert_true(g_file_set_contents(target, octets, (gssize) length, NULL));
	}
}

static gint n_failed;

static void
failed(void *user_data)
{
	g_atomic_int_inc(&n_failed);
}

static PhJournal *
open_journal(const char *folder, GError **error)
{
	PhJournalParams params = {
		.folder = folder,
		.size = SIZE,
		.checkpoint_us = 3600U * G_USEC_PER_SEC,
		.failed = failed,
	};

	return ph_journal_open(&params, error);
}

typedef struct {
	PhHorizonWait wait; /* first */
	PhLock lock;
	PhSignal reached;
	int outcome; /* 0: none yet, 1: durable, 2: lost */
} Waiter;

static void
note(PhHorizonWait *wait, bool durable)
{
	Waiter *waiter = (Waiter *) wait;

	PH_LOCKED(&waiter->lock);
	waiter->outcome = durable ? 1 : 2;
	ph_signal_all(&waiter->reached);
}

static bool
wait_for(uint64_t position)
{
	Waiter waiter = { .wait = { .position = position, .func = note } };

	ph_lock_init(&waiter.lock);
	ph_signal_init(&waiter.reached);
	ph_horizon_wait(&waiter.wait);
	ph_lock_take(&waiter.lock);
	while (waiter.outcome == 0)
		ph_signal_wait(&waiter.reached, &waiter.lock);
	ph_lock_drop(&waiter.lock);
	return waiter.outcome == 1;
}

static uint64_t
enter_only(PhJournal *journal, const char *user, uint8_t number)
{
	uint64_t position = 0;
	Sample sample;
	PhTransaction *list[] = { NULL };
	PhJournalBatch batch = { .section = "mail", .transactions = list, .n = 1 };

	sample_init(&sample, user, number);
	list[0] = &sample.transaction;
	batch.identity = sample.identity;
	batch.content = content_of;
	current = sample.content;
	g_assert_true(ph_journal_reserve(journal, 1000, UINT64_MAX / 2, NULL));
	g_assert_true(ph_journal_enter(journal, &batch, &position));
	ph_journal_unreserve(journal, 1000);
	sample_clear(&sample);
	return position;
}

static uint64_t
enter(PhJournal *journal, const char *user, uint8_t number)
{
	uint64_t position = enter_only(journal, user, number);

	g_assert_true(wait_for(position));
	return position;
}

/* Many, with few syncs. */
static void
enter_many(PhJournal *journal, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t position = enter_only(journal, "anna", (uint8_t) (i % 250 + 1));

		if (i % 100 == 99)
			g_assert_true(wait_for(position));
	}
}

static bool
take(PhJournal *journal, PhJournalEntry *entry, void *user_data, GError **error)
{
	GString *seen = user_data;
	g_autoptr(PhContent) content = ph_journal_octets(journal, &entry->octets[0], error);
	PhSlice octets = PH_SLICE_EMPTY;

	if (content == NULL)
		return false;
	g_assert_true(ph_content_peek(content, &octets));
	g_assert_true(ph_slice_is(octets, "hello"));
	g_string_append_printf(seen, "%u ", entry->transaction.ops[0]->given_uid);
	return true;
}

static char *
replayed(PhJournal *journal, const char *address)
{
	GString *seen = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_journal_replay(journal, "mail", address, take, seen, &error));
	g_assert_no_error(error);
	return g_string_free(seen, FALSE);
}

static char *
new_folder(void)
{
	char *folder = g_dir_make_tmp("posthorn-journal-XXXXXX", NULL);

	(void) g_rmdir(folder);
	return folder;
}

static void
test_replay(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *anna = NULL;
	g_autofree char *otto = NULL;
	PhJournal *journal = open_journal(folder, NULL);
	PhJournal *after = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_journal_start(journal, NULL));
	(void) enter(journal, "anna", 1);
	(void) enter(journal, "otto", 2);
	(void) enter(journal, "anna", 3);
	copy_folder(folder, copy);
	/* one process at a time */
	g_assert_null(open_journal(folder, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_false(ph_journal_lets_pass(folder, NULL));
	ph_journal_close(journal, false);
	g_assert_true(ph_journal_lets_pass(folder, NULL));
	g_assert_false(ph_journal_lets_pass(copy, NULL));

	after = open_journal(copy, NULL);
	g_assert_true(ph_journal_has_pending(after));
	anna = replayed(after, "anna@a.example");
	g_assert_cmpstr(anna, ==, "1 3 ");
	otto = replayed(after, "otto@a.example");
	g_assert_cmpstr(otto, ==, "2 ");
	g_assert_false(ph_journal_has_pending(after));
	ph_journal_close(after, true);
	g_assert_false(ph_journal_exists(copy));

	/* the other was closed well: nothing waits */
	after = open_journal(folder, NULL);
	g_assert_false(ph_journal_has_pending(after));
	ph_journal_close(after, false);
	remove_folder(folder);
	remove_folder(copy);
}

/* The file in which the last record lies, and where it begins in it. */
static int
open_segment(const char *folder)
{
	g_autofree char *path = g_build_filename(folder, "segment-0", NULL);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	return fd;
}

static void
check_two_of_three(const char *folder, bool whole)
{
	g_autoptr(GError) error = NULL;
	PhJournal *journal = open_journal(folder, &error);
	g_autofree char *anna = NULL;

	g_assert_no_error(error);
	anna = replayed(journal, "anna@a.example");
	g_assert_cmpstr(anna, ==, whole ? "1 2 3 " : "1 2 ");
	/* otto still waits, so that nothing is written */
	ph_journal_close(journal, false);
}

/* A last record that is torn or altered at any octet was never acknowledged; those before count. */
static void
test_torn_tail(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	PhJournal *journal = open_journal(folder, NULL);
	uint64_t second = 0;
	uint64_t third = 0;
	char octets[4096];
	int fd = -1;
	off_t begin = 0;
	size_t length = 0;

	g_assert_true(ph_journal_start(journal, NULL));
	(void) enter(journal, "otto", 1);
	(void) enter(journal, "anna", 1);
	second = enter(journal, "anna", 2);
	third = enter(journal, "anna", 3);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	fd = open_segment(copy);
	begin = (off_t) (second - 4096 + PH_SEGMENT_HEAD);
	length = (size_t) (third - second);
	g_assert_cmpuint(length, <, sizeof octets);
	g_assert_cmpint(pread(fd, octets, length, begin), ==, (ssize_t) length);
	check_two_of_three(copy, true);
	for (size_t i = 0; i < length; i++) {
		static const char zeros[4096];
		char other = (char) (octets[i] ^ 0x40);
		bool matters = memcmp(octets + i, zeros, length - i) != 0;

		g_assert_cmpint(pwrite(fd, zeros, length - i, begin + (off_t) i), ==,
		                (ssize_t) (length - i));
		check_two_of_three(copy, !matters);
		g_assert_cmpint(pwrite(fd, octets, length, begin), ==, (ssize_t) length);
		g_assert_cmpint(pwrite(fd, &other, 1, begin + (off_t) i), ==, 1);
		if (i % 7 == 0 && matters && i < length - 8)
			check_two_of_three(copy, false);
		g_assert_cmpint(pwrite(fd, octets, length, begin), ==, (ssize_t) length);
	}
	(void) close(fd);
	remove_folder(folder);
	remove_folder(copy);
}

/* Records that were acknowledged and are gone from the middle: nobody goes on as if all were well. */
static void
test_hole(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autoptr(GError) error = NULL;
	PhJournal *journal = open_journal(folder, NULL);
	static const char garbage[4096] = "garbage";
	g_autofree char *path = g_build_filename(folder, "state", NULL);
	g_autofree char *copied_path = g_build_filename(copy, "state", NULL);
	g_autofree char *state = NULL;
	int fd = -1;

	g_assert_true(ph_journal_start(journal, NULL));
	g_assert_true(g_file_get_contents(path, &state, NULL, NULL));
	enter_many(journal, 700);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	/* as it was before the checkpoint */
	g_assert_true(g_file_set_contents(copied_path, state, -1, NULL));
	fd = open_segment(copy);
	g_assert_cmpint(pwrite(fd, garbage, sizeof garbage, 64 * 1024), ==,
	                (ssize_t) sizeof garbage);
	(void) close(fd);
	g_assert_null(open_journal(copy, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	remove_folder(folder);
	remove_folder(copy);
}

/* The same when it is the first filling that cannot be recognized. */
static void
test_lost_head(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autoptr(GError) error = NULL;
	PhJournal *journal = open_journal(folder, NULL);
	static const char garbage[64] = "garbage";
	g_autofree char *path = g_build_filename(folder, "state", NULL);
	g_autofree char *copied_path = g_build_filename(copy, "state", NULL);
	g_autofree char *state = NULL;
	int fd = -1;

	g_assert_true(ph_journal_start(journal, NULL));
	g_assert_true(g_file_get_contents(path, &state, NULL, NULL));
	enter_many(journal, 500);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	g_assert_true(g_file_set_contents(copied_path, state, -1, NULL));
	fd = open_segment(copy);
	g_assert_cmpint(pwrite(fd, garbage, sizeof garbage, 0), ==, (ssize_t) sizeof garbage);
	(void) close(fd);
	g_assert_null(open_journal(copy, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	remove_folder(folder);
	remove_folder(copy);
}

/* Records that were never acknowledged, of a filling whose beginning the power took, are none, also
 * when what is written next ends just before them. */
static void
test_ghost(void)
{
	static const char zeros[64 * 1024];
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *again = new_folder();
	g_autofree char *anna = NULL;
	g_autofree char *otto = NULL;
	PhJournal *journal = open_journal(folder, NULL);
	uint64_t first = 0;
	int fd = -1;

	g_assert_true(ph_journal_start(journal, NULL));
	first = enter(journal, "anna", 1);
	(void) enter(journal, "anna", 2);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	fd = open_segment(copy);
	g_assert_cmpint(pwrite(fd, zeros, first, 0), ==, (ssize_t) first);
	(void) close(fd);
	journal = open_journal(copy, NULL);
	g_assert_false(ph_journal_has_pending(journal));
	g_assert_true(ph_journal_start(journal, NULL));
	g_assert_cmpuint(enter(journal, "otto", 3), ==, first);
	copy_folder(copy, again);
	ph_journal_close(journal, false);
	journal = open_journal(again, NULL);
	otto = replayed(journal, "otto@a.example");
	g_assert_cmpstr(otto, ==, "3 ");
	anna = replayed(journal, "anna@a.example");
	g_assert_cmpstr(anna, ==, "");
	ph_journal_close(journal, false);
	remove_folder(folder);
	remove_folder(copy);
	remove_folder(again);
}

/* Room comes back with checkpoints, over many fillings; a full journal refuses in time. */
static void
test_room(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *seen = NULL;
	g_autoptr(GError) error = NULL;
	PhJournalStats stats;
	PhJournal *journal = open_journal(folder, NULL);

	g_assert_true(ph_journal_start(journal, NULL));
	enter_many(journal, 6000);
	ph_journal_stats(journal, &stats);
	g_assert_cmpuint(stats.end, >, 2U * SIZE);
	g_assert_cmpuint(stats.n_checkpoints, >, 1);
	g_assert_true(ph_journal_reserve(journal, SIZE * 3 / 4, UINT64_MAX / 2, NULL));
	g_assert_false(ph_journal_reserve(journal, SIZE, (uint64_t) g_get_monotonic_time() + 1000,
	                                  &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	ph_journal_unreserve(journal, SIZE * 3 / 4);
	g_assert_true(ph_journal_checkpoint(journal, NULL));
	(void) enter(journal, "anna", 7);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	journal = open_journal(copy, NULL);
	seen = replayed(journal, "anna@a.example");
	g_assert_cmpstr(seen, ==, "7 ");
	ph_journal_close(journal, false);
	remove_folder(folder);
	remove_folder(copy);
}

/* The second segment is made in the background. */
static void
wait_for_second(PhJournal *journal)
{
	bool there = false;

	while (!there) {
		g_usleep(1000);
		PH_LOCKED(&journal->lock);
		there = journal->segments->len == 2;
	}
}

/* Every write through this descriptor fails from now on. */
static void
break_fd(int fd)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	g_assert_cmpint(full, >=, 0);
	g_assert_cmpint(dup2(full, fd), ==, fd);
	(void) close(full);
}

/* What could not be written goes to another segment and is acknowledged from there. */
static void
test_bad_segment(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *seen = NULL;
	PhJournal *journal = open_journal(folder, NULL);

	g_assert_true(ph_journal_start(journal, NULL));
	(void) enter(journal, "anna", 1);
	wait_for_second(journal);
	break_fd(((PhSegment *) journal->segments->pdata[0])->fd);
	(void) enter(journal, "anna", 2);
	(void) enter(journal, "anna", 3);
	g_assert_cmpuint(journal->segments->len, ==, 2);
	g_assert_cmpint(g_atomic_int_get(&n_failed), ==, 0);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	journal = open_journal(copy, NULL);
	seen = replayed(journal, "anna@a.example");
	g_assert_cmpstr(seen, ==, "1 2 3 ");
	ph_journal_close(journal, false);
	remove_folder(folder);
	remove_folder(copy);
}

/* When there is no other either nothing is acknowledged, nothing accepted, and the server told. */
static void
test_failure(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *seen = NULL;
	g_autoptr(GError) error = NULL;
	PhJournal *journal = open_journal(folder, NULL);

	g_assert_true(ph_journal_start(journal, NULL));
	(void) enter(journal, "anna", 1);
	wait_for_second(journal);
	break_fd(((PhSegment *) journal->segments->pdata[0])->fd);
	break_fd(((PhSegment *) journal->segments->pdata[1])->fd);
	g_assert_false(wait_for(enter_only(journal, "anna", 2)));
	g_assert_false(ph_journal_reserve(journal, 1, UINT64_MAX / 2, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	while (g_atomic_int_get(&n_failed) == 0)
		g_usleep(1000);
	copy_folder(folder, copy);
	ph_journal_close(journal, false);
	journal = open_journal(copy, NULL);
	seen = replayed(journal, "anna@a.example");
	g_assert_cmpstr(seen, ==, "1 ");
	ph_journal_close(journal, false);
	remove_folder(folder);
	remove_folder(copy);
}

/* Without room for a further segment the one there is is filled again behind each checkpoint. */
static void
test_full_disk(void)
{
	g_autofree char *folder = new_folder();
	PhJournalStats stats;
	PhJournal *journal = open_journal(folder, NULL);

	g_assert_true(ph_journal_start(journal, NULL));
	wait_for_second(journal);
	break_fd(journal->folder_fd);
	enter_many(journal, 3000);
	ph_journal_stats(journal, &stats);
	g_assert_cmpuint(stats.end, >, SIZE);
	g_assert_cmpuint(journal->segments->len, ==, 2);
	g_assert_cmpint(g_atomic_int_get(&n_failed), ==, 0);
	ph_journal_close(journal, false);
	remove_folder(folder);
}

/* The system tells of a failed sync once: whoever asked, no later checkpoint gives records up. */
static void
test_failed_checkpoint(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *seen = NULL;
	g_autoptr(GError) error = NULL;
	int system = open("/tmp", O_PATH | O_CLOEXEC); /* which cannot be synced */
	int good = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	gint n_before = g_atomic_int_get(&n_failed);
	PhJournal *journal = open_journal(folder, NULL);

	g_assert_true(ph_journal_start(journal, NULL));
	ph_journal_add_system(journal, system);
	(void) enter(journal, "anna", 1);
	g_assert_false(ph_journal_checkpoint(journal, &error));
	g_assert_nonnull(error);
	g_assert_cmpint(dup2(good, system), ==, system);
	g_assert_false(ph_journal_checkpoint(journal, NULL));
	g_assert_false(ph_journal_reserve(journal, 1, UINT64_MAX / 2, NULL));
	g_assert_cmpint(g_atomic_int_get(&n_failed), ==, n_before + 1);
	(void) close(good);
	ph_journal_close(journal, false);
	copy_folder(folder, copy);
	journal = open_journal(copy, NULL);
	seen = replayed(journal, "anna@a.example");
	g_assert_cmpstr(seen, ==, "1 ");
	ph_journal_close(journal, false);
	remove_folder(folder);
	remove_folder(copy);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/journal/journal/replays-what-was-durable", test_replay);
	g_test_add_func("/journal/journal/torn-tail-is-no-record", test_torn_tail);
	g_test_add_func("/journal/journal/hole-stops-the-start", test_hole);
	g_test_add_func("/journal/journal/lost-head-stops-the-start", test_lost_head);
	g_test_add_func("/journal/journal/unacknowledged-rests-are-no-records", test_ghost);
	g_test_add_func("/journal/journal/room-comes-back", test_room);
	g_test_add_func("/journal/journal/bad-segment-is-left", test_bad_segment);
	g_test_add_func("/journal/journal/full-disk-needs-no-more", test_full_disk);
	g_test_add_func("/journal/journal/failure-acknowledges-nothing", test_failure);
	g_test_add_func("/journal/journal/failed-checkpoint-gives-nothing-up",
	                test_failed_checkpoint);
	return g_test_run();
}

/* test-index-crash.c: PhIndex after crashes and damage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

static void
count_line(const char *line, void *user_data)
{
	unsigned *n = user_data;

	(*n)++;
}

/* A damaged file is told and left as it is. */
static void
test_corrupt(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *octets = NULL;
	size_t length = 0;
	g_autofree char *junk = g_strnfill(20000, 'x');
	PhIndexParams params = { .size = sizeof params, .path = f->path };

	g_clear_pointer(&f->index, ph_index_unref);
	g_assert_true(g_file_set_contents(f->path, junk, 20000, NULL));
	g_assert_null(ph_index_open(&params, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	g_assert_true(g_file_get_contents(f->path, &octets, &length, NULL));
	g_assert_cmpmem(octets, length, junk, 20000);
}

/* A damaged one makes room, and nothing of it is lost or seen. */
static void
test_set_aside(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *aside = NULL;
	g_autofree char *octets = NULL;
	size_t length = 0;
	g_autofree char *wal = g_strconcat(f->path, "-wal", NULL);

	(void) append(f, 0, 1);
	g_clear_pointer(&f->index, ph_index_unref);
	g_assert_true(g_file_set_contents(f->path, "not a database", -1, NULL));
	g_assert_true(g_file_set_contents(wal, "not a log", -1, NULL));
	g_assert_true(ph_index_set_aside(f->path, &aside, &error));
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(aside, &octets, &length, NULL));
	g_assert_cmpmem(octets, length, "not a database", 14);
	g_assert_false(g_file_test(wal, G_FILE_TEST_EXISTS));
	f->index = open_index(f, 0);
	create(f, "INBOX", &f->inbox);
	g_assert_cmpuint(append(f, 0, 1), ==, 1);
	(void) g_unlink(aside);
	g_clear_pointer(&wal, g_free);
	wal = g_strconcat(aside, "-wal", NULL);
	g_assert_cmpint(g_unlink(wal), ==, 0);
}

/* Whatever a repair finds: afterwards nothing is found. */
static void
test_repair(Fixture *f, const void *data)
{
	static const char *const damages[] = {
		"UPDATE mailbox SET messages = 7, octets = 1",
		"DELETE FROM record WHERE no BETWEEN 3 AND 4",
		"DELETE FROM record_owned",
		"INSERT INTO record_owned VALUES (200, 250, 3)",
		"INSERT INTO record_dropped VALUES (5, 1, 2)",
		"UPDATE mailbox SET uidnext = 2",
	};
	PhMailboxId other;

	create(f, "other", &other);
	for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
		g_auto(Tx) copy = { 0 };
		g_autoptr(PhUidSet) uids = ph_uid_set_new_range(1, 300);
		sqlite3 *db = NULL;
		unsigned n_found = 0;

		for (uint32_t j = 0; j < (i == 0 ? 300 : 0); j++)
			(void) append(f, j % 3, 10);
		tx_init(&copy, f, PH_OP_COPY);
		copy.op.uids = uids;
		copy.op.to = other;
		g_assert_true(run(f->index, &copy));
		g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
		g_assert_cmpint(sqlite3_open(f->path, &db), ==, SQLITE_OK);
		(void) sqlite3_busy_timeout(db, 10000); /* the index tidies meanwhile */
		g_assert_cmpint(sqlite3_exec(db, damages[i], NULL, NULL, NULL), ==, SQLITE_OK);
		(void) sqlite3_close(db);
		g_assert_true(ph_index_check(f->index, true, count_line, &n_found, NULL));
		g_assert_cmpuint(n_found, >, 0);
		g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
	}
}

/* [STORE-1] [STORE-2] A writer is killed at random moments; what it had told is there, what it had
 * not told is there whole or not at all. */
static int
write_until_killed(char *path)
{
	Fixture f = { .path = path };

	memset(f.inbox.octets, 1, sizeof f.inbox.octets);
	f.index = open_index(&f, 0);
	for (;;) {
		uint32_t uid = append(&f, 0, 10);

		if (uid % 3 == 0)
			(void) set_flags(&f, 1, uid, PH_FLAGS_ADD, PH_FLAG_SEEN);
		if (write(STDOUT_FILENO, &uid, sizeof uid) != (ssize_t) sizeof uid)
			return 1;
	}
}

/* A process of its own from the start: SQLite's state does not survive a fork. */
static pid_t
start_writer(const char *path, int out)
{
	pid_t child = fork();

	if (child == 0) {
		(void) dup2(out, STDOUT_FILENO);
		(void) execl("/proc/self/exe", "writer", "--write", path, NULL);
		_exit(1);
	}
	return child;
}

static void
test_crash(Fixture *f, const void *data)
{
	uint32_t known = 0;

	g_clear_pointer(&f->index, ph_index_unref);
	for (int round = 0; round < 10; round++) {
		int ends[2];
		uint32_t uid = 0;
		pid_t child = 0;
		PhMailboxInfo info;

		g_assert_cmpint(pipe(ends), ==, 0);
		child = start_writer(f->path, ends[1]);
		(void) close(ends[1]);
		/* it must have begun, however slow the build is */
		g_assert_cmpint(read(ends[0], &uid, sizeof uid), ==, (ssize_t) sizeof uid);
		known = uid;
		g_usleep((gulong) g_test_rand_int_range(10000, 40000));
		(void) kill(child, SIGKILL);
		while (read(ends[0], &uid, sizeof uid) == (ssize_t) sizeof uid)
			known = uid;
		(void) close(ends[0]);
		(void) waitpid(child, NULL, 0);
		f->index = open_index(f, 0);
		info = info_of(f, &f->inbox);
		g_assert_cmpuint(info.n_messages, >=, known);
		g_assert_cmpuint(info.n_messages, <=, known + 1);
		g_assert_cmpuint(info.uidnext, ==, info.n_messages + 1);
		known = info.n_messages;
		g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
		g_clear_pointer(&f->index, ph_index_unref);
	}
	g_assert_cmpuint(known, >, 0);
}

/* The disk is full, let us say, for messages of 2 octets. */
static bool
add_or_fail(void *user_data,
            PhIndexConnection *connection,
            const PhOp *op,
            PhBlobId *blob_out,
            GError **error)
{
	if (op->octets != 2)
		return true;
	g_set_error_literal(error, PH_ERROR, PH_ERROR_TEMPORARY, "no space");
	return false;
}

static PhIndex *
open_failing(const Fixture *f)
{
	static const PhIndexHooks hooks = { .size = sizeof hooks, .add = add_or_fail };
	g_autoptr(GError) error = NULL;
	PhIndexParams params = { .size = sizeof params, .path = f->path, .hooks = &hooks };
	PhIndex *index = ph_index_open(&params, &error);

	g_assert_no_error(error);
	return index;
}

/* The second operation fails after parts of the first, a large one, went to the log. */
static void
fail_large(PhIndex *index, Fixture *f)
{
	g_autoptr(GError) error = NULL;
	g_auto(Tx) tx = { 0 };
	g_auto(Tx) second = { 0 };
	g_autofree char *structure = g_strnfill(600000, 's');
	PhOp *ops[] = { &tx.op, &second.op };
	PhTransaction *batch[] = { &tx.transaction };

	tx_init(&tx, f, PH_OP_APPEND);
	tx_init(&second, f, PH_OP_APPEND);
	tx.op.octets = 1;
	tx.op.structure = PH_SLICE(structure, 600000);
	second.op.octets = 2;
	tx.transaction.ops = ops;
	tx.transaction.n_ops = 2;
	g_assert_false(ph_index_commit(index, batch, 1, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
}

/* Two handles of one file, as two processes have: what one undid never reaches the log over what
 * the other has committed there. */
static void
test_undone(Fixture *f, const void *data)
{
	g_autoptr(PhIndex) other = open_failing(f);
	uint32_t last = 0;

	(void) append(f, 0, 1);
	fail_large(other, f);
	for (int i = 0; i < 5; i++)
		last = append(f, 0, 1);
	g_clear_pointer(&other, ph_index_unref);
	g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
	g_assert_cmpuint(info_of(f, &f->inbox).n_messages, ==, last);
	g_clear_pointer(&f->index, ph_index_unref);
	f->index = open_index(f, 0);
	g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
	g_assert_cmpuint(info_of(f, &f->inbox).n_messages, ==, last);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*func)(Fixture *f, const void *data);
	} tests[] = {
		{ "a-damaged-file-is-left-alone", test_corrupt },
		{ "a-damaged-one-is-set-aside", test_set_aside },
		{ "a-repair-leaves-nothing-to-find", test_repair },
		{ "a-killed-writer-keeps-its-word", test_crash },
		{ "what-was-undone-is-not-written-later", test_undone },
	};

	if (argc == 3 && g_str_equal(argv[1], "--write"))
		return write_until_killed(argv[2]);
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/mailbox/index-crash/%s", tests[i].name);

		g_test_add(path, Fixture, NULL, set_up, tests[i].func, tear_down);
	}
	return g_test_run();
}

/* test-index-processes.c: several processes with several threads write and read one index
 *
 * Nobody is ever told that the database is busy, uids are given once, nothing is lost, and each
 * process sees what the others did. A process of its own from the start: SQLite's state does not
 * survive a fork.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"

#include <sys/wait.h>
#include <unistd.h>

enum {
	PROCESSES = 4,
	THREADS = 2,
	ROUNDS = 40,
};

typedef struct {
	Fixture *f;
	PhMailboxId other;
	int out;
	bool failed;
} Worker;

/* Appends, alters, copies and reads; tells the uids of its own messages. */
static void *
work(void *data)
{
	Worker *worker = data;
	Fixture *f = worker->f;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t uid = append(f, 0, 1);
		g_auto(Tx) copy = { 0 };
		g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
		g_autofree char *seen = NULL;
		g_autofree char *expected = g_strdup_printf("%u:1 ", uid);

		worker->failed |= uid == 0;
		(void) set_flags(f, uid, uid, PH_FLAGS_ADD, PH_FLAG_SEEN);
		seen = changes(f, &f->inbox, 0, uids);
		worker->failed |= !g_str_equal(seen, expected);
		tx_init(&copy, f, PH_OP_COPY);
		copy.op.uids = uids;
		copy.op.to = worker->other;
		worker->failed |= !run(f->index, &copy);
		if (i % 4 == 3)
			(void) expunge(f, uid, uid);
		worker->failed |= write(worker->out, &uid, sizeof uid) != (ssize_t) sizeof uid;
	}
	return NULL;
}

static int
write_and_read(char *path)
{
	Fixture f = { .path = path };
	Worker workers[THREADS];
	GThread *threads[THREADS];
	bool failed = false;

	memset(f.inbox.octets, 1, sizeof f.inbox.octets);
	f.index = open_index(&f, 0);
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (Worker){ .f = &f, .out = STDOUT_FILENO };
		memset(workers[i].other.octets, 2, sizeof workers[i].other.octets);
		threads[i] = g_thread_new("worker", work, &workers[i]);
	}
	for (size_t i = 0; i < THREADS; i++) {
		(void) g_thread_join(threads[i]);
		failed |= workers[i].failed;
	}
	ph_index_unref(f.index);
	return failed;
}

static pid_t
start(const char *path, int out)
{
	pid_t child = fork();

	if (child == 0) {
		(void) dup2(out, STDOUT_FILENO);
		(void) execl("/proc/self/exe", "worker", "--work", path, NULL);
		_exit(1);
	}
	return child;
}

static void
test_processes(Fixture *f, const void *data)
{
	PhMailboxId other;
	pid_t children[PROCESSES];
	int ends[2];
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	const uint32_t all = PROCESSES * THREADS * ROUNDS;
	uint32_t uid = 0;
	uint32_t n = 0;

	create(f, "other", &other);
	g_assert_cmpint(pipe(ends), ==, 0);
	for (size_t i = 0; i < PROCESSES; i++)
		children[i] = start(f->path, ends[1]);
	(void) close(ends[1]);
	while (read(ends[0], &uid, sizeof uid) == (ssize_t) sizeof uid) {
		g_assert_false(ph_uid_set_contains(uids, uid));
		ph_uid_set_add(uids, uid);
		n++;
		/* and this process writes as well, now and then */
		if (n % 16 == 0)
			(void) set_flags(f, uid, uid, PH_FLAGS_ADD, PH_FLAG_FLAGGED);
	}
	(void) close(ends[0]);
	for (size_t i = 0; i < PROCESSES; i++) {
		int status = 1;

		(void) waitpid(children[i], &status, 0);
		g_assert_cmpint(status, ==, 0);
	}
	g_assert_cmpuint(n, ==, all);
	g_assert_cmpuint(ph_uid_set_count(uids), ==, all);
	g_assert_true(ph_uid_set_contains(uids, 1) && ph_uid_set_contains(uids, all));
	assert_counts(f, &f->inbox, all - all / 4, 0, 0);
	assert_counts(f, &other, all, 0, 0);
}

int
main(int argc, char **argv)
{
	if (argc == 3 && g_str_equal(argv[1], "--work"))
		return write_and_read(argv[2]);
	g_test_init(&argc, &argv, NULL);
	g_test_add("/mailbox/index-processes/nobody-is-told-busy", Fixture, NULL, set_up,
	           test_processes, tear_down);
	return g_test_run();
}

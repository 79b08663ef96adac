/* test-queue.c: what was added is there in the next process, until it is done
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "queue/list.h"
#include "queue/queue.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	PATIENCE_US = 10000000,
	PAUSE_US = 2000,
	WRITTEN_US = 50000, /* then the writer has taken what nobody waits for */
};

static gint n_syncs;

/* Between the queue and the C library: what a loss of power may take cannot be seen otherwise. */
int
fdatasync(int fd)
{
	g_atomic_int_inc(&n_syncs);
	return (int) syscall(SYS_fdatasync, fd);
}

static const PhDuration curve[] = { { UINT64_C(3600000000) } };

typedef struct {
	char *folder;
	PhQueueParams params;
	PhQueue *queue;
	gint n_added;
	gint n_failed;
	gint n_tasks;
	gint n_released; /* recipients of them that a result has called so */
	const char *hold;
	PhQueueTask *slow; /* atomic */
} Fixture;

/* "done..." is delivered, "later..." is put off, "hold..." is kept, "slow..." is under way until the
 * test ends it, and the next time delivered. */
static void
begin(PhQueueTask *task, void *user_data)
{
	Fixture *f = user_data;
	size_t n = ph_queue_task_n(task);
	g_autofree PhQueueResult *results = g_new0(PhQueueResult, n);

	g_assert_true(ph_queue_task_load(task, NULL));
	if (g_str_has_prefix(ph_queue_task_recipient(task, 0)->envelope->address, "slow")
	    && g_atomic_int_add(&f->n_tasks, 1) == 0) {
		g_atomic_pointer_set(&f->slow, task);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const char *address = ph_queue_task_recipient(task, i)->envelope->address;

		results[i].outcome = PH_QUEUE_DONE_WITH;
		results[i].reason = "the reason";
		/* whoever has this in the name */
		results[i].is_released = strstr(address, "released") != NULL;
		if (ph_queue_task_recipient(task, i)->is_released)
			g_atomic_int_inc(&f->n_released);
		if (g_str_has_prefix(address, "later"))
			results[i].outcome = PH_QUEUE_LATER;
		else if (g_str_has_prefix(address, "hold"))
			results[i].outcome = PH_QUEUE_HOLD;
	}
	g_atomic_int_inc(&f->n_tasks);
	ph_queue_task_finish(task, results, true);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	f->folder = g_dir_make_tmp("posthorn-queue-XXXXXX", NULL);
	f->params = (PhQueueParams){ .folder = f->folder,
		                     .writes = true,
		                     .settings = { .curve = curve,
		                                   .n_curve = 1,
		                                   .lifetime = { UINT64_C(432000000000) },
		                                   .concurrency = 10,
		                                   .concurrency_each = 10,
		                                   .recipients_each = 10,
		                                   .failures = 3,
		                                   .file_octets = 4096 },
		                     .begin = begin,
		                     .user_data = f };
	f->queue = ph_queue_open(&f->params, NULL);
	g_assert_nonnull(f->queue);
}

static void
reopen(Fixture *f)
{
	ph_queue_close(f->queue);
	f->queue = ph_queue_open(&f->params, NULL);
	g_assert_nonnull(f->queue);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	g_autofree char *beside = g_build_filename(f->folder, "beside", NULL);
	GDir *dir = NULL;
	const char *name = NULL;

	ph_queue_close(f->queue);
	dir = g_dir_open(f->folder, 0, NULL);
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(f->folder, name, NULL);

		(void) g_unlink(path);
	}
	g_dir_close(dir);
	(void) g_rmdir(beside);
	(void) g_rmdir(f->folder);
	g_free(f->folder);
}

static void
added(const GError *error, void *user_data)
{
	Fixture *f = user_data;

	if (error != NULL)
		g_atomic_int_inc(&f->n_failed);
	g_atomic_int_inc(&f->n_added);
}

static void
add(Fixture *f, const char *id, const char *address, size_t octets)
{
	PhEnvelopeRecipient recipient = { .address = address,
		                          .route = "out",
		                          .destination = "example.net" };
	PhEnvelope envelope = { .id = id,
		                .arrived = ph_clock_wall_us(),
		                .sender = "anna@example.org",
		                .recipients = &recipient,
		                .n_recipients = 1 };
	g_autofree char *text = g_strnfill(octets, 'x');
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(text));
	gint before = g_atomic_int_get(&f->n_added);

	ph_queue_add(f->queue, &(PhQueueNew){ .envelope = &envelope,
	                                      .content = content,
	                                      .hold = f->hold,
	                                      .added = added,
	                                      .user_data = f });
	while (g_atomic_int_get(&f->n_added) == before)
		g_usleep(PAUSE_US / 10);
}

static void
wait_for(Fixture *f, bool (*is_so)(const PhQueueStats *stats))
{
	uint64_t end_us = ph_clock_us() + PATIENCE_US;
	PhQueueStats stats = { 0 };

	do {
		g_assert_cmpuint(ph_clock_us(), <, end_us);
		g_usleep(PAUSE_US);
		ph_queue_stats(f->queue, &stats);
	} while (!is_so(&stats));
}

static bool
nothing_is_ready(const PhQueueStats *stats)
{
	return stats->n_recipients[PH_QUEUE_READY] + stats->n_recipients[PH_QUEUE_BUSY] == 0;
}

static bool
is_one_file(const PhQueueStats *stats)
{
	return stats->n_files <= 2;
}

static void
test_what_was_added_is_there_again(Fixture *f, gconstpointer data)
{
	PhQueueStats stats;

	add(f, "first", "later@example.net", 100);
	add(f, "large", "done@example.net", 300000);
	reopen(f);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 2);
	ph_queue_start(f->queue);
	wait_for(f, nothing_is_ready);
	reopen(f);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 1);
	g_assert_cmpuint(stats.n_recipients[PH_QUEUE_WAITING], ==, 1);
	g_assert_cmpuint(stats.n_damaged, ==, 0);
	g_assert_cmpint(f->n_failed, ==, 0);
}

static bool
check_held(const PhQueueItem *item, void *user_data)
{
	unsigned *n = user_data;

	g_assert_cmpuint(item->n_recipients, ==, 1);
	g_assert_cmpuint(item->recipients[0].state, ==, PH_QUEUE_HELD);
	g_assert_cmpstr(item->recipients[0].reason, ==, "the reason");
	*n += 1;
	return true;
}

static void
test_a_hold_outlives_the_process(Fixture *f, gconstpointer data)
{
	PhQueueFilter filter = { .id = "held" };
	PhQueueActed acted;
	unsigned n = 0;

	add(f, "held", "hold@example.net", 10);
	ph_queue_start(f->queue);
	wait_for(f, nothing_is_ready);
	reopen(f);
	ph_queue_each(f->queue, &filter, check_held, &n);
	g_assert_cmpuint(n, ==, 1);
	ph_queue_act(f->queue, &filter, PH_QUEUE_DELETE, &acted);
	g_assert_cmpuint(acted.n_changed, ==, 1);
	reopen(f);
	ph_queue_each(f->queue, &filter, check_held, &n);
	g_assert_cmpuint(n, ==, 1);
}

static void
test_what_was_written_without_a_sync_is_synced_when_somebody_waits(Fixture *f, gconstpointer data)
{
	PhQueueFilter nothing = { .id = "nothing" };
	PhQueueActed acted;
	gint before = 0;

	add(f, "held", "hold@example.net", 10);
	ph_queue_start(f->queue);
	wait_for(f, nothing_is_ready);
	g_usleep(WRITTEN_US);
	before = g_atomic_int_get(&n_syncs);
	ph_queue_act(f->queue, &nothing, PH_QUEUE_DELETE, &acted);
	g_assert_cmpint(g_atomic_int_get(&n_syncs), >, before);
	before = g_atomic_int_get(&n_syncs);
	ph_queue_act(f->queue, &nothing, PH_QUEUE_DELETE, &acted);
	g_assert_cmpint(g_atomic_int_get(&n_syncs), ==, before);
}

static void
test_a_release_outlives_the_reason_and_the_process(Fixture *f, gconstpointer data)
{
	PhQueueFilter filter = { .id = "one" };
	PhQueueActed acted;

	add(f, "one", "later-released@example.net", 10);
	add(f, "two", "later@example.net", 10);
	ph_queue_start(f->queue);
	wait_for(f, nothing_is_ready);
	g_assert_cmpint(f->n_released, ==, 0);
	reopen(f);
	ph_queue_act(f->queue, &filter, PH_QUEUE_RETRY, &acted);
	g_assert_cmpuint(acted.n_changed, ==, 1);
	filter.id = "two";
	ph_queue_act(f->queue, &filter, PH_QUEUE_RETRY, &acted);
	ph_queue_start(f->queue);
	wait_for(f, nothing_is_ready);
	g_assert_cmpint(f->n_tasks, ==, 4);
	g_assert_cmpint(f->n_released, ==, 1);
}

static bool
count(const PhQueueItem *item, void *user_data)
{
	unsigned *n = user_data;

	g_assert_nonnull(item->envelope);
	g_assert_cmpuint(item->octets, ==, 200);
	g_assert_cmpuint(item->recipients[0].attempts, ==, 1);
	*n += 1;
	return true;
}

static void
test_few_mails_do_not_keep_many_files(Fixture *f, gconstpointer data)
{
	PhQueueFilter filter = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < 40; i++) {
		g_autofree char *id = g_strdup_printf("mail-%u", i);

		add(f, id, i % 10 == 0 ? "later@example.net" : "done@example.net", 200);
	}
	ph_queue_start(f->queue);
	wait_for(f, nothing_is_ready);
	wait_for(f, is_one_file);
	ph_queue_each(f->queue, &filter, count, &n);
	g_assert_cmpuint(n, ==, 4);
	reopen(f);
	ph_queue_each(f->queue, &filter, count, &n);
	g_assert_cmpuint(n, ==, 8);
	g_assert_cmpint(f->n_tasks, <=, 40);
}

static void
test_without_its_index_a_file_is_read_again(Fixture *f, gconstpointer data)
{
	g_autofree char *index = g_build_filename(f->folder, "00000001.index", NULL);
	PhQueueStats stats;

	add(f, "one", "later@example.net", 100);
	add(f, "two", "later@example.net", 100);
	ph_queue_close(f->queue);
	g_assert_cmpint(g_unlink(index), ==, 0);
	f->queue = ph_queue_open(&f->params, NULL);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 2);
	reopen(f);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 2);
}

static void
test_a_second_process_may_only_look(Fixture *f, gconstpointer data)
{
	PhQueueParams params = f->params;
	PhQueue *other = NULL;
	PhQueueStats stats;

	add(f, "one", "later@example.net", 100);
	params.writes = false;
	other = ph_queue_open(&params, NULL);
	ph_queue_stats(other, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 1);
	ph_queue_close(other);
}

static bool
has_two(const PhQueueStats *stats)
{
	return stats->n_mails == 2;
}

static bool
is_empty(const PhQueueStats *stats)
{
	return stats->n_mails == 0;
}

/* One that is open in a folder beside the queue. */
static PhQueue *
open_beside(const Fixture *f, char **folder_out)
{
	PhQueueParams params = f->params;
	PhQueue *other = NULL;

	*folder_out = ph_queue_beside(f->folder);
	params.folder = *folder_out;
	other = ph_queue_open(&params, NULL);
	g_assert_nonnull(other);
	return other;
}

static void
test_mail_beside_the_queue_is_taken_when_its_writer_lets_go(Fixture *f, gconstpointer data)
{
	g_autofree char *folder = NULL;
	PhQueue *owner = f->queue;
	PhQueue *other = open_beside(f, &folder);
	PhQueueStats stats;

	add(f, "own", "later@example.net", 100);
	f->queue = other;
	add(f, "other", "done@example.net", 100);
	f->queue = owner;
	ph_queue_start(f->queue);
	ph_queue_adopt(f->queue);
	wait_for(f, nothing_is_ready);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 1);
	g_assert_cmpint(f->n_tasks, ==, 1);
	ph_queue_close(other);
	ph_queue_adopt(f->queue);
	while (g_atomic_int_get(&f->n_tasks) < 2)
		g_usleep(PAUSE_US);
	wait_for(f, nothing_is_ready);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 1);
	g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
	reopen(f);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 1);
	g_assert_cmpuint(stats.n_damaged, ==, 0);
}

static void
test_mail_beside_the_queue_is_there_at_the_next_start(Fixture *f, gconstpointer data)
{
	g_autofree char *folder = NULL;
	PhQueue *owner = f->queue;
	PhQueue *other = open_beside(f, &folder);

	f->queue = other;
	add(f, "one", "done@example.net", 100);
	add(f, "two", "done@example.net", 300000);
	f->queue = owner;
	ph_queue_close(other);
	g_assert_true(ph_queue_exists_beside(f->folder));
	reopen(f);
	g_assert_false(ph_queue_exists_beside(f->folder));
	wait_for(f, has_two);
	ph_queue_start(f->queue);
	wait_for(f, is_empty);
	g_assert_cmpint(f->n_tasks, ==, 2);
	g_assert_cmpint(f->n_failed, ==, 0);
}

static bool
has_five(const PhQueueStats *stats)
{
	return stats->n_mails == 5;
}

/* The name that the file would get is taken by something that cannot be replaced. */
static void
test_what_could_not_be_taken_is_taken_later_as_it_was(Fixture *f, gconstpointer data)
{
	g_autofree char *folder = NULL;
	g_autofree char *obstacle = g_build_filename(f->folder, "00000002.mail", NULL);
	g_autofree char *stray = NULL;
	PhQueue *owner = f->queue;
	PhQueueFilter filter = { .id = "held" };
	unsigned n = 0;

	f->queue = open_beside(f, &folder);
	f->hold = "the reason";
	add(f, "held", "done@example.net", 100);
	f->hold = NULL;
	ph_queue_close(f->queue);
	f->queue = owner;
	stray = g_build_filename(folder, "00000009.index", NULL);
	g_assert_true(g_file_set_contents(stray, "", 0, NULL));
	add(f, "own-1", "later@example.net", 100);
	g_assert_cmpint(g_mkdir(obstacle, 0700), ==, 0);
	ph_queue_adopt(f->queue);
	/* when the second of them is there, that was tried */
	add(f, "own-2", "later@example.net", 100);
	add(f, "own-3", "later@example.net", 5000);
	g_assert_cmpint(g_rmdir(obstacle), ==, 0);
	g_assert_true(ph_queue_exists_beside(f->folder));
	add(f, "own-4", "later@example.net", 100);
	g_assert_cmpint(f->n_failed, ==, 0);
	ph_queue_adopt(f->queue);
	wait_for(f, has_five);
	ph_queue_each(f->queue, &filter, check_held, &n);
	g_assert_cmpuint(n, ==, 1);
	reopen(f);
	ph_queue_each(f->queue, &filter, check_held, &n);
	g_assert_cmpuint(n, ==, 2);
	g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
}

static void
test_an_unused_folder_beside_the_queue_goes(Fixture *f, gconstpointer data)
{
	g_autofree char *folder = NULL;

	ph_queue_close(open_beside(f, &folder));
	ph_queue_leave_beside(folder);
	g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
}

static size_t
count_descriptors(void)
{
	GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
	size_t n = 0;

	while (g_dir_read_name(dir) != NULL)
		n++;
	g_dir_close(dir);
	return n;
}

static void
test_a_slow_delivery_keeps_nobody_from_the_queue(Fixture *f, gconstpointer data)
{
	const PhQueueResult result = { .outcome = PH_QUEUE_DONE_WITH };
	PhQueueTask *late = NULL;
	size_t n_before = 0;
	PhQueueStats stats;

	ph_queue_close(f->queue);
	n_before = count_descriptors();
	f->queue = ph_queue_open(&f->params, NULL);
	ph_queue_start(f->queue);
	add(f, "slow", "slow@example.net", 100);
	while ((late = g_atomic_pointer_get(&f->slow)) == NULL)
		g_usleep(PAUSE_US);
	g_assert_false(ph_queue_task_is_lost(late));
	reopen(f);
	g_assert_true(ph_queue_task_is_lost(late));
	ph_queue_task_finish(late, &result, true);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 1);
	ph_queue_start(f->queue);
	wait_for(f, is_empty);
	reopen(f);
	ph_queue_stats(f->queue, &stats);
	g_assert_cmpuint(stats.n_mails, ==, 0);
	ph_queue_close(f->queue);
	g_assert_cmpuint(count_descriptors(), ==, n_before);
	f->queue = ph_queue_open(&f->params, NULL);
}

#define ADD(name, test) g_test_add(name, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/queue/queue/what-was-added-is-there-again", test_what_was_added_is_there_again);
	ADD("/queue/queue/a-hold-outlives-the-process", test_a_hold_outlives_the_process);
	ADD("/queue/queue/what-was-written-without-a-sync-is-synced-when-somebody-waits",
	    test_what_was_written_without_a_sync_is_synced_when_somebody_waits);
	ADD("/queue/queue/a-release-outlives-the-reason-and-the-process",
	    test_a_release_outlives_the_reason_and_the_process);
	ADD("/queue/queue/few-mails-do-not-keep-many-files", test_few_mails_do_not_keep_many_files);
	ADD("/queue/queue/without-its-index-a-file-is-read-again",
	    test_without_its_index_a_file_is_read_again);
	ADD("/queue/queue/a-second-process-may-only-look", test_a_second_process_may_only_look);
	ADD("/queue/queue/mail-beside-it-is-taken-when-its-writer-lets-go",
	    test_mail_beside_the_queue_is_taken_when_its_writer_lets_go);
	ADD("/queue/queue/mail-beside-it-is-there-at-the-next-start",
	    test_mail_beside_the_queue_is_there_at_the_next_start);
	ADD("/queue/queue/what-could-not-be-taken-is-taken-later-as-it-was",
	    test_what_could_not_be_taken_is_taken_later_as_it_was);
	ADD("/queue/queue/an-unused-folder-beside-it-goes",
	    test_an_unused_folder_beside_the_queue_goes);
	ADD("/queue/queue/a-slow-delivery-keeps-nobody-from-it",
	    test_a_slow_delivery_keeps_nobody_from_the_queue);
	return g_test_run();
}

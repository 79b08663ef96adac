/* test-foreign.c: what other programs do is seen: on opening, on asking, on hints
 *
 * The store is sqlite's with a refresh and a watch of its own: the "other program" leaves a number
 * of messages to be delivered, and refresh commits them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"

static struct {
	const PhStore *table;
	gint n_left;    /* messages that another program has delivered */
	gint n_folders; /* mailboxes that it has made */
	gint n_refreshed;
	gint n_running; /* refreshes and commits at this moment */
	gint n_overlaps;
	void (*hint)(void *user_data);
	void *hint_data;
	bool (*commit)(void *account, PhTransaction *const *batch, size_t n, GError **error);
} other;

static const char *const no_keywords[] = { NULL };

static bool
commit_one(void *account, PhOp *op, GError **error)
{
	PhOp *ops[1] = { op };
	PhTransaction transaction = { .ops = ops, .n_ops = 1 };
	PhTransaction *batch[1] = { &transaction };

	ph_mailbox_random(transaction.id, sizeof transaction.id);
	return other.commit(account, batch, 1, error);
}

static bool
deliver(void *account, const PhMailboxId *mailbox, GError **error)
{
	g_autoptr(PhContent) content = ph_content_new_copy(PH_SLICE_LITERAL("x\r\n"));
	PhOp op = {
		.kind = PH_OP_APPEND,
		.mailbox = *mailbox,
		.keywords = no_keywords,
		.octets = 3,
	};

	return other.table->upload(account, content, false, &op.blob, error)
	       && commit_one(account, &op, error);
}

static bool
make_folder(void *account, GError **error)
{
	PhOp op = { .kind = PH_OP_CREATE, .name = "Made", .keywords = no_keywords };

	ph_mailbox_random(op.mailbox.octets, sizeof op.mailbox.octets);
	return commit_one(account, &op, error);
}

static void
enter(void)
{
	if (g_atomic_int_add(&other.n_running, 1) > 0)
		g_atomic_int_inc(&other.n_overlaps);
}

static void
leave(void)
{
	g_atomic_int_add(&other.n_running, -1);
}

static bool
refresh(void *account, const PhMailboxId *mailbox, GError **error)
{
	bool good = true;

	enter();
	g_atomic_int_inc(&other.n_refreshed);
	if (mailbox == NULL && g_atomic_int_exchange(&other.n_folders, 0) > 0)
		good = make_folder(account, error);
	for (gint n = mailbox != NULL ? g_atomic_int_exchange(&other.n_left, 0) : 0; n > 0; n--)
		good = good && deliver(account, mailbox, error);
	leave();
	return good;
}

static bool
commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	bool good = false;

	enter();
	good = other.commit(account, batch, n, error);
	leave();
	return good;
}

static bool
watch(void *account, void (*func)(void *user_data), void *user_data, GError **error)
{
	other.hint_data = user_data;
	g_atomic_pointer_set(&other.hint, func);
	return true;
}

static void
init(TestStore *store)
{
	test_store_init(store);
	memset(&other, 0, sizeof other);
	other.table = store->table;
	other.commit = store->table->commit;
	store->table->abilities |= PH_STORE_FOREIGN_WRITERS;
	store->table->refresh = refresh;
	store->table->watch = watch;
	store->table->commit = commit;
}

static const PhSessionRef nobody = { 0, 0 };
static const PhViewEvents no_events = { NULL, NULL, NULL, NULL };

static void
wait_a_moment(void)
{
	const gulong moment_us = 120 * 1000;

	g_usleep(moment_us);
}

static void
test_opening(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(PhView) view = NULL;

		g_atomic_int_set(&other.n_left, 3);
		view = ph_view_open(account, ph_slice("INBOX"), false, nobody, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(ph_view_count(view), ==, 3);
		g_assert_cmpuint(ph_view_uidnext(view), ==, 4);
	}
	test_store_clear(&store);
}

static void
test_asking(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(PhView) view =
			ph_view_open(account, ph_slice("INBOX"), false, nobody, &error);
		PhMailboxInfo info;
		gint before = 0;

		g_assert_no_error(error);
		wait_a_moment();
		g_atomic_int_set(&other.n_left, 2);
		g_assert_true(ph_view_needs_sync(view));
		g_assert_true(ph_view_sync(view, true, &no_events, NULL, &error));
		g_assert_cmpuint(ph_view_count(view), ==, 2);
		/* at once again: nothing is looked for */
		before = g_atomic_int_get(&other.n_refreshed);
		for (int i = 0; i < 10; i++)
			g_assert_false(ph_view_needs_sync(view));
		g_assert_cmpint(g_atomic_int_get(&other.n_refreshed) - before, <=, 1);
		wait_a_moment();
		g_atomic_int_set(&other.n_left, 1);
		g_assert_true(ph_account_find(account, ph_slice("INBOX"), &info, &error));
		g_assert_cmpuint(info.n_messages, ==, 3);
	}
	test_store_clear(&store);
}

static bool
count_mailbox(const PhMailboxInfo *info, void *user_data)
{
	(*(unsigned *) user_data)++;
	return true;
}

static void
test_list(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;
	unsigned n = 0;
	PhMailboxId id;

	init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);

		wait_a_moment();
		g_atomic_int_set(&other.n_folders, 1);
		g_assert_true(ph_account_find_id(account, ph_slice("Made"), &id, &error));
		g_assert_true(ph_account_mailboxes(account, count_mailbox, &n, &error));
		g_assert_cmpuint(n, ==, 2);
	}
	test_store_clear(&store);
}

/* A hint leads to a refresh although no session asks. */
static void
test_hints(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(PhView) view =
			ph_view_open(account, ph_slice("INBOX"), false, nobody, &error);

		g_assert_no_error(error);
		g_assert_nonnull(g_atomic_pointer_get(&other.hint));
		g_atomic_int_set(&other.n_left, 1);
		other.hint(other.hint_data);
		for (int i = 0; i < 100 && g_atomic_int_get(&other.n_left) > 0; i++)
			g_usleep(10000);
		g_assert_cmpint(g_atomic_int_get(&other.n_left), ==, 0);
		wait_a_moment();
		g_assert_true(ph_view_needs_sync(view));
		g_assert_true(ph_view_sync(view, true, &no_events, NULL, &error));
		g_assert_cmpuint(ph_view_count(view), ==, 1);
	}
	test_store_clear(&store);
}

static void *
append_many(void *data)
{
	PhMailboxId inbox = test_mailbox(data, "INBOX");

	for (int i = 0; i < 100; i++)
		(void) test_append(data, &inbox, ph_slice("y\r\n"), 0);
	return NULL;
}

/* No refresh runs beside a commit, and nothing is lost or doubled. */
static void
test_lane(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;
	GThread *threads[3];
	PhMailboxInfo info;

	init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(PhView) view =
			ph_view_open(account, ph_slice("INBOX"), false, nobody, &error);

		g_assert_no_error(error);
		for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
			threads[i] = g_thread_new("append", append_many, account);
		for (int i = 0; i < 50; i++) {
			g_atomic_int_inc(&other.n_left);
			other.hint(other.hint_data);
			(void) ph_view_needs_sync(view);
		}
		for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
			(void) g_thread_join(threads[i]);
		wait_a_moment();
		g_assert_true(ph_account_find(account, ph_slice("INBOX"), &info, &error));
		g_assert_cmpuint(info.n_messages, ==, 350);
		g_assert_cmpint(g_atomic_int_get(&other.n_overlaps), ==, 0);
	}
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/foreign/opening-a-mailbox-sees-foreign-deliveries", test_opening);
	g_test_add_func("/mailbox/foreign/asking-sees-them-but-not-too-often", test_asking);
	g_test_add_func("/mailbox/foreign/a-foreign-mailbox-is-found-and-listed", test_list);
	g_test_add_func("/mailbox/foreign/a-hint-is-followed-without-a-session", test_hints);
	g_test_add_func("/mailbox/foreign/refresh-and-commit-never-overlap", test_lane);
	return g_test_run();
}

/* test-durable-append.c: an append is synced to the disk before it is done
 *
 * A killed process loses nothing that it has written, so kill -9 cannot show a missing sync. This
 * program puts itself between SQLite and the C library's sync calls and counts them.
 *
 * [STORE-2]
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "accounts.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static gint n_syncs;
static gint n_to_fail; /* of the syncs of files to come */

int
fdatasync(int fd)
{
	(void) g_atomic_int_add(&n_syncs, 1);
	if (g_atomic_int_get(&n_to_fail) > 0) {
		(void) g_atomic_int_add(&n_to_fail, -1);
		errno = EIO;
		return -1;
	}
	return (int) syscall(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	(void) g_atomic_int_add(&n_syncs, 1);
	return (int) syscall(SYS_fsync, fd);
}

static void
every_append_is_synced_before_it_is_done(void)
{
	TestStore store;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");

		for (int i = 0; i < 20; i++) {
			gint before = g_atomic_int_get(&n_syncs);

			(void) test_append(account, &inbox, ph_slice("x\r\n"), 0);
			g_assert_cmpint(g_atomic_int_get(&n_syncs), >, before);
		}
	}
	test_store_clear(&store);
}

/* The second sync would find nothing left to write and succeed. */
static void
a_failed_sync_is_not_tried_again(void)
{
	TestStore store;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("x\r\n"));
		g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
		g_autoptr(GError) error = NULL;
		gint before = 0;

		g_assert_cmpuint(test_append(account, &inbox, ph_slice("x\r\n"), 0), ==, 1);
		(void) ph_transaction_append(transaction, &inbox, content, NULL, &error);
		before = g_atomic_int_get(&n_syncs);
		g_atomic_int_set(&n_to_fail, 1);
		g_assert_false(ph_transaction_run(transaction, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
		g_assert_cmpint(g_atomic_int_get(&n_to_fail), ==, 0);
		g_assert_cmpint(g_atomic_int_get(&n_syncs), ==, before + 1);
		g_assert_cmpuint(test_append(account, &inbox, ph_slice("y\r\n"), 0), ==, 2);
		test_verify(account);
	}
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/durable/every-append-is-synced-before-it-is-done",
	                every_append_is_synced_before_it_is_done);
	g_test_add_func("/mailbox/durable/a-failed-sync-is-not-tried-again",
	                a_failed_sync_is_not_tried_again);
	return g_test_run();
}

/* test-durable-append.c: an append is synced to the disk before it is done
 *
 * A killed process loses nothing that it has written, so kill -9 cannot show a missing sync. This
 * program puts itself between SQLite and the C library's sync calls and counts them.
 *
 * [STORE-2]
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"

#include <sys/syscall.h>
#include <unistd.h>

static gint n_syncs;

int
fdatasync(int fd)
{
	(void) g_atomic_int_add(&n_syncs, 1);
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

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/durable/every-append-is-synced-before-it-is-done",
	                every_append_is_synced_before_it_is_done);
	return g_test_run();
}

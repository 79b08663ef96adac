/* watch.c: hints that another program did something to an account's files
 *
 * INBOX is watched, and the folders that are this account's alone: new and renamed files, and dot
 * locks come and go there. What is not seen is found when somebody looks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/watch.h>

#include "mbox.h"

static void
add(Account *account, const char *path, void (*func)(void *user_data), void *user_data)
{
	PhWatch *watch = ph_watch_new(path, func, user_data);

	if (watch != NULL)
		g_ptr_array_add(account->watches, watch);
}

bool
watch_account(void *data, void (*func)(void *user_data), void *user_data, GError **error)
{
	Account *account = data;
	g_autofree char *of_inbox = g_path_get_dirname(account->inbox);
	g_autofree char *of_index = g_path_get_dirname(account->path);

	add(account, account->inbox, func, user_data);
	add(account, account->folders, func, user_data);
	/* a folder of everybody's mail would tell everybody of everybody */
	if (g_str_equal(of_inbox, of_index))
		add(account, of_inbox, func, user_data);
	return true;
}

void
watch_end(Account *account)
{
	g_ptr_array_set_size(account->watches, 0);
}

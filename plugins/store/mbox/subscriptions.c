/* subscriptions.c: what Dovecot noted in `.subscriptions` below the folders
 *
 * A name a line; after a line "V\t2" the components of each are separated by tabs. Read once, when the
 * index is new; from then on the index has them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/mailbox.h>
#include <posthorn/slice.h>

#include "mbox.h"

enum {
	FILE_MAX = 8 * 1024 * 1024,
	NAMES_MAX = 100000,
};

static bool
subscribe(Account *account, PhSlice line, GError **error)
{
	static const char *const no_keywords[] = { NULL };
	g_autofree char *name = ph_slice_dup(line);
	g_autofree char *key = NULL;
	PhOp op = {
		.kind = PH_OP_PUT,
		.keywords = no_keywords,
		.is_account_value = true,
		.value = PH_SLICE_LITERAL("1"),
	};
	PhOp *ops[1] = { &op };

	(void) g_strdelimit(name, "\t", '/');
	if (!ph_mailbox_name_check(ph_slice(name), NULL))
		return true;
	key = g_strconcat(PH_KEY_SUBSCRIPTION, name, NULL);
	op.key = key;
	return run_ops(account, ops, 1, error);
}

static bool
see_one(const PhMailboxInfo *info, void *user_data)
{
	*(bool *) user_data = false;
	return false;
}

bool
subscriptions_are_unknown(Account *account)
{
	bool unknown = true;

	return ph_index_mailboxes(account->index, see_one, &unknown, NULL, NULL) && unknown;
}

bool
subscriptions_take_over(Account *account, GError **error)
{
	g_autofree char *path = g_build_filename(account->folders, ".subscriptions", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) why = NULL;
	gsize length = 0;
	PhSlice rest = PH_SLICE_EMPTY;
	bool good = true;

	if (g_file_test(path, G_FILE_TEST_IS_SYMLINK) || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
		return true;
	if (!g_file_get_contents(path, &text, &length, &why)
	    && !g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_ACCES)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "%s", why->message);
		return false;
	}
	if (text == NULL || length > FILE_MAX)
		return true;
	rest = PH_SLICE(text, length);
	for (unsigned n = 0; good && rest.length > 0 && n < NAMES_MAX; n++) {
		PhSlice line = ph_slice_split(&rest, '\n');

		if (line.length > 0 && !ph_slice_is(line, "V\t2"))
			good = subscribe(account, line, error);
	}
	return good;
}

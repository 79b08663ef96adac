/* account-others.c: the same mail seen through another config, or by another process
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/account-registry.h"
#include "mailbox/echo.h"

/* Those that @wants, but not @self. Returns: (owned) references, NULL when there are none. */
static GPtrArray *
pick(bool (*wants)(const PhAccount *account, const void *data), const void *data, PhAccount *self)
{
	GPtrArray *found = NULL;
	GHashTableIter iter;
	void *value = NULL;

	PH_LOCKED(&ph_account_registry.lock);
	if (ph_account_registry.accounts == NULL)
		return NULL;
	g_hash_table_iter_init(&iter, ph_account_registry.accounts);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		for (PhAccount *account = value; account != NULL; account = account->sibling) {
			if (account == self || !wants(account, data))
				continue;
			if (found == NULL)
				found = g_ptr_array_new_with_free_func(
					(GDestroyNotify) ph_account_unref);
			g_ptr_array_add(found, ph_account_ref(account));
		}
	return found;
}

static void
touch_each(GPtrArray *accounts)
{
	for (guint i = 0; accounts != NULL && i < accounts->len; i++)
		ph_account_touch_all(accounts->pdata[i]);
	if (accounts != NULL)
		g_ptr_array_unref(accounts);
}

GPtrArray *
ph_account_siblings(PhAccount *self)
{
	GPtrArray *found = NULL;

	if (g_atomic_int_get(&ph_account_registry.n_siblings) == 0)
		return NULL;
	PH_LOCKED(&ph_account_registry.lock);
	for (PhAccount *account = g_hash_table_lookup(ph_account_registry.accounts, self->key);
	     account != NULL; account = account->sibling) {
		if (account == self)
			continue;
		if (found == NULL)
			found = g_ptr_array_new_with_free_func((GDestroyNotify) ph_account_unref);
		g_ptr_array_add(found, ph_account_ref(account));
	}
	return found;
}

void
ph_account_tell_others(PhAccount *account)
{
	touch_each(ph_account_siblings(account));
	if (g_atomic_int_get(&ph_account_registry.is_beside) != 0)
		ph_echo_say(account->echo);
}

void
ph_accounts_set_beside(bool is_beside)
{
	g_atomic_int_set(&ph_account_registry.is_beside, is_beside);
}

static void
note_key(uint64_t key, void *user_data)
{
	(void) g_hash_table_add(user_data, g_memdup2(&key, sizeof key));
}

static bool
is_heard(const PhAccount *account, const void *data)
{
	const uint64_t all = 0;
	GHashTable *heard = (GHashTable *) (uintptr_t) data;

	return g_hash_table_contains(heard, &account->echo) || g_hash_table_contains(heard, &all);
}

void
ph_accounts_hear(void)
{
	g_autoptr(GHashTable) heard =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	ph_echo_hear(note_key, heard);
	if (g_hash_table_size(heard) > 0)
		touch_each(pick(is_heard, heard, NULL));
}

/* convert-names.c: mailboxes, values and counters of the target as in the source
 *
 * A mailbox is the same on both sides when its id is. Names may have changed hands since the last
 * pass, so a name that is in the way is moved aside first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "tools/convert.h"

#include <string.h>

/* What the target keeps for itself. */
static bool
is_own(const char *key)
{
	return strcmp(key, PH_KEY_FOLLOWS) == 0 || strcmp(key, PH_KEY_OWN "moved") == 0;
}

/* --- names ---------------------------------------------------------------------------------------- */

static bool
run_and_free(PhTransaction *transaction, GError **error)
{
	bool good = transaction->n_ops == 0 || ph_transaction_run(transaction, error);

	ph_transaction_free(transaction);
	return good;
}

/* What is gone in the source, or was made anew under the same name. */
static bool
remove_gone(PhConvert *convert, const GArray *from, const GArray *to, GError **error)
{
	PhTransaction *transaction = ph_transaction_new(convert->to, NULL);

	for (guint i = 0; i < to->len; i++) {
		const PhMailboxInfo *info = &g_array_index(to, PhMailboxInfo, i);
		const PhMailboxInfo *source = ph_mailbox_by_id(from, &info->id);

		if (source == NULL || source->uidvalidity != info->uidvalidity)
			(void) ph_transaction_remove(transaction, &info->id);
	}
	return run_and_free(transaction, error);
}

/* PH_OP_RENAME of this mailbox alone: children have events of their own. */
static void
rename_one(PhTransaction *transaction, const PhMailboxId *id, const char *name, uint32_t use)
{
	PhOp *op = ph_transaction_remove(transaction, id);

	op->kind = PH_OP_RENAME;
	op->name = g_strdup(name);
	op->special_use = use;
}

static bool
rename_moved(PhConvert *convert, const GArray *from, const GArray *to, GError **error)
{
	PhTransaction *aside = ph_transaction_new(convert->to, NULL);
	PhTransaction *there = ph_transaction_new(convert->to, NULL);

	for (guint i = 0; i < to->len; i++) {
		const PhMailboxInfo *info = &g_array_index(to, PhMailboxInfo, i);
		const PhMailboxInfo *source = ph_mailbox_by_id(from, &info->id);
		g_autofree char *name = NULL;

		if (source == NULL
		    || (strcmp(source->name, info->name) == 0
		        && source->special_use == info->special_use))
			continue;
		name = g_strdup_printf("being-moved-%u-%u", i, g_random_int());
		rename_one(aside, &info->id, name, 0);
		rename_one(there, &info->id, source->name, source->special_use);
	}
	if (!run_and_free(aside, error)) {
		ph_transaction_free(there);
		return false;
	}
	return run_and_free(there, error);
}

bool
ph_convert_names(PhConvert *convert, const GArray *from, GError **error)
{
	g_autoptr(GArray) to = ph_read_mailboxes(convert->to, error);

	if (to == NULL || !remove_gone(convert, from, to, error))
		return false;
	g_array_unref(to);
	to = ph_read_mailboxes(convert->to, error);
	return to != NULL && rename_moved(convert, from, to, error);
}

/* --- values --------------------------------------------------------------------------------------- */

static void
put(PhTransaction *transaction, const PhMailboxId *mailbox, const char *key, GBytes *value)
{
	gsize length = 0;
	const char *data = value != NULL ? g_bytes_get_data(value, &length) : NULL;

	(void) ph_transaction_put(transaction, mailbox, key, PH_SLICE(data, length));
}

static void
put_changed(PhTransaction *transaction,
            const PhMailboxId *mailbox,
            GHashTable *from,
            GHashTable *to)
{
	GHashTableIter iter;
	gpointer key = NULL;
	gpointer value = NULL;

	g_hash_table_iter_init(&iter, from);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		GBytes *there = g_hash_table_lookup(to, key);

		if (!is_own(key) && (there == NULL || !g_bytes_equal(there, value)))
			put(transaction, mailbox, key, value);
	}
	g_hash_table_iter_init(&iter, to);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (!is_own(key) && !g_hash_table_contains(from, key))
			put(transaction, mailbox, key, NULL);
}

static bool
put_values(PhConvert *convert, const PhMailboxId *mailbox, GError **error)
{
	g_autoptr(GHashTable) from = ph_read_values(convert->from, mailbox, error);
	g_autoptr(GHashTable) to =
		from != NULL ? ph_read_values(convert->to, mailbox, error) : NULL;
	PhTransaction *transaction = NULL;

	if (to == NULL)
		return false;
	transaction = ph_transaction_new(convert->to, NULL);
	put_changed(transaction, mailbox, from, to);
	return run_and_free(transaction, error);
}

bool
ph_convert_values(PhConvert *convert, const GArray *from, GError **error)
{
	if (!put_values(convert, NULL, error))
		return false;
	for (guint i = 0; i < from->len; i++)
		if (!put_values(convert, &g_array_index(from, PhMailboxInfo, i).id, error))
			return false;
	return true;
}

/* --- counters -------------------------------------------------------------------------------------- */

bool
ph_convert_raise(PhConvert *convert, const GArray *from, GError **error)
{
	g_autoptr(GArray) to = ph_read_mailboxes(convert->to, error);

	if (to == NULL)
		return false;
	for (guint i = 0; i < from->len; i++) {
		const PhMailboxInfo *source = &g_array_index(from, PhMailboxInfo, i);
		const PhMailboxInfo *there = ph_mailbox_by_id(to, &source->id);
		PhTransaction *transaction = NULL;

		if (there == NULL
		    || (there->uidnext >= source->uidnext && there->change >= source->change))
			continue;
		transaction = ph_transaction_new(convert->to, NULL);
		(void) ph_transaction_raise(transaction, &source->id, source->uidnext,
		                            source->change);
		if (!run_and_free(transaction, error))
			return false;
	}
	return true;
}

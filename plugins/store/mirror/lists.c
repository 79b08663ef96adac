/* lists.c: mailboxes and values of the second made those of the first
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mirror.h"

#include <string.h>

enum {
	ROUNDS = 4, /* for each mailbox, at most */
};

/* --- lists --------------------------------------------------------------------------------------- */

static void
clear_info(void *data)
{
	PhMailboxInfo *info = data;

	g_free((char *) (uintptr_t) info->name);
}

static bool
add_info(const PhMailboxInfo *info, void *user_data)
{
	GArray *list = user_data;
	PhMailboxInfo copy = *info;

	copy.name = g_strdup(info->name);
	(void) g_array_append_val(list, copy);
	return true;
}

GArray *
read_list(const PhBelow *below, GError **error)
{
	GArray *list = g_array_new(FALSE, FALSE, sizeof(PhMailboxInfo));
	uint64_t change = 0;

	g_array_set_clear_func(list, clear_info);
	if (below->store->mailboxes(below->account, add_info, list, &change, error))
		return list;
	g_array_unref(list);
	return NULL;
}

const PhMailboxInfo *
list_find(const GArray *list, const PhMailboxId *id)
{
	for (guint i = 0; i < list->len; i++) {
		const PhMailboxInfo *info = &g_array_index(list, PhMailboxInfo, i);

		if (memcmp(&info->id, id, sizeof *id) == 0)
			return info;
	}
	return NULL;
}

static const PhMailboxInfo *
find_name(const GArray *list, const char *name)
{
	for (guint i = 0; i < list->len; i++) {
		const PhMailboxInfo *info = &g_array_index(list, PhMailboxInfo, i);

		if (strcmp(info->name, name) == 0)
			return info;
	}
	return NULL;
}

static bool
remove_mailbox(const PhBelow *second, const PhMailboxId *id, GError **error)
{
	PhOp op = { .kind = PH_OP_REMOVE, .mailbox = *id };
	PhOp *ops[] = { &op };

	return commit_ops(second, ops, 1, error);
}

static bool
rename_mailbox(const PhBelow *second,
               const PhMailboxId *id,
               const char *name,
               uint32_t special_use,
               GError **error)
{
	PhOp op = {
		.kind = PH_OP_RENAME,
		.mailbox = *id,
		.name = name,
		.special_use = special_use,
	};
	PhOp *ops[] = { &op };

	return commit_ops(second, ops, 1, error);
}

static bool
create_mailbox(const PhBelow *second, const PhMailboxInfo *info, GError **error)
{
	PhOp op = {
		.kind = PH_OP_CREATE,
		.mailbox = info->id,
		.name = info->name,
		.special_use = info->special_use,
		.has_given = true,
		.given_uidvalidity = info->uidvalidity,
	};
	PhOp *ops[] = { &op };

	return commit_ops(second, ops, 1, error);
}

bool
rebuild_mailbox(Account *account, const PhMailboxInfo *info, GError **error)
{
	const PhBelow *second = second_of(account);

	return remove_mailbox(second, &info->id, error) && create_mailbox(second, info, error);
}

/* Somebody else has the name: he waits under another one until his own turn comes. */
static bool
step_aside(const PhBelow *second, const PhMailboxInfo *other, GError **error)
{
	g_autofree char *name =
		g_strdup_printf("mirror-%02x%02x%02x%02x", other->id.octets[0], other->id.octets[1],
	                        other->id.octets[2], other->id.octets[3]);

	return rename_mailbox(second, &other->id, name, 0, error);
}

/* One mailbox of the first. @moved_out: a name has moved. */
static bool
copy_mailbox(const PhBelow *second,
             const PhMailboxInfo *info,
             const GArray *theirs,
             bool *moved_out,
             GError **error)
{
	const PhMailboxInfo *same = list_find(theirs, &info->id);
	const PhMailboxInfo *other = find_name(theirs, info->name);

	if (same != NULL && same == other && same->uidvalidity == info->uidvalidity
	    && same->special_use == info->special_use)
		return true;
	if (other != NULL && other != same) {
		*moved_out = true;
		return step_aside(second, other, error);
	}
	if (same == NULL)
		return create_mailbox(second, info, error);
	if (same->uidvalidity != info->uidvalidity)
		return remove_mailbox(second, &info->id, error)
		       && create_mailbox(second, info, error);
	*moved_out = true;
	return rename_mailbox(second, &info->id, info->name, info->special_use, error);
}

static bool
remove_others(const PhBelow *second, const GArray *list, const GArray *theirs, GError **error)
{
	for (guint i = 0; i < theirs->len; i++) {
		const PhMailboxInfo *info = &g_array_index(theirs, PhMailboxInfo, i);

		if (list_find(list, &info->id) == NULL && !remove_mailbox(second, &info->id, error))
			return false;
	}
	return true;
}

/* The list is read again after each renaming: a name can be in the way twice. */
bool
copy_list(Account *account, const GArray *list, GError **error)
{
	const PhBelow *second = second_of(account);
	guint rounds = ROUNDS * (list->len + 1);
	bool moved = true;

	for (guint round = 0; moved && round < rounds; round++) {
		g_autoptr(GArray) theirs = read_list(second, error);

		moved = false;
		if (theirs == NULL || !remove_others(second, list, theirs, error))
			return false;
		for (guint i = 0; i < list->len && !moved; i++)
			if (!copy_mailbox(second, &g_array_index(list, PhMailboxInfo, i), theirs,
			                  &moved, error))
				return false;
	}
	if (moved)
		ph_error_set(error, PH_ERROR_TEMPORARY, "its names cannot be set right");
	return !moved;
}

/* --- values --------------------------------------------------------------------------------------- */

static bool
add_value(const char *key, PhSlice value, void *user_data)
{
	if (!g_str_has_prefix(key, PREFIX))
		(void) g_hash_table_insert(user_data, g_strdup(key),
		                           g_bytes_new(value.data, value.length));
	return true;
}

static GHashTable *
gather_values(const PhBelow *below, const PhMailboxId *mailbox, GError **error)
{
	GHashTable *found = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free,
	                                          (GDestroyNotify) g_bytes_unref);

	if (below->store->values(below->account, mailbox, "", add_value, found, error))
		return found;
	g_hash_table_unref(found);
	return NULL;
}

bool
put_value(const PhBelow *second,
          const PhMailboxId *mailbox,
          const char *key,
          GBytes *value,
          GError **error)
{
	gsize length = 0;
	const char *data = value != NULL ? g_bytes_get_data(value, &length) : NULL;
	PhOp op = {
		.kind = PH_OP_PUT,
		.is_account_value = mailbox == NULL,
		.key = key,
		.value = PH_SLICE(data, length),
	};
	PhOp *ops[] = { &op };

	if (mailbox != NULL)
		op.mailbox = *mailbox;
	return commit_ops(second, ops, 1, error);
}

bool
copy_values(Account *account, const PhMailboxId *mailbox, GError **error)
{
	const PhBelow *second = second_of(account);
	g_autoptr(GHashTable) ours = gather_values(&account->first, mailbox, error);
	g_autoptr(GHashTable) theirs = ours != NULL ? gather_values(second, mailbox, error) : NULL;
	GHashTableIter each;
	void *key = NULL;
	void *value = NULL;

	if (theirs == NULL)
		return false;
	g_hash_table_iter_init(&each, ours);
	while (g_hash_table_iter_next(&each, &key, &value)) {
		GBytes *other = g_hash_table_lookup(theirs, key);

		if ((other == NULL || !g_bytes_equal(value, other))
		    && !put_value(second, mailbox, key, value, error))
			return false;
	}
	g_hash_table_iter_init(&each, theirs);
	while (g_hash_table_iter_next(&each, &key, &value))
		if (!g_hash_table_contains(ours, key)
		    && !put_value(second, mailbox, key, NULL, error))
			return false;
	return true;
}

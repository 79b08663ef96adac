/* names.c: the mailbox list of an account, kept in memory; names and values
 *
 * The list is read when somebody asks and something was committed since; who only wants an id is
 * served from an older list as long as no mailbox was made, named or removed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/account.h"
#include "mailbox/foreign.h"
#include "plugin/call.h"

enum {
	NAME_MAX_OCTETS = 1000,
	NAME_MAX_LEVELS = 200,
};

/* --- names -------------------------------------------------------------------------------------- */

static const char *
level_mistake(PhSlice level)
{
	if (level.length == 0)
		return "a mailbox name has no empty component";
	if (ph_slice_is(level, ".") || ph_slice_is(level, ".."))
		return "a mailbox name has no component '.' or '..'";
	return NULL;
}

static bool
has_control(PhSlice name)
{
	for (size_t i = 0; i < name.length; i++) {
		unsigned char c = (unsigned char) name.data[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < name.length && (unsigned char) name.data[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static const char *
name_mistake(PhSlice name)
{
	size_t levels = 0;
	const char *mistake = NULL;
	bool more = true;

	if (name.length == 0 || name.length > NAME_MAX_OCTETS)
		return "a mailbox name has 1 to 1,000 octets";
	if (!ph_slice_is_utf8(name))
		return "a mailbox name is UTF-8";
	if (has_control(name))
		return "a mailbox name has no control character";
	if (name.data[0] == '~' || name.data[0] == '/')
		return "a mailbox name does not begin with '~' or '/'";
	while (more && mistake == NULL) {
		more = ph_slice_find(name, '/') >= 0;
		mistake = level_mistake(ph_slice_split(&name, '/'));
		if (++levels > NAME_MAX_LEVELS)
			mistake = "a mailbox name has at most 200 levels";
	}
	return mistake;
}

bool
ph_mailbox_name_check(PhSlice name, const char **reason_out)
{
	const char *mistake = name_mistake(name);

	if (reason_out != NULL)
		*reason_out = mistake;
	return mistake == NULL;
}

/* --- the list ------------------------------------------------------------------------------------ */

void
ph_names_unref(PhNames *names)
{
	if (names == NULL || !g_atomic_int_dec_and_test(&names->n_refs))
		return;
	for (uint32_t i = 0; i < names->n; i++)
		g_free((char *) (uintptr_t) names->infos[i].name);
	g_free(names);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhNames, ph_names_unref)

static int
compare_names(const char *a, const char *b)
{
	bool a_is_inbox = g_str_equal(a, "INBOX");
	bool b_is_inbox = g_str_equal(b, "INBOX");

	return a_is_inbox || b_is_inbox ? (int) b_is_inbox - (int) a_is_inbox : strcmp(a, b);
}

static gint
compare_infos(gconstpointer a, gconstpointer b)
{
	return compare_names(((const PhMailboxInfo *) a)->name, ((const PhMailboxInfo *) b)->name);
}

static bool
gather(const PhMailboxInfo *info, void *user_data)
{
	PhMailboxInfo copy = *info;

	copy.name = g_strdup(info->name);
	(void) g_array_append_val((GArray *) user_data, copy);
	return true;
}

static PhNames *
pack(GArray *infos)
{
	PhNames *names = g_malloc(sizeof *names + infos->len * sizeof(PhMailboxInfo));

	g_array_sort(infos, compare_infos);
	names->n_refs = 1;
	names->n = infos->len;
	if (infos->len > 0)
		memcpy(names->infos, infos->data, infos->len * sizeof(PhMailboxInfo));
	return names;
}

static PhNames *
read_names(PhAccount *account, GError **error)
{
	g_autoptr(GArray) infos = g_array_new(FALSE, FALSE, sizeof(PhMailboxInfo));
	PhNames *names = NULL;
	uint64_t change = 0;
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return NULL;
	good = call.table->mailboxes(call.engine, gather, infos, &change, error);
	ph_account_leave(&call, good);
	names = pack(infos);
	if (!good)
		g_clear_pointer(&names, ph_names_unref);
	return names;
}

PhNames *
ph_names_ref(PhNames *names)
{
	g_atomic_int_inc(&names->n_refs);
	return names;
}

/* The list; @counts: with fresh counters. */
static PhNames *
get_names(PhAccount *account, bool counts, GError **error)
{
	PhNames *names = NULL;
	uint64_t list = 0;
	uint64_t counted = 0;

	ph_lock_take(&account->lock);
	list = account->list_version;
	counted = account->counts_version;
	if (account->names != NULL && account->names->list_version == list
	    && (!counts || account->names->counts_version == counted))
		names = ph_names_ref(account->names);
	ph_lock_drop(&account->lock);
	if (names != NULL && counts)
		ph_account_show(account);
	if (names != NULL)
		return names;
	names = read_names(account, error);
	if (names == NULL)
		return NULL;
	names->list_version = list;
	names->counts_version = counted;
	ph_lock_take(&account->lock);
	ph_names_unref(account->names);
	account->names = ph_names_ref(names);
	ph_lock_drop(&account->lock);
	return names;
}

PhNames *
ph_account_names(PhAccount *account, GError **error)
{
	return get_names(account, true, error);
}

bool
ph_account_mailboxes(PhAccount *account, PhMailboxInfoFunc func, void *user_data, GError **error)
{
	g_autoptr(PhNames) names = NULL;

	(void) ph_foreign_tick(account, NULL);
	names = get_names(account, true, error);
	if (names == NULL)
		return false;
	for (uint32_t i = 0; i < names->n; i++)
		if (!func(&names->infos[i], user_data))
			break;
	return true;
}

static const PhMailboxInfo *
find_name(const PhNames *names, PhSlice name)
{
	g_autofree char *text =
		ph_slice_dup(ph_slice_is_nocase(name, "INBOX") ? PH_SLICE_LITERAL("INBOX") : name);
	uint32_t low = 0;
	uint32_t high = names->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare_names(names->infos[middle].name, text);

		if (order == 0)
			return &names->infos[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool
find(PhAccount *account, PhSlice name, bool counts, PhMailboxInfo *info_out, GError **error)
{
	g_autoptr(PhNames) names = get_names(account, counts, error);
	const PhMailboxInfo *info = NULL;

	if (names == NULL)
		return false;
	info = memchr(name.data != NULL ? name.data : "", '\0', name.length) == NULL
	               ? find_name(names, name)
	               : NULL;
	if (info == NULL) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no such mailbox");
		return false;
	}
	*info_out = *info;
	info_out->name = NULL;
	return true;
}

bool
ph_account_find(PhAccount *account, PhSlice name, PhMailboxInfo *info_out, GError **error)
{
	PhMailboxId id;

	if (account->foreign != NULL && ph_account_find_id(account, name, &id, NULL))
		(void) ph_foreign_tick(account, &id);
	return find(account, name, true, info_out, error);
}

bool
ph_account_find_id(PhAccount *account, PhSlice name, PhMailboxId *id_out, GError **error)
{
	PhMailboxInfo info = { .name = NULL };
	bool found = find(account, name, false, &info, account->foreign == NULL ? error : NULL);

	/* another program may have made it just now */
	if (!found && account->foreign != NULL) {
		(void) ph_foreign_tick(account, NULL);
		found = find(account, name, false, &info, error);
	}

	if (found)
		*id_out = info.id;
	return found;
}

/* --- values -------------------------------------------------------------------------------------- */

bool
ph_account_values(PhAccount *account,
                  const PhMailboxId *mailbox,
                  const char *prefix,
                  PhValueFunc func,
                  void *user_data,
                  GError **error)
{
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return false;
	good = call.table->values(call.engine, mailbox, prefix, func, user_data, error);
	ph_account_leave(&call, good);
	return good;
}

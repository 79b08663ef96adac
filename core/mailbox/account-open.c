/* account-open.c: what happens when an account is opened: limits, a move, its first mailboxes
 *
 * The limits are the directory's, or the section's where the directory gives none. Whether the
 * account was moved to another store, and which of the configured mailboxes were made for it
 * already, is kept in values of the account under PH_KEY_OWN; they are read once for each account
 * object.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "config/config.h"
#include "config/store-rules.h"
#include "mailbox/account.h"
#include "plugin/instance.h"

#define KEY_MOVED   PH_KEY_OWN "moved"
#define KEY_MADE    PH_KEY_OWN "made"
#define KEY_FOLLOWS PH_KEY_OWN "follows"

/* NULL for a section that no config made (tests). */
static const PhPluginSettings *
settings_of(const PhSection *store)
{
	return store->core_settings;
}

/* --- limits ------------------------------------------------------------------------------------ */

PhLimits
ph_account_limits(PhSection *store, const PhIdentity *identity)
{
	const PhPluginSettings *settings = settings_of(store);
	PhLimits limits = { ph_identity_quota_octets(identity),
		            ph_identity_quota_messages(identity) };

	if (settings == NULL)
		return limits;
	if (limits.octets == 0)
		limits.octets = settings->quota.octets;
	if (limits.messages == 0)
		limits.messages = (uint64_t) settings->quota_messages;
	return limits;
}

static bool
add_use(const PhMailboxInfo *info, void *user_data)
{
	PhQuota *quota = user_data;

	quota->octets += info->octets;
	quota->messages += info->n_messages;
	return true;
}

bool
ph_account_quota(PhAccount *account, PhQuota *quota_out, GError **error)
{
	const PhIdentity *identity = ph_account_identity(account);
	PhQuota quota = {
		.max_octets = ph_identity_quota_octets(identity),
		.max_messages = ph_identity_quota_messages(identity),
	};

	if (!ph_account_mailboxes(account, add_use, &quota, error))
		return false;
	*quota_out = quota;
	return true;
}

bool
ph_quota_is_full(const PhQuota *quota)
{
	return (quota->max_octets != 0 && quota->octets >= quota->max_octets)
	       || (quota->max_messages != 0 && quota->messages >= quota->max_messages);
}

/* --- what the account says of itself -------------------------------------------------------------- */

/* Marks: the values under PH_KEY_OWN. */
typedef struct {
	char *moved;  /* (nullable) the section that the user was moved to */
	char *made;   /* (nullable) names of configured mailboxes, a line each */
	bool follows; /* it was filled by a conversion, and nobody used it yet */
} Marks;

static void
marks_clear(Marks *marks)
{
	g_free(marks->moved);
	g_free(marks->made);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Marks, marks_clear)

static bool
take_mark(const char *key, PhSlice value, void *user_data)
{
	Marks *marks = user_data;

	if (g_str_equal(key, KEY_MOVED) && marks->moved == NULL)
		marks->moved = ph_slice_dup(value);
	else if (g_str_equal(key, KEY_MADE) && marks->made == NULL)
		marks->made = ph_slice_dup(value);
	else if (g_str_equal(key, KEY_FOLLOWS))
		marks->follows = true;
	return true;
}

static void
set_moved(PhAccount *account, const char *section)
{
	PH_LOCKED(&account->lock);
	if (account->moved_to == NULL)
		account->moved_to = g_strdup(section);
}

static const char *
moved_to(PhAccount *account, bool *ready_out)
{
	PH_LOCKED(&account->lock);
	*ready_out = account->has_inbox;
	return account->moved_to;
}

void
ph_account_retire(PhAccount *account, const char *section)
{
	set_moved(account, section);
	g_atomic_int_set(&account->is_retired, 1);
	ph_account_touch_all(account);
}

bool
ph_account_mark_moved(PhAccount *account, const char *section, GError **error)
{
	PhTransaction *transaction = ph_transaction_new(account, NULL);
	bool good = false;

	(void) ph_transaction_put(transaction, NULL, KEY_MOVED, ph_slice(section));
	good = ph_account_commit_held(account, transaction, error);
	ph_transaction_free(transaction);
	return good;
}

bool
ph_account_moved_to(PhAccount *account, char **section_out, GError **error)
{
	g_auto(Marks) marks = { .moved = NULL };

	if (!ph_account_values(account, NULL, PH_KEY_OWN, take_mark, &marks, error))
		return false;
	*section_out = g_steal_pointer(&marks.moved);
	return true;
}

/* --- the first mailboxes ---------------------------------------------------------------------------- */

/* Making: one transaction being gathered. */
typedef struct {
	PhTransaction *transaction;
	const PhNames *names;
	GString *made;
	bool has_ops;
	bool is_new; /* `made` has grown */
} Making;

static bool
has_line(const GString *lines, PhSlice name)
{
	PhSlice rest = PH_SLICE(lines->str, lines->len);

	while (rest.length > 0)
		if (ph_slice_equal(ph_slice_split(&rest, '\n'), name))
			return true;
	return false;
}

static bool
has_name(const Making *making, PhSlice name)
{
	for (uint32_t i = 0; i < making->names->n; i++)
		if (ph_slice_is(name, making->names->infos[i].name))
			return true;
	for (uint32_t i = 0; i < making->transaction->n_ops; i++) {
		const PhOp *op = making->transaction->ops[i];

		if (op->kind == PH_OP_CREATE && ph_slice_is(name, op->name))
			return true;
	}
	return false;
}

/* The mailbox that was there before under this name. */
static const PhMailboxInfo *
find_name(const Making *making, PhSlice name)
{
	for (uint32_t i = 0; i < making->names->n; i++)
		if (ph_slice_is(name, making->names->infos[i].name))
			return &making->names->infos[i];
	return NULL;
}

static bool
has_use(const Making *making, uint32_t use)
{
	for (uint32_t i = 0; i < making->names->n; i++)
		if ((making->names->infos[i].special_use & use) != 0)
			return true;
	return false;
}

static void
create(Making *making, PhSlice name, uint32_t use)
{
	(void) ph_transaction_create(making->transaction, name, use);
	making->has_ops = true;
}

static void
create_parents(Making *making, PhSlice name)
{
	for (size_t i = 1; i < name.length; i++)
		if (name.data[i] == '/' && !has_name(making, PH_SLICE(name.data, i)))
			create(making, PH_SLICE(name.data, i), 0);
}

/* What the user has in place of it is left alone, but for its use: another server may have known that
 * from its config (Dovecot does). */
static void
follow_rule(Making *making, const PhMailboxRule *rule)
{
	bool is_inbox = ph_slice_is_nocase(rule->name, "INBOX");
	PhSlice name = is_inbox ? PH_SLICE_LITERAL("INBOX") : rule->name;
	const PhMailboxInfo *there = find_name(making, name);
	g_autofree char *text = ph_slice_dup(name);
	g_autofree char *key = g_strconcat(PH_KEY_SUBSCRIPTION, text, NULL);

	if (has_line(making->made, name))
		return;
	making->is_new = true;
	g_string_append_printf(making->made, "%s\n", text);
	if (rule->use != 0 && has_use(making, rule->use))
		return;
	if (!has_name(making, name)) {
		create_parents(making, name);
		create(making, name, rule->use);
	} else if (!is_inbox) {
		if (there != NULL && there->special_use == 0 && rule->use != 0) {
			(void) ph_transaction_use(making->transaction, there, rule->use);
			making->has_ops = true;
		}
		return;
	}
	(void) ph_transaction_put(making->transaction, NULL, key, PH_SLICE_LITERAL("1"));
	making->has_ops = true;
}

static void
gather(Making *making, const PhPluginSettings *settings)
{
	if (!has_name(making, PH_SLICE_LITERAL("INBOX")))
		create(making, PH_SLICE_LITERAL("INBOX"), 0);
	for (size_t i = 0;
	     settings != NULL && settings->mailboxes != NULL && settings->mailboxes[i] != NULL;
	     i++) {
		PhMailboxRule rule;

		if (ph_mailbox_rule_parse(settings->mailboxes[i], &rule, NULL))
			follow_rule(making, &rule);
	}
	if (!making->is_new)
		return;
	(void) ph_transaction_put(making->transaction, NULL, KEY_MADE,
	                          PH_SLICE(making->made->str, making->made->len));
	making->has_ops = true;
}

/* One attempt; EXISTS when another process was faster. */
static bool
make_first(PhAccount *account, const PhPluginSettings *settings, const Marks *marks, GError **error)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
	g_autoptr(GString) made = g_string_new(marks->made);
	PhNames *names = ph_account_names(account, error);
	Making making = { .transaction = transaction, .names = names, .made = made };
	bool good = false;

	if (names == NULL)
		return false;
	gather(&making, settings);
	/* from now on it has a life of its own, and no conversion may write over it */
	if (marks->follows) {
		(void) ph_transaction_put(transaction, NULL, KEY_FOLLOWS, PH_SLICE_EMPTY);
		making.has_ops = true;
	}
	good = !making.has_ops || ph_transaction_run(transaction, error);
	ph_names_unref(names);
	return good;
}

static bool
ensure_first(PhAccount *account,
             const PhPluginSettings *settings,
             const Marks *marks,
             GError **error)
{
	bool good = false;

	for (int tries = 0; !good && tries < 2; tries++) {
		g_autoptr(GError) why = NULL;

		good = make_first(account, settings, marks, &why);
		if (!good && (tries > 0 || !g_error_matches(why, PH_ERROR, PH_ERROR_EXISTS))) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		ph_account_forget_names(account);
	}
	PH_LOCKED(&account->lock);
	account->has_inbox = true;
	return true;
}

/* --- opening ----------------------------------------------------------------------------------------- */

PhAccount *
ph_account_attach(PhSection *store, const PhIdentity *identity, const PhLimits *limits)
{
	return ph_account_get(ph_section_origin(store), identity, limits);
}

static PhAccount *
open_where_moved(PhSection *store, const PhIdentity *identity, const char *section, GError **error)
{
	const PhPluginSettings *settings = settings_of(store);

	if (settings != NULL && settings->moves_to != NULL
	    && g_str_equal(settings->moves_to->name, section))
		return ph_account_open(settings->moves_to, identity, error);
	ph_error_set(error, PH_ERROR_TEMPORARY,
	             "'%s' was moved from store '%s' to store '%s'; name that one in listeners and "
	             "routes, or write moves-to = %s in [store %s]",
	             ph_identity_address(identity), store->name, section, section, store->name);
	return NULL;
}

PhAccount *
ph_account_open(PhSection *store, const PhIdentity *identity, GError **error)
{
	PhLimits limits = ph_account_limits(store, identity);
	g_autoptr(PhAccount) account = ph_account_attach(store, identity, &limits);
	g_auto(Marks) marks = { .moved = NULL };
	bool ready = false;
	const char *section = moved_to(account, &ready);

	if (section == NULL && ready)
		return g_steal_pointer(&account);
	if (section == NULL) {
		if (!ph_account_values(account, NULL, PH_KEY_OWN, take_mark, &marks, error))
			return NULL;
		if (marks.moved != NULL)
			set_moved(account, marks.moved);
		section = moved_to(account, &ready);
	}
	if (section != NULL)
		return open_where_moved(store, identity, section, error);
	return ensure_first(account, settings_of(store), &marks, error) ? g_steal_pointer(&account)
	                                                                : NULL;
}

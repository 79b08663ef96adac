/* sqlite.c: a store that keeps each account in one SQLite database
 *
 * Records, flags and mailboxes are PhIndex's; octets are rows beside them (octets.c), so one
 * transaction makes both durable.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sqlite.h"

static const PhOption options[] = {
	PH_OPTION_TEMPLATE(Settings,
	                   path,
	                   "{data}/mail/{domain}/{user}.sqlite",
	                   "the database of one account"),
	PH_OPTION_DURATION(Settings,
	                   grace,
	                   "1h",
	                   "how long a message can still be read after it was expunged"),
	PH_OPTION_SIZE(Settings, largest, "0", "the largest message that is taken; 0: no limit"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = g_memdup2(settings, sizeof(Settings));
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

static void
account_free(void *data)
{
	Account *account = data;

	content_forget_ahead(account);
	uploads_clear(account);
	g_free(account);
}

/* SQLite keeps a log and two more files beside a database. When the template ends with the user's
 * name, a user "anna-wal" would write over the log of "anna". */
static bool
is_good_path(const char *path, GError **error)
{
	static const char *const endings[] = { "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
		if (!g_str_has_suffix(path, endings[i]))
			continue;
		g_set_error(error, PH_ERROR, PH_ERROR_PERMANENT,
		            "'%s' is the name of a file that SQLite keeps beside another account; "
		            "let the store's path end with .sqlite",
		            path);
		return false;
	}
	return true;
}

static bool
open_account(void *instance, const PhIdentity *identity, void **account_out, GError **error)
{
	const Settings *settings = instance;
	g_autofree char *path = ph_section_expand(settings->path, identity);
	Account *account = NULL;
	PhIndexParams params = {
		.size = sizeof params,
		.path = path,
		.hooks = &octets_hooks,
		.free = account_free,
		.quota_octets = ph_identity_quota_octets(identity),
		.quota_messages = ph_identity_quota_messages(identity),
		.grace_us = settings->grace.us,
	};

	if (!is_good_path(path, error))
		return false;
	account = params.user_data = g_new0(Account, 1);
	account->settings = *settings;
	account->settings.path = NULL; /* the instance's */
	uploads_init(account);
	account->index = ph_index_open(&params, error);
	if (account->index == NULL) {
		account_free(account);
		return false;
	}
	*account_out = account;
	return true;
}

static void
close_account(void *data)
{
	Account *account = data;

	ph_index_unref(account->index);
}

static bool
defer(void *data, int *fd_out, GError **error)
{
	Account *account = data;

	account->is_deferred = true;
	return ph_index_defer(account->index, fd_out, error);
}

static const PhStore store = {
	.size = sizeof store,
	.abilities = PH_STORE_CHEAP_COPY | PH_STORE_EXACT_QUOTA | PH_STORE_COMPACTS_BESIDE,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = ph_index_store_mailboxes,
	.changes = ph_index_store_changes,
	.values = ph_index_store_values,
	.upload = octets_upload,
	.abandon = octets_abandon,
	.content = octets_content,
	.commit = ph_index_store_commit,
	.forget = ph_index_store_forget,
	.verify = ph_index_store_verify,
	.compact = ph_index_store_compact,
	.sync = ph_index_store_sync,
	.defer = defer,
};

static const PhOffer offers[] = { PH_OFFER_STORE("sqlite", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "sqlite",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "each account in one SQLite database, octets included",
	.options = options,
	.offers = offers,
};

/* compress.c: a store that keeps messages compressed in the store below it
 *
 * Only octets change on their way (pack.c, unpack.c); everything else is the store's below. A record
 * tells octets on the wire, so sizes and quota are those of the messages as they are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compress.h"

#include <posthorn/plugin.h>

typedef struct {
	PhSection *below;
	int64_t level;
} Settings;

typedef struct {
	PhSection *section; /* below */
	int level;
} Instance;

typedef struct {
	PhBelow below;
	int level;
} Account;

static const PhOption options[] = {
	PH_OPTION_SECTION(Settings,
	                  below,
	                  PH_REQUIRED,
	                  PH_KIND_STORE,
	                  "the store that keeps what was compressed"),
	PH_OPTION_INTEGER(Settings,
	                  level,
	                  "3",
	                  1,
	                  19,
	                  "zstd's level: higher is smaller and slower"),
	PH_OPTIONS_END,
};

static const PhStore store;

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Instance *instance = NULL;

	if (!ph_below_is_exact(settings->below, error))
		return false;
	instance = g_new0(Instance, 1);
	instance->section = settings->below;
	instance->level = (int) settings->level;
	*instance_out = instance;
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	const Instance *instance = data;
	Account *account = g_new0(Account, 1);

	account->level = instance->level;
	if (!ph_below_open(&account->below, instance->section, identity, error)) {
		g_free(account);
		return false;
	}
	*account_out = account;
	return true;
}

static bool
upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	g_autoptr(PhContent) packed = container_pack(content, account->level, error);

	return packed != NULL && ph_below_upload(data, packed, durable, blob_out, error);
}

static bool
content(void *data,
        const PhMailboxId *mailbox,
        uint32_t uid,
        const PhBlobId *blob,
        PhContent **content_out,
        GError **error)
{
	g_autoptr(PhContent) stored = NULL;
	PhContent *message = NULL;

	if (!ph_below_content(data, mailbox, uid, blob, &stored, error))
		return false;
	message = container_unpack(stored, error);
	if (message == NULL)
		return false;
	*content_out = message;
	return true;
}

static bool
verify(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Account *account = data;

	if (account->below.store->verify != NULL
	    && !ph_below_verify(data, repair, report, user_data, error))
		return false;
	return ph_store_check_octets(&store, data, report, user_data, error);
}

static void
narrow(void *data, PhStore *table)
{
	const Instance *instance = data;

	ph_below_narrow(instance->section, table);
	table->verify = verify; /* there is always something to check */
}

static const PhStore store = {
	.size = sizeof store,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = ph_below_close_account,
	.mailboxes = ph_below_mailboxes,
	.changes = ph_below_changes,
	.values = ph_below_values,
	.upload = upload,
	.abandon = ph_below_abandon,
	.content = content,
	.commit = ph_below_commit,
	.outcome = ph_below_outcome,
	.forget = ph_below_forget,
	.refresh = ph_below_refresh,
	.sync = ph_below_sync,
	.watch = ph_below_watch,
	.share = ph_below_share,
	.verify = verify,
	.compact = ph_below_compact,
	.narrow = narrow,
	.defer = ph_below_defer,
};

static const PhOffer offers[] = { PH_OFFER_STORE("compress", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "compress",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "messages compressed with zstd in the store below",
	.options = options,
	.offers = offers,
};

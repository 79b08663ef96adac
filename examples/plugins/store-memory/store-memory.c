/* store-memory.c: a complete store in memory, to read before writing one of your own
 *
 * The metadata of an account is a PhLedger, its octets are a table of contents by blob number. It
 * forgets everything with the process and says so (PH_STORE_VOLATILE). The octets of an expunged
 * message stay for the grace time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>
#include <posthorn/error.h>
#include <posthorn/ledger.h>

#include <string.h>

typedef struct {
	PhDuration grace;
} Settings;

/* Dropped: octets that nobody names any more. */
typedef struct {
	PhTime time;
	uint64_t number;
} Dropped;

/* Account: stays when it is closed. */
typedef struct {
	PhLedger *ledger;
	const Settings *settings; /* the core keeps them as long as the instance */
	GMutex lock;              /* guards what follows; never held while the ledger is called */
	GHashTable *blobs;        /* number -> PhContent */
	GQueue dropped;           /* of Dropped, oldest first */
	uint64_t last_number;
} Account;

typedef struct {
	const Settings *settings;
	GMutex lock;
	GHashTable *accounts; /* address -> Account */
} Instance;

/* --- octets ---------------------------------------------------------------------------------- */

static uint64_t
number_of(const PhBlobId *blob)
{
	uint64_t number = 0;

	if (blob->length == sizeof number)
		memcpy(&number, blob->octets, sizeof number);
	return number;
}

/* @content: (owned). With the lock held. */
static void
add_blob(Account *account, PhContent *content, PhBlobId *blob_out)
{
	uint64_t number = ++account->last_number;

	*blob_out = (PhBlobId){ .length = sizeof number };
	memcpy(blob_out->octets, &number, sizeof number);
	g_hash_table_insert(account->blobs, g_memdup2(&number, sizeof number), content);
}

/* Returns: (owned) NULL when there are no such octets. */
static PhContent *
find_blob(Account *account, const PhBlobId *blob)
{
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&account->lock);
	uint64_t number = number_of(blob);
	PhContent *content = g_hash_table_lookup(account->blobs, &number);

	return content != NULL ? ph_content_ref(content) : NULL;
}

/* A hook of the ledger: every message has a blob of its own, which shares the upload's octets. */
static bool
use_blob(void *data, PhBlobId *blob, bool is_copy, GError **error)
{
	Account *account = data;
	g_autoptr(PhContent) found = find_blob(account, blob);
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&account->lock);

	if (found == NULL)
		ph_error_set(error, PH_ERROR_INVALID, "there is no such upload");
	else
		add_blob(account, ph_content_ref(found), blob);
	return found != NULL;
}

/* A hook of the ledger. What was dropped longer ago than the grace time goes. */
static void
drop_blob(void *data, const PhBlobId *blob)
{
	Account *account = data;
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&account->lock);
	PhTime now = g_get_real_time();
	Dropped *dropped = g_new(Dropped, 1);

	*dropped = (Dropped){ now, number_of(blob) };
	g_queue_push_tail(&account->dropped, dropped);
	dropped = g_queue_peek_head(&account->dropped);
	while (dropped != NULL && dropped->time + (PhTime) account->settings->grace.us < now) {
		g_hash_table_remove(account->blobs, &dropped->number);
		g_free(g_queue_pop_head(&account->dropped));
		dropped = g_queue_peek_head(&account->dropped);
	}
}

static const PhLedgerHooks hooks = { sizeof hooks, use_blob, drop_blob };

static bool
upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	size_t length = ph_content_length(content);
	g_autofree char *octets = g_malloc(length + 1);
	ssize_t got = ph_content_read(content, 0, octets, length, error);

	if (got < 0)
		return false;
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&account->lock);
	add_blob(account, ph_content_new_take(g_steal_pointer(&octets), (size_t) got), blob_out);
	return true;
}

static void
abandon(void *data, const PhBlobId *blob)
{
	Account *account = data;
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&account->lock);
	uint64_t number = number_of(blob);

	g_hash_table_remove(account->blobs, &number);
}

static bool
content(void *data,
        const PhMailboxId *mailbox,
        uint32_t uid,
        const PhBlobId *blob,
        PhContent **content_out,
        GError **error)
{
	PhContent *found = find_blob(data, blob);

	if (found != NULL)
		*content_out = found;
	else
		ph_error_set(error, PH_ERROR_GONE, "the message was removed");
	return found != NULL;
}

/* --- metadata: the ledger's ------------------------------------------------------------------- */

static bool
mailboxes(void *data, PhMailboxInfoFunc func, void *user, uint64_t *list_change_out, GError **error)
{
	return ph_ledger_mailboxes(((Account *) data)->ledger, func, user, list_change_out, error);
}

static bool
changes(void *data,
        const PhMailboxId *id,
        const PhChangesQuery *query,
        PhChangesResult *result_out,
        GError **error)
{
	return ph_ledger_changes(((Account *) data)->ledger, id, query, result_out, error);
}

static bool
values(void *data,
       const PhMailboxId *id,
       const char *prefix,
       PhValueFunc func,
       void *user,
       GError **error)
{
	return ph_ledger_values(((Account *) data)->ledger, id, prefix, func, user, error);
}

static bool
commit(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	return ph_ledger_commit(((Account *) data)->ledger, batch, n, error);
}

static void
forget(void *data, PhTime before)
{
	ph_ledger_forget(((Account *) data)->ledger, before);
}

/* --- life ------------------------------------------------------------------------------------- */

static void
free_account(void *data)
{
	Account *account = data;

	ph_ledger_free(account->ledger);
	g_hash_table_destroy(account->blobs);
	g_queue_clear_full(&account->dropped, g_free);
	g_mutex_clear(&account->lock);
	g_free(account);
}

static Account *
new_account(const Settings *settings)
{
	Account *account = g_new0(Account, 1);

	account->settings = settings;
	account->ledger = ph_ledger_new(&hooks, account);
	account->blobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                       (GDestroyNotify) ph_content_unref);
	g_mutex_init(&account->lock);
	return account;
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	Instance *instance = data;
	const char *address = ph_identity_address(identity);
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&instance->lock);
	Account *account = g_hash_table_lookup(instance->accounts, address);

	if (account == NULL) {
		account = new_account(instance->settings);
		g_hash_table_insert(instance->accounts, g_strdup(address), account);
	}
	ph_ledger_set_quota(account->ledger, ph_identity_quota_octets(identity),
	                    ph_identity_quota_messages(identity));
	*account_out = account;
	return true;
}

static void
close_account(void *account)
{
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Instance *instance = g_new0(Instance, 1);

	instance->settings = settings;
	instance->accounts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_account);
	g_mutex_init(&instance->lock);
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	g_hash_table_destroy(instance->accounts);
	g_mutex_clear(&instance->lock);
	g_free(instance);
}

static const PhStore store = {
	.size = sizeof store,
	.abilities = PH_STORE_CHEAP_COPY | PH_STORE_EXACT_QUOTA | PH_STORE_VOLATILE,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = mailboxes,
	.changes = changes,
	.values = values,
	.upload = upload,
	.abandon = abandon,
	.content = content,
	.commit = commit,
	.forget = forget,
};

static const PhOption options[] = {
	PH_OPTION_DURATION(Settings, grace, "1h", "how long an expunged message can be read"),
	PH_OPTIONS_END,
};

static const PhOffer offers[] = { PH_OFFER_STORE("memory", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "memory",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "mail in memory, gone with the process: for tests",
	.options = options,
	.offers = offers,
};

/* fault.c: a store for tests that fails on purpose and passes everything else to the store below
 *
 * What a fault is stands in the options, when it strikes in strike.c. A commit that is applied and
 * reported as unknown is remembered, so that `outcome`, where it is offered, can tell.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fault.h"

#include <posthorn/plugin.h>

#include <string.h>
#include <unistd.h>

typedef struct {
	PhSection *section; /* below */
	Faults *faults;
	char *user; /* (nullable) whose account alone is struck */
	bool outcome;
} Instance;

typedef struct {
	PhBelow below;
	Faults *faults;      /* (nullable) this account is spared */
	GHashTable *applied; /* ids of transactions whose commit was reported as unknown */
} Account;

/* In the order of PhError. */
static const char *const error_words[] = {
	"none",        "temporary",  "permanent", "not-found", "exists",
	"denied",      "over-quota", "too-large", "limit",     "invalid",
	"unsupported", "gone",       "corrupt",   "unknown",   NULL,
};

static const char *const torn_words[] = { "no", "cut", "altered", NULL };
static const char *const crash_words[] = { "no", "before", "after", NULL };

static const PhOption options[] = {
	PH_OPTION_SECTION(Settings, below, PH_REQUIRED, PH_KIND_STORE, "the store that works"),
	PH_OPTION_LIST(Settings,
	               at,
	               "commit",
	               "calls that fail: open, mailboxes, changes, values, upload, content, read, "
	               "commit, outcome, refresh, sync, verify, defer"),
	PH_OPTION_CHOICE(Settings, error, "none", error_words, "the error that a call gives"),
	PH_OPTION_BOOLEAN(Settings, applied, "no", "give the error after the call was made"),
	PH_OPTION_CHOICE(Settings,
	                 torn,
	                 "no",
	                 torn_words,
	                 "cut octets in half or alter one, at upload or content"),
	PH_OPTION_CHOICE(Settings,
	                 crash,
	                 "no",
	                 crash_words,
	                 "end the process before or after the call"),
	PH_OPTION_DURATION(Settings, delay, "0s", "how long a call takes longer"),
	PH_OPTION_INTEGER(Settings, every, "1", 1, INT64_MAX, "one call in so many is struck"),
	PH_OPTION_INTEGER(Settings, after, "0", 0, INT64_MAX, "so many calls are spared first"),
	PH_OPTION_INTEGER(Settings,
	                  times,
	                  "0",
	                  0,
	                  INT64_MAX,
	                  "at most so many are struck; 0: no limit"),
	PH_OPTION_INTEGER(Settings, probability, "100", 0, 100, "in percent"),
	PH_OPTION_INTEGER(Settings, seed, "1", 0, INT64_MAX, "decides which, with probability"),
	PH_OPTION_STRING(Settings, user, PH_ABSENT, "only this user's account: an address"),
	PH_OPTION_PATH(Settings, only_while, PH_ABSENT, "only while this file exists"),
	PH_OPTION_BOOLEAN(Settings,
	                  outcome,
	                  "no",
	                  "offer to tell whether an unknown commit was applied"),
	PH_OPTIONS_END,
};

/* --- life --------------------------------------------------------------------------------------- */

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Faults *faults = faults_new(settings, error);
	Instance *instance = NULL;

	if (faults == NULL)
		return false;
	instance = g_new0(Instance, 1);
	instance->section = settings->below;
	instance->faults = faults;
	instance->user = g_strdup(settings->user);
	instance->outcome = settings->outcome;
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	faults_unref(instance->faults);
	g_free(instance->user);
	g_free(instance);
}

static guint
hash_id(gconstpointer id)
{
	guint value = 0;

	memcpy(&value, id, sizeof value);
	return value;
}

static gboolean
equal_id(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof((PhTransaction *) 0)->id) == 0;
}

static void
close_account(void *data)
{
	Account *account = data;

	ph_below_close(&account->below);
	if (account->faults != NULL)
		faults_unref(account->faults);
	g_hash_table_destroy(account->applied);
	g_free(account);
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	const Instance *instance = data;
	bool is_struck = instance->user == NULL
	                 || strcmp(instance->user, ph_identity_address(identity)) == 0;
	Account *account = NULL;
	Strike strike;

	if (!faults_begin(is_struck ? instance->faults : NULL, AT_OPEN, &strike, error))
		return false;
	account = g_new0(Account, 1);
	account->faults = is_struck ? faults_ref(instance->faults) : NULL;
	account->applied = g_hash_table_new_full(hash_id, equal_id, g_free, NULL);
	if (!faults_end(&strike, ph_below_open(&account->below, instance->section, identity, error),
	                error)) {
		close_account(account);
		return false;
	}
	*account_out = account;
	return true;
}

static bool
begin(void *data, Place place, Strike *strike_out, GError **error)
{
	const Account *account = data;

	return faults_begin(account->faults, place, strike_out, error);
}

/* --- reading -------------------------------------------------------------------------------------- */

static bool
mailboxes(void *data,
          PhMailboxInfoFunc func,
          void *user_data,
          uint64_t *list_change_out,
          GError **error)
{
	Strike strike;

	return begin(data, AT_MAILBOXES, &strike, error)
	       && faults_end(&strike,
	                     ph_below_mailboxes(data, func, user_data, list_change_out, error),
	                     error);
}

static bool
changes(void *data,
        const PhMailboxId *mailbox,
        const PhChangesQuery *query,
        PhChangesResult *result_out,
        GError **error)
{
	Strike strike;

	return begin(data, AT_CHANGES, &strike, error)
	       && faults_end(&strike, ph_below_changes(data, mailbox, query, result_out, error),
	                     error);
}

static bool
values(void *data,
       const PhMailboxId *mailbox,
       const char *prefix,
       PhValueFunc func,
       void *user_data,
       GError **error)
{
	Strike strike;

	return begin(data, AT_VALUES, &strike, error)
	       && faults_end(&strike,
	                     ph_below_values(data, mailbox, prefix, func, user_data, error), error);
}

/* --- octets --------------------------------------------------------------------------------------- */

static bool
upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	g_autoptr(PhContent) torn = NULL;
	Strike strike;

	if (!begin(data, AT_UPLOAD, &strike, error))
		return false;
	torn = torn_content(&strike, content);
	return faults_end(&strike, ph_below_upload(data, torn, durable, blob_out, error), error);
}

/* Struck: a content whose reads may be struck. */
typedef struct {
	PhContent *content; /* (owned) a reference */
	Faults *faults;     /* (owned) a reference */
} Struck;

static ssize_t
struck_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Struck *struck = handle;
	Strike strike;
	ssize_t got = -1;

	if (!faults_begin(struck->faults, AT_READ, &strike, error))
		return -1;
	got = ph_content_read(struck->content, offset, buffer, length, error);
	return faults_end(&strike, got >= 0, error) ? got : -1;
}

static void
struck_free(void *handle)
{
	Struck *struck = handle;

	ph_content_unref(struck->content);
	faults_unref(struck->faults);
	g_free(struck);
}

static const PhContentTable struck_table = {
	.size = sizeof struck_table,
	.read = struck_read,
	.free = struck_free,
};

/* Takes over the reference. */
static PhContent *
watch_reads(const Account *account, PhContent *content)
{
	Struck *struck = NULL;

	if (account->faults == NULL || (account->faults->places & 1U << AT_READ) == 0)
		return content;
	struck = g_new0(Struck, 1);
	struck->content = content;
	struck->faults = faults_ref(account->faults);
	return ph_content_new_custom(&struck_table, struck, ph_content_length(content));
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
	Strike strike;

	if (!begin(data, AT_CONTENT, &strike, error)
	    || !faults_end(&strike, ph_below_content(data, mailbox, uid, blob, &stored, error),
	                   error))
		return false;
	*content_out = watch_reads(data, torn_content(&strike, stored));
	return true;
}

/* --- commits -------------------------------------------------------------------------------------- */

/* It was applied, and is said to be unknown. */
static void
remember(Account *account, PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (batch[i]->done)
			(void) g_hash_table_add(account->applied,
			                        g_memdup2(batch[i]->id, sizeof batch[i]->id));
}

static bool
commit(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	Strike strike;
	bool good = false;

	if (!begin(data, AT_COMMIT, &strike, error))
		return false;
	good = ph_below_commit(data, batch, n, error);
	if (faults_end(&strike, good, error))
		return true;
	if (good)
		remember(data, batch, n);
	return false;
}

/* What was applied is committed again: the store below gives the first results. */
static bool
outcome(void *data, PhTransaction *transaction, GError **error)
{
	Account *account = data;
	PhTransaction *batch[] = { transaction };
	Strike strike;

	if (!begin(data, AT_OUTCOME, &strike, error))
		return false;
	if (account->below.store->outcome != NULL)
		return faults_end(&strike, ph_below_outcome(data, transaction, error), error);
	transaction->done = false;
	return faults_end(&strike,
	                  !g_hash_table_contains(account->applied, transaction->id)
	                          || ph_below_commit(data, batch, 1, error),
	                  error);
}

static bool
refresh(void *data, const PhMailboxId *mailbox, GError **error)
{
	Strike strike;

	return begin(data, AT_REFRESH, &strike, error)
	       && faults_end(&strike, ph_below_refresh(data, mailbox, error), error);
}

static bool
sync_account(void *data, GError **error)
{
	Strike strike;

	return begin(data, AT_SYNC, &strike, error)
	       && faults_end(&strike, ph_below_sync(data, error), error);
}

static bool
defer(void *data, int *fd_out, GError **error)
{
	Strike strike;

	if (!begin(data, AT_DEFER, &strike, error) || !ph_below_defer(data, fd_out, error))
		return false;
	if (faults_end(&strike, true, error))
		return true;
	(void) close(*fd_out);
	*fd_out = -1;
	return false;
}

static bool
verify(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Strike strike;

	return begin(data, AT_VERIFY, &strike, error)
	       && faults_end(&strike, ph_below_verify(data, repair, report, user_data, error),
	                     error);
}

static void
narrow(void *data, PhStore *table)
{
	const Instance *instance = data;

	ph_below_narrow(instance->section, table);
	if (instance->outcome)
		table->outcome = outcome;
}

static const PhStore store = {
	.size = sizeof store,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = mailboxes,
	.changes = changes,
	.values = values,
	.upload = upload,
	.abandon = ph_below_abandon,
	.content = content,
	.commit = commit,
	.outcome = outcome,
	.forget = ph_below_forget,
	.refresh = refresh,
	.sync = sync_account,
	.watch = ph_below_watch,
	.share = ph_below_share,
	.verify = verify,
	.compact = ph_below_compact,
	.narrow = narrow,
	.defer = defer,
};

static const PhOffer offers[] = { PH_OFFER_STORE("fault", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "fault",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "for tests: delays, errors, torn writes and crashes on purpose",
	.options = options,
	.offers = offers,
};

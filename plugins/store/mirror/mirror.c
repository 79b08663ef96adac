/* mirror.c: a store that writes to two others and answers from the first that can
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mirror.h"

#include <posthorn/plugin.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
	PhSection *first;
	PhSection *second;
	uint32_t require;
	uint32_t compare;
	int64_t sample;
	PhDuration catch_up;
	PhDuration retry;
} Settings;

static const char *const require_words[] = { "first", "both", NULL };
static const char *const compare_words[] = { "off", "counts", "content", NULL };

static const PhOption options[] = {
	PH_OPTION_SECTION(Settings,
	                  first,
	                  PH_REQUIRED,
	                  PH_KIND_STORE,
	                  "the store that decides and is read"),
	PH_OPTION_SECTION(Settings, second, PH_REQUIRED, PH_KIND_STORE, "the store that follows"),
	PH_OPTION_CHOICE(Settings,
	                 require,
	                 "first",
	                 require_words,
	                 "which must have a change before it is acknowledged"),
	PH_OPTION_CHOICE(Settings,
	                 compare,
	                 "counts",
	                 compare_words,
	                 "how much is compared when an account is opened"),
	PH_OPTION_INTEGER(Settings,
	                  sample,
	                  "3",
	                  1,
	                  1000,
	                  "messages of each mailbox that compare = content looks at"),
	PH_OPTION_DURATION(Settings,
	                   catch_up,
	                   "200ms",
	                   "how long one commit or opening may work on what the second lacks"),
	PH_OPTION_DURATION(Settings,
	                   retry,
	                   "10s",
	                   "how long a second store that failed is left alone"),
	PH_OPTIONS_END,
};

/* --- life --------------------------------------------------------------------------------------- */

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Instance *instance = NULL;

	if (settings->first == settings->second) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "'first' and 'second' both name [store %s]; name two stores",
		             ph_section_name(settings->first));
		return false;
	}
	instance = g_new0(Instance, 1);
	instance->section = section;
	instance->first = settings->first;
	instance->second = settings->second;
	instance->require = (Require) settings->require;
	instance->compare = (Compare) settings->compare;
	instance->sample = (uint32_t) settings->sample;
	instance->catch_up_us = MAX(settings->catch_up.us, 1);
	instance->retry_us = settings->retry.us;
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	ph_log_section(instance->section, PH_LOG_INFO, "mirror-summary", "a mirror ends",
	               PH_LOG_NUMBER("repeated", instance->n_repeated),
	               PH_LOG_NUMBER("missed", instance->n_missed),
	               PH_LOG_NUMBER("copied", instance->n_copied),
	               PH_LOG_NUMBER("different", instance->n_different),
	               PH_LOG_NUMBER("answered", instance->n_answered), PH_LOG_END);
	g_free(instance);
}

static guint
hash_blob(gconstpointer data)
{
	const PhBlobId *blob = data;
	guint hash = blob->length;

	for (size_t i = 0; i < blob->length; i++)
		hash = hash * 31 + blob->octets[i];
	return hash;
}

gboolean
same_blob(gconstpointer a, gconstpointer b)
{
	const PhBlobId *left = a;
	const PhBlobId *right = b;

	return left->length == right->length
	       && memcmp(left->octets, right->octets, left->length) == 0;
}

/* --- the second -------------------------------------------------------------------------------------- */

const PhBelow *
second_of(Account *account)
{
	bool is_there = false;

	(void) pthread_mutex_lock(&account->lock);
	is_there = account->second.account != NULL;
	(void) pthread_mutex_unlock(&account->lock);
	return is_there ? &account->second : NULL;
}

/* How many accounts are behind is for `posthorn status`; one that was never looked at is not counted. */
void
set_behind(Account *account, bool is_behind)
{
	if (is_behind != account->is_counted)
		ph_section_count(account->instance->section, "behind", is_behind ? 1 : -1);
	account->is_counted = is_behind;
	account->is_behind = is_behind;
}

void
fall_behind(Account *account, const char *doing, const GError *why)
{
	account->retry_at = (uint64_t) g_get_monotonic_time() + account->instance->retry_us;
	if (!account->is_told)
		ph_log_section(account->instance->section, PH_LOG_WARNING, "mirror-behind",
		               "the second store could not follow the first",
		               PH_LOG_TEXT("account", ph_identity_address(account->identity)),
		               PH_LOG_TEXT("doing", doing), PH_LOG_FAILURE(why), PH_LOG_END);
	account->is_told = true;
	set_behind(account, true);
}

/* The journal's checkpoints sync the file system of the first. A second that lies there too is served
 * by the same; one elsewhere goes on to sync itself. */
static bool
defer_second(const Account *account, PhBelow *second, GError **error)
{
	struct stat info = { 0 };
	int fd = -1;
	bool is_beside = false;

	if (!account->defers || second->store->defer == NULL)
		return true;
	if (!second->store->defer(second->account, &fd, error)) {
		ph_below_close(second);
		return false;
	}
	is_beside = fstat(fd, &info) == 0 && info.st_dev == account->device;
	(void) close(fd);
	if (is_beside)
		return true;
	ph_below_close(second);
	return ph_below_open(second, account->instance->second, account->identity, error);
}

/* Opens it when it is away. Returns: it may be used now. */
static bool
reach_second(Account *account, GError **error)
{
	PhBelow second = { NULL, NULL };

	if ((uint64_t) g_get_monotonic_time() < account->retry_at) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the second store is left alone");
		return false;
	}
	if (account->second.account != NULL)
		return true;
	if (!ph_below_open(&second, account->instance->second, account->identity, error)
	    || !defer_second(account, &second, error))
		return false;
	(void) pthread_mutex_lock(&account->lock);
	account->second = second;
	(void) pthread_mutex_unlock(&account->lock);
	return true;
}

/* Some of what the second lacks. Returns: it lacks nothing any more. */
static bool
bring_on(Account *account, uint64_t time_us, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (reach_second(account, &why) && catch_up(account, time_us, &why)) {
		account->retry_at = 0;
		if (account->is_behind)
			ph_error_set(error, PH_ERROR_TEMPORARY, "the second store catches up");
		return !account->is_behind;
	}
	if ((uint64_t) g_get_monotonic_time() >= account->retry_at)
		fall_behind(account, "catch up", why);
	set_behind(account, true);
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static void
compare(Account *account)
{
	Comparing comparing = { .account = account };
	g_autoptr(GError) why = NULL;

	if (account->instance->compare != COMPARE_OFF && !account->is_behind
	    && !compare_all(&comparing, &why))
		fall_behind(account, "compare", why);
}

void
settle(Account *account)
{
	if (account->is_settled)
		return;
	(void) pthread_mutex_lock(&account->settling);
	if (!account->is_settled) {
		if (bring_on(account, account->instance->catch_up_us, NULL))
			compare(account);
		account->is_settled = true;
	}
	(void) pthread_mutex_unlock(&account->settling);
}

static void
close_account(void *data)
{
	Account *account = data;

	set_behind(account, false); /* the next one to open it looks again */
	ph_below_close(&account->second);
	ph_below_close(&account->first);
	g_hash_table_destroy(account->uploads);
	ph_uid_set_free(account->pass.todo);
	(void) pthread_mutex_destroy(&account->settling);
	(void) pthread_mutex_destroy(&account->lock);
	ph_identity_unref(account->identity);
	g_free(account);
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	Instance *instance = data;
	Account *account = g_new0(Account, 1);

	account->instance = instance;
	account->identity = ph_identity_ref(identity);
	account->uploads = g_hash_table_new_full(hash_blob, same_blob, g_free, g_free);
	account->is_behind = true; /* until it is settled */
	(void) pthread_mutex_init(&account->settling, NULL);
	(void) pthread_mutex_init(&account->lock, NULL);
	if (!ph_below_open(&account->first, instance->first, identity, error)) {
		close_account(account);
		return false;
	}
	*account_out = account;
	return true;
}

static bool
defer(void *data, int *fd_out, GError **error)
{
	Account *account = data;
	struct stat info = { 0 };

	if (!ph_below_defer(data, fd_out, error))
		return false;
	account->defers = fstat(*fd_out, &info) == 0;
	account->device = info.st_dev;
	return true;
}

/* --- octets --------------------------------------------------------------------------------------- */

bool
take_upload(Account *account, const PhBlobId *blob, PhBlobId *second_out)
{
	const PhBlobId *found = NULL;

	(void) pthread_mutex_lock(&account->lock);
	found = g_hash_table_lookup(account->uploads, blob);
	if (found != NULL)
		*second_out = *found;
	(void) g_hash_table_remove(account->uploads, blob);
	(void) pthread_mutex_unlock(&account->lock);
	return found != NULL;
}

/* A second that fails here is found out when the commit finds no octets of it. */
static bool
upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	const PhBelow *second = second_of(account);
	PhBlobId blob;

	if (!ph_below_upload(data, content, durable, blob_out, error))
		return false;
	if (second == NULL || account->is_behind
	    || !second->store->upload(second->account, content, durable, &blob, NULL))
		return true;
	(void) pthread_mutex_lock(&account->lock);
	(void) g_hash_table_replace(account->uploads, g_memdup2(blob_out, sizeof *blob_out),
	                            g_memdup2(&blob, sizeof blob));
	(void) pthread_mutex_unlock(&account->lock);
	return true;
}

static void
abandon_second(Account *account, const PhBlobId *blob)
{
	const PhBelow *second = second_of(account);
	PhBlobId other;

	if (second != NULL && take_upload(account, blob, &other))
		second->store->abandon(second->account, &other);
}

static void
abandon(void *data, const PhBlobId *blob)
{
	abandon_second(data, blob);
	ph_below_abandon(data, blob);
}

/* --- writing -------------------------------------------------------------------------------------- */

static void
forget_uploads(Account *account, PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			if (batch[i]->ops[j]->kind == PH_OP_APPEND)
				abandon_second(account, &batch[i]->ops[j]->blob);
}

/* Returns: the second holds the batch. */
static bool
follow(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (!account->is_behind) {
		if (repeat_batch(account, batch, n, &why))
			return true;
		account->instance->n_missed += n;
		ph_section_count(account->instance->section, "missed", (int64_t) n);
		account->is_behind = true;
	}
	forget_uploads(account, batch, n);
	/* what it lacks is found by comparing; an id that comes again lacks nothing */
	if (bring_on(account, account->instance->catch_up_us, error))
		return true;
	if (why != NULL && !account->is_told) {
		fall_behind(account, "commit", why);
		account->retry_at = 0;
	}
	return false;
}

static bool
is_given(PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			if (!batch[i]->ops[j]->has_given)
				return false;
	return true;
}

/* A replay, before anything else has used the account: the second may hold it already, and more. Returns:
 * it was made, and the second is for later. */
static bool
replay(Account *account, PhTransaction *const *batch, size_t n, bool *good_out, GError **error)
{
	bool mine = false;

	if (account->is_settled || !is_given(batch, n))
		return false;
	(void) pthread_mutex_lock(&account->settling);
	mine = !account->is_settled;
	if (mine)
		*good_out = ph_below_commit(account, batch, n, error);
	(void) pthread_mutex_unlock(&account->settling);
	return mine;
}

static bool
commit(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	Account *account = data;
	g_autoptr(GError) why = NULL;
	bool good = false;

	if (replay(account, batch, n, &good, error))
		return good;
	settle(account);
	if (!ph_below_commit(data, batch, n, error))
		return false;
	if (follow(account, batch, n, &why) || account->instance->require == REQUIRE_FIRST)
		return true;
	/* the first has it: the account waits, and the same batch comes again */
	ph_error_set(error, PH_ERROR_OUTCOME_UNKNOWN, "the second store does not hold it yet: %s",
	             why->message);
	return false;
}

/* The second is not asked: it may lack what the first has done. */
static bool
outcome(void *data, PhTransaction *transaction, GError **error)
{
	Account *account = data;

	settle(account);
	if (!ph_below_outcome(data, transaction, error))
		return false;
	account->is_behind = true;
	return account->instance->require == REQUIRE_FIRST
	       || bring_on(account, account->instance->catch_up_us, error);
}

static void
forget(void *data, PhTime before)
{
	const PhBelow *second = second_of(data);

	ph_below_forget(data, before);
	if (second != NULL)
		second->store->forget(second->account, before);
}

/* What other programs did to the first is no commit that could be repeated. */
static bool
refresh(void *data, const PhMailboxId *mailbox, GError **error)
{
	Account *account = data;

	settle(account);
	if (!ph_below_refresh(data, mailbox, error))
		return false;
	if ((account->first.store->abilities & PH_STORE_FOREIGN_WRITERS) != 0)
		(void) bring_on(account, account->instance->catch_up_us, NULL);
	return true;
}

/* A second whose sync has failed is behind, whatever it shows: after the loss of power it is found out
 * by comparing. */
static bool
sync_account(void *data, GError **error)
{
	Account *account = data;
	const PhBelow *second = second_of(account);
	g_autoptr(GError) why = NULL;

	if (!ph_below_sync(data, error))
		return false;
	if (second == NULL || second->store->sync(second->account, &why))
		return true;
	fall_behind(account, "sync", why);
	if (account->instance->require == REQUIRE_FIRST)
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool
compact(void *data, GError **error)
{
	const PhBelow *second = NULL;

	settle(data);
	second = second_of(data);
	return ph_below_compact(data, error)
	       && (second == NULL || second->store->compact(second->account, error));
}

/* What the second is known to lack is no finding for each message: a repair brings it on, a check tells
 * that it is behind. */
static bool
verify_step(Account *account, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	g_autoptr(GError) why = NULL;

	account->retry_at = 0;
	if (bring_on(account, repair ? 0 : account->instance->catch_up_us, &why))
		return true;
	if (repair || account->retry_at != 0) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	report("the second store is behind and catches up while the account is used; a repair "
	       "brings it on at once",
	       user_data);
	return true;
}

static bool
verify_second(Account *account, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	const PhBelow *second = &account->second;

	return second->store->verify == NULL
	       || second->store->verify(second->account, repair, report, user_data, error);
}

/* Each by itself, then against each other; a repair copies what the second lacks. */
static bool
verify(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Account *account = data;
	Comparing comparing = {
		.account = account,
		.report = report,
		.user_data = user_data,
		.all = true,
	};

	settle(account);
	if (account->first.store->verify != NULL
	    && !ph_below_verify(data, repair, report, user_data, error))
		return false;
	if (account->is_behind && !account->differs) {
		if (!verify_step(account, repair, report, user_data, error))
			return false;
		if (account->is_behind)
			return true;
	}
	account->retry_at = 0;
	if (!reach_second(account, error)
	    || !verify_second(account, repair, report, user_data, error)
	    || !compare_all(&comparing, error))
		return false;
	if (!repair || comparing.n == 0)
		return true;
	account->looks_at_all = true;
	account->was_rebuilt = false;
	(void) bring_on(account, 0, error);
	account->looks_at_all = false;
	return !account->is_behind;
}

/* The first answers, so its abilities are the mirror's, but only one process can keep both in
 * step. */
static void
narrow(void *data, PhStore *table)
{
	const Instance *instance = data;
	const PhStore *second = ph_section_table(instance->second);

	ph_below_narrow(instance->first, table);
	table->verify = verify;
	table->abilities &= ~(uint32_t) (PH_STORE_SHARED_PROCESSES | PH_STORE_SHARED_NODES
	                                 | PH_STORE_COMPACTS_BESIDE);
	if (second->max_keywords != 0
	    && (table->max_keywords == 0 || second->max_keywords < table->max_keywords))
		table->max_keywords = second->max_keywords;
	if (second->max_keyword_length != 0
	    && (table->max_keyword_length == 0
	        || second->max_keyword_length < table->max_keyword_length))
		table->max_keyword_length = second->max_keyword_length;
}

/* No `share`: the second would not have the octets. */
static const PhStore store = {
	.size = sizeof store,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = read_mailboxes,
	.changes = read_changes,
	.values = read_values,
	.upload = upload,
	.abandon = abandon,
	.content = read_content,
	.commit = commit,
	.outcome = outcome,
	.forget = forget,
	.refresh = refresh,
	.sync = sync_account,
	.watch = ph_below_watch,
	.verify = verify,
	.compact = compact,
	.narrow = narrow,
	.defer = defer,
};

static const PhOffer offers[] = { PH_OFFER_STORE("mirror", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "mirror",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "two stores: the second follows the first and is compared with it",
	.options = options,
	.offers = offers,
};

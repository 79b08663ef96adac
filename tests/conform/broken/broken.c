/* broken.c: passes everything to the store below, spoiled by one fault
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "broken.h"

enum {
	SPLIT_US = 500,
};

static const PhOption options[] = {
	PH_OPTION_SECTION(Settings, below, PH_REQUIRED, PH_KIND_STORE, "the store that works"),
	PH_OPTION_STRING(Settings, fault, "none", "the rule that is broken"),
	PH_OPTIONS_END,
};

static bool
has(const Account *account, uint32_t flag)
{
	return (account->fault->flags & flag) != 0;
}

static GBytes *
id_of(const PhTransaction *transaction)
{
	return g_bytes_new(transaction->id, sizeof transaction->id);
}

/* --- commit ------------------------------------------------------------------------------------ */

/* Copy: a transaction on its way down. */
typedef struct {
	PhTransaction down;
	PhTransaction *up;
	PhOp *ops;
	PhOp **list;
} Copy;

static void
copy_init(Account *account, Copy *copy, PhTransaction *up, uint32_t first, uint32_t n)
{
	copy->up = up;
	copy->down = *up;
	copy->ops = g_new0(PhOp, n + 1);
	copy->list = g_new0(PhOp *, n + 1);
	copy->down.ops = copy->list;
	copy->down.n_ops = n;
	copy->down.error = NULL;
	for (uint32_t i = 0; i < n; i++) {
		copy->ops[i] = *up->ops[first + i];
		copy->list[i] = &copy->ops[i];
		if (account->fault->op != NULL)
			account->fault->op(account, &copy->ops[i], first + i);
	}
}

static void
copy_results(Copy *copy, uint32_t first)
{
	copy->up->done = copy->down.done;
	copy->up->change = copy->down.change;
	g_clear_error(&copy->up->error);
	copy->up->error = g_steal_pointer(&copy->down.error);
	for (uint32_t i = 0; i < copy->down.n_ops; i++) {
		copy->up->ops[first + i]->uid = copy->ops[i].uid;
		copy->up->ops[first + i]->uidvalidity = copy->ops[i].uidvalidity;
	}
	g_free(copy->ops);
	g_free(copy->list);
}

static void
new_id(PhTransaction *transaction)
{
	for (size_t i = 0; i < sizeof transaction->id; i++)
		transaction->id[i] = (uint8_t) g_random_int_range(0, 256);
}

/* A commit of our own. */
static void
extra(Account *account, PhOp *op)
{
	static const char *const no_keywords[] = { NULL };
	PhOp *ops[] = { op };
	PhTransaction transaction = { .ops = ops, .n_ops = 1 };
	PhTransaction *batch[] = { &transaction };

	new_id(&transaction);
	if (op->keywords == NULL)
		op->keywords = no_keywords;
	op->refused = ph_uid_set_new();
	op->missing = ph_uid_set_new();
	(void) account->table->commit(account->handle, batch, 1, NULL);
	ph_uid_set_free(op->refused);
	ph_uid_set_free(op->missing);
	g_clear_error(&transaction.error);
}

static void
before(Account *account, PhTransaction *up)
{
	for (uint32_t i = 0; i < up->n_ops; i++) {
		PhOp op = *up->ops[i];

		if (!has(account, TWICE) || op.kind != PH_OP_FLAGS || op.flags_mode != PH_FLAGS_ADD)
			continue;
		op.flags_mode = PH_FLAGS_REMOVE;
		extra(account, &op);
	}
}

static void
note(Account *account, PhTransaction *up)
{
	if (up->error != NULL && up->error->code == (int) account->fault->from_code)
		up->error->code = (int) account->fault->to_code;
	if (!up->done) {
		g_hash_table_add(account->failed, id_of(up));
		return;
	}
	for (uint32_t i = 0; i < up->n_ops; i++) {
		const PhOp *op = up->ops[i];

		account->expunged |= op->kind == PH_OP_EXPUNGE;
		account->renamed |= op->kind == PH_OP_RENAME;
		if (op->kind == PH_OP_APPEND) {
			account->mailbox = op->mailbox;
			account->uid = op->uid;
		}
		if (op->kind == PH_OP_FLAGS && has(account, RAISES)) {
			PhOp raise = { .kind = PH_OP_RAISE,
				       .mailbox = op->mailbox,
				       .has_given = true };

			raise.given_change = up->change + 1;
			extra(account, &raise);
		}
	}
	if (account->fault->done != NULL)
		account->fault->done(account, up);
	g_hash_table_insert(account->results, id_of(up), ph_transaction_pack(up));
}

/* One operation after the other, each for itself. */
static bool
commit_split(Account *account, PhTransaction *up, GError **error)
{
	bool good = true;

	for (uint32_t i = 0; i < up->n_ops && good; i++) {
		Copy copy = { .up = NULL };
		PhTransaction *batch[] = { &copy.down };

		copy_init(account, &copy, up, i, 1);
		new_id(&copy.down);
		good = account->table->commit(account->handle, batch, 1, error);
		copy_results(&copy, i);
		if (!good)
			return false;
		good = up->done;
		g_usleep(SPLIT_US); /* so that a reader comes between */
	}
	note(account, up);
	return true;
}

static bool
commit_batch(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	g_autofree Copy *copies = g_new0(Copy, n);
	g_autofree PhTransaction **down = g_new0(PhTransaction *, n);
	bool new_ids = has(account, NEW_IDS) || (has(account, NEW_IDS_BATCH) && n > 1);
	bool good = false;

	for (size_t i = 0; i < n; i++) {
		before(account, batch[i]);
		copy_init(account, &copies[i], batch[i], 0, batch[i]->n_ops);
		if (new_ids)
			new_id(&copies[i].down);
		down[has(account, REVERSE) ? n - 1 - i : i] = &copies[i].down;
	}
	good = account->table->commit(account->handle, down, n, error);
	for (size_t i = 0; i < n; i++) {
		copy_results(&copies[i], 0);
		if (good)
			note(account, batch[i]);
	}
	return good;
}

static void
fail_all(PhTransaction *const *batch, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any = any || !batch[i]->done;
	for (size_t i = 0; i < n && any; i++) {
		if (batch[i]->done)
			ph_error_set(&batch[i]->error, PH_ERROR_TEMPORARY, "another one failed");
		batch[i]->done = false;
	}
}

static bool
commit_all(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++) {
		g_autoptr(GBytes) id = id_of(batch[i]);

		if (has(account, KEEP_FAILED) && g_hash_table_contains(account->failed, id)) {
			ph_error_set(&batch[i]->error, PH_ERROR_INVALID, "it failed before");
			return true;
		}
		if (has(account, SPLIT) && !commit_split(account, batch[i], error))
			return false;
	}
	if (!has(account, SPLIT) && !commit_batch(account, batch, n, error))
		return false;
	if (has(account, ALL_FAIL))
		fail_all(batch, n);
	return true;
}

static bool
commit(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	Account *account = data;
	bool good = false;

	atomic_store(&account->committing, true);
	good = commit_all(account, batch, n, error);
	if (has(account, BUSY))
		g_usleep(2000);
	atomic_store(&account->committing, false);
	if (!good && has(account, LIES))
		batch[0]->done = good = true;
	return good;
}

static bool
outcome(void *data, PhTransaction *transaction, GError **error)
{
	Account *account = data;
	g_autoptr(GBytes) id = id_of(transaction);
	GBytes *results = g_hash_table_lookup(account->results, id);
	gsize length = 0;
	const char *packed = results != NULL ? g_bytes_get_data(results, &length) : NULL;

	transaction->done = has(account, KNOWS_ALL)
	                    || (results != NULL
	                        && ph_transaction_unpack(transaction, PH_SLICE(packed, length)));
	return true;
}

/* --- reading ------------------------------------------------------------------------------------- */

typedef struct {
	Account *account;
	const PhChangesQuery *query;
	PhMailboxInfoFunc func;
	void *user_data;
	bool stopped;
} Reading;

static bool
on_info(const PhMailboxInfo *info, void *user_data)
{
	Reading *reading = user_data;
	PhMailboxInfo copy = *info;

	if (reading->account->fault->info != NULL)
		reading->account->fault->info(reading->account, &copy);
	return reading->func(&copy, reading->user_data);
}

static bool
mailboxes(void *data,
          PhMailboxInfoFunc func,
          void *user_data,
          uint64_t *list_change_out,
          GError **error)
{
	Account *account = data;
	Reading reading = { .account = account, .func = func, .user_data = user_data };
	bool good = account->table->mailboxes(account->handle, on_info, &reading, list_change_out,
	                                      error);

	if (list_change_out != NULL && has(account, LIST_STANDS))
		*list_change_out = 1;
	return good;
}

static bool
on_record(const PhRecord *record, void *user_data)
{
	Reading *reading = user_data;
	PhRecord copy = *record;
	const Fault *fault = reading->account->fault;

	if (fault->record != NULL && !fault->record(reading->query, &copy))
		return true;
	if (reading->query->record(&copy, reading->query->user_data))
		return true;
	reading->stopped = true;
	return false;
}

static void
on_expunged(uint32_t first, uint32_t last, void *user_data)
{
	Reading *reading = user_data;

	if (reading->query->expunged != NULL)
		reading->query->expunged(first, last, reading->query->user_data);
}

static bool
changes(void *data,
        const PhMailboxId *mailbox,
        const PhChangesQuery *query,
        PhChangesResult *result_out,
        GError **error)
{
	Account *account = data;
	Reading reading = { .account = account, .query = query };
	PhChangesQuery down = *query;
	g_autoptr(GError) why = NULL;

	down.record = on_record;
	down.expunged = on_expunged;
	down.user_data = &reading;
	if (account->fault->query != NULL)
		account->fault->query(&down);
	if (!account->table->changes(account->handle, mailbox, &down, result_out, &why)) {
		if (has(account, NOT_GONE))
			why->code = PH_ERROR_TEMPORARY;
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	if (account->fault->result != NULL)
		account->fault->result(query, result_out);
	if (reading.stopped && has(account, STOP_FAILS))
		ph_error_set(error, PH_ERROR_TEMPORARY, "stopped");
	return !reading.stopped || !has(account, STOP_FAILS);
}

static bool
values(void *data,
       const PhMailboxId *mailbox,
       const char *prefix,
       PhValueFunc func,
       void *user_data,
       GError **error)
{
	Account *account = data;

	return account->table->values(account->handle, has(account, ONE_VALUES) ? NULL : mailbox,
	                              has(account, NO_PREFIX) ? "" : prefix, func, user_data,
	                              error);
}

/* --- octets ---------------------------------------------------------------------------------------- */

static PhContent *
mixed(Instance *instance, const PhBlobId *blob, PhContent *content)
{
	g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&instance->lock);
	g_autofree char *key = g_base64_encode(blob->octets, blob->length);
	PhContent *first = g_hash_table_lookup(instance->blobs, key);

	if (first == NULL && content != NULL)
		g_hash_table_insert(instance->blobs, g_strdup(key), ph_content_ref(content));
	return first != NULL ? ph_content_ref(first) : content;
}

static bool
upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	g_autoptr(PhContent) spoiled = account->fault->upload != NULL
	                                       ? account->fault->upload(content)
	                                       : ph_content_ref(content);

	if ((has(account, BUSY) && atomic_load(&account->committing)) || account->abandoned) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "not now");
		return false;
	}
	if (!account->table->upload(account->handle, spoiled, durable, blob_out, error))
		return false;
	if (has(account, MIXES_BLOBS))
		ph_content_unref(mixed(account->instance, blob_out, ph_content_ref(spoiled)));
	return true;
}

static void
abandon(void *data, const PhBlobId *blob)
{
	Account *account = data;

	account->abandoned = strcmp(account->fault->name, "upload-abandon") == 0;
	account->expunged |= strcmp(account->fault->name, "abandon-committed") == 0;
	account->table->abandon(account->handle, blob);
}

static bool
content(void *data,
        const PhMailboxId *mailbox,
        uint32_t uid,
        const PhBlobId *blob,
        PhContent **content_out,
        GError **error)
{
	Account *account = data;
	PhContent *found = NULL;

	if (!account->table->content(account->handle, mailbox, uid, blob, &found,
	                             has(account, MIXES_BLOBS) ? NULL : error)
	    && !has(account, MIXES_BLOBS))
		return false;
	if (has(account, MIXES_BLOBS))
		found = mixed(account->instance, blob, found);
	if (account->fault->content != NULL)
		found = account->fault->content(account, found);
	if (found == NULL)
		ph_error_set(error, PH_ERROR_GONE, "gone too soon");
	else
		*content_out = found;
	return found != NULL;
}

/* --- life ------------------------------------------------------------------------------------------ */

static bool
sync_account(void *data, GError **error)
{
	Account *account = data;

	if (!has(account, SYNC_FAILS))
		return account->table->sync(account->handle, error);
	ph_error_set(error, PH_ERROR_TEMPORARY, "no sync today");
	return false;
}

static bool
verify(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Account *account = data;

	if (has(account, FINDS | COUNTS_UPLOADS))
		report("something is wrong", user_data);
	return account->table->verify == NULL
	       || account->table->verify(account->handle, repair, report, user_data, error);
}

static bool
compact(void *data, GError **error)
{
	Account *account = data;

	if (has(account, LOSES) && account->uid != 0) {
		g_autoptr(PhUidSet) one = ph_uid_set_new_range(account->uid, account->uid);
		PhOp op = { .kind = PH_OP_EXPUNGE, .mailbox = account->mailbox, .uids = one };

		extra(account, &op);
	}
	if (has(account, BUSY)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the account is in use");
		return false;
	}
	return account->table->compact(account->handle, error);
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	static atomic_uint n_opened;
	Instance *instance = data;
	Account *account = g_new0(Account, 1);
	PhIdentityValues given = { .size = sizeof given,
		                   .user = ph_identity_user(identity),
		                   .domain = ph_identity_domain(identity),
		                   .quota_octets = ph_identity_quota_octets(identity),
		                   .quota_messages = ph_identity_quota_messages(identity) };
	g_autofree char *text = NULL;
	g_autoptr(PhIdentity) down = NULL;

	account->instance = instance;
	account->table = instance->table;
	account->fault = instance->fault;
	if (account->fault->identity != NULL)
		account->fault->identity(&given, &text);
	down = ph_identity_new(&given, error);
	if (down == NULL
	    || !account->table->open_account(ph_section_instance(instance->settings->below), down,
	                                     &account->handle, error)) {
		g_free(account);
		return false;
	}
	account->n_opened = atomic_fetch_add(&n_opened, 1);
	account->results =
		g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref,
	                              (GDestroyNotify) g_bytes_unref);
	account->failed = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
	                                        (GDestroyNotify) g_bytes_unref, NULL);
	*account_out = account;
	return true;
}

static void
close_account(void *data)
{
	Account *account = data;

	account->table->close_account(account->handle);
	g_hash_table_destroy(account->results);
	g_hash_table_destroy(account->failed);
	g_free(account);
}

static const Fault *
find_fault(const char *name)
{
	static const Fault none = { .name = "none" };

	for (const Fault *fault = faults; fault->name != NULL; fault++)
		if (strcmp(fault->name, name) == 0)
			return fault;
	return strcmp(name, none.name) == 0 ? &none : NULL;
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Instance *instance = g_new0(Instance, 1);

	instance->settings = settings;
	instance->table = ph_section_table(instance->settings->below);
	instance->fault = find_fault(instance->settings->fault);
	instance->blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
	                                        (GDestroyNotify) ph_content_unref);
	*instance_out = instance;
	if (instance->fault == NULL)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no such fault");
	return instance->fault != NULL;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	g_hash_table_destroy(instance->blobs);
	g_free(instance);
}

static void
narrow(void *data, PhStore *table)
{
	const Instance *instance = data;

	table->abilities = instance->table->abilities;
	if ((instance->fault->flags & FOREIGN) != 0)
		table->abilities |= PH_STORE_FOREIGN_WRITERS;
	if ((instance->fault->flags & SHARED) != 0)
		table->abilities |= PH_STORE_SHARED_PROCESSES;
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
	.abandon = abandon,
	.content = content,
	.commit = commit,
	.outcome = outcome,
	.sync = sync_account,
	.verify = verify,
	.compact = compact,
	.narrow = narrow,
};

static const PhOffer offers[] = { PH_OFFER_STORE("broken", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "broken",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "keeps every promise but one, to try the conformance kit",
	.options = options,
	.offers = offers,
};

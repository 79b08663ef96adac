/* encrypt.c: a store that encrypts octets, structures and values in the store below it
 *
 * What the core calls with plain octets goes down sealed and comes back opened; keys are account.c's
 * business. Flags, dates, sizes, names and the keys of values pass as they are. What cannot be opened is
 * an error, never other octets.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/plugin.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "account.h"

#include <string.h>

typedef struct {
	PhSection *below;
	const char *keys;
	bool accept_plain;
	PhDuration renew_after;
} Settings;

static const PhOption options[] = {
	PH_OPTION_SECTION(Settings,
	                  below,
	                  PH_REQUIRED,
	                  PH_KIND_STORE,
	                  "the store that keeps what was encrypted"),
	PH_OPTION_PATH(Settings,
	               keys,
	               PH_REQUIRED,
	               "file with master keys of 64 hexadecimal digits a line, the newest last"),
	PH_OPTION_BOOLEAN(Settings,
	                  accept_plain,
	                  "no",
	                  "read what was stored without encryption before"),
	PH_OPTION_DURATION(Settings,
	                   renew_after,
	                   "0s",
	                   "age at which an account gets a new key for what comes then; 0s: never"),
	PH_OPTIONS_END,
};

static const PhStore store;

/* --- life --------------------------------------------------------------------------------------- */

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	MasterKeys masters = { 0 };
	Instance *instance = NULL;

	if (!ph_below_is_exact(settings->below, error)
	    || !master_keys_read(settings->keys, &masters, error))
		return false;
	instance = g_new0(Instance, 1);
	instance->self = section;
	instance->section = settings->below;
	instance->masters = masters;
	instance->accept_plain = settings->accept_plain;
	instance->renew_after = settings->renew_after.us / G_USEC_PER_SEC;
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	master_keys_clear(&instance->masters);
	g_free(instance);
}

static void
close_account(void *data)
{
	Account *account = data;

	ph_below_close(&account->below);
	ph_secret_wipe(account->keys->data, account->keys->len * sizeof(Key));
	g_array_unref(account->keys);
	(void) pthread_mutex_destroy(&account->lock);
	g_free(account->address);
	g_free(account);
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	const Instance *instance = data;
	Account *account = g_new0(Account, 1);

	account->instance = instance;
	account->address = g_strdup(ph_identity_address(identity));
	account->keys = g_array_new(FALSE, TRUE, sizeof(Key));
	(void) pthread_mutex_init(&account->lock, NULL);
	if (!ph_below_open(&account->below, instance->section, identity, error)
	    || !account_load_keys(account, error) || !account_make_key(account, error)) {
		close_account(account);
		return false;
	}
	*account_out = account;
	return true;
}

/* --- octets -------------------------------------------------------------------------------------- */

static bool
upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	g_autoptr(PhContent) sealed = NULL;
	Key key;

	account_seal_key(account, &key);
	sealed = sealed_make(content, &key, account->address, error);
	ph_secret_wipe(&key, sizeof key);
	return sealed != NULL && ph_below_upload(data, sealed, durable, blob_out, error);
}

static PhContent *
open_stored(Account *account, PhContent *stored, GError **error)
{
	char header[HEADER];
	ssize_t got = ph_content_read(stored, 0, header, HEADER, error);
	PhSlice octets = PH_SLICE(header, got > 0 ? (size_t) got : 0);
	PhContent *content = NULL;
	Key key;

	if (got < 0)
		return NULL;
	if (!sealed_is(octets) && account->instance->accept_plain)
		return ph_content_ref(stored);
	if (!sealed_is(octets) || octets.length < HEADER) {
		ph_error_set(error, PH_ERROR_CORRUPT, "a message of '%s' is not encrypted",
		             account->address);
		return NULL;
	}
	if (!account_find_key(account, sealed_key_id(octets), &key, error))
		return NULL;
	content = sealed_open(stored, octets, &key, account->address, error);
	ph_secret_wipe(&key, sizeof key);
	return content;
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
	message = open_stored(data, stored, error);
	if (message == NULL)
		return false;
	*content_out = message;
	return true;
}

/* --- structures in records ------------------------------------------------------------------------ */

typedef struct {
	Account *account;
	const PhChangesQuery *query;
	GByteArray *plain; /* of the record that is passed on */
	Key key;           /* the one used last */
	bool has_key;
	bool is_missing; /* a key that is not known was wanted */
} Reading;

/* One under a key that is not known is missing: it is made again from the message, which finds the key. */
static PhSlice
open_structure(Reading *reading, const PhRecord *record)
{
	PhSlice id = structure_key_id(record->structure);

	if (id.length == 0)
		return PH_SLICE_EMPTY;
	if (!reading->has_key || memcmp(reading->key.id, id.data, KEY_ID) != 0)
		reading->has_key = account_known_key(reading->account, id, &reading->key);
	reading->is_missing = reading->is_missing || !reading->has_key;
	if (!reading->has_key
	    || !structure_open(record->structure, &reading->key, reading->account->address,
	                       record->message_id, reading->plain))
		return PH_SLICE_EMPTY;
	return PH_SLICE((const char *) reading->plain->data, reading->plain->len);
}

static bool
pass_record(const PhRecord *record, void *user_data)
{
	Reading *reading = user_data;
	PhRecord copy = *record;

	copy.structure = open_structure(reading, record);
	return reading->query->record(&copy, reading->query->user_data);
}

static void
pass_expunged(uint32_t first, uint32_t last, void *user_data)
{
	const Reading *reading = user_data;

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
	PhChangesQuery opened = *query;
	Reading reading = { .account = data, .query = query };
	bool good = false;

	if ((query->fields & PH_FIELD_STRUCTURE) == 0)
		return ph_below_changes(data, mailbox, query, result_out, error);
	reading.plain = g_byte_array_new();
	opened.fields |= PH_FIELD_IDS;
	opened.record = pass_record;
	opened.expunged = pass_expunged;
	opened.user_data = &reading;
	good = ph_below_changes(data, mailbox, &opened, result_out, error);
	if (reading.is_missing)
		(void) account_load_keys(data, NULL); /* for the next one */
	ph_secret_wipe(&reading.key, sizeof reading.key);
	g_byte_array_unref(reading.plain);
	return good;
}

/* --- commits -------------------------------------------------------------------------------------- */

/* Sealed: a structure or value that stands sealed in its operation for the time of a commit. */
typedef struct {
	PhSlice *place;
	PhSlice plain;
	size_t offset; /* of the sealed one */
} Sealed;

typedef struct {
	GArray *ops; /* of Sealed */
	GByteArray *octets;
} Sealing;

static void
seal_op(Account *account, const Key *key, PhOp *op, Sealing *sealing)
{
	const ValuePlace place = { op->is_account_value ? NULL : &op->mailbox, op->key };
	Sealed sealed = { &op->structure, op->structure, sealing->octets->len };

	if (op->kind == PH_OP_PUT) {
		sealed.place = &op->value;
		sealed.plain = op->value;
	}
	if ((op->kind != PH_OP_PUT && op->kind != PH_OP_APPEND) || sealed.plain.length == 0)
		return;
	if (op->kind == PH_OP_PUT)
		value_seal(op->value, key, account->address, &place, sealing->octets);
	else
		structure_seal(op->structure, key, account->address, op->message_id,
		               sealing->octets);
	(void) g_array_append_val(sealing->ops, sealed);
}

static void
seal_batch(Account *account, PhTransaction *const *batch, size_t n, Sealing *sealing)
{
	Key key;

	account_seal_key(account, &key);
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			seal_op(account, &key, batch[i]->ops[j], sealing);
	ph_secret_wipe(&key, sizeof key);
	for (guint i = 0; i < sealing->ops->len; i++) {
		const Sealed *sealed = &g_array_index(sealing->ops, Sealed, i);
		size_t end = i + 1 < sealing->ops->len
		                     ? g_array_index(sealing->ops, Sealed, i + 1).offset
		                     : sealing->octets->len;

		*sealed->place = PH_SLICE((const char *) sealing->octets->data + sealed->offset,
		                          end - sealed->offset);
	}
}

/* The core's operations are as they were. */
static void
unseal_batch(const Sealing *sealing)
{
	for (guint i = 0; i < sealing->ops->len; i++) {
		const Sealed *sealed = &g_array_index(sealing->ops, Sealed, i);

		*sealed->place = sealed->plain;
	}
}

static bool
is_reserved(const PhTransaction *transaction)
{
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];

		if (op->kind == PH_OP_PUT && op->is_account_value
		    && g_str_has_prefix(op->key, RESERVED_PREFIX))
			return true;
	}
	return false;
}

/* What names our own values never reaches them. Returns: the transactions that go down. */
static GPtrArray *
refuse_reserved(PhTransaction *const *batch, size_t n)
{
	GPtrArray *good = g_ptr_array_sized_new((guint) n);

	for (size_t i = 0; i < n; i++) {
		if (!is_reserved(batch[i])) {
			g_ptr_array_add(good, batch[i]);
			continue;
		}
		batch[i]->done = false;
		g_clear_error(&batch[i]->error);
		ph_error_set(&batch[i]->error, PH_ERROR_DENIED,
		             "values under '" RESERVED_PREFIX "' are the store's own");
	}
	return good;
}

static bool
commit(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	g_autoptr(GPtrArray) below = refuse_reserved(batch, n);
	g_autoptr(GArray) ops = g_array_new(FALSE, FALSE, sizeof(Sealed));
	g_autoptr(GByteArray) octets = g_byte_array_new();
	Sealing sealing = { ops, octets };
	bool good = true;

	seal_batch(data, (PhTransaction *const *) below->pdata, below->len, &sealing);
	if (below->len > 0)
		good = ph_below_commit(data, (PhTransaction *const *) below->pdata, below->len,
		                       error);
	unseal_batch(&sealing);
	return good;
}

/* --- values, verify ------------------------------------------------------------------------------- */

typedef struct {
	Account *account;
	const PhMailboxId *mailbox;
	PhValueFunc func;
	void *user_data;
	GByteArray *plain; /* of the value that is passed on */
	Key key;           /* the one used last */
	bool has_key;
	GPtrArray *keys; /* what is put off, from the first value whose data key is not known */
	GPtrArray *sealed;
	GError *error; /* (owned) why one could not be opened */
} Values;

static bool
fail_value(Values *values, const char *key, const char *what)
{
	if (values->error == NULL)
		ph_error_set(&values->error, PH_ERROR_CORRUPT, "the value '%s' of '%s' %s", key,
		             values->account->address, what);
	return false;
}

static bool
find_key(Values *values, PhSlice sealed)
{
	PhSlice id = value_key_id(sealed);

	if (!values->has_key || memcmp(values->key.id, id.data, KEY_ID) != 0)
		values->has_key = account_known_key(values->account, id, &values->key);
	return values->has_key;
}

/* Returns: false with values->error. */
static bool
open_value(Values *values, const char *key, PhSlice sealed, PhSlice *plain_out)
{
	const ValuePlace place = { values->mailbox, key };

	if (!value_is(sealed) && values->account->instance->accept_plain) {
		*plain_out = sealed;
		return true;
	}
	if (!value_is(sealed))
		return fail_value(values, key, "is not encrypted");
	if (!find_key(values, sealed)) {
		if (values->error == NULL)
			account_fail_unknown(values->account, value_key_id(sealed), &values->error);
		return false;
	}
	if (!value_open(sealed, &values->key, values->account->address, &place, values->plain))
		return fail_value(values, key, "was altered or is another's");
	*plain_out = PH_SLICE((const char *) values->plain->data, values->plain->len);
	return true;
}

static bool
pass_value(const char *key, PhSlice value, void *user_data)
{
	Values *values = user_data;
	PhSlice plain = PH_SLICE_EMPTY;

	if (values->mailbox == NULL && g_str_has_prefix(key, RESERVED_PREFIX))
		return true;
	return open_value(values, key, value, &plain)
	       && values->func(key, plain, values->user_data);
}

/* Wanted: a reading of values, and what is done with each. */
typedef struct {
	Values *values;
	PhValueFunc func;
} Wanted;

/* Keys are not read while values are: from the first value on whose key is not known, all wait. */
static bool
pass_or_put_off(const char *key, PhSlice value, void *user_data)
{
	Values *values = ((Wanted *) user_data)->values;

	if (values->keys->len == 0 && (!value_is(value) || find_key(values, value)))
		return ((Wanted *) user_data)->func(key, value, values);
	g_ptr_array_add(values->keys, g_strdup(key));
	g_ptr_array_add(values->sealed, g_bytes_new(value.data, value.length));
	return true;
}

static void
pass_put_off(Values *values, PhValueFunc func)
{
	bool goes_on = values->keys->len == 0 || account_load_keys(values->account, &values->error);

	for (guint i = 0; i < values->keys->len && goes_on; i++) {
		gsize length = 0;
		const char *octets = g_bytes_get_data(values->sealed->pdata[i], &length);

		goes_on = func(values->keys->pdata[i], PH_SLICE(octets, length), values);
	}
}

static bool
read_values(Values *values, const char *prefix, PhValueFunc func, GError **error)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) sealed =
		g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
	Wanted wanted = { values, func };
	bool good = false;

	values->plain = g_byte_array_new();
	values->keys = keys;
	values->sealed = sealed;
	good = ph_below_values(values->account, values->mailbox, prefix, pass_or_put_off, &wanted,
	                       error);
	if (good)
		pass_put_off(values, func);
	ph_secret_wipe(values->plain->data, values->plain->len);
	g_byte_array_unref(values->plain);
	ph_secret_wipe(&values->key, sizeof values->key);
	if (good && values->error != NULL) {
		g_propagate_error(error, g_steal_pointer(&values->error));
		return false;
	}
	g_clear_error(&values->error);
	return good;
}

static bool
values(void *data,
       const PhMailboxId *mailbox,
       const char *prefix,
       PhValueFunc func,
       void *user_data,
       GError **error)
{
	Values values = {
		.account = data,
		.mailbox = mailbox,
		.func = func,
		.user_data = user_data,
	};

	return read_values(&values, prefix, pass_value, error);
}

/* --- values that are checked ---------------------------------------------------------------------- */

typedef struct {
	Values values; /* first */
	PhListLineFunc report;
	void *user_data;
	bool repair;
	GPtrArray *keys; /* of values that are plain, and their octets beside */
	GPtrArray *plain;
} CheckingValues;

static bool
check_value(const char *key, PhSlice value, void *user_data)
{
	CheckingValues *checking = user_data;
	Values *values = &checking->values;
	PhSlice plain = PH_SLICE_EMPTY;

	if (values->mailbox == NULL && g_str_has_prefix(key, RESERVED_PREFIX))
		return true;
	if (!open_value(values, key, value, &plain)) {
		checking->report(values->error->message, checking->user_data);
		g_clear_error(&values->error);
	} else if (!value_is(value)) {
		g_ptr_array_add(checking->keys, g_strdup(key));
		g_ptr_array_add(checking->plain, g_bytes_new(value.data, value.length));
	}
	return true;
}

/* Through `commit`, which seals. */
static bool
put_again(CheckingValues *checking, guint i, GError **error)
{
	static const char *const no_keywords[] = { NULL };
	const PhMailboxId *mailbox = checking->values.mailbox;
	gsize length = 0;
	const char *octets = g_bytes_get_data(checking->plain->pdata[i], &length);
	PhOp op = {
		.kind = PH_OP_PUT,
		.is_account_value = mailbox == NULL,
		.keywords = no_keywords,
		.key = checking->keys->pdata[i],
		.value = PH_SLICE(octets, length),
	};
	PhOp *ops[] = { &op };
	PhTransaction transaction = { .ops = ops, .n_ops = 1 };
	PhTransaction *batch[] = { &transaction };

	if (mailbox != NULL)
		op.mailbox = *mailbox;
	ph_secret_random(transaction.id, sizeof transaction.id);
	if (!commit(checking->values.account, batch, 1, error))
		return false;
	if (!transaction.done && transaction.error != NULL)
		g_propagate_error(error, transaction.error);
	else if (!transaction.done)
		ph_error_set(error, PH_ERROR_TEMPORARY, "the value '%s' of '%s' was not kept",
		             op.key, checking->values.account->address);
	return transaction.done;
}

/* Nothing is said to be encrypted before that is durable. */
static bool
put_all_again(CheckingValues *checking, GError **error)
{
	for (guint i = 0; i < checking->keys->len; i++)
		if (!put_again(checking, i, error))
			return false;
	return checking->keys->len == 0 || ph_below_sync(checking->values.account, error);
}

/* Of the account, or of one mailbox. */
static bool
check_values_of(CheckingValues *checking, const PhMailboxId *mailbox, GError **error)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) plain = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
	bool good = false;

	checking->values.mailbox = mailbox;
	checking->keys = keys;
	checking->plain = plain;
	good = read_values(&checking->values, "", check_value, error);
	if (good && checking->repair)
		good = put_all_again(checking, error);
	for (guint i = 0; good && i < keys->len; i++)
		checking->report(checking->repair ? "a value that was not encrypted was encrypted"
		                                  : "a value is not encrypted",
		                 checking->user_data);
	return good;
}

static bool
take_id(const PhMailboxInfo *info, void *user_data)
{
	(void) g_array_append_val((GArray *) user_data, info->id);
	return true;
}

static bool
check_values(Account *account, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(PhMailboxId));
	CheckingValues checking = {
		.values = { .account = account },
		.report = report,
		.user_data = user_data,
		.repair = repair,
	};
	uint64_t change = 0;
	bool good = ph_below_mailboxes(account, take_id, ids, &change, error)
	            && check_values_of(&checking, NULL, error);

	for (guint i = 0; good && i < ids->len; i++)
		good = check_values_of(&checking, &g_array_index(ids, PhMailboxId, i), error);
	return good;
}

static bool
verify(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Account *account = data;

	if (account->below.store->verify != NULL
	    && !ph_below_verify(data, repair, report, user_data, error))
		return false;
	return account_check_keys(account, repair, report, user_data, error)
	       && check_values(account, repair, report, user_data, error)
	       && ph_store_check_octets(&store, data, report, user_data, error);
}

static void
narrow(void *data, PhStore *table)
{
	const Instance *instance = data;

	ph_below_narrow(instance->section, table);
	table->verify = verify; /* there is always something to check */
	table->abilities |= PH_STORE_HIDES_OCTETS;
}

/* No `share`: one account cannot read another's octets. */
static const PhStore store = {
	.size = sizeof store,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = ph_below_mailboxes,
	.changes = changes,
	.values = values,
	.upload = upload,
	.abandon = ph_below_abandon,
	.content = content,
	.commit = commit,
	.outcome = ph_below_outcome,
	.forget = ph_below_forget,
	.refresh = ph_below_refresh,
	.sync = ph_below_sync,
	.watch = ph_below_watch,
	.verify = verify,
	.compact = ph_below_compact,
	.narrow = narrow,
	.defer = ph_below_defer,
};

static const PhOffer offers[] = { PH_OFFER_STORE("encrypt", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "encrypt",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "messages encrypted with a key for each account in the store below",
	.options = options,
	.offers = offers,
	.load = crypto_load,
};

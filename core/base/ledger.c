/* ledger.c: the metadata of one account in memory
 *
 * Mailboxes, records and values are entries of tables that are replaced, never changed, so that a
 * transaction can be undone; a mailbox is copied when a transaction meets it first. Blobs that were
 * dropped or used are told to the store when it is known whether the transaction is kept.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/apply.h>
#include <posthorn/error.h>
#include <posthorn/ledger.h>

#include "base/lock.h"
#include "base/tables.h"

/* The tables and their keys: mailbox id; mailbox number and uid; mailbox id (0: the account) and
 * key. */
enum {
	MAILBOXES,
	RECORDS,
	VALUES,
	N_TABLES
};

/* Gone: an expunged message. */
typedef struct {
	uint64_t mailbox;
	uint64_t change;
	uint32_t uid;
} Gone;

struct PhLedger {
	PhLock lock; /* guards all */
	const PhLedgerHooks *hooks;
	void *user_data;
	PhTables *tables;
	PhApplied *applied;
	PhApplyHead head;
	PhApplyHead kept; /* at the last finish */
	GArray *gone;     /* of Gone, by change */
	guint n_kept;     /* of gone, at the last finish */
	GArray *used;     /* of PhBlobId: by the transaction under way */
	GArray *dropped;
	uint64_t last_mailbox;
	uint64_t edition;
};

static PhSlice
id_key(const PhMailboxId *id)
{
	return PH_SLICE((const char *) id->octets, sizeof id->octets);
}

/* --- the steps of ph_apply_batch ----------------------------------------------------------------- */

static PhApplyHead *
head(void *data)
{
	return &((PhLedger *) data)->head;
}

static PhApplyMailbox *
mailbox(void *data, const PhMailboxId *id)
{
	PhLedger *ledger = data;
	PhApplyMailbox *found = ph_tables_get(ledger->tables, MAILBOXES, id_key(id));

	if (found == NULL || found->edition == ledger->edition)
		return found;
	found = ph_apply_mailbox_copy(found);
	found->edition = ledger->edition;
	ph_tables_set(ledger->tables, MAILBOXES, id_key(id), found);
	return found;
}

static PhApplyMailbox *
nth_mailbox(PhLedger *ledger, const GPtrArray *keys, guint i)
{
	gsize length = 0;
	const char *data = g_bytes_get_data(keys->pdata[i], &length);

	return ph_tables_get(ledger->tables, MAILBOXES, PH_SLICE(data, length));
}

static bool
named(void *data, const char *name)
{
	PhLedger *ledger = data;
	g_autoptr(GPtrArray) keys = ph_tables_keys(ledger->tables, MAILBOXES, PH_SLICE_EMPTY);

	for (guint i = 0; i < keys->len; i++)
		if (strcmp(nth_mailbox(ledger, keys, i)->info.name, name) == 0)
			return true;
	return false;
}

static void
create(void *data, const PhMailboxInfo *info)
{
	PhLedger *ledger = data;
	PhApplyMailbox *made = ph_apply_mailbox_new(info);

	made->number = ++ledger->last_mailbox;
	made->edition = ledger->edition;
	ph_tables_set(ledger->tables, MAILBOXES, id_key(&info->id), made);
}

static void
remove_mailbox(void *data, PhApplyMailbox *removed)
{
	PhLedger *ledger = data;
	PhMailboxId id = removed->info.id;
	g_autoptr(GPtrArray) keys = ph_tables_keys(ledger->tables, VALUES, id_key(&id));

	for (guint i = 0; i < keys->len; i++) {
		gsize length = 0;
		const char *key = g_bytes_get_data(keys->pdata[i], &length);

		ph_tables_set(ledger->tables, VALUES, PH_SLICE(key, length), NULL);
	}
	ph_tables_set(ledger->tables, MAILBOXES, id_key(&id), NULL);
}

static const PhRecord *
record(void *data, const PhApplyMailbox *in, uint32_t uid)
{
	const PhLedger *ledger = data;
	uint64_t key[2] = { in->number, uid };

	return ph_tables_get(ledger->tables, RECORDS, PH_SLICE((const char *) key, sizeof key));
}

static void
write_record(void *data, PhApplyMailbox *in, const PhRecord *written)
{
	PhLedger *ledger = data;
	uint64_t key[2] = { in->number, written->uid };

	ph_tables_set(ledger->tables, RECORDS, PH_SLICE((const char *) key, sizeof key),
	              ph_apply_record_copy(written));
}

static void
erase(void *data, PhApplyMailbox *in, uint32_t uid, const PhBlobId *blob)
{
	PhLedger *ledger = data;
	uint64_t key[2] = { in->number, uid };
	Gone gone = { .mailbox = in->number, .change = in->info.change, .uid = uid };

	g_array_append_val(ledger->gone, gone);
	if (blob != NULL)
		g_array_append_vals(ledger->dropped, blob, 1);
	ph_tables_set(ledger->tables, RECORDS, PH_SLICE((const char *) key, sizeof key), NULL);
}

static bool
use_blob(void *data, PhBlobId *blob, bool is_copy, GError **error)
{
	PhLedger *ledger = data;

	if (ledger->hooks != NULL && ledger->hooks->use != NULL
	    && !ledger->hooks->use(ledger->user_data, blob, is_copy, error))
		return false;
	g_array_append_vals(ledger->used, blob, 1);
	return true;
}

/* @id: (nullable). Returns: (owned). */
static GByteArray *
value_key(const PhMailboxId *id, const char *key)
{
	static const PhMailboxId none;
	GByteArray *octets = g_byte_array_new();

	(void) g_byte_array_append(octets, (id != NULL ? id : &none)->octets, sizeof none.octets);
	return g_byte_array_append(octets, (const guint8 *) key, (guint) strlen(key));
}

static void
set_value(void *data, const PhMailboxId *id, const char *key, PhSlice value)
{
	PhLedger *ledger = data;
	g_autoptr(GByteArray) whole = value_key(id, key);

	ph_tables_set(ledger->tables, VALUES, PH_SLICE((const char *) whole->data, whole->len),
	              value.length > 0 ? g_bytes_new(value.data, value.length) : NULL);
}

static void
finish(void *data, bool keep)
{
	PhLedger *ledger = data;
	GArray *free_now = keep ? ledger->dropped : ledger->used;

	ph_tables_finish(ledger->tables, keep);
	if (keep) {
		ledger->kept = ledger->head;
		ledger->n_kept = ledger->gone->len;
	}
	ledger->head = ledger->kept;
	g_array_set_size(ledger->gone, ledger->n_kept);
	ledger->edition++;
	for (guint i = 0; i < free_now->len; i++)
		if (ledger->hooks != NULL && ledger->hooks->drop != NULL)
			ledger->hooks->drop(ledger->user_data,
			                    &g_array_index(free_now, PhBlobId, i));
	g_array_set_size(ledger->used, 0);
	g_array_set_size(ledger->dropped, 0);
}

static const PhApplySteps steps = {
	.size = sizeof steps,
	.head = head,
	.mailbox = mailbox,
	.named = named,
	.create = create,
	.remove = remove_mailbox,
	.record = record,
	.write = write_record,
	.erase = erase,
	.blob = use_blob,
	.value = set_value,
	.finish = finish,
};

/* --- life ----------------------------------------------------------------------------------------- */

static void
free_mailbox(void *data)
{
	ph_apply_mailbox_free(data);
}

static void
free_record(void *data)
{
	ph_apply_record_free(data);
}

static void
free_value(void *data)
{
	g_bytes_unref(data);
}

PhLedger *
ph_ledger_new(const PhLedgerHooks *hooks, void *user_data)
{
	static const GDestroyNotify frees[N_TABLES] = { free_mailbox, free_record, free_value };
	PhLedger *ledger = g_new0(PhLedger, 1);

	ph_lock_init(&ledger->lock);
	ledger->hooks = hooks;
	ledger->user_data = user_data;
	ledger->tables = ph_tables_new(frees, N_TABLES);
	ledger->applied = ph_applied_new();
	ledger->gone = g_array_new(FALSE, FALSE, sizeof(Gone));
	ledger->used = g_array_new(FALSE, FALSE, sizeof(PhBlobId));
	ledger->dropped = g_array_new(FALSE, FALSE, sizeof(PhBlobId));
	ledger->edition = 1;
	return ledger;
}

void
ph_ledger_free(PhLedger *ledger)
{
	if (ledger == NULL)
		return;
	ph_tables_free(ledger->tables);
	ph_applied_free(ledger->applied);
	(void) g_array_free(ledger->gone, TRUE);
	(void) g_array_free(ledger->used, TRUE);
	(void) g_array_free(ledger->dropped, TRUE);
	ph_lock_clear(&ledger->lock);
	g_free(ledger);
}

void
ph_ledger_set_quota(PhLedger *ledger, uint64_t octets, uint64_t messages)
{
	PH_LOCKED(&ledger->lock);
	ledger->head.quota_octets = octets;
	ledger->head.quota_messages = messages;
	ledger->kept = ledger->head;
}

/* --- members --------------------------------------------------------------------------------------- */

bool
ph_ledger_commit(PhLedger *ledger, PhTransaction *const *batch, size_t n, GError **error)
{
	PH_LOCKED(&ledger->lock);
	ph_apply_batch(&steps, ledger, ledger->applied, batch, n);
	return true;
}

void
ph_ledger_forget(PhLedger *ledger, PhTime before)
{
	PH_LOCKED(&ledger->lock);
	ph_applied_forget(ledger->applied, before);
}

bool
ph_ledger_mailboxes(PhLedger *ledger,
                    PhMailboxInfoFunc func,
                    void *user_data,
                    uint64_t *list_change_out,
                    GError **error)
{
	g_autoptr(GPtrArray) keys = NULL;
	PH_LOCKED(&ledger->lock);

	keys = ph_tables_keys(ledger->tables, MAILBOXES, PH_SLICE_EMPTY);
	if (list_change_out != NULL)
		*list_change_out = ledger->head.list_change;
	for (guint i = 0; i < keys->len; i++)
		if (!func(&nth_mailbox(ledger, keys, i)->info, user_data))
			break;
	return true;
}

/* Expunges after the change; the newest stand at the end. */
static void
tell_gone(PhLedger *ledger, const PhApplyMailbox *in, const PhChangesQuery *query)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	size_t n = 0;
	const PhUidRange *ranges = NULL;

	for (guint i = ledger->gone->len; i-- > 0;) {
		const Gone *gone = &g_array_index(ledger->gone, Gone, i);

		if (gone->change <= query->since)
			break;
		if (gone->mailbox == in->number)
			ph_uid_set_add(uids, gone->uid);
	}
	ranges = ph_uid_set_ranges(uids, &n);
	for (size_t i = 0; i < n; i++)
		query->expunged(ranges[i].first, ranges[i].last, query->user_data);
}

static void
tell_records(PhLedger *ledger, const PhApplyMailbox *in, const PhChangesQuery *query)
{
	const PhUidSet *there = in->there;

	for (uint32_t uid = ph_uid_set_next(there, 0); uid != 0;
	     uid = ph_uid_set_next(there, uid)) {
		const PhRecord *told = record(ledger, in, uid);

		if (told->change > query->since
		    && (query->uids == NULL || ph_uid_set_contains(query->uids, uid))
		    && !query->record(told, query->user_data))
			break;
	}
}

bool
ph_ledger_changes(PhLedger *ledger,
                  const PhMailboxId *id,
                  const PhChangesQuery *query,
                  PhChangesResult *result_out,
                  GError **error)
{
	const PhApplyMailbox *in = NULL;
	PH_LOCKED(&ledger->lock);

	in = ph_tables_get(ledger->tables, MAILBOXES, id_key(id));
	if (in == NULL) {
		ph_error_set(error, PH_ERROR_GONE, "the mailbox was removed");
		return false;
	}
	*result_out = (PhChangesResult){ .complete_to = in->info.change };
	if (query->since > 0 && query->expunged != NULL)
		tell_gone(ledger, in, query);
	tell_records(ledger, in, query);
	return true;
}

bool
ph_ledger_values(PhLedger *ledger,
                 const PhMailboxId *id,
                 const char *prefix,
                 PhValueFunc func,
                 void *user_data,
                 GError **error)
{
	g_autoptr(GByteArray) whole = value_key(id, prefix);
	g_autoptr(GPtrArray) keys = NULL;
	PH_LOCKED(&ledger->lock);

	keys = ph_tables_keys(ledger->tables, VALUES,
	                      PH_SLICE((const char *) whole->data, whole->len));
	for (guint i = 0; i < keys->len; i++) {
		gsize length = 0;
		gsize value_length = 0;
		const char *key = g_bytes_get_data(keys->pdata[i], &length);
		GBytes *value = ph_tables_get(ledger->tables, VALUES, PH_SLICE(key, length));
		const char *octets = g_bytes_get_data(value, &value_length);
		g_autofree char *name =
			g_strndup(key + sizeof(PhMailboxId), length - sizeof(PhMailboxId));

		if (!func(name, PH_SLICE(octets, value_length), user_data))
			break;
	}
	return true;
}

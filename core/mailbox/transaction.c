/* transaction.c: builds transactions, hands them to the lane, tells who waits
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/transaction.h"

#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/op.h"
#include "journal/journal.h"
#include "mailbox/scan.h"
#include "plugin/call.h"

/* Operation: begins with the public part. */
typedef struct {
	PhOp op;
	PhContent *content; /* (nullable) octets that the journal has to hold */
} Operation;

static void
op_free(void *data)
{
	PhOp *op = data;

	ph_content_unref(((Operation *) data)->content);
	ph_op_clear(op);
	g_free(op);
}

static char *
copy_slice(PhSlice slice)
{
	return slice.length > 0 ? g_memdup2(slice.data, slice.length) : NULL;
}

/* --- life --------------------------------------------------------------------------------------- */

PhTransaction *
ph_transaction_new(PhAccount *account, const uint8_t *id)
{
	PhTx *tx = g_new0(PhTx, 1);

	tx->account = ph_account_ref(account);
	tx->ops = g_ptr_array_new_with_free_func(op_free);
	if (id != NULL)
		memcpy(tx->public.id, id, sizeof tx->public.id);
	else
		ph_mailbox_random(tx->public.id, sizeof tx->public.id);
	return &tx->public;
}

static void
abandon_uploads(PhTx *tx)
{
	for (guint i = 0; i < tx->ops->len; i++) {
		PhOp *op = g_ptr_array_index(tx->ops, i);

		if (op->kind == PH_OP_APPEND && op->blob.length > 0)
			tx->account->store->abandon(tx->account->handle, &op->blob);
	}
}

void
ph_tx_free(PhTx *tx)
{
	if (tx == NULL)
		return;
	if (tx->pinned) {
		abandon_uploads(tx);
		ph_account_release(tx->account);
	}
	g_ptr_array_unref(tx->ops);
	g_clear_error(&tx->public.error);
	ph_account_unref(tx->account);
	g_free(tx);
}

void
ph_transaction_free(PhTransaction *transaction)
{
	if (transaction != NULL)
		ph_transaction_detach(transaction);
}

/* What is under way frees itself when it is resolved. */
void
ph_transaction_detach(PhTransaction *transaction)
{
	PhTx *tx = ph_tx(transaction);
	bool free_now = false;

	ph_lock_take(&tx->account->lock);
	free_now = tx->state != PH_TX_WAITING;
	tx->detached = true;
	ph_lock_drop(&tx->account->lock);
	if (free_now)
		ph_tx_free(tx);
}

void
ph_tx_resolve(PhTx *tx)
{
	PhWake *wake = g_steal_pointer(&tx->wake);
	bool free_now = false;

	ph_lock_take(&tx->account->lock);
	tx->state = PH_TX_RESOLVED;
	free_now = tx->detached;
	ph_lock_drop(&tx->account->lock);
	if (free_now)
		ph_tx_free(tx);
	if (wake != NULL)
		ph_wake_complete(wake);
}

/* --- operations ---------------------------------------------------------------------------------- */

static PhOp *
add_op(PhTransaction *transaction, uint32_t kind, const PhMailboxId *mailbox)
{
	PhTx *tx = ph_tx(transaction);
	PhOp *op = (PhOp *) g_new0(Operation, 1);

	op->kind = kind;
	if (mailbox != NULL)
		op->mailbox = *mailbox;
	op->keywords = (const char *const *) g_new0(char *, 1);
	g_ptr_array_add(tx->ops, op);
	tx->public.ops = (PhOp *const *) tx->ops->pdata;
	tx->public.n_ops = tx->ops->len;
	return op;
}

static void
set_keywords(PhOp *op, const char *const *keywords)
{
	if (keywords == NULL || keywords[0] == NULL)
		return;
	g_strfreev((char **) (uintptr_t) op->keywords);
	op->keywords = (const char *const *) g_strdupv((char **) (uintptr_t) keywords);
}

static PhOp *
add_uid_op(PhTransaction *transaction,
           uint32_t kind,
           const PhMailboxId *mailbox,
           const PhUidSet *uids)
{
	PhOp *op = add_op(transaction, kind, mailbox);

	op->uids = ph_uid_set_copy(uids);
	op->missing = ph_uid_set_new();
	return op;
}

static bool
pin(PhTx *tx, GError **error)
{
	if (!tx->pinned)
		tx->pinned = ph_account_acquire(tx->account, error) != NULL;
	return tx->pinned;
}

/* With deferred commits small octets go into the journal, others are durable from the beginning. */
static bool
goes_into_journal(const PhTx *tx, PhContent *content)
{
	uint64_t length = ph_content_length(content);

	return tx->account->journal != NULL && length <= PH_JOURNAL_OCTETS_MAX
	       && tx->octets + length <= PH_JOURNAL_INLINE_MAX
	       && (tx->account->store->abilities & PH_STORE_HIDES_OCTETS) == 0;
}

static bool
upload(PhTx *tx, PhContent *content, PhBlobId *blob_out, GError **error)
{
	PhAccountCall call;
	bool durable = false;
	bool good = false;

	if (!pin(tx, error) || !ph_account_enter(tx->account, &call, error))
		return false;
	durable = tx->account->journal != NULL && !goes_into_journal(tx, content);
	call.is_blind = true;
	good = call.table->upload(call.engine, content, durable, blob_out, error);
	ph_account_leave(&call, good);
	return good;
}

PhContent *
ph_tx_content(const PhOp *op)
{
	return ((const Operation *) (const void *) op)->content;
}

PhOp *
ph_transaction_append(PhTransaction *transaction,
                      const PhMailboxId *mailbox,
                      PhContent *content,
                      const PhAppendOptions *options,
                      GError **error)
{
	static const PhAppendOptions none = { .size = sizeof none };
	g_autoptr(PhStructure) scanned = NULL;
	const PhStructure *structure = NULL;
	PhBlobId blob = { .length = 0 };
	PhOp *op = NULL;

	options = options != NULL ? options : &none;
	structure = options->structure;
	if (structure == NULL)
		structure = scanned = ph_mailbox_scan(content, error);
	if (structure == NULL || !upload(ph_tx(transaction), content, &blob, error))
		return NULL;
	op = add_op(transaction, PH_OP_APPEND, mailbox);
	if (goes_into_journal(ph_tx(transaction), content))
		((Operation *) op)->content = ph_content_ref(content);
	op->blob = blob;
	op->octets = ph_content_length(content);
	op->flags = options->flags;
	op->save_date = ph_clock_wall_us();
	op->internal_date = options->internal_date != 0 ? options->internal_date : op->save_date;
	op->internal_zone = options->internal_zone;
	op->structure = ph_structure_blob(structure);
	op->structure.data = copy_slice(op->structure);
	ph_mailbox_random(op->message_id, sizeof op->message_id);
	set_keywords(op, options->keywords);
	ph_tx(transaction)->octets += op->octets;
	return op;
}

PhOp *
ph_transaction_flags(PhTransaction *transaction,
                     const PhMailboxId *mailbox,
                     const PhUidSet *uids,
                     uint32_t mode,
                     uint32_t flags,
                     const char *const *keywords)
{
	PhOp *op = add_uid_op(transaction, PH_OP_FLAGS, mailbox, uids);

	op->flags_mode = mode;
	op->flags = flags;
	op->refused = ph_uid_set_new();
	set_keywords(op, keywords);
	return op;
}

PhOp *
ph_transaction_expunge(PhTransaction *transaction, const PhMailboxId *mailbox, const PhUidSet *uids)
{
	return add_uid_op(transaction, PH_OP_EXPUNGE, mailbox, uids);
}

static PhOp *
add_transfer(PhTransaction *transaction,
             uint32_t kind,
             const PhMailboxId *mailbox,
             const PhUidSet *uids,
             const PhMailboxId *to)
{
	PhOp *op = add_uid_op(transaction, kind, mailbox, uids);

	op->to = *to;
	op->save_date = ph_clock_wall_us();
	op->from_uids = ph_uid_set_new();
	op->to_uids = ph_uid_set_new();
	return op;
}

PhOp *
ph_transaction_copy(PhTransaction *transaction,
                    const PhMailboxId *mailbox,
                    const PhUidSet *uids,
                    const PhMailboxId *to)
{
	return add_transfer(transaction, PH_OP_COPY, mailbox, uids, to);
}

PhOp *
ph_transaction_move(PhTransaction *transaction,
                    const PhMailboxId *mailbox,
                    const PhUidSet *uids,
                    const PhMailboxId *to)
{
	return add_transfer(transaction, PH_OP_MOVE, mailbox, uids, to);
}

PhOp *
ph_transaction_create(PhTransaction *transaction, PhSlice name, uint32_t special_use)
{
	PhOp *op = add_op(transaction, PH_OP_CREATE, NULL);

	ph_mailbox_random(op->mailbox.octets, sizeof op->mailbox.octets);
	op->name = ph_slice_dup(name);
	op->special_use = special_use;
	return op;
}

static PhOp *
add_rename(PhTransaction *transaction, const PhMailboxId *mailbox, char *name)
{
	PhOp *op = add_op(transaction, PH_OP_RENAME, mailbox);

	op->name = name;
	return op;
}

/* INBOX is never renamed: its messages move to a new mailbox (RFC 3501 6.3.5). */
static PhOp *
rename_inbox(PhTransaction *transaction, const PhMailboxId *inbox, PhSlice name)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	PhOp *op = ph_transaction_create(transaction, name, 0);
	PhMailboxId to = op->mailbox;

	(void) ph_transaction_move(transaction, inbox, all, &to);
	return op;
}

/* Children follow their parent in the same transaction. */
static void
rename_children(PhTransaction *transaction, const PhNames *names, const char *from, PhSlice to)
{
	g_autofree char *prefix = g_strconcat(from, "/", NULL);
	size_t length = strlen(from);

	for (uint32_t i = 0; i < names->n; i++) {
		const char *name = names->infos[i].name;

		if (!g_str_has_prefix(name, prefix))
			continue;
		(void) add_rename(
			transaction, &names->infos[i].id,
			g_strdup_printf("%.*s%s", (int) to.length, to.data, name + length));
	}
}

PhOp *
ph_transaction_rename(PhTransaction *transaction, const PhMailboxId *mailbox, PhSlice name)
{
	static const PhMailboxId nowhere;
	PhNames *names = ph_account_names(ph_tx(transaction)->account, NULL);
	const char *from = NULL;
	PhOp *op = NULL;

	/* Who the children are, and which one is INBOX, is not known: it must fail. */
	if (names == NULL)
		return add_rename(transaction, &nowhere, ph_slice_dup(name));
	for (uint32_t i = 0; names != NULL && i < names->n; i++)
		if (ph_mailbox_id_equal(&names->infos[i].id, mailbox))
			from = names->infos[i].name;
	if (from != NULL && g_str_equal(from, "INBOX"))
		op = rename_inbox(transaction, mailbox, name);
	else
		op = add_rename(transaction, mailbox, ph_slice_dup(name));
	if (from != NULL && op->kind == PH_OP_RENAME)
		rename_children(transaction, names, from, name);
	ph_names_unref(names);
	return op;
}

PhOp *
ph_transaction_use(PhTransaction *transaction, const PhMailboxInfo *info, uint32_t special_use)
{
	PhOp *op = add_rename(transaction, &info->id, g_strdup(info->name));

	op->special_use = special_use;
	return op;
}

PhOp *
ph_transaction_remove(PhTransaction *transaction, const PhMailboxId *mailbox)
{
	return add_op(transaction, PH_OP_REMOVE, mailbox);
}

PhOp *
ph_transaction_raise(PhTransaction *transaction,
                     const PhMailboxId *mailbox,
                     uint32_t uidnext,
                     uint64_t change)
{
	PhOp *op = add_op(transaction, PH_OP_RAISE, mailbox);

	op->has_given = true;
	op->given_uid = uidnext;
	op->given_change = change;
	return op;
}

PhOp *
ph_transaction_put(PhTransaction *transaction,
                   const PhMailboxId *mailbox,
                   const char *key,
                   PhSlice value)
{
	PhOp *op = add_op(transaction, PH_OP_PUT, mailbox);

	op->is_account_value = mailbox == NULL;
	op->key = g_strdup(key);
	op->value = PH_SLICE(copy_slice(value), value.length);
	return op;
}

/* --- submitting ---------------------------------------------------------------------------------- */

void
ph_transaction_submit(PhTransaction *transaction, PhWake *wake)
{
	PhTx *tx = ph_tx(transaction);

	tx->wake = wake;
	ph_lane_submit(tx);
}

/* Waiting: who runs a transaction without a session. */
typedef struct {
	PhLock lock;
	PhSignal woken;
	bool done;
} Waiting;

static void
wake_up(void *user_data)
{
	Waiting *waiting = user_data;

	PH_LOCKED(&waiting->lock);
	waiting->done = true;
	ph_signal_all(&waiting->woken);
}

bool
ph_transaction_run(PhTransaction *transaction, GError **error)
{
	Waiting waiting = { .done = false };

	ph_lock_init(&waiting.lock);
	ph_signal_init(&waiting.woken);
	ph_transaction_submit(transaction, ph_wake_new_func(wake_up, &waiting));
	ph_lock_take(&waiting.lock);
	while (!waiting.done)
		ph_signal_wait(&waiting.woken, &waiting.lock);
	ph_lock_drop(&waiting.lock);
	ph_signal_clear(&waiting.woken);
	ph_lock_clear(&waiting.lock);
	if (!transaction->done && error != NULL && transaction->error != NULL)
		*error = g_error_copy(transaction->error);
	return transaction->done;
}

/* kit-account.c: opens accounts of the store under test and commits transactions to them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	FILL_STEP = 500, /* operations of a batch that fills a mailbox */
};

static const char domain_of_kit[] = "conform.example";

/* --- accounts ----------------------------------------------------------------------------------- */

static bool
is_inbox(const PhMailboxInfo *info, void *user_data)
{
	PhKitAccount *a = user_data;

	if (strcmp(info->name, "INBOX") != 0)
		return true;
	a->inbox = info->id;
	return false;
}

static void
attach(PhKitAccount *a)
{
	static const PhMailboxId none;
	g_autoptr(GError) error = NULL;

	a->handle = NULL;
	a->inbox = none;
	if (!ph_kit.table->open_account(ph_kit.instance, a->identity, &a->handle, &error))
		ph_kit_fail("open_account: %s", error != NULL ? error->message : "no error given");
	if (!ph_kit.table->mailboxes(a->handle, is_inbox, a, NULL, &error))
		ph_kit_fail("mailboxes: %s", error != NULL ? error->message : "no error given");
	if (memcmp(&a->inbox, &none, sizeof none) == 0)
		ph_kit_create(a, "INBOX", &a->inbox);
}

static void
open_values(PhKitAccount *a, const PhIdentityValues *values)
{
	g_autoptr(GError) error = NULL;

	a->identity = ph_identity_new(values, &error);
	if (a->identity == NULL)
		ph_kit_fail("the kit's own user is refused: %s", error->message);
	attach(a);
}

void
ph_kit_open_user(PhKitAccount *a, const char *user, const char *domain)
{
	PhIdentityValues values = { .size = sizeof values, .user = user, .domain = domain };

	open_values(a, &values);
}

void
ph_kit_open_limited(PhKitAccount *a, const char *who, uint64_t octets, uint64_t messages)
{
	g_autofree char *user = g_strdup_printf("conform-%s-%s-%s", ph_kit.run, ph_kit_rule, who);
	PhIdentityValues values = { .size = sizeof values,
		                    .user = user,
		                    .domain = domain_of_kit,
		                    .quota_octets = octets,
		                    .quota_messages = messages };

	open_values(a, &values);
}

void
ph_kit_open(PhKitAccount *a, const char *who)
{
	ph_kit_open_limited(a, who, 0, 0);
}

void
ph_kit_reopen(PhKitAccount *a)
{
	ph_kit.table->close_account(a->handle);
	attach(a);
}

void
ph_kit_close(PhKitAccount *a)
{
	if (a->handle != NULL)
		ph_kit.table->close_account(g_steal_pointer(&a->handle));
	ph_identity_unref(g_steal_pointer(&a->identity));
}

/* --- describing ----------------------------------------------------------------------------------- */

static void
free_op(void *data)
{
	PhOp *op = data;

	ph_uid_set_free(op->refused);
	ph_uid_set_free(op->missing);
	ph_uid_set_free(op->from_uids);
	ph_uid_set_free(op->to_uids);
	ph_uid_set_free((PhUidSet *) (uintptr_t) op->uids);
	g_strfreev((char **) (uintptr_t) op->keywords);
	g_free(op);
}

PhKitTx *
ph_kit_tx(void)
{
	PhKitTx *tx = g_new0(PhKitTx, 1);
	uint64_t id[2] = { ph_kit_random(), ph_kit_random() };

	memcpy(tx->public.id, id, sizeof tx->public.id);
	tx->ops = g_ptr_array_new_with_free_func(free_op);
	tx->kept = g_ptr_array_new_with_free_func(g_free);
	return tx;
}

void
ph_kit_tx_free(PhKitTx *tx)
{
	g_ptr_array_unref(tx->ops);
	g_ptr_array_unref(tx->kept);
	g_clear_error(&tx->public.error);
	g_free(tx);
}

char *
ph_kit_keep(PhKitTx *tx, char *text)
{
	g_ptr_array_add(tx->kept, text);
	return text;
}

PhOp *
ph_kit_add(PhKitTx *tx, uint32_t kind, const PhMailboxId *mailbox)
{
	PhOp *op = g_new0(PhOp, 1);

	op->kind = kind;
	if (mailbox != NULL)
		op->mailbox = *mailbox;
	op->keywords = (const char *const *) g_new0(char *, 1);
	op->refused = ph_uid_set_new();
	op->missing = ph_uid_set_new();
	op->from_uids = ph_uid_set_new();
	op->to_uids = ph_uid_set_new();
	g_ptr_array_add(tx->ops, op);
	tx->op = op;
	tx->public.ops = (PhOp *const *) tx->ops->pdata;
	tx->public.n_ops = tx->ops->len;
	return op;
}

PhOp *
ph_kit_add_uids(PhKitTx *tx, uint32_t kind, const PhMailboxId *mailbox, const char *uids)
{
	PhOp *op = ph_kit_add(tx, kind, mailbox);

	op->uids = ph_uid_set_parse(ph_slice(uids), 0, SIZE_MAX);
	g_assert(op->uids != NULL);
	return op;
}

PhOp *
ph_kit_add_flags(PhKitTx *tx, const PhMailboxId *mailbox, const char *uids, uint32_t mode)
{
	PhOp *op = ph_kit_add_uids(tx, PH_OP_FLAGS, mailbox, uids);

	op->flags_mode = mode;
	return op;
}

PhOp *
ph_kit_add_create(PhKitTx *tx, const char *name, PhMailboxId *id_out)
{
	uint64_t id[2] = { ph_kit_random(), ph_kit_random() };
	PhOp *op = NULL;

	memcpy(id_out->octets, id, sizeof id_out->octets);
	op = ph_kit_add(tx, PH_OP_CREATE, id_out);
	op->name = ph_kit_keep(tx, g_strdup(name));
	return op;
}

PhOp *
ph_kit_add_rename(PhKitTx *tx, const PhMailboxId *mailbox, const char *name)
{
	PhOp *op = ph_kit_add(tx, PH_OP_RENAME, mailbox);

	op->name = ph_kit_keep(tx, g_strdup(name));
	return op;
}

PhOp *
ph_kit_add_transfer(PhKitTx *tx,
                    uint32_t kind,
                    const PhMailboxId *from,
                    const char *uids,
                    const PhMailboxId *to)
{
	PhOp *op = ph_kit_add_uids(tx, kind, from, uids);

	op->to = *to;
	op->save_date = g_get_real_time();
	return op;
}

PhOp *
ph_kit_add_put(PhKitTx *tx, const PhMailboxId *mailbox, const char *key, PhSlice value)
{
	PhOp *op = ph_kit_add(tx, PH_OP_PUT, mailbox);

	op->is_account_value = mailbox == NULL;
	op->key = ph_kit_keep(tx, g_strdup(key));
	op->value = PH_SLICE(ph_kit_keep(tx, g_memdup2(value.data, value.length)), value.length);
	return op;
}

PhSlice
ph_kit_small(void)
{
	return PH_SLICE_LITERAL("Subject: hello\r\n\r\nJust a line.\r\n");
}

PhOp *
ph_kit_add_append(PhKitTx *tx, PhKitAccount *a, const PhMailboxId *mailbox, PhSlice octets)
{
	PhSlice all = octets.data == NULL && octets.length == 0 ? ph_kit_small() : octets;
	g_autoptr(PhContent) content = ph_content_new_copy(all);
	g_autoptr(GError) error = NULL;
	PhOp *op = ph_kit_add(tx, PH_OP_APPEND, mailbox);
	uint64_t id = ph_kit_random();

	if (!ph_kit.table->upload(a->handle, content, false, &op->blob, &error))
		ph_kit_fail("upload of %" G_GSIZE_FORMAT " octets: %s", all.length,
		            error != NULL ? error->message : "no error given");
	op->octets = all.length;
	op->internal_date = INT64_C(1700000000) * 1000000;
	op->save_date = g_get_real_time();
	memcpy(op->message_id, &id, sizeof id);
	op->structure = PH_SLICE_LITERAL("kit");
	return op;
}

void
ph_kit_set_keywords(PhKitTx *tx, PhOp *op, const char *words)
{
	if (words == NULL || words[0] == '\0')
		return;
	g_strfreev((char **) (uintptr_t) op->keywords);
	op->keywords = (const char *const *) g_strsplit(words, " ", -1);
}

/* --- committing ------------------------------------------------------------------------------------ */

void
ph_kit_batch(PhKitAccount *a, PhKitTx *const *txs, size_t n)
{
	g_autoptr(GError) error = NULL;
	g_autofree PhTransaction **batch = g_new0(PhTransaction *, n);

	for (size_t i = 0; i < n; i++)
		batch[i] = &txs[i]->public;
	if (!ph_kit.table->commit(a->handle, batch, n, &error))
		ph_kit_fail("commit returned false: %s",
		            error != NULL ? error->message : "and gave no error");
	for (size_t i = 0; i < n; i++)
		KIT_CHECK(batch[i]->done == (batch[i]->error == NULL), "a transaction that is %s",
		          batch[i]->done ? "done has an error" : "not done has no error");
}

bool
ph_kit_commit(PhKitAccount *a, PhKitTx *tx)
{
	ph_kit_batch(a, &tx, 1);
	return tx->public.done;
}

uint64_t
ph_kit_must(PhKitAccount *a, PhKitTx *tx, const char *what)
{
	g_autoptr(PhKitTx) owned = tx;

	KIT_CHECK(ph_kit_commit(a, owned), "%s failed: %s", what, owned->public.error->message);
	return owned->public.change;
}

void
ph_kit_must_fail(PhKitAccount *a, PhKitTx *tx, uint32_t code, const char *what)
{
	g_autoptr(PhKitTx) owned = tx;
	const GError *error = NULL;

	KIT_CHECK(!ph_kit_commit(a, owned), "%s was done, and should have failed", what);
	error = owned->public.error;
	KIT_CHECK(error->domain == PH_ERROR, "%s failed with an error of another domain: %s", what,
	          error->message);
	KIT_CHECK(code == 0 || (uint32_t) error->code == code,
	          "%s failed with class %d (%s), expected %u", what, error->code, error->message,
	          code);
}

uint32_t
ph_kit_append(PhKitAccount *a, const PhMailboxId *mailbox, PhSlice octets)
{
	g_autoptr(PhKitTx) tx = ph_kit_tx();

	(void) ph_kit_add_append(tx, a, mailbox, octets);
	KIT_CHECK(ph_kit_commit(a, tx), "append failed: %s", tx->public.error->message);
	KIT_CHECK(tx->op->uid != 0, "append gave no uid");
	return tx->op->uid;
}

void
ph_kit_fill(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t n)
{
	while (n > 0) {
		g_autoptr(GPtrArray) txs =
			g_ptr_array_new_with_free_func((GDestroyNotify) ph_kit_tx_free);

		for (uint32_t i = 0; i < FILL_STEP && n > 0; i++, n--) {
			PhKitTx *tx = ph_kit_tx();

			(void) ph_kit_add_append(tx, a, mailbox, PH_SLICE_EMPTY);
			g_ptr_array_add(txs, tx);
		}
		ph_kit_batch(a, (PhKitTx *const *) txs->pdata, txs->len);
		for (guint i = 0; i < txs->len; i++) {
			const PhKitTx *tx = g_ptr_array_index(txs, i);

			KIT_CHECK(tx->public.done, "append failed: %s", tx->public.error->message);
		}
	}
}

void
ph_kit_create(PhKitAccount *a, const char *name, PhMailboxId *id_out)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add_create(tx, name, id_out);
	(void) ph_kit_must(a, tx, "create");
}

void
ph_kit_remove(PhKitAccount *a, const PhMailboxId *mailbox)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add(tx, PH_OP_REMOVE, mailbox);
	(void) ph_kit_must(a, tx, "remove");
}

uint64_t
ph_kit_expunge(PhKitAccount *a, const PhMailboxId *mailbox, const char *uids)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, mailbox, uids);
	return ph_kit_must(a, tx, "expunge");
}

uint64_t
ph_kit_set_flags(PhKitAccount *a,
                 const PhMailboxId *mailbox,
                 const char *uids,
                 uint32_t mode,
                 uint32_t flags,
                 const char *keywords)
{
	PhKitTx *tx = ph_kit_tx();

	ph_kit_add_flags(tx, mailbox, uids, mode)->flags = flags;
	ph_kit_set_keywords(tx, tx->op, keywords);
	return ph_kit_must(a, tx, "a flag change");
}

uint64_t
ph_kit_transfer(PhKitAccount *a,
                uint32_t kind,
                const PhMailboxId *from,
                const char *uids,
                const PhMailboxId *to)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add_transfer(tx, kind, from, uids, to);
	return ph_kit_must(a, tx, kind == PH_OP_COPY ? "copy" : "move");
}

/* apply-batch.c: every kind of operation, on top of a store's few steps
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "base/apply.h"

/* Run: one operation of a transaction. */
typedef struct {
	const PhApplySteps *steps;
	void *account;
	PhApplyHead *head;
	PhOp *op;
	PhApplyMailbox *mailbox; /* NULL for CREATE and the account's values */
	PhApplyMailbox *to;      /* COPY, MOVE */
	GError **error;
} Run;

/* --- changes and counts ------------------------------------------------------------------------- */

static uint64_t
own_change(Run *run)
{
	PhApplyHead *head = run->head;

	if (head->own_change == 0)
		head->own_change = head->change = ph_op_next_change(run->op, head->change);
	return head->own_change;
}

static void
count(Run *run, PhApplyMailbox *mailbox, const PhRecord *record, int by)
{
	ph_mailbox_info_count(&mailbox->info, record, by);
	run->head->n_messages += by < 0 ? UINT64_MAX : 1U;
	run->head->octets += by < 0 ? 0 - record->octets : record->octets;
}

static void
write_new(Run *run, PhApplyMailbox *mailbox, PhRecord *record)
{
	record->change = mailbox->info.change = own_change(run);
	count(run, mailbox, record, 1);
	ph_uid_set_add(mailbox->there, record->uid);
	run->steps->write(run->account, mailbox, record);
}

static void
erase(Run *run, uint32_t uid, bool has_moved)
{
	const PhRecord *record = run->steps->record(run->account, run->mailbox, uid);
	g_autoptr(PhUidSet) one = ph_uid_set_new_range(uid, uid);
	PhBlobId blob = record->blob;

	run->mailbox->info.change = own_change(run);
	count(run, run->mailbox, record, -1);
	ph_uid_set_remove_set(run->mailbox->there, one);
	run->steps->erase(run->account, run->mailbox, uid, has_moved ? NULL : &blob);
}

static bool
has_room(Run *run, uint64_t octets)
{
	const PhApplyHead *head = run->head;
	bool full =
		(head->quota_messages != 0 && head->n_messages >= head->quota_messages)
		|| (head->quota_octets != 0
	            && (octets > head->quota_octets || head->octets > head->quota_octets - octets));

	if (!full || run->op->has_given)
		return true;
	ph_error_set(run->error, PH_ERROR_OVER_QUOTA, "the account's quota would be exceeded");
	return false;
}

static bool
admit(Run *run, PhApplyMailbox *mailbox, const char *const *keywords)
{
	return ph_keywords_admit(mailbox->keywords, keywords, run->steps->max_keywords,
	                         run->steps->max_keyword_length, run->error);
}

/* --- operations on messages ---------------------------------------------------------------------- */

static bool
apply_append(Run *run)
{
	PhOp *op = run->op;
	PhApplyMailbox *mailbox = run->mailbox;
	PhRecord record = { .flags = op->flags,
		            .keywords = op->keywords,
		            .internal_date = op->internal_date,
		            .internal_zone = op->internal_zone,
		            .save_date = op->save_date,
		            .octets = op->octets,
		            .blob = op->blob,
		            .structure = op->structure };

	if (!has_room(run, op->octets) || !admit(run, mailbox, op->keywords)
	    || !run->steps->blob(run->account, &record.blob, false, run->error)
	    || !ph_uid_take(&mailbox->info.uidnext, op->has_given ? op->given_uid : 0, &op->uid,
	                    run->error))
		return false;
	memcpy(record.message_id, op->message_id, sizeof record.message_id);
	record.uid = op->uid;
	op->uidvalidity = mailbox->info.uidvalidity;
	write_new(run, mailbox, &record);
	return true;
}

static void
alter(Run *run, uint32_t uid)
{
	const PhRecord *old = run->steps->record(run->account, run->mailbox, uid);
	PhRecord record = *old;
	char **keywords = NULL;

	if (ph_op_is_refused(run->op, uid, old->change, run->head->own_change))
		return;
	keywords = g_strdupv((char **) (uintptr_t) old->keywords);
	if (ph_op_alter(run->op, &record.flags, &keywords)) {
		record.keywords = (const char *const *) keywords;
		count(run, run->mailbox, old, -1);
		write_new(run, run->mailbox, &record);
	}
	g_strfreev(keywords);
}

static bool
apply_flags(Run *run)
{
	g_autoptr(PhUidSet) targets = ph_op_targets(run->op, run->mailbox->there, run->error);

	if (targets == NULL
	    || (run->op->flags_mode != PH_FLAGS_REMOVE
	        && !admit(run, run->mailbox, run->op->keywords)))
		return false;
	for (uint32_t uid = ph_uid_set_next(targets, 0); uid != 0;
	     uid = ph_uid_set_next(targets, uid))
		alter(run, uid);
	return true;
}

static bool
apply_expunge(Run *run)
{
	g_autoptr(PhUidSet) targets = ph_op_targets(run->op, run->mailbox->there, run->error);

	if (targets == NULL)
		return false;
	for (uint32_t uid = ph_uid_set_next(targets, 0); uid != 0;
	     uid = ph_uid_set_next(targets, uid))
		erase(run, uid, false);
	return true;
}

/* @record: a copy of what stands under @uid. @given: the uid over there, 0 for the next. */
static bool
write_there(Run *run, PhRecord *record, uint32_t uid, uint32_t given)
{
	PhOp *op = run->op;
	bool is_move = op->kind == PH_OP_MOVE;

	if ((!is_move && !has_room(run, record->octets)) || !admit(run, run->to, record->keywords)
	    || (!is_move && !run->steps->blob(run->account, &record->blob, true, run->error))
	    || !ph_uid_take(&run->to->info.uidnext, given, &record->uid, run->error))
		return false;
	record->save_date = op->save_date;
	write_new(run, run->to, record);
	if (!op->has_given) {
		ph_uid_set_add(op->from_uids, uid);
		ph_uid_set_add(op->to_uids, record->uid);
	}
	if (is_move)
		erase(run, uid, true);
	return true;
}

static bool
transfer_one(Run *run, uint32_t uid, uint32_t given)
{
	PhRecord *copy = ph_apply_record_copy(run->steps->record(run->account, run->mailbox, uid));
	bool good = write_there(run, copy, uid, given);

	ph_apply_record_free(copy);
	return good;
}

static bool
apply_transfer(Run *run)
{
	PhOp *op = run->op;
	g_autoptr(PhUidSet) targets = ph_op_targets(op, run->mailbox->there, run->error);
	const PhUidSet *from = op->has_given ? op->from_uids : targets;
	uint32_t given = 0;

	run->to = run->steps->mailbox(run->account, &op->to);
	if (targets == NULL)
		return false;
	if (run->to == NULL) {
		ph_error_set(run->error, PH_ERROR_NOT_FOUND, "there is no such mailbox");
		return false;
	}
	op->uidvalidity = run->to->info.uidvalidity;
	for (uint32_t uid = ph_uid_set_next(from, 0); uid != 0; uid = ph_uid_set_next(from, uid)) {
		given = op->has_given ? ph_uid_set_next(op->to_uids, given) : 0;
		if (ph_uid_set_contains(targets, uid) && !transfer_one(run, uid, given))
			return false;
	}
	return true;
}

static bool
apply_raise(Run *run)
{
	PhMailboxInfo *info = &run->mailbox->info;

	info->uidnext = MAX(info->uidnext, run->op->given_uid);
	if (run->op->given_change > info->change) {
		info->change = run->op->given_change;
		run->head->change = MAX(run->head->change, info->change);
		run->head->own_change = run->head->change;
	}
	return true;
}

/* --- operations on mailboxes and values ----------------------------------------------------------- */

static bool
is_free(Run *run)
{
	if (!run->steps->named(run->account, run->op->name))
		return true;
	ph_error_set(run->error, PH_ERROR_EXISTS, "mailbox '%s' exists already", run->op->name);
	return false;
}

static bool
apply_create(Run *run)
{
	PhOp *op = run->op;
	PhMailboxInfo info = { .id = op->mailbox,
		               .name = op->name,
		               .special_use = op->special_use,
		               .uidnext = op->has_given && op->given_uid != 0 ? op->given_uid : 1 };

	if (!is_free(run))
		return false;
	if (run->steps->mailbox(run->account, &op->mailbox) != NULL) {
		ph_error_set(run->error, PH_ERROR_EXISTS, "there is a mailbox with this id");
		return false;
	}
	info.uidvalidity = ph_uidvalidity_next(&run->head->uidvalidity,
	                                       op->has_given ? op->given_uidvalidity : 0);
	info.change = own_change(run);
	op->uidvalidity = info.uidvalidity;
	run->head->list_change++;
	run->steps->create(run->account, &info);
	return true;
}

static bool
apply_rename(Run *run)
{
	PhMailboxInfo *info = &run->mailbox->info;

	if (strcmp(info->name, run->op->name) != 0 && !is_free(run))
		return false;
	g_free((char *) (uintptr_t) info->name);
	info->name = g_strdup(run->op->name);
	if (run->op->special_use != 0)
		info->special_use = run->op->special_use;
	run->head->list_change++;
	return true;
}

static bool
apply_remove(Run *run)
{
	g_autoptr(PhUidSet) all = ph_uid_set_copy(run->mailbox->there);

	for (uint32_t uid = ph_uid_set_next(all, 0); uid != 0; uid = ph_uid_set_next(all, uid))
		erase(run, uid, false);
	(void) own_change(run);
	run->head->list_change++;
	run->steps->remove(run->account, run->mailbox);
	return true;
}

static bool
apply_put(Run *run)
{
	const PhOp *op = run->op;

	run->steps->value(run->account, op->is_account_value ? NULL : &op->mailbox, op->key,
	                  op->value);
	return true;
}

/* --- transactions ---------------------------------------------------------------------------------- */

static bool (*const kinds[])(Run *run) = {
	[PH_OP_APPEND] = apply_append,   [PH_OP_FLAGS] = apply_flags,
	[PH_OP_EXPUNGE] = apply_expunge, [PH_OP_COPY] = apply_transfer,
	[PH_OP_MOVE] = apply_transfer,   [PH_OP_CREATE] = apply_create,
	[PH_OP_RENAME] = apply_rename,   [PH_OP_REMOVE] = apply_remove,
	[PH_OP_PUT] = apply_put,         [PH_OP_RAISE] = apply_raise,
};

static bool
apply_op(const PhApplySteps *steps, void *account, PhOp *op, GError **error)
{
	Run run = { .steps = steps, .account = account, .op = op, .error = error };

	run.head = steps->head(account);
	if (op->kind >= G_N_ELEMENTS(kinds) || kinds[op->kind] == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED, "operation %u is not known", op->kind);
		return false;
	}
	if (op->kind == PH_OP_CREATE || (op->kind == PH_OP_PUT && op->is_account_value))
		return kinds[op->kind](&run);
	run.mailbox = steps->mailbox(account, &op->mailbox);
	if (run.mailbox != NULL)
		return kinds[op->kind](&run);
	ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no such mailbox");
	return false;
}

static void
apply_one(const PhApplySteps *steps, void *account, PhApplied *applied, PhTransaction *transaction)
{
	PhApplyHead *head = steps->head(account);
	bool good = true;

	ph_transaction_clear(transaction);
	if (applied != NULL && ph_applied_give(applied, transaction))
		return;
	head->own_change = 0;
	for (uint32_t i = 0; i < transaction->n_ops && good; i++)
		good = apply_op(steps, account, transaction->ops[i], &transaction->error);
	transaction->change = head->own_change != 0 ? head->own_change : head->change;
	transaction->done = good;
	steps->finish(account, good);
	if (good && applied != NULL)
		ph_applied_note(applied, transaction);
}

void
ph_apply_batch(const PhApplySteps *steps,
               void *account,
               PhApplied *applied,
               PhTransaction *const *batch,
               size_t n)
{
	for (size_t i = 0; i < n; i++)
		apply_one(steps, account, applied, batch[i]);
}

/* faults.c: for each rule of the conformance kit, one way to break it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "broken.h"

#include <unistd.h>

enum {
	MANY = 1000,
	SIXTY_FOUR_KIB = 65536,
};

static const char *const none[] = { NULL };

/* --- operations on their way down -------------------------------------------------------------- */

static void
do_nothing(PhOp *op)
{
	op->kind = PH_OP_PUT;
	op->is_account_value = true;
	op->key = "never";
	op->value = PH_SLICE_EMPTY;
}

static void
add_replaces(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_FLAGS && op->flags_mode == PH_FLAGS_ADD)
		op->flags_mode = PH_FLAGS_REPLACE;
}

static void
replace_adds(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_FLAGS && op->flags_mode == PH_FLAGS_REPLACE)
		op->flags_mode = PH_FLAGS_ADD;
}

static void
remove_keeps_keywords(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_FLAGS && op->flags_mode == PH_FLAGS_REMOVE)
		op->keywords = none;
}

static void
no_draft(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_FLAGS)
		op->flags &= ~(uint32_t) PH_FLAG_DRAFT;
}

static void
zero_is_no_value(Account *account, PhOp *op, uint32_t i)
{
	if (op->unchanged_since == 0)
		op->has_unchanged_since = false;
}

static void
need_not_exist(Account *account, PhOp *op, uint32_t i)
{
	op->must_exist = false;
}

static void
move_copies(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_MOVE)
		op->kind = PH_OP_COPY;
}

static void
copy_within_nothing(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_COPY && memcmp(&op->mailbox, &op->to, sizeof op->to) == 0)
		do_nothing(op);
}

static void
no_child_is_renamed(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_RENAME && strchr(op->name, '/') != NULL)
		do_nothing(op);
}

static void
names_in_lower_case(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_CREATE && strcmp(op->name, "INBOX") != 0)
		op->name = g_intern_string(g_ascii_strdown(op->name, -1));
}

static void
dots_are_escaped(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_CREATE)
		op->name = g_intern_string(g_strdelimit(g_strdup(op->name), ".", '_'));
}

static void
short_names(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_CREATE)
		op->name = g_intern_string(g_strndup(op->name, 100));
}

static void
nothing_given(Account *account, PhOp *op, uint32_t i)
{
	op->has_given = op->has_given && op->kind == PH_OP_RAISE;
	if (op->kind != PH_OP_COPY && op->kind != PH_OP_MOVE)
		return;
	ph_uid_set_clear(op->from_uids);
	ph_uid_set_clear(op->to_uids);
}

static void
no_raise(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_RAISE)
		do_nothing(op);
}

static void
short_values(Account *account, PhOp *op, uint32_t i)
{
	op->value.length = MIN(op->value.length, 4096);
}

static void
few_values(Account *account, PhOp *op, uint32_t i)
{
	if (op->kind == PH_OP_PUT && i >= 100)
		op->value = PH_SLICE_EMPTY;
}

static void
one_owner_of_values(Account *account, PhOp *op, uint32_t i)
{
	op->is_account_value = op->is_account_value || op->kind == PH_OP_PUT;
}

/* Without the zone. */
static void
no_zone(Account *account, PhOp *op, uint32_t i)
{
	op->internal_zone = 0;
}

static void
long_keywords_vanish(Account *account, PhOp *op, uint32_t i)
{
	if (op->keywords != NULL && op->keywords[0] != NULL && strlen(op->keywords[0]) > 100)
		op->keywords = none;
}

/* Another case is another keyword: what is removed is not found. */
static void
keywords_by_case(Account *account, PhOp *op, uint32_t i)
{
	if (op->flags_mode == PH_FLAGS_REMOVE)
		op->keywords = none;
}

/* Acknowledged, not done. */
static void
some_flags_are_lost(Account *account, PhOp *op, uint32_t i)
{
	/* the first of each process, too: on a busy machine one is killed before it has done much */
	if (op->kind == PH_OP_FLAGS && ++account->n_flags % 2 == 1)
		do_nothing(op);
}

/* --- results on their way up ------------------------------------------------------------------------ */

static void
each_op(PhTransaction *transaction, uint32_t kind, void (*func)(PhOp *op))
{
	for (uint32_t i = 0; i < transaction->n_ops; i++)
		if (transaction->ops[i]->kind == kind)
			func(transaction->ops[i]);
}

static void
spoil_uidvalidity(PhOp *op)
{
	op->uidvalidity++;
}

static void
append_other_uidvalidity(Account *account, PhTransaction *transaction)
{
	each_op(transaction, PH_OP_APPEND, spoil_uidvalidity);
}

static void
append_swaps_uids(Account *account, PhTransaction *transaction)
{
	uint32_t uid = transaction->n_ops > 1 ? transaction->ops[0]->uid : 0;

	if (uid == 0 || transaction->ops[1]->kind != PH_OP_APPEND)
		return;
	transaction->ops[0]->uid = transaction->ops[1]->uid;
	transaction->ops[1]->uid = uid;
}

static void
spoil_uid(PhOp *op)
{
	op->uid = MANY - op->uid;
}

static void
uids_descend(Account *account, PhTransaction *transaction)
{
	each_op(transaction, PH_OP_APPEND, spoil_uid);
}

static void
forget_missing(PhOp *op)
{
	ph_uid_set_clear(op->missing);
}

static void
expunge_forgets_missing(Account *account, PhTransaction *transaction)
{
	each_op(transaction, PH_OP_EXPUNGE, forget_missing);
}

static void
flags_forget_missing(Account *account, PhTransaction *transaction)
{
	each_op(transaction, PH_OP_FLAGS, forget_missing);
}

static void
forget_pairs(PhOp *op)
{
	ph_uid_set_clear(op->to_uids);
}

static void
copy_forgets_pairs(Account *account, PhTransaction *transaction)
{
	each_op(transaction, PH_OP_COPY, forget_pairs);
}

/* --- what is read ------------------------------------------------------------------------------------ */

static void
no_since(PhChangesQuery *query)
{
	query->since = 0;
}

static void
any_uid(PhChangesQuery *query)
{
	query->uids = NULL;
}

static void
ignore_range(uint32_t first, uint32_t last, void *user_data)
{
}

static void
no_expunged(PhChangesQuery *query)
{
	query->expunged = ignore_range;
}

static void
no_octets_alone(PhChangesQuery *query)
{
	if (query->fields == PH_FIELD_OCTETS)
		query->fields = 0;
}

static bool
octets_among_others(const PhChangesQuery *query, PhRecord *record)
{
	if (query->fields == PH_FIELD_OCTETS)
		record->octets = 0;
	return true;
}

static bool
one_is_hidden(const PhChangesQuery *query, PhRecord *record)
{
	return record->uid != 1500;
}

static void
complete_too_far(const PhChangesQuery *query, PhChangesResult *result)
{
	result->complete_to++;
}

static void
says_full(const PhChangesQuery *query, PhChangesResult *result)
{
	result->full = query->since > 0;
}

static void
no_use(Account *account, PhMailboxInfo *info)
{
	info->special_use = 0;
}

static void
renamed_is_new(Account *account, PhMailboxInfo *info)
{
	info->uidvalidity += account->renamed;
}

static void
uidnext_is_count(Account *account, PhMailboxInfo *info)
{
	info->uidnext = info->n_messages + 1;
}

static void
uidvalidity_of_opening(Account *account, PhMailboxInfo *info)
{
	info->uidvalidity += account->n_opened;
}

static void
uidvalidity_one(Account *account, PhMailboxInfo *info)
{
	info->uidvalidity = 1;
}

static void
change_one(Account *account, PhMailboxInfo *info)
{
	info->change = 1;
}

static void
unseen_too_many(Account *account, PhMailboxInfo *info)
{
	info->n_unseen += info->n_messages > 5;
}

/* --- octets ------------------------------------------------------------------------------------------- */

static PhContent *
cut_long(PhContent *content)
{
	return ph_content_new_range(content, 0, SIXTY_FOUR_KIB);
}

static PhContent *
cut_file(PhContent *content)
{
	int fd = -1;
	uint64_t offset = 0;

	return ph_content_file(content, &fd, &offset)
	               ? ph_content_new_range(content, 1, ph_content_length(content))
	               : ph_content_ref(content);
}

/* Every octet @from becomes @to. */
static PhContent *
replaced(PhContent *content, char from, char to)
{
	size_t length = ph_content_length(content);
	char *octets = g_malloc(length + 1);

	(void) ph_content_read(content, 0, octets, length, NULL);
	for (size_t i = 0; i < length; i++)
		if (octets[i] == from)
			octets[i] = to;
	return ph_content_new_take(octets, length);
}

static PhContent *
no_nul(PhContent *content)
{
	return replaced(content, '\0', ' ');
}

static PhContent *
seven_bits(PhContent *content)
{
	return replaced(content, '\xff', '?');
}

/* The whole message at once. */
static PhContent *
held_in_memory(PhContent *content)
{
	return replaced(content, '\0', '\0');
}

static PhContent *
gone_after_expunge(Account *account, PhContent *content)
{
	if (!account->expunged)
		return content;
	ph_content_unref(content);
	return NULL;
}

static ssize_t
read_wrapped(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	return ph_content_read(handle, offset % SIXTY_FOUR_KIB, buffer, length, error);
}

static void
unref_content(void *handle)
{
	ph_content_unref(handle);
}

static PhContent *
wrapped_offsets(Account *account, PhContent *content)
{
	static const PhContentTable table = { sizeof table, read_wrapped, unref_content };

	return ph_content_new_custom(&table, content, ph_content_length(content));
}

static ssize_t
read_while_young(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	PhContent *content = handle;

	if (offset < 300000)
		return ph_content_read(content, offset, buffer, length, error);
	ph_error_set(error, PH_ERROR_GONE, "the account was closed");
	return -1;
}

static PhContent *
readable_in_part(Account *account, PhContent *content)
{
	static const PhContentTable table = { sizeof table, read_while_young, unref_content };

	return ph_content_new_custom(&table, content, ph_content_length(content));
}

/* --- users --------------------------------------------------------------------------------------------- */

static void
no_octet_quota(PhIdentityValues *values, char **text)
{
	values->quota_octets = 0;
}

static void
no_message_quota(PhIdentityValues *values, char **text)
{
	values->quota_messages = 0;
}

static void
one_user(PhIdentityValues *values, char **text)
{
	values->user = "everybody";
}

static void
no_domain(PhIdentityValues *values, char **text)
{
	values->domain = "";
}

static void
lower_case(PhIdentityValues *values, char **text)
{
	values->user = *text = g_ascii_strdown(values->user, -1);
}

/* 17 and 18 are the same. */
static void
short_numbers(PhIdentityValues *values, char **text)
{
	values->user = *text = g_strdelimit(g_strdup(values->user), "8", '7');
}

static void
user_of_process(PhIdentityValues *values, char **text)
{
	values->user = *text = g_strdup_printf("%s.%d", values->user, (int) getpid());
}

const Fault faults[] = {
	{ .name = "append-keeps-all", .op = no_zone },
	{ .name = "append-results", .done = append_other_uidvalidity },
	{ .name = "append-many", .done = append_swaps_uids },
	{ .name = "append-to-nothing",
	  .from_code = PH_ERROR_NOT_FOUND,
	  .to_code = PH_ERROR_TEMPORARY },
	{ .name = "expunge", .done = expunge_forgets_missing },
	{ .name = "copy", .done = copy_forgets_pairs },
	{ .name = "move", .op = move_copies },
	{ .name = "copy-within", .op = copy_within_nothing },
	{ .name = "copies-independent", .content = gone_after_expunge },
	{ .name = "flags-add", .op = add_replaces },
	{ .name = "flags-remove", .op = remove_keeps_keywords },
	{ .name = "flags-replace", .op = replace_adds },
	{ .name = "flags-each", .op = no_draft },
	{ .name = "flags-nothing", .flags = RAISES },
	{ .name = "flags-some", .flags = TWICE },
	{ .name = "flags-unchanged-since", .op = zero_is_no_value },
	{ .name = "flags-missing", .done = flags_forget_missing },
	{ .name = "must-exist", .op = need_not_exist },
	{ .name = "keywords-case", .op = keywords_by_case },
	{ .name = "create", .info = no_use },
	{ .name = "create-exists", .from_code = PH_ERROR_EXISTS, .to_code = PH_ERROR_INVALID },
	{ .name = "rename", .info = renamed_is_new },
	{ .name = "rename-tree", .op = no_child_is_renamed },
	{ .name = "remove", .flags = NOT_GONE },
	{ .name = "list-change", .flags = LIST_STANDS },
	{ .name = "hostile-names", .op = dots_are_escaped },
	{ .name = "deep-names", .op = short_names },
	{ .name = "names-case", .op = names_in_lower_case },
	{ .name = "atomic", .flags = SPLIT },
	{ .name = "batch-results", .flags = ALL_FAIL },
	{ .name = "batch-order", .flags = REVERSE },
	{ .name = "ids-again", .flags = NEW_IDS },
	{ .name = "ids-beside-new", .flags = NEW_IDS_BATCH },
	{ .name = "ids-of-failures", .flags = KEEP_FAILED },
	{ .name = "outcome", .flags = KNOWS_ALL },
	{ .name = "given-append", .op = nothing_given },
	{ .name = "given-create", .op = nothing_given },
	{ .name = "given-copy", .op = nothing_given },
	{ .name = "given-move", .op = nothing_given },
	{ .name = "raise", .op = no_raise },
	{ .name = "uids-ascend", .done = uids_descend },
	{ .name = "uids-never-reused", .info = uidnext_is_count },
	{ .name = "uidvalidity-stays", .info = uidvalidity_of_opening },
	{ .name = "uidvalidity-rises", .info = uidvalidity_one },
	{ .name = "changes-rise", .info = change_one },
	{ .name = "changes-since", .query = no_since },
	{ .name = "changes-complete", .result = complete_too_far },
	{ .name = "changes-set", .query = any_uid },
	{ .name = "changes-fields", .query = no_octets_alone, .record = octets_among_others },
	{ .name = "changes-stop", .flags = STOP_FAILS },
	{ .name = "changes-expunged", .query = no_expunged },
	{ .name = "changes-trimmed", .result = says_full },
	{ .name = "counters", .info = unseen_too_many },
	{ .name = "values", .flags = NO_PREFIX },
	{ .name = "values-mailbox", .flags = ONE_VALUES, .op = one_owner_of_values },
	{ .name = "values-octets", .op = short_values },
	{ .name = "values-many", .op = few_values },
	{ .name = "content-sizes", .upload = cut_long },
	{ .name = "content-kinds", .upload = cut_file },
	{ .name = "content-offsets", .content = wrapped_offsets },
	{ .name = "content-mail", .upload = seven_bits },
	{ .name = "content-octets", .upload = no_nul },
	{ .name = "content-large", .upload = held_in_memory },
	{ .name = "content-grace", .content = gone_after_expunge },
	{ .name = "content-outlives", .content = readable_in_part },
	{ .name = "upload-abandon" },
	{ .name = "abandon-committed", .content = gone_after_expunge },
	{ .name = "upload-orphans", .flags = COUNTS_UPLOADS },
	{ .name = "quota-octets", .identity = no_octet_quota },
	{ .name = "quota-messages", .identity = no_message_quota },
	{ .name = "quota-batch", .identity = no_message_quota },
	{ .name = "limit-keywords", .from_code = PH_ERROR_LIMIT, .to_code = PH_ERROR_PERMANENT },
	{ .name = "limit-keyword-length", .op = long_keywords_vanish },
	{ .name = "foreign-ids", .identity = one_user },
	{ .name = "foreign-blobs", .flags = MIXES_BLOBS },
	{ .name = "hostile-users", .identity = lower_case },
	{ .name = "same-user", .identity = no_domain },
	{ .name = "many-accounts", .identity = short_numbers },
	{ .name = "verify-healthy", .flags = FINDS },
	{ .name = "compact-keeps", .flags = LOSES },
	{ .name = "optional-calls", .flags = SYNC_FAILS },
	{ .name = "reopen-process", .identity = user_of_process },
	{ .name = "foreign-delivery", .flags = FOREIGN },
	{ .name = "million", .record = one_is_hidden },
	{ .name = "snapshots", .flags = SPLIT },
	{ .name = "following", .result = complete_too_far },
	{ .name = "octets-beside", .flags = BUSY },
	{ .name = "compact-beside", .flags = BUSY },
	{ .name = "accounts-beside", .identity = one_user },
	{ .name = "processes", .flags = SHARED, .identity = user_of_process },
	{ .name = "crash", .op = some_flags_are_lost },
	{ .name = "power-loss" }, /* a sync is left out: test-broken.py */
	{ .name = "failing-syncs", .flags = LIES },
	{ .name = "disk-full", .flags = LIES },
	{ .name = NULL },
};

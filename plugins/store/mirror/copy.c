/* copy.c: messages of the first store into the second, and flags that differ
 *
 * A portion of uids at a time: both stores' records are read, then octets are copied one message
 * after another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mirror.h"

#include <string.h>

/* --- records ------------------------------------------------------------------------------------- */

static void
free_record(void *data)
{
	PhRecord *record = data;

	g_strfreev((char **) (uintptr_t) record->keywords);
	g_free((char *) (uintptr_t) record->structure.data);
	g_free(record);
}

static bool
take_record(const PhRecord *record, void *user_data)
{
	GPtrArray *records = user_data;
	PhRecord *copy = g_memdup2(record, sizeof *record);

	copy->keywords = (const char *const *) g_strdupv((char **) (uintptr_t) record->keywords);
	copy->structure.data = record->structure.length > 0
	                               ? g_memdup2(record->structure.data, record->structure.length)
	                               : NULL;
	g_ptr_array_add(records, copy);
	return true;
}

GPtrArray *
read_records(const PhBelow *below, const PhMailboxId *mailbox, const PhUidSet *uids, GError **error)
{
	GPtrArray *records = g_ptr_array_new_with_free_func(free_record);
	PhChangesResult result = { 0 };
	PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS | PH_FIELD_DATES | PH_FIELD_OCTETS | PH_FIELD_BLOB
		          | PH_FIELD_IDS | PH_FIELD_STRUCTURE,
		.record = take_record,
		.user_data = records,
	};

	if (below->store->changes(below->account, mailbox, &query, &result, error))
		return records;
	g_ptr_array_unref(records);
	return NULL;
}

static bool
take_uid(const PhRecord *record, void *user_data)
{
	ph_uid_set_add(user_data, record->uid);
	return true;
}

PhUidSet *
read_uids(const PhBelow *below, const PhMailboxId *mailbox, GError **error)
{
	PhUidSet *uids = ph_uid_set_new();
	PhChangesResult result = { 0 };
	PhChangesQuery query = { .record = take_uid, .user_data = uids };

	if (below->store->changes(below->account, mailbox, &query, &result, error))
		return uids;
	ph_uid_set_free(uids);
	return NULL;
}

PhUidSet *
uids_after(const PhUidSet *uids, uint32_t after, unsigned room)
{
	PhUidSet *portion = ph_uid_set_new();
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);

	for (size_t i = 0; i < n && room > 0; i++) {
		uint64_t uid = MAX((uint64_t) ranges[i].first, (uint64_t) after + 1);

		for (; uid <= ranges[i].last && room > 0; uid++, room--)
			ph_uid_set_add(portion, (uint32_t) uid);
	}
	return portion;
}

PhRecord *
find_record(const GPtrArray *records, uint32_t uid)
{
	guint low = 0;
	guint high = records->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		PhRecord *record = records->pdata[middle];

		if (record->uid == uid)
			return record;
		if (record->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* In any order; there are at most 64. */
static bool
has_keywords_of(const PhRecord *a, const PhRecord *b)
{
	for (size_t i = 0; a->keywords != NULL && a->keywords[i] != NULL; i++)
		if (b->keywords == NULL || !g_strv_contains(b->keywords, a->keywords[i]))
			return false;
	return true;
}

bool
same_flags(const PhRecord *a, const PhRecord *b)
{
	return a->flags == b->flags && has_keywords_of(a, b) && has_keywords_of(b, a);
}

/* --- copying ------------------------------------------------------------------------------------- */

static bool
copy_flags(const PhBelow *second,
           const PhMailboxId *mailbox,
           const PhRecord *record,
           GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(record->uid, record->uid);
	g_autoptr(PhUidSet) refused = ph_uid_set_new();
	g_autoptr(PhUidSet) missing = ph_uid_set_new();
	PhOp op = {
		.kind = PH_OP_FLAGS,
		.mailbox = *mailbox,
		.uids = uids,
		.flags_mode = PH_FLAGS_REPLACE,
		.flags = record->flags,
		.keywords = record->keywords,
		.has_given = true,
		.given_change = record->change,
		.refused = refused,
		.missing = missing,
	};
	PhOp *ops[] = { &op };

	return commit_ops(second, ops, 1, error);
}

static bool
append_copy(const PhBelow *second,
            const PhMailboxId *mailbox,
            const PhRecord *record,
            PhContent *content,
            GError **error)
{
	PhOp op = {
		.kind = PH_OP_APPEND,
		.mailbox = *mailbox,
		.flags = record->flags,
		.keywords = record->keywords,
		.octets = record->octets,
		.internal_date = record->internal_date,
		.internal_zone = record->internal_zone,
		.save_date = record->save_date,
		.structure = record->structure,
		.has_given = true,
		.given_uid = record->uid,
		.given_change = record->change,
	};
	PhOp *ops[] = { &op };

	memcpy(op.message_id, record->message_id, sizeof op.message_id);
	if (!second->store->upload(second->account, content, false, &op.blob, error))
		return false;
	if (commit_ops(second, ops, 1, error))
		return true;
	second->store->abandon(second->account, &op.blob);
	return false;
}

/* What was expunged meanwhile is no loss. */
static bool
copy_message(Account *account, const PhMailboxId *mailbox, const PhRecord *record, GError **error)
{
	const PhBelow *first = &account->first;
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GError) why = NULL;

	if (!first->store->content(first->account, mailbox, record->uid, &record->blob, &content,
	                           &why)) {
		if (g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
			return true;
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	if (!append_copy(second_of(account), mailbox, record, content, error))
		return false;
	account->instance->n_copied++;
	ph_section_count(account->instance->section, "copied", 1);
	return true;
}

bool
copy_messages(Account *account, const PhMailboxId *mailbox, const PhUidSet *uids, GError **error)
{
	const PhBelow *second = second_of(account);
	g_autoptr(GPtrArray) ours = read_records(&account->first, mailbox, uids, error);
	g_autoptr(GPtrArray) theirs =
		ours != NULL ? read_records(second, mailbox, uids, error) : NULL;

	for (guint i = 0; theirs != NULL && i < ours->len; i++) {
		const PhRecord *record = ours->pdata[i];
		const PhRecord *other = find_record(theirs, record->uid);

		if (other == NULL && !copy_message(account, mailbox, record, error))
			return false;
		if (other != NULL && !same_flags(record, other)
		    && !copy_flags(second, mailbox, record, error))
			return false;
	}
	return theirs != NULL;
}

/* compare.c: what differs between the two stores
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mirror.h"

#include <string.h>

enum {
	PORTION = 64,
	PIECE = 16 * 1024,
};

static void
report_line(Comparing *comparing, const char *line)
{
	comparing->n++;
	comparing->account->instance->n_different++;
	ph_section_count(comparing->account->instance->section, "different", 1);
	if (comparing->report != NULL)
		comparing->report(line, comparing->user_data);
}

static void
tell_if(Comparing *comparing, const PhMailboxInfo *info, const char *what, uint64_t a, uint64_t b)
{
	g_autofree char *line = NULL;

	if (a == b)
		return;
	line = g_strdup_printf("'%s': %s: %" G_GUINT64_FORMAT
	                       " in the first store, %" G_GUINT64_FORMAT " in the second",
	                       info->name, what, a, b);
	report_line(comparing, line);
	ph_log_section(comparing->account->instance->section, PH_LOG_WARNING, "mirror-differs",
	               "the second store differs from the first",
	               PH_LOG_TEXT("account", ph_identity_address(comparing->account->identity)),
	               PH_LOG_TEXT("mailbox", info->name), PH_LOG_TEXT("what", what),
	               PH_LOG_NUMBER("first", a), PH_LOG_NUMBER("second", b), PH_LOG_END);
}

/* @uid: 0: of the mailbox. */
static void
tell(Comparing *comparing, const PhMailboxInfo *info, const char *what, uint32_t uid)
{
	g_autofree char *line = uid != 0
	                                ? g_strdup_printf("'%s', uid %u: %s", info->name, uid, what)
	                                : g_strdup_printf("'%s': %s", info->name, what);

	report_line(comparing, line);
	ph_log_section(comparing->account->instance->section, PH_LOG_WARNING, "mirror-differs",
	               "the second store differs from the first",
	               PH_LOG_TEXT("account", ph_identity_address(comparing->account->identity)),
	               PH_LOG_TEXT("mailbox", info->name), PH_LOG_TEXT("what", what),
	               PH_LOG_NUMBER("uid", uid), PH_LOG_END);
}

void
compare_counts(Comparing *comparing, const PhMailboxInfo *a, const PhMailboxInfo *b)
{
	if (strcmp(a->name, b->name) != 0)
		tell(comparing, a, "has another name in the second store", 0);
	tell_if(comparing, a, "special use", a->special_use, b->special_use);
	tell_if(comparing, a, "uidvalidity", a->uidvalidity, b->uidvalidity);
	tell_if(comparing, a, "uidnext", a->uidnext, b->uidnext);
	tell_if(comparing, a, "messages", a->n_messages, b->n_messages);
	tell_if(comparing, a, "unseen", a->n_unseen, b->n_unseen);
	tell_if(comparing, a, "deleted", a->n_deleted, b->n_deleted);
	tell_if(comparing, a, "octets", a->octets, b->octets);
}

/* --- messages ------------------------------------------------------------------------------------- */

static bool
open_both(Account *account,
          const PhMailboxInfo *info,
          const PhRecord *a,
          const PhRecord *b,
          PhContent **contents_out,
          GError **error)
{
	const PhBelow *first = &account->first;
	const PhBelow *second = second_of(account);

	return first->store->content(first->account, &info->id, a->uid, &a->blob, &contents_out[0],
	                             error)
	       && second->store->content(second->account, &info->id, b->uid, &b->blob,
	                                 &contents_out[1], error);
}

/* The first octet that differs, or the length. */
static bool
find_difference(PhContent *a, PhContent *b, uint64_t *offset_out, GError **error)
{
	uint64_t length = ph_content_length(a);
	g_autofree char *left = g_malloc(PIECE);
	g_autofree char *right = g_malloc(PIECE);
	uint64_t offset = 0;

	while (offset < length) {
		ssize_t n = ph_content_read(a, offset, left, PIECE, error);
		ssize_t m = n > 0 ? ph_content_read(b, offset, right, PIECE, error) : -1;

		if (n <= 0 || m < 0)
			return false;
		if (n != m || memcmp(left, right, (size_t) n) != 0)
			break;
		offset += (uint64_t) n;
	}
	*offset_out = offset;
	return true;
}

static bool
compare_octets(Comparing *comparing,
               const PhMailboxInfo *info,
               const PhRecord *a,
               const PhRecord *b,
               GError **error)
{
	PhContent *contents[2] = { NULL, NULL };
	g_autoptr(GError) why = NULL;
	uint64_t offset = 0;
	bool good = open_both(comparing->account, info, a, b, contents, &why)
	            && find_difference(contents[0], contents[1], &offset, &why);

	if (good && ph_content_length(contents[0]) != ph_content_length(contents[1]))
		tell(comparing, info, "the message has another length", a->uid);
	else if (good && offset < ph_content_length(contents[0]))
		tell(comparing, info, "the message has other octets", a->uid);
	ph_content_unref(contents[0]);
	ph_content_unref(contents[1]);
	if (good || g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
		return true;
	if (!g_error_matches(why, PH_ERROR, PH_ERROR_CORRUPT)) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	tell(comparing, info, why->message, a->uid);
	return true;
}

static bool
compare_message(Comparing *comparing,
                const PhMailboxInfo *info,
                const PhRecord *a,
                const PhRecord *b,
                GError **error)
{
	if (b == NULL) {
		tell(comparing, info, "not in the second store", a->uid);
		return true;
	}
	if (!same_flags(a, b))
		tell(comparing, info, "other flags or keywords", a->uid);
	if (a->internal_date != b->internal_date || a->save_date != b->save_date)
		tell(comparing, info, "another date", a->uid);
	if (a->octets != b->octets)
		tell(comparing, info, "another size in the record", a->uid);
	if (memcmp(a->message_id, b->message_id, sizeof a->message_id) != 0)
		tell(comparing, info, "another message id", a->uid);
	return compare_octets(comparing, info, a, b, error);
}

static bool
compare_uids(Comparing *comparing, const PhMailboxInfo *info, const PhUidSet *uids, GError **error)
{
	g_autoptr(GPtrArray) ours =
		read_records(&comparing->account->first, &info->id, uids, error);
	g_autoptr(GPtrArray) theirs =
		ours != NULL ? read_records(second_of(comparing->account), &info->id, uids, error)
			     : NULL;

	for (guint i = 0; theirs != NULL && i < ours->len; i++) {
		const PhRecord *record = ours->pdata[i];

		if (!compare_message(comparing, info, record, find_record(theirs, record->uid),
		                     error))
			return false;
	}
	return theirs != NULL;
}

/* Uids of a mailbox are not known: chance picks below uidnext. */
static bool
compare_sample(Comparing *comparing, const PhMailboxInfo *info, GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new();

	for (uint32_t i = 0; i < comparing->account->instance->sample && info->uidnext > 1; i++)
		ph_uid_set_add(uids, 1 + g_random_int() % (info->uidnext - 1));
	return ph_uid_set_is_empty(uids) || compare_uids(comparing, info, uids, error);
}

static void
tell_surplus(Comparing *comparing,
             const PhMailboxInfo *info,
             const PhUidSet *ours,
             const PhUidSet *theirs)
{
	for (uint32_t uid = ph_uid_set_next(theirs, 0); uid != 0;
	     uid = ph_uid_set_next(theirs, uid))
		if (!ph_uid_set_contains(ours, uid))
			tell(comparing, info, "only in the second store", uid);
}

static bool
compare_every(Comparing *comparing, const PhMailboxInfo *info, GError **error)
{
	g_autoptr(PhUidSet) all = read_uids(&comparing->account->first, &info->id, error);
	g_autoptr(PhUidSet) theirs =
		all != NULL ? read_uids(second_of(comparing->account), &info->id, error) : NULL;
	uint32_t after = 0;

	if (theirs == NULL)
		return false;
	tell_surplus(comparing, info, all, theirs);
	while (all != NULL) {
		g_autoptr(PhUidSet) uids = uids_after(all, after, PORTION);
		size_t n = 0;
		const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);

		if (n == 0)
			return true;
		if (!compare_uids(comparing, info, uids, error))
			return false;
		after = ranges[n - 1].last;
	}
	return false;
}

static bool
compare_mailbox(Comparing *comparing,
                const PhMailboxInfo *a,
                const PhMailboxInfo *b,
                GError **error)
{
	if (b == NULL) {
		tell(comparing, a, "not in the second store", 0);
		return true;
	}
	compare_counts(comparing, a, b);
	if (comparing->all)
		return compare_every(comparing, a, error);
	return comparing->account->instance->compare != COMPARE_CONTENT
	       || compare_sample(comparing, a, error);
}

bool
compare_all(Comparing *comparing, GError **error)
{
	g_autoptr(GArray) ours = read_list(&comparing->account->first, error);
	g_autoptr(GArray) theirs =
		ours != NULL ? read_list(second_of(comparing->account), error) : NULL;

	if (theirs == NULL)
		return false;
	for (guint i = 0; i < ours->len; i++) {
		const PhMailboxInfo *info = &g_array_index(ours, PhMailboxInfo, i);

		if (!compare_mailbox(comparing, info, list_find(theirs, &info->id), error))
			return false;
	}
	for (guint i = 0; i < theirs->len; i++) {
		const PhMailboxInfo *info = &g_array_index(theirs, PhMailboxInfo, i);

		if (list_find(ours, &info->id) == NULL)
			tell(comparing, info, "only in the second store", 0);
	}
	return true;
}

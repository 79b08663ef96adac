/* view.c: a selected mailbox as one client sees it
 *
 * Sequence numbers are places in the view's state, which changes in ph_view_sync() only. An idle
 * view owns nothing but this struct: its state is the mailbox's own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "mailbox/account.h"
#include "mailbox/foreign.h"
#include "mailbox/scan.h"
#include "mailbox/view-private.h"

enum {
	MAX_KEYWORDS = 64,
};

/* Whoever is told is this session: it syncs when it can. */
static void
watch(PhView *view)
{
	ph_mailbox_watch(view->mailbox, view->session);
}

PhView *
ph_view_open(PhAccount *account, PhSlice name, bool read_only, PhSessionRef notify, GError **error)
{
	PhMailboxInfo info;
	PhMailboxId id;
	if (!ph_account_find_id(account, name, &id, error))
		return NULL;

	ph_foreign_watch(account, &id);
	g_autoptr(PhMailbox) mailbox = ph_account_mailbox(account, &id);
	PhState *state = NULL;
	if (ph_foreign_refresh(account, &id, error) && ph_account_find(account, name, &info, error))
		state = ph_mailbox_state(mailbox, error);
	if (state == NULL) {
		ph_foreign_unwatch(account, &id);
		return NULL;
	}

	PhView *view = g_new0(PhView, 1);
	view->account = ph_account_ref(account);
	view->mailbox = g_steal_pointer(&mailbox);
	view->state = state;
	view->session = notify;
	view->is_read_only = read_only;
	view->uidvalidity = info.uidvalidity;
	view->uidnext = MAX(info.uidnext, ph_state_last_uid(state) + 1);
	view->n_keywords = ph_mailbox_n_keywords(view->mailbox);
	ph_view_note_recent(view);
	watch(view);
	return view;
}

void
ph_view_close(PhView *view)
{
	if (view == NULL)
		return;
	ph_mailbox_unwatch(view->mailbox, view->session);
	ph_foreign_unwatch(view->account, ph_mailbox_id(view->mailbox));
	ph_state_unref(view->state);
	ph_uid_set_free(view->recent);
	if (view->quiet != NULL)
		g_array_unref(view->quiet);
	g_free(view->keyword_list);
	ph_mailbox_unref(view->mailbox);
	ph_account_unref(view->account);
	g_free(view);
}

void
ph_view_note_recent(PhView *view)
{
	uint32_t last = ph_state_last_uid(view->state);
	uint32_t from = ph_mailbox_recent(view->mailbox, last, !view->is_read_only);
	if (last < from)
		return;

	if (view->recent == NULL)
		view->recent = ph_uid_set_new();
	uint32_t count = ph_state_count(view->state);
	for (uint32_t i = ph_state_lower_bound(view->state, from); i <= count; i++) {
		uint32_t uid = ph_state_at(view->state, i)->uid;
		if (ph_uid_set_contains(view->recent, uid))
			continue;
		ph_uid_set_add(view->recent, uid);
		view->n_recent++;
	}
}

/* --- plain answers -------------------------------------------------------------------------------------- */

bool
ph_view_is_read_only(const PhView *view)
{
	return view->is_read_only;
}

PhAccount *
ph_view_account(const PhView *view)
{
	return view->account;
}

const PhMailboxId *
ph_view_mailbox(const PhView *view)
{
	return ph_mailbox_id(view->mailbox);
}

uint32_t
ph_view_uidvalidity(const PhView *view)
{
	return view->uidvalidity;
}

uint32_t
ph_view_uidnext(const PhView *view)
{
	return view->uidnext;
}

uint64_t
ph_view_change(const PhView *view)
{
	return ph_state_change(view->state);
}

uint32_t
ph_view_count(const PhView *view)
{
	return ph_state_count(view->state);
}

uint32_t
ph_view_n_recent(const PhView *view)
{
	return view->n_recent;
}

uint32_t
ph_view_first_unseen(const PhView *view)
{
	uint32_t count = ph_state_count(view->state);

	for (uint32_t i = 1; i <= count; i++)
		if ((ph_state_at(view->state, i)->flags & PH_FLAG_SEEN) == 0)
			return i;
	return 0;
}

uint32_t
ph_view_uid(const PhView *view, uint32_t number)
{
	return ph_state_at(view->state, number)->uid;
}

uint32_t
ph_view_number(const PhView *view, uint32_t uid)
{
	return ph_state_find(view->state, uid);
}

uint32_t
ph_view_flags(const PhView *view, uint32_t number)
{
	return ph_state_at(view->state, number)->flags & ~PH_MESSAGE_EXPUNGED;
}

bool
ph_view_is_recent(const PhView *view, uint32_t number)
{
	return view->n_recent > 0 && ph_uid_set_contains(view->recent, ph_view_uid(view, number));
}

uint64_t
ph_view_message_change(const PhView *view, uint32_t number)
{
	return ph_state_at(view->state, number)->change;
}

/* --- flags and keywords as text ---------------------------------------------------------------------------- */

static void
append_word(GString *out, size_t start, const char *word)
{
	if (out->len > start)
		g_string_append_c(out, ' ');
	g_string_append(out, word);
}

void
ph_view_append_flags(const PhView *view, uint32_t number, GString *out)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ PH_FLAG_ANSWERED, "\\Answered" }, { PH_FLAG_FLAGGED, "\\Flagged" },
		{ PH_FLAG_DELETED, "\\Deleted" },   { PH_FLAG_SEEN, "\\Seen" },
		{ PH_FLAG_DRAFT, "\\Draft" },
	};

	const PhMessage *message = ph_state_at(view->state, number);
	size_t start = out->len;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if ((message->flags & names[i].flag) != 0)
			append_word(out, start, names[i].name);
	if (ph_view_is_recent(view, number))
		append_word(out, start, "\\Recent");
	for (uint64_t bits = message->keywords; bits != 0; bits &= bits - 1)
		append_word(out, start,
		            ph_mailbox_keyword(view->mailbox, (uint32_t) __builtin_ctzll(bits)));
}

bool
ph_view_has_keyword(const PhView *view, uint32_t number, PhSlice keyword)
{
	int index = ph_mailbox_find_keyword(view->mailbox, keyword);

	return index >= 0 && (ph_state_at(view->state, number)->keywords & 1ULL << index) != 0;
}

const char *const *
ph_view_keywords(const PhView *view)
{
	PhView *mutable_view = (PhView *) (uintptr_t) view;
	uint32_t n = ph_mailbox_n_keywords(view->mailbox);

	g_free(mutable_view->keyword_list);
	mutable_view->keyword_list = g_new(const char *, n + 1);
	for (uint32_t i = 0; i < n; i++)
		mutable_view->keyword_list[i] = ph_mailbox_keyword(view->mailbox, i);
	mutable_view->keyword_list[n] = NULL;
	return mutable_view->keyword_list;
}

bool
ph_view_can_add_keywords(const PhView *view)
{
	return !view->is_read_only && ph_mailbox_n_keywords(view->mailbox) < MAX_KEYWORDS;
}

/* --- numbers and uids ----------------------------------------------------------------------------------------- */

PhUidSet *
ph_view_uids(const PhView *view, const PhUidSet *numbers, uint64_t *n_missing_out)
{
	PhUidSet *uids = ph_uid_set_new();
	uint32_t count = ph_state_count(view->state);
	uint64_t n_missing = 0;
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(numbers, &n);

	for (size_t i = 0; i < n; i++) {
		uint32_t last = MIN(ranges[i].last, count);
		for (uint32_t number = ranges[i].first; number <= last; number++)
			ph_uid_set_add(uids, ph_state_at(view->state, number)->uid);
		if (ranges[i].last > count)
			n_missing += ranges[i].last - MAX(count, ranges[i].first - 1);
	}
	if (n_missing_out != NULL)
		*n_missing_out = n_missing;
	return uids;
}

PhUidSet *
ph_view_numbers(const PhView *view, const PhUidSet *uids)
{
	PhUidSet *numbers = ph_uid_set_new();
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);

	for (size_t i = 0; i < n; i++) {
		uint32_t first = ph_state_lower_bound(view->state, ranges[i].first);
		uint32_t end = ranges[i].last == UINT32_MAX
		                       ? ph_state_count(view->state) + 1
		                       : ph_state_lower_bound(view->state, ranges[i].last + 1);
		if (first < end)
			ph_uid_set_add_range(numbers, first, end - 1);
	}
	return numbers;
}

/* --- a message's octets ------------------------------------------------------------------------------------------ */

PhContent *
ph_view_content(PhView *view, const PhRecord *record, GError **error)
{
	PhAccountCall call;
	PhContent *content = NULL;
	if (!ph_account_enter(view->account, &call, error))
		return NULL;

	bool ok = call.table->content(call.engine, ph_view_mailbox(view), record->uid,
	                              &record->blob, &content, error);
	ph_account_leave(&call, ok);
	return ok ? content : NULL;
}

PhStructure *
ph_view_structure(PhView *view, const PhRecord *record, GError **error)
{
	if (record->structure.length > 0) {
		PhStructure *kept = ph_structure_from_blob(record->structure, NULL);
		if (kept != NULL)
			return kept;
	}

	g_autoptr(PhContent) content = ph_view_content(view, record, error);
	return content != NULL ? ph_mailbox_scan(content, error) : NULL;
}

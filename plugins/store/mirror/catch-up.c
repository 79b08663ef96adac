/* catch-up.c: a second store that was away gets what the first has meanwhile
 *
 * Mailbox by mailbox: what changed in the first since the change up to which the second holds
 * everything. That change is the second's own number while the stores run in step, unless the second
 * is one that other programs write to and that counts changes of its own; while a pass is under way, and
 * after it, it stands as a value in the second's mailbox, so that a pass that was interrupted begins
 * again where it must. What is there already is only compared.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mirror.h"

#include <string.h>

enum {
	PORTION = 32, /* messages between looks at the clock */
};

static void
pass_clear(Pass *pass)
{
	ph_uid_set_free(pass->todo);
	*pass = (Pass){ .todo = NULL };
}

/* --- the note in the second -------------------------------------------------------------------------- */

typedef struct {
	bool is_under_way; /* "from ..." */
	bool is_there;
	uint64_t change;
	uint32_t after;
	uint64_t complete_to;
} Note;

/* "from N UID M", "to N" */
static bool
parse_note(PhSlice text, Note *note_out)
{
	PhSlice word = ph_slice_split(&text, ' ');
	PhSlice change = ph_slice_split(&text, ' ');
	PhSlice after = ph_slice_split(&text, ' ');
	Note note = { .is_there = true, .is_under_way = ph_slice_is(word, "from") };

	if (!ph_slice_to_u64(change, INT64_MAX, &note.change)
	    || (note.is_under_way
	        && (!ph_slice_to_u32(after, UINT32_MAX, &note.after)
	            || !ph_slice_to_u64(text, INT64_MAX, &note.complete_to))))
		return false;
	*note_out = note;
	return true;
}

/* A note that makes no sense counts as one at the beginning. */
static bool
take_note(const char *key, PhSlice value, void *user_data)
{
	Note *note = user_data;

	if (strcmp(key, KEY_SYNCED) == 0 && !parse_note(value, note))
		*note = (Note){ .is_there = true, .is_under_way = true };
	return true;
}

static bool
write_under_way(const PhBelow *second, const Pass *pass, GError **error)
{
	g_autofree char *text = g_strdup_printf("from %" G_GUINT64_FORMAT " %u %" G_GUINT64_FORMAT,
	                                        pass->since, pass->after, pass->complete_to);
	g_autoptr(GBytes) value = g_bytes_new_static(text, strlen(text));

	return put_value(second, &pass->mailbox, KEY_SYNCED, value, error);
}

/* With the first's numbers, as far as they are higher. */
static bool
write_complete(const PhBelow *second, const PhMailboxInfo *info, uint64_t change, GError **error)
{
	g_autofree char *text = g_strdup_printf("to %" G_GUINT64_FORMAT, change);
	PhOp raise = {
		.kind = PH_OP_RAISE,
		.mailbox = info->id,
		.has_given = true,
		.given_uid = info->uidnext,
		.given_change = change,
	};
	PhOp note = {
		.kind = PH_OP_PUT,
		.mailbox = info->id,
		.key = KEY_SYNCED,
		.value = ph_slice(text),
	};
	PhOp *ops[] = { &note, &raise };

	return commit_ops(second, ops, 2, error);
}

static bool
take_flag(const char *key, PhSlice value, void *user_data)
{
	if (strcmp(key, KEY_UNDER_WAY) == 0)
		*(bool *) user_data = true;
	return true;
}

/* Was a pass under way when somebody stopped, or is one? */
static bool
read_flag(Account *account, bool *flag_out, GError **error)
{
	const PhBelow *second = second_of(account);

	*flag_out = false;
	return second->store->values(second->account, NULL, KEY_UNDER_WAY, take_flag, flag_out,
	                             error);
}

static bool
write_flag(Account *account, GError **error)
{
	g_autoptr(GBytes) value = g_bytes_new_static("1", 1);

	if (account->has_flag)
		return true;
	account->has_flag = put_value(second_of(account), NULL, KEY_UNDER_WAY, value, error);
	return account->has_flag;
}

static bool
remove_flag(Account *account, GError **error)
{
	if (account->has_flag && !put_value(second_of(account), NULL, KEY_UNDER_WAY, NULL, error))
		return false;
	account->has_flag = false;
	return true;
}

/* --- a pass --------------------------------------------------------------------------------------- */

typedef struct {
	PhUidSet *changed;
	PhUidSet *expunged;
} Gathered;

static bool
gather_record(const PhRecord *record, void *user_data)
{
	Gathered *gathered = user_data;

	ph_uid_set_add(gathered->changed, record->uid);
	return true;
}

static void
gather_expunged(uint32_t first, uint32_t last, void *user_data)
{
	Gathered *gathered = user_data;

	ph_uid_set_add_range(gathered->expunged, first, last);
}

static bool
gather(const PhBelow *below,
       const PhMailboxId *mailbox,
       uint64_t since,
       Gathered *gathered,
       PhChangesResult *result_out,
       GError **error)
{
	PhChangesQuery query = {
		.since = since,
		.record = gather_record,
		.expunged = gather_expunged,
		.user_data = gathered,
	};

	return below->store->changes(below->account, mailbox, &query, result_out, error);
}

/* Uids of the second that the first does not have. */
static bool
gather_surplus(Account *account, const PhMailboxId *mailbox, Gathered *gathered, GError **error)
{
	g_autoptr(PhUidSet) theirs = read_uids(second_of(account), mailbox, error);
	const PhUidRange *ranges = NULL;
	size_t n = 0;

	if (theirs == NULL)
		return false;
	ranges = ph_uid_set_ranges(theirs, &n);
	for (size_t i = 0; i < n; i++)
		for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++)
			if (!ph_uid_set_contains(gathered->changed, (uint32_t) uid))
				ph_uid_set_add(gathered->expunged, (uint32_t) uid);
	return true;
}

static bool
expunge(const PhBelow *second, const PhMailboxId *mailbox, const PhUidSet *uids, GError **error)
{
	g_autoptr(PhUidSet) missing = ph_uid_set_new();
	PhOp op = {
		.kind = PH_OP_EXPUNGE,
		.mailbox = *mailbox,
		.uids = uids,
		.missing = missing,
	};
	PhOp *ops[] = { &op };

	return ph_uid_set_is_empty(uids) || commit_ops(second, ops, 1, error);
}

/* Finds what is to be done in a mailbox that is complete up to @since, and removes what is gone. What is
 * copied goes by uid and brings its change numbers with it, so the second's own may be the first's when
 * some is still missing: that is noted before anything is done, however little it is. */
static bool
pass_begin(Account *account, const PhMailboxInfo *info, const Note *from, GError **error)
{
	const PhBelow *second = second_of(account);
	g_autoptr(PhUidSet) changed = ph_uid_set_new();
	g_autoptr(PhUidSet) expunged = ph_uid_set_new();
	Gathered gathered = { changed, expunged };
	PhChangesResult result = { 0 };
	bool goes_on = from->is_there && from->is_under_way && from->after > 0;

	if (!gather(&account->first, &info->id, from->change, &gathered, &result, error))
		return false;
	if ((from->change == 0 || result.full)
	    && !gather_surplus(account, &info->id, &gathered, error))
		return false;
	pass_clear(&account->pass);
	account->pass.mailbox = info->id;
	account->pass.since = from->change;
	account->pass.after = goes_on ? from->after : 0;
	account->pass.complete_to = goes_on ? from->complete_to : result.complete_to;
	account->pass.todo = g_steal_pointer(&changed);
	return write_flag(account, error) && write_under_way(second, &account->pass, error)
	       && expunge(second, &info->id, expunged, error);
}

static uint32_t
last_of(const PhUidSet *uids)
{
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);

	return n > 0 ? ranges[n - 1].last : 0;
}

/* Returns: false with @error. @more_out: the time was over first. */
static bool
pass_go_on(Account *account, int64_t until, bool *more_out, GError **error)
{
	Pass *pass = &account->pass;

	*more_out = false;
	for (;;) {
		g_autoptr(PhUidSet) portion = uids_after(pass->todo, pass->after, PORTION);

		if (ph_uid_set_is_empty(portion))
			return true;
		if (!copy_messages(account, &pass->mailbox, portion, error))
			return false;
		pass->after = last_of(portion);
		if (until != 0 && g_get_monotonic_time() > until) {
			*more_out = true;
			return write_under_way(second_of(account), pass, error);
		}
	}
}

/* A uid below the second's uidnext cannot be given any more: the mailbox is made anew, once. */
static bool
pass_failed(Account *account, const PhMailboxInfo *info, GError *why, GError **error)
{
	const Pass anew = { .mailbox = info->id };

	pass_clear(&account->pass);
	if (!g_error_matches(why, PH_ERROR, PH_ERROR_INVALID) || account->was_rebuilt) {
		g_propagate_error(error, why);
		return false;
	}
	account->was_rebuilt = true;
	ph_section_count(account->instance->section, "rebuilt", 1);
	ph_log_section(account->instance->section, PH_LOG_WARNING, "mirror-rebuilds",
	               "a mailbox of the second store is made anew",
	               PH_LOG_TEXT("account", ph_identity_address(account->identity)),
	               PH_LOG_TEXT("mailbox", info->name), PH_LOG_FAILURE(why), PH_LOG_END);
	g_error_free(why);
	return rebuild_mailbox(account, info, error)
	       && write_under_way(second_of(account), &anew, error);
}

/* --- all mailboxes ---------------------------------------------------------------------------------- */

/* What other programs do to the second are changes that the first has not. */
static bool
counts_itself(const Account *account)
{
	return (account->second.store->abilities & PH_STORE_FOREIGN_WRITERS) != 0;
}

/* A note that everything up to the first's present change was looked at ends the matter: what still
 * differs then is for compare.c to tell. */
static bool
is_complete(const Account *account,
            const PhMailboxInfo *ours,
            const PhMailboxInfo *theirs,
            const Note *note)
{
	if (note->is_there && (note->is_under_way || note->change == ours->change))
		return !note->is_under_way;
	return !counts_itself(account) && theirs->change == ours->change
	       && ours->uidnext == theirs->uidnext && ours->n_messages == theirs->n_messages
	       && ours->n_unseen == theirs->n_unseen && ours->n_deleted == theirs->n_deleted
	       && ours->octets == theirs->octets;
}

/* From where on the second must be given what changed; from 0 when it must be looked at as a
 * whole. */
static Note
begin_of(const Account *account,
         const PhMailboxInfo *ours,
         const PhMailboxInfo *theirs,
         const Note *note)
{
	uint64_t change = note->is_there ? note->change : theirs->change;
	bool is_known = change < ours->change && theirs->change != ours->change;

	if (note->is_there && note->is_under_way)
		return *note;
	if (counts_itself(account))
		is_known = note->is_there && change < ours->change;
	return (Note){ .is_there = is_known && note->is_there, .change = is_known ? change : 0 };
}

static bool
pass_end(Account *account, const PhMailboxInfo *info, bool *more_out, GError **error)
{
	if (!copy_values(account, &info->id, error)
	    || !write_complete(second_of(account), info, account->pass.complete_to, error))
		return false;
	*more_out = account->pass.complete_to < info->change;
	pass_clear(&account->pass);
	return true;
}

/* A second that has followed to the first's present change, or further, and does not hold the same is none
 * that was away: somebody or something else has been there, or it has lost what it had. */
static void
tell_difference(Account *account, const PhMailboxInfo *ours, const PhMailboxInfo *theirs)
{
	Comparing comparing = { .account = account };

	if (counts_itself(account) || theirs->change < ours->change || account->looks_at_all)
		return;
	compare_counts(&comparing, ours, theirs);
	account->differs = account->differs || comparing.n > 0;
}

/* @more_out: the time was over, or the mailbox was made anew. */
static bool
catch_up_mailbox(Account *account,
                 const PhMailboxInfo *ours,
                 const PhMailboxInfo *theirs,
                 int64_t until,
                 bool *more_out,
                 GError **error)
{
	const PhBelow *second = second_of(account);
	GError *why = NULL;
	Note note = { .change = 0 };
	bool is_mine = account->pass.todo != NULL
	               && memcmp(&account->pass.mailbox, &ours->id, sizeof ours->id) == 0;

	*more_out = false;
	if (!is_mine && !account->has_flag && !account->looks_at_all
	    && is_complete(account, ours, theirs, &note))
		return true;
	if (!second->store->values(second->account, &ours->id, KEY_SYNCED, take_note, &note, error))
		return false;
	if (account->looks_at_all && !is_mine)
		note = (Note){ .is_under_way = true, .is_there = true, .change = 0 };
	if (!is_mine && is_complete(account, ours, theirs, &note))
		return true;
	account->has_worked = true;
	if (!is_mine && !note.is_there)
		tell_difference(account, ours, theirs);
	note = begin_of(account, ours, theirs, &note);
	if ((!is_mine && !pass_begin(account, ours, &note, &why))
	    || !pass_go_on(account, until, more_out, &why)) {
		*more_out = true;
		return pass_failed(account, ours, why, error);
	}
	return *more_out || pass_end(account, ours, more_out, error);
}

static bool
catch_up_once(Account *account, int64_t until, bool *more_out, GError **error)
{
	g_autoptr(GArray) ours = read_list(&account->first, error);
	g_autoptr(GArray) theirs = NULL;
	bool flag = false;

	*more_out = false;
	if (ours == NULL || !read_flag(account, &flag, error) || !copy_list(account, ours, error)
	    || !copy_values(account, NULL, error))
		return false;
	account->has_flag = flag;
	theirs = read_list(second_of(account), error);
	for (guint i = 0; theirs != NULL && i < ours->len; i++) {
		const PhMailboxInfo *info = &g_array_index(ours, PhMailboxInfo, i);
		const PhMailboxInfo *other = list_find(theirs, &info->id);
		bool more = false;

		if (until != 0 && account->has_worked && g_get_monotonic_time() > until)
			*more_out = true;
		if (other == NULL || *more_out)
			continue;
		if (!catch_up_mailbox(account, info, other, until, &more, error))
			return false;
		*more_out = more;
	}
	return theirs != NULL && (*more_out || remove_flag(account, error));
}

bool
catch_up(Account *account, uint64_t time_us, GError **error)
{
	const int rounds = 3; /* a mailbox that is made anew needs a second one */
	int64_t until = time_us != 0 ? g_get_monotonic_time() + (int64_t) time_us : 0;
	bool more = true;

	account->has_worked = false;
	for (int round = 0; more && round < rounds; round++) {
		if (!catch_up_once(account, until, &more, error))
			return false;
		if (until != 0 && g_get_monotonic_time() > until)
			break;
	}
	if (!more && account->is_told)
		ph_log_section(account->instance->section, PH_LOG_NOTICE, "mirror-in-step",
		               "the second store holds everything",
		               PH_LOG_TEXT("account", ph_identity_address(account->identity)),
		               PH_LOG_NUMBER("copied", account->instance->n_copied), PH_LOG_END);
	set_behind(account, more);
	account->differs = account->differs && more;
	account->is_told = account->is_told && more;
	return true;
}

/* verify.c: do files, places and index agree? and: everything into the files
 *
 * Verifying reads every message where the index says that it lies. Repairing scans each file anew,
 * which makes places from nothing if need be, and then writes flags and uids into it. Nothing is
 * ever removed from a file but what was expunged.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mbox.h"

typedef struct {
	Account *account;
	const Box *box;
	const File *file;
	PhUidSet *live;
	PhListLineFunc report;
	void *user_data;
} Verify;

static void
tell(const Verify *verify, uint32_t uid, const char *what)
{
	g_autofree char *line = NULL;

	if (uid != 0)
		line = g_strdup_printf("%s: message %u %s", verify->box->name, uid, what);
	else
		line = g_strdup_printf("%s: %s", verify->box->name, what);
	verify->report(line, verify->user_data);
}

static bool
take_live(const PhRecord *record, void *user_data)
{
	ph_uid_set_add(user_data, record->uid);
	return true;
}

static bool
verify_place(const Place *place, void *user_data, GError **error)
{
	Verify *verify = user_data;
	bool same = false;

	if (!ph_uid_set_contains(verify->live, place->uid)) {
		tell(verify, place->uid, "was expunged and is still in the file");
		return true;
	}
	if (verify->file->fd >= 0 && !octets_lie(verify->file, place, &same, error))
		return false;
	if (!same)
		tell(verify, place->uid, "does not lie where it should");
	return true;
}

static bool
take_placed(const Place *place, void *user_data, GError **error)
{
	ph_uid_set_add(user_data, place->uid);
	return true;
}

static bool
find_lost(const Verify *verify, GError **error)
{
	g_autoptr(PhUidSet) placed = ph_uid_set_new();
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(verify->live, &n);

	if (!place_each(verify->account, verify->box->no, take_placed, placed, error))
		return false;
	for (size_t i = 0; i < n; i++)
		for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++)
			if (!ph_uid_set_contains(placed, (uint32_t) uid))
				tell(verify, (uint32_t) uid, "has no place in the file");
	return true;
}

static bool
verify_box(Verify *verify, GError **error)
{
	const PhChangesQuery query = { .record = take_live, .user_data = verify->live };
	PhChangesResult result = { 0 };
	Look look = file_look(&verify->file->status);

	if (!file_same_look(&look, &verify->box->look))
		tell(verify, 0, "the file was changed by another program since it was read");
	return ph_index_changes(verify->account->index, &verify->box->id, &query, &result, error)
	       && place_each(verify->account, verify->box->no, verify_place, verify, error)
	       && find_lost(verify, error);
}

static bool
mend_box(Account *account, const PhMailboxId *id, GError **error)
{
	Box box;
	File file;
	bool good = open_box(account, id, FILE_WRITE, &box, &file, error);

	if (!good)
		return false;
	good = sync_box(account, &box, &file, SYNC_WHOLE, error)
	       && (!file.writes || rewrite_box(account, &box, &file, error));
	file_close(&file);
	return good;
}

static bool
verify_one(Verify *verify, const PhMailboxId *id, GError **error)
{
	Box box;
	File file;
	bool good = place_load_box(verify->account, id, &box, error)
	            && file_open(verify->account, box.name, FILE_READ, &file, error);

	if (!good)
		return false;
	verify->box = &box;
	verify->file = &file;
	verify->live = ph_uid_set_new();
	good = verify_box(verify, error);
	file_close(&file);
	g_clear_pointer(&verify->live, ph_uid_set_free);
	return good;
}

static bool
take_id(const PhMailboxInfo *info, void *user_data)
{
	(void) g_array_append_vals(user_data, &info->id, 1);
	return true;
}

static bool
each_box(Verify *verify, bool repair, GError **error)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(PhMailboxId));
	bool good = ph_index_mailboxes(verify->account->index, take_id, ids, NULL, error);

	for (guint i = 0; good && i < ids->len; i++) {
		const PhMailboxId *id = &g_array_index(ids, PhMailboxId, i);

		good = verify->report == NULL || verify_one(verify, id, error);
		if (good && repair)
			good = mend_box(verify->account, id, error);
	}
	return good;
}

bool
verify_account(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Account *account = data;
	Verify verify = { .account = account, .report = report, .user_data = user_data };
	bool good = false;

	(void) pthread_mutex_lock(&account->writer);
	good = file_lock_account(account, error);
	if (good) {
		good = ph_index_check(account->index, repair, report, user_data, error)
		       && (!repair || list_sync(account, error))
		       && each_box(&verify, repair, error);
		file_unlock_account(account);
	}
	(void) pthread_mutex_unlock(&account->writer);
	return good;
}

bool
verify_compact(void *data, GError **error)
{
	Account *account = data;
	Verify verify = { .account = account };
	bool good = false;

	(void) pthread_mutex_lock(&account->writer);
	good = file_lock_account(account, error);
	if (good) {
		octets_expire(account);
		good = each_box(&verify, true, error);
		file_unlock_account(account);
	}
	(void) pthread_mutex_unlock(&account->writer);
	return good;
}

/* scan.c: what other programs did to a folder
 *
 * A folder's new and cur are read when their times have changed, when they were read so soon after
 * a change that another one may have had the same time, or when we have changed them ourselves and
 * it is a while ago that they were read. Names are looked up in a table of 8 octets a message; what
 * is not in it was delivered, what is known and not found was deleted, and a name whose letters are
 * not those that we saw or made last was renamed: those letters are added to or taken from the
 * message's flags, and whatever we have not written to the name yet stays.
 *
 * Reading runs in the index's write transaction, so that neither our own housekeeping nor another
 * process moves files meanwhile; what was found is then committed like anything else.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "finder.h"
#include "hints.h"
#include "uidlist.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	AT_ONCE = 20000, /* new files in memory */
	MOVES = 4000,    /* from new to cur, at a time, or a twelfth of a folder */
	REST = 500, /* times as long as a reading takes before we look whether others wrote, too */
};

static const int64_t racy_ns = 1500000000;
static const int64_t verify_ns[2] = { 2000000000, 60000000000 };

/* --- must it be read? ----------------------------------------------------------------------------- */

char *
scan_part(Account *account, const Folder *folder, int part)
{
	return folder_below(account, folder, part == IN_NEW ? "new" : "cur");
}

bool
scan_is_due(const Folder *folder)
{
	return folder->retry_ns != 0 && g_get_real_time() * 1000 >= folder->retry_ns;
}

int64_t
scan_patience(const Folder *folder)
{
	return CLAMP(folder->cost_ns * REST, verify_ns[0], verify_ns[1]);
}

static bool
must_read(Account *account, const Folder *folder, int part)
{
	g_autofree char *path = scan_part(account, folder, part);
	int64_t changed = stat_ns(account->root_fd, path);
	int64_t now = g_get_real_time() * 1000;

	if (changed != folder->seen[part] || folder->seen[part] == 0 || scan_is_due(folder)
	    || (part == IN_NEW && folder->has_new && account->watches != NULL))
		return true;
	if (folder->hints != NULL && folder->hints->follows[part])
		return hints_wait(folder, part);
	if (folder->looked[part] < changed + racy_ns)
		return now >= changed + racy_ns;
	return folder->assumed[part] && now > folder->looked[part] + scan_patience(folder);
}

/* --- the table of names -------------------------------------------------------------------------- */

static bool
know_record(const PhRecord *record, void *user_data)
{
	Scan *scan = user_data;
	File file;

	if (!file_unpack(&record->blob, scan->connection, &file))
		return true;
	if (known_is_full(scan->known)) {
		scan->overflow = true;
		return false;
	}
	known_add(scan->known, known_hash(ph_slice(file.base)), record->uid);
	scan->highest = MAX(scan->highest, record->uid);
	return true;
}

static bool
count_messages(const PhMailboxInfo *info, void *user_data)
{
	Scan *scan = user_data;

	if (memcmp(&info->id, &scan->folder->id, sizeof info->id) != 0)
		return true;
	scan->n_messages = info->n_messages;
	scan->uidnext = info->uidnext;
	return false;
}

bool
scan_count(Scan *scan, GError **error)
{
	uint64_t change = 0;

	return ph_index_mailboxes(scan->account->index, count_messages, scan, &change, error);
}

static bool
know_names(Scan *scan, GError **error)
{
	PhChangesQuery query = {
		.fields = PH_FIELD_BLOB,
		.record = know_record,
		.user_data = scan,
	};
	PhChangesResult result = { 0 };

	if (!scan_count(scan, error))
		return false;
	scan->known = known_new(scan->n_messages + 64);
	scan->found = g_malloc0(scan->uidnext / 8 + 1);
	scan->all = states_all(scan->connection, scan->folder->no, scan->uidnext, scan->n_messages);
	if (!ph_index_changes(scan->account->index, &scan->folder->id, &query, &result, error))
		return false;
	if (scan->overflow)
		ph_error_set(error, PH_ERROR_CORRUPT, "the index counts messages wrongly");
	return !scan->overflow;
}

/* --- one name ------------------------------------------------------------------------------------- */

bool
scan_was_found(const Scan *scan, uint32_t uid)
{
	return (scan->found[uid / 8] >> uid % 8 & 1) != 0;
}

Letters
scan_state(Scan *scan, uint32_t uid)
{
	if (scan->all != NULL && uid < scan->uidnext)
		return scan->all[uid];
	if (!states_load(&scan->states, scan->folder->no, uid, NULL))
		return 0;
	return scan->states.states[uid % CHUNK];
}

/* Names that are not as they should be get the proper one; what cannot be renamed is left. */
static bool
rename_in_part(Scan *scan, const char *from, Letters letters, PhSlice base)
{
	Account *account = scan->account;
	g_autofree char *path = scan_part(scan->account, scan->folder, scan->part);
	g_autofree char *old = g_strconcat(path, "/", from, NULL);
	g_autofree char *name = folder_where(account, scan->folder, letters, base);

	return ph_durable_move(&(PhRename){ account->root_fd, account->root_fd, old, name, true },
	                       NULL);
}

/* The letters differ from what we saw or made last. */
static bool
note_letters(Scan *scan, uint32_t uid, Letters was, Letters now)
{
	Letters both = (was ^ now) & LETTERS_ALL & ~LETTERS_PASSED;
	Change change = { .uid = uid, .was = was, .now = now };

	if (was == now)
		return true;
	if ((was == 0 || both == 0) && scan->all != NULL && uid < scan->uidnext)
		scan->all[uid] = now;
	if (was == 0 || both == 0)
		return states_set(&scan->states, scan->folder->no, uid, now, scan->error);
	(void) g_array_append_val(scan->changes, change);
	return true;
}

/* A name that is met twice: are there two files (not one that was renamed just now)? */
static bool
is_other_file(Scan *scan, Letters was, const char *name, PhSlice base)
{
	g_autofree char *first = folder_where(scan->account, scan->folder, was, base);
	g_autofree char *path = scan_part(scan->account, scan->folder, scan->part);
	g_autofree char *second = g_strconcat(path, "/", name, NULL);

	return !g_str_equal(first, second)
	       && faccessat(scan->account->root_fd, first, F_OK, AT_SYMLINK_NOFOLLOW) == 0
	       && faccessat(scan->account->root_fd, second, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Each row of them costs a reading of the folder: ten thousands that were appended must not cost a
 * hundred readings. */
static unsigned
moves_at_once(const Scan *scan)
{
	return (unsigned) MAX(MOVES, scan->n_messages / 12);
}

static bool
meet_known(Scan *scan, uint32_t uid, const char *name, PhSlice base, Letters letters)
{
	Letters was = 0;

	was = scan_state(scan, uid);
	if (scan_was_found(scan, uid) && is_other_file(scan, was, name, base)) {
		char fresh[BASE_MAX];

		deliver_unique(fresh, sizeof fresh);
		scan->again = rename_in_part(scan, name, letters, ph_slice(fresh)) || scan->again;
		return true;
	}
	scan->found[uid / 8] |= (uint8_t) (1U << uid % 8);
	/* somebody reads this folder: what was new is not any more */
	if (scan->part == IN_NEW && scan->account->watches != NULL
	    && scan->n_moved < moves_at_once(scan)) {
		Letters to = LETTERS_PRESENT | (was & LETTERS_ALL);

		if (rename_in_part(scan, name, to, base)) {
			scan->n_moved++;
			scan->moved = true;
			letters = to;
		}
	}
	return note_letters(scan, uid, was, letters);
}

static void
meet_new(Scan *scan, const char *name, Letters letters)
{
	Found found = { .letters = letters };

	if (scan->fresh->len >= AT_ONCE) {
		scan->again = true;
		return;
	}
	found.name = g_strdup(name);
	(void) g_array_append_val(scan->fresh, found);
}

/* Which message has that name? 0: none. */
static bool
find_uid(Scan *scan, PhSlice base, uint32_t *uid_out)
{
	if (scan->finder != NULL)
		return finder_uid(scan->finder, scan, base, uid_out, scan->error);
	*uid_out = known_find(scan->known, known_hash(base));
	return true;
}

bool
scan_meet(Scan *scan, const char *name)
{
	Letters letters = 0;
	bool odd = false;
	PhSlice base = file_name_split(name, &letters, &odd);
	uint32_t uid = 0;

	if (base.length == 0 || base.length > BASE_MAX)
		return true;
	if (scan->part == IN_NEW)
		letters = LETTERS_PRESENT | LETTERS_NEW;
	scan->n_met++;
	if (!find_uid(scan, base, &uid))
		return false;
	/* one that cannot be renamed is found by looking for it */
	if ((scan->part == IN_CUR ? odd : name[base.length] != '\0')
	    && rename_in_part(scan, name, letters, base))
		scan->moved = true;
	if (uid != 0)
		return meet_known(scan, uid, name, base, letters);
	if (!trash_is_stuck(scan->account, base) && !takeover_knows(scan, base))
		meet_new(scan, name, letters);
	return true;
}

bool
scan_is_file(int fd, const char *name)
{
	struct stat info;

	return fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode);
}

static bool
is_file(int fd, const struct dirent *entry)
{
	if (entry->d_name[0] == '.')
		return false;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	return scan_is_file(fd, entry->d_name);
}

static bool
read_part(Scan *scan, int part)
{
	Account *account = scan->account;
	g_autofree char *path = scan_part(scan->account, scan->folder, part);
	int fd = openat(account->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry = NULL;
	bool good = true;

	if (dir == NULL) {
		if (fd >= 0)
			(void) close(fd);
		ph_error_set(scan->error, PH_ERROR_TEMPORARY, "cannot read '%s'", path);
		return false;
	}
	scan->part = part;
	while (good && (entry = readdir(dir)) != NULL)
		if (is_file(fd, entry))
			good = scan_meet(scan, entry->d_name);
	(void) closedir(dir);
	return good;
}

/* --- what is missing ------------------------------------------------------------------------------ */

/* Is the file still where it may be although the reading of the folder did not show it? */
static bool
is_still_there(Scan *scan, const PhRecord *record, Letters was)
{
	g_autofree char *where = NULL;
	g_autofree char *path = NULL;
	File file;

	if (!file_unpack(&record->blob, scan->connection, &file))
		return true;
	where = folder_where(scan->account, scan->folder, was, ph_slice(file.base));
	if (faccessat(scan->account->root_fd, where, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	path = find_own(scan->listing, scan->connection, &record->blob, was);
	/* the rename that took it out of tmp was lost with the power */
	if (path != NULL && g_str_has_prefix(path, "tmp/"))
		scan->moved =
			ph_durable_move(&(PhRename){ scan->account->root_fd, scan->account->root_fd,
		                                     path, where, true },
		                        NULL)
			|| scan->moved;
	return path != NULL;
}

static bool
note_unfound(const PhRecord *record, void *user_data)
{
	Scan *scan = user_data;
	Letters was = 0;

	if (record->uid >= scan->uidnext || scan_was_found(scan, record->uid))
		return true;
	was = scan_state(scan, record->uid);
	/* one that has no file yet is not missing, nor one in what was not read */
	if (was != 0 && scan->read[(was & LETTERS_NEW) != 0 ? IN_NEW : IN_CUR])
		ph_uid_set_add(scan->unfound, record->uid);
	return true;
}

static bool
look_for_missing(const PhRecord *record, void *user_data)
{
	Scan *scan = user_data;

	if (!is_still_there(scan, record, scan_state(scan, record->uid)))
		ph_uid_set_add(scan->missing, record->uid);
	return true;
}

bool
scan_missing(Scan *scan, GError **error)
{
	PhChangesQuery some = {
		.uids = scan->unfound,
		.fields = PH_FIELD_BLOB,
		.record = look_for_missing,
		.user_data = scan,
	};
	PhChangesResult result = { 0 };

	return ph_uid_set_is_empty(scan->unfound)
	       || ph_index_changes(scan->account->index, &scan->folder->id, &some, &result, error);
}

/* Nearly always there is none: the records themselves are read only for those. */
static bool
find_missing(Scan *scan, GError **error)
{
	PhChangesQuery all = { .record = note_unfound, .user_data = scan };
	PhChangesResult result = { 0 };

	return ph_index_changes(scan->account->index, &scan->folder->id, &all, &result, error)
	       && scan_missing(scan, error);
}

/* --- reading -------------------------------------------------------------------------------------- */

bool
scan_save(Folder *folder, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_FOLDER_SEEN, folder->no, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, folder->seen[IN_NEW]);
	(void) sqlite3_bind_int64(row, 3, folder->seen[IN_CUR]);
	(void) sqlite3_bind_int64(row, 4, MIN(folder->looked[IN_NEW], folder->looked[IN_CUR]));
	(void) sqlite3_bind_int64(row, 5, folder->is_adopted ? 1 : 0);
	memcpy(folder->saved, folder->seen, sizeof folder->saved);
	return sql_done(connection, row, "note what was seen", error);
}

/* The times before the reading are what we have seen. What we moved ourselves meanwhile counts as
 * seen as well, but is looked at again before long. */
static void
note_seen(Scan *scan, const int64_t before[2], int64_t began)
{
	Folder *folder = scan->folder;

	folder->has_new = scan->account->watches == NULL || scan->n_moved >= moves_at_once(scan);
	folder->cost_ns = g_get_real_time() * 1000 - began;
	for (int i = 0; i < 2; i++) {
		g_autofree char *path = scan_part(scan->account, folder, i);

		if (scan->read[i]) {
			folder->looked[i] = began;
			folder->assumed[i] = scan->moved;
			if (folder->hints != NULL)
				folder->hints->follows[i] =
					g_atomic_int_get(&folder->hints->is_deaf[i]) == 0;
		} else if (folder->seen[i] != before[i]) {
			continue;
		}
		folder->seen[i] = scan->moved ? stat_ns(scan->account->root_fd, path) : before[i];
		folder->assumed[i] = folder->assumed[i] || scan->moved;
	}
	if (scan->n_moved >= moves_at_once(scan))
		folder->seen[IN_NEW] = 0;
	if (scan->again)
		folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
}

/* Kept for the next start when there is nothing left to be done. */
static bool
is_quiet(const Scan *scan)
{
	return scan->fresh->len == 0 && scan->changes->len == 0
	       && ph_uid_set_is_empty(scan->missing) && !scan->moved
	       && (scan->folder->seen[IN_NEW] != scan->folder->saved[IN_NEW]
	           || scan->folder->seen[IN_CUR] != scan->folder->saved[IN_CUR]);
}

static bool
read_folder(Scan *scan, GError **error)
{
	int64_t began = g_get_real_time() * 1000;
	int64_t before[2] = { 0, 0 };
	bool good = true;

	for (int i = 0; i < 2; i++) {
		g_autofree char *path = scan_part(scan->account, scan->folder, i);

		before[i] = stat_ns(scan->account->root_fd, path);
		if (scan->read[i])
			hints_begin(scan->folder, i);
	}
	good = know_names(scan, error);
	if (good && scan->folder->list.is_newer)
		(void) takeover_return(scan, &scan->raise);
	for (int i = 0; good && i < 2; i++)
		good = !scan->read[i] || read_part(scan, i);
	good = good && find_missing(scan, error) && states_flush(&scan->states, error);
	if (good)
		note_seen(scan, before, began);
	return good && (!is_quiet(scan) || scan_save(scan->folder, scan->connection, error));
}

bool
scan_read(Scan *scan, GError **error)
{
	bool good = false;

	scan->connection = scan->states.connection =
		ph_index_begin_write(scan->account->index, error);
	if (scan->connection == NULL)
		return false;
	good = read_folder(scan, error);
	good = ph_index_end_write(scan->account->index, scan->connection, good, error);
	scan->connection = NULL;
	return good;
}

/* --- folding in ----------------------------------------------------------------------------------- */

static const char *const no_keywords[] = { NULL };

static gint
compare_changes(gconstpointer a, gconstpointer b)
{
	const Change *first = a;
	const Change *second = b;
	Letters x = first->was ^ first->now;
	Letters y = second->was ^ second->now;

	if (x != y)
		return x < y ? -1 : 1;
	if (first->now != second->now)
		return first->now < second->now ? -1 : 1;
	return first->uid < second->uid ? -1 : 1;
}

/* Two operations of one commit; what we saw is noted with them. */
static bool
change_flags(Scan *scan, const PhUidSet *uids, const Change *change, GError **error)
{
	Letters removed = change->was & ~change->now & LETTERS_ALL;
	Letters added = change->now & ~change->was & LETTERS_ALL;
	g_autoptr(GPtrArray) less = scan_keywords(scan->folder, removed);
	g_autoptr(GPtrArray) more = scan_keywords(scan->folder, added);
	PhOp changes[2] = { { .flags_mode = PH_FLAGS_REMOVE, .flags = letters_to_flags(removed) },
		            { .flags_mode = PH_FLAGS_ADD, .flags = letters_to_flags(added) } };
	PhOp *ops[2] = { &changes[0], &changes[1] };

	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		changes[i].kind = PH_OP_FLAGS;
		changes[i].mailbox = scan->folder->id;
		changes[i].uids = uids;
		changes[i].keywords = (const char *const *) (i == 0 ? less : more)->pdata;
	}
	return commit_ops(scan->account, ops, G_N_ELEMENTS(ops), error);
}

/* Messages whose names changed alike. */
static bool
fold_changes(Scan *scan, GError **error)
{
	GArray *notes = scan->account->notes;
	guint i = 0;

	g_array_sort(scan->changes, compare_changes);
	while (i < scan->changes->len) {
		const Change first = g_array_index(scan->changes, Change, i);
		g_autoptr(PhUidSet) uids = ph_uid_set_new();
		bool good = false;

		for (; i < scan->changes->len; i++) {
			const Change *change = &g_array_index(scan->changes, Change, i);
			Note note = { scan->folder->no, change->uid, change->was, change->now };

			if (change->was != first.was || change->now != first.now)
				break;
			ph_uid_set_add(uids, change->uid);
			(void) g_array_append_val(notes, note);
		}
		good = change_flags(scan, uids, &first, error);
		g_array_set_size(notes, 0);
		if (!good)
			return false;
	}
	return true;
}

static bool
fold_missing(Scan *scan, GError **error)
{
	PhOp op = {
		.kind = PH_OP_EXPUNGE,
		.mailbox = scan->folder->id,
		.uids = scan->missing,
		.keywords = no_keywords,
	};
	PhOp *ops[1] = { &op };

	return ph_uid_set_is_empty(scan->missing) || commit_ops(scan->account, ops, 1, error);
}

bool
scan_fold(Scan *scan, GError **error)
{
	bool good =
		fold_changes(scan, error) && fold_missing(scan, error) && scan_adopt(scan, error);

	if (!good)
		scan->folder->seen[IN_NEW] = scan->folder->seen[IN_CUR] = 0;
	if (scan->changes->len > 0 || !ph_uid_set_is_empty(scan->missing))
		tidy_soon(scan->account);
	return good;
}

/* --- the whole ------------------------------------------------------------------------------------ */

static void
clear_found(void *data)
{
	Found *found = data;

	g_free(found->name);
}

void
scan_clear(Scan *scan)
{
	g_clear_pointer(&scan->known, known_free);
	g_clear_pointer(&scan->found, g_free);
	g_clear_pointer(&scan->all, g_free);
	g_clear_pointer(&scan->unfound, ph_uid_set_free);
	g_clear_pointer(&scan->changes, g_array_unref);
	g_clear_pointer(&scan->fresh, g_array_unref);
	g_clear_pointer(&scan->missing, ph_uid_set_free);
	g_clear_pointer(&scan->listing, listing_free);
	g_clear_pointer(&scan->takeover, known_free);
}

void
scan_init(Scan *scan, Account *account, Folder *folder, GError **error)
{
	*scan = (Scan){ .account = account, .folder = folder, .error = error };
	scan->states.account = account;
	scan->changes = g_array_new(FALSE, FALSE, sizeof(Change));
	scan->fresh = g_array_new(FALSE, FALSE, sizeof(Found));
	g_array_set_clear_func(scan->fresh, clear_found);
	scan->missing = ph_uid_set_new();
	scan->unfound = ph_uid_set_new();
	scan->listing = listing_new(account);
}

static bool
scan_once(Account *account, Folder *folder, bool *again_out, GError **error)
{
	Scan scan;
	bool good = false;

	scan_init(&scan, account, folder, error);
	scan.read[IN_NEW] = true;
	scan.read[IN_CUR] = must_read(account, folder, IN_CUR);
	good = scan_read(&scan, error) && scan_fold(&scan, error);
	good = good && (scan.raise == 0 || takeover_raise(account, folder, scan.raise, error));
	if (!good)
		folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
	else
		scan_note_skipped(&scan);
	if (account->watches != NULL && scan_took_new(&scan))
		folder->seen[IN_NEW] = 0; /* to be moved next time */
	*again_out = scan.again && scan.fresh->len > scan.n_left;
	scan_clear(&scan);
	return good;
}

static bool
scan_folder(Account *account, Folder *folder, GError **error)
{
	bool again = true;
	bool done = false;

	takeover_keywords(account, folder);
	if (!uidlist_look(account, folder, error))
		return false;
	if ((account->deferred || !folder->is_adopted) && !tidy_places(account, error))
		return false;
	if (!folder->is_adopted && !takeover_folder(account, folder, error))
		return false;
	if (!scan_glance(account, folder, &done, error))
		return false;
	if (!done && !account->deferred && !tidy_places(account, error))
		return false;
	while (!done && again)
		if (!scan_once(account, folder, &again, error))
			return false;
	uidlist_taken(folder);
	return true;
}

bool
scan_refresh(void *data, const PhMailboxId *mailbox, GError **error)
{
	Account *account = data;
	Folder *folder = mailbox != NULL ? folder_find(account, mailbox) : NULL;
	bool good = false;

	if (account->watches != NULL)
		ph_watch_catch_up();
	if (mailbox != NULL && (account->checked || !account->deferred)
	    && (folder == NULL || folder->is_gone
	        || (!must_read(account, folder, IN_NEW) && !must_read(account, folder, IN_CUR))))
		return true;
	(void) flock(account->lock_fd, LOCK_EX);
	good = defer_check(account, error);
	if (good)
		good = mailbox == NULL ? folders_look(account, error)
		                       : folder == NULL || folder->is_gone
		                                 || scan_folder(account, folder, error);
	(void) flock(account->lock_fd, LOCK_UN);
	return good;
}

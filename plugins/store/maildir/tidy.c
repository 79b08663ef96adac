/* tidy.c: names of files follow the index in the background
 *
 * For each folder there is a change number up to which the files are as the index says. What was
 * altered since is looked at in uid order: a message without a file in its folder (it was copied or
 * moved here) gets one, by rename or hard link; a file whose letters differ from the message's flags
 * is renamed. Then files of removed messages go to the trash, where they stay readable for the
 * grace time: after the files of all copies were made.
 *
 * Renames are announced: which file, from which letters to which, is committed before the files are
 * touched, and the new letters afterwards. So after a crash it is known that a name that differs was
 * our own doing and no other program's, and no flag changes because of it.
 *
 * Steps are short: they run in the index's write transaction.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hints.h"
#include "uidlist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	STEP = 256,
	PLANS = 1024,
	PLANS_DEFERRED = 4096, /* these wait for a sync of the file system */
	SOON_US = 200 * 1000,
	FINALLY_US = 5000 * 1000,
	SYNC_US = 1000 * 1000, /* so often, at most, for housekeeping alone */
};

void
tidy_soon(Account *account)
{
	ph_index_tend_soon(account->index, account->deferred ? SYNC_US : SOON_US);
}

/* --- brackets --------------------------------------------------------------------------------- */

static int64_t
part_time(Account *account, const Folder *folder, int part)
{
	g_autofree char *path = folder_below(account, folder, part == IN_NEW ? "new" : "cur");

	return stat_ns(account->root_fd, path);
}

void
touch_begin(Touch *touch, Account *account, Folder *folder)
{
	*touch = (Touch){ .account = account, .folder = folder };
	for (int i = 0; folder != NULL && i < 2; i++)
		touch->known[i] =
			folder->seen[i] != 0 && part_time(account, folder, i) == folder->seen[i];
}

void
touch_end(Touch *touch)
{
	Folder *folder = touch->folder;

	hints_own_end(touch->account);
	for (int i = 0; folder != NULL && i < 2; i++) {
		int64_t now = touch->known[i] ? part_time(touch->account, folder, i) : 0;

		if (now == 0 || now == folder->seen[i])
			continue;
		folder->seen[i] = now;
		folder->assumed[i] = true;
	}
}

static bool
rename_file(Account *account, const char *from, const char *to)
{
	account->has_renamed = true;
	hints_own(account, from, to);
	return ph_durable_move(&(PhRename){ account->root_fd, account->root_fd, from, to, true },
	                       NULL);
}

/* --- what was renamed stays so ------------------------------------------------------------------ */

bool
tidy_sync(const Account *account, const char *path, GError **error)
{
	int fd = -1;
	bool good = false;

	fd = openat(account->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", path);
		return false;
	}
	good = ph_durable_sync_folder(fd, error);
	(void) close(fd);
	return good;
}

static bool
sync_parts(Account *account, const Folder *folder, GError **error)
{
	bool good = true;

	for (int i = 0; good && account->has_renamed && i < 2; i++) {
		g_autofree char *path = folder_below(account, folder, i == IN_NEW ? "new" : "cur");

		good = tidy_sync(account, path, error);
	}
	account->has_renamed = account->has_renamed && !good;
	return good;
}

/* --- one folder ----------------------------------------------------------------------------------- */

/* Cycle: one look at what was altered in a folder. */
typedef struct {
	Account *account;
	PhIndexConnection *connection;
	Folder *folder;
	Listing *listing;
	States states;
	bool renames;  /* or only what needs a file */
	uint32_t last; /* uid */
	unsigned n_done;
	bool good;
	bool held; /* a file may yet be made good by the journal */
	GError **error;
} Cycle;

static Letters
wanted_letters(const Cycle *cycle, const PhRecord *record, Letters now)
{
	Letters letters = letters_from_flags(record->flags) | (now & LETTERS_PASSED);

	for (size_t i = 0; record->keywords[i] != NULL; i++) {
		int letter =
			keyword_letter(cycle->account, cycle->folder, record->keywords[i], true);

		if (letter >= 0)
			letters |= LETTERS_KEYWORD << letter;
	}
	if (letters == 0 && (now & LETTERS_NEW) != 0)
		letters = LETTERS_NEW;
	return letters | LETTERS_PRESENT;
}

static bool
note_place(Cycle *cycle, const PhBlobId *blob)
{
	sqlite3_stmt *row = sql(cycle->connection, SQL_PLACE_PUT, cycle->folder->no, cycle->error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob(row, 2, blob->octets, blob->length, SQLITE_STATIC);
	return sql_done(cycle->connection, row, "note where a file is", cycle->error);
}

/* Octets that cannot be linked (another file system, too many links) are copied. */
static bool
copy_octets(Account *account, const char *from, const char *to)
{
	g_autofree char *buffer = g_malloc(64 * 1024);
	int in = openat(account->root_fd, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int out = openat(account->root_fd, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool good = in >= 0 && out >= 0;
	ssize_t n = 0;

	while (good && (n = read(in, buffer, 64 * 1024)) > 0)
		good = ph_durable_write(out, PH_SLICE(buffer, (size_t) n), NULL);
	good = good && n == 0 && ph_durable_sync(out, NULL);
	if (out >= 0 && !good)
		(void) unlinkat(account->root_fd, to, 0);
	if (in >= 0)
		(void) close(in);
	if (out >= 0)
		(void) close(out);
	return good;
}

/* The message's file comes to this folder. */
static bool
place_file(Cycle *cycle, const PhRecord *record, const File *file)
{
	Account *account = cycle->account;
	bool is_new = file->copy == 0 && file->home == cycle->folder->no && record->flags == 0
	              && record->keywords[0] == NULL;
	Letters letters = wanted_letters(cycle, record, is_new ? LETTERS_NEW : 0);
	g_autofree char *to = folder_where(account, cycle->folder, letters, ph_slice(file->base));
	g_autofree char *own = NULL;
	g_autofree char *source = NULL;
	bool good = false;

	cycle->n_done++;
	cycle->folder->has_new = cycle->folder->has_new || is_new;
	good = file->copy == 0 && upload_leave(account, file, to);
	if (!good)
		own = find_own(cycle->listing, cycle->connection, &record->blob, letters);
	if (own != NULL)
		good = g_str_equal(own, to) || rename_file(account, own, to);
	if (!good && own == NULL) {
		account->has_renamed = true;
		hints_own(account, NULL, to);
		source = find_source(cycle->listing, cycle->connection, &record->blob, letters);
		good = source != NULL
		       && (linkat(account->root_fd, source, account->root_fd, to, 0) == 0
		           || errno == EEXIST || copy_octets(account, source, to));
	}
	if (!good)
		return true; /* it stays as it is: where it lies it can be read */
	return states_set(&cycle->states, cycle->folder->no, record->uid, letters, cycle->error)
	       && ((file->copy == 0 && file->home == cycle->folder->no)
	           || note_place(cycle, &record->blob));
}

static void
plan_rename(Cycle *cycle, const PhRecord *record, const File *file, Letters from)
{
	Plan plan = { .uid = record->uid, .from = from };

	plan.to = wanted_letters(cycle, record, from);
	if (plan.to == from)
		return;
	g_strlcpy(plan.base, file->base, sizeof plan.base);
	(void) g_array_append_val(cycle->account->plans, plan);
}

static bool
is_enough(const Account *account)
{
	return account->plans->len >= (guint) (account->deferred ? PLANS_DEFERRED : PLANS);
}

/* Before it is known that the journal has restored what it could, files are looked at first. */
static bool
is_doubtful(const Cycle *cycle, const PhRecord *record)
{
	return cycle->account->deferred && !cycle->account->checked
	       && defer_is_bad(cycle->listing, cycle->connection, &record->blob);
}

static bool
look_at(const PhRecord *record, void *user_data)
{
	Cycle *cycle = user_data;
	Letters now = 0;
	File file;

	if (cycle->n_done >= STEP || (cycle->renames && is_enough(cycle->account)))
		return false;
	if (record->change > cycle->account->cycle_bound)
		return true;
	cycle->good = states_load(&cycle->states, cycle->folder->no, record->uid, cycle->error);
	now = cycle->good ? cycle->states.states[record->uid % CHUNK] : 0;
	if (cycle->good && file_unpack(&record->blob, cycle->connection, &file)) {
		cycle->held = now == 0 && is_doubtful(cycle, record);
		if (cycle->held)
			return false;
		if (now == 0)
			cycle->good = place_file(cycle, record, &file);
		else if (cycle->renames)
			plan_rename(cycle, record, &file, now);
	}
	cycle->last = record->uid;
	return cycle->good;
}

/* --- announced renames ---------------------------------------------------------------------------- */

static bool
save_plans(Account *account, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *row =
		sql_once(connection, "INSERT OR REPLACE INTO intent VALUES (?1, ?2)", error);
	bool good = false;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, account->plan_folder);
	(void) sqlite3_bind_blob64(row, 2, account->plans->data, account->plans->len * sizeof(Plan),
	                           SQLITE_STATIC);
	good = sql_done(connection, row, "announce renames", error);
	(void) sqlite3_finalize(row);
	return good;
}

static bool
forget_plans(Account *account, PhIndexConnection *connection, uint32_t folder, GError **error)
{
	sqlite3_stmt *row = sql_once(connection, "DELETE FROM intent WHERE folder = ?1", error);
	bool good = false;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, folder);
	good = sql_done(connection, row, "forget renames", error);
	(void) sqlite3_finalize(row);
	return good;
}

/* The rename that took it out of tmp was lost with the power. */
static bool
is_back(Account *account, const Plan *plan, const char *to)
{
	File file = { .base = "" };

	(void) g_strlcpy(file.base, plan->base, sizeof file.base);
	return upload_leave(account, &file, to);
}

static bool
carry_out(Account *account, PhIndexConnection *connection, GError **error)
{
	Folder *folder = folder_at(account, account->plan_folder);
	States states = { .connection = connection, .account = account };
	Touch touch;
	bool good = true;

	if (account->plans->len == 0 || folder == NULL)
		return true;
	account->plans_time = 0;
	touch_begin(&touch, account, folder);
	for (guint i = 0; good && i < account->plans->len; i++) {
		const Plan *plan = &g_array_index(account->plans, Plan, i);
		g_autofree char *from =
			folder_where(account, folder, plan->from, ph_slice(plan->base));
		g_autofree char *to = folder_where(account, folder, plan->to, ph_slice(plan->base));

		good = states_load(&states, folder->no, plan->uid, error);
		if (good && states.states[plan->uid % CHUNK] == plan->from
		    && (rename_file(account, from, to) || is_back(account, plan, to)))
			good = states_set(&states, folder->no, plan->uid, plan->to, error);
	}
	touch_end(&touch);
	g_array_set_size(account->plans, 0);
	return good && sync_parts(account, folder, error) && states_flush(&states, error)
	       && forget_plans(account, connection, folder->no, error);
}

/* What was announced and perhaps done before a crash. */
static bool
resume_plans(Account *account,
             PhIndexConnection *connection,
             uint32_t no,
             const Plan *plans,
             size_t n)
{
	Folder *folder = folder_at(account, no);
	States states = { .connection = connection, .account = account };

	for (size_t i = 0; folder != NULL && i < n; i++) {
		Plan plan;
		g_autofree char *to = NULL;

		memcpy(&plan, &plans[i], sizeof plan);
		plan.base[sizeof plan.base - 1] = '\0';
		to = folder_where(account, folder, plan.to, ph_slice(plan.base));
		if (faccessat(account->root_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0
		    && !states_set(&states, no, plan.uid, plan.to, NULL))
			return false;
	}
	return states_flush(&states, NULL) && forget_plans(account, connection, no, NULL);
}

bool
tidy_resume(Account *account, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);
	g_autoptr(GArray) folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
	sqlite3_stmt *row = NULL;
	bool good = true;

	if (connection == NULL)
		return false;
	row = sql_once(connection, "SELECT folder, files FROM intent", error);
	while (row != NULL && sqlite3_step(row) == SQLITE_ROW) {
		uint32_t no = (uint32_t) sqlite3_column_int64(row, 0);

		(void) g_array_append_val(folders, no);
		g_ptr_array_add(rows, g_bytes_new(sqlite3_column_blob(row, 1),
		                                  (gsize) sqlite3_column_bytes(row, 1)));
	}
	(void) sqlite3_finalize(row);
	ph_index_end_read(account->index, connection);
	if (folders->len == 0)
		return row != NULL;
	connection = ph_index_begin_write(account->index, error);
	if (connection == NULL)
		return false;
	for (guint i = 0; good && i < folders->len; i++) {
		gsize size = 0;
		const Plan *plans = g_bytes_get_data(g_ptr_array_index(rows, i), &size);

		good = resume_plans(account, connection, g_array_index(folders, uint32_t, i), plans,
		                    size / sizeof *plans);
	}
	return ph_index_end_write(account->index, connection, good, error);
}

/* --- all folders ---------------------------------------------------------------------------------- */

/* Behind: mailboxes whose files do not follow yet. */
typedef struct {
	Account *account;
	GPtrArray *folders;
	Safe safe;
	uint64_t change; /* the highest */
	GArray *lists;   /* (nullable) of UidlistWork */
} Behind;

static bool
find_behind(const PhMailboxInfo *info, void *user_data)
{
	Behind *behind = user_data;
	Folder *folder = folder_find(behind->account, &info->id);

	behind->change = MAX(behind->change, info->change);
	if (folder != NULL && !folder->is_gone
	    && folder->synced < MIN(info->change, behind->safe.change))
		g_ptr_array_add(behind->folders, folder);
	if (folder != NULL && behind->lists != NULL && uidlist_is_behind(folder, info)) {
		UidlistWork work = { folder, info->uidvalidity, info->uidnext, info->n_messages };

		(void) g_array_append_val(behind->lists, work);
	}
	return true;
}

static bool
save_synced(Cycle *cycle, uint64_t change)
{
	sqlite3_stmt *row =
		sql(cycle->connection, SQL_FOLDER_SYNCED, cycle->folder->no, cycle->error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, (int64_t) change);
	cycle->folder->synced = change;
	return sql_done(cycle->connection, row, "note how far files follow", cycle->error);
}

/* One step of one folder. @more_out: it is not done yet. */
static bool
follow(Cycle *cycle, bool *more_out)
{
	Account *account = cycle->account;
	uint32_t from = account->cycle_folder == cycle->folder->no ? account->cycle_uid : 0;
	g_autoptr(PhUidSet) rest = ph_uid_set_new_range(from + 1, UINT32_MAX);
	PhChangesQuery query = {
		.since = cycle->folder->synced,
		.uids = from > 0 ? rest : NULL,
		.fields = PH_FIELD_FLAGS | PH_FIELD_BLOB,
		.record = look_at,
		.user_data = cycle,
	};
	PhChangesResult result = { 0 };
	Touch touch;

	if (from == 0)
		account->cycle_bound = defer_safe(account).change;
	touch_begin(&touch, account, cycle->folder);
	if (!ph_index_changes(account->index, &cycle->folder->id, &query, &result, cycle->error))
		return false;
	touch_end(&touch);
	if (!cycle->good || !sync_parts(account, cycle->folder, cycle->error)
	    || !states_flush(&cycle->states, cycle->error))
		return false;
	if (from == 0) {
		account->cycle_folder = cycle->folder->no;
		account->cycle_change = MIN(result.complete_to, account->cycle_bound);
	}
	*more_out = cycle->n_done >= STEP || (cycle->renames && is_enough(account));
	account->cycle_uid = cycle->last;
	if (cycle->renames && account->plans->len > 0) {
		account->plan_folder = cycle->folder->no;
		*more_out = true;
		return save_plans(account, cycle->connection, cycle->error);
	}
	if (*more_out)
		return true;
	account->cycle_folder = 0;
	account->cycle_uid = 0;
	*more_out = cycle->n_done > 0 && !cycle->held;
	return !cycle->renames || cycle->held || save_synced(cycle, account->cycle_change);
}

static bool
step(Account *account,
     PhIndexConnection *connection,
     Folder *folder,
     bool renames,
     bool *more_out,
     GError **error)
{
	Cycle cycle = {
		.account = account,
		.connection = connection,
		.folder = folder,
		.listing = listing_new(account),
		.states = { .connection = connection, .account = account },
		.renames = renames,
		.good = true,
		.error = error,
	};
	bool good = follow(&cycle, more_out);

	listing_free(cycle.listing);
	return good;
}

/* Announced renames wait until it is certain that the announcement survives. */
static bool
plans_wait(Account *account)
{
	if (!account->deferred || account->plans->len == 0)
		return false;
	if (account->plans_time == 0) {
		account->plans_time = g_get_monotonic_time();
		g_atomic_int_set(&account->unsynced, 1);
	}
	return account->plans_time > defer_safe(account).time;
}

static void
ask_for_sync(Account *account, uint64_t change)
{
	int64_t next = 0;
	int64_t now = g_get_monotonic_time();

	if (!account->deferred || g_atomic_int_get(&account->unsynced) == 0)
		return;
	next = defer_safe(account).time + SYNC_US;
	if (now >= next)
		defer_ask(account, change);
	else
		ph_index_tend_soon(account->index, (uint64_t) (next - now));
}

static bool
follow_lists(Account *account, PhIndexConnection *connection, const GArray *lists)
{
	bool more = false;

	for (guint i = 0; i < lists->len && !more; i++)
		more = uidlist_follow(account, connection, &g_array_index(lists, UidlistWork, i));
	return more;
}

static bool
follow_files(Account *account, PhIndexConnection *connection, const GPtrArray *folders, PhTime now)
{
	bool more = false;

	for (guint i = 0; i < folders->len; i++) {
		if (!step(account, connection, g_ptr_array_index(folders, i), true, &more, NULL))
			return false;
		if (more)
			return true;
	}
	return trash_step(account, connection, now);
}

bool
tidy(void *data, PhIndexConnection *connection, PhTime now)
{
	Account *account = data;
	g_autoptr(GPtrArray) folders = g_ptr_array_new();
	g_autoptr(GArray) lists = g_array_new(FALSE, FALSE, sizeof(UidlistWork));
	Behind behind = { account, folders, defer_safe(account), 0, lists };
	uint64_t change = 0;
	bool more = false;
	bool waits = plans_wait(account);

	if ((!waits && !carry_out(account, connection, NULL))
	    || !ph_index_mailboxes(account->index, find_behind, &behind, &change, NULL))
		return false;
	ask_for_sync(account, MAX(behind.change, change));
	subscriptions_follow(account, connection);
	more = follow_lists(account, connection, lists);
	more = (!waits && follow_files(account, connection, folders, now)) || more;
	g_atomic_int_set(&account->unsettled,
	                 more || account->plans->len > 0 || behind.change > behind.safe.change);
	return more;
}

static bool
tidy_once(Account *account)
{
	PhIndexConnection *connection = ph_index_begin_write(account->index, NULL);
	bool more = false;

	if (connection == NULL)
		return false;
	more = tidy(account, connection, g_get_real_time());
	return ph_index_end_write(account->index, connection, true, NULL) && more;
}

/* Without syncs of their own commits need one before files follow, and one for announced renames. */
void
tidy_finally(Account *account)
{
	int64_t end = g_get_monotonic_time() + FINALLY_US;

	for (int i = 0; i < 3 && g_atomic_int_get(&account->unsettled) != 0; i++) {
		if (account->deferred && !defer_sync_now(account, NULL))
			return;
		while (tidy_once(account) && g_get_monotonic_time() < end)
			;
	}
	if (account->deferred)
		defer_hurry(account);
}

/* --- before a scan -------------------------------------------------------------------------------- */

/* Renames that were announced without a sync wait for theirs: names are as the index has them.
 * @anew: from the first message on. */
static bool
place_folder(Account *account, Folder *folder, bool anew, GError **error)
{
	bool more = true;

	while (more) {
		PhIndexConnection *connection = ph_index_begin_write(account->index, error);
		bool good = connection != NULL;

		if (!good)
			return false;
		if (anew)
			account->cycle_folder = 0;
		anew = false;
		good = (account->deferred || carry_out(account, connection, error))
		       && step(account, connection, folder, false, &more, error);
		more = good && account->cycle_folder == folder->no;
		if (!ph_index_end_write(account->index, connection, good, error))
			return false;
	}
	return true;
}

bool
tidy_expect(Account *account, GError **error)
{
	g_autoptr(GPtrArray) folders = g_ptr_array_new();
	Behind behind = { account, folders, { UINT64_MAX, INT64_MAX, INT64_MAX }, 0, NULL };
	uint64_t change = 0;

	if (!ph_index_mailboxes(account->index, find_behind, &behind, &change, error))
		return false;
	if (folders->len > 0)
		tidy_soon(account);
	return true;
}

bool
tidy_places(Account *account, GError **error)
{
	g_autoptr(GPtrArray) folders = g_ptr_array_new();
	Behind behind = { .account = account, .folders = folders };
	uint64_t change = 0;
	bool more = true;
	bool anew = false;

	if (!defer_now(account, &anew, error))
		return false;
	behind.safe = defer_safe(account);
	if (!ph_index_mailboxes(account->index, find_behind, &behind, &change, error))
		return false;
	for (guint i = 0; i < folders->len; i++)
		if (!place_folder(account, g_ptr_array_index(folders, i), anew, error))
			return false;
	while (more) {
		PhIndexConnection *connection = ph_index_begin_write(account->index, error);

		if (connection == NULL)
			return false;
		more = trash_step(account, connection, g_get_real_time());
		if (!ph_index_end_write(account->index, connection, true, error))
			return false;
	}
	return true;
}

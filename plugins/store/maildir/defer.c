/* defer.c: commits that wait for no sync, because the server's journal makes them durable
 *
 * A delivery then leaves its file in tmp, unsynced, under the name that it will have. What the
 * housekeeping does to files (out of tmp, other names, into the trash) begins when a sync of the
 * file system in the background has made the commits durable from which it follows: so whatever
 * lies in new and cur is in the index even after the power was lost, and no delivery of our own is
 * ever taken for a foreign one. One thread makes these syncs, one a second of each file system for all
 * accounts that wait.
 *
 * After the loss of power the index may name files that are empty, torn or missing. They are all
 * among those that wait to leave tmp, and their names hold a sum of what was written. The journal's
 * transactions come again, known or not: for a known one the octets are read, and replaced by those of
 * the journal when they are not what they were. What is still bad then was never acknowledged, and
 * is removed before anybody sees it; until then the housekeeping gives it no place.
 *
 * A file that has yet to leave its folder, because its message was expunged or moved, would look like
 * a delivery to who reads the folder: so a reading begins with a sync when there may be any.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "syncs.h"
#include "tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* --- sums ----------------------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

uint64_t
defer_sum(uint64_t sum, PhSlice piece)
{
	const uint64_t first = UINT64_C(0xa0761d6478bd642f);
	const uint64_t second = UINT64_C(0xe7037ed1a0b428db);

	sum ^= piece.length;
	for (size_t i = 0; i < piece.length; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, piece.data + i, MIN(sizeof word, piece.length - i));
		sum = mix(sum ^ word ^ first, second) + 1;
	}
	return sum;
}

void
defer_mark(char *base, size_t size, uint64_t sum)
{
	size_t length = strlen(base);

	(void) g_snprintf(base + length, (gulong) (size - length), ",C%08x",
	                  (unsigned) (mix(sum ^ 1, UINT64_C(0x8ebc6af09c88c6e3)) & UINT32_MAX));
}

static bool
sum_file(int fd, uint64_t *sum_out)
{
	g_autofree char *buffer = g_malloc(SUM_PIECE);
	uint64_t sum = 0;
	size_t filled = 0;

	for (;;) {
		ssize_t n = read(fd, buffer + filled, SUM_PIECE - filled);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		filled += (size_t) n;
		if (n == 0 || filled == SUM_PIECE) {
			sum = defer_sum(sum, PH_SLICE(buffer, filled));
			filled = 0;
		}
		if (n == 0)
			break;
	}
	*sum_out = sum;
	return true;
}

/* Is it what was written? Of a name without a sum only the size is known. */
static bool
is_whole(const Account *account, const char *path, const File *file)
{
	const char *mark = strstr(file->base, ",C");
	char made[SUM_MARK + 1] = "";
	uint64_t sum = 0;
	struct stat info;
	int fd = openat(account->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool good = fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode)
	            && (uint64_t) info.st_size == file->size;

	if (good && mark != NULL && sum_file(fd, &sum)) {
		defer_mark(made, sizeof made, sum);
		good = strncmp(mark, made, SUM_MARK) == 0;
	}
	if (fd >= 0)
		(void) close(fd);
	return good;
}

/* --- syncs in the background ---------------------------------------------------------------------- */

static GThreadPool *pool;

void
defer_hurry(Account *account)
{
	bool is_asked = false;

	(void) pthread_mutex_lock(&account->lock);
	is_asked = account->is_asked;
	(void) pthread_mutex_unlock(&account->lock);
	if (!is_asked)
		return;
	syncs_hurry();
}

Safe
defer_safe(Account *account)
{
	Safe safe = { UINT64_MAX, INT64_MAX, INT64_MAX };

	if (!account->deferred)
		return safe;
	(void) pthread_mutex_lock(&account->lock);
	safe = account->safe;
	(void) pthread_mutex_unlock(&account->lock);
	return safe;
}

/* What was asked for is durable; after a failure it never is in this process, see syncs.h: files stay
 * where they are, the journal's next checkpoint fails as well, and its replay restores them. */
static void
answer(Account *account, bool good)
{
	(void) pthread_mutex_lock(&account->lock);
	if (good && account->safe.time < account->asked.time)
		account->safe = account->asked;
	account->is_asked = false;
	(void) pthread_mutex_unlock(&account->lock);
	if (!good)
		g_atomic_int_set(&account->unsynced, 1);
}

static void
sync_for(void *data, void *unused)
{
	Account *account = data;
	bool good = syncs_covers(account->root_fd, account->asked.time);

	if (!good) {
		syncs_rest(account->root_fd);
		good = syncs_covers(account->root_fd, account->asked.time)
		       || syncs_make(account->root_fd, account->root);
	}
	answer(account, good);
	if (good)
		ph_index_tend_soon(account->index, 0);
	ph_index_unref(account->index);
}

void
defer_ask(Account *account, uint64_t change)
{
	static gsize once = 0;
	bool was_asked = false;

	if (g_once_init_enter(&once)) {
		pool = g_thread_pool_new(sync_for, NULL, 1, FALSE, NULL);
		g_once_init_leave(&once, 1);
	}
	(void) pthread_mutex_lock(&account->lock);
	was_asked = account->is_asked;
	account->is_asked = true;
	if (!was_asked)
		account->asked = (Safe){ change, g_get_monotonic_time(), g_get_real_time() };
	(void) pthread_mutex_unlock(&account->lock);
	if (was_asked)
		return;
	g_atomic_int_set(&account->unsynced, 0);
	(void) ph_index_ref(account->index);
	(void) g_thread_pool_push(pool, account, NULL);
}

/* --- before a folder is read ---------------------------------------------------------------------- */

static bool
find_highest(const PhMailboxInfo *info, void *user_data)
{
	uint64_t *change = user_data;

	*change = MAX(*change, info->change);
	return true;
}

/* Leaving: is there a file that has to leave its folder when a commit is durable? One that waits in
 * tmp does not go there any more. */
typedef struct {
	Account *account;
	PhIndexConnection *connection;
	const Folder *folder;
	States states;
	bool found;
} Leaving;

static bool
leaves(const Leaving *leaving, const PhBlobId *blob)
{
	g_autofree char *waiting = NULL;
	File file;

	if (!file_unpack(blob, leaving->connection, &file) || file.copy != 0)
		return file.copy != 0;
	waiting = find_waiting(leaving->account, &file);
	return waiting == NULL;
}

static bool
look_at_moved(const PhRecord *record, void *user_data)
{
	Leaving *leaving = user_data;

	leaving->found = states_load(&leaving->states, leaving->folder->no, record->uid, NULL)
	                 && leaving->states.states[record->uid % CHUNK] == 0
	                 && (file_copy(&record->blob) == 0
	                             ? leaves(leaving, &record->blob)
	                             : find_is_elsewhere(leaving->connection, &record->blob,
	                                                 leaving->folder));
	return !leaving->found;
}

static bool
look_at_dropped(Leaving *leaving, GError **error)
{
	sqlite3_stmt *row =
		sql_once(leaving->connection, "SELECT blobs FROM dropped WHERE removed = 0", error);
	bool good = row != NULL;

	while (row != NULL && !leaving->found && sqlite3_step(row) == SQLITE_ROW) {
		const char *octets = sqlite3_column_blob(row, 0);
		size_t size = (size_t) sqlite3_column_bytes(row, 0);
		size_t offset = 0;
		PhBlobId blob;

		while (!leaving->found && trash_next_blob(octets, size, &offset, &blob))
			leaving->found = leaves(leaving, &blob);
	}
	(void) sqlite3_finalize(row);
	return good;
}

static bool
find_leaving(Account *account, bool *found_out, GError **error)
{
	Leaving leaving = { .account = account };
	bool good = true;

	leaving.states.account = account;
	leaving.connection = leaving.states.connection = ph_index_begin_read(account->index, error);
	if (leaving.connection == NULL)
		return false;
	good = look_at_dropped(&leaving, error);
	for (guint i = 0; good && !leaving.found && i < account->numbered->len; i++) {
		PhChangesQuery query = { .fields = PH_FIELD_BLOB,
			                 .record = look_at_moved,
			                 .user_data = &leaving };
		PhChangesResult result = { 0 };

		leaving.folder = folder_at(account, i);
		if (leaving.folder == NULL || leaving.folder->is_gone)
			continue;
		query.since = leaving.folder->synced;
		good = ph_index_changes(account->index, &leaving.folder->id, &query, &result,
		                        error);
	}
	ph_index_end_read(account->index, leaving.connection);
	*found_out = leaving.found;
	return good;
}

bool
defer_now(Account *account, bool *synced_out, GError **error)
{
	*synced_out = false;
	if (!account->deferred || account->leaving < defer_safe(account).time)
		return true;
	if (!find_leaving(account, synced_out, error))
		return false;
	if (!*synced_out) {
		account->leaving = 0;
		return true;
	}
	return defer_sync_now(account, error);
}

bool
defer_sync_now(Account *account, GError **error)
{
	Safe safe;
	uint64_t highest = 0;
	uint64_t change = 0;

	if (!ph_index_mailboxes(account->index, find_highest, &highest, &change, error))
		return false;
	safe = (Safe){ MAX(highest, change), g_get_monotonic_time(), g_get_real_time() };
	if (!syncs_make(account->root_fd, account->root)) {
		ph_error_set_errno(error, errno, "cannot sync '%s'", account->root);
		return false;
	}
	(void) pthread_mutex_lock(&account->lock);
	if (account->safe.time < safe.time)
		account->safe = safe;
	(void) pthread_mutex_unlock(&account->lock);
	return true;
}

void
defer_noted(Account *account, PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; account->deferred && i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			if (batch[i]->ops[j]->kind == PH_OP_EXPUNGE
			    || batch[i]->ops[j]->kind == PH_OP_MOVE)
				account->leaving = g_get_monotonic_time();
}

/* --- the store's members -------------------------------------------------------------------------- */

bool
defer_account(void *data, int *fd_out, GError **error)
{
	Account *account = data;

	if (!ph_index_defer(account->index, fd_out, error))
		return false;
	account->deferred = true;
	account->leaving = g_get_monotonic_time(); /* perhaps, before this process */
	account->unsynced = account->changed = 1;
	tidy_soon(account);
	return true;
}

bool
defer_sync(void *data, GError **error)
{
	Account *account = data;

	if (account->deferred && g_atomic_int_get(&account->changed) == 0)
		return true;
	g_atomic_int_set(&account->changed, 0);
	if (syncs_make(account->root_fd, account->root))
		return true;
	g_atomic_int_set(&account->changed, 1);
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot sync '%s'", account->root);
	return false;
}

/* --- known transactions --------------------------------------------------------------------------- */

/* Search: for a message that was appended and perhaps moved since. */
typedef struct {
	const uint8_t *message_id;
	PhBlobId blob;
	bool found;
} Search;

static bool
compare(const PhRecord *record, void *user_data)
{
	Search *search = user_data;

	if (memcmp(record->message_id, search->message_id, sizeof record->message_id) != 0)
		return true;
	search->blob = record->blob;
	search->found = true;
	return false;
}

static bool
search_folder(Account *account, const PhMailboxId *mailbox, PhChangesQuery *query, GError **error)
{
	PhChangesResult result = { 0 };
	g_autoptr(GError) why = NULL;

	query->fields = PH_FIELD_BLOB | PH_FIELD_IDS;
	query->record = compare;
	if (ph_index_changes(account->index, mailbox, query, &result, &why)
	    || g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND)
	    || g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* First where it was appended, then where something was altered lately. */
static bool
search_all(Account *account, const PhOp *op, Search *search, GError **error)
{
	g_autoptr(PhUidSet) uid = ph_uid_set_new_range(op->given_uid, op->given_uid);
	PhChangesQuery query = { .uids = uid, .user_data = search };

	if (op->given_uid != 0 && !search_folder(account, &op->mailbox, &query, error))
		return false;
	for (guint i = 0; !search->found && i < account->numbered->len; i++) {
		const Folder *folder = folder_at(account, i);

		if (folder == NULL || folder->is_gone)
			continue;
		query = (PhChangesQuery){ .since = folder->synced, .user_data = search };
		if (!search_folder(account, &folder->id, &query, error))
			return false;
	}
	return true;
}

/* Puts the octets where the message's file is, or waits: there they are found. */
static bool
put_back(Account *account, const PhBlobId *upload, const char *path, const File *file)
{
	g_autofree char *waiting = tmp_path(file->base);
	g_autofree char *from = NULL;
	File fresh;

	if (!file_unpack(upload, NULL, &fresh) || !fresh.is_upload || fresh.is_adopted)
		return false;
	from = tmp_path(fresh.base);
	return ph_durable_move(&(PhRename){ account->root_fd, account->root_fd, from,
	                                    path != NULL ? path : waiting, false },
	                       NULL);
}

bool
defer_replayed(Account *account, const PhOp *op, GError **error)
{
	Search search = { .message_id = op->message_id };
	PhIndexConnection *connection = NULL;
	Listing *listing = NULL;
	g_autofree char *path = NULL;
	File file;

	if (!search_all(account, op, &search, error))
		return false;
	if (!search.found)
		return true; /* expunged since */
	/* so that the housekeeping moves nothing meanwhile */
	connection = ph_index_begin_write(account->index, error);
	if (connection == NULL)
		return false;
	listing = listing_new(account);
	path = find_source(listing, connection, &search.blob, 0);
	file_set_copy(&search.blob, 0);
	if (file_unpack(&search.blob, connection, &file)
	    && (path == NULL || !is_whole(account, path, &file)))
		(void) put_back(account, &op->blob, path, &file);
	listing_free(listing);
	return ph_index_end_write(account->index, connection, true, error);
}

/* --- what is still bad ---------------------------------------------------------------------------- */

/* Check: of one folder. */
typedef struct {
	Account *account;
	PhIndexConnection *connection;
	const Folder *folder;
	Listing *listing;
	PhUidSet *bad;
	States states;
} Check;

bool
defer_is_bad(Listing *listing, PhIndexConnection *connection, const PhBlobId *blob)
{
	PhBlobId original = *blob;
	g_autofree char *path = find_source(listing, connection, blob, 0);
	File file;

	file_set_copy(&original, 0);
	return file_unpack(&original, connection, &file)
	       && (path == NULL || !is_whole(listing->account, path, &file));
}

/* Only messages whose file has not got its place yet: the others were durable then. */
static bool
check_record(const PhRecord *record, void *user_data)
{
	Check *check = user_data;

	if (!states_load(&check->states, check->folder->no, record->uid, NULL)
	    || check->states.states[record->uid % CHUNK] != 0)
		return true;
	if (defer_is_bad(check->listing, check->connection, &record->blob))
		ph_uid_set_add(check->bad, record->uid);
	return true;
}

static bool
remove_bad(Account *account, const Folder *folder, PhUidSet *bad, GError **error)
{
	static const char *const none[] = { NULL };
	PhOp op = { .kind = PH_OP_EXPUNGE, .uids = bad, .keywords = none };
	PhOp *ops[] = { &op };
	g_autofree char *where = folder_dir(account, folder);

	op.mailbox = folder->id;
	if (ph_uid_set_is_empty(bad))
		return true;
	if (!commit_ops(account, ops, G_N_ELEMENTS(ops), error))
		return false;
	ph_log_section(account->settings.section, PH_LOG_WARNING, "maildir-lost",
	               "messages whose files did not survive were removed",
	               PH_LOG_TEXT("maildir", account->root), PH_LOG_TEXT("folder", where),
	               PH_LOG_NUMBER("messages", ph_uid_set_count(bad)), PH_LOG_END);
	return true;
}

static bool
check_folder(Account *account, const Folder *folder, GError **error)
{
	Check check = { .account = account, .folder = folder };
	g_autoptr(PhUidSet) bad = ph_uid_set_new();
	PhChangesQuery query = {
		.since = folder->synced,
		.fields = PH_FIELD_BLOB,
		.record = check_record,
		.user_data = &check,
	};
	PhChangesResult result = { 0 };
	bool good = false;

	check.bad = bad;
	check.states.account = account;
	/* the housekeeping could move a file between two looks at where it may be */
	check.connection = check.states.connection = ph_index_begin_write(account->index, error);
	if (check.connection == NULL)
		return false;
	check.listing = listing_new(account);
	good = ph_index_changes(account->index, &folder->id, &query, &result, error);
	listing_free(check.listing);
	good = ph_index_end_write(account->index, check.connection, good, error);
	return good && remove_bad(account, folder, bad, error);
}

bool
defer_check(Account *account, GError **error)
{
	if (account->checked || !account->deferred)
		return true;
	for (guint i = 0; i < account->numbered->len; i++) {
		Folder *folder = folder_at(account, i);

		if (folder == NULL || folder->is_gone)
			continue;
		if (!check_folder(account, folder, error))
			return false;
		/* names may be others than those that were noted */
		folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
	}
	account->checked = true;
	return true;
}

/* folders.c: the folders of an account, as the index has mailboxes
 *
 * Each mailbox has a row that says where its folder lies. After a commit that made, named or removed
 * mailboxes, and when an account is opened, the folders follow: so a crash in between is made good.
 * A removed folder goes to our own trash as it is, where its octets can be read for the grace time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *const parts[] = { "new", "cur", "tmp" };

int64_t
stat_ns(int root_fd, const char *path)
{
	struct stat info;

	if (fstatat(root_fd, path, &info, 0) < 0)
		return 0;
	return info.st_mtim.tv_sec * INT64_C(1000000000) + info.st_mtim.tv_nsec;
}

/* --- in memory ------------------------------------------------------------------------------------ */

/* With the lock held. */
static Folder *
add_folder(Account *account, uint32_t no, const PhMailboxId *id)
{
	Folder *folder = g_new0(Folder, 1);

	folder->no = no;
	folder->has_new = true;
	folder->id = *id;
	if (account->numbered->len <= no)
		g_ptr_array_set_size(account->numbered, (gint) no + 1);
	g_ptr_array_index(account->numbered, no) = folder;
	(void) g_hash_table_insert(account->folders, &folder->id, folder);
	return folder;
}

Folder *
folder_find(Account *account, const PhMailboxId *id)
{
	Folder *folder = NULL;

	(void) pthread_mutex_lock(&account->lock);
	folder = g_hash_table_lookup(account->folders, id);
	(void) pthread_mutex_unlock(&account->lock);
	return folder;
}

Folder *
folder_at(Account *account, uint32_t no)
{
	Folder *folder = NULL;

	(void) pthread_mutex_lock(&account->lock);
	if (no < account->numbered->len)
		folder = g_ptr_array_index(account->numbered, no);
	(void) pthread_mutex_unlock(&account->lock);
	return folder;
}

char *
folder_dir(Account *account, const Folder *folder)
{
	char *copy = NULL;

	(void) pthread_mutex_lock(&account->lock);
	copy = g_strdup(folder->path);
	(void) pthread_mutex_unlock(&account->lock);
	return copy;
}

char *
folder_below(Account *account, const Folder *folder, const char *what)
{
	g_autofree char *path = folder_dir(account, folder);

	return g_strconcat(path, path[0] != '\0' ? "/" : "", what, NULL);
}

char *
folder_where(Account *account, const Folder *folder, Letters letters, PhSlice base)
{
	char name[BASE_MAX + 48];
	char *where = NULL;

	file_name_print(name, base, letters);
	(void) pthread_mutex_lock(&account->lock);
	where = g_strconcat(folder->path, folder->path[0] != '\0' ? "/" : "",
	                    (letters & LETTERS_NEW) != 0 ? "new/" : "cur/", name, NULL);
	(void) pthread_mutex_unlock(&account->lock);
	return where;
}

/* @path: (owned). What is as it was stays: others may just be reading it. */
static void
set_where(Account *account, Folder *folder, char *path, const char *name, bool gone)
{
	char *copy = g_strdup(name); /* which may be the folder's own */

	(void) pthread_mutex_lock(&account->lock);
	if (!g_str_equal(folder->path, path)) {
		g_free(folder->path);
		folder->path = g_steal_pointer(&path);
	}
	if (!g_str_equal(folder->name, copy)) {
		g_free(folder->name);
		folder->name = g_steal_pointer(&copy);
	}
	if (folder->is_gone != gone)
		folder->is_gone = gone;
	(void) pthread_mutex_unlock(&account->lock);
	g_free(path);
	g_free(copy);
}

static void
read_folder(Account *account, sqlite3_stmt *row)
{
	PhMailboxId id = { .octets = { 0 } };
	Folder *folder = NULL;

	if (sqlite3_column_bytes(row, 1) == sizeof id.octets)
		memcpy(id.octets, sqlite3_column_blob(row, 1), sizeof id.octets);
	folder = add_folder(account, (uint32_t) sqlite3_column_int64(row, 0), &id);
	folder->path = g_strdup((const char *) sqlite3_column_text(row, 2));
	folder->name = g_strdup((const char *) sqlite3_column_text(row, 3));
	folder->synced = (uint64_t) sqlite3_column_int64(row, 4);
	folder->is_gone = sqlite3_column_int64(row, 5) != 0;
	folder->is_adopted = sqlite3_column_int64(row, 6) != 0;
	folder->seen[IN_NEW] = sqlite3_column_int64(row, 7);
	folder->seen[IN_CUR] = sqlite3_column_int64(row, 8);
	memcpy(folder->saved, folder->seen, sizeof folder->saved);
	folder->looked[IN_NEW] = folder->looked[IN_CUR] = sqlite3_column_int64(row, 9);
}

/* Rows that are not known yet: of a new account object, or made by another process. */
bool
folders_load(Account *account, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);
	sqlite3_stmt *row = NULL;
	int status = SQLITE_ERROR;

	if (connection == NULL)
		return false;
	row = sql_once(
		connection,
		"SELECT no, id, path, name, synced, gone, adopted, new_seen, cur_seen, looked"
		" FROM folder",
		error);
	while (row != NULL && (status = sqlite3_step(row)) == SQLITE_ROW) {
		Folder *known = folder_at(account, (uint32_t) sqlite3_column_int64(row, 0));

		if (known != NULL) {
			set_where(account, known,
			          g_strdup((const char *) sqlite3_column_text(row, 2)),
			          (const char *) sqlite3_column_text(row, 3),
			          sqlite3_column_int64(row, 5) != 0);
			continue;
		}
		(void) pthread_mutex_lock(&account->lock);
		read_folder(account, row);
		(void) pthread_mutex_unlock(&account->lock);
	}
	if (row != NULL && status != SQLITE_DONE)
		(void) ph_index_fail(connection, "read the folders", error);
	(void) sqlite3_finalize(row);
	ph_index_end_read(account->index, connection);
	return status == SQLITE_DONE;
}

/* --- on the disk ---------------------------------------------------------------------------------- */

static bool
move(Account *account, const char *from, const char *to, GError **error)
{
	const PhRename rename = {
		.from_folder_fd = account->root_fd,
		.to_folder_fd = account->root_fd,
		.from = from,
		.to = to,
		.keep_existing = true,
	};

	return account->deferred ? ph_durable_move(&rename, error)
	                         : ph_durable_rename(&rename, error);
}

static bool
make_folder(Account *account, const char *path, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *part = g_build_filename(account->root, path, parts[i], NULL);

		if (!ph_durable_make_folder(part, 0700, error))
			return false;
	}
	if (path[0] != '\0' && account->settings.layout == LAYOUT_MAILDIRPP) {
		g_autofree char *mark = g_strconcat(path, "/maildirfolder", NULL);
		int fd = openat(account->root_fd, mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		if (fd >= 0)
			(void) close(fd);
	}
	return true;
}

/* What a folder of the hierarchical layout holds is moved piece by piece: others may lie in it. */
static bool
move_parts(Account *account, const char *from, const char *to, GError **error)
{
	static const char *const files[] = { "maildirfolder", "dovecot-uidlist",
		                             "dovecot-keywords" };
	bool good = true;

	if (mkdirat(account->root_fd, to, 0700) < 0 && errno != EEXIST) {
		ph_error_set_errno(error, errno, "cannot create '%s'", to);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(parts) && good; i++) {
		g_autofree char *part = g_strconcat(from, "/", parts[i], NULL);
		g_autofree char *there = g_strconcat(to, "/", parts[i], NULL);

		good = faccessat(account->root_fd, part, F_OK, 0) < 0
		       || move(account, part, there, error);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(files) && good; i++) {
		g_autofree char *file = g_strconcat(from, "/", files[i], NULL);

		(void) unlinkat(account->root_fd, file, 0);
	}
	(void) unlinkat(account->root_fd, from, AT_REMOVEDIR);
	return good;
}

static bool
save_where(PhIndexConnection *connection,
           const Folder *folder,
           const char *path,
           const char *name,
           PhTime gone,
           GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_FOLDER_SET, folder->no, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_text(row, 2, path, -1, SQLITE_STATIC);
	(void) sqlite3_bind_text(row, 3, name, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 4, gone);
	return sql_done(connection, row, "move a folder", error);
}

/* --- following the index ---------------------------------------------------------------------- */

typedef struct {
	Account *account;
	PhIndexConnection *connection;
	GHashTable *mailboxes; /* PhMailboxId (owned) -> name (owned) */
	GHashTable *paths;     /* (nullable) */
} Following;

static bool
note_mailbox(const PhMailboxInfo *info, void *user_data)
{
	(void) g_hash_table_insert(user_data, g_memdup2(&info->id, sizeof info->id),
	                           g_strdup(info->name));
	return true;
}

static bool
remove_folder(Following *following, Folder *folder, GError **error)
{
	Account *account = following->account;
	g_autofree char *old = folder_dir(account, folder);
	g_autofree char *trash = g_strdup_printf("%s/trash/f%u", account->place, folder->no);
	bool is_there = faccessat(account->root_fd, old, F_OK, 0) == 0;
	bool good = true;

	if (is_there && account->settings.layout == LAYOUT_MAILDIRPP)
		good = move(account, old, trash, error);
	else if (is_there)
		good = move_parts(account, old, trash, error);
	if (!good
	    || !save_where(following->connection, folder, trash, folder->name, g_get_real_time(),
	                   error))
		return false;
	set_where(account, folder, g_steal_pointer(&trash), folder->name, true);
	return true;
}

static bool
rename_folder(Following *following, Folder *folder, const char *name, GError **error)
{
	Account *account = following->account;
	g_autofree char *old = folder_dir(account, folder);
	g_autofree char *path = folder_path(&account->settings, name, error);
	g_autofree char *parent = NULL;
	bool good = true;

	if (path == NULL)
		return false;
	parent = g_path_get_dirname(path);
	if (!g_str_equal(parent, ".")) {
		g_autofree char *above = g_build_filename(account->root, parent, NULL);

		good = ph_durable_make_folder(above, 0700, error);
	}
	/* below a folder that was renamed before it, it is there already */
	if (good && !g_str_equal(path, old) && faccessat(account->root_fd, old, F_OK, 0) == 0)
		good = move(account, old, path, error);
	if (!good || !save_where(following->connection, folder, path, name, 0, error))
		return false;
	set_where(account, folder, g_steal_pointer(&path), name, false);
	return true;
}

static bool
insert_folder(Following *following, const PhMailboxId *id, const char *name, GError **error)
{
	Account *account = following->account;
	const char *given =
		following->paths != NULL ? g_hash_table_lookup(following->paths, name) : NULL;
	g_autofree char *path =
		given != NULL ? g_strdup(given) : folder_path(&account->settings, name, error);
	g_autofree char *messages = NULL;
	sqlite3_stmt *row = NULL;
	Folder *folder = NULL;
	bool is_new = false;

	if (path == NULL)
		return false;
	/* one of ours: there is nothing to take over, and its list is written though it is empty */
	messages = g_strconcat(path, "/cur", NULL);
	is_new = given == NULL && faccessat(account->root_fd, messages, F_OK, 0) < 0;
	if (!make_folder(account, path, error))
		return false;
	row = ph_index_statement(following->connection, SQL_FOLDER_ADD,
	                         "INSERT INTO folder (id, path, name, adopted)"
	                         " VALUES (?1, ?2, ?3, ?4)",
	                         error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob(row, 1, id->octets, sizeof id->octets, SQLITE_STATIC);
	(void) sqlite3_bind_text(row, 2, path, -1, SQLITE_STATIC);
	(void) sqlite3_bind_text(row, 3, name, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 4, is_new ? 1 : 0);
	if (!sql_done(following->connection, row, "make a folder", error))
		return false;
	(void) pthread_mutex_lock(&account->lock);
	folder = add_folder(
		account,
		(uint32_t) sqlite3_last_insert_rowid(ph_index_database(following->connection)), id);
	folder->path = g_steal_pointer(&path);
	folder->name = g_strdup(name);
	folder->is_adopted = is_new;
	g_atomic_int_set(&folder->list.is_known, is_new ? 1 : 0);
	(void) pthread_mutex_unlock(&account->lock);
	return true;
}

static gint
compare_folders(gconstpointer a, gconstpointer b)
{
	const Folder *first = *(Folder *const *) a;
	const Folder *second = *(Folder *const *) b;

	return strcmp(first->path, second->path);
}

static bool
follow_known(Following *following, GError **error)
{
	Account *account = following->account;
	g_autoptr(GPtrArray) known = g_ptr_array_new();

	for (guint i = 0; i < account->numbered->len; i++) {
		Folder *folder = g_ptr_array_index(account->numbered, i);

		if (folder != NULL && !folder->is_gone)
			g_ptr_array_add(known, folder);
	}
	g_ptr_array_sort(known, compare_folders);
	/* removed ones first: another may get their name. A folder is moved before those in it. */
	for (guint i = known->len; i > 0; i--) {
		Folder *folder = g_ptr_array_index(known, i - 1);

		if (g_hash_table_lookup(following->mailboxes, &folder->id) == NULL
		    && !remove_folder(following, folder, error))
			return false;
	}
	for (guint i = 0; i < known->len; i++) {
		Folder *folder = g_ptr_array_index(known, i);
		const char *name = g_hash_table_lookup(following->mailboxes, &folder->id);

		if (name != NULL && !g_str_equal(name, folder->name)
		    && !rename_folder(following, folder, name, error))
			return false;
	}
	return true;
}

static bool
follow_new(Following *following, GError **error)
{
	GHashTableIter iter;
	void *id = NULL;
	void *name = NULL;

	g_hash_table_iter_init(&iter, following->mailboxes);
	while (g_hash_table_iter_next(&iter, &id, &name))
		if (folder_find(following->account, id) == NULL
		    && !insert_folder(following, id, name, error))
			return false;
	return true;
}

static guint
id_hash(gconstpointer key)
{
	guint value = 0;

	memcpy(&value, ((const PhMailboxId *) key)->octets, sizeof value);
	return value;
}

static gboolean
id_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(PhMailboxId)) == 0;
}

bool
folders_follow(Account *account, GHashTable *paths, GError **error)
{
	g_autoptr(GHashTable) mailboxes = g_hash_table_new_full(id_hash, id_equal, g_free, g_free);
	Following following = { .account = account, .mailboxes = mailboxes, .paths = paths };
	uint64_t change = 0;
	bool good = false;

	if (!folders_load(account, error)
	    || !ph_index_mailboxes(account->index, note_mailbox, mailboxes, &change, error))
		return false;
	following.connection = ph_index_begin_write(account->index, error);
	if (following.connection == NULL)
		return false;
	good = follow_known(&following, error) && follow_new(&following, error);
	return ph_index_end_write(account->index, following.connection, good, error);
}

/* --- before a commit ------------------------------------------------------------------------------ */

bool
folders_is_structural(const PhTransaction *transaction)
{
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		uint32_t kind = transaction->ops[i]->kind;

		if (kind == PH_OP_CREATE || kind == PH_OP_RENAME || kind == PH_OP_REMOVE)
			return true;
	}
	return false;
}

/* What the disk would refuse is refused before the index has it. */
bool
folders_check(Account *account, const PhTransaction *transaction, GError **error)
{
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];
		g_autofree char *path = NULL;

		if (op->kind == PH_OP_CREATE || op->kind == PH_OP_RENAME) {
			path = folder_path(&account->settings, op->name, error);
			if (path == NULL)
				return false;
		}
	}
	return true;
}

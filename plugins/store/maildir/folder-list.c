/* folder-list.c: folders that other programs make and remove
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "uidlist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	LEVELS_MAX = 64,
	FOLDERS_MAX = 100000,
};

/* Looking: folders that are there. */
typedef struct {
	Account *account;
	GHashTable *paths; /* name (owned) -> path (owned) */
} Looking;

static bool
is_maildir(Account *account, const char *path)
{
	g_autofree char *cur = g_strconcat(path, path[0] != '\0' ? "/cur" : "cur", NULL);
	struct stat info;

	return fstatat(account->root_fd, cur, &info, AT_SYMLINK_NOFOLLOW) == 0
	       && S_ISDIR(info.st_mode);
}

static void
note_folder(Looking *looking, const char *path)
{
	char *name = NULL;

	if (g_hash_table_size(looking->paths) >= FOLDERS_MAX || !is_maildir(looking->account, path))
		return;
	name = folder_name(&looking->account->settings, path);
	if (name != NULL && !g_hash_table_contains(looking->paths, name))
		(void) g_hash_table_insert(looking->paths, name, g_strdup(path));
	else
		g_free(name);
}

static DIR *
open_folder(Account *account, const char *path)
{
	int fd = openat(account->root_fd, path[0] != '\0' ? path : ".",
	                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (dir == NULL && fd >= 0)
		(void) close(fd);
	return dir;
}

static void
look_flat(Looking *looking)
{
	DIR *dir = open_folder(looking->account, "");
	const struct dirent *entry = NULL;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] == '.' && entry->d_name[1] != '\0'
		    && strcmp(entry->d_name, "..") != 0
		    && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
			note_folder(looking, entry->d_name);
	if (dir != NULL)
		(void) closedir(dir);
}

static bool
is_part(const char *name)
{
	return name[0] == '.' || g_str_equal(name, "cur") || g_str_equal(name, "new")
	       || g_str_equal(name, "tmp") || g_str_equal(name, "posthorn");
}

static void
look_below(Looking *looking, const char *path, unsigned level)
{
	DIR *dir = open_folder(looking->account, path);
	const struct dirent *entry = NULL;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		g_autofree char *below = NULL;

		if (is_part(entry->d_name)
		    || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		below = path[0] != '\0' ? g_strconcat(path, "/", entry->d_name, NULL)
		                        : g_strdup(entry->d_name);
		note_folder(looking, below);
		if (level < LEVELS_MAX)
			look_below(looking, below, level + 1);
	}
	if (dir != NULL)
		(void) closedir(dir);
}

/* --- taking over ---------------------------------------------------------------------------------- */

bool
commit_ops(Account *account, PhOp *const *ops, uint32_t n, GError **error)
{
	PhTransaction transaction = { .ops = ops, .n_ops = n };
	PhTransaction *batch[1] = { &transaction };

	ph_secret_random(transaction.id, sizeof transaction.id);
	if (!ph_index_commit(account->index, batch, 1, error))
		return false;
	if (transaction.done)
		return true;
	g_propagate_error(error, transaction.error);
	return false;
}

static const char *const no_keywords[] = { NULL };

static bool
create_mailbox(Account *account, const char *name, const char *path, GError **error)
{
	PhOp op = { .kind = PH_OP_CREATE, .name = name, .keywords = no_keywords };
	PhOp *ops[1] = { &op };
	UidlistEnds ends;
	g_autoptr(GError) why = NULL;

	ph_secret_random(op.mailbox.octets, sizeof op.mailbox.octets);
	op.has_given = uidlist_ends(account, path, &ends);
	op.given_uidvalidity = op.has_given ? ends.uidvalidity : 0;
	/* messages come with the uids that they have: the next one is raised afterwards */
	if (commit_ops(account, ops, 1, &why) || g_error_matches(why, PH_ERROR, PH_ERROR_EXISTS))
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool
remove_mailbox(Account *account, const Folder *folder, GError **error)
{
	PhOp op = { .kind = PH_OP_REMOVE, .mailbox = folder->id, .keywords = no_keywords };
	PhOp *ops[1] = { &op };

	return commit_ops(account, ops, 1, error);
}

/* Folders that were there and are not: only when the root itself is all right. */
static bool
take_out(Account *account, bool *changed_out, GError **error)
{
	for (guint i = 0; i < account->numbered->len; i++) {
		Folder *folder = folder_at(account, i);
		g_autofree char *path = folder != NULL ? folder_dir(account, folder) : NULL;

		if (path == NULL || folder->is_gone || path[0] == '\0' || is_maildir(account, path)
		    || !is_maildir(account, ""))
			continue;
		if (!remove_mailbox(account, folder, error))
			return false;
		*changed_out = true;
	}
	return true;
}

static bool
take_in(Account *account, GHashTable *paths, bool *changed_out, GError **error)
{
	g_autoptr(GHashTable) known = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	GHashTableIter iter;
	void *name = NULL;
	void *path = NULL;

	for (guint i = 0; i < account->numbered->len; i++) {
		Folder *folder = folder_at(account, i);

		if (folder != NULL && !folder->is_gone)
			(void) g_hash_table_add(known, folder_dir(account, folder));
	}
	g_hash_table_iter_init(&iter, paths);
	while (g_hash_table_iter_next(&iter, &name, &path)) {
		if (g_hash_table_contains(known, path))
			continue;
		if (!create_mailbox(account, name, path, error))
			return false;
		*changed_out = true;
	}
	return true;
}

bool
folders_look(Account *account, GError **error)
{
	g_autoptr(GHashTable) paths =
		g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, g_free);
	Looking looking = { account, paths };
	bool changed = false;

	(void) g_hash_table_insert(paths, g_strdup("INBOX"), g_strdup(""));
	if (account->settings.layout == LAYOUT_MAILDIRPP)
		look_flat(&looking);
	else
		look_below(&looking, "", 0);
	if (!folders_load(account, error) || !take_out(account, &changed, error)
	    || !take_in(account, paths, &changed, error))
		return false;
	return !changed || folders_follow(account, paths, error);
}

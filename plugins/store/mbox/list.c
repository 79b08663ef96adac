/* list.c: keeps the list of mailboxes in step with the files
 *
 * The index says which mailboxes there are and how they are called. A file whose mailbox was
 * removed or renamed in the index follows it, now or after a crash. A file that no mailbox has is
 * a new mailbox, with the uidvalidity that its X-IMAPbase tells; a mailbox whose file somebody
 * removed from a folder that is still the same is removed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/log.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "mbox.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct {
	Account *account;
	GHashTable *names; /* of the index: name -> PhMailboxId */
	GHashTable *ids;   /* PhMailboxId -> name */
} List;

static guint
id_hash(gconstpointer key)
{
	guint value = 0;

	memcpy(&value, key, sizeof value);
	return value;
}

static gboolean
id_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(PhMailboxId)) == 0;
}

static bool
take_name(const PhMailboxInfo *info, void *user_data)
{
	List *list = user_data;
	char *name = g_strdup(info->name);
	PhMailboxId *id = g_memdup2(&info->id, sizeof info->id);

	(void) g_hash_table_insert(list->names, name, id);
	(void) g_hash_table_insert(list->ids, id, name);
	return true;
}

/* --- files follow the index ------------------------------------------------------------------------ */

static bool
forget_box(Account *account, int64_t no, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(account->index, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = place_remove_box(connection, no, error);
	return ph_index_end_write(account->index, connection, good, error) && good;
}

static bool
save_box(Account *account, Box *box, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(account->index, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = place_save_box(connection, box, error);
	return ph_index_end_write(account->index, connection, good, error) && good;
}

/* Is there a file under the name by which it was last seen, and is it that one? */
static bool
is_there(const Account *account, const Box *box, bool *same_folder_out, Where *where)
{
	struct stat status;
	struct stat folder;

	*same_folder_out = false;
	if (!layout_find(account, box->path, where, NULL))
		return false;
	*same_folder_out = fstat(where->folder_fd, &folder) == 0 && folder.st_ino == box->folder;
	return fstatat(where->folder_fd, where->base, &status, AT_SYMLINK_NOFOLLOW) == 0
	       && S_ISREG(status.st_mode);
}

static bool
remove_file(Account *account, const Box *box, GError **error)
{
	Where where = { .folder_fd = -1 };
	bool same = false;
	bool good = true;

	if (is_there(account, box, &same, &where))
		good = ph_durable_unlink(where.folder_fd, where.base, error);
	layout_clear(&where);
	if (!good)
		return false;
	layout_remove_empty(account, box->path);
	return forget_box(account, box->no, error);
}

bool
list_settle(Account *account, const Box *box, bool *exists_out, GError **error)
{
	Box now = *box;
	Where where = { .folder_fd = -1 };
	bool same = false;

	*exists_out = true;
	if (box->no == 0 || box->path[0] == '\0' || g_str_equal(box->path, box->name))
		return true;
	*exists_out = is_there(account, box, &same, &where);
	layout_clear(&where);
	if (*exists_out && !layout_move(account, box->path, box->name, error))
		return false;
	(void) g_strlcpy(now.path, box->name, sizeof now.path);
	now.folder = 0;
	return save_box(account, &now, error);
}

static bool
remove_mailbox(Account *account, const Box *box, GError **error)
{
	PhOp op = { .kind = PH_OP_REMOVE, .mailbox = box->id };
	PhOp *const ops[] = { &op };

	return run_ops(account, ops, 1, error) && forget_box(account, box->no, error);
}

static bool
settle_box(const Box *box, void *user_data, GError **error)
{
	const List *list = user_data;
	const char *name = g_hash_table_lookup(list->ids, &box->id);
	Where where = { .folder_fd = -1 };
	Box now = *box;
	bool exists = false;
	bool same_folder = false;

	if (name == NULL)
		return remove_file(list->account, box, error);
	(void) g_strlcpy(now.name, name, sizeof now.name);
	if (!list_settle(list->account, &now, &exists, error))
		return false;
	if (box->look.inode == 0 || g_str_equal(name, "INBOX") || !g_str_equal(box->path, name))
		return true;
	exists = is_there(list->account, box, &same_folder, &where);
	layout_clear(&where);
	if (exists || !same_folder)
		return true;
	(void) g_hash_table_remove(list->names, name);
	return remove_mailbox(list->account, box, error);
}

/* --- the index follows files ------------------------------------------------------------------------ */

/* The uidvalidity that the file tells; 0: none. */
static bool
peek(Account *account, const char *name, uint32_t *base_out, GError **error)
{
	File file;
	Scan scan;
	Message message;
	bool found = false;

	if (!file_open(account, name, FILE_READ, &file, error))
		return false;
	if (file.fd >= 0) {
		scan_init(&scan, &file.source, (Variant) account->settings.variant, 0,
		          (uint64_t) file.status.st_size);
		if (scan_next(&scan, &message, &found, NULL))
			*base_out = scan.base;
		scan_clear(&scan);
	}
	file_close(&file);
	return true;
}

static bool
take_file(const char *name, void *user_data, GError **error)
{
	List *list = user_data;
	PhOp op = { .kind = PH_OP_CREATE, .name = name };
	PhOp *const ops[] = { &op };
	g_autoptr(GError) why = NULL;

	if (g_hash_table_contains(list->names, name))
		return true;
	if (!peek(list->account, name, &op.given_uidvalidity, &why)) {
		ph_log_section(list->account->section, PH_LOG_WARNING, "mbox-not-listed",
		               "a file could not be opened and is left out",
		               PH_LOG_TEXT("mailbox", name), PH_LOG_FAILURE(why), PH_LOG_END);
		return true;
	}
	op.has_given = op.given_uidvalidity != 0;
	ph_secret_random(op.mailbox.octets, sizeof op.mailbox.octets);
	if (run_ops(list->account, ops, 1, &why) || g_error_matches(why, PH_ERROR, PH_ERROR_EXISTS))
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

bool
list_sync(Account *account, GError **error)
{
	List list = { .account = account };
	bool good = false;

	list.names = g_hash_table_new(ph_str_hash, g_str_equal);
	list.ids = g_hash_table_new_full(id_hash, id_equal, g_free, g_free);
	good = ph_index_mailboxes(account->index, take_name, &list, NULL, error)
	       && place_each_box(account, settle_box, &list, error)
	       && layout_each(account, take_file, &list, error);
	g_hash_table_destroy(list.names);
	g_hash_table_destroy(list.ids);
	return good;
}

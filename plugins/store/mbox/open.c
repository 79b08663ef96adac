/* open.c: a mailbox with its file, locked, recovered and in step with the index
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mbox.h"

#include <fcntl.h>

static bool
prepare(Account *account, Box *box, File *file, GError **error)
{
	return journal_recover(account, box, file, error)
	       && intent_recover(account, box, file, error)
	       && former_take_over(account, box, file, error)
	       && sync_box(account, box, file, SYNC_USUAL, error);
}

/* Without any lock: a lock file would be one more change to be looked at. */
bool
open_is_same(Account *account, const PhMailboxId *id)
{
	Box box;
	Look look;
	Where where = { .folder_fd = -1 };
	struct stat status;
	bool same = false;

	if (!place_load_box(account, id, &box, NULL) || box.no == 0
	    || !g_str_equal(box.path, box.name) || journal_is_left(account, &box)
	    || !layout_find(account, box.name, &where, NULL))
		return false;
	if (fstatat(where.folder_fd, where.base, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		look = file_look(&status);
		same = file_same_look(&look, &box.look);
	}
	layout_clear(&where);
	return same;
}

bool
open_box(Account *account,
         const PhMailboxId *id,
         FileMode mode,
         Box *box,
         File *file,
         GError **error)
{
	bool exists = false;

	if (!place_load_box(account, id, box, error) || !list_settle(account, box, &exists, error)
	    || !file_open(account, box->name, FILE_WRITE, file, error))
		return false;
	if (!prepare(account, box, file, error)) {
		file_close(file);
		return false;
	}
	if (mode != FILE_APPEND || (file->fd >= 0 && file->writes))
		return true;
	/* it is not there, and that is in order: it is made */
	file_close(file);
	if (!layout_make(account, box->name, error)
	    || !file_open(account, box->name, FILE_APPEND, file, error))
		return false;
	if (prepare(account, box, file, error))
		return true;
	file_close(file);
	return false;
}

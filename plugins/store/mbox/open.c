/* open.c: a mailbox with its file, locked, recovered and in step with the index
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mbox.h"

static bool
prepare(Account *account, Box *box, File *file, GError **error)
{
	return journal_recover(account, box, file, error)
	       && intent_recover(account, box, file, error)
	       && former_take_over(account, box, file, error)
	       && sync_box(account, box, file, SYNC_USUAL, error);
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

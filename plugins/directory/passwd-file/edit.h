/* edit.h: changes one user's line in the file, durably
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PASSWD_FILE_EDIT_H
#define PASSWD_FILE_EDIT_H

#include <posthorn/types.h>

typedef enum {
	EDIT_ADD = 1,
	EDIT_CHANGE = 2, /* the password only; the other fields stay */
	EDIT_REMOVE = 3,
} EditKind;

/* edit_file: writers of this program wait for each other on PATH.lock. The file is replaced as a
 * whole, keeps its mode, and is made with mode 0640 when it is not there.
 * Blocks: yes. Errors: EXISTS, NOT_FOUND, INVALID for a name or form that cannot stand in a line,
 * TEMPORARY. */
bool edit_file(const char *path,
               EditKind kind,
               const char *name,
               const char *stored,
               GError **error);

/* edit_text: the same on a text. Pure. @found_out: was the user there? */
GString *edit_text(PhSlice text,
                   EditKind kind,
                   const char *name,
                   const char *stored,
                   bool *found_out);

#endif

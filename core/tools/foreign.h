/* foreign.h: mbox files and maildirs as archives, and archives as them
 *
 * Done by the command, with the caller's rights; the server only ever sees the archive. Lines end
 * with LF there and with CRLF here; a NUL, which no protocol could send, becomes '?'.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TOOLS_FOREIGN_H
#define PH_TOOLS_FOREIGN_H

#include "tools/archive.h"

/* ph_foreign_is: is the path something that can be read: an mbox file, a maildir, or a folder of
 * mbox files? An archive is not, nor an empty file, which is more likely a mistake. */
bool ph_foreign_is(const char *path);

/* ph_foreign_read: writes an archive of it. @mailbox: (nullable) what an mbox file is called;
 * NULL: INBOX. */
bool ph_foreign_read(const char *path, const char *mailbox, int archive, GError **error);

/* ph_foreign_write: makes a maildir, or a folder of mbox files, of an archive. @path: must not be
 * there yet. */
bool ph_foreign_write(int archive, const char *path, bool as_maildir, GError **error);

/* --- for its files --- */

/* foreign-mbox.c: one file as one mailbox. */
bool ph_foreign_mbox(PhArchiveWriter *writer,
                     const char *path,
                     const char *mailbox,
                     GError **error);

/* ph_foreign_is_field: does a field of this name belong to an mbox file? Where the message has one
 * itself, it stands there behind this prefix, in the files of the store mbox as well. */
#define PH_FOREIGN_KEPT "X-Posthorn-Kept-"
bool ph_foreign_is_field(PhSlice name);

/* foreign-maildir.c: a maildir with its subfolders. */
bool ph_foreign_maildir_values(const char *path, GHashTable *values, GError **error);
bool ph_foreign_maildir(PhArchiveWriter *writer, const char *path, GError **error);

/* ph_foreign_add: octets of a message, line ends made CRLF. @last: (in, out) the octet before. */
bool ph_foreign_add(PhSpool *spool, PhSlice octets, char *last, GError **error);

/* ph_foreign_decode_name: a Maildir++ folder name without its first dot as a mailbox name; NULL when
 * it is none. Returns: (owned). */
char *ph_foreign_decode_name(const char *folder);

/* ph_foreign_put: a record and its message. @content: (owned). */
bool ph_foreign_put(PhArchiveWriter *writer,
                    const PhRecord *record,
                    PhContent *content,
                    GError **error);

#endif

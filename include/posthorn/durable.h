/* durable.h: files that are on the disk when the call returns
 *
 * For stores and for everything else that promises. The order is always: write to a temporary name,
 * fsync, rename, fsync the folder. After a failed fsync the file counts as lost: these functions
 * never try a second time, and remove what they had begun.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_DURABLE_H
#define POSTHORN_DURABLE_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* Thread: any, for all. Blocks: on the disk. Folders are given as an open descriptor and a name
 * below it without '/', or AT_FDCWD and a path. Errors: those of ph_error_set_errno(). */

/* ph_durable_replace: the file holds exactly these octets, or is as it was. @mode: of the file. */
PH_PUBLIC bool ph_durable_replace(int folder_fd,
                                  const char *name,
                                  PhSlice octets,
                                  uint32_t mode,
                                  GError **error);

/* ph_durable_write: all octets, at the descriptor's offset; no sync. */
PH_PUBLIC bool ph_durable_write(int fd, PhSlice octets, GError **error);

/* ph_durable_sync: content and size of an open file (fdatasync). */
PH_PUBLIC bool ph_durable_sync(int fd, GError **error);

/* ph_durable_sync_folder: the names in a folder, after create, rename, link or unlink in it.
 * @folder_fd: opened for reading. */
PH_PUBLIC bool ph_durable_sync_folder(int folder_fd, GError **error);

/* PhRename: one move of a file whose content is durable already. */
typedef struct {
	int from_folder_fd;
	int to_folder_fd;
	const char *from;
	const char *to;
	bool keep_existing; /* EXISTS instead of replacing what is there */
} PhRename;

/* ph_durable_rename: and sync both folders. */
PH_PUBLIC bool ph_durable_rename(const PhRename *move, GError **error);

/* ph_durable_move: renames without a sync, for names whose owner knows how to find the file under
 * the old one. */
PH_PUBLIC bool ph_durable_move(const PhRename *move, GError **error);

/* ph_durable_unlink: and sync the folder. A file that is not there is no error. */
PH_PUBLIC bool ph_durable_unlink(int folder_fd, const char *name, GError **error);

/* ph_durable_make_folder: makes the folder and every missing one above it, each durable in its
 * parent. One that is there is no error. */
PH_PUBLIC bool ph_durable_make_folder(const char *path, uint32_t mode, GError **error);

G_END_DECLS

#endif

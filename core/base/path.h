/* path.h: opening files below one directory, and files that only trusted users can change
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_PATH_H
#define POSTHORN_BASE_PATH_H

#include <posthorn/error.h>

#include <sys/types.h>

/* ph_path_open_below: openat that never leaves @folder_fd: no "..", no absolute path, no symbolic
 * link at all on the way. O_CLOEXEC is added. Returns: the descriptor, or -1 with an error that
 * names @relative. Thread: any. Blocks: on the disk. */
int ph_path_open_below(int folder_fd, const char *relative, int flags, mode_t mode, GError **error);

/* ph_path_open_trusted: opens a regular file for reading, after checking that it and every folder
 * above it belongs to root or @user and can be written by no group and nobody else (a folder with
 * the sticky bit, such as /tmp, may be written by all). Symbolic links are resolved first; the
 * checks are made on the opened descriptors. Returns: the descriptor, or -1 with a sentence that
 * says what to change. */
int ph_path_open_trusted(const char *path, uid_t user, GError **error);

/* ph_path_is_name: one component: not empty, not "." or "..", no '/'; at most 255 octets. */
bool ph_path_is_name(const char *name);

#endif

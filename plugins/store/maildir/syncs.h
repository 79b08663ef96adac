/* syncs.h: syncs of whole file systems, each of which serves all accounts there
 *
 * Times are monotonic, in microseconds. Nothing is ever durable on a file system of which a sync has
 * failed: what is lost nobody knows, and the next sync, which tells of success, has not brought it back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_SYNCS_H
#define STORE_MAILDIR_SYNCS_H

#include <stdbool.h>
#include <stdint.h>

/* syncs_covers: has a sync of the file system of @fd that began after @time succeeded? */
bool syncs_covers(int fd, int64_t time);
/* syncs_make: @path is for the log. Returns: false, with errno, when it fails or another one did before. */
bool syncs_make(int fd, const char *path);
/* syncs_rest: until the next sync there is due, or somebody hurries: what comes meanwhile is served
 * by the same one. syncs_hurry: there is no more reason to wait. */
void syncs_rest(int fd);
void syncs_hurry(void);

/* What syncs_make notes and the others ask, of a file system by its number. syncs_note returns: is it
 * the first failure? syncs_due: when the next one is; 0: at once. */
bool syncs_note(uint64_t device, int64_t began, bool good);
bool syncs_has(uint64_t device, int64_t time);
bool syncs_failed(uint64_t device);
int64_t syncs_due(uint64_t device);

#endif

/* defer.h: commits that wait for no sync
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_DEFER_H
#define STORE_MAILDIR_DEFER_H

#include "maildir.h"

/* A sum over what is written to a file: pieces of SUM_PIECE octets, the last may be shorter. */
enum {
	SUM_PIECE = 64 * 1024,
	SUM_MARK = 10, /* ",C" and the sum, at the end of a name */
};

uint64_t defer_sum(uint64_t sum, PhSlice piece);
void defer_mark(char *base, size_t size, uint64_t sum);

bool defer_account(void *account, int *fd_out, GError **error);
bool defer_sync(void *account, GError **error);
/* defer_safe: what files and names may follow; everything when commits are not deferred. */
Safe defer_safe(Account *account);
/* defer_ask: has a sync made in the background, after which the housekeeping goes on. @change: the
 * account's; thread: that of the housekeeping. */
void defer_ask(Account *account, uint64_t change);
/* defer_hurry: the account is closed: a sync that was asked for is made at once. */
void defer_hurry(Account *account);
/* defer_now: makes durable what was committed, before a folder is read from which files have yet to be
 * taken: what is still there would look like a delivery. @synced_out: (nullable) was it needed? */
bool defer_now(Account *account, bool *synced_out, GError **error);
bool defer_sync_now(Account *account, GError **error);
/* defer_noted: after a commit: do files leave their folders because of it? */
void defer_noted(Account *account, PhTransaction *const *batch, size_t n);
/* defer_replayed: an APPEND that was committed before: are its octets there? Else those of the
 * upload take their place. */
bool defer_replayed(Account *account, const PhOp *op, GError **error);
/* defer_check: removes messages whose files did not survive: when the replay is over, which is before
 * the first refresh or the first commit whose results are not given. */
bool defer_check(Account *account, GError **error);

#endif

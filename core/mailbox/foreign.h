/* foreign.h: what other programs do to the mail of an account
 *
 * For stores with PH_STORE_FOREIGN_WRITERS. Their refresh runs in the account's lane, never beside a
 * commit; what it found is seen in the mailbox list, and views learn of it as of any commit.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_FOREIGN_H
#define PH_MAILBOX_FOREIGN_H

#include "mailbox/transaction.h"

/* PhForeign: of one account. NULL where no other program may write. */
typedef struct PhForeign PhForeign;

PhForeign *ph_foreign_new(PhAccount *account);
void ph_foreign_free(PhForeign *foreign);

/* ph_foreign_refresh: folds in what others did to the mailbox (NULL: to the mailbox list), now.
 * Thread: worker, not a lane's. Blocks: yes. */
bool ph_foreign_refresh(PhAccount *account, const PhMailboxId *mailbox, GError **error);

/* ph_foreign_tick: the same when there was a hint or a short time has passed since the last one; a
 * failure is logged. Returns: it was done. */
bool ph_foreign_tick(PhAccount *account, const PhMailboxId *mailbox);

/* ph_foreign_watch: somebody has the mailbox open: hints are asked for, and it is looked at now and
 * then while that is so. */
void ph_foreign_watch(PhAccount *account, const PhMailboxId *mailbox);
void ph_foreign_unwatch(PhAccount *account, const PhMailboxId *mailbox);

/* ph_foreign_closed: the engine's handle is gone, and its hints with it. */
void ph_foreign_closed(PhAccount *account);

/* ph_foreign_run: the lane's part: refreshes what @tx says. */
bool ph_foreign_run(PhTx *tx, GError **error);

#endif

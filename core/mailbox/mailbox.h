/* mailbox.h: one open mailbox, shared by all its sessions
 *
 * Keeps the newest known state, the keywords that its bits stand for, and whom to tell when a
 * commit touched it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_MAILBOX_H
#define PH_MAILBOX_MAILBOX_H

#include <posthorn/mailbox.h>

#include "mailbox/state.h"

typedef struct PhMailbox PhMailbox;

/* ph_mailbox_new: @account: (borrowed) outlives the mailbox. Returns: (owned). */
PhMailbox *ph_mailbox_new(PhAccount *account, const PhMailboxId *id);
PhMailbox *ph_mailbox_ref(PhMailbox *mailbox);
void ph_mailbox_unref(PhMailbox *mailbox);

const PhMailboxId *ph_mailbox_id(const PhMailbox *mailbox);

/* ph_mailbox_touched: a commit altered it: whoever watches is notified, the state is read again
 * when somebody needs it. Thread: any. Never blocks. */
void ph_mailbox_touched(PhMailbox *mailbox, uint64_t change);

/* ph_mailbox_is_stale: has it been touched since @state was made? */
bool ph_mailbox_is_stale(PhMailbox *mailbox, const PhState *state);

/* ph_mailbox_state: the newest state, read from the store when it is stale. Returns: (owned).
 * Thread: worker. Blocks: yes. Errors: GONE when the mailbox was removed. */
PhState *ph_mailbox_state(PhMailbox *mailbox, GError **error);

/* Keywords never go away while the mailbox is open. ph_mailbox_keyword: (borrowed from it). */
uint32_t ph_mailbox_n_keywords(const PhMailbox *mailbox);
const char *ph_mailbox_keyword(const PhMailbox *mailbox, uint32_t index);

/* ph_mailbox_find_keyword: any case; -1: not in use. */
int ph_mailbox_find_keyword(const PhMailbox *mailbox, PhSlice keyword);

/* ph_mailbox_watch, _unwatch: who is notified. */
void ph_mailbox_watch(PhMailbox *mailbox, PhSessionRef session);
void ph_mailbox_unwatch(PhMailbox *mailbox, PhSessionRef session);

/* ph_mailbox_recent: messages from this uid on are recent to whoever asks; with @claim they are
 * so to nobody else. @last_uid: the highest that the asker sees. */
uint32_t ph_mailbox_recent(PhMailbox *mailbox, uint32_t last_uid, bool claim);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhMailbox, ph_mailbox_unref)

#endif

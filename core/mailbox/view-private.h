/* view-private.h: what one client has been told of a mailbox; shared by the view's files
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_VIEW_PRIVATE_H
#define PH_MAILBOX_VIEW_PRIVATE_H

#include <posthorn/mailbox.h>

#include "mailbox/mailbox.h"

struct PhView {
	PhAccount *account;
	PhMailbox *mailbox;
	PhState *state;   /* what the client knows; shared with the mailbox until it must differ */
	PhUidSet *recent; /* (nullable) uids that are recent to this client */
	GArray *quiet;    /* (nullable) of Quiet: own changes that need not be reported */
	const char **keyword_list; /* (nullable) made when asked for */
	PhSessionRef session;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t n_recent;
	uint32_t n_keywords; /* as told */
	bool is_read_only;
	bool has_expunged; /* the state keeps messages that are gone */
};

/* ph_view_note_recent: which of the messages from @from on are recent to this client. */
void ph_view_note_recent(PhView *view);

#endif

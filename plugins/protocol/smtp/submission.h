/* submission.h: what holds for those who send rather than deliver (RFC 6409)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_SUBMISSION_H
#define POSTHORN_SMTP_SUBMISSION_H

#include "smtp.h"

/* smtp_may_send: may this session open an envelope with this sender, now? Returns: NULL, or the reply
 * that refuses MAIL. */
const char *smtp_may_send(PhSession *session, const PhAddress *sender);

/* smtp_may_add: may the user have one more recipient? Returns: NULL, or the reply that refuses RCPT. */
const char *smtp_may_add(PhSession *session);

/* smtp_complete: the header of the envelope's message is there: completes it into the spool.
 * Returns: NULL, or the reply that refuses the message. */
const char *smtp_complete(PhSession *session);

/* smtp_completes: are headers of this listener's messages completed? */
bool smtp_completes(const Client *client);

#endif

/* queue-mail.h: a mail into the queue, and out of it again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_QUEUE_MAIL_H
#define PH_SERVER_QUEUE_MAIL_H

#include "queue/queue.h"
#include "server/mail.h"

/* Facts (see mail-edit.h) that the queue gives to mail of its own. */
#define PH_QUEUE_FACT_REPORT "queue-report" /* "sender" or "postmaster": to whom it reports */

/* ph_queue_mail_submit: when the mail has a recipient whose route does not commit by itself, all of it
 * goes to the queue, and the submitter is told when it is durable there. Returns: false when the mail
 * is to be delivered at once. Thread: session. */
bool ph_queue_mail_submit(PhMail *mail);

/* ph_queue_mail_rest: the recipients of a mail that was delivered at once and that failed temporarily
 * go to the queue. Returns: false when there are none or no queue. Thread: any. */
bool ph_queue_mail_rest(PhMail *mail);

/* ph_queue_mail_make: a mail without recipients from a task that was loaded. Returns: (owned).
 * ph_queue_mail_add: one of the task's recipients. @identity: (nullable, owned). */
PhMail *ph_queue_mail_make(PhQueueTask *task, PhRouter *router);
void ph_queue_mail_add(PhMail *mail,
                       const PhEnvelopeRecipient *recipient,
                       const PhRoute *route,
                       PhIdentity *identity);

/* ph_queue_mail_times: what the parameters BY, HOLDFOR, HOLDUNTIL and MT-PRIORITY ask for. Pure. */
void ph_queue_mail_times(const PhMail *mail, PhEnvelope *envelope);

#endif

/* success.h: reports of success for who stands for others, and for mail that is delivered at once
 *
 * To its sender a mail has arrived when a list has it, and has been passed on when an alias stands
 * for several (RFC 3461 section 5.2.7): that is told here. What becomes of a single recipient is
 * told by the queue when there is one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUCCESS_H
#define PH_SERVER_SUCCESS_H

#include "server/mail.h"

/* ph_success_is_wanted: does the recipient's NOTIFY say SUCCESS? ph_success_any: does one's? */
bool ph_success_is_wanted(const PhRecipient *recipient);
bool ph_success_any(const PhMail *mail);

/* ph_success_ends: is it a list, or an alias for several, so that the report is made here? */
bool ph_success_ends(const PhMail *mail, const PhRecipient *recipient);

/* ph_success_strip: SUCCESS out of the NOTIFY in @parameters (nullable). */
void ph_success_strip(GArray *parameters);

/* ph_success_report: when all parts of @mail have a result: tells its sender of those recipients
 * that have succeeded. Returns: (owned) the report, which is to be submitted; NULL when there is
 * nothing to tell. Blocks: on the disk. */
PhMail *ph_success_report(const PhMail *mail);

/* ph_success_tell: a mail that did not pass the queue has all its results: tells its sender of those
 * who have it and for whom that was asked, then calls @done on some thread. Returns: false when
 * there is nothing to tell; then @done is not called. */
bool ph_success_tell(PhMail *mail, void (*done)(PhMail *mail));

#endif

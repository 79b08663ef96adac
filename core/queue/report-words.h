/* report-words.h: what a report tells a person, and the status that says the same to a program
 *
 * Thread: any. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_REPORT_WORDS_H
#define PH_QUEUE_REPORT_WORDS_H

#include "queue/report.h"

/* PhReportWords: the words of one action. */
typedef struct {
	const char *action;  /* of RFC 3464 */
	const char *subject; /* of a report in which this action is the first */
	const char *heading; /* before the recipients of this action */
} PhReportWords;

/* ph_report_words: never NULL; FAILED for what is no action. */
const PhReportWords *ph_report_words(uint32_t action);

/* ph_report_is_smtp: does the reply begin with a code of SMTP? */
bool ph_report_is_smtp(const char *diagnostic);

/* ph_report_cause: a sentence for what no server said. Never NULL. */
const char *ph_report_cause(const PhReportRecipient *recipient);

/* ph_report_advice: what the sender may do about this status of a failure. Never NULL. */
const char *ph_report_advice(const char *status);

#endif

/* message/summary.h: what SORT and THREAD compare, gathered from the message's own header
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_SUMMARY_H
#define MESSAGE_SUMMARY_H

#include <posthorn/date.h>

#include "message/field-id.h"

/* The strings, in the order in which a blob holds them. */
typedef enum {
	PH_SUMMARY_MESSAGE_ID = 0,
	PH_SUMMARY_IN_REPLY_TO,
	PH_SUMMARY_REFERENCES,
	PH_SUMMARY_SUBJECT,
	PH_SUMMARY_FROM,
	PH_SUMMARY_TO,
	PH_SUMMARY_CC,
	PH_SUMMARY_FROM_NAME,
	PH_SUMMARY_TO_NAME,
	PH_SUMMARY_STRINGS,
} PhSummaryString;

typedef struct {
	GString *text;
	GString *scratch;
	bool has_date;
	PhDate date;

	struct {
		size_t start;
		size_t length;
	} strings[PH_SUMMARY_STRINGS];

	uint32_t seen; /* bit of every PhFieldId that was taken */
} PhSummary;

void ph_summary_init(PhSummary *summary);
void ph_summary_clear(PhSummary *summary);
void ph_summary_reset(PhSummary *summary);
/* ph_summary_take: the first field of each name counts. */
void ph_summary_take(PhSummary *summary, PhFieldId id, PhSlice value);
/* ph_summary_string: borrowed until the next change. */
PhSlice ph_summary_string(const PhSummary *summary, PhSummaryString which);

#endif

/* summary.c: what SORT and THREAD compare
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/summary.h"

#include <posthorn/address.h>
#include <posthorn/header.h>

#include "message/lex.h"

#define SUBJECT_MAX    8192 /* octets of a subject that are decoded */
#define REFERENCES_MAX 100  /* ids kept: the first, and the last ones */

void
ph_summary_init(PhSummary *summary)
{
	memset(summary, 0, sizeof *summary);
	summary->text = g_string_sized_new(256);
	summary->scratch = g_string_sized_new(128);
}

void
ph_summary_clear(PhSummary *summary)
{
	g_string_free(summary->text, TRUE);
	g_string_free(summary->scratch, TRUE);
}

void
ph_summary_reset(PhSummary *summary)
{
	g_string_truncate(summary->text, 0);
	memset(summary->strings, 0, sizeof summary->strings);
	summary->has_date = false;
	summary->date = (PhDate){ 0, 0 };
	summary->seen = 0;
}

PhSlice
ph_summary_string(const PhSummary *summary, PhSummaryString which)
{
	return PH_SLICE(summary->text->str + summary->strings[which].start,
	                summary->strings[which].length);
}

/* What was appended to the text since @start is that string. */
static void
set_string(PhSummary *summary, PhSummaryString which, size_t start)
{
	summary->strings[which].start = start;
	summary->strings[which].length = summary->text->len - start;
}

static void
take_first_id(PhSummary *summary, PhSummaryString which, PhSlice value)
{
	size_t start = summary->text->len;

	if (ph_message_id_next(&value, summary->scratch))
		ph_lex_append(summary->text,
		              PH_SLICE(summary->scratch->str, summary->scratch->len));
	set_string(summary, which, start);
}

static size_t
count_ids(PhSlice value, GString *scratch)
{
	size_t n = 0;

	while (ph_message_id_next(&value, scratch))
		n++;
	return n;
}

static void
take_references(PhSummary *summary, PhSlice value)
{
	size_t start = summary->text->len;
	size_t n = count_ids(value, summary->scratch);

	for (size_t i = 0; ph_message_id_next(&value, summary->scratch); i++) {
		if (i > 0 && i + REFERENCES_MAX - 1 < n)
			continue;
		if (i > 0)
			g_string_append_c(summary->text, ' ');
		ph_lex_append(summary->text,
		              PH_SLICE(summary->scratch->str, summary->scratch->len));
	}
	set_string(summary, PH_SUMMARY_REFERENCES, start);
}

static void
take_subject(PhSummary *summary, PhSlice value)
{
	size_t start = summary->text->len;

	ph_header_decode(PH_SLICE(value.data, MIN(value.length, SUBJECT_MAX)), summary->text);
	set_string(summary, PH_SUMMARY_SUBJECT, start);
}

static void
append_display_name(PhSummary *summary, const PhListed *item)
{
	if (item->name.length > 0) {
		PhSlice name = PH_SLICE(item->name.data, MIN(item->name.length, SUBJECT_MAX));

		ph_header_decode(name, summary->text);
		return;
	}
	(void) ph_charset_append(PH_SLICE_EMPTY, item->local, summary->text);
	if (item->domain.length > 0) {
		g_string_append_c(summary->text, '@');
		(void) ph_charset_append(PH_SLICE_EMPTY, item->domain, summary->text);
	}
}

/* The addr-mailbox of the first address, which is the name when that is a group (RFC 5256). */
static void
take_address(PhSummary *summary, PhFieldId id, PhSlice value)
{
	PhSummaryString which = id == PH_FIELD_FROM ? PH_SUMMARY_FROM : PH_SUMMARY_TO;
	PhSummaryString name = id == PH_FIELD_FROM ? PH_SUMMARY_FROM_NAME : PH_SUMMARY_TO_NAME;
	size_t start = summary->text->len;
	PhAddressIter iter;
	PhListed item = { .kind = PH_LISTED_MAILBOX };

	ph_address_iter_init(&iter, value, summary->scratch);
	if (!ph_address_iter_next(&iter, &item))
		return;
	if (item.kind == PH_LISTED_GROUP_START) {
		ph_lex_append(summary->text, item.name);
		set_string(summary, id == PH_FIELD_CC ? PH_SUMMARY_CC : which, start);
		return;
	}
	ph_lex_append(summary->text, item.local);
	set_string(summary, id == PH_FIELD_CC ? PH_SUMMARY_CC : which, start);
	if (id == PH_FIELD_CC)
		return;
	start = summary->text->len;
	append_display_name(summary, &item);
	set_string(summary, name, start);
}

void
ph_summary_take(PhSummary *summary, PhFieldId id, PhSlice value)
{
	if (id > PH_FIELD_REFERENCES || (summary->seen & (1U << id)) != 0)
		return;
	summary->seen |= 1U << id;
	if (id == PH_FIELD_DATE)
		summary->has_date = ph_date_parse_mail(value, &summary->date);
	else if (id == PH_FIELD_SUBJECT)
		take_subject(summary, value);
	else if (id == PH_FIELD_FROM || id == PH_FIELD_TO || id == PH_FIELD_CC)
		take_address(summary, id, value);
	else if (id == PH_FIELD_MESSAGE_ID)
		take_first_id(summary, PH_SUMMARY_MESSAGE_ID, value);
	else if (id == PH_FIELD_IN_REPLY_TO)
		take_first_id(summary, PH_SUMMARY_IN_REPLY_TO, value);
	else if (id == PH_FIELD_REFERENCES)
		take_references(summary, value);
}

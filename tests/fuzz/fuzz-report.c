/* fuzz-report.c: replies of other servers and returned mails in a report
 *
 * Whatever goes in, what comes out has only CRLF line ends, no NUL, no line above 998 octets, and
 * octets above 127 only when the report says that it needs them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "queue/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_octets(PhSlice octets, uint32_t needs)
{
	size_t column = 0;

	for (size_t i = 0; i < octets.length; i++) {
		unsigned char c = (unsigned char) octets.data[i];

		g_assert_true(c != '\0' && (c < 0x80 || needs != 0));
		g_assert_true(c != '\r' || octets.data[i + 1] == '\n');
		g_assert_true(c != '\n' || octets.data[i - 1] == '\r');
		column = c == '\n' ? 0 : column + 1;
		g_assert_cmpuint(column, <=, 999);
	}
}

/* The input: two octets of choices, then texts that end with NUL, then the mail. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice rest = PH_SLICE((const char *) data, size);
	char *texts[6] = { NULL };
	g_autoptr(PhContent) mail = NULL;
	g_autoptr(PhContent) made = NULL;
	PhReportRecipient recipient = { 0 };
	PhReport report = { .hostname = "h", .sender = "a@b", .id = "ID", .n_recipients = 1 };
	PhSlice octets = PH_SLICE_EMPTY;
	uint32_t needs = 0;

	if (size < 2)
		return 0;
	rest = ph_slice_from(rest, 2);
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		texts[i] = ph_slice_dup(ph_slice_split(&rest, '\0'));
	mail = ph_content_new_copy(rest);
	recipient = (PhReportRecipient){ .action = 1 + data[0] % 5,
		                         .address = texts[0],
		                         .orcpt = texts[1],
		                         .status = (data[1] & 1) != 0 ? texts[2] : NULL,
		                         .diagnostic = (data[1] & 2) != 0 ? texts[3] : NULL,
		                         .remote_mta = texts[4] };
	report.recipients = &recipient;
	report.envid = texts[5];
	report.content = mail;
	report.returns_full = (data[1] & 4) != 0;
	report.takes_utf8 = (data[1] & 8) != 0;
	made = ph_report_compose(&report, &needs, NULL);
	g_assert_true(made != NULL && ph_content_peek(made, &octets));
	check_octets(octets, needs);
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
	return 0;
}

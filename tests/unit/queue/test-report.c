/* test-report.c: reports tell a sender what became of a mail
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "queue/report.h"

#include <string.h>

static const char mail[] = "From: Ann <ann@example.org>\r\n"
			   "Subject: hello\r\n"
			   "\r\n"
			   "the body\r\n";
static const char mail_8bit[] = "From: Ann <ann@example.org>\r\n"
				"Subject: hello\r\n"
				"\r\n"
				"gr\xc3\xbc\xc3\x9f\r\n";
static const char mail_utf8[] = "From: Ann <ann@example.org>\r\n"
				"Subject: gr\xc3\xbc\xc3\x9f\r\n"
				"\r\n"
				"the body\r\n";
static const char mail_broken[] = "From: Ann <ann@example.org>\r\n"
				  "Subject: caf\xe9\r\n"
				  "\r\n"
				  "the \n body\r\n";

enum {
	NOW = 1700000000,
};

/* What each test starts with: one recipient refused by a server. */
static PhReportRecipient
refused(void)
{
	return (PhReportRecipient){ .action = PH_REPORT_FAILED,
		                    .address = "joe@example.net",
		                    .orcpt = "rfc822;Joe+2Bx@example.com",
		                    .diagnostic = "550 5.1.1 No such user here",
		                    .remote_mta = "mx.example.net",
		                    .last_attempt = (PhTime) NOW * G_USEC_PER_SEC };
}

static PhReport
report_of(const PhReportRecipient *recipients, size_t n, PhContent *content)
{
	return (PhReport){ .hostname = "mail.example.org",
		           .sender = "ann@example.org",
		           .id = "AAAAAAAAAAAAAAAAAAAAAA",
		           .mail_id = "BBBBBBBBBBBBBBBBBBBBBB",
		           .envid = "QQ+3D1",
		           .arrived = (PhTime) (NOW - 60) * G_USEC_PER_SEC,
		           .now = (PhTime) NOW * G_USEC_PER_SEC,
		           .prepended = PH_SLICE_LITERAL("Received: from a by b\r\n"),
		           .content = content,
		           .recipients = recipients,
		           .n_recipients = n };
}

/* Every report, whatever is in it, can go through any transport that fits its needs. */
static void
assert_wire(const GString *text, uint32_t needs)
{
	size_t column = 0;

	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char) text->str[i];

		g_assert_true(c != '\0' && (c < 0x80 || (needs & PH_REPORT_NEEDS_8BIT) != 0));
		column = c == '\n' ? 0 : column + 1;
		g_assert_cmpuint(column, <=, 999);
		if (c == '\r')
			g_assert_true(text->str[i + 1] == '\n');
		if (c == '\n')
			g_assert_true(i > 0 && text->str[i - 1] == '\r');
	}
}

static char *
compose(const PhReport *report, uint32_t expected_needs)
{
	g_autoptr(GError) error = NULL;
	uint32_t needs = 0;
	g_autoptr(PhContent) content = ph_report_compose(report, &needs, &error);
	GString *text = g_string_new(NULL);

	g_assert_no_error(error);
	g_string_set_size(text, ph_content_length(content));
	g_assert_cmpint(ph_content_read(content, 0, text->str, text->len, &error), ==,
	                (ssize_t) text->len);
	g_assert_cmphex(needs, ==, expected_needs);
	assert_wire(text, needs);
	return g_string_free(text, FALSE);
}

static char *
compose_mail(const char *octets, size_t length, bool full, bool utf8, uint32_t needs)
{
	g_autoptr(PhContent) content = ph_content_new_copy(PH_SLICE(octets, length));
	PhReportRecipient recipient = refused();
	PhReport report = report_of(&recipient, 1, content);

	report.returns_full = full;
	report.takes_utf8 = utf8;
	return compose(&report, needs);
}

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		g_test_message("'%s' is not in: %s", part, text);
	g_assert_nonnull(strstr(text, part));
}

static void
assert_lacks(const char *text, const char *part)
{
	g_assert_null(strstr(text, part));
}

static void
test_failed(void)
{
	g_autofree char *text = compose_mail(mail, sizeof mail - 1, false, false, 0);

	assert_has(text, "From: Mail Delivery System <MAILER-DAEMON@mail.example.org>\r\n");
	assert_has(text, "To: <ann@example.org>\r\n");
	assert_has(text, "Auto-Submitted: auto-replied\r\n");
	assert_has(text, "Message-ID: <AAAAAAAAAAAAAAAAAAAAAA@mail.example.org>\r\n");
	assert_has(text, "Content-Type: multipart/report; report-type=delivery-status;\r\n");
	assert_has(text, "The server mx.example.net said:\r\n    550 5.1.1 No such user here\r\n");
	assert_has(text, "Check the spelling of the address.");
	assert_has(text, "Original-Envelope-Id: QQ=1\r\nReporting-MTA: dns; mail.example.org\r\n");
	assert_has(text, "Arrival-Date: Tue, 14 Nov 2023 ");
	assert_has(text, "\r\n\r\nOriginal-Recipient: rfc822; Joe+x@example.com\r\n"
	                 "Final-Recipient: rfc822; joe@example.net\r\n"
	                 "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\n"
	                 "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
	                 "Last-Attempt-Date: Tue, 14 Nov 2023 ");
	assert_has(text, "Content-Type: text/rfc822-headers\r\n");
	assert_has(text, "Received: from a by b\r\nFrom: Ann <ann@example.org>\r\n");
	assert_lacks(text, "the body");
}

static void
test_full(void)
{
	g_autofree char *text = compose_mail(mail, sizeof mail - 1, true, false, 0);
	g_autofree char *large = g_strnfill(PH_REPORT_FULL_MAX, '\n');
	g_autofree char *eight =
		compose_mail(mail_8bit, sizeof mail_8bit - 1, true, false, PH_REPORT_NEEDS_8BIT);
	g_autofree char *cut = NULL;

	assert_has(text, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	                 "Received: from a by b\r\n");
	assert_has(text, "\r\n\r\nthe body\r\n");
	assert_has(eight, "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n");
	memcpy(large, mail, sizeof mail - 1);
	cut = compose_mail(large, PH_REPORT_FULL_MAX, true, false, 0);
	assert_has(cut, "Content-Type: text/rfc822-headers\r\n");
	assert_lacks(cut, "the body");
}

static void
test_utf8(void)
{
	const uint32_t both = PH_REPORT_NEEDS_8BIT | PH_REPORT_NEEDS_UTF8;
	g_autofree char *global = compose_mail(mail_utf8, sizeof mail_utf8 - 1, true, true, both);
	g_autofree char *headers = compose_mail(mail_utf8, sizeof mail_utf8 - 1, false, true, both);
	g_autofree char *seven = compose_mail(mail_utf8, sizeof mail_utf8 - 1, true, false, 0);

	assert_has(global, "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n");
	assert_has(headers, "Content-Type: message/global-headers\r\n");
	assert_has(seven, "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n");
	assert_has(seven, "Subject: gr=C3=BC=C3=9F\r\n");
}

static void
test_utf8_address(void)
{
	PhReportRecipient recipient = { .action = PH_REPORT_FAILED,
		                        .address = "j\xc3\xb6@example.net",
		                        .orcpt = "utf-8;j\\x{F6}@example.net",
		                        .diagnostic = "550 5.1.1 unbekannt: j\xc3\xb6" };
	PhReport report = report_of(&recipient, 1, NULL);
	g_autofree char *seven = compose(&report, 0);
	g_autofree char *global = NULL;

	assert_has(seven, "Final-Recipient: utf-8; j\\x{F6}@example.net\r\n");
	assert_has(seven, "Diagnostic-Code: smtp; 550 5.1.1 unbekannt: j?\r\n");
	assert_has(seven, "<j=C3=B6@example.net>");
	report.takes_utf8 = true;
	global = compose(&report, PH_REPORT_NEEDS_8BIT | PH_REPORT_NEEDS_UTF8);
	assert_has(global, "report-type=global-delivery-status");
	assert_has(global, "Content-Type: message/global-delivery-status\r\n"
	                   "Content-Transfer-Encoding: 8bit\r\n");
	assert_has(global, "Final-Recipient: utf-8; j\xc3\xb6@example.net\r\n");
	assert_has(global, "Diagnostic-Code: smtp; 550 5.1.1 unbekannt: j\xc3\xb6\r\n");
}

static void
test_hostile(void)
{
	g_autofree char *endless = g_strnfill(100000, 'A');
	PhReportRecipient recipient = refused();
	PhReport report = report_of(&recipient, 1, NULL);
	g_autofree char *text = NULL;
	g_autofree char *cut = NULL;

	recipient.diagnostic = "550 no\r\n\r\n--=_AAAAAAAAAAAAAAAAAAAAAA--\r\n\x1b[2J\x80";
	recipient.remote_mta = "evil\r\nAction: delivered";
	recipient.orcpt = "rfc\r\n822;x";
	recipient.address = "a\"b c@example.net";
	report.envid = "x+0D+0AAction:+20delivered";
	text = compose(&report, 0);
	assert_has(text, "Diagnostic-Code: smtp; 550 no --=_AAAAAAAAAAAAAAAAAAAAAA-- ?[2J?\r\n");
	assert_has(text, "Remote-MTA: dns; evil Action: delivered\r\n");
	assert_has(text, "Original-Envelope-Id: x Action: delivered\r\n");
	assert_has(text, "Final-Recipient: rfc822; \"a\\\"b c\"@example.net\r\n");
	assert_lacks(text, "Original-Recipient");
	assert_lacks(text, "\r\nAction: delivered");
	recipient.diagnostic = endless;
	recipient.remote_mta = endless;
	cut = compose(&report, 0);
	g_assert_cmpuint(strlen(cut), <, 8192);
}

static void
test_broken_mail(void)
{
	g_autofree char *text = compose_mail(mail_broken, sizeof mail_broken - 1, true, true, 0);

	assert_has(text, "text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n");
	assert_has(text, "Subject: caf=E9\r\n");
	assert_lacks(text, "body");
}

static void
test_no_leak(void)
{
	g_autoptr(GError) error = g_error_new_literal(PH_ERROR, PH_ERROR_OVER_QUOTA,
	                                              "cannot write '/var/lib/secret'");
	PhReportRecipient recipient = { .action = PH_REPORT_FAILED,
		                        .address = "bob@example.org",
		                        .error = error };
	PhReport report = report_of(&recipient, 1, NULL);
	g_autofree char *text = compose(&report, 0);

	assert_lacks(text, "secret");
	assert_has(text, "Status: 4.2.2\r\n");
	assert_has(text, "Diagnostic-Code: x-posthorn; The mailbox is full\r\n");
}

static void
test_several(void)
{
	PhReportRecipient recipients[] = {
		{ .action = PH_REPORT_DELIVERED, .address = "a@example.net" },
		{ .action = PH_REPORT_DELAYED,
		  .address = "b@example.net",
		  .diagnostic = "451 4.7.1 later",
		  .retry_until = (PhTime) (NOW + 86400) * G_USEC_PER_SEC },
		{ .action = PH_REPORT_RELAYED, .address = "c@example.net" },
		{ .action = PH_REPORT_EXPANDED, .address = "d@example.net" },
	};
	PhReport report = report_of(recipients, 4, NULL);
	g_autofree char *text = compose(&report, 0);

	assert_has(text, "Subject: Your mail is delayed\r\n");
	assert_has(text, "Action: delivered\r\nStatus: 2.0.0\r\n");
	assert_has(text, "Action: delayed\r\nStatus: 4.7.1\r\n");
	assert_has(text, "Will-Retry-Until: Wed, 15 Nov 2023 ");
	assert_has(text, "Action: relayed\r\nStatus: 2.0.0\r\n");
	assert_has(text, "Action: expanded\r\n");
}

static void
assert_status(uint32_t action, const char *diagnostic, const char *expected)
{
	PhReportRecipient recipient = { .action = action,
		                        .address = "a@example.net",
		                        .diagnostic = diagnostic };
	char status[PH_REPORT_STATUS];

	ph_report_status(&recipient, status);
	g_assert_cmpstr(status, ==, expected);
}

static void
test_status(void)
{
	assert_status(PH_REPORT_FAILED, "550 5.7.26 no", "5.7.26");
	assert_status(PH_REPORT_FAILED, "550-5.7.26 no", "5.7.26");
	assert_status(PH_REPORT_FAILED, "550 5.7.26", "5.7.26");
	assert_status(PH_REPORT_FAILED, "550", "5.0.0");
	assert_status(PH_REPORT_FAILED, "550 5.7.1234 no", "5.0.0");
	assert_status(PH_REPORT_FAILED, "550 5.07.1 no", "5.0.0");
	assert_status(PH_REPORT_FAILED, "550 15.7.1 no", "5.0.0");
	assert_status(PH_REPORT_FAILED, "451 4.4.2 no", "4.4.2");
	assert_status(PH_REPORT_FAILED, "250 2.0.0 no", "5.0.0");
	assert_status(PH_REPORT_DELAYED, "550 5.1.1 no", "4.1.1");
	assert_status(PH_REPORT_DELAYED, "nonsense", "4.4.1");
	assert_status(PH_REPORT_FAILED, "", "5.0.0");
	assert_status(PH_REPORT_DELIVERED, "250 2.1.5 ok", "2.1.5");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue/report/says-who-failed-why-and-what-to-do", test_failed);
	g_test_add_func("/queue/report/returns-the-mail-when-asked-and-small", test_full);
	g_test_add_func("/queue/report/returns-utf8-headers-in-a-fitting-form", test_utf8);
	g_test_add_func("/queue/report/writes-utf8-addresses-in-both-forms", test_utf8_address);
	g_test_add_func("/queue/report/tames-what-servers-say", test_hostile);
	g_test_add_func("/queue/report/sends-no-bare-line-ends-back", test_broken_mail);
	g_test_add_func("/queue/report/shows-no-internal-error", test_no_leak);
	g_test_add_func("/queue/report/tells-all-actions-apart", test_several);
	g_test_add_func("/queue/report/finds-the-status-in-a-reply", test_status);
	return g_test_run();
}

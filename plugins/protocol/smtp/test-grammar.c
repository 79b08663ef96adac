/* test-grammar.c: the pure parts of the smtp plugin: parameters, header fields
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "fields.h"
#include "hops.h"
#include "parameters.h"

#include <string.h>

static ParametersResult
parse(const char *text, MailParameters *out)
{
	return mail_parameters_parse(ph_slice(text), OFFER_ALL, out);
}

static void
test_parameters_good(void)
{
	MailParameters out;

	g_assert_cmpint(parse("", &out), ==, PARAMETERS_OK);
	g_assert_false(out.has_size || out.is_utf8 || out.has_auth);
	g_assert_cmpint(out.body, ==, BODY_NONE);
	g_assert_cmpint(parse(" SIZE=1000 BODY=8BITMIME SMTPUTF8 AUTH=<>", &out), ==,
	                PARAMETERS_OK);
	g_assert_cmpuint(out.octets, ==, 1000);
	g_assert_true(out.has_size && out.is_utf8 && out.has_auth);
	g_assert_cmpint(out.body, ==, BODY_8BITMIME);
	g_assert_cmpint(parse(" body=7bit  size=0", &out), ==, PARAMETERS_OK);
	g_assert_true(out.body == BODY_7BIT && out.has_size && out.octets == 0);
	g_assert_cmpint(parse(" AUTH=e+3Dmc2@example.com", &out), ==, PARAMETERS_OK);
}

static void
test_parameters_sizes(void)
{
	MailParameters out;

	parse(" SIZE=4294967297", &out);
	g_assert_cmpuint(out.octets, ==, G_GUINT64_CONSTANT(4294967297));
	parse(" SIZE=9223372036854775808", &out);
	g_assert_cmpuint(out.octets, ==, G_GUINT64_CONSTANT(9223372036854775808));
	g_assert_cmpint(parse(" SIZE=99999999999999999999", &out), ==, PARAMETERS_OK);
	g_assert_cmpuint(out.octets, ==, UINT64_MAX);
	g_assert_cmpint(parse(" SIZE=000000000000000000001", &out), ==, PARAMETERS_SYNTAX);
}

static void
test_parameters_bad(void)
{
	static const char *const syntax[] = {
		" SIZE",
		" SIZE=",
		" SIZE=x",
		" SIZE=-1",
		" SIZE=1 SIZE=1",
		" BODY",
		" BODY=BINARY",
		" BODY=7BIT BODY=7BIT",
		" SMTPUTF8=1",
		" SMTPUTF8 SMTPUTF8",
		" AUTH",
		" AUTH=",
		" AUTH=+3",
		" AUTH=+0D+0A",
		" AUTH=nobody",
		"SIZE=1",
		" -SIZE=1",
		" SI ZE=\x01",
		" =1",
		" SIZE==1",
		" SIZE=1=2",
	};
	static const char *const unknown[] = { " RETURN=FULL", " X", " SIZE=1 FOO=bar",
		                               " NOTIFY=NEVER" };
	MailParameters out;

	for (size_t i = 0; i < G_N_ELEMENTS(syntax); i++) {
		ParametersResult result = parse(syntax[i], &out);

		if (strcmp(syntax[i], " SI ZE=\x01") == 0)
			g_assert_cmpint(result, ==, PARAMETERS_UNKNOWN);
		else
			g_assert_cmpint(result, ==, PARAMETERS_SYNTAX);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
		g_assert_cmpint(parse(unknown[i], &out), ==, PARAMETERS_UNKNOWN);
}

static void
test_extensions_good(void)
{
	MailParameters out;

	g_assert_cmpint(
		parse(" RET=hdrs ENVID=QQ+2B1 REQUIRETLS BODY=BINARYMIME MT-PRIORITY=-3", &out), ==,
		PARAMETERS_OK);
	g_assert_cmpstr(out.ret, ==, "HDRS");
	g_assert_true(ph_slice_is(out.envid, "QQ+2B1"));
	g_assert_true(out.requires_tls && out.has_priority && out.priority == -3);
	g_assert_cmpint(out.body, ==, BODY_BINARYMIME);
	g_assert_cmpint(parse(" BY=120;Rt HOLDFOR=86400", &out), ==, PARAMETERS_OK);
	g_assert_true(out.has_by && out.by_returns && out.by_seconds == 120);
	g_assert_cmpuint(out.hold_seconds, ==, 86400);
	g_assert_cmpint(parse(" BY=-10;N HOLDUNTIL=2026-11-22T09:00:01Z", &out), ==, PARAMETERS_OK);
	g_assert_true(out.has_by && !out.by_returns && out.by_seconds == -10);
	g_assert_cmpint(out.hold_until / G_USEC_PER_SEC, ==, 1795338001);
}

static void
test_extensions_bad(void)
{
	static const char *const wrong[] = {
		" RET",
		" RET=ALL",
		" RET=FULL RET=FULL",
		" ENVID=",
		" ENVID=+0A",
		" ENVID=a+2b",
		" ENVID=x ENVID=y",
		" REQUIRETLS=1",
		" BY=120",
		" BY=120;X",
		" BY=0;R",
		" BY=-1;R",
		" BY=1234567890;N",
		" BY=;R",
		" BY=1;RX",
		" BY=+;N",
		" BY=1;R BY=1;R",
		" HOLDFOR=0",
		" HOLDFOR=01",
		" HOLDFOR=1234567890",
		" HOLDFOR=1 HOLDFOR=2",
		" HOLDFOR=1 HOLDUNTIL=2026-11-22T09:00:01Z",
		" HOLDUNTIL=2026-11-22T09:00:01",
		" HOLDUNTIL=2026-02-30T09:00:01Z",
		" HOLDUNTIL=2026-11-22t09:00:01Z",
		" HOLDUNTIL=2026-11-22T09:00:01+00:00",
		" MT-PRIORITY=10",
		" MT-PRIORITY=-0",
		" MT-PRIORITY=+1",
		" MT-PRIORITY=",
		" MT-PRIORITY=1 MT-PRIORITY=1",
	};
	MailParameters out;

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_test_message("%s", wrong[i]);
		g_assert_cmpint(parse(wrong[i], &out), ==, PARAMETERS_SYNTAX);
	}
}

static void
test_offered(void)
{
	static const char *const texts[] = { " RET=FULL",     " ENVID=x",   " REQUIRETLS",
		                             " BY=1;R",       " HOLDFOR=1", " HOLDUNTIL=x",
		                             " MT-PRIORITY=1" };
	MailParameters mail;
	RcptParameters rcpt;

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_assert_cmpint(mail_parameters_parse(ph_slice(texts[i]), 0, &mail), ==,
		                PARAMETERS_UNKNOWN);
	g_assert_cmpint(mail_parameters_parse(ph_slice(" BODY=BINARYMIME"), 0, &mail), ==,
	                PARAMETERS_SYNTAX);
	g_assert_cmpint(rcpt_parameters_parse(ph_slice(" NOTIFY=NEVER"), 0, &rcpt), ==,
	                PARAMETERS_UNKNOWN);
}

static ParametersResult
parse_rcpt(const char *text, RcptParameters *out)
{
	return rcpt_parameters_parse(ph_slice(text), OFFER_ALL, out);
}

static void
test_rcpt(void)
{
	static const char *const wrong[] = {
		" NOTIFY",
		" NOTIFY=",
		" NOTIFY=NEVER,DELAY",
		" NOTIFY=DELAY,",
		" NOTIFY=,DELAY",
		" NOTIFY=DELAY,DELAY",
		" NOTIFY=ALWAYS",
		" NOTIFY=NEVER NOTIFY=NEVER",
		" ORCPT",
		" ORCPT=",
		" ORCPT=joe@example.org",
		" ORCPT=;joe",
		" ORCPT=rfc822;",
		" ORCPT=rfc822;a+0Ab",
		" ORCPT=rfc822;a+",
		" ORCPT=rf(c;x",
		" ORCPT=rfc822;a ORCPT=rfc822;b",
		"NOTIFY=NEVER",
	};
	RcptParameters out;

	g_assert_cmpint(parse_rcpt(" notify=delay,Success ORCPT=rfc822;a+2Bb@x", &out), ==,
	                PARAMETERS_OK);
	g_assert_cmpstr(notify_text(out.notify), ==, "SUCCESS,DELAY");
	g_assert_true(ph_slice_is(out.orcpt, "rfc822;a+2Bb@x"));
	g_assert_cmpint(parse_rcpt(" NOTIFY=never", &out), ==, PARAMETERS_OK);
	g_assert_cmpstr(notify_text(out.notify), ==, "NEVER");
	g_assert_cmpint(parse_rcpt(" ORCPT=utf-8;j\\x{F6}rg@example.org", &out), ==, PARAMETERS_OK);
	g_assert_cmpint(parse_rcpt(" ORCPT=utf-8;j\303\266rg@example.org", &out), ==,
	                PARAMETERS_OK);
	g_assert_cmpint(parse_rcpt(" ORCPT=rfc822;j\303\266rg@example.org", &out), ==,
	                PARAMETERS_SYNTAX);
	g_assert_cmpint(parse_rcpt(" FOO=1", &out), ==, PARAMETERS_UNKNOWN);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_test_message("%s", wrong[i]);
		g_assert_cmpint(parse_rcpt(wrong[i], &out), ==, PARAMETERS_SYNTAX);
	}
	for (uint32_t bits = 0; bits < 16; bits++) {
		uint32_t again = 0;

		g_assert_true(notify_parse(ph_slice(notify_text(bits)), &again));
		g_assert_true(bits < 2 || (bits & NOTIFY_NEVER) != 0 || again == bits);
	}
}

/* --- header fields -------------------------------------------------------------------------- */

/* The whole message as it is kept, fed in pieces of @step; the reply instead when it is refused. */
static char *
complete_in(const char *message, size_t step, const char *author)
{
	const FieldsFor whose = { .hostname = "host.example",
		                  .id = "id",
		                  .author = author,
		                  .now = G_GINT64_CONSTANT(1795338001) * G_USEC_PER_SEC };
	g_autoptr(GPtrArray) authors = g_ptr_array_new_with_free_func(g_free);
	GString *out = g_string_new(NULL);
	const char *problem = NULL;
	Fields fields = { 0 };
	size_t length = strlen(message);
	bool is_done = false;

	for (size_t at = 0; at < length && problem == NULL; at += step) {
		PhSlice piece = PH_SLICE(message + at, MIN(step, length - at));
		bool is_end = at + step >= length;

		if (!is_done && (fields_take(&fields, &piece) || is_end)) {
			problem = fields_complete(&fields, &whose, out, authors);
			is_done = true;
		}
		g_string_append_len(out, piece.data, (gssize) piece.length);
	}
	fields_clear(&fields);
	if (problem != NULL)
		g_string_assign(out, problem);
	return g_string_free(out, FALSE);
}

static void
assert_completed(const char *message, const char *wanted)
{
	for (size_t step = 1; step <= strlen(message); step++) {
		g_autofree char *got = complete_in(message, step, "a@x.example");

		g_assert_cmpstr(got, ==, wanted);
	}
}

#define DATE "Date: Sun, 22 Nov 2026 09:00:01 +0000\r\n"
#define ID   "Message-ID: <id@host.example>\r\n"

static void
test_fields(void)
{
	assert_completed("From: b@x\r\nDate: d\r\nMessage-ID: <m>\r\n\r\nBcc: body\r\n",
	                 "From: b@x\r\nDate: d\r\nMessage-ID: <m>\r\n\r\nBcc: body\r\n");
	assert_completed("Subject: s\r\nBcc: secret@x,\r\n two@x\r\nTo: c@x\r\n\r\nbody",
	                 DATE "From: <a@x.example>\r\n" ID "Subject: s\r\nTo: c@x\r\n\r\nbody");
	assert_completed("bcc: s@x\r\nfrom: b@x\r\nReturn-Path: <r@x>\r\nRESENT-BCC: s@x\r\n",
	                 DATE ID "from: b@x\r\n\r\n");
	assert_completed("\r\nbody\r\n", DATE "From: <a@x.example>\r\n" ID "\r\nbody\r\n");
	assert_completed("just text\r\nmore\r\n",
	                 DATE "From: <a@x.example>\r\n" ID "\r\njust text\r\nmore\r\n");
	assert_completed("From: b@x, c@x\r\n\r\n",
	                 DATE "Sender: <a@x.example>\r\n" ID "From: b@x, c@x\r\n\r\n");
	assert_completed("From: b@x, c@x\r\nSender: c@x\r\n\r\n",
	                 DATE ID "From: b@x, c@x\r\nSender: c@x\r\n\r\n");
	assert_completed("From: b@x\nDate: d\n\nFrom: body\n",
	                 ID "From: b@x\nDate: d\n\r\nFrom: body\n");
}

static void
test_fields_refused(void)
{
	static const char *const wrong[] = {
		"From: b@x\r\nFrom: c@x\r\n\r\n",
		"From: nobody\r\n  at all;\r\nFrom:\r\n\r\n",
		"From:\r\n\r\n",
		"From: undisclosed:;\r\n\r\n",
		"From: b@x\r\nSender: c@x, d@x\r\n\r\n",
		"From: b@x\r\nSender: c@x\r\nSender: d@x\r\n\r\n",
		"From: b@x\r\nSender:\r\n\r\n",
	};
	g_autofree char *none = complete_in("Subject: x\r\n\r\n", 100, "");
	g_autofree char *huge = g_strnfill(FIELDS_MAX + 2, 'x');
	g_autofree char *large = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autofree char *got = complete_in(wrong[i], 7, "a@x.example");

		g_assert_true(g_str_has_prefix(got, "550 5.6.0 "));
	}
	g_assert_true(g_str_has_prefix(none, "550 5.6.0 "));
	large = complete_in(huge, 65536, "a@x.example");
	g_assert_true(g_str_has_prefix(large, "552 5.3.4 "));
}

static void
test_authors(void)
{
	const FieldsFor whose = { .hostname = "h", .id = "i", .author = "" };
	g_autoptr(GPtrArray) authors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) out = g_string_new(NULL);
	PhSlice piece = ph_slice("From: Ann <ann@x.example>, \"b b\"@y\r\n\r\n");
	Fields fields = { 0 };

	g_assert_true(fields_take(&fields, &piece));
	g_assert_null(fields_complete(&fields, &whose, out, authors));
	fields_clear(&fields);
	g_assert_cmpuint(authors->len, ==, 2);
	g_assert_cmpstr(authors->pdata[0], ==, "ann@x.example");
	g_assert_cmpstr(authors->pdata[1], ==, "b b@y");
}

static uint32_t
count_received(const char *text, size_t step)
{
	Hops hops = { 0 };

	for (size_t at = 0; at < strlen(text); at += step)
		hops_scan(&hops, PH_SLICE(text + at, MIN(step, strlen(text) - at)));
	return hops.n_received;
}

static void
test_hops(void)
{
	static const char text[] =
		"Received: a\r\n\tReceived: no\r\nreceived: b\r\nReceive: x\r\n"
		"RECEIVED:c\r\nX-Received: d\r\nReceived : e\r\n\r\nReceived: f\r\n";

	for (size_t step = 1; step < sizeof text; step++)
		g_assert_cmpuint(count_received(text, step), ==, 3);
	g_assert_cmpuint(count_received("\r\nReceived: a\r\n", 100), ==, 0);
	g_assert_cmpuint(count_received("", 100), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/smtp/parameters/are-taken-by-name", test_parameters_good);
	g_test_add_func("/smtp/parameters/size-never-wraps", test_parameters_sizes);
	g_test_add_func("/smtp/parameters/broken-and-unknown-differ", test_parameters_bad);
	g_test_add_func("/smtp/parameters/of-extensions", test_extensions_good);
	g_test_add_func("/smtp/parameters/of-extensions-to-the-letter", test_extensions_bad);
	g_test_add_func("/smtp/parameters/unknown-unless-offered", test_offered);
	g_test_add_func("/smtp/parameters/of-recipients", test_rcpt);
	g_test_add_func("/smtp/fields/are-completed-in-any-pieces", test_fields);
	g_test_add_func("/smtp/fields/that-cannot-be-right-are-refused", test_fields_refused);
	g_test_add_func("/smtp/fields/tell-the-authors", test_authors);
	g_test_add_func("/smtp/hops/counts-received-in-any-pieces", test_hops);
	return g_test_run();
}

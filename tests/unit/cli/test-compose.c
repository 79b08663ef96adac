/* test-compose.c: what a program wrote becomes a message that can be sent
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "cli/compose.h"

#include <string.h>

static const PhCompose plain = { .sender = "me@example.org", .hostname = "mail.example.org" };

static GString *
compose(const char *input, const PhCompose *how, GPtrArray *recipients)
{
	GString *message = g_string_new(NULL);

	ph_compose(ph_slice(input), how, message, recipients);
	return message;
}

static void
test_missing_fields(void)
{
	g_autoptr(GString) message = compose("Subject: x\n\nbody\n", &plain, NULL);
	PhSlice text = PH_SLICE(message->str, message->len);
	PhHeaderField field;

	g_assert_true(ph_header_find(text, "From", &field));
	g_assert_true(ph_slice_is(field.value, "me@example.org"));
	g_assert_true(ph_header_find(text, "Date", &field));
	g_assert_true(ph_header_find(text, "Message-ID", &field));
	g_assert_true(g_str_has_suffix(message->str, "Subject: x\r\n\r\nbody\r\n"));
}

static void
test_nothing_twice(void)
{
	const char *input = "From: a@b\r\nDate: now\r\nmessage-id: <x@y>\r\n\r\nbody\r\n";
	g_autoptr(GString) message = compose(input, &plain, NULL);

	g_assert_cmpstr(message->str, ==, input);
}

static void
test_no_blind_copies(void)
{
	const char *input =
		"From: a@b\r\nDate: now\r\nBCC: c@d,\r\n e@f\r\nMessage-ID: <x@y>\r\n\r\nBcc: x\r\n";
	g_autoptr(GString) message = compose(input, &plain, NULL);

	g_assert_cmpstr(message->str, ==,
	                "From: a@b\r\nDate: now\r\nMessage-ID: <x@y>\r\n\r\nBcc: x\r\n");
}

static void
test_line_ends(void)
{
	g_autoptr(GString) message = compose("a: b\n\none\rtwo\r\nthree\n.\nend", &plain, NULL);

	g_assert_true(
		g_str_has_suffix(message->str, "a: b\r\n\r\none\r\ntwo\r\nthree\r\n.\r\nend\r\n"));
}

static void
test_dot(void)
{
	PhCompose how = plain;
	g_autoptr(GString) message = NULL;

	how.dot_ends = true;
	message = compose("a: b\n\none\n.\nnever\n", &how, NULL);
	g_assert_true(g_str_has_suffix(message->str, "a: b\r\n\r\none\r\n"));
}

static void
test_body_only(void)
{
	g_autoptr(GString) message = compose("just text\nmore\n", &plain, NULL);
	g_autoptr(GString) empty = compose("", &plain, NULL);

	g_assert_true(g_str_has_suffix(message->str, "\r\n\r\njust text\r\nmore\r\n"));
	g_assert_true(g_str_has_suffix(empty->str, "\r\n\r\n"));
}

static void
test_recipients(void)
{
	g_autoptr(GPtrArray) recipients = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) message = NULL;
	PhCompose how = plain;

	how.take_recipients = true;
	message =
		compose("To: A <a@x.example>,\n b@x.example\nBcc: c@x.example\nCc: d\n\nTo: e@f\n",
	                &how, recipients);
	g_assert_cmpuint(recipients->len, ==, 4);
	g_assert_cmpstr(recipients->pdata[0], ==, "a@x.example");
	g_assert_cmpstr(recipients->pdata[1], ==, "b@x.example");
	g_assert_cmpstr(recipients->pdata[2], ==, "c@x.example");
	g_assert_cmpstr(recipients->pdata[3], ==, "d");
	g_assert_null(strstr(message->str, "c@x.example"));
	g_assert_nonnull(strstr(message->str, "\r\n b@x.example\r\n"));
	g_assert_true(g_str_has_suffix(message->str, "\r\n\r\nTo: e@f\r\n"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/compose/blind-copies-are-never-told", test_no_blind_copies);
	g_test_add_func("/cli/compose/missing-fields-are-added", test_missing_fields);
	g_test_add_func("/cli/compose/fields-that-are-there-stay", test_nothing_twice);
	g_test_add_func("/cli/compose/line-ends-become-crlf", test_line_ends);
	g_test_add_func("/cli/compose/a-dot-ends-only-when-asked", test_dot);
	g_test_add_func("/cli/compose/a-body-alone-gets-a-header", test_body_only);
	g_test_add_func("/cli/compose/recipients-come-from-the-fields", test_recipients);
	return g_test_run();
}

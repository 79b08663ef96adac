/* test-mail-edit.c: what filters change of a mail: header, body, recipients
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "routing.h"

static PhMail *
mail_of(const char *octets)
{
	PhMail *mail = ph_mail_new_routed(NULL);
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(octets));

	ph_mail_set_content(mail, content);
	return mail;
}

static void
assert_content(PhMail *mail, const char *wanted)
{
	char octets[1024] = "";
	ssize_t n = 0;

	ph_mail_apply_edits(mail);
	n = ph_content_read(ph_mail_content(mail), 0, octets, sizeof octets - 1, NULL);
	g_assert_cmpint(n, ==, (ssize_t) ph_content_length(ph_mail_content(mail)));
	g_assert_cmpstr(octets, ==, wanted);
	ph_mail_unref(mail);
}

static void
test_header(void)
{
	PhMail *mail = mail_of("A: 1\r\nB: 2\r\n fold\r\nA: 3\r\n\r\nbody\r\n");
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_mail_header_add(mail, "C", ph_slice("new"), &error));
	g_assert_true(ph_mail_header_insert(mail, 0, "First", ph_slice("x"), &error));
	g_assert_true(ph_mail_header_insert(mail, 2, "Third", ph_slice(" y"), &error));
	g_assert_true(ph_mail_header_replace(mail, "a", 2, ph_slice("three"), &error));
	g_assert_true(ph_mail_header_delete(mail, "b", 1, &error));
	g_assert_true(ph_mail_header_delete(mail, "nobody", 1, &error));
	g_assert_no_error(error);
	assert_content(mail, "First: x\r\nA: 1\r\nThird: y\r\na: three\r\nC: new\r\n\r\nbody\r\n");
}

static void
test_body(void)
{
	PhMail *mail = mail_of("A: 1\r\n\r\nbody\r\n");
	g_autoptr(PhContent) body = ph_content_new_copy(ph_slice("other"));

	g_assert_true(ph_mail_replace_body(mail, body, NULL));
	assert_content(mail, "A: 1\r\n\r\nother");
	mail = mail_of("A: 1\r\n");
	g_assert_true(ph_mail_replace_body(mail, body, NULL));
	assert_content(mail, "A: 1\r\n\r\nother");
	mail = mail_of("A: 1");
	g_assert_true(ph_mail_header_add(mail, "B", ph_slice("2"), NULL));
	assert_content(mail, "A: 1\r\nB: 2\r\n\r\n");
	mail = mail_of("\r\nbody");
	g_assert_true(ph_mail_header_add(mail, "B", ph_slice("2"), NULL));
	assert_content(mail, "B: 2\r\n\r\nbody");
}

static void
test_injection(void)
{
	PhMail *mail = mail_of("A: 1\r\n\r\nbody");
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_mail_header_add(mail, "B", ph_slice("x\r\n\r\nC: y\rz\n\n"), &error));
	g_assert_no_error(error);
	g_assert_false(ph_mail_header_add(mail, "B: x\r\nC", ph_slice("y"), NULL));
	g_assert_false(ph_mail_header_add(mail, "", ph_slice("y"), NULL));
	g_assert_false(ph_mail_header_add(mail, "B", PH_SLICE("a\0b", 3), NULL));
	assert_content(mail, "A: 1\r\nB: x\r\n\tC: y z\r\n\r\nbody");
}

static void
test_large_header(void)
{
	g_autofree char *filler = g_strnfill(40000, 'x');
	g_autofree char *octets = g_strdup_printf("A: %s\r\nB: 2\r\n\r\nbody", filler);
	PhMail *mail = mail_of(octets);
	PhSlice block;

	g_assert_true(ph_mail_header(mail, &block, NULL));
	g_assert_cmpuint(block.length, ==, strlen(octets) - strlen("body"));
	ph_mail_unref(mail);
}

/* The header is shown while the content is still coming: what is changed by then is kept. */
static void
test_early(void)
{
	PhMail *mail = ph_mail_new_routed(NULL);
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("A: 1\r\nB: 2\r\n\r\nbody"));
	g_autoptr(PhContent) other = ph_content_new_copy(ph_slice("C: 3\r\n\r\n"));
	g_autoptr(GError) error = NULL;
	PhSlice block;

	g_assert_false(ph_mail_header(mail, &block, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	ph_mail_show_header(mail, ph_slice("A: 1\r\nB: 2\r\n\r\n"));
	g_assert_true(ph_mail_header(mail, &block, NULL));
	g_assert_true(ph_slice_is(block, "A: 1\r\nB: 2\r\n\r\n"));
	g_assert_true(ph_slice_is(ph_mail_early_header(mail), "A: 1\r\nB: 2\r\n\r\n"));
	g_assert_true(ph_mail_header_delete(mail, "A", 1, NULL));
	ph_mail_apply_edits(mail);
	g_assert_null(ph_mail_content(mail));
	ph_mail_set_content(mail, content);
	g_assert_cmpuint(ph_mail_early_header(mail).length, ==, 0);
	assert_content(mail, "B: 2\r\n\r\nbody");
	/* Content that does not begin with what was shown has its own. */
	mail = ph_mail_new_routed(NULL);
	ph_mail_show_header(mail, ph_slice("A: 1\r\nB: 2\r\n\r\n"));
	g_assert_true(ph_mail_header_delete(mail, "A", 1, NULL));
	ph_mail_set_content(mail, other);
	assert_content(mail, "C: 3\r\n\r\n");
}

static void
test_recipients(void)
{
	FakeTransport *fake = fake_transport_new();
	PhRouter *router = fake_router(NULL, fake, NULL);
	PhMail *mail = ph_mail_new_routed(router);

	g_assert_cmpint(ph_mail_add_recipient(mail, ph_slice("alice@example.org")), ==, PH_RCPT_OK);
	g_assert_cmpint(ph_mail_add_recipient(mail, ph_slice("list@example.org")), ==, PH_RCPT_OK);
	g_assert_cmpuint(mail->targets->len, ==, 3);
	g_assert_cmpint(ph_mail_find_recipient(mail, ph_slice("list@EXAMPLE.org")), ==, 1);
	g_assert_cmpint(ph_mail_find_recipient(mail, ph_slice("LIST@example.org")), ==, -1);
	ph_mail_remove_recipient(mail, 0);
	g_assert_cmpuint(mail->targets->len, ==, 3);
	ph_mail_remove_recipient(mail, 1);
	g_assert_cmpuint(mail->targets->len, ==, 0);
	g_assert_cmpuint(ph_mail_n_recipients(mail), ==, 2);
	g_assert_cmpuint(ph_mail_recipient_flags(mail, 1), ==, PH_RECIPIENT_REMOVED);
	g_assert_cmpint(ph_mail_find_recipient(mail, ph_slice("list@example.org")), ==, -1);
	mail->is_asked = true;
	g_assert_cmpint(ph_mail_add_recipient(mail, ph_slice("bob@example.org")), ==, PH_RCPT_OK);
	g_assert_cmpuint(ph_mail_recipient_flags(mail, 2), ==, PH_RECIPIENT_ADDED);
	/* Transactions are never used twice. */
	g_assert_cmpint(ph_mail_target(mail, 0)->transaction[12] ^ mail->random[12], ==, 3);
	ph_mail_drop_recipient(mail, 2);
	g_assert_cmpuint(ph_mail_n_recipients(mail), ==, 2);
	g_assert_cmpuint(mail->targets->len, ==, 0);
	ph_mail_unref(mail);
	ph_router_unref(router);
	fake_transport_free(fake);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/mail-edit/header-fields-are-edited-in-place", test_header);
	g_test_add_func("/server/mail-edit/a-body-is-replaced", test_body);
	g_test_add_func("/server/mail-edit/a-value-cannot-begin-another-field", test_injection);
	g_test_add_func("/server/mail-edit/a-large-header-is-read-whole", test_large_header);
	g_test_add_func("/server/mail-edit/a-header-is-shown-before-its-content", test_early);
	g_test_add_func("/server/mail-edit/recipients-come-and-go", test_recipients);
	return g_test_run();
}

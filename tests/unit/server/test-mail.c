/* test-mail.c: envelopes, deliveries, results; what a retry does after a partial delivery
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/wake.h>

#include "routing.h"

#include <glib/gstdio.h>

typedef struct {
	char *folder;
	PhPartial *partial;
	FakeTransport *fake;
	PhRouter *router;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	fixture->folder = g_dir_make_tmp("mail-XXXXXX", &error);
	fixture->partial = ph_partial_open(fixture->folder, &error);
	g_assert_no_error(error);
	fixture->fake = fake_transport_new();
	fixture->router = fake_router(fixture->partial, fixture->fake, NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	g_autofree char *file = g_build_filename(fixture->folder, "partial-deliveries", NULL);

	ph_router_unref(fixture->router);
	fake_transport_free(fixture->fake);
	ph_partial_free(fixture->partial);
	g_remove(file);
	g_rmdir(fixture->folder);
	g_free(fixture->folder);
}

static void
count_wake(void *user_data)
{
	(*(unsigned *) user_data)++;
}

static PhMail *
send(Fixture *fixture, const char *recipients, const char *octets)
{
	g_auto(GStrv) list = g_strsplit(recipients, " ", -1);
	PhMail *mail = ph_mail_new_routed(fixture->router);
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(octets));
	unsigned n_wakes = 0;

	ph_mail_set_sender(mail, ph_slice("sender@example.com"));
	for (char **address = list; *address != NULL; address++)
		g_assert_cmpint(ph_mail_add_recipient(mail, ph_slice(*address)), ==, PH_RCPT_OK);
	ph_mail_set_content(mail, content);
	ph_mail_submit(mail, ph_wake_new_func(count_wake, &n_wakes));
	g_assert_cmpuint(n_wakes, ==, 1);
	return mail;
}

static void
assert_outcome(PhMail *mail, uint32_t n_delivered, uint32_t n_temporary, uint32_t n_failed)
{
	PhMailOutcome outcome;

	ph_mail_outcome(mail, &outcome);
	g_assert_cmpuint(outcome.n_delivered, ==, n_delivered);
	g_assert_cmpuint(outcome.n_temporary, ==, n_temporary);
	g_assert_cmpuint(outcome.n_failed, ==, n_failed);
	g_assert_true((outcome.error == NULL) == (n_temporary + n_failed == 0));
	ph_mail_unref(mail);
}

static unsigned
count_copies(const Fixture *fixture, const char *user)
{
	unsigned n = 0;

	for (guint i = 0; i < fixture->fake->delivered->len; i++)
		n += strcmp(fixture->fake->delivered->pdata[i], user) == 0;
	return n;
}

static void
test_ids(Fixture *fixture, gconstpointer data)
{
	GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (unsigned i = 0; i < 1000; i++) {
		g_autoptr(PhMail) mail = ph_mail_new_routed(fixture->router);

		g_assert_cmpuint(strlen(ph_mail_id(mail)), ==, 22);
		g_assert_true(g_hash_table_add(seen, g_strdup(ph_mail_id(mail))));
	}
	g_hash_table_unref(seen);
}

static void
test_envelope(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhMail) mail = ph_mail_new_routed(fixture->router);

	g_assert_cmpstr(ph_mail_sender(mail), ==, "");
	ph_mail_set_sender(mail, ph_slice("a@example.org"));
	g_assert_cmpstr(ph_mail_sender(mail), ==, "a@example.org");
	g_assert_null(ph_mail_parameter(mail, "BODY"));
	ph_mail_set_parameter(mail, "BODY", ph_slice("7BIT"));
	ph_mail_set_parameter(mail, "BODY", ph_slice("8BITMIME"));
	g_assert_cmpstr(ph_mail_parameter(mail, "BODY"), ==, "8BITMIME");
	ph_mail_prepend(mail, ph_slice("Received: older\r\n"));
	ph_mail_prepend(mail, ph_slice("Received: newer\r\n"));
	g_assert_true(
		ph_slice_is(ph_mail_prepended(mail), "Received: newer\r\nReceived: older\r\n"));
}

static void
test_recipient_parameters(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhMail) mail = ph_mail_new_routed(fixture->router);
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("x"));
	unsigned n_wakes = 0;

	ph_mail_add_recipient(mail, ph_slice("bob@example.org"));
	ph_mail_set_recipient_parameter(mail, 0, "NOTIFY", ph_slice("FAILURE"));
	ph_mail_set_recipient_parameter(mail, 0, "NOTIFY", ph_slice("NEVER"));
	ph_mail_add_recipient(mail, ph_slice("list@example.org"));
	ph_mail_set_recipient_parameter(mail, 1, "NOTIFY", ph_slice("SUCCESS,DELAY"));
	ph_mail_add_recipient(mail, ph_slice("alice@example.org"));
	g_assert_cmpstr(ph_mail_recipient_parameter(mail, 0, "NOTIFY"), ==, "NEVER");
	g_assert_null(ph_mail_recipient_parameter(mail, 0, "ORCPT"));
	g_assert_null(ph_mail_recipient_parameter(mail, 2, "NOTIFY"));
	ph_mail_set_content(mail, content);
	ph_mail_submit(mail, ph_wake_new_func(count_wake, &n_wakes));
	g_assert_cmpstr(fixture->fake->notify->str, ==,
	                "bob@example.org=NEVER alice@example.org=DELAY "
	                "carol@example.net=DELAY ");
}

static void
test_all(Fixture *fixture, gconstpointer data)
{
	assert_outcome(send(fixture, "alice@example.org bob@example.org", "x"), 2, 0, 0);
	g_assert_cmpuint(fixture->fake->delivered->len, ==, 2);
	assert_outcome(send(fixture, "list@example.org", "x"), 1, 0, 0);
	g_assert_cmpuint(fixture->fake->delivered->len, ==, 5);
}

static void
test_once(Fixture *fixture, gconstpointer data)
{
	assert_outcome(send(fixture, "alice@example.org alice+x@example.org list@example.org", "x"),
	               3, 0, 0);
	g_assert_cmpuint(count_copies(fixture, "alice@example.org"), ==, 1);
	g_assert_cmpuint(fixture->fake->delivered->len, ==, 3);
}

static void
test_many(Fixture *fixture, gconstpointer data)
{
	GString *list = g_string_new("alice@example.org");

	for (unsigned i = 0; i < 999; i++)
		g_string_append_printf(list, " %s+%u@example.org", i % 2 ? "alice" : "bob", i);
	assert_outcome(send(fixture, list->str, "x"), 1000, 0, 0);
	g_assert_cmpuint(fixture->fake->delivered->len, ==, 2);
	g_string_free(list, TRUE);
}

static void
test_failures(Fixture *fixture, gconstpointer data)
{
	PhMailOutcome outcome;
	PhMail *mail = send(fixture, "perm@example.org temp@example.org alice@example.org", "x");

	ph_mail_outcome(mail, &outcome);
	g_assert_error(outcome.error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_error(ph_mail_recipient_error(mail, 0), PH_ERROR, PH_ERROR_TOO_LARGE);
	g_assert_null(ph_mail_recipient_error(mail, 2));
	assert_outcome(mail, 1, 1, 1);
}

static void
test_equal_messages(Fixture *fixture, gconstpointer data)
{
	assert_outcome(send(fixture, "alice@example.org", "same"), 1, 0, 0);
	assert_outcome(send(fixture, "alice@example.org", "same"), 1, 0, 0);
	g_assert_cmpuint(count_copies(fixture, "alice@example.org"), ==, 2);
}

static void
test_retry(Fixture *fixture, gconstpointer data)
{
	static const char to[] = "alice@example.org temp@example.org carol@example.net";

	assert_outcome(send(fixture, to, "same"), 2, 1, 0);
	assert_outcome(send(fixture, to, "same"), 2, 1, 0);
	assert_outcome(send(fixture, to, "other"), 2, 1, 0);
	g_assert_cmpuint(count_copies(fixture, "alice@example.org"), ==, 2);
	fixture->fake->is_healed = true;
	assert_outcome(send(fixture, to, "same"), 3, 0, 0);
	g_assert_cmpuint(count_copies(fixture, "alice@example.org"), ==, 2);
	g_assert_cmpuint(count_copies(fixture, "temp@example.org"), ==, 1);
	assert_outcome(send(fixture, to, "same"), 3, 0, 0);
	g_assert_cmpuint(count_copies(fixture, "alice@example.org"), ==, 3);
	g_assert_cmpuint(count_copies(fixture, "carol@example.net"), ==, 3);
}

static void
test_retry_after_restart(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	assert_outcome(send(fixture, "alice@example.org temp@example.org", "same"), 1, 1, 0);
	ph_router_unref(fixture->router);
	ph_partial_free(fixture->partial);
	fixture->partial = ph_partial_open(fixture->folder, &error);
	g_assert_no_error(error);
	fixture->router = fake_router(fixture->partial, fixture->fake, NULL);
	fixture->fake->is_healed = true;
	assert_outcome(send(fixture, "alice@example.org temp@example.org", "same"), 2, 0, 0);
	g_assert_cmpuint(count_copies(fixture, "alice@example.org"), ==, 1);
}

static void
test_unsure(Fixture *fixture, gconstpointer data)
{
	uint8_t first[16];

	assert_outcome(send(fixture, "unsure@example.org", "same"), 0, 1, 0);
	memcpy(first, fixture->fake->transaction, sizeof first);
	assert_outcome(send(fixture, "unsure@example.org", "other"), 0, 1, 0);
	g_assert_cmpint(memcmp(first, fixture->fake->transaction, sizeof first), !=, 0);
	assert_outcome(send(fixture, "unsure@example.org", "same"), 0, 1, 0);
	g_assert_cmpmem(first, sizeof first, fixture->fake->transaction, sizeof first);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/server/mail/ids-are-unique", test_ids);
	ADD("/server/mail/keeps-the-envelope", test_envelope);
	ADD("/server/mail/parameters-follow-a-recipient", test_recipient_parameters);
	ADD("/server/mail/delivers-to-all-recipients", test_all);
	ADD("/server/mail/delivers-once-to-each-user", test_once);
	ADD("/server/mail/takes-a-thousand-recipients", test_many);
	ADD("/server/mail/tells-temporary-before-permanent", test_failures);
	ADD("/server/mail/equal-messages-are-two-messages", test_equal_messages);
	ADD("/server/mail/a-retry-leaves-no-second-copy", test_retry);
	ADD("/server/mail/a-retry-after-a-restart-leaves-none-either", test_retry_after_restart);
	ADD("/server/mail/an-unknown-outcome-keeps-its-transaction", test_unsure);
	return g_test_run();
}

/* test-split.c: aliases, lists and forwarding, from the address to what the transport is given
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/wake.h>

#include "base/error.h"
#include "routing.h"

#include <glib/gstdio.h>

/* Fixture: example.org with users, an alias file and SRS; example.net is another name of it; all
 * else goes on. */
typedef struct {
	char *folder;
	PhRouter *router;
	GPtrArray *sent; /* "sender recipient[+detail] via" */
} Fixture;

static void
note_delivery(void *instance, PhDelivery *delivery)
{
	Fixture *fixture = instance;
	const PhMail *mail = ph_delivery_mail(delivery);
	PhSlice head = ph_mail_prepended(mail);
	size_t n = ph_delivery_n_recipients(delivery);

	for (size_t i = 0; i < n; i++) {
		const PhIdentity *identity = ph_delivery_identity(delivery, i);
		const char *detail = ph_delivery_detail(delivery, i);
		const char *sender = ph_mail_sender(mail);
		const char *notify = ph_delivery_recipient_parameter(delivery, i, "NOTIFY");
		g_autoptr(GError) error = NULL;

		if (g_str_has_prefix(ph_delivery_recipient(delivery, i), "temp@"))
			error = g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY, "away");
		g_ptr_array_add(
			fixture->sent,
			g_strdup_printf("%s %s%s%s%s%.*s",
		                        g_str_has_prefix(sender, "SRS0=") ? "SRS" : sender,
		                        identity != NULL ? ph_identity_address(identity)
		                                         : ph_delivery_recipient(delivery, i),
		                        detail != NULL ? "+" : "", detail != NULL ? detail : "",
		                        notify != NULL ? " notified " : " ", (int) head.length,
		                        head.data));
		ph_delivery_complete(delivery, i, error);
	}
}

static const PhTransport local_transport = { .size = sizeof local_transport,
	                                     .flags = PH_TRANSPORT_COMMITS,
	                                     .begin = note_delivery };
static const PhTransport remote_transport = { .size = sizeof remote_transport,
	                                      .begin = note_delivery };

static const char aliases[] = "away: somebody@remote.example\n"
			      "both: alice, somebody@remote.example\n"
			      "bob: bob, copy@remote.example\n"
			      "friends: alice, x@remote.example\n"
			      "owner-friends: bob\n"
			      "quiet: alice\n"
			      "owner-quiet: bob\n"
			      "round1: round2\n"
			      "round2: round1\n"
			      "@example.org: catch\n";

static void
set_up(Fixture *fixture, gconstpointer data)
{
	static const char *const org[] = { "example.org", NULL };
	static const char *const any[] = { "*", NULL };
	static const char *const renamed[] = { "Example.NET -> example.org", NULL };
	PhSection *directory = fake_section();
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	PhRouteParams local = { .section = fake_section(),
		                .domains = org,
		                .separators = "+",
		                .directories = &directory,
		                .n_directories = 1,
		                .transport = &local_transport,
		                .instance = fixture,
		                .domain_aliases = renamed,
		                .srs_secret = PH_SLICE_LITERAL("secret"),
		                .srs_lifetime = 21,
		                .keeps_detail = true };
	PhRouteParams remote = { .section = fake_section(),
		                 .domains = any,
		                 .transport = &remote_transport,
		                 .instance = fixture };

	fixture->folder = g_dir_make_tmp("split-XXXXXX", NULL);
	path = g_build_filename(fixture->folder, "aliases", NULL);
	g_assert_true(g_file_set_contents(path, aliases, -1, NULL));
	local.aliases = path;
	fixture->sent = g_ptr_array_new_with_free_func(g_free);
	fixture->router = ph_router_new(NULL);
	g_assert_true(ph_router_add(fixture->router, &local, &error));
	g_assert_true(ph_router_add(fixture->router, &remote, &error));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	g_autofree char *path = g_build_filename(fixture->folder, "aliases", NULL);

	ph_router_unref(fixture->router);
	g_ptr_array_unref(fixture->sent);
	g_remove(path);
	g_rmdir(fixture->folder);
	g_free(fixture->folder);
}

static void
count_wake(void *user_data)
{
	(*(unsigned *) user_data)++;
}

static PhMail *
send(Fixture *fixture, const char *sender, const char *recipient, const char *octets)
{
	PhMail *mail = ph_mail_new_routed(fixture->router);
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(octets));
	unsigned n_wakes = 0;

	ph_mail_set_sender(mail, ph_slice(sender));
	g_assert_cmpint(ph_mail_add_recipient(mail, ph_slice(recipient)), ==, PH_RCPT_OK);
	ph_mail_set_recipient_parameter(mail, 0, "NOTIFY", ph_slice("FAILURE"));
	ph_mail_set_content(mail, content);
	ph_mail_submit(mail, ph_wake_new_func(count_wake, &n_wakes));
	g_assert_cmpuint(n_wakes, ==, 1);
	return mail;
}

static void
assert_sent(Fixture *fixture, const char *sender, const char *recipient, const char *expected)
{
	PhMail *mail = send(fixture, sender, recipient, "Subject: x\r\n\r\n");
	g_autofree char *got = NULL;
	PhMailOutcome outcome;

	g_ptr_array_add(fixture->sent, NULL);
	got = g_strjoinv("|", (char **) fixture->sent->pdata);
	g_strdelimit(got, "\r\n", '.');
	g_ptr_array_set_size(fixture->sent, 0);
	g_assert_cmpstr(got, ==, expected);
	ph_mail_outcome(mail, &outcome);
	g_assert_cmpuint(outcome.n_delivered, ==, 1);
	ph_mail_unref(mail);
}

static void
test_alias(Fixture *fixture, gconstpointer data)
{
	assert_sent(fixture, "s@x.example", "alice@example.org",
	            "s@x.example alice@example.org notified ");
	assert_sent(fixture, "s@x.example", "away@example.org",
	            "SRS somebody@remote.example notified Delivered-To: away@example.org..");
	assert_sent(fixture, "carol@example.org", "away@example.org",
	            "carol@example.org somebody@remote.example notified "
	            "Delivered-To: away@example.org..");
	assert_sent(fixture, "", "away@example.org",
	            " somebody@remote.example notified Delivered-To: away@example.org..");
	assert_sent(fixture, "s@x.example", "both@example.org",
	            "s@x.example alice@example.org notified "
	            "|SRS somebody@remote.example notified Delivered-To: both@example.org..");
	assert_sent(fixture, "s@x.example", "bob@example.org",
	            "s@x.example bob@example.org notified "
	            "|SRS copy@remote.example notified Delivered-To: bob@example.org..");
}

static void
test_list(Fixture *fixture, gconstpointer data)
{
	assert_sent(fixture, "s@x.example", "friends@example.org",
	            "owner-friends@example.org alice@example.org "
	            "|owner-friends@example.org x@remote.example "
	            "Delivered-To: friends@example.org..");
	assert_sent(fixture, "", "quiet@example.org", " alice@example.org ");
}

static void
test_domains(Fixture *fixture, gconstpointer data)
{
	assert_sent(fixture, "s@x.example", "alice@example.net",
	            "s@x.example alice@example.org notified ");
	assert_sent(fixture, "s@x.example", "nobody@example.net",
	            "s@x.example catch@example.org notified ");
	assert_sent(fixture, "s@x.example", "alice+lists@example.org",
	            "s@x.example alice@example.org+lists notified ");
}

static void
test_return(Fixture *fixture, gconstpointer data)
{
	PhDetour detour = { .via = (char *) (uintptr_t) "away@example.org" };
	GArray *found = ph_resolved_array_new();
	g_autofree char *sender = NULL;
	g_autofree char *shown = NULL;

	g_assert_cmpint(ph_router_resolve(fixture->router, ph_slice("away@example.org"), found), ==,
	                PH_RCPT_OK);
	detour.forwarder = g_array_index(found, PhResolved, 0).detour.forwarder;
	sender = ph_router_forward_sender(fixture->router, &detour, "s@x.example");
	g_array_unref(found);
	shown = g_strdup_printf(" s@x.example notified Delivered-To: %s..", sender);
	assert_sent(fixture, "", sender, shown);
}

static void
test_loops(Fixture *fixture, gconstpointer data)
{
	GArray *found = ph_resolved_array_new();
	PhMail *mail = send(fixture, "s@x.example", "both@example.org",
	                    "Received: x\r\ndelivered-to:  BOTH@example.org\r\n\r\n");
	PhMailOutcome outcome;

	ph_mail_outcome(mail, &outcome);
	g_assert_cmpuint(outcome.n_failed, ==, 1);
	g_assert_error(outcome.error, PH_ERROR, PH_ERROR_LOOP);
	g_assert_cmpuint(fixture->sent->len, ==, 1);
	ph_mail_unref(mail);
	g_assert_cmpint(ph_router_resolve(fixture->router, ph_slice("round1@example.org"), found),
	                ==, PH_RCPT_UNKNOWN);
	g_array_unref(found);
}

static void
test_failure(Fixture *fixture, gconstpointer data)
{
	g_autofree char *path = g_build_filename(fixture->folder, "aliases", NULL);
	PhMail *mail = NULL;
	PhMailOutcome outcome;

	g_assert_true(g_file_set_contents(path, "some: alice, temp@remote.example\n", -1, NULL));
	mail = send(fixture, "s@x.example", "some@example.org", "x: y\r\n\r\n");
	ph_mail_outcome(mail, &outcome);
	g_assert_cmpuint(outcome.n_temporary, ==, 1);
	g_assert_error(outcome.error, PH_ERROR, PH_ERROR_TEMPORARY);
	ph_mail_unref(mail);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/server/split/aliases-keep-the-sender-or-answer-for-it", Fixture, NULL, set_up,
	           test_alias, tear_down);
	g_test_add("/server/split/lists-are-sent-by-their-owner", Fixture, NULL, set_up, test_list,
	           tear_down);
	g_test_add("/server/split/domains-have-other-names-and-details", Fixture, NULL, set_up,
	           test_domains, tear_down);
	g_test_add("/server/split/bounces-to-rewritten-senders-return", Fixture, NULL, set_up,
	           test_return, tear_down);
	g_test_add("/server/split/mail-that-was-here-is-not-forwarded", Fixture, NULL, set_up,
	           test_loops, tear_down);
	g_test_add("/server/split/a-part-that-fails-fails-the-whole", Fixture, NULL, set_up,
	           test_failure, tear_down);
	return g_test_run();
}

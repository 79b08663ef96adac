/* test-directory.c: an isolated directory answers like the same one in process, and in bounds
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/chain.h"
#include "people.h"

#include <sys/socket.h>

static const PhDirectory *
table_of(PhSection *section)
{
	return ph_section_table(section);
}

/* --- questions that no thread waits for --- */

typedef struct {
	PhSection *chain[2];
	PhChainWalk walk;
	const char *user;
	PhIdentity *identity;
	GError *error;
	PhVerify result; /* 0: not yet */
} Asked;

/* True: it was answered. */
static bool
go_on(Asked *asked)
{
	g_autoptr(PhSecret) secret = ph_secret_new(PH_SLICE_LITERAL("secret"));

	return asked->result != 0
	       || ph_chain_walk(&asked->walk, asked->user, secret, &asked->identity, &asked->result,
	                        &asked->error);
}

static void
wait_for(Asked *asked)
{
	while (!go_on(asked))
		(void) poll(NULL, 0, 1);
	ph_chain_walk_clear(&asked->walk);
}

static void
clear_asked(Asked *asked)
{
	g_clear_pointer(&asked->identity, ph_identity_unref);
	g_clear_error(&asked->error);
}

static void
test_begin(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 2\ntimeout = 2s\n", &config);
	Asked asked[9];
	int64_t began_us = g_get_monotonic_time();

	g_atomic_int_set(&people.kills, 0);

	for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
		asked[i] =
			(Asked){ .chain = { section, NULL }, .user = i == 8 ? "nobody" : "slow" };
		asked[i].walk.at = asked[i].chain;
		(void) go_on(&asked[i]);
	}
	g_assert_cmpint(g_get_monotonic_time() - began_us, <, 90000);
	g_assert_cmpint(asked[0].result, ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
		wait_for(&asked[i]);
		g_assert_no_error(asked[i].error);
		g_assert_cmpint(asked[i].result, ==,
		                i == 8 ? PH_VERIFY_UNKNOWN_USER : PH_VERIFY_OK);
		clear_asked(&asked[i]);
	}
	g_assert_cmpint(g_get_monotonic_time() - began_us, >=, 400000);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 0);
	people_clear(section, config);
}

static void
check_begin_fails(const char *user, const char *keys, const char *why)
{
	PhConfig *config = NULL;
	PhSection *section = people_section(keys, &config);
	Asked asked = { .chain = { section, NULL }, .user = user };

	g_atomic_int_set(&people.kills, 0);
	asked.walk.at = asked.chain;
	wait_for(&asked);
	g_assert_cmpint(asked.result, ==, PH_VERIFY_ERROR);
	g_assert_error(asked.error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(asked.error->message, why));
	for (int i = 0; i < 3000 && g_atomic_int_get(&people.kills) == 0; i++)
		(void) poll(NULL, 0, 1);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 1);
	clear_asked(&asked);
	people_clear(section, config);
}

static void
test_begin_fails(void)
{
	check_begin_fails("hang", "isolate = 1\ntimeout = 200ms\n", "did not answer in time");
	check_begin_fails("crash", "isolate = 1\ntimeout = 10s\n", "died");
}

static void
test_numbers(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 3\n", &config);
	void *instance = ph_section_instance(section);
	uint64_t version = table_of(section)->version(instance);

	g_assert_cmpuint(version, >, 0);
	g_assert_cmpuint(version, !=, (uint64_t) getpid());
	for (int i = 0; i < 4; i++) {
		g_assert_cmpuint(table_of(section)->version(instance), ==, version);
		(void) poll(NULL, 0, 101); /* longer than it is kept, once */
	}
	g_assert_true(table_of(section)->gives(instance, "PLAIN"));
	g_assert_false(table_of(section)->gives(instance, "SCRAM-SHA-256"));
	people_clear(section, config);
}

static PhVerify
ask(PhSection *section, const char *user, const char *password, PhIdentity **identity_out)
{
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(password));

	return table_of(section)->verify(ph_section_instance(section), user, secret, identity_out,
	                                 NULL);
}

static void
test_verify(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 2\n", &config);
	g_autoptr(PhIdentity) identity = NULL;
	PhIdentity *none = NULL;

	g_assert_cmpint(ask(section, "anna", "secret", &identity), ==, PH_VERIFY_OK);
	g_assert_cmpstr(ph_identity_address(identity), ==, "anna@example.org");
	g_assert_cmpstr(ph_identity_full_name(identity), ==, "Anna");
	g_assert_null(ph_identity_home(identity));
	g_assert_cmpuint(ph_identity_quota_octets(identity), ==, 7);
	g_assert_cmpuint(ph_identity_quota_messages(identity), ==, 8);
	g_assert_cmpstr(ph_identity_groups(identity)[1], ==, "wheel");
	g_assert_cmpstr(ph_identity_attribute(identity, "colour"), ==, "blue");
	g_assert_cmpstr(ph_identity_senders(identity)[0], ==, "@example.org");
	g_assert_cmpstr(ph_identity_aliases(identity)[0], ==, "a@example.org");
	g_assert_cmpint(ask(section, "anna", "wrong", &none), ==, PH_VERIFY_WRONG);
	g_assert_cmpint(ask(section, "nobody", "secret", &none), ==, PH_VERIFY_UNKNOWN_USER);
	g_assert_null(none);
	people_clear(section, config);
}

static void
test_error(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\n", &config);
	g_autoptr(GError) error = NULL;
	PhIdentity *none = NULL;

	g_assert_cmpint(
		table_of(section)->lookup(ph_section_instance(section), "away", &none, &error), ==,
		PH_VERIFY_ERROR);
	g_assert_error(error, PH_ERROR, PH_ERROR_LIMIT);
	g_assert_cmpstr(error->message, ==, "it is away");
	people_clear(section, config);
}

static void
test_secret(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\n", &config);
	g_autoptr(PhSecret) secret = NULL;
	PhSecret *none = NULL;

	g_assert_cmpint(table_of(section)->secret(ph_section_instance(section), "anna", "PLAIN",
	                                          &secret, NULL),
	                ==, PH_VERIFY_OK);
	g_assert_true(ph_slice_equal(ph_secret_slice(secret), PH_SLICE("se\0cret", 7)));
	g_assert_cmpint(table_of(section)->secret(ph_section_instance(section), "anna", "SCRAM",
	                                          &none, NULL),
	                ==, PH_VERIFY_UNKNOWN_USER);
	people_clear(section, config);
}

static void
test_change(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\n", &config);
	void *instance = ph_section_instance(section);
	g_autoptr(GError) error = NULL;

	g_assert_true(table_of(section)->set(instance, "new", "{PLAIN}x", true, &error));
	g_assert_true(table_of(section)->remove(instance, "anna", &error));
	g_assert_no_error(error);
	g_assert_false(table_of(section)->remove(instance, "ben", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_NOT_FOUND);
	people_clear(section, config);
}

typedef struct {
	uint32_t n;
	uint32_t most;
} Count;

static bool
count(const char *address, void *user_data)
{
	Count *counted = user_data;

	return ++counted->n < counted->most;
}

static void
test_list(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\n", &config);
	void *instance = ph_section_instance(section);
	Count all = { .most = G_MAXUINT32 };
	Count few = { .most = 10 };
	Count names = { .most = 10 };

	g_assert_true(table_of(section)->list(instance, count, &all, NULL));
	g_assert_cmpuint(all.n, ==, 10000);
	g_assert_true(table_of(section)->list(instance, count, &few, NULL));
	g_assert_cmpuint(few.n, ==, 10);
	g_assert_cmpint(table_of(section)->expand(instance, "team", count, &names, NULL), ==,
	                PH_VERIFY_OK);
	g_assert_cmpuint(names.n, ==, 2);
	people_clear(section, config);
}

/* The one who asks has enough, but the plugin goes on: only its own process is lost. */
static void
test_endless(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\ntimeout = 300ms\n", &config);
	Count names = { .most = G_MAXUINT32 };
	g_autoptr(GError) error = NULL;

	g_atomic_int_set(&people.kills, 0);
	g_assert_cmpint(table_of(section)->expand(ph_section_instance(section), "endless", count,
	                                          &names, &error),
	                ==, PH_VERIFY_ERROR);
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 1);
	people_clear(section, config);
}

static void
test_too_large(void)
{
	PhConfig *config = NULL;
	PhSection *section = people_section("isolate = 1\n", &config);
	g_autofree char *user = g_strnfill(PH_PACKET_TEXT_MAX + 1, 'a');
	PhIdentity *none = NULL;
	g_autoptr(PhIdentity) identity = NULL;

	g_assert_cmpint(ask(section, user, "secret", &none), ==, PH_VERIFY_ERROR);
	g_assert_cmpint(ask(section, "anna", "secret", &identity), ==, PH_VERIFY_OK);
	people_clear(section, config);
}

/* --- a child that was taken over ------------------------------------------------------------- */

static char reply[PH_PACKET_MAX];
static size_t reply_length;

static void
send_reply(int fd)
{
	for (int i = 0; i < 3; i++)
		g_assert_true(ph_link_send(fd, PH_SLICE(reply, reply_length)));
}

static void
check_nonsense(const PhPacket *packet)
{
	PhConfig *config = NULL;
	PhSection *section = NULL;
	PhIdentity *none = NULL;
	g_autoptr(GError) error = NULL;

	reply_length = packet->length;
	people.replies = send_reply;
	g_atomic_int_set(&people.kills, 0);
	section = people_section("isolate = 1\ntimeout = 100ms\n", &config);
	g_assert_cmpint(
		table_of(section)->lookup(ph_section_instance(section), "anna", &none, &error), ==,
		PH_VERIFY_ERROR);
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(error->message, "makes no sense"));
	g_assert_null(none);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 1);
	people_clear(section, config);
	people.replies = NULL;
}

static void
test_nonsense(void)
{
	PhPacket packet = { .octets = reply };
	g_autoptr(PhIdentity) identity = NULL;

	ph_packet_number(&packet, 77); /* no such reply */
	check_nonsense(&packet);
	packet.length = 0;
	ph_packet_number(&packet, PH_REPLY_HELLO); /* only greetings */
	check_nonsense(&packet);
	packet.length = 0;
	ph_packet_number(&packet, PH_REPLY_CALL); /* a directory asks nothing */
	check_nonsense(&packet);
	packet.length = 0;
	ph_packet_number(&packet, PH_REPLY_DONE);
	ph_packet_number(&packet, 99); /* no such result */
	check_nonsense(&packet);
	packet.length = 0;
	ph_packet_number(&packet, PH_REPLY_DONE);
	ph_packet_number(&packet, PH_VERIFY_OK); /* without an identity */
	check_nonsense(&packet);
	g_assert_cmpint(people_lookup(NULL, "anna", &identity, NULL), ==, PH_VERIFY_OK);
	ph_packet_identity(&packet, identity);
	ph_packet_number(&packet, 1); /* one octet too many */
	check_nonsense(&packet);
	packet.length -= 16; /* some too few */
	check_nonsense(&packet);
}

static GThread *flooder;

/* Says that there is more, with nothing in it, always a little ahead, for two seconds at most. */
static void *
flood(void *data)
{
	struct pollfd polled = { .fd = GPOINTER_TO_INT(data), .events = POLLIN };
	gint64 until_us = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
	char taken[64];
	ssize_t n = 1;

	for (int i = 0; i < 50; i++)
		(void) ph_link_send(polled.fd, PH_SLICE(reply, reply_length));
	while (n > 0 && g_get_monotonic_time() < until_us && poll(&polled, 1, 2000) > 0) {
		n = recv(polled.fd, taken, sizeof taken, 0);
		(void) ph_link_send(polled.fd, PH_SLICE(reply, reply_length));
	}
	return NULL;
}

static void
begin_flood(int fd)
{
	flooder = g_thread_new("flood", flood, GINT_TO_POINTER(fd));
}

static void
test_flood(void)
{
	static const char *const nobody[] = { NULL };
	PhPacket packet = { .octets = reply };
	gint64 began_us = g_get_monotonic_time();
	PhConfig *config = NULL;
	PhSection *section = NULL;
	Count names = { .most = G_MAXUINT32 };
	g_autoptr(GError) error = NULL;

	ph_packet_number(&packet, PH_REPLY_ITEMS);
	ph_packet_list(&packet, nobody);
	reply_length = packet.length;
	people.replies = begin_flood;
	g_atomic_int_set(&people.kills, 0);
	section = people_section("isolate = 1\ntimeout = 200ms\n", &config);
	g_assert_cmpint(table_of(section)->expand(ph_section_instance(section), "team", count,
	                                          &names, &error),
	                ==, PH_VERIFY_ERROR);
	g_assert_cmpint(g_get_monotonic_time() - began_us, <, 1500000);
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(error->message, "did not answer in time"));
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 1);
	(void) g_thread_join(flooder);
	people_clear(section, config);
	people.replies = NULL;
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/isolate/directory/verify-and-lookup-give-the-same-identity", test_verify);
	g_test_add_func("/isolate/directory/an-error-keeps-class-and-words", test_error);
	g_test_add_func("/isolate/directory/a-secret-keeps-its-octets", test_secret);
	g_test_add_func("/isolate/directory/changes-reach-the-plugin", test_change);
	g_test_add_func("/isolate/directory/a-long-list-comes-in-parts-and-can-be-stopped",
	                test_list);
	g_test_add_func("/isolate/directory/an-endless-answer-ends-at-the-deadline", test_endless);
	g_test_add_func("/isolate/directory/a-question-too-large-costs-nothing-else",
	                test_too_large);
	g_test_add_func("/isolate/directory/nobody-waits-with-a-thread", test_begin);
	g_test_add_func("/isolate/directory/a-hang-or-crash-fails-what-was-begun",
	                test_begin_fails);
	g_test_add_func("/isolate/directory/version-and-gives-are-those-of-the-first-process",
	                test_numbers);
	g_test_add_func("/isolate/directory/nonsense-from-a-child-is-refused", test_nonsense);
	g_test_add_func("/isolate/directory/a-flood-from-a-child-ends-at-the-deadline", test_flood);
	return g_test_run();
}

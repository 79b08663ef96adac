/* test-chain.c: who has the last word, what is kept for a while, answers that come later
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "config/config.h"
#include "login/cache.h"
#include "login/chain.h"
#include "login/rehash.h"

/* Directory: one user with one password, or a fixed answer. */
typedef struct {
	const char *user;
	const char *password;
	PhVerify otherwise;
	unsigned asked;
	uint64_t version;
	char *stored;         /* (owned, nullable) what `set` was given */
	PhQuestion *question; /* of `begin`, not answered yet */
} Directory;

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	Directory *directory = instance;
	const PhIdentityValues values = { .size = sizeof values, .user = address };

	directory->asked++;
	if (g_strcmp0(address, directory->user) != 0) {
		if (directory->otherwise == PH_VERIFY_ERROR)
			ph_error_set(error, PH_ERROR_TEMPORARY, "the server is away");
		return directory->otherwise;
	}
	*identity_out = ph_identity_new(&values, NULL);
	return PH_VERIFY_OK;
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	const Directory *directory = instance;
	PhVerify known = lookup(instance, user, identity_out, error);
	g_autofree char *stored = g_strconcat("{PLAIN}", directory->password, NULL);

	if (known != PH_VERIFY_OK || ph_password_verify(stored, secret, NULL))
		return known;
	g_clear_pointer(identity_out, ph_identity_unref);
	return PH_VERIFY_WRONG;
}

static bool
set(void *instance, const char *address, const char *hash, bool create, GError **error)
{
	Directory *directory = instance;

	g_assert_false(create);
	g_free(directory->stored);
	directory->stored = g_strdup(hash);
	return true;
}

static uint64_t
version(void *instance)
{
	return ((const Directory *) instance)->version;
}

static void
begin(void *instance, PhQuestion *question)
{
	Directory *directory = instance;

	directory->asked++;
	directory->question = question;
}

/* One that says yes without saying who, and gives reasons that nobody asked for. */
static PhVerify
odd_lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	ph_error_set(error, PH_ERROR_CORRUPT, "by the way");
	return strcmp(address, "anna") == 0 ? PH_VERIFY_OK : PH_VERIFY_UNKNOWN_USER;
}

static const PhDirectory odd = { .size = sizeof odd, .lookup = odd_lookup };

static const PhDirectory plain = { .size = sizeof plain,
	                           .verify = verify,
	                           .lookup = lookup,
	                           .set = set };
static const PhDirectory with_version = { .size = sizeof with_version,
	                                  .verify = verify,
	                                  .lookup = lookup,
	                                  .version = version };
static const PhDirectory unkept = { .size = sizeof unkept,
	                            .flags = PH_DIRECTORY_UNKEPT,
	                            .verify = verify,
	                            .lookup = lookup };
static const PhDirectory later = { .size = sizeof later,
	                           .verify = verify,
	                           .lookup = lookup,
	                           .begin = begin };

/* Fixture: two directories in a chain: the first knows "anna" and "both", the second "bert". */
typedef struct {
	Directory directories[2];
	PhPluginSettings settings[2];
	PhOfferInfo offers[2];
	PhSection sections[2];
	PhSection *chain[3];
	PhIdentity *identity;
	GError *error;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	fixture->directories[0] = (Directory){ "anna", "one", PH_VERIFY_UNKNOWN_USER };
	fixture->directories[1] = (Directory){ "anna", "two", PH_VERIFY_UNKNOWN_USER };
	for (size_t i = 0; i < G_N_ELEMENTS(fixture->sections); i++) {
		fixture->offers[i] = (PhOfferInfo){ .kind = PH_KIND_DIRECTORY, .table = &plain };
		fixture->directories[i].version = 1;
		fixture->settings[i].timeout.us = G_USEC_PER_SEC;
		fixture->sections[i].word = "directory";
		fixture->sections[i].name = i == 0 ? "first" : "second";
		fixture->sections[i].kind = PH_KIND_DIRECTORY;
		fixture->sections[i].offer = &fixture->offers[i];
		fixture->sections[i].core_settings = &fixture->settings[i];
		fixture->sections[i].instance = &fixture->directories[i];
		fixture->chain[i] = &fixture->sections[i];
	}
	ph_clock_hold(G_USEC_PER_SEC, 0);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	g_clear_pointer(&fixture->identity, ph_identity_unref);
	g_clear_error(&fixture->error);
	g_free(fixture->directories[0].stored);
	ph_cache_forget();
	ph_clock_release();
}

static PhVerify
ask(Fixture *fixture, const char *user, const char *password)
{
	g_autoptr(PhSecret) secret = password != NULL ? ph_secret_new(ph_slice(password)) : NULL;
	PhChainWalk walk = { .at = fixture->chain };
	PhVerify result = PH_VERIFY_ERROR;

	g_clear_pointer(&fixture->identity, ph_identity_unref);
	g_clear_error(&fixture->error);
	g_assert_true(
		ph_chain_walk(&walk, user, secret, &fixture->identity, &result, &fixture->error));
	g_assert_cmpint(result == PH_VERIFY_OK, ==, fixture->identity != NULL);
	g_assert_cmpint(result == PH_VERIFY_ERROR, ==, fixture->error != NULL);
	ph_chain_walk_clear(&walk);
	return result;
}

static void
a_wrong_password_goes_on_only_where_the_section_says_so(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(ask(fixture, "anna", "two"), ==, PH_VERIFY_WRONG);
	fixture->settings[0].on_wrong = PH_ON_FALL_NEXT;
	g_assert_cmpint(ask(fixture, "anna", "two"), ==, PH_VERIFY_OK);
	g_assert_cmpint(ask(fixture, "anna", "three"), ==, PH_VERIFY_WRONG);
	fixture->directories[1].user = "bert";
	g_assert_cmpint(ask(fixture, "anna", "three"), ==, PH_VERIFY_WRONG);
	g_assert_cmpint(ask(fixture, "carl", "three"), ==, PH_VERIFY_UNKNOWN_USER);
}

static void
users_of_others_get_in_while_one_is_away(Fixture *fixture, gconstpointer data)
{
	fixture->directories[0].user = "carl";
	fixture->directories[0].otherwise = PH_VERIFY_ERROR;
	g_assert_cmpint(ask(fixture, "anna", "two"), ==, PH_VERIFY_ERROR);
	fixture->settings[0].on_error = PH_ON_FALL_NEXT;
	g_assert_cmpint(ask(fixture, "anna", "two"), ==, PH_VERIFY_OK);
	g_assert_cmpint(ask(fixture, "bert", "two"), ==, PH_VERIFY_ERROR);
	g_assert_nonnull(strstr(fixture->error->message, "'first'"));
	g_assert_cmpint(ask(fixture, "anna", "three"), ==, PH_VERIFY_ERROR);
	g_assert_cmpint(ask(fixture, "anna", NULL), ==, PH_VERIFY_OK);
}

static void
right_answers_are_kept_for_their_time(Fixture *fixture, gconstpointer data)
{
	fixture->settings[0].cache.us = 10 * G_USEC_PER_SEC;
	for (int i = 0; i < 3; i++)
		g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	g_assert_cmpuint(fixture->directories[0].asked, ==, 1);
	g_assert_cmpint(ask(fixture, "anna", "oneX"), ==, PH_VERIFY_WRONG);
	g_assert_cmpuint(fixture->directories[0].asked, ==, 2);
	g_assert_cmpint(ask(fixture, "anna", NULL), ==, PH_VERIFY_OK);
	g_assert_cmpuint(fixture->directories[0].asked, ==, 3);
	fixture->directories[0].user = "gone";
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	ph_clock_move(10 * G_USEC_PER_SEC);
	fixture->directories[1].user = "gone";
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_UNKNOWN_USER);
}

static void
wrong_and_unknown_are_kept_alike(Fixture *fixture, gconstpointer data)
{
	static const char *const users[] = { "anna", "carl" };

	fixture->chain[1] = NULL;
	fixture->settings[0].cache_negative.us = 10 * G_USEC_PER_SEC;
	for (size_t i = 0; i < G_N_ELEMENTS(users); i++) {
		fixture->directories[0].asked = 0;
		for (int n = 0; n < 3; n++)
			g_assert_cmpint(ask(fixture, users[i], "x"), !=, PH_VERIFY_OK);
		g_assert_cmpuint(fixture->directories[0].asked, ==, 1);
		g_assert_cmpint(ask(fixture, users[i], "y"), !=, PH_VERIFY_OK);
		g_assert_cmpuint(fixture->directories[0].asked, ==, 2);
	}
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
}

static void
errors_are_not_kept(Fixture *fixture, gconstpointer data)
{
	fixture->settings[0].cache.us = fixture->settings[0].cache_negative.us = G_USEC_PER_SEC;
	fixture->directories[0].otherwise = PH_VERIFY_ERROR;
	g_assert_cmpint(ask(fixture, "bert", "x"), ==, PH_VERIFY_ERROR);
	g_assert_cmpint(ask(fixture, "bert", "x"), ==, PH_VERIFY_ERROR);
	g_assert_cmpuint(fixture->directories[0].asked, ==, 2);
}

static void
a_new_version_ends_what_is_kept(Fixture *fixture, gconstpointer data)
{
	fixture->offers[0].table = &with_version;
	fixture->settings[0].cache.us = 10 * G_USEC_PER_SEC;
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	fixture->directories[0].password = "new";
	fixture->directories[0].version++;
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_WRONG);
	fixture->directories[0].version = 0;
	g_assert_cmpint(ask(fixture, "anna", "new"), ==, PH_VERIFY_OK);
	g_assert_cmpint(ask(fixture, "anna", "new"), ==, PH_VERIFY_OK);
	g_assert_cmpuint(fixture->directories[0].asked, ==, 4);
}

static void
one_time_answers_are_not_kept(Fixture *fixture, gconstpointer data)
{
	fixture->offers[0].table = &unkept;
	fixture->settings[0].cache.us = 10 * G_USEC_PER_SEC;
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	g_assert_cmpuint(fixture->directories[0].asked, ==, 2);
}

static void
a_password_is_stored_anew_in_the_preferred_scheme(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	g_assert_null(fixture->directories[0].stored);
	fixture->settings[0].rehash = "plain";
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	g_assert_null(fixture->directories[0].stored);
	fixture->settings[0].rehash = "SSHA256";
	g_assert_cmpint(ask(fixture, "anna", "two"), ==, PH_VERIFY_WRONG);
	g_assert_null(fixture->directories[0].stored);
	g_assert_cmpint(ask(fixture, "anna", "one"), ==, PH_VERIFY_OK);
	g_assert_true(g_str_has_prefix(fixture->directories[0].stored, "{SSHA256}"));
}

static void
note_wake(void *data)
{
	(*(int *) data)++;
}

static void
an_answer_may_come_later(Fixture *fixture, gconstpointer data)
{
	const PhIdentityValues values = { .size = sizeof values, .user = "bert" };
	g_autoptr(PhSecret) secret = ph_secret_new(PH_SLICE_LITERAL("two"));
	PhChainWalk walk = { .at = fixture->chain };
	PhVerify result = PH_VERIFY_ERROR;
	int n_wakes = 0;

	fixture->offers[1].table = &later;
	g_assert_false(ph_chain_walk(&walk, "bert", secret, &fixture->identity, &result, NULL));
	g_assert_cmpstr(ph_question_user(fixture->directories[1].question), ==, "bert");
	ph_chain_walk_wake(&walk, ph_wake_new_func(note_wake, &n_wakes));
	g_assert_false(ph_chain_walk(&walk, "bert", secret, &fixture->identity, &result, NULL));
	ph_question_answer(fixture->directories[1].question, PH_VERIFY_OK,
	                   ph_identity_new(&values, NULL), NULL);
	g_assert_cmpint(n_wakes, ==, 1);
	g_assert_true(ph_chain_walk(&walk, "bert", secret, &fixture->identity, &result, NULL));
	g_assert_cmpint(result, ==, PH_VERIFY_OK);
	g_assert_cmpuint(fixture->directories[1].asked, ==, 1);
	ph_chain_walk_clear(&walk);
}

static void
who_does_not_answer_in_time_is_away(Fixture *fixture, gconstpointer data)
{
	PhChainWalk walk = { .at = fixture->chain };
	PhVerify result = PH_VERIFY_OK;
	g_autoptr(GError) error = NULL;

	fixture->offers[0].table = &later;
	g_assert_false(ph_chain_walk(&walk, "anna", NULL, &fixture->identity, &result, &error));
	g_assert_cmpuint(ph_chain_walk_patience(&walk).us, ==, G_USEC_PER_SEC);
	ph_clock_move(2 * G_USEC_PER_SEC);
	g_assert_true(ph_chain_walk(&walk, "anna", NULL, &fixture->identity, &result, &error));
	g_assert_cmpint(result, ==, PH_VERIFY_ERROR);
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	ph_chain_walk_clear(&walk);
	ph_question_answer(fixture->directories[0].question, PH_VERIFY_UNKNOWN_USER, NULL, NULL);
}

static void
answers_that_do_not_fit_together_let_nobody_in(Fixture *fixture, gconstpointer data)
{
	fixture->offers[0].table = fixture->offers[1].table = &odd;
	g_assert_cmpint(ask(fixture, "anna", NULL), ==, PH_VERIFY_ERROR);
	g_assert_cmpint(ask(fixture, "bert", NULL), ==, PH_VERIFY_UNKNOWN_USER);
}

static void
who_said_no_lends_nobody_a_name(Fixture *fixture, gconstpointer data)
{
	const PhIdentityValues values = { .size = sizeof values, .user = "anna" };
	g_autoptr(PhSecret) secret = ph_secret_new(PH_SLICE_LITERAL("x"));
	PhChainWalk walk = { .at = fixture->chain };
	PhVerify result = PH_VERIFY_OK;
	GError *reason = NULL;

	fixture->offers[0].table = fixture->offers[1].table = &later;
	fixture->settings[0].on_wrong = PH_ON_FALL_NEXT;
	g_assert_false(ph_chain_walk(&walk, "anna", secret, &fixture->identity, &result, NULL));
	ph_error_set(&reason, PH_ERROR_CORRUPT, "by the way");
	ph_question_answer(fixture->directories[0].question, PH_VERIFY_WRONG,
	                   ph_identity_new(&values, NULL), reason);
	g_assert_false(ph_chain_walk(&walk, "anna", secret, &fixture->identity, &result, NULL));
	ph_question_answer(fixture->directories[1].question, PH_VERIFY_WRONG,
	                   ph_identity_new(&values, NULL), NULL);
	g_assert_true(
		ph_chain_walk(&walk, "anna", secret, &fixture->identity, &result, &fixture->error));
	g_assert_cmpint(result, ==, PH_VERIFY_WRONG);
	g_assert_null(fixture->identity);
	g_assert_no_error(fixture->error);
	ph_chain_walk_clear(&walk);
}

#define ADD(name, func) g_test_add("/login/chain/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a-wrong-password-goes-on-only-where-the-section-says-so",
	    a_wrong_password_goes_on_only_where_the_section_says_so);
	ADD("answers-that-do-not-fit-together-let-nobody-in",
	    answers_that_do_not_fit_together_let_nobody_in);
	ADD("users-of-others-get-in-while-one-is-away", users_of_others_get_in_while_one_is_away);
	ADD("right-answers-are-kept-for-their-time", right_answers_are_kept_for_their_time);
	ADD("wrong-and-unknown-are-kept-alike", wrong_and_unknown_are_kept_alike);
	ADD("errors-are-not-kept", errors_are_not_kept);
	ADD("a-new-version-ends-what-is-kept", a_new_version_ends_what_is_kept);
	ADD("one-time-answers-are-not-kept", one_time_answers_are_not_kept);
	ADD("a-password-is-stored-anew-in-the-preferred-scheme",
	    a_password_is_stored_anew_in_the_preferred_scheme);
	ADD("an-answer-may-come-later", an_answer_may_come_later);
	ADD("who-said-no-lends-nobody-a-name", who_said_no_lends_nobody_a_name);
	ADD("who-does-not-answer-in-time-is-away", who_does_not_answer_in_time_is_away);
	return g_test_run();
}

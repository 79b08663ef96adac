/* test-exchange.c: what a mechanism may ask, and chains of directories behind it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/section.h"
#include "login/exchange.h"

/* Directory: one user with one password, or a fixed answer. */
typedef struct {
	const char *user;
	const char *password;
	const char *secret;
	PhVerify otherwise;
	unsigned asked;
	const char *group; /* (nullable) of its user */
} Directory;

static PhIdentity *
make_identity(const char *user, const char *group)
{
	const char *const groups[] = { group, NULL };
	const PhIdentityValues values = { .size = sizeof values,
		                          .user = user,
		                          .domain = "example.org",
		                          .groups = groups };

	return ph_identity_new(&values, NULL);
}

static PhVerify
answer_otherwise(const Directory *directory, GError **error)
{
	if (directory->otherwise == PH_VERIFY_ERROR)
		g_set_error_literal(error, PH_ERROR, PH_ERROR_TEMPORARY, "the server is away");
	return directory->otherwise;
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	Directory *directory = instance;
	directory->asked++;
	if (g_strcmp0(address, directory->user) != 0)
		return answer_otherwise(directory, error);
	*identity_out = make_identity(address, directory->group);
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
	if (known != PH_VERIFY_OK || ph_slice_is(ph_secret_slice(secret), directory->password))
		return known;
	g_clear_pointer(identity_out, ph_identity_unref);
	return PH_VERIFY_WRONG;
}

static PhVerify
secret(void *instance, const char *user, const char *scheme, PhSecret **secret_out, GError **error)
{
	const Directory *directory = instance;
	if (g_strcmp0(user, directory->user) != 0)
		return answer_otherwise(directory, error);
	*secret_out = ph_secret_new(ph_slice(directory->secret));
	return PH_VERIFY_OK;
}

static const PhDirectory whole = {
	.size = sizeof whole,
	.verify = verify,
	.lookup = lookup,
	.secret = secret,
};
static const PhDirectory lookup_only = { .size = sizeof lookup_only, .lookup = lookup };

static PhOfferInfo whole_offer = { .kind = PH_KIND_DIRECTORY, .table = &whole };
static PhOfferInfo lookup_offer = { .kind = PH_KIND_DIRECTORY, .table = &lookup_only };

/* Fixture: two directories in a chain: the first knows "anna", the second "bert". */
typedef struct {
	Directory first;
	Directory second;
	PhSection sections[2];
	PhSection *chain[3];
	PhExchange exchange;
	GError *error;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	fixture->first = (Directory){ "anna", "one", "1,s,k", PH_VERIFY_UNKNOWN_USER, 0, NULL };
	fixture->second = (Directory){ "bert", "two", "2,s,k", PH_VERIFY_UNKNOWN_USER, 0, NULL };
	for (size_t i = 0; i < G_N_ELEMENTS(fixture->sections); i++) {
		fixture->sections[i].word = "directory";
		fixture->sections[i].name = i == 0 ? "first" : "second";
		fixture->sections[i].offer = &whole_offer;
		fixture->sections[i].instance = i == 0 ? &fixture->first : &fixture->second;
		fixture->chain[i] = &fixture->sections[i];
	}
	fixture->exchange.directories = fixture->chain;
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_exchange_clear(&fixture->exchange);
	g_clear_error(&fixture->error);
}

static PhStep
try_password(Fixture *fixture, const char *authzid, const char *user, const char *password)
{
	PhStep step = ph_exchange_verify(&fixture->exchange, ph_slice(authzid), ph_slice(user),
	                                 ph_slice(password), &fixture->error);

	return step == PH_STEP_ASKED ? ph_exchange_ask(&fixture->exchange, &fixture->error) : step;
}

static void
the_next_directory_is_asked_about_an_unknown_user(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(try_password(fixture, "", "bert", "two"), ==, PH_STEP_DONE);
	g_assert_cmpuint(fixture->first.asked, ==, 1);
	g_assert_cmpstr(ph_identity_address(fixture->exchange.identity), ==, "bert@example.org");
}

static void
a_wrong_password_ends_the_chain(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(try_password(fixture, "", "anna", "two"), ==, PH_STEP_FAILED);
	g_assert_cmpuint(fixture->second.asked, ==, 0);
	g_assert_null(fixture->exchange.identity);
	g_assert_no_error(fixture->error);
}

static void
a_directory_that_is_away_ends_the_chain(Fixture *fixture, gconstpointer data)
{
	fixture->first.otherwise = PH_VERIFY_ERROR;
	g_assert_cmpint(try_password(fixture, "", "bert", "two"), ==, PH_STEP_ERROR);
	g_assert_error(fixture->error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(fixture->error->message, "'first'"));
	g_assert_cmpuint(fixture->second.asked, ==, 0);
}

static void
a_locked_account_is_told_like_a_failure(Fixture *fixture, gconstpointer data)
{
	fixture->first.otherwise = PH_VERIFY_DISABLED;
	g_assert_cmpint(try_password(fixture, "", "carl", "x"), ==, PH_STEP_FAILED);
	g_assert_true(fixture->exchange.disabled);
}

static void
a_directory_without_passwords_is_passed_over(Fixture *fixture, gconstpointer data)
{
	fixture->sections[0].offer = &lookup_offer;
	g_assert_cmpint(try_password(fixture, "", "anna", "one"), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_password(fixture, "", "bert", "two"), ==, PH_STEP_DONE);
	g_assert_true(ph_chain_gives(fixture->chain, "PLAIN"));
	fixture->sections[1].offer = &lookup_offer;
	g_assert_false(ph_chain_gives(fixture->chain, "PLAIN"));
}

static void
nobody_acts_as_somebody_else(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(try_password(fixture, "bert", "anna", "one"), ==, PH_STEP_FAILED);
	g_assert_null(fixture->exchange.identity);
	g_assert_cmpint(try_password(fixture, "anna@example.org", "anna", "one"), ==, PH_STEP_DONE);
}

static void
names_and_passwords_are_checked_before_anybody_is_asked(Fixture *fixture, gconstpointer data)
{
	PhStep step =
		ph_exchange_verify(&fixture->exchange, PH_SLICE_EMPTY, PH_SLICE_LITERAL("anna"),
	                           PH_SLICE_LITERAL("one\0junk"), &fixture->error);

	g_assert_cmpint(step, ==, PH_STEP_FAILED);
	g_assert_cmpint(try_password(fixture, "", "an\nna", "one"), ==, PH_STEP_FAILED);
	step = ph_exchange_verify(&fixture->exchange, PH_SLICE_LITERAL("anna\0junk"),
	                          PH_SLICE_LITERAL("anna"), PH_SLICE_LITERAL("one"),
	                          &fixture->error);
	g_assert_cmpint(step, ==, PH_STEP_FAILED);
	g_assert_cmpuint(fixture->first.asked + fixture->second.asked, ==, 0);
}

static void
a_mechanism_gets_a_stored_form_or_nothing(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhSecret) found = ph_exchange_secret(&fixture->exchange, PH_SLICE_LITERAL("bert"),
	                                               "SCRAM-SHA-256", &fixture->error);

	g_assert_true(ph_slice_is(ph_secret_slice(found), "2,s,k"));
	g_assert_null(ph_exchange_secret(&fixture->exchange, PH_SLICE_LITERAL("carl"),
	                                 "SCRAM-SHA-256", &fixture->error));
	g_assert_no_error(fixture->error);
	g_assert_cmpint(ph_exchange_accept(&fixture->exchange, PH_SLICE_EMPTY,
	                                   PH_SLICE_LITERAL("bert"), &fixture->error),
	                ==, PH_STEP_ASKED);
	g_assert_cmpint(ph_exchange_ask(&fixture->exchange, &fixture->error), ==, PH_STEP_DONE);
}

static void
a_master_user_acts_as_everybody(Fixture *fixture, gconstpointer data)
{
	PhSection *masters[] = { &fixture->sections[1], NULL };

	fixture->chain[1] = NULL;
	fixture->exchange.masters = masters;
	fixture->exchange.master_separator = "*";
	g_assert_cmpint(try_password(fixture, "anna", "bert", "two"), ==, PH_STEP_DONE);
	g_assert_cmpstr(ph_identity_address(fixture->exchange.identity), ==, "anna@example.org");
	g_clear_pointer(&fixture->exchange.identity, ph_identity_unref);
	g_assert_cmpint(try_password(fixture, "", "anna*bert", "two"), ==, PH_STEP_DONE);
	g_assert_cmpstr(ph_identity_address(fixture->exchange.identity), ==, "anna@example.org");
	g_clear_pointer(&fixture->exchange.identity, ph_identity_unref);
	g_assert_cmpint(try_password(fixture, "", "anna*bert", "one"), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_password(fixture, "carl", "bert", "two"), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_password(fixture, "bert", "anna", "one"), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_password(fixture, "", "bert", "two"), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_password(fixture, "", "anna", "one"), ==, PH_STEP_DONE);
}

static void
members_of_a_proxy_group_act_as_others(Fixture *fixture, gconstpointer data)
{
	static const char *const groups[] = { "proxies", NULL };

	fixture->exchange.proxy_groups = groups;
	g_assert_cmpint(try_password(fixture, "bert", "anna", "one"), ==, PH_STEP_FAILED);
	fixture->first.group = "proxies";
	g_assert_cmpint(try_password(fixture, "bert", "anna", "one"), ==, PH_STEP_DONE);
	g_assert_cmpstr(ph_identity_address(fixture->exchange.identity), ==, "bert@example.org");
}

#define ADD(name, func) g_test_add("/login/exchange/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("the-next-directory-is-asked-about-an-unknown-user",
	    the_next_directory_is_asked_about_an_unknown_user);
	ADD("a-wrong-password-ends-the-chain", a_wrong_password_ends_the_chain);
	ADD("a-directory-that-is-away-ends-the-chain", a_directory_that_is_away_ends_the_chain);
	ADD("a-locked-account-is-told-like-a-failure", a_locked_account_is_told_like_a_failure);
	ADD("a-directory-without-passwords-is-passed-over",
	    a_directory_without_passwords_is_passed_over);
	ADD("nobody-acts-as-somebody-else", nobody_acts_as_somebody_else);
	ADD("a-master-user-acts-as-everybody", a_master_user_acts_as_everybody);
	ADD("members-of-a-proxy-group-act-as-others", members_of_a_proxy_group_act_as_others);
	ADD("names-and-passwords-are-checked-before-anybody-is-asked",
	    names_and_passwords_are_checked_before_anybody_is_asked);
	ADD("a-mechanism-gets-a-stored-form-or-nothing", a_mechanism_gets_a_stored_form_or_nothing);
	return g_test_run();
}

/* test-asks.c: what the router asks of directories, and how often
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "config/config.h"
#include "login/cache.h"
#include "routing.h"

/* Directory: users "NAME@example.org" of one name, a list "all", or away. */
typedef struct {
	const char *name;
	const char *list; /* (nullable) members of "all", separated by blanks */
	bool is_away;
	bool hides_owner; /* cannot say who "owner-..." is */
	unsigned asked;
	PhQuestion *question; /* not answered yet */
} Directory;

static PhVerify
answer(const Directory *directory, const char *address, PhIdentity **identity_out, GError **error)
{
	g_autofree char *own = g_strconcat(directory->name, "@example.org", NULL);
	PhIdentityValues values = { .size = sizeof values,
		                    .user = directory->name,
		                    .domain = "example.org" };

	if (directory->is_away || (directory->hides_owner && g_str_has_prefix(address, "owner-"))) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "it is away");
		return PH_VERIFY_ERROR;
	}
	if (strcmp(own, address) != 0)
		return PH_VERIFY_UNKNOWN_USER;
	*identity_out = ph_identity_new(&values, NULL);
	return PH_VERIFY_OK;
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	Directory *directory = instance;

	directory->asked++;
	return answer(directory, address, identity_out, error);
}

static PhVerify
expand(void *instance, const char *address, PhListFunc func, void *user_data, GError **error)
{
	Directory *directory = instance;
	g_auto(GStrv) members = NULL;

	directory->asked++;
	if (directory->list == NULL || strcmp(address, "all@example.org") != 0)
		return PH_VERIFY_UNKNOWN_USER;
	members = g_strsplit(directory->list, " ", -1);
	for (char **member = members; *member != NULL; member++)
		(void) func(*member, user_data);
	return PH_VERIFY_OK;
}

static void
begin(void *instance, PhQuestion *question)
{
	Directory *directory = instance;

	directory->asked++;
	g_assert_null(directory->question);
	directory->question = question;
}

static const PhDirectory at_once = { .size = sizeof at_once, .lookup = lookup, .expand = expand };
static const PhDirectory later = { .size = sizeof later,
	                           .lookup = lookup,
	                           .expand = expand,
	                           .begin = begin };

/* Fixture: example.org has "first" and then "second"; example.net has "second" alone. */
typedef struct {
	Directory directories[2];
	PhPluginSettings settings[2];
	PhSection sections[2];
	PhRouter *router;
	PhAsks *asks;
	GArray *found;
	bool woken;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer table)
{
	static const char *const org[] = { "example.org", NULL };
	static const char *const net[] = { "example.net", NULL };
	PhSection *const both[] = { &fixture->sections[0], &fixture->sections[1] };
	PhRouteParams params = { .section = fake_section(),
		                 .domains = org,
		                 .directories = both,
		                 .n_directories = 2,
		                 .transport = &fake_begin };

	ph_clock_hold(G_USEC_PER_SEC, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(fixture->sections); i++) {
		fixture->directories[i].name = i == 0 ? "first" : "second";
		fixture->settings[i].timeout.us = G_USEC_PER_SEC;
		fixture->settings[i].cache.us = 10 * G_USEC_PER_SEC;
		fixture->settings[i].cache_negative.us = 10 * G_USEC_PER_SEC;
		fixture->sections[i] = (PhSection){ .word = "directory",
			                            .name = fixture->directories[i].name,
			                            .kind = PH_KIND_DIRECTORY,
			                            .narrowed = (void *) (uintptr_t) table,
			                            .core_settings = &fixture->settings[i],
			                            .instance = &fixture->directories[i] };
	}
	fixture->router = ph_router_new(NULL);
	g_assert_true(ph_router_add(fixture->router, &params, NULL));
	params.domains = net;
	params.directories = both + 1;
	params.n_directories = 1;
	g_assert_true(ph_router_add(fixture->router, &params, NULL));
	fixture->found = ph_resolved_array_new();
	fixture->asks = ph_asks_new();
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_asks_free(fixture->asks);
	g_array_unref(fixture->found);
	ph_router_unref(fixture->router);
	ph_cache_forget();
	ph_clock_release();
}

static PhRcpt
resolve(Fixture *fixture, const char *address)
{
	g_array_set_size(fixture->found, 0);
	return ph_router_resolve(fixture->router, ph_slice(address), fixture->found);
}

static PhRcpt
resolve_later(Fixture *fixture, const char *address)
{
	g_array_set_size(fixture->found, 0);
	return ph_router_resolve_later(fixture->router, ph_slice(address), fixture->found,
	                               fixture->asks);
}

static void
answers_are_kept_for_a_while(Fixture *fixture, gconstpointer data)
{
	Directory *first = &fixture->directories[0];

	g_assert_cmpint(resolve(fixture, "first@example.org"), ==, PH_RCPT_OK);
	g_assert_cmpint(resolve(fixture, "first@example.org"), ==, PH_RCPT_OK);
	g_assert_cmpuint(first->asked, ==, 1);
	g_assert_cmpint(resolve(fixture, "nobody@example.org"), ==, PH_RCPT_UNKNOWN);
	g_assert_cmpuint(first->asked, ==, 3);
	g_assert_cmpint(resolve(fixture, "nobody@example.org"), ==, PH_RCPT_UNKNOWN);
	g_assert_cmpuint(first->asked, ==, 3);
	ph_clock_hold(20 * G_USEC_PER_SEC, 0);
	g_assert_cmpint(resolve(fixture, "nobody@example.org"), ==, PH_RCPT_UNKNOWN);
	g_assert_cmpuint(first->asked, ==, 5);
}

static void
members_are_kept_for_a_while(Fixture *fixture, gconstpointer data)
{
	Directory *first = &fixture->directories[0];
	unsigned before = 0;

	first->list = "first second";
	g_assert_cmpint(resolve(fixture, "all@example.org"), ==, PH_RCPT_OK);
	g_assert_cmpuint(fixture->found->len, ==, 2);
	before = first->asked;
	g_assert_cmpint(resolve(fixture, "all@example.org"), ==, PH_RCPT_OK);
	g_assert_cmpuint(fixture->found->len, ==, 2);
	g_assert_cmpuint(first->asked, ==, before);
}

static void
one_that_is_away_makes_only_its_recipients_wait(Fixture *fixture, gconstpointer data)
{
	fixture->directories[0].is_away = true;
	g_assert_cmpint(resolve(fixture, "first@example.org"), ==, PH_RCPT_TEMPORARY);
	g_assert_cmpint(resolve(fixture, "second@example.org"), ==, PH_RCPT_TEMPORARY);
	g_assert_cmpint(resolve(fixture, "nobody@example.net"), ==, PH_RCPT_UNKNOWN);
	fixture->directories[0].is_away = false;
	g_assert_cmpint(resolve(fixture, "first@example.org"), ==, PH_RCPT_OK);
}

static void
the_next_speaks_for_one_that_is_away_where_the_section_says_so(Fixture *fixture, gconstpointer data)
{
	fixture->directories[0].is_away = true;
	fixture->settings[0].on_error = PH_ON_FALL_NEXT;
	g_assert_cmpint(resolve(fixture, "second@example.org"), ==, PH_RCPT_OK);
	g_assert_cmpint(resolve(fixture, "nobody@example.org"), ==, PH_RCPT_TEMPORARY);
	g_assert_cmpint(resolve(fixture, "first@example.org"), ==, PH_RCPT_TEMPORARY);
}

static void
a_list_waits_for_its_owner(Fixture *fixture, gconstpointer data)
{
	fixture->directories[0].list = "first second";
	fixture->directories[0].hides_owner = true;
	g_assert_cmpint(resolve(fixture, "all@example.org"), ==, PH_RCPT_TEMPORARY);
}

static void
note_wake(void *user_data)
{
	((Fixture *) user_data)->woken = true;
}

/* The directory answers the question that it has; the one who waits is woken by that. */
static void
let_answer(Fixture *fixture, Directory *directory)
{
	PhQuestion *question = g_steal_pointer(&directory->question);
	PhIdentity *identity = NULL;
	GError *error = NULL;
	PhVerify result;

	g_assert_nonnull(question);
	fixture->woken = false;
	ph_asks_wake(fixture->asks, ph_wake_new_func(note_wake, fixture));
	g_assert_false(fixture->woken);
	result = answer(directory, ph_question_user(question), &identity, &error);
	ph_question_answer(question, result, identity, error);
	g_assert_true(fixture->woken);
}

static void
a_slow_directory_holds_no_thread(Fixture *fixture, gconstpointer data)
{
	Directory *first = &fixture->directories[0];

	g_assert_cmpint(resolve_later(fixture, "first@example.org"), ==, PH_RCPT_LATER);
	g_assert_cmpint(resolve_later(fixture, "first@example.org"), ==, PH_RCPT_LATER);
	g_assert_cmpuint(first->asked, ==, 1);
	let_answer(fixture, first);
	g_assert_cmpint(resolve_later(fixture, "first@example.org"), ==, PH_RCPT_OK);
	ph_asks_clear(fixture->asks);
	g_assert_cmpint(resolve_later(fixture, "first@example.org"), ==, PH_RCPT_OK);
	g_assert_cmpuint(first->asked, ==, 1);
}

static void
nothing_is_asked_twice_while_it_waits(Fixture *fixture, gconstpointer data)
{
	Directory *first = &fixture->directories[0];
	unsigned n_waits = 0;

	first->list = "first first second";
	fixture->settings[0].cache.us = fixture->settings[0].cache_negative.us = 0;
	fixture->settings[1].cache.us = fixture->settings[1].cache_negative.us = 0;
	while (resolve_later(fixture, "all@example.org") == PH_RCPT_LATER && n_waits < 10) {
		n_waits++;
		let_answer(fixture, first->question != NULL ? first : &fixture->directories[1]);
	}
	/* all, owner-all of both, first, second of both. */
	g_assert_cmpuint(n_waits, ==, 6);
	g_assert_cmpuint(fixture->found->len, ==, 3);
}

static void
one_that_never_answers_is_given_up(Fixture *fixture, gconstpointer data)
{
	Directory *first = &fixture->directories[0];
	PhQuestion *question = NULL;

	g_assert_cmpint(resolve_later(fixture, "first@example.org"), ==, PH_RCPT_LATER);
	g_assert_cmpuint(ph_asks_patience(fixture->asks).us, ==, G_USEC_PER_SEC);
	ph_clock_hold(3 * G_USEC_PER_SEC, 0);
	g_assert_cmpint(resolve_later(fixture, "first@example.org"), ==, PH_RCPT_TEMPORARY);
	question = g_steal_pointer(&first->question);
	ph_question_answer(question, PH_VERIFY_UNKNOWN_USER, NULL, NULL);
}

static void
add(const char *name, const PhDirectory *table, void (*func)(Fixture *, gconstpointer))
{
	g_test_add(name, Fixture, table, set_up, func, tear_down);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/server/asks/answers-are-kept-for-a-while", &at_once, answers_are_kept_for_a_while);
	add("/server/asks/members-are-kept-for-a-while", &at_once, members_are_kept_for_a_while);
	add("/server/asks/one-that-is-away-makes-only-its-recipients-wait", &at_once,
	    one_that_is_away_makes_only_its_recipients_wait);
	add("/server/asks/the-next-speaks-for-one-that-is-away-where-the-section-says-so", &at_once,
	    the_next_speaks_for_one_that_is_away_where_the_section_says_so);
	add("/server/asks/a-list-waits-for-its-owner", &at_once, a_list_waits_for_its_owner);
	add("/server/asks/a-slow-directory-holds-no-thread", &later,
	    a_slow_directory_holds_no_thread);
	add("/server/asks/nothing-is-asked-twice-while-it-waits", &later,
	    nothing_is_asked_twice_while_it_waits);
	add("/server/asks/one-that-never-answers-is-given-up", &later,
	    one_that_never_answers_is_given_up);
	return g_test_run();
}

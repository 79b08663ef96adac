/* test-offered.c: which mechanisms a connection is offered
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/offered.h"

static const PhMechanism plain = { .flags = PH_MECHANISM_SHOWS_PASSWORD };
static const PhMechanism scram = { .flags = PH_MECHANISM_NEEDS_SECRET };
static const PhMechanism scram_plus = { .flags = PH_MECHANISM_NEEDS_SECRET
	                                         | PH_MECHANISM_NEEDS_BINDING };
static const PhMechanism external = { .flags = PH_MECHANISM_NEEDS_CERTIFICATE };

static void
a_password_is_shown_only_where_it_is_safe(void)
{
	const PhOfferedQuestion open = { 0 };
	const PhOfferedQuestion allowed = { .connection.plaintext_ok = true };
	const PhOfferedQuestion tls = { .connection.tls = true };

	g_assert_cmpint(ph_offered_judge(&plain, &open), ==, PH_OFFERED_NEEDS_TLS);
	g_assert_cmpint(ph_offered_judge(&plain, &allowed), ==, PH_OFFERED_YES);
	g_assert_cmpint(ph_offered_judge(&plain, &tls), ==, PH_OFFERED_YES);
}

static void
what_directories_cannot_answer_is_not_offered(void)
{
	const PhOfferedQuestion without = { .connection.tls = true };
	const PhOfferedQuestion with = { .can_give_secret = true };

	g_assert_cmpint(ph_offered_judge(&scram, &without), ==, PH_OFFERED_NO);
	g_assert_cmpint(ph_offered_judge(&scram, &with), ==, PH_OFFERED_YES);
}

static void
binding_and_certificates_need_what_they_say(void)
{
	const PhOfferedQuestion open = { .can_give_secret = true };
	const PhOfferedQuestion tls = { .can_give_secret = true, .connection.tls = true };
	const PhOfferedQuestion bound = { .can_give_secret = true,
		                          .connection = { .tls = true, .binding = true } };
	const PhOfferedQuestion certificate = { .connection = { .tls = true,
		                                                .certificate = true } };

	g_assert_cmpint(ph_offered_judge(&scram_plus, &open), ==, PH_OFFERED_NEEDS_TLS);
	g_assert_cmpint(ph_offered_judge(&scram_plus, &tls), ==, PH_OFFERED_NO);
	g_assert_cmpint(ph_offered_judge(&scram_plus, &bound), ==, PH_OFFERED_YES);
	g_assert_cmpint(ph_offered_judge(&external, &tls), ==, PH_OFFERED_NO);
	g_assert_cmpint(ph_offered_judge(&external, &certificate), ==, PH_OFFERED_YES);
}

static void
a_name_with_plus_needs_a_channel_to_bind_to(void)
{
	static const PhMechanism both = { .flags = PH_MECHANISM_NEEDS_SECRET
		                                   | PH_MECHANISM_HAS_PLUS };
	const PhOfferedQuestion open = { .can_give_secret = true };
	const PhOfferedQuestion bound = { .can_give_secret = true,
		                          .connection = { .tls = true, .binding = true } };
	const PhOfferedQuestion useless = { .connection = { .tls = true, .binding = true } };

	g_assert_cmpint(ph_offered_judge(&both, &open), ==, PH_OFFERED_YES);
	g_assert_cmpint(ph_offered_judge_plus(&both, &open), ==, PH_OFFERED_NEEDS_TLS);
	g_assert_cmpint(ph_offered_judge_plus(&both, &bound), ==, PH_OFFERED_YES);
	g_assert_cmpint(ph_offered_judge_plus(&both, &useless), ==, PH_OFFERED_NO);
	g_assert_cmpint(ph_offered_judge_plus(&scram, &bound), ==, PH_OFFERED_NO);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/login/offered/a-password-is-shown-only-where-it-is-safe",
	                a_password_is_shown_only_where_it_is_safe);
	g_test_add_func("/login/offered/what-directories-cannot-answer-is-not-offered",
	                what_directories_cannot_answer_is_not_offered);
	g_test_add_func("/login/offered/binding-and-certificates-need-what-they-say",
	                binding_and_certificates_need_what_they_say);
	g_test_add_func("/login/offered/a-name-with-plus-needs-a-channel-to-bind-to",
	                a_name_with_plus_needs_a_channel_to_bind_to);
	return g_test_run();
}

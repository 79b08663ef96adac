/* test-apop.c: the example of RFC 1939, and answers that are none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "answer.h"
#include "mechanism.h"

static const char challenge[] = "<1896.697170952@dbc.mtview.ca.us>";
static const char answer[] = "mrose c4c9334bac560ecc979e58001b3e22fb";

static Person
known(void)
{
	return (Person){ .user = "mrose", .plain = "tanstaaf" };
}

#include "challenge.h"

static void
the_example_of_rfc_1939_logs_in(void)
{
	Person person = known();

	answer_fixed_challenge = challenge;
	g_assert_cmpint(try_octets(&person, PH_SLICE_LITERAL(answer)), ==, PH_STEP_DONE);
	g_assert_cmpint(
		try_octets(&person, PH_SLICE_LITERAL("mrose C4C9334BAC560ECC979E58001B3E22FB")), ==,
		PH_STEP_DONE);
	answer_fixed_challenge = NULL;
}

static void
challenges_are_message_ids_of_ascii_alone(void)
{
	Person person = known();
	Talk talk;
	g_autofree char *made = NULL;

	talk_begin(&talk, ph_plugin.offers[0].mechanism, NULL, &person);
	(void) talk_say(&talk, NULL);
	made = talk_challenge(&talk);
	g_assert_true(g_regex_match_simple("^<[0-9a-f]{32}@[A-Za-z0-9.-]+>$", made, 0, 0));
	talk_end(&talk);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/apop/the-example-of-rfc-1939-logs-in", the_example_of_rfc_1939_logs_in);
	g_test_add_func("/apop/an-answer-to-an-earlier-challenge-is-refused",
	                an_answer_to_an_earlier_challenge_is_refused);
	g_test_add_func("/apop/challenges-are-message-ids-of-ascii-alone",
	                challenges_are_message_ids_of_ascii_alone);
	g_test_add_func("/apop/an-unknown-user-is-told-like-a-wrong-password",
	                an_unknown_user_is_told_like_a_wrong_password);
	g_test_add_func("/apop/a-client-that-speaks-first-is-malformed",
	                a_client_that_speaks_first_is_malformed);
	return g_test_run();
}

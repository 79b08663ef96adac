/* test-cram-md5.c: the example of RFC 2195, and answers that are none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "answer.h"
#include "mechanism.h"

static const char challenge[] = "<1896.697170952@postoffice.reston.mci.net>";
static const char answer[] = "tim b913a602c7eda7a495b4e6e7334d3890";

static Person
known(void)
{
	return (Person){ .user = "tim", .plain = "tanstaaftanstaaf" };
}

#include "challenge.h"

static void
the_example_of_rfc_2195_logs_in(void)
{
	Person person = known();

	answer_fixed_challenge = challenge;
	g_assert_cmpint(try_octets(&person, PH_SLICE_LITERAL(answer)), ==, PH_STEP_DONE);
	g_assert_cmpint(
		try_octets(&person, PH_SLICE_LITERAL("tim B913A602C7EDA7A495B4E6E7334D3890")), ==,
		PH_STEP_DONE);
	answer_fixed_challenge = NULL;
}

static void
what_is_no_answer_is_malformed(void)
{
	static const PhSlice bad[] = {
		{ "", 0 },
		{ "tim", 3 },
		{ " b913a602c7eda7a495b4e6e7334d3890", 33 },
		{ "tim b913a602c7eda7a495b4e6e7334d389", 35 },
		{ "tim b913a602c7eda7a495b4e6e7334d389g", 36 },
		{ "timb913a602c7eda7a495b4e6e7334d3890", 35 },
		{ "t\0m b913a602c7eda7a495b4e6e7334d3890", 36 },
	};
	Person person = known();
	g_autofree char *lengthy = g_strnfill(4096, 'a');

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(try_octets(&person, bad[i]), ==, PH_STEP_MALFORMED);
	g_assert_cmpint(try_octets(&person, PH_SLICE(lengthy, 4096)), ==, PH_STEP_MALFORMED);
	g_assert_cmpuint(person.n_secrets, ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cram-md5/the-example-of-rfc-2195-logs-in",
	                the_example_of_rfc_2195_logs_in);
	g_test_add_func("/cram-md5/an-answer-to-an-earlier-challenge-is-refused",
	                an_answer_to_an_earlier_challenge_is_refused);
	g_test_add_func("/cram-md5/what-is-no-answer-is-malformed", what_is_no_answer_is_malformed);
	g_test_add_func("/cram-md5/an-unknown-user-is-told-like-a-wrong-password",
	                an_unknown_user_is_told_like_a_wrong_password);
	g_test_add_func("/cram-md5/a-client-that-speaks-first-is-malformed",
	                a_client_that_speaks_first_is_malformed);
	return g_test_run();
}

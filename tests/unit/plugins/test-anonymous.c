/* test-anonymous.c: whoever comes is the configured user, whatever the token says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mechanism.h"

extern const PhPlugin ph_plugin;

typedef struct {
	const char *user;
} Settings;

static PhStep
try_token(PhSlice token, const char *configured, const char *known)
{
	const PhMechanism *table = ph_plugin.offers[0].mechanism;
	const Settings settings = { configured };
	PhSection section = { .word = "mechanism", .name = "guest" };
	Person person = { .user = known };
	void *instance = NULL;
	Talk talk;
	PhStep step;

	g_assert_true(table->create(&section, &settings, &instance, NULL));
	talk_begin(&talk, table, instance, &person);
	step = talk_say_octets(&talk, &token);
	if (step == PH_STEP_DONE)
		g_assert_cmpstr(ph_identity_address(talk.exchange.identity), ==, configured);
	talk_end(&talk);
	table->destroy(instance);
	return step;
}

static void
whoever_comes_is_the_configured_user(void)
{
	/* RFC 4505 section 3 */
	g_assert_cmpint(try_token(PH_SLICE_LITERAL("sirhc"), "archive", "archive"), ==,
	                PH_STEP_DONE);
	g_assert_cmpint(try_token(PH_SLICE_EMPTY, "archive", "archive"), ==, PH_STEP_DONE);
	g_assert_cmpint(try_token(PH_SLICE_LITERAL("anna"), "archive", "archive"), ==,
	                PH_STEP_DONE);
}

static void
a_user_that_no_directory_knows_is_nobody(void)
{
	g_assert_cmpint(try_token(PH_SLICE_EMPTY, "archive", "anna"), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_token(PH_SLICE_LITERAL("anna"), "archive", "anna"), ==, PH_STEP_FAILED);
}

static void
a_token_that_is_too_long_or_no_text_is_malformed(void)
{
	g_autofree char *lengthy = g_strnfill(2000, 'a');

	g_assert_cmpint(try_token(ph_slice(lengthy), "archive", "archive"), ==, PH_STEP_MALFORMED);
	g_assert_cmpint(try_token(PH_SLICE_LITERAL("a\0b"), "archive", "archive"), ==,
	                PH_STEP_MALFORMED);
	g_assert_cmpint(try_token(PH_SLICE_LITERAL("\xff"), "archive", "archive"), ==,
	                PH_STEP_MALFORMED);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/anonymous/whoever-comes-is-the-configured-user",
	                whoever_comes_is_the_configured_user);
	g_test_add_func("/anonymous/a-user-that-no-directory-knows-is-nobody",
	                a_user_that_no_directory_knows_is_nobody);
	g_test_add_func("/anonymous/a-token-that-is-too-long-or-no-text-is-malformed",
	                a_token_that_is_too_long_or_no_text_is_malformed);
	return g_test_run();
}

/* challenge.h: what is asked of APOP and of CRAM-MD5 alike: one challenge, one answer
 *
 * For a test program that says before it is included: `known()`, a user, and `answer`, this user's answer to
 * a challenge of long ago.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_TESTS_CHALLENGE_H
#define POSTHORN_TESTS_CHALLENGE_H

#include "mechanism.h"

extern const PhPlugin ph_plugin;

/* One exchange up to and with @response. */
static PhStep
try_octets(Person *person, PhSlice response)
{
	Talk talk;
	PhStep step;

	talk_begin(&talk, ph_plugin.offers[0].mechanism, NULL, person);
	g_assert_cmpint(talk_say(&talk, NULL), ==, PH_STEP_CHALLENGE);
	step = talk_say_octets(&talk, &response);
	talk_end(&talk);
	return step;
}

static void
an_answer_to_an_earlier_challenge_is_refused(void)
{
	Person person = known();
	Talk talk;
	g_autofree char *first = NULL;
	g_autofree char *second = NULL;

	talk_begin(&talk, ph_plugin.offers[0].mechanism, NULL, &person);
	(void) talk_say(&talk, NULL);
	first = talk_challenge(&talk);
	talk_end(&talk);
	talk_begin(&talk, ph_plugin.offers[0].mechanism, NULL, &person);
	(void) talk_say(&talk, NULL);
	second = talk_challenge(&talk);
	g_assert_cmpstr(first, !=, second);
	g_assert_cmpint(talk_say(&talk, answer), ==, PH_STEP_FAILED);
	talk_end(&talk);
}

static void
an_unknown_user_is_told_like_a_wrong_password(void)
{
	Person person = known();
	Person nobody = { .user = "x" };

	g_assert_cmpint(try_octets(&person, PH_SLICE_LITERAL(answer)), ==, PH_STEP_FAILED);
	g_assert_cmpint(try_octets(&nobody, PH_SLICE_LITERAL(answer)), ==, PH_STEP_FAILED);
	g_assert_cmpuint(person.n_secrets, ==, nobody.n_secrets);
	nobody.is_away = true;
	g_assert_cmpint(try_octets(&nobody, PH_SLICE_LITERAL(answer)), ==, PH_STEP_ERROR);
}

static void
a_client_that_speaks_first_is_malformed(void)
{
	Person person = known();
	Talk talk;

	talk_begin(&talk, ph_plugin.offers[0].mechanism, NULL, &person);
	g_assert_cmpint(talk_say(&talk, answer), ==, PH_STEP_MALFORMED);
	talk_end(&talk);
}

#endif

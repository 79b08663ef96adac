/* fuzz-answer.c: what programs and web services answer about a user
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/user.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
check_target(const char *address, void *user_data)
{
	g_assert_cmpint(address[0], !=, '\0');
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static PhUserRules *rules;
	PhSlice text = PH_SLICE((const char *) data, size);
	g_autoptr(PhUser) user = NULL;
	g_autoptr(PhIdentity) identity = NULL;
	g_autoptr(PhSecret) secret = NULL;
	g_autoptr(GError) error = NULL;
	GString *question = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (rules == NULL)
		rules = ph_user_rules_new("example.org");
	user = ph_user_new(rules, "anna");
	result = ph_user_answer_json(user, text, &error);
	g_assert_true((result == PH_VERIFY_ERROR) == (error != NULL));
	if (result == PH_VERIFY_OK) {
		result = ph_user_accept(user, &identity, &error);
		g_assert_true((result == PH_VERIFY_OK) == (identity != NULL));
		(void) ph_user_secret(user, "PLAIN", &secret);
		(void) ph_user_expand(user, check_target, NULL);
	}
	question = ph_user_question_json(user, "verify", "password", text);
	g_assert_null(memchr(question->str, '\n', question->len));
	g_assert_null(memchr(question->str, '\0', question->len));
	ph_user_question_free(question);
	return 0;
}

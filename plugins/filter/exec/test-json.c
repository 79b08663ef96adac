/* test-json.c: answers are taken when they are what is promised, and refused otherwise
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "json.h"

static void
assert_refused(const char *text, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(json_answer(ph_slice(text), &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_cmpstr(error->message, ==, message);
}

static void
test_nonsense(void)
{
	assert_refused("", "the answer is no JSON object");
	assert_refused("{", "the answer is no JSON");
	assert_refused("\xff", "the answer is no JSON");
	assert_refused("{\"a\":[[[[[[[[1]]]]]]]]}", "the answer is no JSON");
	assert_refused("[]", "the answer is no JSON object");
	assert_refused("{\"verdict\":7}", "the answer has a member of another type than text");
	assert_refused("{\"verdict\":\"perhaps\"}", "the answer has an unknown verdict");
	assert_refused("{\"code\":250}", "the answer has a code that is not from 400 to 599");
	assert_refused("{\"code\":\"550\"}", "the answer has a code that is no number");
	assert_refused("{\"delay\":1e9}",
	               "the answer has a delay that is not from 0 to 3600 seconds");
	assert_refused("{\"edits\":{}}", "the answer has edits that are no array");
}

static void
test_verdict(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Answer) answer = json_answer(
		PH_SLICE_LITERAL("{\"verdict\":\"reject\",\"code\":554,\"status\":\"5.7.9\","
	                         "\"text\":\"no\",\"delay\":1.5,\"more\":[]}"),
		&error);

	g_assert_no_error(error);
	g_assert_cmpuint(json_answer_verdict(answer)->result, ==, PH_VERDICT_REJECT);
	g_assert_cmpuint(json_answer_verdict(answer)->smtp_code, ==, 554);
	g_assert_cmpstr(json_answer_verdict(answer)->status, ==, "5.7.9");
	g_assert_cmpuint(json_answer_verdict(answer)->delay.us, ==, 1500000);
}

static void
test_edits(void)
{
	static const char good[] =
		"{\"edits\":[[\"add-header\",\"X-A\",\"b\"],[\"insert-header\",0,\"X-B\",\"c\"],"
		"[\"replace-header\",\"Subject\",1,\"two\"],[\"delete-header\",\"X-C\",1],"
		"[\"sender\",\"\"],[\"body\",\"aGk=\"]]}";
	static const char *const bad[] = {
		"{\"edits\":[1]}",
		"{\"edits\":[[]]}",
		"{\"edits\":[[1]]}",
		"{\"edits\":[[\"explode\"]]}",
		"{\"edits\":[[\"add-header\",\"X-A\"]]}",
		"{\"edits\":[[\"add-header\",\"X-A\",1]]}",
		"{\"edits\":[[\"body\",\"***\"]]}",
		"{\"edits\":[[\"add-header\",\"X A\",\"b\"]]}",
	};
	PhMail *mail = ph_mail_new(NULL);
	g_autoptr(PhContent) content =
		ph_content_new_copy(ph_slice("Subject: one\r\nX-C: d\r\n\r\nbody\r\n"));
	g_autoptr(Answer) answer = json_answer(ph_slice(good), NULL);
	g_autoptr(GError) error = NULL;
	PhSlice block;

	ph_mail_set_content(mail, content);
	g_assert_true(json_answer_apply(answer, mail, &error));
	g_assert_no_error(error);
	g_assert_true(ph_mail_header(mail, &block, NULL));
	g_assert_true(ph_slice_is(block, "X-B: c\r\nSubject: two\r\nX-A: b\r\n\r\n"));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(Answer) wrong = json_answer(ph_slice(bad[i]), NULL);
		g_autoptr(GError) why = NULL;

		g_assert_nonnull(wrong);
		g_assert_false(json_answer_apply(wrong, mail, &why));
		g_assert_error(why, PH_ERROR, PH_ERROR_INVALID);
	}
	ph_mail_unref(mail);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/filter-exec/json/nonsense-is-refused", test_nonsense);
	g_test_add_func("/filter-exec/json/a-verdict-is-taken", test_verdict);
	g_test_add_func("/filter-exec/json/edits-are-done-in-order", test_edits);
	return g_test_run();
}

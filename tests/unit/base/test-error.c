/* test-error.c: every class has a reply; foreign errors are temporary
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/error.h"

#include <errno.h>

static void
test_rows(void)
{
	for (uint32_t code = PH_ERROR_TEMPORARY; code <= PH_ERROR_OUTCOME_UNKNOWN; code++) {
		g_autoptr(GError) error = g_error_new_literal(PH_ERROR, (int) code, "x");
		const PhErrorReply *reply = ph_error_reply(error);

		g_assert_cmpuint(reply->code, ==, code);
		g_assert_cmpint(reply->smtp_status[0], ==,
		                (char) ('0' + (int) reply->smtp_code / 100));
		g_assert_cmpint(ph_error_is_temporary(error), ==, reply->smtp_code < 500);
		g_assert_nonnull(reply->text);
	}
}

static void
test_own(void)
{
	g_autoptr(GError) error = g_error_new_literal(PH_ERROR, PH_ERROR_LOOP, "x");

	g_assert_cmpstr(ph_error_reply(error)->smtp_status, ==, "5.4.6");
	g_assert_false(ph_error_is_temporary(error));
}

static void
test_foreign(void)
{
	g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, 3, "x");

	g_assert_cmpuint(ph_error_reply(NULL)->code, ==, PH_ERROR_TEMPORARY);
	g_assert_cmpuint(ph_error_reply(error)->code, ==, PH_ERROR_TEMPORARY);
	g_assert_true(ph_error_is_temporary(error));
}

static void
test_errno(void)
{
	g_autoptr(GError) missing = NULL;
	g_autoptr(GError) full = NULL;

	ph_error_set_errno(&missing, ENOENT, "cannot open '%s'", "a");
	g_assert_error(missing, PH_ERROR, PH_ERROR_NOT_FOUND);
	g_assert_cmpstr(missing->message, ==, "cannot open 'a': No such file or directory");
	ph_error_set_errno(&full, ENOSPC, "x");
	g_assert_error(full, PH_ERROR, PH_ERROR_TEMPORARY);
	ph_error_set_errno(NULL, ENOSPC, "x");
	ph_error_set(NULL, PH_ERROR_DENIED, "x");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/error/every-class-has-a-reply", test_rows);
	g_test_add_func("/base/error/a-loop-has-its-status", test_own);
	g_test_add_func("/base/error/foreign-errors-are-temporary", test_foreign);
	g_test_add_func("/base/error/system-errors-have-a-class", test_errno);
	return g_test_run();
}

/* test-prepare.c: names and passwords as they are compared
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "login/prepare.h"

static void
names_come_in_one_form(void)
{
	static const struct {
		const char *name;
		const char *prepared;
	} rows[] = {
		{ "anna@example.org", "anna@example.org" },
		{ "Anna", "Anna" },
		{ "e\xcc\x81va", "\xc3\xa9va" }, /* combining accent: one letter */
		{ "\xe2\x85\xa8", "IX" },        /* RFC 4013 section 3, example 5: roman nine */
		{ "\xc2\xaa", "a" },             /* example 4: feminine ordinal */
		{ "I\xc2\xadX", "IX" },          /* example 1: soft hyphen */
		{ "a\xe2\x80\x8d"
		  "b",
		  "ab" }, /* joiner */
		{ "a\xe1\x9a\x80"
		  "b",
		  "a b" }, /* ogham space */
		{ "a\xe2\x80\x8b"
		  "b",
		  "a b" },                 /* space without width */
		{ "\xc2\xad", NULL },      /* nothing is left */
		{ "a\xef\xbf\xbd", NULL }, /* replacement character */
		{ "a\x01", NULL },
		{ "a\xc2\x85", NULL },     /* C1 control */
		{ "a\xe2\x80\x8e", NULL }, /* left-to-right mark */
		{ "\xc3", NULL },          /* not UTF-8 */
		{ "", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *prepared = ph_prepare_name(ph_slice(rows[i].name));
		g_assert_cmpstr(prepared, ==, rows[i].prepared);
	}
}

static void
names_have_a_longest_length(void)
{
	g_autofree char *longest = g_strnfill(PH_MAX_LOGIN_NAME, 'a');
	g_autofree char *longer = g_strnfill(PH_MAX_LOGIN_NAME + 1, 'a');
	g_autofree char *taken = ph_prepare_name(ph_slice(longest));

	g_assert_cmpstr(taken, ==, longest);
	g_assert_null(ph_prepare_name(ph_slice(longer)));
}

static void
a_password_with_nul_is_refused(void)
{
	g_autofree char *long_text = g_strnfill(PH_MAX_LOGIN_SECRET + 1, 'a');

	g_assert_null(ph_prepare_secret(PH_SLICE_LITERAL("pass\0word")));
	g_assert_null(ph_prepare_secret(PH_SLICE_EMPTY));
	g_assert_null(ph_prepare_secret(ph_slice(long_text)));
}

static void
a_password_that_is_not_utf8_stays_as_it_is(void)
{
	g_autoptr(PhSecret) latin = ph_prepare_secret(PH_SLICE_LITERAL("s\xe9"));
	g_autoptr(PhSecret) composed = ph_prepare_secret(PH_SLICE_LITERAL("e\xcc\x81"));

	g_assert_true(ph_slice_is(ph_secret_slice(latin), "s\xe9"));
	g_assert_true(ph_slice_is(ph_secret_slice(composed), "\xc3\xa9"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/login/prepare/names-come-in-one-form", names_come_in_one_form);
	g_test_add_func("/login/prepare/names-have-a-longest-length", names_have_a_longest_length);
	g_test_add_func("/login/prepare/a-password-with-nul-is-refused",
	                a_password_with_nul_is_refused);
	g_test_add_func("/login/prepare/a-password-that-is-not-utf8-stays-as-it-is",
	                a_password_that_is_not_utf8_stays_as_it_is);
	return g_test_run();
}

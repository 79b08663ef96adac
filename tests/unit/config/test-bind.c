/* test-bind.c: rows that lie are found out; structs are filled and freed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/bind.h"

typedef struct {
	const char *first_name;
	int64_t age;
} Settings;

static const PhOption good_rows[] = {
	PH_OPTION_STRING(Settings, first_name, "{hostname}", "a name"),
	PH_OPTION_ALIAS("old-name"),
	PH_OPTION_INTEGER(Settings, age, "7", 0, 99, "an age"),
	PH_OPTION_REMOVED("weight", "nobody asks any more"),
	PH_OPTIONS_END,
};

static const PhOptionContext context = { .folder = "/", .hostname = "h" };

static Settings *
bind(const char *text, PhMistakes *mistakes)
{
	g_autoptr(PhKeyfile) keyfile = ph_keyfile_parse(ph_slice(text), mistakes);
	PhBinding binding = { .rows = good_rows,
		              .keys = keyfile->sections->pdata[0],
		              .title = "[x]",
		              .line = 1,
		              .mistakes = mistakes };

	return ph_bind(&binding, &context);
}

static void
test_values(void)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("f");
	Settings *settings = bind("[x]\nold-name = anna\nage = 8\n", mistakes);

	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, 0);
	g_assert_cmpstr(settings->first_name, ==, "anna");
	g_assert_cmpint(settings->age, ==, 8);
	ph_bind_free(good_rows, settings);
	settings = bind("[x]\nweight = 1\n", mistakes);
	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, 0);
	g_assert_cmpuint(ph_mistakes_n_warnings(mistakes), ==, 1);
	g_assert_cmpstr(settings->first_name, ==, "h");
	g_assert_cmpint(settings->age, ==, 7);
	ph_bind_free(good_rows, settings);
	ph_bind_free(good_rows, NULL);
}

static void
test_find(void)
{
	g_assert_true(ph_bind_find(good_rows, "first-name") == &good_rows[0]);
	g_assert_true(ph_bind_find(good_rows, "old-name") == &good_rows[1]);
	g_assert_null(ph_bind_find(good_rows, "first_name"));
	g_assert_null(ph_bind_find(good_rows, "first"));
	g_assert_null(ph_bind_find(good_rows, "first-name-"));
	g_assert_false(ph_bind_needs_keys(good_rows));
}

static void
test_faults(void)
{
	static const char *const none[] = { NULL };
	const PhOption size = { .key = "a",
		                .help = "h",
		                .type = PH_OPTION_TYPE_INTEGER,
		                .member_size = 4,
		                .struct_size = 16 };
	PhOption rows[12][3] = {
		{ size },
		{ size },
		{ size },
		{ size },
		{ size },
		{ size },
		{ size, size },
		{ PH_OPTION_ALIAS("a") },
		{ PH_OPTION_REMOVED("a", NULL) },
		{ size },
		{ size },
		{ size, size },
	};

	for (size_t i = 1; i < G_N_ELEMENTS(rows); i++)
		rows[i][0].member_size = 8;
	rows[1][0].help = NULL;
	rows[2][0].help = "two\nlines";
	rows[3][0].offset = 9;
	rows[4][0].type = 99;
	rows[5][0].struct_size = 1U << 30;
	rows[6][1].member_size = 8; /* the same key twice */
	rows[9][0].offset = UINT32_MAX;
	rows[10][0].type = PH_OPTION_TYPE_CHOICE;
	rows[10][0].member_size = 4;
	rows[10][0].choices = none;
	rows[11][1].key = "b";
	rows[11][1].struct_size = 24;
	g_assert_true(ph_bind_check(good_rows, NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(ph_bind_check(rows[i], &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/bind/values-and-defaults-arrive", test_values);
	g_test_add_func("/config/bind/keys-have-hyphens", test_find);
	g_test_add_func("/config/bind/rows-that-lie-are-refused", test_faults);
	return g_test_run();
}

/* test-options.c: text to value for each type, its bounds, and back
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "config/options.h"

typedef struct {
	const char *text;
	const char *path;
	PhSize size;
	PhDuration wait;
	bool eager;
	int64_t number;
	uint32_t colour;
	const char *const *words;
	const PhSecret *token;
} Settings;

static const char *const colours[] = { "red", "green", NULL };

enum {
	TEXT,
	PATH,
	SIZE,
	WAIT,
	EAGER,
	NUMBER,
	COLOUR,
	WORDS,
	TOKEN
};

static const PhOption rows[] = {
	PH_OPTION_STRING(Settings, text, PH_ABSENT, "t"),
	PH_OPTION_PATH(Settings, path, PH_ABSENT, "p"),
	PH_OPTION_SIZE(Settings, size, PH_ABSENT, "s"),
	PH_OPTION_DURATION(Settings, wait, PH_ABSENT, "w"),
	PH_OPTION_BOOLEAN(Settings, eager, PH_ABSENT, "e"),
	PH_OPTION_INTEGER(Settings, number, PH_ABSENT, -10, 10, "n"),
	PH_OPTION_CHOICE(Settings, colour, PH_ABSENT, colours, "c"),
	PH_OPTION_LIST(Settings, words, PH_ABSENT, "l"),
	PH_OPTION_SECRET(Settings, token, PH_ABSENT, "k"),
	PH_OPTIONS_END,
};

static const PhOptionContext context = { .folder = "/etc", .data = "/var/x", .hostname = "h.org" };

/* Parses into a fresh struct; the caller clears the row. */
static bool
parse(size_t row, const char *text, Settings *settings)
{
	g_autoptr(GString) problem = g_string_new("");
	bool good = false;

	*settings = (Settings){ 0 };
	good = ph_option_parse(&rows[row], text, &context, (char *) settings + rows[row].offset,
	                       problem);
	g_assert_cmpint(good, ==, problem->len == 0);
	return good;
}

static void
test_text(void)
{
	Settings settings;

	g_assert_true(parse(TEXT, "a {data} {hostname} {other} {", &settings));
	g_assert_cmpstr(settings.text, ==, "a /var/x h.org {other} {");
	ph_option_clear(&rows[TEXT], &settings.text);
	g_assert_null(settings.text);
	g_assert_true(parse(PATH, "{data}/a", &settings));
	g_assert_cmpstr(settings.path, ==, "/var/x/a");
	ph_option_clear(&rows[PATH], &settings.path);
	g_assert_true(parse(PATH, "a/b", &settings));
	g_assert_cmpstr(settings.path, ==, "/etc/a/b");
	ph_option_clear(&rows[PATH], &settings.path);
	g_assert_false(parse(PATH, "{user}", &settings));
	ph_option_clear(&rows[PATH], &settings.path);
	g_assert_false(parse(TEXT, "", &settings));
}

static void
test_units(void)
{
	static const struct {
		size_t row;
		const char *text;
		bool good;
		uint64_t value;
	} table[] = {
		{ SIZE, "0", true, 0 },
		{ SIZE, "1", true, 1 },
		{ SIZE, "50M", true, 50ULL << 20 },
		{ SIZE, "50MB", true, 50ULL << 20 },
		{ SIZE, "50 M", true, 50ULL << 20 },
		{ SIZE, "7B", true, 7 },
		{ SIZE, "2T", true, 2ULL << 40 },
		{ SIZE, "8388608T", false, 0 },
		{ SIZE, "9223372036854775807", true, INT64_MAX },
		{ SIZE, "9223372036854775808", false, 0 },
		{ SIZE, "-1", false, 0 },
		{ SIZE, "1m", false, 0 },
		{ SIZE, "B", false, 0 },
		{ SIZE, "1.5M", false, 0 },
		{ WAIT, "0", true, 0 },
		{ WAIT, "30s", true, 30000000 },
		{ WAIT, "5min", true, 300000000 },
		{ WAIT, "5 min", true, 300000000 },
		{ WAIT, "2h", true, 7200000000 },
		{ WAIT, "1w", true, 604800000000 },
		{ WAIT, "10us", true, 10 },
		{ WAIT, "10", false, 0 },
		{ WAIT, "10m", false, 0 },
		{ WAIT, "99999999999999w", false, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		Settings settings;

		g_assert_cmpint(parse(table[i].row, table[i].text, &settings), ==, table[i].good);
		if (table[i].good)
			g_assert_cmpuint(table[i].row == SIZE ? settings.size.octets
			                                      : settings.wait.us,
			                 ==, table[i].value);
	}
}

static void
test_format(void)
{
	static const uint64_t values[] = { 0, 1, 1023, 1024, 50ULL << 20, 1500, 3ULL << 40 };

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		g_autofree char *size = ph_size_format(values[i]);
		g_autofree char *duration = ph_duration_format(values[i]);
		uint64_t back = 1;

		g_assert_true(ph_size_parse(ph_slice(size), &back));
		g_assert_cmpuint(back, ==, values[i]);
		g_assert_true(ph_duration_parse(ph_slice(duration), &back));
		g_assert_cmpuint(back, ==, values[i]);
	}
}

static void
test_small(void)
{
	Settings settings;

	g_assert_true(parse(EAGER, "yes", &settings) && settings.eager);
	g_assert_true(parse(EAGER, "Off", &settings) && !settings.eager);
	g_assert_false(parse(EAGER, "1", &settings));
	g_assert_true(parse(NUMBER, "-10", &settings) && settings.number == -10);
	g_assert_true(parse(NUMBER, "+7", &settings) && settings.number == 7);
	g_assert_false(parse(NUMBER, "11", &settings));
	g_assert_false(parse(NUMBER, "--1", &settings));
	g_assert_false(parse(NUMBER, "-", &settings));
	g_assert_false(parse(NUMBER, "-9223372036854775809", &settings));
	g_assert_true(parse(COLOUR, "green", &settings) && settings.colour == 1);
	g_assert_false(parse(COLOUR, "Green", &settings));
}

static void
test_list(void)
{
	Settings settings;

	g_assert_true(parse(WORDS, " a,b c , {data}/d", &settings));
	g_assert_cmpstr(settings.words[0], ==, "a");
	g_assert_cmpstr(settings.words[1], ==, "b c");
	g_assert_cmpstr(settings.words[2], ==, "/var/x/d");
	g_assert_null(settings.words[3]);
	ph_option_clear(&rows[WORDS], &settings.words);
	g_assert_null(settings.words);
	g_assert_false(parse(WORDS, "a,,b", &settings));
	g_assert_false(parse(WORDS, "a,", &settings));
	g_assert_false(parse(WORDS, "a,a", &settings));
}

static void
test_secret(void)
{
	Settings settings;

	g_assert_true(parse(TOKEN, "pass{data}word", &settings));
	g_assert_true(ph_slice_is(ph_secret_slice(settings.token), "pass{data}word"));
	ph_option_clear(&rows[TOKEN], &settings.token);
	g_assert_null(settings.token);
	g_assert_false(parse(TOKEN, "file:/nonexistent/x", &settings));
	g_assert_false(ph_option_shows(&rows[TOKEN]));
	g_assert_true(ph_option_shows(&rows[TEXT]));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/options/text-is-expanded", test_text);
	g_test_add_func("/config/options/units-never-wrap", test_units);
	g_test_add_func("/config/options/what-is-written-is-read-back", test_format);
	g_test_add_func("/config/options/booleans-integers-choices", test_small);
	g_test_add_func("/config/options/lists-are-words", test_list);
	g_test_add_func("/config/options/secrets-are-kept-apart", test_secret);
	return g_test_run();
}

/* test-describe.c: every key of every row is in each form of the description
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/describe.h"

typedef struct {
	const char *path;
	int64_t depth;
	uint32_t colour;
	const PhSecret *token;
	PhSection *below;
} Settings;

static const char *const colours[] = { "red", "green", NULL };

static const PhOption rows[] = {
	PH_OPTION_PATH(Settings, path, PH_REQUIRED, "a path with | and -dashes"),
	PH_OPTION_INTEGER(Settings, depth, "3", 1, 9, "how deep"),
	PH_OPTION_CHOICE(Settings, colour, "red", colours, "which colour"),
	PH_OPTION_SECRET(Settings, token, PH_ABSENT, "a secret"),
	PH_OPTION_SECTION(Settings, below, PH_ABSENT, PH_KIND_STORE, "the store below"),
	PH_OPTION_ALIAS("older"),
	PH_OPTION_REMOVED("gone", "it is gone"),
	PH_OPTIONS_END,
};

static const PhOfferInfo offer = {
	.kind = PH_KIND_STORE,
	.name = "box",
	.plugin_name = "box",
	.version = "1.2",
	.licence = "MIT",
	.summary = "keeps \"mail\"",
	.path = "/x/store-box.so",
	.options = rows,
};

static void
test_text(void)
{
	g_autofree char *text = ph_describe_offer(&offer, PH_DESCRIBE_TEXT);

	g_assert_nonnull(
		strstr(text, "store box: keeps \"mail\"\nversion 1.2, MIT, /x/store-box.so\n"));
	g_assert_nonnull(
		strstr(text, "  path\n      a path with | and -dashes\n      (path, required)\n"));
	g_assert_nonnull(strstr(text, "(integer from 1 to 9, default 3)"));
	g_assert_nonnull(strstr(text, "(choice of red, green, default red)"));
	g_assert_nonnull(strstr(text, "\nKeys of every [store NAME]:\n  plugin\n"));
	g_assert_null(strstr(text, "older"));
	g_assert_null(strstr(text, "gone"));
}

static void
test_json(void)
{
	g_autofree char *text = ph_describe_offer(&offer, PH_DESCRIBE_JSON);

	g_assert_nonnull(strstr(text, "\"summary\":\"keeps \\\"mail\\\"\""));
	g_assert_nonnull(strstr(text, "{\"key\":\"path\",\"type\":\"path\",\"required\":true,"
	                              "\"default\":null,"));
	g_assert_nonnull(strstr(text, "\"minimum\":1,\"maximum\":9"));
	g_assert_nonnull(strstr(text, "\"choices\":[\"red\",\"green\"]"));
}

static void
test_pages(void)
{
	g_autofree char *markdown = ph_describe_offer(&offer, PH_DESCRIBE_MARKDOWN);
	g_autofree char *man = ph_describe_offer(&offer, PH_DESCRIBE_MAN);

	g_assert_nonnull(strstr(markdown, "# store `box`\n"));
	g_assert_nonnull(
		strstr(markdown, "| `path` | path, required | a path with \\| and -dashes |\n"));
	g_assert_nonnull(strstr(man, ".TH POSTHORN\\-store\\-box 5"));
	g_assert_nonnull(strstr(man, ".TP\n.B path\na path with | and \\-dashes\n.br\n"));
}

static void
test_sections(void)
{
	for (const PhSectionKind *kind = ph_section_kinds; kind->word != NULL; kind++) {
		for (int format = PH_DESCRIBE_TEXT; format <= PH_DESCRIBE_MAN; format++) {
			g_autofree char *text =
				ph_describe_section(kind, (PhDescribeFormat) format);

			g_assert_nonnull(strstr(text, kind->word));
			g_assert_nonnull(strstr(text, kind->rows->key));
		}
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plugin/describe/text-has-every-key", test_text);
	g_test_add_func("/plugin/describe/json-keeps-numbers-and-words", test_json);
	g_test_add_func("/plugin/describe/pages-escape-their-marks", test_pages);
	g_test_add_func("/plugin/describe/sections-of-the-core-too", test_sections);
	return g_test_run();
}

/* fuzz-config.c: any octets as a config file: read, bound, checked, freed; nothing is opened
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
	const char *text;
	PhSize octets;
	PhDuration wait;
	bool eager;
	int64_t digit;
	uint32_t colour;
	const char *const *words;
	PhSection *below;
	PhSection *const *friends;
} Settings;

static const char *const colours[] = { "red", "green", NULL };

static const PhOption rows[] = {
	PH_OPTION_TEMPLATE(Settings, text, "{data}/{user}", "a template"),
	PH_OPTION_SIZE(Settings, octets, "1M", "a size"),
	PH_OPTION_DURATION(Settings, wait, "5s", "a duration"),
	PH_OPTION_BOOLEAN(Settings, eager, "no", "a boolean"),
	PH_OPTION_INTEGER(Settings, digit, "5", -1, 9, "an integer"),
	PH_OPTION_CHOICE(Settings, colour, "red", colours, "a choice"),
	PH_OPTION_LIST(Settings, words, PH_ABSENT, "a list"),
	PH_OPTION_ALIAS("terms"),
	PH_OPTION_SECTION(Settings, below, PH_ABSENT, PH_KIND_STORE, "a store"),
	PH_OPTION_SECTIONS(Settings, friends, PH_ABSENT, PH_KIND_DIRECTORY, "directories"),
	PH_OPTION_REMOVED("speed", "it is always fast"),
	PH_OPTIONS_END,
};

static void
open_source(void *user_data, const char *const *folders, uid_t user)
{
}

/* Every kind has a plugin "p". */
static const PhOfferInfo *
find(void *user_data, uint32_t kind, const char *name, GError **error)
{
	static const PhOfferInfo offers[] = {
		{ .name = "p", .options = rows, .kind = 0 },
		{ .name = "p", .options = rows, .kind = PH_KIND_PROTOCOL, .needs = 0xff },
		{ .name = "p", .options = rows, .kind = PH_KIND_MECHANISM },
		{ .name = "p", .options = rows, .kind = PH_KIND_DIRECTORY },
		{ .name = "p", .options = rows, .kind = PH_KIND_STORE },
		{ .name = "p", .options = rows, .kind = PH_KIND_FILTER },
		{ .name = "p", .options = rows, .kind = PH_KIND_TRANSPORT, .needs = 0xff },
	};

	g_assert_cmpuint(kind, <, G_N_ELEMENTS(offers));
	if (strcmp(name, "p") == 0)
		return &offers[kind];
	ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no plugin '%s'", name);
	return NULL;
}

static char **
names(void *user_data, uint32_t kind)
{
	return g_strsplit("p", " ", -1);
}

static void
walk(const PhConfig *config)
{
	PhSection *const *sections = ph_config_sections(config);

	g_assert_nonnull(ph_config_server(config)->data);
	for (size_t i = 0; sections[i] != NULL; i++) {
		g_autofree char *title = ph_section_title(sections[i]);

		g_assert_nonnull(sections[i]->offer);
		g_assert_nonnull(sections[i]->settings);
		for (guint j = 0; j < sections[i]->uses->len; j++)
			g_assert_true(((PhSection *) sections[i]->uses->pdata[j])->is_used);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const PhOfferSource source = { open_source, find, names, NULL };
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("fuzz");
	g_autoptr(PhConfig) config =
		ph_config_parse(PH_SLICE((const char *) data, size), "/", &source, mistakes);
	g_autofree char *text = ph_mistakes_text(mistakes);

	g_assert_true(g_utf8_validate(text, -1, NULL));
	g_assert_cmpint(config != NULL, ==, ph_mistakes_n_errors(mistakes) == 0);
	if (config != NULL)
		walk(config);
	return 0;
}

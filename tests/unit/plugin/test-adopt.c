/* test-adopt.c: tables of older and newer plugins are completed; broken ones are refused
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/protocol.h>
#include <posthorn/transport.h>

#include "plugin/adopt.h"
#include "plugin/loader.h"

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return true;
}

static void
destroy(void *instance)
{
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	return PH_VERIFY_UNKNOWN_USER;
}

static PhVerify
secret(void *instance, const char *user, const char *scheme, PhSecret **secret_out, GError **error)
{
	return PH_VERIFY_UNKNOWN_USER;
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	return PH_STEP_FAILED;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
	.secret = secret,
};

static const PhMechanism mechanism = { .size = sizeof mechanism,
	                               .sasl_name = "TOKEN",
	                               .step = step };

static const PhOption options[] = { PH_OPTIONS_END };

static PhPlugin
plugin_of(const PhOffer *offers)
{
	return (PhPlugin){ .abi = PH_ABI,
		           .name = "a-plugin",
		           .options = options,
		           .offers = offers };
}

static void
test_older(void)
{
	PhDirectory older = directory;
	g_autofree PhDirectory *adopted = NULL;

	older.size = offsetof(PhDirectory, secret);
	adopted = ph_adopt_table(PH_KIND_DIRECTORY, &older, NULL);
	g_assert_true(adopted->lookup == lookup);
	g_assert_null(adopted->secret);
	g_assert_cmpuint(adopted->size, ==, sizeof *adopted);
}

static void
test_newer(void)
{
	struct {
		PhDirectory known;
		void (*unknown)(void);
	} newer = { .known = directory };

	g_autofree PhDirectory *adopted = NULL;

	newer.known.size = sizeof newer;
	adopted = ph_adopt_table(PH_KIND_DIRECTORY, &newer, NULL);
	g_assert_true(adopted->secret == secret);
}

static void
test_defaults(void)
{
	g_autofree PhMechanism *adopted = ph_adopt_table(PH_KIND_MECHANISM, &mechanism, NULL);
	void *instance = adopted;

	g_assert_true(adopted->create(NULL, NULL, &instance, NULL));
	g_assert_null(instance);
	adopted->destroy(NULL);
	g_assert_null(adopted->begin(NULL, NULL));
	adopted->end(NULL, NULL);
}

static void
test_refused_tables(void)
{
	static const PhTransport neither = { .size = sizeof neither, .create = create };
	PhDirectory without = directory;
	PhDirectory cut = directory;
	PhDirectory unsized = directory;
	g_autoptr(GError) error = NULL;

	without.lookup = NULL;
	g_assert_null(ph_adopt_table(PH_KIND_DIRECTORY, &without, &error));
	g_assert_nonnull(strstr(error->message, "'lookup'"));
	g_clear_error(&error);
	cut.size = offsetof(PhDirectory, lookup);
	g_assert_null(ph_adopt_table(PH_KIND_DIRECTORY, &cut, &error));
	g_clear_error(&error);
	unsized.size = 0;
	g_assert_null(ph_adopt_table(PH_KIND_DIRECTORY, &unsized, &error));
	g_clear_error(&error);
	g_assert_null(ph_adopt_table(77, &directory, &error));
	g_clear_error(&error);
	g_assert_null(ph_adopt_table(PH_KIND_DIRECTORY, NULL, &error));
	g_clear_error(&error);
	g_assert_null(ph_adopt_table(PH_KIND_TRANSPORT, &neither, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
}

/* Offers and options of a plugin that was built with longer rows. */
static void
test_stride(void)
{
	typedef struct {
		const char *a;
		int64_t b;
	} Settings;

	static const struct {
		PhOption row;
		char more[24];
	} long_options[] = {
		{ PH_OPTION_STRING(Settings, a, "x", "text"), "" },
		{ PH_OPTION_INTEGER(Settings, b, "1", 0, 9, "number"), "" },
		{ PH_OPTIONS_END, "" },
	};

	static const struct {
		PhOffer row;
		char more[40];
	} long_offers[] = {
		{ PH_OFFER_DIRECTORY("one", &directory), "" },
		{ PH_OFFER_MECHANISM("two", &mechanism), "" },
		{ PH_OFFERS_END, "" },
	};

	PhPlugin plugin = plugin_of(&long_offers[0].row);
	static const PhAdopted *adopted; /* adopted plugins are never freed */
	g_autoptr(GError) error = NULL;

	plugin.options = &long_options[0].row;
	plugin.abi.offer_size = sizeof long_offers[0];
	plugin.abi.option_size = sizeof long_options[0];
	adopted = ph_adopt(&plugin, "/x.so", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(adopted->n_offers, ==, 2);
	g_assert_cmpstr(adopted->offers[1].name, ==, "two");
	g_assert_cmpstr(adopted->offers[0].options[1].key, ==, "b");
	g_assert_null(adopted->offers[0].options[2].key);
}

/* Offers of a plugin that was built before rows had `not_isolated`. */
static void
test_shorter_stride(void)
{
	enum {
		SHORT = G_STRUCT_OFFSET(PhOffer, not_isolated)
	};

	static char rows[3 * SHORT];
	const PhOffer offers[] = { PH_OFFER_DIRECTORY("one", &directory),
		                   { .kind = PH_KIND_MECHANISM,
		                     .name = "two",
		                     .mechanism = &mechanism,
		                     .not_isolated = "it was not built with this" },
		                   PH_OFFERS_END };
	PhPlugin plugin = plugin_of((const PhOffer *) (const void *) rows);
	static const PhAdopted *adopted; /* adopted plugins are never freed */
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(offers); i++)
		memcpy(rows + i * SHORT, &offers[i], SHORT);
	plugin.abi.offer_size = SHORT;
	g_assert_true(ph_loader_check_abi(&plugin.abi, "x", NULL));
	adopted = ph_adopt(&plugin, "/x.so", &error);
	g_assert_no_error(error);
	g_assert_cmpuint(adopted->n_offers, ==, 2);
	g_assert_cmpstr(adopted->offers[1].name, ==, "two");
	g_assert_null(adopted->offers[1].not_isolated);
}

static void
test_refused_plugins(void)
{
	static const PhOffer none[] = { PH_OFFERS_END };
	static const PhOffer bad_name[] = { PH_OFFER_DIRECTORY("Bad Name", &directory),
		                            PH_OFFERS_END };
	static const PhOffer good[] = { PH_OFFER_DIRECTORY("good", &directory), PH_OFFERS_END };
	PhPlugin plugins[] = { plugin_of(none), plugin_of(bad_name), plugin_of(NULL),
		               plugin_of(good) };

	plugins[3].name = "../etc";
	for (size_t i = 0; i < G_N_ELEMENTS(plugins); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(ph_adopt(&plugins[i], "/x.so", &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
		g_assert_true(g_str_has_prefix(error->message, "the plugin '/x.so' is refused: "));
	}
}

static void
test_abi(void)
{
	const PhAbi good = PH_ABI;
	PhAbi abis[] = { PH_ABI, PH_ABI, PH_ABI, PH_ABI, PH_ABI };
	PhAbi newer = PH_ABI;

	newer.minor++;
	newer.plugin_size += 16;
	g_assert_true(ph_loader_check_abi(&good, "x", NULL));
	g_assert_true(ph_loader_check_abi(&newer, "x", NULL));
	abis[0].magic = 0;
	abis[1].major++;
	abis[2].plugin_size = 8;
	abis[3].offer_size = UINT32_MAX;
	abis[4].option_size = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(abis); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(ph_loader_check_abi(&abis[i], "x", &error));
		g_assert_nonnull(error);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plugin/adopt/older-tables-are-completed", test_older);
	g_test_add_func("/plugin/adopt/newer-tables-are-cut", test_newer);
	g_test_add_func("/plugin/adopt/defaults-are-filled-in", test_defaults);
	g_test_add_func("/plugin/adopt/broken-tables-are-refused", test_refused_tables);
	g_test_add_func("/plugin/adopt/rows-are-walked-with-the-plugins-stride", test_stride);
	g_test_add_func("/plugin/adopt/shorter-offers-are-completed", test_shorter_stride);
	g_test_add_func("/plugin/adopt/broken-plugins-are-refused", test_refused_plugins);
	g_test_add_func("/plugin/adopt/abi-is-compared-first", test_abi);
	return g_test_run();
}

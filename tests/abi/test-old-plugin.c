/* test-old-plugin.c: a plugin built against the frozen headers loads and works
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/plugin.h>
#include <posthorn/slice.h>

#include "plugin/instance.h"
#include "plugin/registry.h"

#include <unistd.h>

static const char *plugin_path;

static PhConfig *
load(PhRegistry *registry, const char *folder, const char *keys, PhMistakes *mistakes)
{
	/* a listener is not part of this: the directory stands alone */
	g_autofree char *text = g_strdup_printf("[server]\nhostname = h\ndata = %s\n"
	                                        "[directory people]\nplugin = %s:old\n%s",
	                                        folder, plugin_path, keys);

	return ph_config_parse(ph_slice(text), "/", ph_registry_source(registry), mistakes);
}

static void
test_works(void)
{
	g_autoptr(PhRegistry) registry = ph_registry_new();
	const PhOfferSource *source = ph_registry_source(registry);
	g_autofree char *name = g_strdup_printf("%s:old", plugin_path);
	g_autoptr(GError) error = NULL;
	const PhOfferInfo *offer = source->find(source->user_data, PH_KIND_DIRECTORY, name, &error);
	const PhDirectory *table = NULL;
	g_autoptr(PhIdentity) identity = NULL;

	g_assert_no_error(error);
	g_assert_cmpstr(offer->plugin_name, ==, "old");
	g_assert_null(offer->load);
	g_assert_cmpstr(offer->options[1].key, ==, "wait");
	table = offer->table;
	g_assert_cmpuint(table->size, ==, sizeof *table);
	g_assert_null(table->set);
	g_assert_null(table->remove);
	g_assert_cmpint(table->lookup((void *) (uintptr_t) "anna", "anna", &identity, &error), ==,
	                PH_VERIFY_OK);
	g_assert_cmpstr(ph_identity_address(identity), ==, "anna");
	g_assert_null(source->find(source->user_data, PH_KIND_STORE, name, &error));
	g_assert_nonnull(error);
}

static void
test_options(void)
{
	g_autoptr(PhRegistry) registry = ph_registry_new();
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("test");
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *text = NULL;

	g_assert_null(load(registry, folder, "wait = soon\n", mistakes));
	text = ph_mistakes_text(mistakes);
	g_assert_nonnull(strstr(text,
	                        "test:4: [directory people] lacks the key 'user' (the one user "
	                        "who exists)\n"));
	g_assert_nonnull(strstr(text, "test:6: 'wait' in [directory people] must be a duration"));
	rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 2);
	plugin_path = argv[1];
	g_test_add_func("/abi/old-plugin/loads-and-works", test_works);
	g_test_add_func("/abi/old-plugin/its-options-are-read", test_options);
	return g_test_run();
}

/* test-old-plugin.c: a plugin built against the frozen headers loads and works
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/filter.h>
#include <posthorn/mechanism.h>
#include <posthorn/plugin.h>
#include <posthorn/slice.h>
#include <posthorn/store.h>
#include <posthorn/testing.h>
#include <posthorn/transport.h>

#include "login/exchange.h"
#include "plugin/instance.h"
#include "plugin/registry.h"

#include <unistd.h>

static const char *plugin_path;
static const char *kinds_path;

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

/* --- the other kinds ---------------------------------------------------------------------------- */

/* The completed table of the offer `old` of that kind; it must have this core's size. */
static const void *
table_of(uint32_t kind)
{
	g_autoptr(PhRegistry) registry = ph_registry_new();
	const PhOfferSource *source = ph_registry_source(registry);
	g_autofree char *name = g_strdup_printf("%s:old", kinds_path);
	g_autoptr(GError) error = NULL;
	const PhOfferInfo *offer = source->find(source->user_data, kind, name, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(offer->options[0].key, ==, "word");
	return offer->table;
}

static void
test_protocol(void)
{
	const PhProtocol *table = table_of(PH_KIND_PROTOCOL);
	PhTestOptions options = { .size = sizeof options, .protocol = table };
	g_autoptr(PhTestSession) session = NULL;

	g_assert_cmpuint(table->size, ==, sizeof *table);
	g_assert_nonnull(table->timeout);
	session = ph_test_session_new(&options);
	ph_test_session_send(session, PH_SLICE_LITERAL("again\r\n"));
	ph_test_session_run(session);
	g_assert_true(ph_slice_is(ph_test_session_output(session), "+ hello\r\n+ again\r\n"));
}

static void
test_mechanism(void)
{
	const PhMechanism *table = table_of(PH_KIND_MECHANISM);
	const PhSlice response = PH_SLICE_LITERAL("anna");
	PhExchange exchange = { .directories = NULL };

	g_assert_cmpuint(table->size, ==, sizeof *table);
	g_assert_null(table->schemes);
	g_assert_cmpint(table->step(NULL, NULL, &exchange, NULL, NULL), ==, PH_STEP_CHALLENGE);
	g_assert_cmpuint(exchange.challenge->len, ==, 3);
	g_assert_cmpint(table->step(NULL, NULL, &exchange, &response, NULL), ==, PH_STEP_ASKED);
	g_assert_cmpstr(exchange.user, ==, "anna");
	ph_exchange_clear(&exchange);
}

static void
test_filter(void)
{
	const PhFilter *table = table_of(PH_KIND_FILTER);
	PhFilterQuestion question = { .stage = PH_STAGE_MESSAGE };

	g_assert_cmpuint(table->size, ==, sizeof *table);
	table->cancel(NULL, NULL); /* the core's */
	g_assert_null(table->begin(NULL, NULL));
	g_assert_true(table->ask(NULL, NULL, &question, NULL));
	g_assert_cmpuint(question.verdict.result, ==, PH_VERDICT_REJECT);
}

static void
test_transport(void)
{
	const PhTransport *table = table_of(PH_KIND_TRANSPORT);
	char key[32] = "";

	g_assert_cmpuint(table->size, ==, sizeof *table);
	g_assert_cmpuint(table->destination(NULL, "a@Example.ORG", key, sizeof key), ==, 11);
	g_assert_cmpstr(key, ==, "example.org");
	g_assert_null(table->begin);
	g_assert_nonnull(table->deliver);
	g_assert_cmpuint(table->flags, ==, 0);
}

static void
test_store(void)
{
	const PhStore *table = table_of(PH_KIND_STORE);
	void *instance = NULL;
	void *account = NULL;
	uint64_t change = 0;

	g_assert_cmpuint(table->size, ==, sizeof *table);
	g_assert_null(table->outcome);
	g_assert_null(table->defer);
	g_assert_true(table->create(NULL, NULL, &instance, NULL));
	g_assert_true(table->open_account(instance, NULL, &account, NULL));
	g_assert_true(table->mailboxes(account, NULL, NULL, &change, NULL));
	g_assert_cmpuint(change, ==, 7);
	g_assert_true(table->refresh(account, NULL, NULL));
	g_assert_true(table->compact(account, NULL));
	table->close_account(account);
	table->destroy(instance);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 3);
	plugin_path = argv[1];
	kinds_path = argv[2];
	g_test_add_func("/abi/old-plugin/loads-and-works", test_works);
	g_test_add_func("/abi/old-plugin/its-options-are-read", test_options);
	g_test_add_func("/abi/old-plugin/a-protocol-works", test_protocol);
	g_test_add_func("/abi/old-plugin/a-mechanism-works", test_mechanism);
	g_test_add_func("/abi/old-plugin/a-filter-works", test_filter);
	g_test_add_func("/abi/old-plugin/a-transport-works", test_transport);
	g_test_add_func("/abi/old-plugin/a-store-works", test_store);
	return g_test_run();
}

/* test-instance.c: instances are created in order, shared by reloads, destroyed last of all
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/plugin.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include "plugin/adopt.h"
#include "plugin/instance.h"

#include <glib/gstdio.h>

static GString *events; /* "+name" created, "-name" destroyed, "!" loaded */
static char *data_folder;

typedef struct {
	const char *text;
	PhSection *below;
} Settings;

static bool
load(GError **error)
{
	g_string_append(events, "!");
	return true;
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *values = settings;

	if (values != NULL && g_strcmp0(values->text, "fail") == 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "told to fail");
		return false;
	}
	if (values != NULL && values->below != NULL)
		g_assert_nonnull(ph_section_instance(values->below));
	g_string_append_printf(events, "+%s ", ph_section_name(section));
	*instance_out = g_strdup(ph_section_name(section));
	return true;
}

static void
destroy(void *instance)
{
	g_string_append_printf(events, "-%s ", (char *) instance);
	g_free(instance);
}

static PhNext
opened(PhSession *session)
{
	return PH_CLOSE;
}

static PhNext
line(PhSession *session, PhSlice octets, uint32_t flaws)
{
	return PH_CLOSE;
}

static void
closed(PhSession *session)
{
}

static void
deliver(void *instance, PhDelivery *delivery)
{
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.create = create,
	.destroy = destroy,
	.opened = opened,
	.line = line,
	.closed = closed,
};

static const PhTransport transport = {
	.size = sizeof transport,
	.create = create,
	.destroy = destroy,
	.deliver = deliver,
};

static const PhOption options[] = {
	PH_OPTION_STRING(Settings, text, PH_ABSENT, "any text"),
	PH_OPTION_SECTION(Settings, below, PH_ABSENT, PH_KIND_PROTOCOL, "another listener"),
	PH_OPTIONS_END,
};

static const PhOffer offers[] = {
	PH_OFFER_PROTOCOL("talk", &protocol),
	PH_OFFER_TRANSPORT("drop", &transport),
	PH_OFFERS_END,
};

static const PhPlugin plugin = {
	.abi = PH_ABI,
	.name = "test",
	.options = options,
	.offers = offers,
	.load = load,
};

static void
open_source(void *user_data, const char *const *folders, uid_t user)
{
}

static const PhOfferInfo *
find(void *user_data, uint32_t kind, const char *name, GError **error)
{
	const PhAdopted *adopted = user_data;

	for (size_t i = 0; i < adopted->n_offers; i++)
		if (adopted->offers[i].kind == kind && strcmp(adopted->offers[i].name, name) == 0)
			return &adopted->offers[i];
	ph_error_set(error, PH_ERROR_NOT_FOUND, "no '%s'", name);
	return NULL;
}

static char **
names(void *user_data, uint32_t kind)
{
	return g_new0(char *, 1);
}

static PhConfig *
parse(const char *text, PhMistakes *mistakes)
{
	static PhAdopted *adopted;
	PhOfferSource source = { open_source, find, names, NULL };
	g_autofree char *whole =
		g_strdup_printf("[server]\nhostname = h\ndata = %s\n%s", data_folder, text);

	if (adopted == NULL)
		adopted = ph_adopt(&plugin, "/test.so", NULL);
	source.user_data = adopted;
	return ph_config_parse(ph_slice(whole), "/", &source, mistakes);
}

/* Makes a config with instances, after @previous. */
static PhConfig *
start(const char *text, PhConfig *previous)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("test");
	PhConfig *config = parse(text, mistakes);

	if (config == NULL)
		g_test_message("%s", ph_mistakes_text(mistakes));
	g_assert_nonnull(config);
	g_string_truncate(events, 0);
	g_assert_true(ph_instances_create(config, previous, mistakes));
	return config;
}

static void
stop(PhConfig *config)
{
	ph_instances_release(config);
	ph_config_unref(config);
}

#define LISTENER(n, port, more) \
	"[listener " n "]\nplugin = talk\naddress = 127.0.0.1:" port "\n" more "\n"

static void
test_order(void)
{
	PhConfig *config = start(LISTENER("a", "1", "below = b") LISTENER("b", "2", ""), NULL);

	g_assert_cmpstr(events->str, ==, "!+b +a ");
	g_assert_cmpstr(ph_section_hostname(ph_config_section(config, "listener", "a")), ==, "h");
	g_assert_cmpuint(ph_section_kind(ph_config_section(config, "listener", "a")), ==,
	                 PH_KIND_PROTOCOL);
	g_string_truncate(events, 0);
	stop(config);
	g_assert_cmpstr(events->str, ==, "-a -b ");
}

static void
test_shared(void)
{
	static const char text[] = LISTENER("a", "1", "below = b") LISTENER("b", "2", "");
	PhConfig *first = start(text, NULL);
	PhConfig *second = start(text, first);
	PhSection *old = ph_config_section(first, "listener", "a");
	PhSection *new = ph_config_section(second, "listener", "a");

	g_assert_cmpstr(events->str, ==, "");
	g_assert_true(ph_section_instance(old) == ph_section_instance(new));
	g_assert_true(ph_section_origin(new) == old);
	g_assert_true(ph_section_is_shared(new));
	stop(first);
	g_assert_cmpstr(events->str, ==, "");
	g_assert_cmpstr(ph_section_name(ph_section_origin(new)), ==, "a");
	stop(second);
	g_assert_cmpstr(events->str, ==, "-a -b ");
}

static void
test_changed(void)
{
	PhConfig *first =
		start(LISTENER("a", "1", "below = b") LISTENER("b", "2", "") LISTENER("c", "3", ""),
	              NULL);
	PhConfig *second = start(LISTENER("a", "1", "below = b") LISTENER("b", "2", "text = x")
	                                 LISTENER("c", "3", ""),
	                         first);

	/* b changed, a stands on it, c goes on */
	g_assert_cmpstr(events->str, ==, "+b +a ");
	g_assert_false(ph_section_is_shared(ph_config_section(second, "listener", "a")));
	g_assert_true(ph_section_is_shared(ph_config_section(second, "listener", "c")));
	g_string_truncate(events, 0);
	stop(first);
	g_assert_cmpstr(events->str, ==, "-a -b ");
	stop(second);
	g_assert_cmpstr(events->str, ==, "-a -b -c -a -b ");
}

/* Keys of the core, such as limits and addresses, are no reason for a new instance. */
static void
test_core_keys(void)
{
	PhConfig *first = start(LISTENER("a", "1", "text = x"), NULL);
	PhConfig *second = start(LISTENER("a", "2", "max-connections = 7\ntext = x"), first);
	PhConfig *third = start(LISTENER("a", "2", ""), second);

	g_assert_true(ph_section_is_shared(ph_config_section(second, "listener", "a")));
	g_assert_cmpstr(events->str, ==, "+a ");
	stop(third);
	stop(second);
	stop(first);
}

static void
test_transport(void)
{
	static const char text[] = LISTENER(
		"a", "1",
		"") "[transport t]\nplugin = drop\ntext = x\n"
		    "[route r]\ndomains = a.org\ntransport = t\n[route s]\ndomains = b.org\ntransport = t\n";
	static const char changed[] = LISTENER(
		"a", "1",
		"") "[transport t]\nplugin = drop\n"
		    "[route r]\ndomains = a.org\ntransport = t\n[route s]\ndomains = b.org\ntransport = drop\n";
	PhConfig *first = start(text, NULL);
	PhConfig *second = NULL;
	const PhSection *route = ph_config_section(first, "route", "r");

	g_assert_cmpstr(events->str, ==, "+a +r +s ");
	g_assert_cmpstr(((const Settings *) route->settings)->text, ==, "x");
	second = start(changed, first);
	g_assert_cmpstr(events->str, ==, "+r +s ");
	stop(second);
	stop(first);
}

static void
test_failure(void)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("test");
	g_autoptr(PhConfig) config =
		parse(LISTENER("a", "1", "below = b") LISTENER("b", "2", "text = fail")
	                      LISTENER("c", "3", "") LISTENER("d", "4", "text = fail"),
	              mistakes);

	g_assert_nonnull(config);
	g_string_truncate(events, 0);
	g_assert_false(ph_instances_create(config, NULL, mistakes));
	g_assert_cmpstr(events->str, ==, "+c -c ");
	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, 2);
	g_assert_cmpstr(ph_mistakes_get(mistakes, 0)->text, ==,
	                "[listener b] (plugin 'talk'): told to fail");
	g_assert_cmpuint(ph_mistakes_get(mistakes, 0)->line, ==, 8);
}

int
main(int argc, char **argv)
{
	int status = 0;

	g_test_init(&argc, &argv, NULL);
	events = g_string_new("");
	data_folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_test_add_func("/plugin/instance/what-is-named-comes-first", test_order);
	g_test_add_func("/plugin/instance/reloads-share-what-is-the-same", test_shared);
	g_test_add_func("/plugin/instance/reloads-replace-what-changed", test_changed);
	g_test_add_func("/plugin/instance/keys-of-the-core-change-no-instance", test_core_keys);
	g_test_add_func("/plugin/instance/routes-share-a-transports-settings", test_transport);
	g_test_add_func("/plugin/instance/failures-leave-nothing", test_failure);
	status = g_test_run();
	g_string_free(events, TRUE);
	g_rmdir(data_folder);
	g_free(data_folder);
	return status;
}

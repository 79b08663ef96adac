/* generation.c: everything that one configuration brings to life
 *
 * Made in the order of need: instances, TLS, router, listeners; destroyed in the other direction,
 * on the main thread, because that is what plugins are promised for `destroy`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/generation.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "login/invent.h"
#include "login/service.h"
#include "mailbox/account.h"
#include "net/address-list.h"
#include "net/resolver.h"
#include "net/tls-context.h"
#include "net/tls-stream.h"
#include "plugin/instance.h"
#include "server/filter-chain.h"
#include "server/routes.h"

#include <string.h>

typedef struct {
	PhSection *section; /* borrowed from the config */
	PhLoginParams login;
	PhAddressList *proxies; /* (nullable) */
	PhTlsContext *tls;      /* (nullable) that asks for certificates; else the generation's */
	PhServices services;
} Listener;

struct PhGeneration {
	gatomicrefcount references;
	uint64_t number;
	const PhRuntime *runtime;
	PhConfig *config;
	bool has_instances;
	PhTlsContext *tls;
	PhRouter *router;
	bool filters_deliveries; /* a route does */
	GPtrArray *listeners;    /* of Listener */
	bool has_login_key;
	uint8_t login_key[PH_LOGIN_KEY_SIZE];
};

static void
free_listener(gpointer pointer)
{
	Listener *listener = pointer;

	ph_login_service_free(listener->services.login);
	ph_accounts_free(listener->services.accounts);
	ph_filter_chain_free(listener->services.filters);
	ph_address_list_free(listener->proxies);
	ph_tls_context_unref(listener->tls);
	g_free(listener);
}

/* Closes what the stores of this generation hold open; a later generation that shares one opens it
 * again when it is needed. */
static void
close_accounts(const PhGeneration *generation)
{
	PhSection *const *sections = ph_config_sections(generation->config);

	for (size_t i = 0; sections[i] != NULL; i++)
		if (ph_section_kind(sections[i]) == PH_KIND_STORE)
			ph_accounts_forget_section(ph_section_origin(sections[i]));
}

static gboolean
destroy(gpointer pointer)
{
	PhGeneration *generation = pointer;

	g_ptr_array_unref(generation->listeners);
	ph_router_unref(generation->router);
	ph_tls_context_unref(generation->tls);
	if (generation->has_instances) {
		close_accounts(generation);
		ph_instances_release(generation->config);
	}
	ph_config_unref(generation->config);
	ph_secret_wipe(generation->login_key, sizeof generation->login_key);
	g_free(generation);
	return G_SOURCE_REMOVE;
}

PhGeneration *
ph_generation_ref(PhGeneration *generation)
{
	g_atomic_ref_count_inc(&generation->references);
	return generation;
}

void
ph_generation_unref(PhGeneration *generation)
{
	if (generation == NULL || !g_atomic_ref_count_dec(&generation->references))
		return;
	if (generation->runtime->has_main_loop)
		g_idle_add(destroy, generation);
	else
		destroy(generation);
}

static void *
hold(void *owner)
{
	return ph_generation_ref(owner);
}

static void
release(void *user_data)
{
	ph_generation_unref(user_data);
}

/* --- making --------------------------------------------------------------------------------- */

/* @listener: (nullable) the one whose clients are asked for certificates. Returns: (owned); NULL with
 * a mistake, or when there are no certificates. */
static PhTlsContext *
make_context(const PhGeneration *generation,
             const PhListenerSettings *listener,
             unsigned line,
             PhMistakes *mistakes)
{
	g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(PhTlsPair));
	const PhConfigTls *first = ph_config_tls(generation->config, 0);
	const PhConfigTls *tls = first;
	PhTlsServerOptions options = { .n_pairs = 0 };
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; tls != NULL; tls = ph_config_tls(generation->config, ++i)) {
		PhTlsPair pair = {
			.certificate = tls->settings->certificate,
			.key = tls->settings->key,
			.names = tls->settings->names,
			.minimum_version = tls->settings->minimum_version == PH_TLS_MINIMUM_1_3
			                           ? 0x0304
			                           : 0x0303,
			.ciphers = tls->settings->ciphers,
		};

		g_array_append_val(pairs, pair);
		if (pair.ciphers == NULL || ph_tls_knows_ciphers(pair.ciphers))
			continue;
		ph_mistakes_add(mistakes, ph_config_tls_line(generation->config, tls, "ciphers"),
		                "OpenSSL knows none of the ciphers '%s'; see what it has: openssl "
		                "ciphers",
		                pair.ciphers);
		return NULL;
	}
	if (first == NULL)
		return NULL;
	options.pairs = (const PhTlsPair *) (void *) pairs->data;
	options.n_pairs = pairs->len;
	if (listener != NULL) {
		options.client_ca_file = listener->client_ca;
		options.client_required =
			listener->client_certificates == PH_CLIENT_CERTIFICATES_REQUIRE;
	}
	PhTlsContext *context = ph_tls_context_new_server(&options, &error);
	if (context == NULL)
		ph_mistakes_add(mistakes, listener != NULL ? line : first->line, "%s",
		                error->message);
	return context;
}

static bool
make_tls(PhGeneration *generation, PhMistakes *mistakes)
{
	if (ph_config_tls(generation->config, 0) == NULL)
		return true;
	generation->tls = make_context(generation, NULL, 0, mistakes);
	return generation->tls != NULL;
}

/* A context of its own for a listener that asks clients for certificates. */
static bool
make_listener_tls(const PhGeneration *generation, Listener *listener, PhMistakes *mistakes)
{
	const PhListenerSettings *settings = ph_section_listener(listener->section);

	if (generation->tls == NULL || settings->tls == PH_LISTENER_TLS_NONE
	    || settings->client_certificates == PH_CLIENT_CERTIFICATES_NONE)
		return true;
	listener->tls = make_context(generation, settings,
	                             ph_section_key_line(listener->section, "client-ca"), mistakes);
	return listener->tls != NULL;
}

/* Where transports run that block. */
static void
run_on_workers(void (*func)(void *user_data), void *user_data, void *runner_data)
{
	ph_workers_submit(runner_data, func, user_data);
}

static bool
make_router(PhGeneration *generation, PhMistakes *mistakes)
{
	g_autoptr(GError) error = NULL;

	generation->router =
		ph_routes_build(generation->config, generation->runtime->partial, &error);
	if (generation->router == NULL)
		ph_mistakes_add(mistakes, 0, "%s", error->message);
	if (generation->router != NULL)
		generation->filters_deliveries =
			ph_router_hold_filters(generation->router, hold, release, generation);
	if (generation->router != NULL)
		ph_router_set_queue(generation->router, generation->runtime->queue);
	if (generation->router != NULL && generation->runtime->reactor != NULL)
		ph_router_set_runner(generation->router, run_on_workers,
		                     generation->runtime->reactor);
	return generation->router != NULL;
}

static bool
needs_login_key(PhSection *const *mechanisms)
{
	for (; mechanisms != NULL && *mechanisms != NULL; mechanisms++) {
		const PhMechanism *table = ph_section_table(*mechanisms);

		if ((table->flags & PH_MECHANISM_NEEDS_SECRET) != 0)
			return true;
	}
	return false;
}

/* Without the file the key lasts as long as the generation: salts of unknown users change then. */
static void
load_login_key(PhGeneration *generation)
{
	g_autoptr(GError) error = NULL;

	if (generation->has_login_key)
		return;
	generation->has_login_key = true;
	if (!ph_login_key_load(ph_config_server(generation->config)->data, generation->login_key,
	                       &error))
		ph_log(PH_LOG_WARNING, "login-key",
		       "the key that hides which users exist cannot be kept", PH_LOG_FAILURE(error),
		       PH_LOG_END);
}

static void
make_login(PhGeneration *generation, Listener *listener, const PhListenerSettings *settings)
{
	if (settings->directory == NULL)
		return;
	if (needs_login_key(settings->mechanisms))
		load_login_key(generation);
	listener->login = (PhLoginParams){
		.directories = settings->directory,
		.mechanisms = settings->mechanisms,
		.backoff = generation->runtime->backoff,
		.plaintext = settings->plaintext_auth,
		.max_failures = (uint32_t) ph_config_server(generation->config)->login_failures,
		.key = generation->login_key,
		.masters = settings->master_directory,
		.master_separator = settings->master_separator,
		.proxy_groups = settings->proxy_groups,
	};
	listener->services.login = ph_login_service_new(&listener->login);
}

static void
make_filters(PhGeneration *generation, Listener *listener, const PhListenerSettings *settings)
{
	PhFilterChain *chain = NULL;

	/* Filters of routes want to know what is known here. */
	if (settings->filters == NULL && !generation->filters_deliveries)
		return;
	chain = ph_filter_chain_new(settings->filters);
	chain->hold = hold;
	chain->release = release;
	chain->owner = generation;
	listener->services.filters = chain;
}

static bool
make_listener(PhGeneration *generation, PhSection *section, PhMistakes *mistakes)
{
	const PhListenerSettings *settings = ph_section_listener(section);
	Listener *listener = g_new0(Listener, 1);
	g_autoptr(GError) error = NULL;

	g_ptr_array_add(generation->listeners, listener);
	listener->section = section;
	make_login(generation, listener, settings);
	make_filters(generation, listener, settings);
	if (settings->store != NULL)
		listener->services.accounts = ph_accounts_new(settings->store);
	listener->services.router = generation->router;
	listener->services.server = generation;
	if (!make_listener_tls(generation, listener, mistakes))
		return false;
	if (settings->proxy_protocol == NULL)
		return true;
	listener->proxies = ph_address_list_new(settings->proxy_protocol, &error);
	if (listener->proxies == NULL)
		ph_mistakes_add(mistakes, ph_section_key_line(section, "proxy-protocol"), "%s",
		                error->message);
	return listener->proxies != NULL;
}

static bool
make_all(PhGeneration *generation, PhGeneration *previous, PhMistakes *mistakes)
{
	PhSection *const *sections = ph_config_sections(generation->config);

	generation->has_instances = ph_instances_create(
		generation->config, previous != NULL ? previous->config : NULL, mistakes);
	if (!generation->has_instances || !make_tls(generation, mistakes)
	    || !make_router(generation, mistakes))
		return false;
	for (size_t i = 0; sections[i] != NULL; i++)
		if (ph_section_is_listener(sections[i])
		    && !make_listener(generation, sections[i], mistakes))
			return false;
	return true;
}

/* One for the process: the present config's. */
static void
use_resolver(const PhConfig *config)
{
	const PhResolverSettings *settings = ph_config_resolver(config);

	ph_resolver_configure(&(PhResolverParams){
		.servers = settings->server,
		.trust_anchor = settings->trust_anchor,
		.hosts = settings->hosts,
		.timeout = settings->timeout,
		.max_questions = (uint32_t) settings->max_questions,
	});
}

PhGeneration *
ph_generation_new(const PhRuntime *runtime,
                  PhConfig *config,
                  PhGeneration *previous,
                  PhMistakes *mistakes)
{
	PhGeneration *generation = g_new0(PhGeneration, 1);

	g_atomic_ref_count_init(&generation->references);
	generation->number = previous != NULL ? previous->number + 1 : 1;
	generation->runtime = runtime;
	generation->config = ph_config_ref(config);
	generation->listeners = g_ptr_array_new_with_free_func(free_listener);
	if (make_all(generation, previous, mistakes)) {
		use_resolver(config);
		return generation;
	}
	destroy(generation);
	return NULL;
}

/* --- using ---------------------------------------------------------------------------------- */

PhConfig *
ph_generation_config(const PhGeneration *generation)
{
	return generation->config;
}

PhRouter *
ph_generation_router(const PhGeneration *generation)
{
	return generation->router;
}

uint64_t
ph_generation_number(const PhGeneration *generation)
{
	return generation->number;
}

PhTlsContext *
ph_generation_tls(const PhGeneration *generation)
{
	return generation->tls;
}

PhQueue *
ph_generation_queue(const PhGeneration *generation)
{
	PhQueueRun *run = generation->runtime->queue;

	return run != NULL ? ph_queue_run_queue(run) : NULL;
}

void
ph_generation_use_queue(PhGeneration *generation)
{
	PhQueueUse use = { .config = generation->config,
		           .router = generation->router,
		           .keeper = generation,
		           .keeper_free = release };

	if (generation->runtime->queue == NULL)
		return;
	(void) ph_generation_ref(generation);
	ph_queue_run_use(generation->runtime->queue, &use);
}

static Listener *
find_listener(const PhGeneration *generation, const char *name)
{
	for (guint i = 0; i < generation->listeners->len; i++) {
		Listener *listener = generation->listeners->pdata[i];

		if (strcmp(ph_section_name(listener->section), name) == 0)
			return listener;
	}
	return NULL;
}

static uint32_t
limit_of(int64_t own, int64_t of_server)
{
	return (uint32_t) (own > 0 ? own : of_server);
}

static PhTlsContext *
tls_of(const PhGeneration *generation, const Listener *listener, const PhListenerSettings *settings)
{
	if (settings->tls == PH_LISTENER_TLS_NONE)
		return NULL;
	return listener->tls != NULL ? listener->tls : generation->tls;
}

bool
ph_generation_listener(PhGeneration *generation, const char *name, PhListenerParams *params_out)
{
	Listener *listener = find_listener(generation, name);
	const PhServerSettings *server = ph_config_server(generation->config);
	const PhListenerSettings *settings = NULL;

	if (listener == NULL)
		return false;
	settings = ph_section_listener(listener->section);
	*params_out = (PhListenerParams){
		.section = listener->section,
		.protocol = ph_section_table(listener->section),
		.instance = ph_section_instance(listener->section),
		.services = &listener->services,
		.hostname = ph_section_hostname(listener->section),
		.tls = tls_of(generation, listener, settings),
		.tls_mode = generation->tls != NULL ? settings->tls : PH_LISTENER_TLS_NONE,
		.tls_stream_new = ph_tls_stream_new_server,
		.proxy_networks = listener->proxies,
		.max_sessions = (uint32_t) settings->max_connections,
		.max_sessions_per_address = limit_of(settings->max_connections_per_address,
		                                     server->max_connections_per_address),
		.release = release,
		.user_data = ph_generation_ref(generation),
	};
	return true;
}

/* check.c: what is wrong with a config as a whole: references, addresses, domains, files
 *
 * Everything that would stop the server later is found here, so that what passes never fails in
 * `serve` for a reason that lies in the file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/protocol.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include "base/clock.h"
#include "base/limits.h"
#include "config/build.h"
#include "config/certificate.h"
#include "config/listen.h"
#include "config/name-server.h"
#include "config/route-rules.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static unsigned int
server_line(const PhBuilder *builder, const char *key)
{
	const PhKeyfile *keyfile = builder->config->keyfile;

	for (guint i = 0; i < keyfile->sections->len; i++) {
		const PhKeyfileSection *section = keyfile->sections->pdata[i];
		const PhKeyfileKey *row =
			strcmp(section->kind, "server") == 0 ? ph_keyfile_key(section, key) : NULL;

		if (row != NULL)
			return row->line;
	}
	return builder->config->server_line;
}

/* The server makes the data directory itself where it can. */
static void
check_data_parent(PhBuilder *builder, const char *data, unsigned int line)
{
	g_autofree char *parent = g_path_get_dirname(data);
	struct stat info;

	if (stat(parent, &info) == 0 && S_ISDIR(info.st_mode) && access(parent, W_OK) == 0)
		return;
	ph_mistakes_add(
		builder->mistakes, line,
		"the data directory '%s' does not exist and cannot be created in '%s'; create "
		"it for the server's user with mode 0700",
		data, parent);
}

static void
check_data(PhBuilder *builder)
{
	const char *data = builder->config->server->data;
	unsigned int line = server_line(builder, "data");
	struct stat info;

	if (data == NULL)
		return;
	if (stat(data, &info) < 0 && errno == ENOENT)
		check_data_parent(builder, data, line);
	else if (stat(data, &info) < 0)
		ph_mistakes_add(builder->mistakes, line,
		                "cannot look at the data directory '%s': %s", data,
		                g_strerror(errno));
	else if (!S_ISDIR(info.st_mode))
		ph_mistakes_add(builder->mistakes, line,
		                "the data directory '%s' is a file; name a directory", data);
	else if (info.st_uid != builder->config->user)
		ph_mistakes_add(
			builder->mistakes, line,
			"the data directory '%s' belongs to user %u, but the server runs as "
			"user %u; run: chown %u '%s'",
			data, (unsigned int) info.st_uid, (unsigned int) builder->config->user,
			(unsigned int) builder->config->user, data);
	else if ((info.st_mode & S_IWOTH) != 0)
		ph_mistakes_add(builder->mistakes, line,
		                "the data directory '%s' can be written by everybody (mode %04o); "
		                "run: chmod 0700 '%s'",
		                data, (unsigned int) (info.st_mode & 07777), data);
}

static bool
is_host_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!g_ascii_isalnum(name[i]) && strchr("-._", name[i]) == NULL
		    && (unsigned char) name[i] < 0x80)
			return false;
	return length > 0 && length <= PH_LIMIT_DOMAIN && name[0] != '.' && name[0] != '-'
	       && name[length - 1] != '.' && strstr(name, "..") == NULL
	       && !g_hostname_is_ip_address(name);
}

static void
check_queue(PhBuilder *builder)
{
	unsigned int line = 0;
	const PhQueueOptions *queue = ph_config_plain(builder->config, "queue", &line);
	uint64_t us = 0;

	for (size_t i = 0; queue->retry != NULL && queue->retry[i] != NULL; i++)
		if (!ph_duration_parse(ph_slice(queue->retry[i]), &us) || us == 0)
			ph_mistakes_add(builder->mistakes, line,
			                "'retry' in [queue] has '%s'; write times such as 5min, "
			                "separated by commas",
			                queue->retry[i]);
}

static void
check_server(PhBuilder *builder)
{
	const PhServerSettings *server = builder->config->server;
	const struct sockaddr_un un;

	check_data(builder);
	if (server->hostname != NULL && !is_host_name(server->hostname, strlen(server->hostname)))
		ph_mistakes_add(builder->mistakes, server_line(builder, "hostname"),
		                "'%s' is no host name; write such as mail.example.org",
		                server->hostname);
	if (server->control != NULL && strlen(server->control) >= sizeof un.sun_path)
		ph_mistakes_add(
			builder->mistakes, server_line(builder, "control"),
			"the path of the control socket '%s' is longer than %zu octets; name "
			"a shorter one in 'control'",
			server->control, sizeof un.sun_path - 1);
	else if (server->control != NULL
	         && server_line(builder, "control") != builder->config->server_line)
		ph_check_control(builder, server->control, server_line(builder, "control"));
	for (size_t i = 0; server->plugin_path != NULL && server->plugin_path[i] != NULL; i++)
		if (server->plugin_path[i][0] != '/')
			ph_mistakes_add(
				builder->mistakes, server_line(builder, "plugin-path"),
				"'plugin-path' names '%s'; directories in it must be absolute",
				server->plugin_path[i]);
}

static void
check_tls(PhBuilder *builder)
{
	const PhConfigTls *tls = NULL;

	for (size_t i = 0; (tls = ph_config_tls(builder->config, i)) != NULL; i++) {
		PhCertificateFaults faults = { NULL, NULL, NULL };

		if (i == 0 && tls->name[0] != '\0')
			ph_mistakes_add(
				builder->mistakes, tls->line,
				"there is no [tls] section for clients that name no server; "
				"make [tls %s] that one by removing its name",
				tls->name);
		if (tls->settings->certificate == NULL || tls->settings->key == NULL)
			continue;
		faults = ph_certificate_check(tls->settings->certificate, tls->settings->key,
		                              ph_clock_wall_us());
		if (faults.certificate != NULL)
			ph_mistakes_add(builder->mistakes,
			                ph_config_tls_line(builder->config, tls, "certificate"),
			                "%s", faults.certificate);
		if (faults.expires != NULL)
			ph_mistakes_warn(builder->mistakes,
			                 ph_config_tls_line(builder->config, tls, "certificate"),
			                 "%s", faults.expires);
		if (faults.key != NULL)
			ph_mistakes_add(builder->mistakes,
			                ph_config_tls_line(builder->config, tls, "key"), "%s",
			                faults.key);
		ph_certificate_faults_clear(&faults);
	}
}

static void
check_listener_tls(PhBuilder *builder, const PhSection *section, PhListenerSettings *listener)
{
	bool has_tls = builder->config->tls->len > 0;
	bool given = ph_keyfile_key(section->keys, "tls") != NULL;
	static const char *const words[] = { "none", "starttls", "implicit" };

	if (!given)
		listener->tls = has_tls ? PH_LISTENER_TLS_STARTTLS : PH_LISTENER_TLS_NONE;
	else if (listener->tls != PH_LISTENER_TLS_NONE && !has_tls)
		ph_mistakes_add(builder->mistakes, ph_section_key_line(section, "tls"),
		                "[listener %s] has tls = %s, but there is no [tls] section; write "
		                "one with 'certificate' and 'key'",
		                section->name, words[listener->tls]);
}

static void
tell_need(PhBuilder *builder, const PhSection *section, const char *key, const char *what)
{
	g_autofree char *title = ph_section_title(section);

	/* a key that is there and wrong has been told */
	if (ph_keyfile_key(section->keys, key) != NULL)
		return;
	ph_mistakes_add(builder->mistakes, section->line,
	                "%s lacks the key '%s': the plugin '%s' needs %s", title, key,
	                section->offer->name, what);
}

static bool
has_route(const PhBuilder *builder)
{
	for (guint i = 0; i < builder->config->sections->len; i++)
		if (ph_section_is_route(builder->config->sections->pdata[i]))
			return true;
	return false;
}

static uint32_t
listener_needs(const PhSection *section)
{
	const PhProtocol *protocol = section->offer != NULL ? section->offer->table : NULL;

	if (protocol == NULL)
		return 0;
	if (protocol->settings_need == NULL || section->settings == NULL)
		return section->offer->needs;
	return section->offer->needs | protocol->settings_need(section->settings);
}

static void
check_listener_needs(PhBuilder *builder, const PhSection *section)
{
	const PhListenerSettings *listener = section->core_settings;
	uint32_t needs = listener_needs(section);

	if ((needs & PH_NEEDS_STORE) != 0 && listener->store == NULL)
		tell_need(builder, section, "store", "a store");
	if ((needs & PH_NEEDS_DIRECTORY) != 0 && listener->directory == NULL)
		tell_need(builder, section, "directory", "a directory");
	if ((needs & PH_NEEDS_MECHANISMS) != 0 && listener->mechanisms == NULL)
		tell_need(builder, section, "mechanisms", "mechanisms such as plain");
	if (listener->mechanisms != NULL && listener->directory == NULL
	    && (needs & PH_NEEDS_DIRECTORY) == 0 && section->offer != NULL)
		ph_mistakes_add(
			builder->mistakes, ph_section_key_line(section, "mechanisms"),
			"[listener %s] offers mechanisms, but lacks the key 'directory' that "
			"says whose passwords they check",
			section->name);
	if ((needs & PH_NEEDS_ROUTES) != 0 && !has_route(builder))
		ph_mistakes_add(
			builder->mistakes, section->line,
			"[listener %s] takes mail, but there is no [route NAME] section that "
			"says where it goes",
			section->name);
}

typedef struct {
	PhListenAddress address;
	const PhSection *section;
	const char *text;
} Bound;

static void
check_address(PhBuilder *builder, const PhSection *section, const char *text, GArray *bound)
{
	g_autoptr(GString) problem = g_string_new("");
	Bound row = { .section = section, .text = text };
	unsigned int line = ph_section_key_line(section, "address");

	if (!ph_listen_parse(text, &row.address, problem)) {
		ph_mistakes_add(builder->mistakes, line, "'address' in [listener %s] %s",
		                section->name, problem->str);
		return;
	}
	for (guint i = 0; i < bound->len; i++) {
		const Bound *other = &g_array_index(bound, Bound, i);

		if (!ph_listen_collide(&other->address, &row.address))
			continue;
		ph_mistakes_add(
			builder->mistakes, line,
			"[listener %s] wants '%s', which [listener %s] has taken with '%s'; "
			"use another port",
			section->name, text, other->section->name, other->text);
		return;
	}
	g_array_append_val(bound, row);
	if (builder->purpose == PH_CONFIG_FOR_CHECK)
		ph_check_here(builder, section, &row.address);
}

/* A filter that is named and never asked would be worse than none. */
static void
check_filters(PhBuilder *builder, const PhSection *section, const PhListenerSettings *listener)
{
	if (listener->filters == NULL || section->offer == NULL
	    || (section->offer->needs & PH_ASKS_FILTERS) != 0)
		return;
	ph_mistakes_add(builder->mistakes, ph_section_key_line(section, "filters"),
	                "the protocol of [listener %s] asks no filters; take 'filters' out of it",
	                section->name);
}

static void
check_listener(PhBuilder *builder, const PhSection *section, GArray *bound)
{
	PhListenerSettings *listener = section->core_settings;

	check_listener_tls(builder, section, listener);
	check_listener_needs(builder, section);
	check_filters(builder, section, listener);
	ph_check_login(builder, section);
	for (size_t i = 0; listener->address != NULL && listener->address[i] != NULL; i++)
		check_address(builder, section, listener->address[i], bound);
	for (size_t i = 0; listener->proxy_protocol != NULL && listener->proxy_protocol[i] != NULL;
	     i++) {
		g_autoptr(GString) problem = g_string_new("");
		PhNetwork network;

		if (!ph_network_parse(listener->proxy_protocol[i], &network, problem))
			ph_mistakes_add(builder->mistakes,
			                ph_section_key_line(section, "proxy-protocol"),
			                "'proxy-protocol' in [listener %s] %s", section->name,
			                problem->str);
	}
}

static void
check_domain(PhBuilder *builder, const PhSection *section, const char *domain, GHashTable *seen)
{
	g_autofree char *lower = g_utf8_strdown(domain, -1);
	const PhSection *other = g_hash_table_lookup(seen, lower);
	unsigned int line = ph_section_key_line(section, "domains");

	if (strcmp(domain, "*") != 0 && !is_host_name(domain, strlen(domain))) {
		ph_mistakes_add(
			builder->mistakes, line,
			"'domains' in [route %s] has '%s', which is no domain; write such as "
			"example.org, or *",
			section->name, domain);
		return;
	}
	if (other != NULL)
		ph_mistakes_add(
			builder->mistakes, line,
			"the domain '%s' is served by [route %s] and by [route %s]; leave it "
			"to one of them",
			domain, other->name, section->name);
	else
		g_hash_table_insert(seen, g_steal_pointer(&lower), (gpointer) (uintptr_t) section);
}

static bool
serves(const PhRouteSettings *route, const char *domain)
{
	for (size_t i = 0; route->domains != NULL && route->domains[i] != NULL; i++)
		if (g_ascii_strcasecmp(route->domains[i], domain) == 0)
			return true;
	return false;
}

static void
check_renamed(PhBuilder *builder, const PhSection *section, const char *text, GHashTable *seen)
{
	unsigned int line = ph_section_key_line(section, "domain-aliases");
	g_autofree char *from = NULL;
	g_autofree char *to = NULL;

	if (!ph_route_rule_domain(text, &from, &to)) {
		ph_mistakes_add(builder->mistakes, line,
		                "'domain-aliases' in [route %s] has '%s'; write such as "
		                "example.net -> example.org",
		                section->name, text);
		return;
	}
	if (!serves(section->core_settings, to))
		ph_mistakes_add(builder->mistakes, line,
		                "'%s' in [route %s] leads to '%s', which is none of its "
		                "'domains'; add it there",
		                text, section->name, to);
	if (g_hash_table_contains(seen, from))
		ph_mistakes_add(builder->mistakes, line,
		                "the domain '%s' in [route %s] is served by a route already; "
		                "it cannot be another's name, too",
		                from, section->name);
	else
		g_hash_table_insert(seen, g_steal_pointer(&from), (gpointer) (uintptr_t) section);
}

static void
check_route(PhBuilder *builder, const PhSection *section, GHashTable *seen)
{
	const PhRouteSettings *route = section->core_settings;
	uint32_t needs = section->offer != NULL ? section->offer->needs : 0;

	if ((needs & PH_ROUTE_NEEDS_STORE) != 0 && route->store == NULL)
		tell_need(builder, section, "store", "a store");
	if ((needs & PH_ROUTE_NEEDS_DIRECTORY) != 0 && route->directory == NULL)
		tell_need(builder, section, "directory", "a directory");
	for (size_t i = 0; route->domains != NULL && route->domains[i] != NULL; i++)
		check_domain(builder, section, route->domains[i], seen);
	for (size_t i = 0; route->domain_aliases != NULL && route->domain_aliases[i] != NULL; i++)
		check_renamed(builder, section, route->domain_aliases[i], seen);
	if (route->detail_mailbox && (route->separators == NULL || route->separators[0] == '\0'))
		ph_mistakes_warn(builder->mistakes, ph_section_key_line(section, "detail-mailbox"),
		                 "'detail-mailbox' in [route %s] does nothing without "
		                 "'separators'",
		                 section->name);
}

/* A route whose mail can be put neither into a mailbox nor into the queue. */
static const PhSection *
route_without_quarantine(const PhConfig *config)
{
	if (ph_config_needs_queue(config))
		return NULL;
	for (guint i = 0; i < config->sections->len; i++) {
		const PhSection *section = config->sections->pdata[i];
		const PhRouteSettings *route = section->core_settings;

		if (ph_section_is_route(section) && route->store == NULL)
			return section;
	}
	return NULL;
}

/* Does it say that it will put mail into quarantine? */
static bool
names_quarantine(const PhSection *section)
{
	return section->keys != NULL
	       && (ph_keyfile_key(section->keys, "quarantine") != NULL
	           || ph_section_plugin(section)->on_failure == PH_ON_FAILURE_QUARANTINE);
}

static void
check_quarantine(PhBuilder *builder)
{
	const PhSection *route = route_without_quarantine(builder->config);

	for (guint i = 0; route != NULL && i < builder->config->sections->len; i++) {
		const PhSection *section = builder->config->sections->pdata[i];

		if (section->kind == PH_KIND_FILTER && names_quarantine(section))
			ph_mistakes_warn(builder->mistakes,
			                 ph_section_key_line(section, "quarantine"),
			                 "[filter %s] cannot put mail for [route %s] into "
			                 "quarantine, and such mail gets a temporary answer: the "
			                 "route has no store; write [queue], where it can be held",
			                 section->name, route->name);
	}
}

static void
check_resolver(PhBuilder *builder)
{
	unsigned int line = 0;
	const PhResolverSettings *resolver = ph_config_plain(builder->config, "resolver", &line);

	for (size_t i = 0; resolver->server != NULL && resolver->server[i] != NULL; i++) {
		g_autofree char *server = ph_name_server_parse(resolver->server[i]);

		if (server == NULL)
			ph_mistakes_add(builder->mistakes, line,
			                "'%s' is no name server; write such as 127.0.0.1, "
			                "127.0.0.1:5353 or [::1]:5353",
			                resolver->server[i]);
	}
	if (resolver->trust_anchor != NULL && access(resolver->trust_anchor, R_OK) != 0)
		ph_mistakes_add(builder->mistakes, line, "cannot read the trust anchor '%s': %s",
		                resolver->trust_anchor, g_strerror(errno));
}

static void
warn_unused(PhBuilder *builder, const PhSection *section)
{
	if (section->is_used || section->offer == NULL
	    || ph_mistakes_n_errors(builder->mistakes) > 0)
		return;
	ph_mistakes_warn(builder->mistakes, section->line,
	                 "nothing uses [%s %s]; name it in a listener or route, or remove it",
	                 section->word, section->name);
}

/* What a plugin in a process of its own stands on would have to be there too. */
static void
check_isolated(PhBuilder *builder, const PhSection *section)
{
	g_autofree char *title = ph_section_title(section);

	if (ph_section_isolate(section) > 0 && section->is_implicit)
		ph_mistakes_add(builder->mistakes, section->line,
		                "the plugin '%s' runs in processes of its own and needs a section; "
		                "write %s with plugin = %s",
		                section->name, title, section->name);
	else if (ph_section_is_privileged(section) && section->is_used && geteuid() != 0
	         && builder->config->server->user == NULL)
		ph_mistakes_warn(
			builder->mistakes, section->line,
			"%s reads what only root may: start the server as root, with "
			"'user' in [server] for whom it is to run as; "
			"%s/posthorn/systemd/pam.conf is the systemd unit's drop-in for that",
			title, PH_DATA_DIR);
	if (ph_section_isolate(section) > 0 && section->offer != NULL
	    && section->offer->not_isolated != NULL)
		ph_mistakes_add(builder->mistakes, ph_section_key_line(section, "isolate"),
		                "%s cannot be isolated: %s", title, section->offer->not_isolated);
	if (ph_section_isolate(section) > 0 && section->uses->len > 0)
		ph_mistakes_add(builder->mistakes, ph_section_key_line(section, "isolate"),
		                "%s stands on another section and cannot be isolated; isolate that "
		                "one",
		                title);
}

void
ph_check_all(PhBuilder *builder)
{
	g_autoptr(GArray) bound = g_array_new(FALSE, FALSE, sizeof(Bound));
	g_autoptr(GHashTable) domains =
		g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	bool has_listener = false;

	check_server(builder);
	check_queue(builder);
	check_tls(builder);
	check_resolver(builder);
	check_quarantine(builder);
	ph_check_order(builder);
	for (guint i = 0; i < builder->config->sections->len; i++) {
		const PhSection *section = builder->config->sections->pdata[i];

		if (ph_section_is_listener(section)) {
			has_listener = true;
			check_listener(builder, section, bound);
		} else if (ph_section_is_route(section)) {
			check_route(builder, section, domains);
		} else if (section->kind == PH_KIND_STORE) {
			ph_check_store(builder, section);
			ph_check_accounts(builder, section);
		} else {
			check_isolated(builder, section);
		}
	}
	if (!has_listener && builder->purpose != PH_CONFIG_FOR_TOOL)
		ph_mistakes_add(
			builder->mistakes, 0,
			"there is no listener; write a section [listener NAME] with 'plugin' "
			"and 'address'");
	for (guint i = 0; i < builder->config->sections->len; i++)
		warn_unused(builder, builder->config->sections->pdata[i]);
}

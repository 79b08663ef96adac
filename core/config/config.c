/* config.c: one immutable, counted configuration
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/config.h"

#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/plugin.h>
#include <posthorn/transport.h>

#include "config/bind.h"
#include "config/build.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PRIVILEGED_PROCESSES = 4 /* of a plugin that has them whether its section says so or not */
};

static const PhOption *
rows_of(const char *word)
{
	return ph_section_kind_find(word)->rows;
}

static void
free_section(gpointer data)
{
	PhSection *section = data;

	if (section->owns_settings && section->offer != NULL)
		ph_bind_free(section->offer->options, section->settings);
	ph_bind_free(rows_of(section->word), section->core_settings);
	g_ptr_array_unref(section->uses);
	g_free(section->narrowed);
	g_free(section);
}

static PhConfig *
config_new(const char *folder)
{
	PhConfig *config = g_new0(PhConfig, 1);

	atomic_init(&config->n_refs, 1);
	config->folder = g_strdup(folder);
	config->tls = g_array_new(FALSE, FALSE, sizeof(PhConfigTls));
	config->plain = g_array_new(FALSE, FALSE, sizeof(PhConfigPlain));
	config->sections = g_ptr_array_new_with_free_func(free_section);
	config->all = g_ptr_array_new();
	config->ordered = g_ptr_array_new();
	return config;
}

PhConfig *
ph_config_ref(PhConfig *config)
{
	atomic_fetch_add_explicit(&config->n_refs, 1, memory_order_relaxed);
	return config;
}

void
ph_config_unref(PhConfig *config)
{
	if (config == NULL
	    || atomic_fetch_sub_explicit(&config->n_refs, 1, memory_order_acq_rel) > 1)
		return;
	g_ptr_array_unref(config->all);
	g_ptr_array_unref(config->ordered);
	g_ptr_array_unref(config->sections);
	for (guint i = 0; i < config->tls->len; i++) {
		const PhTlsSettings *settings = g_array_index(config->tls, PhConfigTls, i).settings;

		ph_bind_free(rows_of("tls"), (void *) (uintptr_t) settings);
	}
	g_array_unref(config->tls);
	for (guint i = 0; i < config->plain->len; i++) {
		const PhConfigPlain *plain = &g_array_index(config->plain, PhConfigPlain, i);

		ph_bind_free(plain->kind->rows, plain->settings);
	}
	g_array_unref(config->plain);
	ph_bind_free(rows_of("server"), config->server);
	ph_keyfile_free(config->keyfile);
	g_free(config->folder);
	g_free(config);
}

/* @keyfile: (owned). */
static PhConfig *
build(PhKeyfile *keyfile,
      const char *folder,
      const PhOfferSource *source,
      PhConfigPurpose purpose,
      PhMistakes *mistakes)
{
	g_autoptr(PhConfig) config = config_new(folder);
	PhBuilder builder = { .config = config,
		              .source = source,
		              .mistakes = mistakes,
		              .purpose = purpose };

	config->keyfile = keyfile;
	ph_build_all(&builder);
	ph_check_all(&builder);
	for (guint i = 0; i < config->sections->len; i++)
		g_ptr_array_add(config->all, config->sections->pdata[i]);
	g_ptr_array_add(config->all, NULL);
	g_ptr_array_add(config->ordered, NULL);
	return ph_mistakes_n_errors(mistakes) == 0 ? g_steal_pointer(&config) : NULL;
}

PhConfig *
ph_config_parse(PhSlice octets,
                const char *folder,
                const PhOfferSource *source,
                PhMistakes *mistakes)
{
	return build(ph_keyfile_parse(octets, mistakes), folder, source, PH_CONFIG_FOR_USE,
	             mistakes);
}

PhConfig *
ph_config_parse_for_tool(PhSlice octets,
                         const char *folder,
                         const PhOfferSource *source,
                         PhMistakes *mistakes)
{
	return build(ph_keyfile_parse(octets, mistakes), folder, source, PH_CONFIG_FOR_TOOL,
	             mistakes);
}

static PhConfig *
load(const char *path, const PhOfferSource *source, PhConfigPurpose purpose, PhMistakes *mistakes)
{
	g_autofree char *absolute = g_canonicalize_filename(path, NULL);
	g_autofree char *folder = g_path_get_dirname(absolute);
	PhKeyfile *keyfile = ph_keyfile_read(path, mistakes);

	return keyfile != NULL ? build(keyfile, folder, source, purpose, mistakes) : NULL;
}

PhConfig *
ph_config_load(const char *path, const PhOfferSource *source, PhMistakes *mistakes)
{
	return load(path, source, PH_CONFIG_FOR_USE, mistakes);
}

PhConfig *
ph_config_load_to_check(const char *path, const PhOfferSource *source, PhMistakes *mistakes)
{
	return load(path, source, PH_CONFIG_FOR_CHECK, mistakes);
}

const PhServerSettings *
ph_config_server(const PhConfig *config)
{
	return config->server;
}

const PhQueueOptions *
ph_config_queue(const PhConfig *config)
{
	return ph_config_plain(config, "queue", NULL);
}

bool
ph_config_needs_queue(const PhConfig *config)
{
	unsigned int line = 0;

	for (guint i = 0; i < config->sections->len; i++) {
		const PhSection *section = config->sections->pdata[i];
		const PhTransport *table = section->offer != NULL ? section->offer->table : NULL;

		if (strcmp(section->word, "route") == 0 && table != NULL
		    && (table->flags & PH_TRANSPORT_COMMITS) == 0)
			return true;
	}
	(void) ph_config_plain(config, "queue", &line);
	return line > 0;
}

const char *
ph_config_folder(const PhConfig *config)
{
	return config->folder;
}

uid_t
ph_config_user(const PhConfig *config)
{
	return config->user;
}

gid_t
ph_config_group(const PhConfig *config)
{
	return config->group;
}

bool
ph_config_make_data(const PhConfig *config, GError **error)
{
	const char *data = config->server->data;

	if (mkdir(data, 0700) < 0) {
		if (errno == EEXIST)
			return true;
		ph_error_set_errno(error, errno, "cannot create the data directory '%s'", data);
		return false;
	}
	if (geteuid() != 0 || chown(data, config->user, config->group) == 0)
		return true;
	ph_error_set_errno(error, errno, "cannot give '%s' to the server's user", data);
	return false;
}

const void *
ph_config_plain(const PhConfig *config, const char *word, unsigned int *line_out)
{
	for (guint i = 0; i < config->plain->len; i++) {
		const PhConfigPlain *plain = &g_array_index(config->plain, PhConfigPlain, i);

		if (strcmp(plain->kind->word, word) != 0)
			continue;
		if (line_out != NULL)
			*line_out = plain->line;
		return plain->settings;
	}
	g_return_val_if_reached(NULL);
}

const PhResolverSettings *
ph_config_resolver(const PhConfig *config)
{
	return ph_config_plain(config, "resolver", NULL);
}

const PhConfigTls *
ph_config_tls(const PhConfig *config, size_t index)
{
	if (index >= config->tls->len)
		return NULL;
	return &g_array_index(config->tls, PhConfigTls, index);
}

unsigned int
ph_config_tls_line(const PhConfig *config, const PhConfigTls *tls, const char *key)
{
	for (guint i = 0; i < config->keyfile->sections->len; i++) {
		const PhKeyfileSection *section = config->keyfile->sections->pdata[i];

		if (section->line == tls->line && ph_keyfile_key(section, key) != NULL)
			return ph_keyfile_key(section, key)->line;
	}
	return tls->line;
}

PhSection *const *
ph_config_sections(const PhConfig *config)
{
	return (PhSection *const *) config->ordered->pdata;
}

PhSection *const *
ph_config_all_sections(const PhConfig *config)
{
	return (PhSection *const *) config->all->pdata;
}

PhSection *
ph_config_section(const PhConfig *config, const char *word, const char *name)
{
	for (guint i = 0; i < config->sections->len; i++) {
		PhSection *section = config->sections->pdata[i];

		if (strcmp(section->word, word) == 0 && strcmp(section->name, name) == 0)
			return section;
	}
	return NULL;
}

bool
ph_section_is_listener(const PhSection *section)
{
	return strcmp(section->word, "listener") == 0;
}

bool
ph_section_is_route(const PhSection *section)
{
	return strcmp(section->word, "route") == 0;
}

const PhListenerSettings *
ph_section_listener(const PhSection *section)
{
	g_assert(ph_section_is_listener(section));
	return section->core_settings;
}

const PhRouteSettings *
ph_section_route(const PhSection *section)
{
	g_assert(ph_section_is_route(section));
	return section->core_settings;
}

const PhPluginSettings *
ph_section_plugin(const PhSection *section)
{
	g_assert(!ph_section_is_route(section) && !ph_section_is_listener(section));
	return section->core_settings;
}

char *
ph_section_title(const PhSection *section)
{
	return g_strdup_printf("[%s %s]", section->word, section->name);
}

unsigned int
ph_section_key_line(const PhSection *section, const char *key)
{
	const PhKeyfileKey *row = section->keys != NULL ? ph_keyfile_key(section->keys, key) : NULL;

	return row != NULL ? row->line : section->line;
}

void
ph_section_limits(const PhSection *section, uint32_t *concurrency_out, PhDuration *timeout_out)
{
	*concurrency_out = 0;
	*timeout_out = (PhDuration){ 0 };
	if (ph_section_is_listener(section))
		return;
	if (ph_section_is_route(section)) {
		*concurrency_out = (uint32_t) ph_section_route(section)->concurrency;
		*timeout_out = ph_section_route(section)->timeout;
		return;
	}
	*concurrency_out = (uint32_t) ph_section_plugin(section)->concurrency;
	*timeout_out = ph_section_plugin(section)->timeout;
	/* A process does one call at a time. */
	if (ph_section_isolate(section) > 0)
		*concurrency_out = *concurrency_out > 0
		                           ? MIN(*concurrency_out, ph_section_isolate(section))
		                           : ph_section_isolate(section);
}

uint32_t
ph_section_isolate(const PhSection *section)
{
	if (ph_section_is_listener(section) || ph_section_is_route(section)
	    || section->core_settings == NULL)
		return 0;
	if (ph_section_plugin(section)->isolate == 0 && ph_section_is_privileged(section))
		return PRIVILEGED_PROCESSES;
	return (uint32_t) ph_section_plugin(section)->isolate;
}

bool
ph_section_is_privileged(const PhSection *section)
{
	const PhDirectory *table = section->kind == PH_KIND_DIRECTORY && section->offer != NULL
	                                   ? section->offer->table
	                                   : NULL;

	return table != NULL && (table->flags & PH_DIRECTORY_PRIVILEGED) != 0;
}

uint64_t
ph_section_message_size_limit(PhSection *section)
{
	return ph_config_server(section->config)->message_size_limit.octets;
}

/* build.c: sections of a file into settings, offers and references
 *
 * [server] first, because {data} and the plugin path come from it; then all sections are made, so
 * that names can refer forward; then each one's keys are bound. A name for which no section exists
 * becomes an implicit section when a plugin of that name needs no keys.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/build.h"

#include <posthorn/error.h>
#include <posthorn/plugin.h>

#include "base/limits.h"
#include "config/bind.h"
#include "config/suggest.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

static char *
title_of(const char *word, const char *name)
{
	return g_strdup_printf("[%s%s%s]", word, name[0] != '\0' ? " " : "", name);
}

/* The keys that @rows and @more know, as written in a file, for hints. Returns: (owned). */
static char **
keys_of(const PhOption *rows, const PhOption *more)
{
	GPtrArray *keys = g_ptr_array_new();
	const PhOption *tables[] = { rows, more };

	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
		for (const PhOption *row = tables[i]; row != NULL && row->key != NULL; row++)
			if ((row->flags & PH_OPTION_IS_REMOVED) == 0)
				g_ptr_array_add(keys, ph_option_key(row));
	g_ptr_array_add(keys, NULL);
	return (char **) g_ptr_array_free(keys, FALSE);
}

/* A key that only some kinds of sections have is told with the reason. */
static bool
tell_isolate(PhBuilder *builder, const PhKeyfileKey *key, const char *title)
{
	if (strcmp(key->key, "isolate") != 0 && strcmp(key->key, "isolate-memory") != 0)
		return false;
	ph_mistakes_add(builder->mistakes, key->line,
	                "%s cannot be isolated: only the plugins of directory, mechanism and "
	                "filter sections can run in processes of their own; remove '%s'",
	                title, key->key);
	return true;
}

static void
check_keys(PhBuilder *builder,
           const PhKeyfileSection *keys,
           const PhOption *rows,
           const PhOption *more)
{
	g_auto(GStrv) known = keys_of(rows, more);
	g_autofree char *title = title_of(keys->kind, keys->name);

	for (guint i = 0; i < keys->keys->len; i++) {
		const PhKeyfileKey *key = &g_array_index(keys->keys, PhKeyfileKey, i);
		g_autofree char *hint = NULL;

		if (ph_bind_find(rows, key->key) != NULL
		    || (more != NULL && ph_bind_find(more, key->key) != NULL))
			continue;
		if (tell_isolate(builder, key, title))
			continue;
		hint = ph_suggest_hint(key->key, (const char *const *) known);
		ph_mistakes_add(builder->mistakes, key->line, "%s has no key '%s'%s", title,
		                key->key, hint);
	}
}

static void
note_server_row(const PhOption *row, const void *settings, void *user_data)
{
	PhBuilder *builder = user_data;
	const PhServerSettings *server = settings;

	builder->context.data = server->data;
	builder->context.hostname = server->hostname;
}

static char *
machine_name(void)
{
	char name[256] = "";

	if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0')
		return g_strdup("localhost");
	return g_strdup(name);
}

/* [server] hostname may be absent, and the rows after it may name it. */
static void
default_hostname(const PhOption *row, const void *settings, void *user_data)
{
	PhServerSettings *server = (PhServerSettings *) (uintptr_t) settings;

	if (server->hostname == NULL && strcmp(row->key, "hostname") == 0)
		server->hostname = machine_name();
	note_server_row(row, settings, user_data);
}

static void
find_user(PhBuilder *builder, const PhKeyfileSection *keys)
{
	PhConfig *config = builder->config;
	const struct passwd *user = NULL;
	const struct group *group = NULL;

	config->user = geteuid();
	config->group = getegid();
	if (config->server->user != NULL) {
		user = getpwnam(config->server->user);
		if (user == NULL)
			ph_mistakes_add(builder->mistakes, ph_keyfile_key(keys, "user")->line,
			                "there is no user '%s' on this machine; create it or name "
			                "another in 'user'",
			                config->server->user);
		else if (geteuid() == 0) {
			config->user = user->pw_uid;
			config->group = user->pw_gid;
		}
	}
	if (config->server->group == NULL)
		return;
	group = getgrnam(config->server->group);
	if (group == NULL)
		ph_mistakes_add(builder->mistakes, ph_keyfile_key(keys, "group")->line,
		                "there is no group '%s' on this machine; create it or name another "
		                "in 'group'",
		                config->server->group);
	else if (geteuid() == 0)
		config->group = group->gr_gid;
}

static const PhKeyfileSection *
file_section(const PhKeyfile *keyfile, const char *word)
{
	for (guint i = 0; i < keyfile->sections->len; i++) {
		const PhKeyfileSection *section = keyfile->sections->pdata[i];

		if (strcmp(section->kind, word) == 0)
			return section;
	}
	return NULL;
}

static void
build_server(PhBuilder *builder)
{
	const PhKeyfileSection *keys = file_section(builder->config->keyfile, "server");
	const PhOption *rows = ph_section_kind_find("server")->rows;
	PhBinding binding = { .rows = rows,
		              .keys = keys,
		              .title = "[server]",
		              .line = keys != NULL ? keys->line : 0,
		              .mistakes = builder->mistakes,
		              .row_done = default_hostname,
		              .user_data = builder };

	builder->config->server_line = binding.line;
	if (keys != NULL)
		check_keys(builder, keys, rows, NULL);
	builder->config->server = ph_bind(&binding, &builder->context);
	find_user(builder, keys);
	builder->source->open(builder->source->user_data, builder->config->server->plugin_path,
	                      builder->config->user);
}

static void
build_tls(PhBuilder *builder, const PhKeyfileSection *keys)
{
	const PhOption *rows = ph_section_kind_find("tls")->rows;
	g_autofree char *title = title_of("tls", keys->name);
	PhBinding binding = { .rows = rows,
		              .keys = keys,
		              .title = title,
		              .line = keys->line,
		              .mistakes = builder->mistakes };
	PhConfigTls row = { keys->name, keys->line, NULL };

	check_keys(builder, keys, rows, NULL);
	row.settings = ph_bind(&binding, &builder->context);
	if (keys->name[0] == '\0')
		g_array_prepend_val(builder->config->tls, row);
	else
		g_array_append_val(builder->config->tls, row);
}

/* [resolver] and the like: they hold with their defaults when they are not written. */
static void
build_plain(PhBuilder *builder, const PhSectionKind *kind)
{
	const PhKeyfileSection *keys = file_section(builder->config->keyfile, kind->word);
	g_autofree char *title = title_of(kind->word, "");
	PhBinding binding = { .rows = kind->rows,
		              .keys = keys,
		              .title = title,
		              .line = keys != NULL ? keys->line : 0,
		              .mistakes = builder->mistakes };
	PhConfigPlain plain = { .kind = kind, .line = binding.line };

	if (keys != NULL)
		check_keys(builder, keys, kind->rows, NULL);
	plain.settings = ph_bind(&binding, &builder->context);
	g_array_append_val(builder->config->plain, plain);
}

static void
build_all_plain(PhBuilder *builder)
{
	for (const PhSectionKind *kind = ph_section_kinds; kind->word != NULL; kind++)
		if (kind->kind == 0 && !kind->takes_name && strcmp(kind->word, "server") != 0)
			build_plain(builder, kind);
}

static PhSection *
add_section(PhBuilder *builder, const PhSectionKind *kind, const char *name, unsigned int line)
{
	PhSection *section = g_new0(PhSection, 1);

	section->config = builder->config;
	section->word = kind->word;
	section->name = g_string_chunk_insert_const(builder->config->keyfile->strings, name);
	section->kind = kind->kind;
	section->line = line;
	section->uses = g_ptr_array_new();
	section->owns_settings = true;
	g_ptr_array_add(builder->config->sections, section);
	return section;
}

static void
tell_unknown_kind(PhBuilder *builder, const PhKeyfileSection *keys)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autofree char *hint = NULL;

	for (const PhSectionKind *row = ph_section_kinds; row->word != NULL; row++)
		g_ptr_array_add(words, (gpointer) (uintptr_t) row->word);
	g_ptr_array_add(words, NULL);
	hint = ph_suggest_hint(keys->kind, (const char *const *) words->pdata);
	ph_mistakes_add(builder->mistakes, keys->line, "there is no kind of section called '%s'%s",
	                keys->kind, hint);
}

static void
make_section(PhBuilder *builder, const PhKeyfileSection *keys)
{
	const PhSectionKind *kind = ph_section_kind_find(keys->kind);

	if (kind == NULL) {
		tell_unknown_kind(builder, keys);
	} else if (kind->needs_name && keys->name[0] == '\0') {
		ph_mistakes_add(builder->mistakes, keys->line,
		                "a %s section needs a name; write [%s NAME]", kind->word,
		                kind->word);
	} else if (!kind->takes_name && keys->name[0] != '\0') {
		ph_mistakes_add(builder->mistakes, keys->line,
		                "the %s section takes no name; write [%s]", kind->word, kind->word);
	} else if (kind->kind == 0) {
		if (strcmp(kind->word, "tls") == 0)
			build_tls(builder, keys);
	} else {
		add_section(builder, kind, keys->name, keys->line)->keys = keys;
	}
}

static PhSection *
find_by_kind(PhBuilder *builder, const char *word, const char *name)
{
	for (guint i = 0; i < builder->config->sections->len; i++) {
		PhSection *section = builder->config->sections->pdata[i];

		if (strcmp(section->word, word) == 0 && strcmp(section->name, name) == 0)
			return section;
	}
	return NULL;
}

static const PhOption no_rows[] = { PH_OPTIONS_END };

static void
bind_section(PhBuilder *builder, PhSection *section)
{
	const PhSectionKind *kind = ph_section_kind_find(section->word);
	const PhOption *rows = section->offer != NULL && section->owns_settings
	                               ? section->offer->options
	                               : no_rows;
	g_autofree char *title = title_of(section->word, section->name);
	PhBinding binding = { .rows = kind->rows,
		              .keys = section->keys,
		              .title = title,
		              .line = section->line,
		              .mistakes = builder->mistakes };
	PhSection *outer = builder->current;

	builder->current = section;
	section->core_settings = ph_bind(&binding, &builder->context);
	if (section->owns_settings && section->offer != NULL) {
		binding.rows = rows;
		section->settings = ph_bind(&binding, &builder->context);
	}
	if (section->keys != NULL && section->offer != NULL)
		check_keys(builder, section->keys, kind->rows, rows);
	builder->current = outer;
}

static void
bind_implicit(PhBuilder *builder, PhSection *section)
{
	/* the one key that it cannot do without is its name */
	const PhKeyfileKey key = { .key = "plugin", .value = section->name, .line = section->line };
	PhKeyfileSection keys = { .kind = section->word, .name = section->name };

	keys.keys = g_array_new(FALSE, FALSE, sizeof(PhKeyfileKey));
	g_array_append_val(keys.keys, key);
	section->keys = &keys;
	bind_section(builder, section);
	section->keys = NULL;
	g_array_unref(keys.keys);
}

static char **
names_for(PhBuilder *builder, const char *word, uint32_t kind)
{
	GPtrArray *names = g_ptr_array_new();
	g_auto(GStrv) plugins = builder->source->names(builder->source->user_data, kind);

	for (guint i = 0; i < builder->config->sections->len; i++) {
		const PhSection *section = builder->config->sections->pdata[i];

		if (strcmp(section->word, word) == 0 && !section->is_implicit)
			g_ptr_array_add(names, g_strdup(section->name));
	}
	for (size_t i = 0; plugins[i] != NULL; i++)
		g_ptr_array_add(names, g_strdup(plugins[i]));
	g_ptr_array_add(names, NULL);
	return (char **) g_ptr_array_free(names, FALSE);
}

static unsigned int
line_of(PhBuilder *builder)
{
	return builder->current != NULL ? builder->current->line : 0;
}

static PhSection *
make_implicit(PhBuilder *builder, uint32_t kind, const char *name, GString *problem)
{
	const char *word = ph_kind_word(kind);
	g_autoptr(GError) error = NULL;
	const PhOfferInfo *offer = NULL;
	PhSection *section = NULL;

	if (strchr(name, '/') == NULL && kind != PH_KIND_PROTOCOL)
		offer = builder->source->find(builder->source->user_data, kind, name, &error);
	if (offer == NULL && error != NULL
	    && !g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND)) {
		g_string_append_printf(problem, "names '%s': %s", name, error->message);
		return NULL;
	}
	if (offer == NULL) {
		g_auto(GStrv) names = names_for(builder, word, kind);
		g_autofree char *hint = ph_suggest_hint(name, (const char *const *) names);

		g_string_append_printf(problem,
		                       "names '%s', but there is no [%s %s] and no %s plugin of "
		                       "that name%s",
		                       name, word, name, ph_kind_name(kind), hint);
		return NULL;
	}
	if (ph_bind_needs_keys(offer->options)) {
		g_string_append_printf(
			problem,
			"names the plugin '%s', which needs keys of its own; write a "
			"section [%s %s] with plugin = %s",
			name, word, name, name);
		return NULL;
	}
	section = add_section(builder, ph_section_kind_find(word), name, line_of(builder));
	section->is_implicit = true;
	section->offer = offer;
	bind_implicit(builder, section);
	return section;
}

static PhSection *
resolve(void *user_data, uint32_t kind, const char *name, GString *problem)
{
	PhBuilder *builder = user_data;
	PhSection *section = find_by_kind(builder, ph_kind_word(kind), name);

	if (section == NULL)
		section = make_implicit(builder, kind, name, problem);
	if (section != NULL && builder->current != NULL
	    && !g_ptr_array_find(builder->current->uses, section, NULL))
		g_ptr_array_add(builder->current->uses, section);
	return section;
}

/* Words of the config that a plugin's rows must not use as well. */
static bool
check_overlap(PhBuilder *builder, const PhSection *section, const PhKeyfileKey *key)
{
	const PhSectionKind *kind = ph_section_kind_find(section->word);
	g_autofree char *title = title_of(section->word, section->name);

	for (const PhOption *row = section->offer->options; row->key != NULL; row++) {
		g_autofree char *name = ph_option_key(row);

		if (ph_bind_find(kind->rows, name) == NULL)
			continue;
		ph_mistakes_add(
			builder->mistakes, key->line,
			"the plugin '%s' describes a key '%s', which is the server's own in "
			"%s; the plugin must rename it",
			key->value, name, title);
		return false;
	}
	return true;
}

static void
tell_no_offer(PhBuilder *builder,
              const PhSection *section,
              const PhKeyfileKey *key,
              const GError *error)
{
	g_auto(GStrv) names = builder->source->names(builder->source->user_data, section->kind);
	g_autofree char *hint = NULL;

	if (g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND))
		hint = ph_suggest_hint(key->value, (const char *const *) names);
	ph_mistakes_add(builder->mistakes, key->line, "%s%s", error->message,
	                hint == NULL      ? ""
	                : hint[0] == '\0' ? "; install it, or name its folder in 'plugin-path'"
	                                  : hint);
}

/* A route's transport may be a [transport NAME] section: its settings then serve this route too. */
static bool
share_transport(PhBuilder *builder, PhSection *section, const PhKeyfileKey *key)
{
	PhSection *shared = NULL;

	if (strcmp(section->word, "route") != 0)
		return false;
	shared = find_by_kind(builder, "transport", key->value);
	if (shared == NULL)
		return false;
	g_ptr_array_add(section->uses, shared);
	section->owns_settings = false;
	return true;
}

static void
find_offer(PhBuilder *builder, PhSection *section)
{
	const PhSectionKind *kind = ph_section_kind_find(section->word);
	const PhKeyfileKey *key = ph_keyfile_key(section->keys, kind->plugin_key);
	g_autoptr(GError) error = NULL;

	if (key == NULL || key->value[0] == '\0' || share_transport(builder, section, key))
		return;
	section->offer = builder->source->find(builder->source->user_data, section->kind,
	                                       key->value, &error);
	if (section->offer == NULL)
		tell_no_offer(builder, section, key, error);
	else if (!check_overlap(builder, section, key))
		section->offer = NULL;
}

static void
bind_shared(PhBuilder *builder, PhSection *section)
{
	const PhSection *shared = section->uses->pdata[0];

	/* the route does not use the section's instance, only its offer and settings */
	section->offer = shared->offer;
	section->settings = shared->settings;
	bind_section(builder, section);
}

static void
check_servers(PhBuilder *builder)
{
	if (file_section(builder->config->keyfile, "server") == NULL)
		ph_mistakes_add(builder->mistakes, 0,
		                "there is no [server] section; write one with data = DIRECTORY");
}

void
ph_build_all(PhBuilder *builder)
{
	PhConfig *config = builder->config;
	guint n_written = 0;

	builder->context.resolve = resolve;
	builder->context.user_data = builder;
	builder->context.folder = config->folder;
	check_servers(builder);
	build_server(builder);
	build_all_plain(builder);
	for (guint i = 0; i < config->keyfile->sections->len; i++)
		make_section(builder, config->keyfile->sections->pdata[i]);
	n_written = config->sections->len;
	for (guint i = 0; i < n_written; i++)
		find_offer(builder, config->sections->pdata[i]);
	/* transports before the routes that share their settings */
	for (guint i = 0; i < n_written; i++)
		if (((PhSection *) config->sections->pdata[i])->owns_settings)
			bind_section(builder, config->sections->pdata[i]);
	for (guint i = 0; i < n_written; i++)
		if (!((PhSection *) config->sections->pdata[i])->owns_settings)
			bind_shared(builder, config->sections->pdata[i]);
}

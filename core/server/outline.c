/* outline.c: what the supervisor reads from a config by itself, without loading a plugin
 *
 * The [server] section is bound by the same rows as everywhere, so that defaults and {data} mean
 * the same; mistakes are dropped here, because the worker and the checker tell them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/outline.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/log.h"
#include "config/bind.h"
#include "config/sections.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void
clear_address(gpointer pointer)
{
	PhOutlineAddress *address = pointer;

	g_free(address->name);
	g_free(address->text);
}

void
ph_outline_free(PhOutline *outline)
{
	if (outline == NULL)
		return;
	g_free(outline->path);
	g_free(outline->user);
	g_free(outline->group);
	g_free(outline->data);
	g_free(outline->control);
	g_array_unref(outline->addresses);
	g_strfreev(outline->programs);
	if (outline->keyfile != NULL)
		ph_keyfile_free(outline->keyfile);
	g_free(outline);
}

static const PhKeyfileSection *
find_section(const PhKeyfile *keyfile, const char *kind)
{
	for (guint i = 0; i < keyfile->sections->len; i++) {
		const PhKeyfileSection *section = keyfile->sections->pdata[i];

		if (strcmp(section->kind, kind) == 0)
			return section;
	}
	return NULL;
}

/* Rows behind `data` may refer to it. */
static void
note_data(const PhOption *row, const void *settings, void *user_data)
{
	PhOptionContext *context = user_data;

	context->data = ((const PhServerSettings *) settings)->data;
}

uint32_t
ph_outline_log_sink(uint32_t choice)
{
	switch (choice) {
	case PH_LOG_CHOICE_JOURNALD:
		return PH_LOG_TO_JOURNALD;
	case PH_LOG_CHOICE_JSON:
		return PH_LOG_TO_JSON;
	case PH_LOG_CHOICE_TEXT:
		return PH_LOG_TO_TEXT;
	default:
		return ph_log_stderr_is_journal() ? PH_LOG_TO_JOURNALD : PH_LOG_TO_TEXT;
	}
}

static void
read_server(PhOutline *outline, const PhKeyfile *keyfile, PhMistakes *mistakes)
{
	const PhOption *rows = ph_section_kind_find("server")->rows;
	g_autofree char *folder = g_path_get_dirname(outline->path);
	PhOptionContext context = { .folder = folder };
	PhBinding binding = {
		.rows = rows,
		.keys = find_section(keyfile, "server"),
		.title = "[server]",
		.mistakes = mistakes,
		.row_done = note_data,
		.user_data = &context,
	};
	PhServerSettings *settings = ph_bind(&binding, &context);

	outline->user = g_strdup(settings->user);
	outline->group = g_strdup(settings->group);
	outline->data = g_strdup(settings->data);
	outline->control = settings->data != NULL ? g_strdup(settings->control) : NULL;
	outline->log_sink = ph_outline_log_sink(settings->log);
	outline->log_level = ph_server_log_level(settings);
	ph_bind_free(rows, settings);
}

static void
read_addresses(PhOutline *outline, const PhKeyfileSection *section)
{
	const PhKeyfileKey *key = ph_keyfile_key(section, "address");
	g_auto(GStrv) words = g_strsplit(key != NULL ? key->value : "", ",", -1);

	for (size_t i = 0; words[i] != NULL; i++) {
		PhOutlineAddress address = { .text = g_strdup(g_strstrip(words[i])) };

		if (address.text[0] == '\0') {
			g_free(address.text);
			continue;
		}
		address.name = g_strdup(section->name);
		g_array_append_val(outline->addresses, address);
	}
}

/* The first word of every value that is an absolute path. */
static void
read_programs(PhOutline *outline, const PhKeyfile *keyfile)
{
	g_autoptr(GPtrArray) programs = g_ptr_array_new();

	for (guint i = 0; i < keyfile->sections->len; i++) {
		const PhKeyfileSection *section = keyfile->sections->pdata[i];

		for (guint k = 0; k < section->keys->len; k++) {
			const char *value = g_array_index(section->keys, PhKeyfileKey, k).value;
			size_t length = strcspn(value, " \t");

			if (value[0] == '/')
				g_ptr_array_add(programs, g_strndup(value, length));
		}
	}
	g_ptr_array_add(programs, NULL);
	outline->programs = (char **) g_ptr_array_free(g_steal_pointer(&programs), FALSE);
}

PhOutline *
ph_outline_read(const char *path, GError **error)
{
	g_autoptr(PhOutline) outline = g_new0(PhOutline, 1);
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	PhKeyfile *keyfile = NULL;

	outline->addresses = g_array_new(FALSE, FALSE, sizeof(PhOutlineAddress));
	g_array_set_clear_func(outline->addresses, clear_address);
	outline->path = g_canonicalize_filename(path, NULL);
	keyfile = outline->keyfile = ph_keyfile_read(path, mistakes);
	if (keyfile == NULL) {
		g_autofree char *text = ph_mistakes_text(mistakes);

		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND, "%s", g_strchomp(text));
		return NULL;
	}
	read_server(outline, keyfile, mistakes);
	read_programs(outline, keyfile);
	for (guint i = 0; i < keyfile->sections->len; i++) {
		const PhKeyfileSection *section = keyfile->sections->pdata[i];

		if (strcmp(section->kind, "listener") == 0)
			read_addresses(outline, section);
	}
	return g_steal_pointer(&outline);
}

/* Puts text into its line; what would stand before the line that was reached goes on in it. */
static void
put_line(GString *out, unsigned int *line, unsigned int wanted, const char *text)
{
	while (*line < wanted) {
		g_string_append_c(out, '\n');
		(*line)++;
	}
	g_string_append_printf(out, "%s\n", text);
	(*line)++;
}

static void
put_section(GString *out, unsigned int *line, const PhKeyfileSection *section)
{
	g_autofree char *head = g_strdup_printf("[%s%s%s]", section->kind,
	                                        section->name[0] != '\0' ? " " : "", section->name);

	put_line(out, line, section->line, head);
	for (guint i = 0; i < section->keys->len; i++) {
		const PhKeyfileKey *key = &g_array_index(section->keys, PhKeyfileKey, i);
		g_autofree char *text = g_strdup_printf("%s = %s", key->key, key->value);

		put_line(out, line, key->line, text);
	}
}

char *
ph_outline_config_of(const PhOutline *outline, const char *title)
{
	PhSlice name = ph_slice(title);
	PhSlice word = ph_slice_split(&name, ' ');
	GString *out = g_string_new(NULL);
	unsigned int line = 1;
	bool found = false;

	for (guint i = 0; i < outline->keyfile->sections->len; i++) {
		const PhKeyfileSection *section = outline->keyfile->sections->pdata[i];
		bool wanted = ph_slice_is(word, section->kind) && ph_slice_is(name, section->name);

		found = found || wanted;
		if (wanted || strcmp(section->kind, "server") == 0)
			put_section(out, &line, section);
	}
	return g_string_free(out, !found);
}

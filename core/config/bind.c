/* bind.c: option rows and the keys of a section into a settings struct
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/bind.h"

#include <posthorn/error.h>

#include "base/limits.h"

#include <string.h>

enum {
	STRUCT_MAX = PH_KIB(64),
	HELP_MAX = 200
};

static bool
is_same_key(const char *member, const char *key)
{
	for (; *member != '\0' && *key != '\0'; member++, key++)
		if ((*member == '_' ? '-' : *member) != *key)
			return false;
	return *member == *key;
}

/* "rule-1" is one of the keys of a member `rule`. */
static bool
is_one_of_keys(const char *member, const char *key)
{
	for (; *member != '\0'; member++, key++)
		if ((*member == '_' ? '-' : *member) != *key)
			return false;
	return key[0] == '-' && key[1] != '\0';
}

const PhOption *
ph_bind_find(const PhOption *rows, const char *key)
{
	for (; rows->key != NULL; rows++)
		if (rows->type == PH_OPTION_TYPE_KEYS ? is_one_of_keys(rows->key, key)
		                                      : is_same_key(rows->key, key))
			return rows;
	return NULL;
}

bool
ph_bind_needs_keys(const PhOption *rows)
{
	for (; rows->key != NULL; rows++)
		if (ph_option_is_required(rows))
			return true;
	return false;
}

static bool
has_member(const PhOption *row)
{
	return (row->flags & (PH_OPTION_IS_ALIAS | PH_OPTION_IS_REMOVED)) == 0;
}

static uint32_t
struct_size(const PhOption *rows)
{
	for (; rows->key != NULL; rows++)
		if (has_member(rows))
			return rows->struct_size;
	return 0;
}

static const char *
help_fault(const PhOption *row)
{
	bool good = row->help != NULL && row->help[0] != '\0' && strlen(row->help) <= HELP_MAX
	            && strchr(row->help, '\n') == NULL;

	return good ? NULL : "has no help text of one line";
}

static const char *
row_fault(const PhOption *rows, const PhOption *row)
{
	size_t size = ph_option_member_size(row->type);

	if ((row->flags & PH_OPTION_IS_ALIAS) != 0)
		return row == rows ? "is an alias of no row above it" : NULL;
	if (!has_member(row))
		return help_fault(row);
	if (size == 0)
		return "has a type that this version does not know";
	if (row->struct_size == 0 || row->struct_size > STRUCT_MAX
	    || row->struct_size != struct_size(rows))
		return "names another settings struct than the first row";
	if (row->member_size != size || row->offset > row->struct_size
	    || row->struct_size - row->offset < size)
		return "has a member of the wrong size";
	if (row->type == PH_OPTION_TYPE_CHOICE && (row->choices == NULL || row->choices[0] == NULL))
		return "has no words to choose from";
	return help_fault(row);
}

bool
ph_bind_check(const PhOption *rows, GError **error)
{
	for (const PhOption *row = rows; row->key != NULL; row++) {
		const char *fault = row_fault(rows, row);
		g_autofree char *key = ph_option_key(row);

		if (fault == NULL && ph_bind_find(rows, key) != row)
			fault = "stands there twice";
		if (fault == NULL)
			continue;
		ph_error_set(error, PH_ERROR_INVALID, "its option '%s' %s", key, fault);
		return false;
	}
	return true;
}

static void *
member_of(const PhOption *row, void *settings)
{
	return (char *) settings + row->offset;
}

static void
take_text(const PhBinding *binding,
          const PhOptionContext *context,
          const PhOption *row,
          const char *text,
          unsigned int line,
          void *settings)
{
	g_autoptr(GString) problem = g_string_new("");
	g_autofree char *key = NULL;

	/* a row may come twice when an alias was given too */
	ph_option_clear(row, member_of(row, settings));
	if (ph_option_parse(row, text, context, member_of(row, settings), problem)
	    || problem->len == 0)
		return;
	key = ph_option_key(row);
	ph_mistakes_add(binding->mistakes, line, "'%s' in %s %s", key, binding->title,
	                problem->str);
}

static const PhKeyfileKey *
key_of(const PhBinding *binding, const PhOption *row)
{
	g_autofree char *key = ph_option_key(row);

	return binding->keys != NULL ? ph_keyfile_key(binding->keys, key) : NULL;
}

/* The key that gives this row's value: its own or one of the aliases that follow it. */
static const PhKeyfileKey *
given_key(const PhBinding *binding, const PhOption *row)
{
	const PhKeyfileKey *found = key_of(binding, row);

	for (const PhOption *next = row + 1;
	     next->key != NULL && (next->flags & PH_OPTION_IS_ALIAS) != 0; next++) {
		const PhKeyfileKey *alias = key_of(binding, next);

		if (alias != NULL && found != NULL)
			ph_mistakes_add(binding->mistakes, alias->line,
			                "'%s' is an older name of '%s', which stands at line %u; "
			                "remove one",
			                alias->key, found->key, found->line);
		else if (alias != NULL)
			found = alias;
	}
	return found;
}

static void
bind_keys(const PhBinding *binding, const PhOption *row, void *settings)
{
	GPtrArray *pairs = g_ptr_array_new();

	for (guint i = 0; binding->keys != NULL && i < binding->keys->keys->len; i++) {
		const PhKeyfileKey *key = &g_array_index(binding->keys->keys, PhKeyfileKey, i);

		if (ph_bind_find(binding->rows, key->key) != row)
			continue;
		g_ptr_array_add(pairs, g_strdup(key->key));
		g_ptr_array_add(pairs, g_strdup(key->value));
	}
	g_ptr_array_add(pairs, NULL);
	*(char ***) member_of(row, settings) = (char **) g_ptr_array_free(pairs, FALSE);
}

static void
bind_row(const PhBinding *binding,
         const PhOptionContext *context,
         const PhOption *row,
         void *settings)
{
	const PhKeyfileKey *given = given_key(binding, row);

	if ((row->flags & PH_OPTION_IS_REMOVED) != 0) {
		if (given != NULL)
			ph_mistakes_warn(binding->mistakes, given->line,
			                 "'%s' in %s has no effect any more: %s; remove the line",
			                 given->key, binding->title, row->help);
		return;
	}
	if (row->type == PH_OPTION_TYPE_KEYS) {
		bind_keys(binding, row, settings);
		return;
	}
	if (given != NULL) {
		take_text(binding, context, row, given->value, given->line, settings);
	} else if (ph_option_is_required(row) && binding->line > 0) {
		g_autofree char *key = ph_option_key(row);

		ph_mistakes_add(binding->mistakes, binding->line, "%s lacks the key '%s' (%s)",
		                binding->title, key, row->help);
	} else if (row->default_text != NULL && !ph_option_is_required(row)) {
		take_text(binding, context, row, row->default_text, binding->line, settings);
	}
}

void *
ph_bind(const PhBinding *binding, const PhOptionContext *context)
{
	const PhOption *rows = binding->rows;
	void *settings = g_malloc0(MAX(struct_size(rows), 1U));

	for (const PhOption *row = rows; row->key != NULL; row++) {
		if ((row->flags & PH_OPTION_IS_ALIAS) == 0)
			bind_row(binding, context, row, settings);
		if (binding->row_done != NULL)
			binding->row_done(row, settings, binding->user_data);
	}
	return settings;
}

void
ph_bind_free(const PhOption *rows, void *settings)
{
	if (settings == NULL)
		return;
	for (; rows->key != NULL; rows++)
		if (has_member(rows))
			ph_option_clear(rows, member_of(rows, settings));
	g_free(settings);
}

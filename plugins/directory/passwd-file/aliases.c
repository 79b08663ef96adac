/* aliases.c: names that stand for other addresses, one a line: "name: address, address"
 *
 * The form of aliases(5) without programs and files: a target that begins with '|', '/' or ':' is
 * passed over.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "aliases.h"

static void
add_targets(GPtrArray *targets, PhSlice text)
{
	while (text.length > 0) {
		PhSlice one = ph_slice_trim(ph_slice_split(&text, ','));
		if (one.length > 0 && strchr("|/:", one.data[0]) == NULL)
			g_ptr_array_add(targets, ph_slice_dup(one));
	}
}

static void
free_targets(void *data)
{
	g_strfreev(data);
}

/* Ends the alias that was being read. */
static void
finish(GHashTable *aliases, char **name, GPtrArray **targets)
{
	if (*name != NULL && (*targets)->len > 0 && !g_hash_table_contains(aliases, *name)) {
		g_ptr_array_add(*targets, NULL);
		char **list = (char **) g_ptr_array_free(g_steal_pointer(targets), FALSE);
		g_hash_table_insert(aliases, g_steal_pointer(name), list);
	}
	g_clear_pointer(name, g_free);
	if (*targets != NULL)
		g_ptr_array_unref(*targets);
	*targets = g_ptr_array_new_with_free_func(g_free);
}

GHashTable *
aliases_parse(PhSlice text)
{
	GHashTable *aliases = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, free_targets);
	GPtrArray *targets = g_ptr_array_new_with_free_func(g_free);
	char *name = NULL;

	while (text.length > 0) {
		PhSlice line = ph_slice_split(&text, '\n');
		if (line.length > 0 && line.data[line.length - 1] == '\r')
			line.length--;
		if (line.length == 0 || line.data[0] == '#')
			continue;
		if (line.data[0] != ' ' && line.data[0] != '\t') {
			finish(aliases, &name, &targets);
			PhSlice key = ph_slice_trim(ph_slice_split(&line, ':'));
			name = key.length > 0 && ph_slice_is_utf8(key)
			               ? g_ascii_strdown(key.data, (gssize) key.length)
			               : NULL;
		}
		add_targets(targets, line);
	}
	finish(aliases, &name, &targets);
	g_ptr_array_unref(targets);
	return aliases;
}

const char *const *
aliases_find(GHashTable *aliases, PhSlice name)
{
	g_autofree char *key = g_ascii_strdown(name.data, (gssize) name.length);

	return g_hash_table_lookup(aliases, key);
}

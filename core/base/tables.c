/* tables.c: tables from octets to entries whose changes can be undone
 *
 * An entry that is replaced moves to the list of what to undo; finish frees it or puts it back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/tables.h"

#include <string.h>

typedef struct {
	size_t table;
	GBytes *key;
	void *old; /* NULL: there was none */
} Undo;

struct PhTables {
	GDestroyNotify *frees;
	GHashTable **tables; /* GBytes -> entry */
	size_t n;
	GArray *undo;
};

PhTables *
ph_tables_new(const GDestroyNotify *frees, size_t n)
{
	PhTables *tables = g_new0(PhTables, 1);

	tables->n = n;
	tables->frees = g_memdup2(frees, n * sizeof *frees);
	tables->tables = g_new0(GHashTable *, n);
	tables->undo = g_array_new(FALSE, FALSE, sizeof(Undo));
	for (size_t i = 0; i < n; i++)
		tables->tables[i] = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
		                                          (GDestroyNotify) g_bytes_unref, frees[i]);
	return tables;
}

void
ph_tables_free(PhTables *tables)
{
	if (tables == NULL)
		return;
	ph_tables_finish(tables, true);
	for (size_t i = 0; i < tables->n; i++)
		g_hash_table_destroy(tables->tables[i]);
	(void) g_array_free(tables->undo, TRUE);
	g_free(tables->frees);
	g_free(tables->tables);
	g_free(tables);
}

void *
ph_tables_get(const PhTables *tables, size_t table, PhSlice key)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static(key.data, key.length);

	return g_hash_table_lookup(tables->tables[table], bytes);
}

void
ph_tables_set(PhTables *tables, size_t table, PhSlice key, void *entry)
{
	g_autoptr(GBytes) bytes = g_bytes_new(key.data, key.length);
	Undo undo = { table, g_bytes_ref(bytes), NULL };
	void *old_key = NULL;

	if (g_hash_table_steal_extended(tables->tables[table], bytes, &old_key, &undo.old))
		g_bytes_unref(old_key);
	g_array_append_val(tables->undo, undo);
	if (entry != NULL)
		(void) g_hash_table_insert(tables->tables[table], g_bytes_ref(bytes), entry);
}

static gint
compare_keys(gconstpointer a, gconstpointer b)
{
	return g_bytes_compare(*(GBytes *const *) a, *(GBytes *const *) b);
}

GPtrArray *
ph_tables_keys(const PhTables *tables, size_t table, PhSlice prefix)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
	GHashTableIter iter;
	void *key = NULL;

	g_hash_table_iter_init(&iter, tables->tables[table]);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		gsize length = 0;
		const char *data = g_bytes_get_data(key, &length);

		if (prefix.length == 0
		    || (length >= prefix.length && memcmp(data, prefix.data, prefix.length) == 0))
			g_ptr_array_add(keys, g_bytes_ref(key));
	}
	g_ptr_array_sort(keys, compare_keys);
	return keys;
}

static void
put_back(PhTables *tables, const Undo *undo)
{
	GHashTable *table = tables->tables[undo->table];

	(void) g_hash_table_remove(table, undo->key);
	if (undo->old != NULL)
		(void) g_hash_table_insert(table, g_bytes_ref(undo->key), undo->old);
}

void
ph_tables_finish(PhTables *tables, bool keep)
{
	for (guint i = tables->undo->len; i-- > 0;) {
		const Undo *undo = &g_array_index(tables->undo, Undo, i);

		if (!keep)
			put_back(tables, undo);
		else if (undo->old != NULL)
			tables->frees[undo->table](undo->old);
		g_bytes_unref(undo->key);
	}
	g_array_set_size(tables->undo, 0);
}

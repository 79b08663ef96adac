/* tables.h: tables from octets to entries whose changes can be undone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_TABLES_H
#define POSTHORN_BASE_TABLES_H

#include <posthorn/types.h>

/* PhTables: some tables from octets to entries, and what changed in them since the last finish. */
typedef struct PhTables PhTables;

/* ph_tables_new: @frees: for the entries of each table; kept. */
PhTables *ph_tables_new(const GDestroyNotify *frees, size_t n);
void ph_tables_free(PhTables *tables);

/* ph_tables_get: NULL when there is none; it stays until finish. ph_tables_set: @entry: (owned)
 * NULL to remove. */
void *ph_tables_get(const PhTables *tables, size_t table, PhSlice key);
void ph_tables_set(PhTables *tables, size_t table, PhSlice key, void *entry);

/* ph_tables_keys: (owned) GBytes of those that begin with @prefix, in the order of their octets. */
GPtrArray *ph_tables_keys(const PhTables *tables, size_t table, PhSlice prefix);

/* ph_tables_finish: keeps what was set, or puts back what was there at the last finish. */
void ph_tables_finish(PhTables *tables, bool keep);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhTables, ph_tables_free)

#endif

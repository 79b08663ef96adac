/* sort.c: SORT (RFC 5256 section 3)
 *
 * Keys are computed once a message: numbers as they are, strings in upper case of all letters
 * (i;unicode-casemap). Messages that compare equal stay in the order of their sequence numbers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/search.h>
#include <posthorn/slice.h>

#include "mailbox/gather.h"

enum {
	MAX_KEYS = 16,
};

/* Value: a number or a string, as the key's row says. */
typedef union {
	int64_t number;
	char *text; /* in the chunk */
} Value;

typedef struct {
	uint32_t number;
	Value values[]; /* one a key */
} Item;

struct PhSort {
	PhSortKey keys[MAX_KEYS];
	size_t n_keys;
	PhGather *gather;
	GStringChunk *chunk;
	GPtrArray *items;
	uint32_t *result;
};

typedef struct {
	const PhRecord *record;
	const PhStructure *structure;
	GStringChunk *chunk;
} Source;

static char *
upper(const Source *source, PhSlice text)
{
	g_autofree char *folded =
		g_utf8_strup(text.length > 0 ? text.data : "", (gssize) text.length);

	return g_string_chunk_insert(source->chunk, folded);
}

static Value
key_arrival(const Source *source)
{
	return (Value){ .number = source->record->internal_date };
}

static Value
key_date(const Source *source)
{
	return (Value){ .number = ph_sent_time(source->record, source->structure) };
}

static Value
key_size(const Source *source)
{
	return (Value){ .number = (int64_t) source->record->octets };
}

static Value
key_subject(const Source *source)
{
	g_autofree char *base = ph_base_subject(source->structure, NULL);

	return (Value){ .text = g_string_chunk_insert(source->chunk, base) };
}

static Value
key_from(const Source *source)
{
	return (Value){ .text = upper(source, ph_structure_info(source->structure)->from) };
}

static Value
key_to(const Source *source)
{
	return (Value){ .text = upper(source, ph_structure_info(source->structure)->to) };
}

static Value
key_cc(const Source *source)
{
	return (Value){ .text = upper(source, ph_structure_info(source->structure)->cc) };
}

static Value
key_display_from(const Source *source)
{
	return (Value){ .text = upper(source, ph_structure_info(source->structure)->from_name) };
}

static Value
key_display_to(const Source *source)
{
	return (Value){ .text = upper(source, ph_structure_info(source->structure)->to_name) };
}

static const struct {
	Value (*make)(const Source *source);
	uint32_t fields;
	bool is_text;
} rows[] = {
	[PH_SORT_ARRIVAL] = { key_arrival, PH_FIELD_DATES, false },
	[PH_SORT_CC] = { key_cc, PH_FIELD_STRUCTURE | PH_FIELD_BLOB, true },
	[PH_SORT_DATE] = { key_date, PH_FIELD_STRUCTURE | PH_FIELD_BLOB | PH_FIELD_DATES, false },
	[PH_SORT_FROM] = { key_from, PH_FIELD_STRUCTURE | PH_FIELD_BLOB, true },
	[PH_SORT_SIZE] = { key_size, PH_FIELD_OCTETS, false },
	[PH_SORT_SUBJECT] = { key_subject, PH_FIELD_STRUCTURE | PH_FIELD_BLOB, true },
	[PH_SORT_TO] = { key_to, PH_FIELD_STRUCTURE | PH_FIELD_BLOB, true },
	[PH_SORT_DISPLAY_FROM] = { key_display_from, PH_FIELD_STRUCTURE | PH_FIELD_BLOB, true },
	[PH_SORT_DISPLAY_TO] = { key_display_to, PH_FIELD_STRUCTURE | PH_FIELD_BLOB, true },
};

static void
take(uint32_t number, const PhRecord *record, const PhStructure *structure, void *user_data)
{
	PhSort *sort = user_data;
	const Source source = { record, structure, sort->chunk };
	Item *item = g_malloc(sizeof *item + sort->n_keys * sizeof(Value));

	item->number = number;
	for (size_t i = 0; i < sort->n_keys; i++)
		item->values[i] = rows[sort->keys[i].field].make(&source);
	g_ptr_array_add(sort->items, item);
}

PhSort *
ph_sort_new(PhView *view, const PhUidSet *numbers, const PhSortKey *keys, size_t n)
{
	const size_t chunk_octets = 16384;
	PhSort *sort = g_new0(PhSort, 1);
	uint32_t fields = 0;

	sort->n_keys = MIN(n, (size_t) MAX_KEYS);
	for (size_t i = 0; i < sort->n_keys; i++) {
		g_assert(keys[i].field < G_N_ELEMENTS(rows) && rows[keys[i].field].make != NULL);
		sort->keys[i] = keys[i];
		fields |= rows[keys[i].field].fields;
	}
	sort->chunk = g_string_chunk_new(chunk_octets);
	sort->items = g_ptr_array_new_with_free_func(g_free);
	sort->gather = ph_gather_new(view, numbers, fields, take, sort);
	return sort;
}

void
ph_sort_free(PhSort *sort)
{
	if (sort == NULL)
		return;
	ph_gather_free(sort->gather);
	g_ptr_array_unref(sort->items);
	g_string_chunk_free(sort->chunk);
	g_free(sort->result);
	g_free(sort);
}

static int
compare_values(Value a, Value b, bool is_text)
{
	if (is_text)
		return strcmp(a.text, b.text);
	return (a.number > b.number) - (a.number < b.number);
}

static int
compare_items(gconstpointer first, gconstpointer second, gpointer user_data)
{
	const PhSort *sort = user_data;
	const Item *a = *(Item *const *) first;
	const Item *b = *(Item *const *) second;

	for (size_t i = 0; i < sort->n_keys; i++) {
		int order = compare_values(a->values[i], b->values[i],
		                           rows[sort->keys[i].field].is_text);
		if (order != 0)
			return sort->keys[i].reverse ? -order : order;
	}
	return (a->number > b->number) - (a->number < b->number);
}

bool
ph_sort_step(PhSort *sort, PhSession *session, bool *failed_out, GError **error)
{
	if (!ph_gather_step(sort->gather, session, failed_out, error))
		return false;
	if (*failed_out)
		return true;

	g_ptr_array_sort_with_data(sort->items, compare_items, sort);
	sort->result = g_new(uint32_t, sort->items->len);
	for (guint i = 0; i < sort->items->len; i++)
		sort->result[i] = ((const Item *) g_ptr_array_index(sort->items, i))->number;
	return true;
}

const uint32_t *
ph_sort_result(const PhSort *sort, size_t *n_out)
{
	*n_out = sort->items->len;
	return sort->result;
}

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
typedef struct {
	int64_t number; /* of a string: its first eight octets, which decide most often */
	char *text;     /* in a chunk */
} Value;

typedef struct {
	uint32_t number;
	Value values[]; /* one a key */
} Item;

struct PhSort {
	PhSortKey keys[MAX_KEYS];
	size_t n_keys;
	PhGather *gather;
	GPtrArray *chunks; /* of GStringChunk */
	GPtrArray *items;
	uint32_t *result;
};

/* Hand: what one thread has gathered. */
typedef struct {
	GPtrArray *items; /* of Item */
	GStringChunk *chunk;
} Hand;

typedef struct {
	const PhRecord *record;
	const PhMessageInfo *info;
	GStringChunk *chunk;
} Source;

/* Strings are compared as unsigned octets: so are numbers made of them, the first one highest. */
static int64_t
first_octets(const char *text)
{
	uint64_t number = 0;
	size_t length = strnlen(text, sizeof number);

	for (size_t i = 0; i < sizeof number; i++)
		number = number << 8 | (i < length ? (unsigned char) text[i] : 0);
	return (int64_t) (number ^ 1ULL << 63);
}

static Value
text_value(const Source *source, const char *text)
{
	return (Value){ .number = first_octets(text),
		        .text = g_string_chunk_insert(source->chunk, text) };
}

static Value
upper(const Source *source, PhSlice text)
{
	g_autofree char *folded = ph_upper(text);

	return text_value(source, folded);
}

static Value
key_arrival(const Source *source)
{
	return (Value){ .number = source->record->internal_date };
}

static Value
key_date(const Source *source)
{
	return (Value){ .number = ph_sent_time(source->record, source->info) };
}

static Value
key_size(const Source *source)
{
	return (Value){ .number = (int64_t) source->record->octets };
}

static Value
key_subject(const Source *source)
{
	g_autofree char *base = ph_base_subject(source->info, NULL);

	return text_value(source, base);
}

static Value
key_from(const Source *source)
{
	return upper(source, source->info->from);
}

static Value
key_to(const Source *source)
{
	return upper(source, source->info->to);
}

static Value
key_cc(const Source *source)
{
	return upper(source, source->info->cc);
}

static Value
key_display_from(const Source *source)
{
	return upper(source, source->info->from_name);
}

static Value
key_display_to(const Source *source)
{
	return upper(source, source->info->to_name);
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

static void *
begin(void *user_data)
{
	const size_t chunk_octets = 16384;
	Hand *hand = g_new0(Hand, 1);

	hand->items = g_ptr_array_new();
	hand->chunk = g_string_chunk_new(chunk_octets);
	return hand;
}

static void
take(void *user_data,
     void *gathered,
     uint32_t number,
     const PhRecord *record,
     const PhMessageInfo *info)
{
	const PhSort *sort = user_data;
	const Hand *hand = gathered;
	const Source source = { record, info, hand->chunk };
	Item *item = g_malloc(sizeof *item + sort->n_keys * sizeof(Value));

	item->number = number;
	for (size_t i = 0; i < sort->n_keys; i++)
		item->values[i] = rows[sort->keys[i].field].make(&source);
	g_ptr_array_add(hand->items, item);
}

static void
merge(void *user_data, void *gathered)
{
	PhSort *sort = user_data;
	Hand *hand = gathered;

	g_ptr_array_extend_and_steal(sort->items, hand->items);
	g_ptr_array_add(sort->chunks, hand->chunk);
	g_free(hand);
}

static void
free_chunk(void *chunk)
{
	g_string_chunk_free(chunk);
}

PhSort *
ph_sort_new(PhView *view, const PhUidSet *numbers, const PhSortKey *keys, size_t n)
{
	static const PhGatherWork work = { begin, take, merge };
	PhSort *sort = g_new0(PhSort, 1);
	uint32_t fields = 0;

	sort->n_keys = MIN(n, (size_t) MAX_KEYS);
	for (size_t i = 0; i < sort->n_keys; i++) {
		g_assert(keys[i].field < G_N_ELEMENTS(rows) && rows[keys[i].field].make != NULL);
		sort->keys[i] = keys[i];
		fields |= rows[keys[i].field].fields;
	}
	sort->chunks = g_ptr_array_new_with_free_func(free_chunk);
	sort->items = g_ptr_array_new_with_free_func(g_free);
	sort->gather = ph_gather_new(view, numbers, fields, &work, sort);
	return sort;
}

void
ph_sort_free(PhSort *sort)
{
	if (sort == NULL)
		return;
	ph_gather_free(sort->gather);
	g_ptr_array_unref(sort->items);
	g_ptr_array_unref(sort->chunks);
	g_free(sort->result);
	g_free(sort);
}

static int
compare_values(Value a, Value b, bool is_text)
{
	if (is_text && a.number == b.number)
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

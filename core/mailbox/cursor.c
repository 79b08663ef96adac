/* cursor.c: reads records of a uid set in uid order, in bounded pieces
 *
 * A piece is copied out of the store's callback, because the store must never wait for a client.
 * The first piece is small, so that a single message costs little; later ones grow to 512 records
 * or 256 KiB.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/account.h"
#include "mailbox/view-private.h"

#include <string.h>

enum {
	FIRST_CHUNK = 4096,
	CHUNK = 65536,
	PIECE_OCTETS = 256 * 1024,
	PIECE_RECORDS = 512,
	MAX_RANGES = 2048, /* of the set, in one question */
};

struct PhCursor {
	PhView *view;
	PhUidSet *uids;
	uint32_t fields;
	size_t next_range; /* of uids: where the rest begins */
	uint32_t next_uid; /* the first that was not asked for yet */
	GArray *records;   /* of PhRecord: the present piece */
	guint next_record;
	GPtrArray *chunks; /* what the records point to */
	size_t chunk_size;
	size_t chunk_used;
	size_t piece_octets;
	bool is_complete; /* the present question was answered to its end */
};

PhCursor *
ph_cursor_new(PhView *view, const PhUidSet *uids, uint32_t fields)
{
	PhCursor *cursor = g_new0(PhCursor, 1);

	cursor->view = view;
	cursor->uids = ph_uid_set_copy(uids);
	cursor->fields = fields;
	cursor->records = g_array_new(FALSE, FALSE, sizeof(PhRecord));
	cursor->chunks = g_ptr_array_new_with_free_func(g_free);
	return cursor;
}

void
ph_cursor_free(PhCursor *cursor)
{
	if (cursor == NULL)
		return;
	ph_uid_set_free(cursor->uids);
	g_array_unref(cursor->records);
	g_ptr_array_unref(cursor->chunks);
	g_free(cursor);
}

/* --- memory of one piece ----------------------------------------------------------------------------------- */

static void *
take_memory(PhCursor *cursor, size_t n)
{
	const size_t alignment = sizeof(void *);

	n = (n + alignment - 1) & ~(alignment - 1);
	if (cursor->chunk_used + n > cursor->chunk_size) {
		size_t usual = cursor->chunks->len == 0 ? FIRST_CHUNK : CHUNK;
		cursor->chunk_size = MAX(usual, n);
		cursor->chunk_used = 0;
		g_ptr_array_add(cursor->chunks, g_malloc(cursor->chunk_size));
	}
	char *chunk = g_ptr_array_index(cursor->chunks, cursor->chunks->len - 1);
	void *memory = chunk + cursor->chunk_used;
	cursor->chunk_used += n;
	cursor->piece_octets += n;
	return memory;
}

/* Empties the piece; its newest chunk is used again. */
static void
reset_memory(PhCursor *cursor)
{
	if (cursor->chunks->len > 1)
		g_ptr_array_remove_range(cursor->chunks, 0, cursor->chunks->len - 1);
	cursor->chunk_used = 0;
	cursor->piece_octets = 0;
	g_array_set_size(cursor->records, 0);
	cursor->next_record = 0;
}

static const char *const *
copy_keywords(PhCursor *cursor, const char *const *keywords)
{
	size_t n = 0;
	while (keywords != NULL && keywords[n] != NULL)
		n++;

	const char **copy = take_memory(cursor, (n + 1) * sizeof *copy);
	for (size_t i = 0; i < n; i++) {
		size_t octets = strlen(keywords[i]) + 1;
		copy[i] = memcpy(take_memory(cursor, octets), keywords[i], octets);
	}
	copy[n] = NULL;
	return copy;
}

static PhSlice
copy_slice(PhCursor *cursor, PhSlice slice)
{
	if (slice.length == 0)
		return PH_SLICE_EMPTY;

	return PH_SLICE(memcpy(take_memory(cursor, slice.length), slice.data, slice.length),
	                slice.length);
}

static bool
take_record(const PhRecord *record, void *user_data)
{
	PhCursor *cursor = user_data;
	PhRecord copy = *record;

	copy.keywords = copy_keywords(cursor, record->keywords);
	copy.structure = copy_slice(cursor, record->structure);
	g_array_append_val(cursor->records, copy);
	if (cursor->records->len < PIECE_RECORDS && cursor->piece_octets < PIECE_OCTETS)
		return true;
	cursor->is_complete = false;
	return false;
}

/* --- asking --------------------------------------------------------------------------------------------------- */

/* The part of the set that is asked for next; empty at its end. */
static PhUidSet *
next_question(PhCursor *cursor, size_t *end_out)
{
	PhUidSet *question = ph_uid_set_new();
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(cursor->uids, &n);

	while (cursor->next_range < n && ranges[cursor->next_range].last < cursor->next_uid)
		cursor->next_range++;
	size_t end = MIN(n, cursor->next_range + MAX_RANGES);
	for (size_t i = cursor->next_range; i < end; i++)
		ph_uid_set_add_range(question, MAX(ranges[i].first, cursor->next_uid),
		                     ranges[i].last);
	*end_out = end;
	return question;
}

static bool
ask_store(PhCursor *cursor, const PhUidSet *question, GError **error)
{
	const PhChangesQuery query = {
		.uids = question,
		.fields = cursor->fields,
		.record = take_record,
		.user_data = cursor,
	};
	PhChangesResult result = { 0 };
	PhAccountCall call;
	if (!ph_account_enter(cursor->view->account, &call, error))
		return false;

	bool ok = call.table->changes(call.engine, ph_view_mailbox(cursor->view), &query, &result,
	                              error);
	ph_account_leave(&call, ok);
	return ok;
}

/* Returns: false at the end of the set, or with @error. */
static bool
read_piece(PhCursor *cursor, GError **error)
{
	size_t end = 0;
	g_autoptr(PhUidSet) question = next_question(cursor, &end);
	if (ph_uid_set_is_empty(question))
		return false;

	reset_memory(cursor);
	cursor->is_complete = true;
	if (!ask_store(cursor, question, error))
		return false;
	if (cursor->is_complete)
		cursor->next_range = end;
	else
		cursor->next_uid =
			g_array_index(cursor->records, PhRecord, cursor->records->len - 1).uid + 1;
	return true;
}

const PhRecord *
ph_cursor_next(PhCursor *cursor, GError **error)
{
	while (cursor->next_record == cursor->records->len)
		if (!read_piece(cursor, error))
			return NULL;
	return &g_array_index(cursor->records, PhRecord, cursor->next_record++);
}

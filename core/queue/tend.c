/* tend.c: gives back the room of files of which little is left
 *
 * A file with few mails that are not done is emptied: they are copied, a few at a time and with one
 * sync, behind the newest mail, and the file goes. An index that tells more of the past than of the
 * present is written anew. Both are the writer's work when it has nothing else to do. A process
 * that dies between the copy and the note of it delivers that mail twice, which is allowed; what is
 * being delivered is not moved.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "queue/private.h"

enum {
	STEP_MAILS = 64,
	STEP_OCTETS = 8 << 20,
	SPARSE = 4,             /* one mail in so many is left */
	INDEX_LEAST = 64 << 10, /* octets that an index may always have */
	INDEX_EACH = 1024,      /* and for each mail that is left */
	ROW_SIZE = PH_QUEUE_HEAD + 8,
};

/* Moved: a mail that is copied. */
typedef struct {
	uint32_t message;
	uint64_t place;
	uint64_t key;
	uint64_t from;
	uint64_t to;
	uint64_t size;
} Moved;

/* --- choosing --------------------------------------------------------------------------------- */

static bool
is_sparse(const PhQueueFile *file)
{
	return !file->is_kept && file->n_live > 0
	       && (uint64_t) file->n_live * SPARSE <= file->n_mails;
}

static bool
has_long_index(const PhQueueFile *file)
{
	return file->index_size > INDEX_LEAST + (uint64_t) file->n_live * INDEX_EACH;
}

/* With the lock held. Returns: (owned, nullable). */
static PhQueueFile *
choose(PhQueue *queue, bool (*wants)(const PhQueueFile *file))
{
	GHashTableIter iter;
	gpointer value = NULL;

	g_hash_table_iter_init(&iter, queue->files);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (value != queue->active && wants(value))
			return ph_queue_file_ref(value);
	return NULL;
}

static bool
is_busy(const PhQueue *queue, const PhQueueMessage *message)
{
	for (uint32_t slot = message->first; slot != 0;
	     slot = ph_table_slot(&queue->table, slot)->sibling)
		if (ph_table_slot(&queue->table, slot)->state == PH_QUEUE_BUSY)
			return true;
	return false;
}

/* --- emptying a file -------------------------------------------------------------------------- */

/* With the lock held: mails of the file, at most so many. */
static void
collect(const PhQueue *queue, const PhQueueFile *file, guint most, bool busy_too, GArray *moved)
{
	uint32_t n_seen = 0;

	for (uint32_t i = 1; i < queue->table.messages.end && n_seen < file->n_live; i++) {
		const PhQueueMessage *row = ph_table_message(&queue->table, i);
		Moved one = { .message = i, .place = row->place, .key = row->key };

		if (row->place >> 32 != file->number || row->place == 0)
			continue;
		n_seen++;
		(void) ph_queue_file_of(queue, row, &one.from);
		if (moved->len < most && (busy_too || !is_busy(queue, row)))
			g_array_append_val(moved, one);
	}
}

static bool
put_piece(PhSlice piece, void *user_data, GError **error)
{
	void **place = user_data;
	uint64_t *position = place[1];
	struct iovec one = { (char *) (uintptr_t) piece.data, piece.length };

	if (!ph_queue_file_put(place[0], *position, &one, 1, error))
		return false;
	*position += piece.length;
	return true;
}

/* What is damaged stays where it is, and keeps its file. */
static bool
copy(PhQueueFile *from, PhQueueFile *to, Moved *moved, uint64_t *position, GError **error)
{
	static char zeros[8];
	g_autoptr(GBytes) octets = NULL;
	g_autoptr(PhContent) content = NULL;
	g_autofree uint8_t *head = NULL;
	void *place[] = { to, position };
	PhQueueRecord record;
	struct iovec piece;
	gsize length = 0;

	if (!ph_queue_file_read(from, moved->from, &record, &octets, NULL))
		return true;
	content = ph_queue_file_content(from, &record);
	if (!ph_queue_file_check(content, &record, NULL))
		return true;
	head = g_memdup2(g_bytes_get_data(octets, &length), g_bytes_get_size(octets));
	record.position = *position;
	ph_queue_record_seal(&record, head, to->seed);
	piece = (struct iovec){ head, length };
	if (!ph_queue_file_put(to, *position, &piece, 1, error))
		return false;
	*position += length;
	if (!ph_content_each(content, 0, record.octets, put_piece, place, error))
		return false;
	moved->size = ph_queue_record_size(&record);
	moved->to = record.position;
	piece = (struct iovec){ zeros, (size_t) (moved->to + moved->size - *position) };
	*position = moved->to + moved->size;
	return ph_queue_file_put(to, *position - piece.iov_len, &piece, 1, error);
}

static bool
copy_all(PhQueueFile *from, PhQueueFile *to, GArray *moved, GError **error)
{
	uint64_t position = to->end;
	bool good = true;

	for (guint i = 0; i < moved->len && good && position - to->end < STEP_OCTETS; i++)
		good = copy(from, to, &g_array_index(moved, Moved, i), &position, error);
	if (good && ph_durable_sync(to->fd, error)) {
		to->end = position;
		return true;
	}
	to->is_bad = true;
	return false;
}

/* --- in memory -------------------------------------------------------------------------------- */

static uint32_t
any_destination(const PhQueue *queue, const PhQueueMessage *message)
{
	uint32_t slot = message->first;

	while (slot != 0 && ph_table_slot(&queue->table, slot)->destination == 0)
		slot = ph_table_slot(&queue->table, slot)->sibling;
	return slot != 0 ? ph_table_slot(&queue->table, slot)->destination : 0;
}

/* Tells the index of the file in which the mail lies now all that is known of it. */
static void
note_all(PhQueue *queue, uint32_t number, uint64_t size)
{
	const PhQueueMessage *message = ph_table_message(&queue->table, number);
	g_autoptr(GArray) destinations = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	uint32_t other = any_destination(queue, message);
	const uint64_t *by_ms = g_hash_table_lookup(queue->deadlines, GUINT_TO_POINTER(number));
	PhQueueInsert mail = { .key = message->key,
		               .arrived = ph_queue_time(message->arrived_ms),
		               .by = by_ms != NULL ? ph_queue_time(*by_ms) : 0,
		               .priority = (int32_t) message->priority - PH_QUEUE_PRIORITY_NORMAL,
		               .bucket = (uint32_t) message->bucket };

	if ((message->flags & PH_QUEUE_BY_TELLS) != 0)
		mail.by = -mail.by;
	for (uint32_t slot = message->first; slot != 0;
	     slot = ph_table_slot(&queue->table, slot)->sibling) {
		uint32_t one = ph_table_slot(&queue->table, slot)->destination;

		one = one != 0 ? one : other;
		g_array_append_val(destinations, one);
	}
	mail.file = ph_queue_file_of(queue, message, &mail.position);
	mail.destinations = (const uint32_t *) (const void *) destinations->data;
	mail.n_recipients = destinations->len;
	ph_queue_note_mail(queue, &mail, size, 0);
	for (uint32_t slot = message->first; slot != 0;
	     slot = ph_table_slot(&queue->table, slot)->sibling)
		ph_queue_note(queue, slot);
}

static void
move(PhQueue *queue, PhQueueFile *to, const Moved *moved)
{
	PhQueueMessage *message = ph_table_message(&queue->table, moved->message);

	if (moved->to == 0)
		return;
	if (message->place != moved->place || message->key != moved->key
	    || is_busy(queue, message)) {
		ph_queue_note_end(queue, to, moved->to + moved->size);
		return;
	}
	ph_queue_leave_file(queue, moved->message);
	message->place = (uint64_t) to->number << 32 | moved->to / 8;
	to->n_live++;
	to->n_mails++;
	note_all(queue, moved->message, moved->size);
}

static bool
empty_file(PhQueue *queue, PhQueueFile *from)
{
	g_autoptr(GArray) moved = g_array_new(FALSE, TRUE, sizeof(Moved));
	g_autoptr(GError) error = NULL;
	PhQueueFile *to = NULL;

	ph_lock_take(&queue->lock);
	collect(queue, from, STEP_MAILS, false, moved);
	ph_lock_drop(&queue->lock);
	if (moved->len == 0)
		return false;
	to = ph_queue_writable_file(queue, &error);
	if (to == NULL || !copy_all(from, to, moved, &error)) {
		ph_log(PH_LOG_WARNING, "queue-tend", "a file of the queue could not be emptied",
		       PH_LOG_FAILURE(error), PH_LOG_END);
		return false;
	}
	PH_LOCKED(&queue->lock);
	from->is_kept = true;
	for (guint i = 0; i < moved->len; i++) {
		from->is_kept = from->is_kept && g_array_index(moved, Moved, i).to == 0;
		move(queue, to, &g_array_index(moved, Moved, i));
	}
	return true;
}

/* --- an index anew ---------------------------------------------------------------------------- */

static gint
by_position(gconstpointer a, gconstpointer b)
{
	const Moved *x = a;
	const Moved *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* With the lock held. Returns: (owned) the rows of the file's mails. */
static GByteArray *
rows_of(PhQueue *queue, PhQueueFile *file)
{
	GByteArray *before = g_steal_pointer(&file->rows);
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Moved));
	GByteArray *rows = NULL;

	/* what is told now goes to a list of its own, with numbers of its own */
	g_clear_pointer(&file->numbers, g_hash_table_unref);
	file->rows = g_byte_array_new();
	collect(queue, file, G_MAXUINT, true, found);
	g_array_sort(found, by_position);
	for (guint i = 0; i < found->len; i++)
		note_all(queue, g_array_index(found, Moved, i).message, ROW_SIZE);
	ph_queue_note_end(queue, file, file->end);
	rows = file->rows;
	file->rows = before;
	return rows;
}

static bool
shorten_index(PhQueue *queue, PhQueueFile *file)
{
	g_autoptr(GError) error = NULL;
	GByteArray *rows = NULL;
	bool good = false;

	ph_lock_take(&queue->lock);
	if (file->rows != NULL) {
		ph_lock_drop(&queue->lock);
		return false;
	}
	rows = rows_of(queue, file);
	ph_lock_drop(&queue->lock);
	good = ph_queue_file_replace(file, queue->folder_fd,
	                             PH_SLICE((const char *) rows->data, rows->len), &error);
	if (!good)
		ph_log(PH_LOG_WARNING, "queue-tend", "an index of the queue could not be written",
		       PH_LOG_FAILURE(error), PH_LOG_END);
	g_byte_array_unref(rows);
	return good;
}

bool
ph_queue_tend(PhQueue *queue)
{
	PhQueueFile *sparse = NULL;
	PhQueueFile *talkative = NULL;
	bool did = false;

	ph_lock_take(&queue->lock);
	sparse = choose(queue, is_sparse);
	talkative = sparse == NULL ? choose(queue, has_long_index) : NULL;
	ph_lock_drop(&queue->lock);
	if (sparse != NULL)
		did = empty_file(queue, sparse);
	else if (talkative != NULL)
		did = shorten_index(queue, talkative);
	ph_queue_file_unref(sparse);
	ph_queue_file_unref(talkative);
	return did;
}

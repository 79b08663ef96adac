/* writer.c: writes what was added, one sync for all of it, and what has become of it
 *
 * The only thread that writes. It takes what has gathered, writes the mails behind one another,
 * syncs, and only then do they exist: in memory, for the schedule, and for who added them. What
 * comes meanwhile is the next batch. When a write fails the file is cut back to where it was; when a
 * sync fails nothing further goes to that file, because nobody knows what lies there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "queue/private.h"

#include <malloc.h>
#include <unistd.h>

enum {
	PIECES = 128,   /* of a batch in one call */
	ROWS_US = 4000, /* that rows of the index wait for others */
	TRIM_TASKS = 1000,
	TEND_US = 100000,
	TEND_IDLE_US = 5000000,
};

/* Work: what one round has to do. */
typedef struct {
	PhQueueEntry *entries;
	GPtrArray *dirty; /* of PhQueueFile (owned) */
	GPtrArray *rows;  /* of GByteArray (owned), one for each of them */
	GArray *dead;
	bool syncs;
	bool syncs_folder; /* files were removed since the last sync */
	bool adopts;
} Work;

/* --- mails ------------------------------------------------------------------------------------ */

PhQueueFile *
ph_queue_writable_file(PhQueue *queue, GError **error)
{
	PhQueueFile *made = NULL;
	PhQueueFile *old = queue->active;
	uint64_t limit = 0;
	uint32_t number = 0;

	ph_lock_take(&queue->lock);
	limit = queue->settings.file_octets;
	ph_lock_drop(&queue->lock);
	if (old != NULL && !old->is_bad && old->end < limit)
		return old;
	made = ph_queue_file_make(queue->folder_fd, queue->last_number + 1, error);
	if (made == NULL)
		return NULL;
	PH_LOCKED(&queue->lock);
	queue->last_number = made->number;
	(void) g_hash_table_insert(queue->files, GUINT_TO_POINTER(made->number), made);
	queue->active = made;
	if (old == NULL)
		return made;
	g_clear_pointer(&old->numbers, g_hash_table_unref);
	if (old->n_live > 0)
		return made;
	number = old->number;
	g_array_append_val(queue->dead, number);
	(void) g_hash_table_remove(queue->files, GUINT_TO_POINTER(number));
	return made;
}

/* Place: where the next piece goes. */
typedef struct {
	PhQueueFile *file;
	uint64_t position;
	struct iovec pieces[PIECES];
	size_t n;
	uint64_t written; /* before the pieces */
} Place;

static bool
flush(Place *place, GError **error)
{
	bool good = ph_queue_file_put(place->file, place->written, place->pieces, place->n, error);

	place->n = 0;
	place->written = place->position;
	return good;
}

static bool
put_piece(PhSlice piece, void *user_data, GError **error)
{
	Place *place = user_data;
	struct iovec one = { (char *) (uintptr_t) piece.data, piece.length };

	if (!ph_queue_file_put(place->file, place->position, &one, 1, error))
		return false;
	place->position += piece.length;
	place->written = place->position;
	return true;
}

static bool
put_entry(Place *place, PhQueueEntry *entry, GError **error)
{
	static char zeros[8];
	uint64_t start = place->position;
	uint64_t end = 0;
	PhSlice whole = PH_SLICE_EMPTY;

	entry->record.position = start;
	end = start + ph_queue_record_size(&entry->record);
	ph_queue_record_seal(&entry->record, entry->octets, place->file->seed);
	if (place->n + 3 > PIECES && !flush(place, error))
		return false;
	place->pieces[place->n++] = (struct iovec){ entry->octets, entry->length };
	place->position += entry->length;
	if (entry->content != NULL && ph_content_peek(entry->content, &whole)) {
		place->pieces[place->n++] =
			(struct iovec){ (char *) (uintptr_t) whole.data, whole.length };
		place->position += whole.length;
	} else if (entry->content != NULL
	           && (!flush(place, error)
	               || !ph_content_each(entry->content, 0, entry->record.octets, put_piece,
	                                   place, error)))
		return false;
	if (place->position < end)
		place->pieces[place->n++] =
			(struct iovec){ zeros, (size_t) (end - place->position) };
	place->position = end;
	return true;
}

/* What was begun must not be found by the next process, and its room is needed. */
static void
cut_back(PhQueueFile *file)
{
	if (ftruncate(file->fd, (off_t) file->end) < 0)
		file->is_bad = true;
}

static bool
write_entries(PhQueue *queue, PhQueueEntry *entries, GError **error)
{
	Place place = { .file = ph_queue_writable_file(queue, error) };
	bool good = place.file != NULL;

	if (!good)
		return false;
	place.position = place.written = place.file->end;
	for (PhQueueEntry *entry = entries; entry != NULL && good; entry = entry->next) {
		entry->file = place.file;
		good = put_entry(&place, entry, error);
	}
	good = good && flush(&place, error);
	if (!good) {
		cut_back(place.file);
		return false;
	}
	if (!ph_durable_sync(place.file->fd, error)) {
		place.file->is_bad = true;
		cut_back(place.file);
		return false;
	}
	place.file->end = place.position;
	return true;
}

/* --- in memory -------------------------------------------------------------------------------- */

static void
schedule_entry(PhQueue *queue, const PhQueueEntry *entry, uint64_t now_ms)
{
	PhQueueInsert mail = { .file = entry->file,
		               .position = entry->record.position,
		               .key = entry->record.key,
		               .arrived = entry->arrived,
		               .by = entry->by,
		               .priority = entry->priority,
		               .bucket = entry->bucket,
		               .n_recipients = entry->n_recipients,
		               .destinations = entry->destinations };
	uint32_t number = ph_queue_insert(queue, &mail);
	uint64_t due_ms = ph_queue_ms(entry->not_before);

	ph_queue_note_mail(queue, &mail, ph_queue_record_size(&entry->record), entry->not_before);
	for (uint32_t slot = ph_table_message(&queue->table, number)->first; slot != 0;
	     slot = ph_table_slot(&queue->table, slot)->sibling) {
		if (entry->hold != NULL)
			ph_queue_hold_slot(queue, slot, entry->hold);
		else
			ph_schedule_add(queue->schedule, slot, due_ms, now_ms);
	}
	queue->stats.n_added++;
}

static void
publish(PhQueue *queue, const PhQueueEntry *entries, bool good)
{
	uint64_t now_ms = ph_queue_ms(ph_clock_wall_us());

	PH_LOCKED(&queue->lock);
	queue->stats.n_batches += good;
	for (const PhQueueEntry *entry = entries; entry != NULL; entry = entry->next) {
		if (good) {
			schedule_entry(queue, entry, now_ms);
			continue;
		}
		for (uint32_t i = 0; i < entry->n_recipients; i++)
			ph_schedule_release(queue->schedule, entry->destinations[i]);
	}
	ph_queue_nudge(queue);
}

static void
answer(PhQueueEntry *entries, const GError *error)
{
	while (entries != NULL) {
		PhQueueEntry *entry = entries;

		entries = entry->next;
		entry->added(error, entry->user_data);
		g_free(entry->octets);
		g_clear_pointer(&entry->content, ph_content_unref);
		g_free(entry->hold);
		g_free(entry);
	}
}

static void
work_on_entries(PhQueue *queue, PhQueueEntry *entries)
{
	g_autoptr(GError) error = NULL;
	bool good = write_entries(queue, entries, &error);

	if (!good)
		ph_log(PH_LOG_ERROR, "queue-write", "mail could not be written to the queue",
		       PH_LOG_FAILURE(error), PH_LOG_END);
	publish(queue, entries, good);
	answer(entries, error);
}

/* --- the index -------------------------------------------------------------------------------- */

/* Whoever asked for it is told, and others may ask again. */
static void
end_sync(PhQueue *queue)
{
	PH_LOCKED(&queue->lock);
	queue->n_syncs++;
	queue->is_syncing = false;
	queue->is_unsynced = false;
	ph_signal_all(&queue->synced);
}

/* What cannot be noted is done again after a restart; nothing is lost. */
static void
work_on_rows(PhQueue *queue, Work *work)
{
	for (guint i = 0; i < work->dirty->len; i++) {
		PhQueueFile *file = work->dirty->pdata[i];
		const GByteArray *rows = work->rows->pdata[i];
		g_autoptr(GError) error = NULL;

		if (!ph_queue_file_append(file, PH_SLICE((const char *) rows->data, rows->len),
		                          work->syncs, &error))
			ph_log(PH_LOG_WARNING, "queue-index",
			       "what was delivered could not be noted; after a restart it would "
			       "be delivered again",
			       PH_LOG_FAILURE(error), PH_LOG_END);
		file->is_unsynced = !work->syncs || error != NULL;
	}
	for (guint i = 0; i < work->dead->len; i++)
		ph_queue_file_remove(queue->folder_fd, g_array_index(work->dead, uint32_t, i));
	if (work->syncs_folder)
		(void) ph_durable_sync_folder(queue->folder_fd, NULL);
	if (work->syncs)
		end_sync(queue);
}

/* --- rounds ----------------------------------------------------------------------------------- */

static bool
has_work(const PhQueue *queue)
{
	return queue->first != NULL || queue->dirty->len > 0 || queue->dead->len > 0
	       || queue->wants_adoption || queue->wants_sync;
}

/* A sync is of all that was written before, too. With the lock held. */
static void
add_unsynced(const PhQueue *queue, GPtrArray *dirty)
{
	GHashTableIter iter;
	gpointer value = NULL;

	g_hash_table_iter_init(&iter, queue->files);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		PhQueueFile *file = value;

		if (file->is_unsynced && file->rows == NULL)
			g_ptr_array_add(dirty, ph_queue_file_ref(file));
	}
}

/* Takes the rows out of the files. With the lock held. */
static void
take_rows(PhQueue *queue, Work *work)
{
	queue->is_unsynced = queue->is_unsynced || queue->dirty->len > 0 || queue->dead->len > 0;
	work->syncs = queue->is_syncing = queue->wants_sync;
	queue->wants_sync = false;
	work->dirty = queue->dirty;
	queue->dirty = g_ptr_array_new();
	if (work->syncs)
		add_unsynced(queue, work->dirty);
	work->rows = g_ptr_array_new_with_free_func((GDestroyNotify) g_byte_array_unref);
	for (guint i = 0; i < work->dirty->len; i++) {
		PhQueueFile *file = work->dirty->pdata[i];

		g_ptr_array_add(work->rows, file->rows != NULL ? g_steal_pointer(&file->rows)
		                                               : g_byte_array_new());
	}
	work->dead = queue->dead;
	work->syncs_folder = work->syncs && queue->has_removed;
	queue->has_removed = !work->syncs && (queue->has_removed || work->dead->len > 0);
	queue->dead = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	work->adopts = queue->wants_adoption;
	queue->wants_adoption = false;
}

/* Waits until there is something; false when the time has come to look after the files, or at the
 * end. */
static bool
wait_for_work(PhQueue *queue, uint64_t deadline_us)
{
	queue->is_writing = false;
	while (!has_work(queue) && !queue->is_closing
	       && ph_signal_wait_until(&queue->work, &queue->lock, deadline_us))
		;
	/* what was delivered is noted together with what follows soon: nobody waits for it */
	queue->is_patient = true;
	deadline_us = ph_clock_us() + ROWS_US;
	while (queue->first == NULL && !queue->wants_sync && !queue->is_closing && has_work(queue)
	       && ph_signal_wait_until(&queue->work, &queue->lock, deadline_us))
		;
	queue->is_patient = false;
	queue->is_writing = true;
	return has_work(queue);
}

static bool
take_work(PhQueue *queue, Work *work, uint64_t deadline_us, bool *ends_out)
{
	*work = (Work){ .entries = NULL };
	PH_LOCKED(&queue->lock);
	if (!wait_for_work(queue, deadline_us)) {
		*ends_out = queue->is_closing;
		return false;
	}
	work->entries = queue->first;
	queue->first = NULL;
	queue->last = &queue->first;
	take_rows(queue, work);
	return true;
}

static void
do_work(PhQueue *queue, Work *work)
{
	work_on_rows(queue, work);
	g_ptr_array_set_free_func(work->dirty, (GDestroyNotify) ph_queue_file_unref);
	g_ptr_array_unref(work->dirty);
	g_ptr_array_unref(work->rows);
	g_array_unref(work->dead);
	if (work->entries != NULL)
		work_on_entries(queue, work->entries);
	if (work->adopts)
		ph_queue_take_in(queue);
}

/* What deliveries have used lies scattered over the heap; when none is under way it goes back. */
static void
give_back(PhQueue *queue)
{
	bool wants = false;

	ph_lock_take(&queue->lock);
	if (ph_schedule_n_busy(queue->schedule) == 0) {
		wants = queue->n_finished - queue->n_trimmed >= TRIM_TASKS;
		queue->n_trimmed = wants ? queue->n_finished : queue->n_trimmed;
	}
	ph_lock_drop(&queue->lock);
	if (wants)
		(void) malloc_trim(0);
}

void *
ph_queue_write_for_ever(void *data)
{
	PhQueue *queue = data;
	uint64_t tend_us = ph_clock_us() + TEND_US;
	bool ends = false;
	Work work;

	while (!ends) {
		bool found = take_work(queue, &work, tend_us, &ends);

		if (found)
			do_work(queue, &work);
		if (ends || ph_clock_us() < tend_us)
			continue;
		if (ph_queue_tend(queue)) {
			tend_us = ph_clock_us() + TEND_US;
			continue;
		}
		give_back(queue);
		tend_us = ph_clock_us() + TEND_IDLE_US;
	}
	return NULL;
}

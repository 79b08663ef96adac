/* recover.c: reads what an earlier process has left
 *
 * Each file's index says which mails are in it and what has become of them; what the index does not
 * know of yet is found in the file itself behind the last mail that it knows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "queue/private.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

/* Known: a mail of the file that is read. */
typedef struct {
	uint64_t position;
	uint32_t message; /* 0: it is gone */
} Known;

typedef struct {
	PhQueue *queue;
	PhQueueFile *file;
	GArray *known;        /* of Known, by position */
	GArray *destinations; /* of uint32_t: number in the index to number */
	uint64_t end;         /* behind the last mail that is known */
	uint64_t least;       /* position of the next row of a mail: they are in order */
	uint64_t now_ms;
	uint64_t n_strange; /* rows that fit nothing */
	bool is_late;       /* the queue is at work already */
} Reading;

static uint32_t
find_message(const Reading *reading, uint64_t position)
{
	guint low = 0;
	guint high = reading->known->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const Known *known = &g_array_index(reading->known, Known, middle);

		if (known->position == position)
			return middle + 1;
		if (known->position < position)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

static void
take_destination(Reading *reading, const PhQueueRow *row)
{
	g_autofree char *route = ph_slice_dup(row->route);
	g_autofree char *key = ph_slice_dup(row->key_text);
	uint32_t number = ph_schedule_destination(reading->queue->schedule, route, key);

	if (row->number != reading->destinations->len || number == 0) {
		reading->n_strange++;
		return;
	}
	/* the reading itself keeps it from being forgotten */
	ph_schedule_reserve(reading->queue->schedule, number);
	g_array_append_val(reading->destinations, number);
}

static uint32_t
insert(Reading *reading, const PhQueueInsert *mail, PhTime not_before)
{
	PhQueue *queue = reading->queue;
	uint32_t number = ph_queue_insert(queue, mail);
	uint64_t due_ms = ph_queue_ms(not_before);
	Known known = { mail->position, number };

	for (uint32_t slot = ph_table_message(&queue->table, number)->first; slot != 0;
	     slot = ph_table_slot(&queue->table, slot)->sibling) {
		PhQueueSlot *row = ph_table_slot(&queue->table, slot);

		row->due_ms = due_ms & PH_QUEUE_MS_MAX;
		row->state = PH_QUEUE_WAITING;
	}
	g_array_append_val(reading->known, known);
	return number;
}

static void
take_mail(Reading *reading, const PhQueueRow *row)
{
	g_autofree uint32_t *destinations = g_new(uint32_t, row->n_recipients);
	PhQueueInsert mail = { .file = reading->file,
		               .position = row->position,
		               .key = row->key,
		               .arrived = row->arrived,
		               .by = row->by,
		               .priority = row->priority,
		               .bucket = row->bucket,
		               .n_recipients = row->n_recipients,
		               .destinations = destinations };

	for (uint32_t i = 0; i < row->n_recipients; i++) {
		uint32_t number = ph_queue_row_destination(row, i);

		if (number == 0 || number >= reading->destinations->len || row->position % 8 != 0
		    || row->position < reading->least) {
			reading->n_strange++;
			return;
		}
		destinations[i] = g_array_index(reading->destinations, uint32_t, number);
	}
	for (uint32_t i = 0; i < row->n_recipients; i++)
		ph_schedule_reserve(reading->queue->schedule, destinations[i]);
	(void) insert(reading, &mail, row->not_before);
	reading->least = row->position + 1;
	reading->end = MAX(reading->end, row->position + row->size);
}

static uint32_t
find_slot(const PhQueue *queue, uint32_t message, uint32_t number)
{
	uint32_t slot = ph_table_message(&queue->table, message)->first;

	while (slot != 0 && ph_table_slot(&queue->table, slot)->number != number)
		slot = ph_table_slot(&queue->table, slot)->sibling;
	return slot;
}

static void
take_state(Reading *reading, const PhQueueRow *row, uint32_t message)
{
	PhQueue *queue = reading->queue;
	uint32_t slot = find_slot(queue, message, row->recipient);
	PhQueueSlot *known = slot != 0 ? ph_table_slot(&queue->table, slot) : NULL;

	if (known == NULL || known->state == PH_QUEUE_DONE || row->state > PH_QUEUE_DONE)
		return;
	known->attempts = MIN(row->attempts, PH_QUEUE_ATTEMPTS_MAX) & 255;
	known->is_warned = row->is_warned;
	known->is_released = row->is_released;
	known->due_ms = ph_queue_ms(row->due) & ((UINT64_C(1) << 42) - 1);
	ph_reasons_drop(queue->reasons, known->reason);
	known->reason = ph_reasons_use(queue->reasons, row->reason);
	if (row->state == PH_QUEUE_DONE)
		ph_queue_finish_slot(queue, slot);
	else
		known->state = row->state == PH_QUEUE_HELD ? PH_QUEUE_HELD : PH_QUEUE_WAITING;
}

static void
forget(Reading *reading, Known *known)
{
	PhQueue *queue = reading->queue;
	uint32_t slot = ph_table_message(&queue->table, known->message)->first;
	uint32_t n = ph_table_message(&queue->table, known->message)->n_open;

	while (n > 0) {
		uint32_t next = ph_table_slot(&queue->table, slot)->sibling;

		if (ph_table_slot(&queue->table, slot)->state != PH_QUEUE_DONE) {
			ph_queue_finish_slot(queue, slot);
			n--;
		}
		slot = next;
	}
	known->message = 0;
}

static void
take_row(const PhQueueRow *row, void *user_data)
{
	Reading *reading = user_data;
	Known *known = NULL;
	uint32_t at = 0;

	if (row->kind == PH_QUEUE_ROW_DESTINATION) {
		take_destination(reading, row);
	} else if (row->kind == PH_QUEUE_ROW_MAIL) {
		take_mail(reading, row);
	} else if (row->kind == PH_QUEUE_ROW_END) {
		reading->end = MAX(reading->end, row->position);
	} else {
		at = find_message(reading, row->position);
		known = at != 0 ? &g_array_index(reading->known, Known, at - 1) : NULL;
		if (known != NULL && known->message != 0 && row->kind == PH_QUEUE_ROW_GONE)
			forget(reading, known);
		else if (known != NULL && known->message != 0)
			take_state(reading, row, known->message);
	}
}

/* A mail that the index does not know of. */
static void
take_found(const PhQueueRecord *record, PhSlice octets, void *user_data)
{
	Reading *reading = user_data;
	PhQueue *queue = reading->queue;
	g_autoptr(PhEnvelope) envelope =
		ph_queue_envelope_parse(ph_slice_from(octets, PH_QUEUE_HEAD));
	g_autofree uint32_t *destinations = NULL;
	PhQueueInsert mail = { .file = reading->file,
		               .position = record->position,
		               .key = record->key };

	if (envelope == NULL) {
		queue->stats.n_damaged++;
		return;
	}
	destinations = g_new(uint32_t, envelope->n_recipients);
	for (uint32_t i = 0; i < envelope->n_recipients; i++) {
		destinations[i] =
			ph_schedule_destination(queue->schedule, envelope->recipients[i].route,
		                                envelope->recipients[i].destination);
		if (destinations[i] == 0)
			return;
		ph_schedule_reserve(queue->schedule, destinations[i]);
	}
	mail.arrived = envelope->arrived;
	mail.by = envelope->by;
	mail.priority = envelope->priority;
	mail.bucket = ph_slice_hash(ph_slice(envelope->sender)) % PH_QUEUE_BUCKETS;
	mail.n_recipients = envelope->n_recipients;
	mail.destinations = destinations;
	(void) insert(reading, &mail, envelope->not_before);
	ph_queue_note_mail(queue, &mail, ph_queue_record_size(record), envelope->not_before);
}

/* What is to be delivered is ready or waits. */
static void
schedule_slot(PhQueue *queue, uint32_t slot, uint64_t now_ms)
{
	PhQueueSlot *row = ph_table_slot(&queue->table, slot);

	if (row->message == 0 || row->state != PH_QUEUE_WAITING)
		return;
	row->state = PH_QUEUE_FREE;
	ph_schedule_add(queue->schedule, slot, row->due_ms, now_ms);
}

/* The mails of one file; those of the others are scheduled already. */
static void
schedule_known(const Reading *reading)
{
	PhQueue *queue = reading->queue;
	uint64_t now_ms = ph_queue_ms(ph_clock_wall_us());

	for (guint i = 0; i < reading->known->len; i++) {
		const Known *known = &g_array_index(reading->known, Known, i);

		if (known->message == 0
		    || ph_table_message(&queue->table, known->message)->place
		               != ((uint64_t) reading->file->number << 32 | known->position / 8))
			continue;
		queue->stats.n_added++;
		for (uint32_t slot = ph_table_message(&queue->table, known->message)->first;
		     slot != 0; slot = ph_table_slot(&queue->table, slot)->sibling)
			schedule_slot(queue, slot, now_ms);
	}
	ph_queue_nudge(queue);
}

/* The index numbers of this file's destinations go on where they ended. */
static void
end_reading(Reading *reading)
{
	PhQueue *queue = reading->queue;

	for (guint i = 1; i < reading->destinations->len; i++)
		ph_schedule_release(queue->schedule,
		                    g_array_index(reading->destinations, uint32_t, i));
	g_array_unref(reading->destinations);
	g_array_unref(reading->known);
	if (reading->file->numbers != NULL)
		g_clear_pointer(&reading->file->numbers, g_hash_table_unref);
}

/* What the index says comes first, so that numbers that are told now are new ones. */
static void
know_numbers(Reading *reading)
{
	PhQueue *queue = reading->queue;

	reading->file->numbers = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 1; i < reading->destinations->len; i++) {
		const PhDestination *known = ph_schedule_look(
			queue->schedule, g_array_index(reading->destinations, uint32_t, i));

		(void) g_hash_table_insert(reading->file->numbers,
		                           g_strconcat(known->route, "\n", known->key, NULL),
		                           GUINT_TO_POINTER(i));
	}
}

static void
tell_damage(const PhQueueFile *file, uint64_t octets, uint64_t n_strange)
{
	ph_log(PH_LOG_ERROR, "queue-damaged",
	       "a part of a file of the queue is not what was written and was left out",
	       PH_LOG_NUMBER("file", file->number), PH_LOG_NUMBER("octets", octets),
	       PH_LOG_NUMBER("rows", n_strange), PH_LOG_END);
}

static bool
read_file(PhQueue *queue, PhQueueFile *file, bool is_late, GError **error)
{
	Reading reading = { .queue = queue,
		            .file = file,
		            .end = PH_QUEUE_FILE_START,
		            .is_late = is_late };
	uint64_t damaged = 0;
	bool good = false;
	uint32_t none = 0;

	reading.known = g_array_new(FALSE, FALSE, sizeof(Known));
	reading.destinations = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_array_append_val(reading.destinations, none);
	queue->is_reading = true;
	good = ph_queue_file_index(file, take_row, &reading, error);
	queue->is_reading = false;
	if (good) {
		know_numbers(&reading);
		file->end = ph_queue_file_scan(file, reading.end, take_found, &reading, &damaged);
		if (damaged > 0 || reading.n_strange > 0) {
			queue->stats.n_damaged++;
			tell_damage(file, damaged, reading.n_strange);
		}
	}
	if (good && reading.is_late)
		schedule_known(&reading);
	end_reading(&reading);
	return good;
}

/* --- all files -------------------------------------------------------------------------------- */

static gint
compare(gconstpointer a, gconstpointer b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* An index is left alone when its file could be removed and it could not. */
static bool
has_mails(const PhQueue *queue, uint32_t number)
{
	char name[PH_QUEUE_FILE_NAME];

	ph_queue_file_name(number, false, name);
	return faccessat(queue->folder_fd, name, F_OK, 0) == 0;
}

static GArray *
list_files(PhQueue *queue, GError **error)
{
	GDir *dir = g_dir_open(queue->folder, 0, NULL);
	GArray *numbers = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	const char *name = NULL;
	uint32_t number = 0;
	bool is_index = false;

	if (dir == NULL) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot read the folder '%s'",
		             queue->folder);
		g_array_unref(numbers);
		return NULL;
	}
	while ((name = g_dir_read_name(dir)) != NULL) {
		if (!ph_queue_file_number(name, &is_index, &number))
			continue;
		queue->last_number = MAX(queue->last_number, number);
		if (!is_index)
			g_array_append_val(numbers, number);
		else if (!has_mails(queue, number))
			g_array_append_val(queue->dead, number);
	}
	g_dir_close(dir);
	g_array_sort(numbers, compare);
	return numbers;
}

/* What cannot be read at all is left where it is, for a person. */
static bool
take_file(PhQueue *queue, uint32_t number, bool is_late, GError **error)
{
	g_autoptr(GError) why = NULL;
	PhQueueFile *active = queue->active;
	PhQueueFile *file = ph_queue_file_open(queue->folder_fd, number, queue->writes, &why);

	if (file == NULL && g_error_matches(why, PH_ERROR, PH_ERROR_GONE)) {
		g_array_append_val(queue->dead, number);
		return true;
	}
	if (file == NULL && g_error_matches(why, PH_ERROR, PH_ERROR_CORRUPT)) {
		queue->stats.n_damaged++;
		ph_log(PH_LOG_ERROR, "queue-damaged", "a file of the queue was set aside",
		       PH_LOG_NUMBER("file", number), PH_LOG_FAILURE(why), PH_LOG_END);
		return true;
	}
	if (file == NULL) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	(void) g_hash_table_insert(queue->files, GUINT_TO_POINTER(number), file);
	queue->active = file;
	if (!read_file(queue, file, is_late, error)) {
		queue->active = active;
		return false;
	}
	queue->active = active;
	if (file->n_live == 0 && queue->writes) {
		(void) g_hash_table_remove(queue->files, GUINT_TO_POINTER(number));
		g_array_append_val(queue->dead, number);
	}
	return true;
}

bool
ph_queue_take_file(PhQueue *queue, uint32_t number, GError **error)
{
	PH_LOCKED(&queue->lock);
	return take_file(queue, number, true, error);
}

static void
schedule_all(PhQueue *queue)
{
	uint64_t now_ms = ph_queue_ms(ph_clock_wall_us());

	for (uint32_t i = 1; i < queue->table.slots.end; i++)
		schedule_slot(queue, i, now_ms);
}

/* What other processes have left is read with the rest. */
static GArray *
list_all(PhQueue *queue, GError **error)
{
	GArray *numbers = list_files(queue, error);

	if (numbers != NULL && queue->writes)
		ph_queue_take_names(queue, numbers);
	return numbers;
}

bool
ph_queue_recover(PhQueue *queue, GError **error)
{
	g_autoptr(GArray) numbers = list_all(queue, error);
	bool good = numbers != NULL;

	PH_LOCKED(&queue->lock);
	for (guint i = 0; good && i < numbers->len; i++)
		good = take_file(queue, g_array_index(numbers, uint32_t, i), false, error);
	if (!good)
		return false;
	queue->stats.n_done = 0;
	schedule_all(queue);
	/* what was only needed for reading */
	(void) malloc_trim(0);
	return true;
}

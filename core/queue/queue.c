/* queue.c: mail that was accepted and not delivered yet
 *
 * Life, and what happens in memory when a mail comes and goes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/queue.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/reserve.h"
#include "queue/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	MODE = 0700,
	LOCK_TRIES = 100,
	LOCK_PAUSE_US = 100000,
	SLOTS_COMING = 1 << 24, /* recipients that may be on their way to the disk */
};

/* --- life ------------------------------------------------------------------------------------- */

bool
ph_queue_exists(const char *folder)
{
	GDir *dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (name = g_dir_read_name(dir)) != NULL)
		found = g_str_has_suffix(name, ".mail");
	g_dir_close(dir);
	return found;
}

/* The process that has it may be about to end. */
static bool
take_lock(PhQueue *queue, GError **error)
{
	queue->lock_fd = openat(queue->folder_fd, PH_QUEUE_LOCK,
	                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (queue->lock_fd < 0) {
		ph_error_set_errno(error, errno, "cannot make a file in '%s'", queue->folder);
		return false;
	}
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (flock(queue->lock_fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		g_usleep(LOCK_PAUSE_US);
	}
	ph_error_set(error, PH_ERROR_TEMPORARY, "another process uses the queue '%s'",
	             queue->folder);
	return false;
}

void
ph_queue_set(PhQueue *queue, const PhQueueSettings *settings)
{
	PhScheduleParams params = {
		.n_curve = MIN(settings->n_curve, PH_QUEUE_CURVE_MAX),
		.concurrency = settings->concurrency,
		.concurrency_each = settings->concurrency_each,
		.recipients_each = CLAMP(settings->recipients_each, 1, PH_QUEUE_RECIPIENTS_MAX),
		.failures = settings->failures,
	};

	PH_LOCKED(&queue->lock);
	queue->settings = *settings;
	if (params.n_curve > 0)
		memcpy(queue->curve, settings->curve, params.n_curve * sizeof queue->curve[0]);
	queue->settings.curve = params.curve = queue->curve;
	ph_schedule_set(queue->schedule, &params);
	queue->next_sweep_ms = 0;
	ph_queue_nudge(queue);
}

static PhQueue *
queue_new(const PhQueueParams *params)
{
	PhQueue *queue = g_new0(PhQueue, 1);

	queue->refs = 1;
	queue->folder = g_strdup(params->folder);
	queue->folder_fd = -1;
	queue->lock_fd = -1;
	queue->writes = params->writes;
	queue->begin = params->begin;
	queue->user_data = params->user_data;
	ph_lock_init(&queue->lock);
	ph_signal_init(&queue->work);
	ph_signal_init(&queue->turn);
	ph_signal_init(&queue->synced);
	ph_table_init(&queue->table);
	queue->schedule = ph_schedule_new(&queue->table);
	queue->reasons = ph_reasons_new();
	queue->files =
		g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) ph_queue_file_unref);
	queue->deadlines = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	queue->dirty = g_ptr_array_new();
	queue->dead = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	queue->last = &queue->first;
	ph_queue_set(queue, &params->settings);
	return queue;
}

PhQueue *
ph_queue_ref(PhQueue *queue)
{
	g_atomic_int_inc(&queue->refs);
	return queue;
}

void
ph_queue_unref(PhQueue *queue)
{
	if (queue == NULL || !g_atomic_int_dec_and_test(&queue->refs))
		return;
	g_hash_table_unref(queue->files);
	g_hash_table_unref(queue->deadlines);
	ph_schedule_free(queue->schedule);
	ph_reasons_free(queue->reasons);
	ph_table_clear(&queue->table);
	g_ptr_array_set_free_func(queue->dirty, (GDestroyNotify) ph_queue_file_unref);
	g_ptr_array_unref(queue->dirty);
	g_array_unref(queue->dead);
	if (queue->lock_fd >= 0)
		(void) close(queue->lock_fd);
	if (queue->folder_fd >= 0)
		(void) close(queue->folder_fd);
	ph_signal_clear(&queue->work);
	ph_signal_clear(&queue->turn);
	ph_signal_clear(&queue->synced);
	ph_lock_clear(&queue->lock);
	g_free(queue->folder);
	g_free(queue);
}

static bool
open_folder(PhQueue *queue, GError **error)
{
	if (queue->writes && !ph_durable_make_folder(queue->folder, MODE, error))
		return false;
	queue->folder_fd = open(queue->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (queue->folder_fd < 0) {
		ph_error_set_errno(error, errno, "cannot open the queue '%s'", queue->folder);
		return false;
	}
	return !queue->writes || take_lock(queue, error);
}

PhQueue *
ph_queue_open(const PhQueueParams *params, GError **error)
{
	PhQueue *queue = queue_new(params);

	if (!open_folder(queue, error) || !ph_queue_recover(queue, error)) {
		ph_queue_unref(queue);
		return NULL;
	}
	if (queue->writes)
		queue->writer = g_thread_new("queue", ph_queue_write_for_ever, queue);
	return queue;
}

void
ph_queue_start(PhQueue *queue)
{
	queue->is_stopping = false;
	queue->scheduler = g_thread_new("schedule", ph_queue_schedule_for_ever, queue);
}

void
ph_queue_stop(PhQueue *queue)
{
	ph_lock_take(&queue->lock);
	queue->is_stopping = true;
	ph_signal_all(&queue->turn);
	ph_lock_drop(&queue->lock);
	if (queue->scheduler != NULL)
		(void) g_thread_join(g_steal_pointer(&queue->scheduler));
}

/* Tasks that are still under way keep what is in memory, not the right to the folder. */
static void
let_go(PhQueue *queue)
{
	ph_lock_take(&queue->lock);
	queue->is_closed = true;
	ph_lock_drop(&queue->lock);
	if (queue->active != NULL && queue->active->n_live == 0)
		ph_queue_file_remove(queue->folder_fd, queue->active->number);
	if (queue->lock_fd >= 0)
		(void) close(queue->lock_fd);
	queue->lock_fd = -1;
}

void
ph_queue_close(PhQueue *queue)
{
	if (queue == NULL)
		return;
	ph_queue_stop(queue);
	ph_lock_take(&queue->lock);
	queue->is_closing = true;
	ph_signal_all(&queue->work);
	ph_lock_drop(&queue->lock);
	if (queue->writer != NULL)
		(void) g_thread_join(g_steal_pointer(&queue->writer));
	let_go(queue);
	ph_queue_unref(queue);
}

void
ph_queue_nudge(PhQueue *queue)
{
	if (queue->is_idle)
		ph_signal_one(&queue->turn);
}

/* --- in memory -------------------------------------------------------------------------------- */

PhQueueFile *
ph_queue_file_of(const PhQueue *queue, const PhQueueMessage *message, uint64_t *position_out)
{
	*position_out = (message->place & G_MAXUINT32) * 8;
	return g_hash_table_lookup(queue->files, GUINT_TO_POINTER(message->place >> 32));
}

static void
link_slots(PhQueue *queue, uint32_t number, const PhQueueInsert *mail)
{
	uint32_t next = 0;

	for (uint32_t i = mail->n_recipients; i > 0; i--) {
		uint32_t slot = ph_table_add_slot(&queue->table);
		PhQueueSlot *row = ph_table_slot(&queue->table, slot);

		row->message = number & PH_TABLE_ROWS_MAX;
		row->sibling = next & PH_TABLE_ROWS_MAX;
		row->number = (i - 1) & PH_ENVELOPE_RECIPIENTS_MAX;
		row->destination = mail->destinations[i - 1] & PH_QUEUE_DESTINATIONS_MAX;
		next = slot;
	}
	ph_table_message(&queue->table, number)->first = next & PH_TABLE_ROWS_MAX;
}

uint32_t
ph_queue_insert(PhQueue *queue, const PhQueueInsert *mail)
{
	uint32_t number = ph_table_add_message(&queue->table);
	PhQueueMessage *row = ph_table_message(&queue->table, number);

	row->place = (uint64_t) mail->file->number << 32 | mail->position / 8;
	row->key = mail->key & PH_QUEUE_KEYS_MAX;
	row->arrived_ms = ph_queue_ms(mail->arrived) & PH_QUEUE_MS_MAX;
	row->bucket = mail->bucket % PH_QUEUE_BUCKETS;
	row->priority = (uint64_t) (mail->priority + PH_QUEUE_PRIORITY_NORMAL) & 31;
	row->n_open = mail->n_recipients & PH_ENVELOPE_RECIPIENTS_MAX;
	if (mail->by != 0 && mail->by != G_MININT64) {
		uint64_t by_ms = ph_queue_ms(ABS(mail->by));

		row->flags |= mail->by > 0 ? PH_QUEUE_HAS_BY : PH_QUEUE_HAS_BY | PH_QUEUE_BY_TELLS;
		(void) g_hash_table_insert(queue->deadlines, GUINT_TO_POINTER(number),
		                           g_memdup2(&by_ms, sizeof by_ms));
	}
	link_slots(queue, number, mail);
	mail->file->n_live++;
	mail->file->n_mails++;
	mail->file->shown_end = MAX(mail->file->shown_end, mail->position);
	return number;
}

/* --- the index -------------------------------------------------------------------------------- */

static void
append_row(PhQueue *queue, PhQueueFile *file, const PhQueueRow *row)
{
	if (!queue->writes || queue->is_reading || queue->is_closed)
		return;
	if (file->rows == NULL) {
		file->rows = g_byte_array_new();
		g_ptr_array_add(queue->dirty, ph_queue_file_ref(file));
	}
	ph_queue_row_append(file->rows, row, file->seed);
	if (!queue->is_writing && !queue->is_patient)
		ph_signal_one(&queue->work);
}

/* The number that stands for a destination in this index; told before it is used first. */
static uint32_t
number_in(PhQueue *queue, PhQueueFile *file, uint32_t destination)
{
	const PhDestination *known = ph_schedule_look(queue->schedule, destination);
	g_autofree char *name = g_strconcat(known->route, "\n", known->key, NULL);
	uint32_t number = 0;
	PhQueueRow row = { .kind = PH_QUEUE_ROW_DESTINATION,
		           .route = ph_slice(known->route),
		           .key_text = ph_slice(known->key) };

	if (file->numbers == NULL)
		file->numbers = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	number = GPOINTER_TO_UINT(g_hash_table_lookup(file->numbers, name));
	if (number != 0)
		return number;
	row.number = number = g_hash_table_size(file->numbers) + 1;
	(void) g_hash_table_insert(file->numbers, g_steal_pointer(&name), GUINT_TO_POINTER(number));
	append_row(queue, file, &row);
	return number;
}

void
ph_queue_note_mail(PhQueue *queue, const PhQueueInsert *mail, uint64_t size, PhTime not_before)
{
	g_autofree uint32_t *numbers = g_new(uint32_t, mail->n_recipients);
	PhQueueRow row = { .kind = PH_QUEUE_ROW_MAIL,
		           .position = mail->position,
		           .size = size,
		           .key = mail->key,
		           .arrived = mail->arrived,
		           .not_before = not_before,
		           .by = mail->by,
		           .priority = mail->priority,
		           .bucket = mail->bucket,
		           .destinations = (const uint8_t *) numbers,
		           .n_recipients = mail->n_recipients };

	if (!queue->writes)
		return;
	for (uint32_t i = 0; i < mail->n_recipients; i++)
		numbers[i] = GUINT32_TO_LE(number_in(queue, mail->file, mail->destinations[i]));
	append_row(queue, mail->file, &row);
}

void
ph_queue_note(PhQueue *queue, uint32_t slot)
{
	const PhQueueSlot *row = ph_table_slot(&queue->table, slot);
	const PhQueueMessage *message = ph_table_message(&queue->table, row->message);
	PhQueueRow note = { .kind = PH_QUEUE_ROW_STATE,
		            .recipient = row->number,
		            .state = (uint32_t) row->state,
		            .attempts = row->attempts,
		            .is_warned = row->is_warned,
		            .is_released = row->is_released,
		            .due = ph_queue_time(row->due_ms),
		            .reason = ph_slice(ph_reasons_text(queue->reasons, row->reason)) };
	PhQueueFile *file = ph_queue_file_of(queue, message, &note.position);

	append_row(queue, file, &note);
}

static void
set_reason(PhQueue *queue, uint32_t slot, const char *reason)
{
	PhQueueSlot *row = ph_table_slot(&queue->table, slot);

	ph_reasons_drop(queue->reasons, row->reason);
	row->reason = reason != NULL ? ph_reasons_use(queue->reasons, ph_slice(reason))
	                                       & PH_QUEUE_REASONS_MAX
	                             : 0;
}

/* --- the end ---------------------------------------------------------------------------------- */

void
ph_queue_note_end(PhQueue *queue, PhQueueFile *file, uint64_t position)
{
	const PhQueueRow row = { .kind = PH_QUEUE_ROW_END, .position = position };

	append_row(queue, file, &row);
}

void
ph_queue_leave_file(PhQueue *queue, uint32_t number)
{
	const PhQueueMessage *message = ph_table_message(&queue->table, number);
	PhQueueRow row = { .kind = PH_QUEUE_ROW_GONE };
	PhQueueFile *file = ph_queue_file_of(queue, message, &row.position);

	append_row(queue, file, &row);
	if (--file->n_live > 0 || file == queue->active || !queue->writes)
		return;
	g_array_append_val(queue->dead, file->number);
	(void) g_hash_table_remove(queue->files, GUINT_TO_POINTER(file->number));
}

static void
drop(PhQueue *queue, uint32_t number)
{
	ph_queue_leave_file(queue, number);
	(void) g_hash_table_remove(queue->deadlines, GUINT_TO_POINTER(number));
	ph_table_remove(&queue->table, number);
	queue->stats.n_done++;
}

void
ph_queue_finish_slot(PhQueue *queue, uint32_t slot)
{
	PhQueueSlot *row = ph_table_slot(&queue->table, slot);
	uint32_t number = row->message;
	PhQueueMessage *message = ph_table_message(&queue->table, number);

	row->state = PH_QUEUE_DONE;
	set_reason(queue, slot, NULL);
	ph_schedule_release(queue->schedule, row->destination);
	row->destination = 0;
	if (--message->n_open > 0)
		ph_queue_note(queue, slot);
	else
		drop(queue, number);
}

void
ph_queue_hold_slot(PhQueue *queue, uint32_t slot, const char *reason)
{
	ph_table_slot(&queue->table, slot)->state = PH_QUEUE_HELD;
	set_reason(queue, slot, reason);
	ph_queue_note(queue, slot);
}

/* --- adding ----------------------------------------------------------------------------------- */

static bool
add_piece(PhSlice piece, void *user_data, GError **error)
{
	(void) XXH3_64bits_update(user_data, piece.data, piece.length);
	return true;
}

/* The checksum of the octets, and a copy when they are few. */
static bool
take_content(PhQueueEntry *entry, PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	XXH3_state_t *state = NULL;
	bool good = false;

	entry->record.octets = length;
	if (length <= PH_QUEUE_INLINE_MAX) {
		char *to = (char *) entry->octets + entry->length;

		for (uint64_t at = 0; at < length;) {
			ssize_t n = ph_content_read(content, at, to + at, length - at, error);

			if (n <= 0)
				return false;
			at += (uint64_t) n;
		}
		entry->length += length;
		entry->record.octets_sum = XXH3_64bits(to, length);
		return true;
	}
	state = XXH3_createState();
	(void) XXH3_64bits_reset(state);
	good = ph_content_each(content, 0, length, add_piece, state, error);
	entry->record.octets_sum = XXH3_64bits_digest(state);
	(void) XXH3_freeState(state);
	entry->content = ph_content_ref(content);
	return good;
}

static PhQueueEntry *
make_entry(const PhQueueNew *mail)
{
	const PhEnvelope *envelope = mail->envelope;
	PhQueueEntry *entry =
		g_malloc0(sizeof *entry + envelope->n_recipients * sizeof entry->destinations[0]);

	entry->record.key = ph_queue_checksum(ph_slice(envelope->id), 0);
	entry->arrived = envelope->arrived;
	entry->not_before = envelope->not_before;
	entry->by = envelope->by;
	entry->priority =
		CLAMP(envelope->priority, -PH_QUEUE_PRIORITY_NORMAL, PH_QUEUE_PRIORITY_NORMAL);
	entry->bucket = ph_slice_hash(ph_slice(envelope->sender)) % PH_QUEUE_BUCKETS;
	entry->n_recipients = envelope->n_recipients;
	entry->hold = g_strdup(mail->hold);
	entry->added = mail->added;
	entry->user_data = mail->user_data;
	return entry;
}

/* The head's room, the envelope, and small octets in one piece. */
static bool
fill_entry(PhQueueEntry *entry, const PhQueueNew *mail, GError **error)
{
	static const uint8_t head[PH_QUEUE_HEAD];
	GByteArray *octets = g_byte_array_sized_new(1024);
	uint64_t length = ph_content_length(mail->content);

	(void) g_byte_array_append(octets, head, sizeof head);
	if (!ph_queue_envelope_append(mail->envelope, octets)) {
		ph_error_set(error, PH_ERROR_LIMIT, "the mail has too many recipients to queue it");
		g_byte_array_unref(octets);
		return false;
	}
	entry->length = octets->len;
	entry->record.envelope_length = (uint32_t) (octets->len - PH_QUEUE_HEAD);
	if (length <= PH_QUEUE_INLINE_MAX)
		(void) g_byte_array_set_size(octets, (guint) (octets->len + length));
	entry->octets = g_byte_array_free(octets, FALSE);
	return take_content(entry, mail->content, error) && ph_reserve_may_grow(error);
}

static void
free_entry(PhQueueEntry *entry)
{
	g_free(entry->octets);
	g_clear_pointer(&entry->content, ph_content_unref);
	g_clear_error(&entry->error);
	g_free(entry->hold);
	g_free(entry);
}

/* With the lock held. */
static bool
name_destinations(PhQueue *queue, PhQueueEntry *entry, const PhEnvelope *envelope)
{
	for (uint32_t i = 0; i < envelope->n_recipients; i++) {
		const PhEnvelopeRecipient *recipient = &envelope->recipients[i];
		uint32_t number = ph_schedule_destination(queue->schedule, recipient->route,
		                                          recipient->destination);

		if (number == 0) {
			while (i > 0)
				ph_schedule_release(queue->schedule, entry->destinations[--i]);
			return false;
		}
		entry->destinations[i] = number;
		ph_schedule_reserve(queue->schedule, number);
	}
	return true;
}

static bool
append_entry(PhQueue *queue, PhQueueEntry *entry, const PhEnvelope *envelope, GError **error)
{
	PH_LOCKED(&queue->lock);
	if (queue->is_closing || !queue->writes) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the queue is being closed");
		return false;
	}
	if (queue->table.slots.n_used > PH_TABLE_ROWS_MAX - SLOTS_COMING) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the queue is full");
		return false;
	}
	if (!name_destinations(queue, entry, envelope)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the queue has too many destinations");
		return false;
	}
	*queue->last = entry;
	queue->last = &entry->next;
	if (!queue->is_writing)
		ph_signal_one(&queue->work);
	return true;
}

void
ph_queue_add(PhQueue *queue, const PhQueueNew *mail)
{
	PhQueueEntry *entry = make_entry(mail);
	g_autoptr(GError) error = NULL;

	if (fill_entry(entry, mail, &error) && append_entry(queue, entry, mail->envelope, &error))
		return;
	free_entry(entry);
	mail->added(error, mail->user_data);
}

/* --- looking ---------------------------------------------------------------------------------- */

static void
count_slots(const PhQueue *queue, PhQueueStats *stats)
{
	for (uint32_t i = 1; i < queue->table.slots.end; i++) {
		const PhQueueSlot *row = ph_table_slot(&queue->table, i);

		if (row->state < PH_QUEUE_DONE)
			stats->n_recipients[row->state]++;
	}
	stats->n_recipients[PH_QUEUE_FREE] = 0;
}

static void
count_messages(const PhQueue *queue, PhQueueStats *stats)
{
	uint64_t oldest = G_MAXUINT64;

	for (uint32_t i = 1; i < queue->table.messages.end; i++) {
		const PhQueueMessage *row = ph_table_message(&queue->table, i);

		if (row->place != 0)
			oldest = MIN(oldest, row->arrived_ms);
	}
	stats->oldest = oldest != G_MAXUINT64 ? ph_queue_time(oldest) : 0;
}

static void
count_destinations(const PhQueue *queue, PhQueueStats *stats)
{
	uint32_t n = ph_schedule_n_destinations(queue->schedule);

	for (uint32_t i = 1; i < n; i++) {
		const PhDestination *row = ph_schedule_look(queue->schedule, i);

		stats->n_destinations += row != NULL;
		stats->n_alone += row != NULL && row->heap != 0;
	}
}

void
ph_queue_stats(PhQueue *queue, PhQueueStats *stats_out)
{
	GHashTableIter iter;
	gpointer value = NULL;

	PH_LOCKED(&queue->lock);
	*stats_out = queue->stats;
	stats_out->n_mails = queue->table.messages.n_used;
	stats_out->n_files = g_hash_table_size(queue->files);
	stats_out->memory = ph_table_octets(&queue->table);
	count_slots(queue, stats_out);
	count_messages(queue, stats_out);
	count_destinations(queue, stats_out);
	g_hash_table_iter_init(&iter, queue->files);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const PhQueueFile *file = value;

		if (file->n_mails > 0)
			stats_out->octets += file->shown_end * file->n_live / file->n_mails;
	}
}

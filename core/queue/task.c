/* task.c: hands out what is to be delivered and takes the results
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "queue/private.h"

#include <stdatomic.h>

enum {
	SWEEP_LEAST_MS = 20,
	SWEEP_MOST_MS = 60000,
	SWEEPS = 16,       /* in the shortest of the times that are watched */
	SWEEP_TASKS = 256, /* that one sweep begins */
	IDLE_MS = 60000,
	MS_SECOND = 1000,
	COPY_MAX = 256 * 1024,        /* octets of a mail that are read once, into memory */
	COPIES_MAX = 4 * 1024 * 1024, /* of all that are under way */
};

static _Atomic size_t copied;

typedef struct {
	PhQueueTaskRecipient shown;
	uint32_t slot;
	char *reason;
} Recipient;

struct PhQueueTask {
	PhQueue *queue; /* (owned) */
	uint32_t kind;
	uint32_t message;
	uint32_t destination;
	PhQueueFile *file; /* (owned) */
	uint64_t position;
	PhTime arrived;
	PhTime expires;
	GBytes *octets; /* (owned, nullable) until it is loaded */
	PhEnvelope *envelope;
	PhContent *content;
	size_t copied; /* of it: its share of the memory for copies */
	uint32_t n;
	Recipient recipients[];
};

/* --- making ----------------------------------------------------------------------------------- */

static uint64_t
now_ms(void)
{
	return ph_queue_ms(ph_clock_wall_us());
}

/* What DELIVERBY says, G_MAXUINT64 when it says nothing. @tells: (only) what is to be told then. */
static uint64_t
by_ms(const PhQueue *queue, uint32_t number, bool tells)
{
	const PhQueueMessage *message = ph_table_message(&queue->table, number);
	const uint64_t *by = NULL;

	if ((message->flags & PH_QUEUE_HAS_BY) == 0
	    || tells != ((message->flags & PH_QUEUE_BY_TELLS) != 0))
		return G_MAXUINT64;
	by = g_hash_table_lookup(queue->deadlines, GUINT_TO_POINTER(number));
	return by != NULL ? *by : G_MAXUINT64;
}

/* When the mail is given up. */
static uint64_t
expiry_ms(const PhQueue *queue, uint32_t number)
{
	const PhQueueMessage *message = ph_table_message(&queue->table, number);

	return MIN(message->arrived_ms + queue->settings.lifetime.us / MS_SECOND,
	           by_ms(queue, number, false));
}

static PhQueueTask *
make_task(PhQueue *queue, uint32_t kind, const uint32_t *slots, uint32_t n)
{
	PhQueueTask *task = g_malloc0(sizeof *task + n * sizeof task->recipients[0]);
	const PhQueueSlot *first = ph_table_slot(&queue->table, slots[0]);
	const PhQueueMessage *message = ph_table_message(&queue->table, first->message);

	task->queue = ph_queue_ref(queue);
	task->kind = kind;
	task->message = first->message;
	task->destination = first->destination;
	task->file = ph_queue_file_ref(ph_queue_file_of(queue, message, &task->position));
	task->arrived = ph_queue_time(message->arrived_ms);
	task->expires = ph_queue_time(expiry_ms(queue, first->message));
	task->n = n;
	for (uint32_t i = 0; i < n; i++) {
		const PhQueueSlot *row = ph_table_slot(&queue->table, slots[i]);
		const char *reason = ph_reasons_text(queue->reasons, row->reason);
		Recipient *recipient = &task->recipients[i];

		if (reason == NULL)
			reason = ph_schedule_look(queue->schedule, row->destination)->reason;
		recipient->slot = slots[i];
		recipient->reason = g_strdup(reason);
		recipient->shown = (PhQueueTaskRecipient){ .number = (uint32_t) row->number,
			                                   .attempts = row->attempts,
			                                   .reason = recipient->reason,
			                                   .is_released = row->is_released };
	}
	return task;
}

static void
free_task(PhQueueTask *task)
{
	for (uint32_t i = 0; i < task->n; i++)
		g_free(task->recipients[i].reason);
	g_clear_pointer(&task->content, ph_content_unref);
	atomic_fetch_sub(&copied, task->copied);
	ph_queue_envelope_free(task->envelope);
	g_clear_pointer(&task->octets, g_bytes_unref);
	ph_queue_file_unref(task->file);
	ph_queue_unref(task->queue);
	g_free(task);
}

/* --- the sweep: what is late and what is too late -------------------------------------------------- */

/* When its sender is told that it is late. */
static uint64_t
late_ms(const PhQueue *queue, uint32_t number)
{
	uint64_t warn_ms = queue->settings.warn_after.us / MS_SECOND;
	uint64_t at = warn_ms > 0 ? ph_table_message(&queue->table, number)->arrived_ms + warn_ms
	                          : G_MAXUINT64;

	return MIN(at, by_ms(queue, number, true));
}

/* Is something to be told of this recipient? A mail is tried at least once, unless its sender gave a
 * time. */
static uint32_t
news_of(const PhQueue *queue, const PhQueueSlot *row, uint64_t now)
{
	bool is_late = false;
	bool has_expired = false;

	if (row->state != PH_QUEUE_READY && row->state != PH_QUEUE_WAITING)
		return 0;
	is_late = !row->is_warned && now >= late_ms(queue, row->message);
	has_expired = now >= expiry_ms(queue, row->message);
	if (!is_late && !has_expired)
		return 0;
	if (row->attempts == 0
	    && (ph_table_message(&queue->table, row->message)->flags & PH_QUEUE_HAS_BY) == 0
	    && ph_schedule_look(queue->schedule, row->destination)->n_failures == 0)
		return 0;
	return has_expired ? PH_QUEUE_TASK_EXPIRED : PH_QUEUE_TASK_LATE;
}

/* All recipients of the mail of which the same is to be told. */
static PhQueueTask *
tell(PhQueue *queue, uint32_t message, uint32_t kind, uint64_t now)
{
	uint32_t slots[PH_QUEUE_RECIPIENTS_MAX];
	uint32_t n = 0;

	for (uint32_t slot = ph_table_message(&queue->table, message)->first;
	     slot != 0 && n < G_N_ELEMENTS(slots);
	     slot = ph_table_slot(&queue->table, slot)->sibling) {
		PhQueueSlot *row = ph_table_slot(&queue->table, slot);

		if (news_of(queue, row, now) != kind)
			continue;
		slots[n++] = slot;
		if (kind == PH_QUEUE_TASK_LATE) {
			row->is_warned = 1;
			ph_queue_note(queue, slot);
			continue;
		}
		ph_schedule_take(queue->schedule, slot);
		row->state = PH_QUEUE_BUSY;
	}
	return make_task(queue, kind, slots, n);
}

static uint64_t
sweep_every_ms(const PhQueue *queue)
{
	uint64_t least = queue->settings.lifetime.us;

	if (queue->settings.warn_after.us > 0)
		least = MIN(least, queue->settings.warn_after.us);
	return CLAMP(least / MS_SECOND / SWEEPS, SWEEP_LEAST_MS,
	             g_hash_table_size(queue->deadlines) > 0 ? MS_SECOND : SWEEP_MOST_MS);
}

static GPtrArray *
sweep(PhQueue *queue, uint64_t now)
{
	GPtrArray *tasks = NULL;

	if (now < queue->next_sweep_ms)
		return NULL;
	queue->next_sweep_ms = now + sweep_every_ms(queue);
	for (uint32_t i = 1; i < queue->table.slots.end; i++) {
		const PhQueueSlot *row = ph_table_slot(&queue->table, i);
		uint32_t kind = row->message != 0 ? news_of(queue, row, now) : 0;

		if (kind == 0)
			continue;
		if (tasks == NULL)
			tasks = g_ptr_array_new();
		g_ptr_array_add(tasks, tell(queue, row->message, kind, now));
		if (tasks->len >= SWEEP_TASKS) {
			queue->next_sweep_ms = now + SWEEP_LEAST_MS;
			break;
		}
	}
	return tasks;
}

/* --- the schedule ----------------------------------------------------------------------------- */

/* With the lock held. */
static void
wait_for_turn(PhQueue *queue, uint64_t now)
{
	uint64_t next = MIN(ph_schedule_next_ms(queue->schedule), queue->next_sweep_ms);
	uint64_t wait_ms = next > now ? MIN(next - now, IDLE_MS) : 1;

	queue->is_idle = true;
	(void) ph_signal_wait_until(&queue->turn, &queue->lock,
	                            ph_clock_us() + wait_ms * MS_SECOND);
	queue->is_idle = false;
}

static void
begin_all(PhQueue *queue, GPtrArray *tasks)
{
	ph_lock_drop(&queue->lock);
	for (guint i = 0; i < tasks->len; i++)
		queue->begin(tasks->pdata[i], queue->user_data);
	g_ptr_array_unref(tasks);
	ph_lock_take(&queue->lock);
}

void *
ph_queue_schedule_for_ever(void *data)
{
	PhQueue *queue = data;
	uint32_t slots[PH_QUEUE_RECIPIENTS_MAX];

	PH_LOCKED(&queue->lock);
	while (!queue->is_stopping) {
		uint64_t now = now_ms();
		GPtrArray *tasks = sweep(queue, now);
		uint32_t n = 0;

		if (tasks == NULL) {
			tasks = g_ptr_array_new();
			while (tasks->len < SWEEP_TASKS
			       && (n = ph_schedule_next(queue->schedule, now, slots)) > 0)
				g_ptr_array_add(tasks,
				                make_task(queue, PH_QUEUE_TASK_DELIVER, slots, n));
		}
		if (tasks->len > 0) {
			begin_all(queue, tasks);
			continue;
		}
		g_ptr_array_unref(tasks);
		wait_for_turn(queue, now);
	}
	return NULL;
}

/* --- working on a task ------------------------------------------------------------------------ */

uint32_t
ph_queue_task_kind(const PhQueueTask *task)
{
	return task->kind;
}

size_t
ph_queue_task_n(const PhQueueTask *task)
{
	return task->n;
}

const PhQueueTaskRecipient *
ph_queue_task_recipient(const PhQueueTask *task, size_t index)
{
	g_assert(index < task->n);
	return &task->recipients[index].shown;
}

PhTime
ph_queue_task_expires(const PhQueueTask *task)
{
	return task->expires;
}

/* The octets: read once, not by each who looks at them, as long as that takes little memory. */
static PhContent *
take_content(PhQueueTask *task, const PhQueueRecord *record)
{
	PhContent *copy = NULL;

	if (record->octets <= COPY_MAX) {
		task->copied = (size_t) record->octets;
		if (atomic_fetch_add(&copied, task->copied) < COPIES_MAX)
			copy = ph_queue_file_copy(task->file, record);
	}
	if (copy != NULL)
		return copy;
	atomic_fetch_sub(&copied, task->copied);
	task->copied = 0;
	return ph_queue_file_content(task->file, record);
}

size_t
ph_queue_task_busy(const PhQueueTask *task)
{
	PhQueue *queue = task->queue;
	size_t n = 0;
	PH_LOCKED(&queue->lock);

	for (uint32_t slot = ph_table_message(&queue->table, task->message)->first; slot != 0;
	     slot = ph_table_slot(&queue->table, slot)->sibling)
		n += ph_table_slot(&queue->table, slot)->state == PH_QUEUE_BUSY;
	return n;
}

bool
ph_queue_task_is_lost(const PhQueueTask *task)
{
	PH_LOCKED(&task->queue->lock);
	return task->kind != PH_QUEUE_TASK_LATE && task->queue->is_closed;
}

bool
ph_queue_task_load(PhQueueTask *task, GError **error)
{
	PhQueueRecord record;
	gsize length = 0;
	const char *octets = NULL;

	if (!ph_queue_file_read(task->file, task->position, &record, &task->octets, error))
		return false;
	task->content = take_content(task, &record);
	if (!ph_queue_file_check(task->content, &record, error))
		return false;
	octets = g_bytes_get_data(task->octets, &length);
	task->envelope =
		ph_queue_envelope_parse(PH_SLICE(octets + PH_QUEUE_HEAD, length - PH_QUEUE_HEAD));
	for (uint32_t i = 0; i < task->n; i++) {
		PhQueueTaskRecipient *recipient = &task->recipients[i].shown;

		if (task->envelope == NULL || recipient->number >= task->envelope->n_recipients) {
			ph_error_set(error, PH_ERROR_CORRUPT,
			             "an envelope in the queue makes no sense");
			return false;
		}
		recipient->envelope = &task->envelope->recipients[recipient->number];
	}
	return true;
}

const PhEnvelope *
ph_queue_task_envelope(const PhQueueTask *task)
{
	return task->envelope;
}

PhContent *
ph_queue_task_content(const PhQueueTask *task)
{
	return task->content;
}

/* --- results ---------------------------------------------------------------------------------- */

static void
try_later(PhQueue *queue, uint32_t slot, const PhQueueResult *result, uint64_t now)
{
	PhQueueSlot *row = ph_table_slot(&queue->table, slot);
	uint64_t wait_ms = 0;
	uint64_t expires = expiry_ms(queue, row->message);

	if (row->attempts < PH_QUEUE_ATTEMPTS_MAX)
		row->attempts++;
	wait_ms = MAX((uint64_t) result->not_before * MS_SECOND,
	              ph_schedule_retry_ms(queue->schedule, row->attempts));
	ph_reasons_drop(queue->reasons, row->reason);
	row->reason =
		ph_reasons_use(queue->reasons, ph_slice(result->reason)) & PH_QUEUE_REASONS_MAX;
	/* the sweep finds what has expired, but not what is tried again before */
	if (now + wait_ms > expires)
		wait_ms = MAX(expires > now ? expires - now : 0, sweep_every_ms(queue)) + MS_SECOND;
	ph_schedule_add(queue->schedule, slot, now + wait_ms, now);
	ph_queue_note(queue, slot);
}

static void
take_result(PhQueue *queue, uint32_t slot, const PhQueueResult *result, uint64_t now)
{
	if (result->is_released)
		ph_table_slot(&queue->table, slot)->is_released = 1;
	if (result->outcome == PH_QUEUE_DONE_WITH)
		ph_queue_finish_slot(queue, slot);
	else if (result->outcome == PH_QUEUE_HOLD)
		ph_queue_hold_slot(queue, slot, result->reason);
	else
		try_later(queue, slot, result, now);
}

static const char *
first_reason(const PhQueueResult *results, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (results[i].outcome == PH_QUEUE_LATER && results[i].reason != NULL)
			return results[i].reason;
	return NULL;
}

/* With the lock held. */
static void
take_results(const PhQueueTask *task, const PhQueueResult *results, bool answered)
{
	PhQueue *queue = task->queue;
	uint64_t now = now_ms();

	queue->n_finished++;
	if (task->kind == PH_QUEUE_TASK_DELIVER)
		ph_schedule_finished(queue->schedule, task->destination, answered,
		                     first_reason(results, task->n), now);
	for (uint32_t i = 0; i < task->n; i++)
		take_result(queue, task->recipients[i].slot, &results[i], now);
	ph_queue_nudge(queue);
}

void
ph_queue_task_finish(PhQueueTask *task, const PhQueueResult *results, bool answered)
{
	PhQueue *queue = task->queue;

	if (task->kind != PH_QUEUE_TASK_LATE) {
		PH_LOCKED(&queue->lock);
		if (!queue->is_closed)
			take_results(task, results, answered);
	}
	free_task(task);
}

/* list.c: looks at queued mail and changes what becomes of it, for people
 *
 * Some mails at a time are taken down under the lock; what the disk has to say is asked without it.
 * A mail may be gone when it is its turn to be changed: then its place holds another or none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/list.h"

#include <posthorn/slice.h>

#include "base/clock.h"
#include "queue/private.h"

#include <string.h>

enum {
	STEP = 64,    /* mails that are taken down at a time */
	LOOKS = 4096, /* that are looked at for that, with the lock */
};

static const char *const state_names[] = {
	[PH_QUEUE_READY] = "ready", [PH_QUEUE_WAITING] = "waiting", [PH_QUEUE_BUSY] = "busy",
	[PH_QUEUE_HELD] = "held",   [PH_QUEUE_DONE] = "done",
};

const char *
ph_queue_state_name(uint32_t state)
{
	return state < G_N_ELEMENTS(state_names) && state_names[state] != NULL ? state_names[state]
	                                                                       : "unknown";
}

uint32_t
ph_queue_state_of(const char *name)
{
	for (uint32_t i = PH_QUEUE_READY; i < PH_QUEUE_DONE; i++)
		if (strcmp(state_names[i], name) == 0)
			return i;
	return 0;
}

/* --- taking down ------------------------------------------------------------------------------ */

/* Slot: one recipient as it was. */
typedef struct {
	uint32_t slot;
	uint32_t number;
	uint32_t state;
	uint32_t attempts;
	uint64_t due_ms;
	char *route;
	char *destination;
	char *reason;
} Slot;

/* Noted: one mail as it was. */
typedef struct {
	uint32_t message;
	uint64_t place;
	uint64_t key;
	uint64_t arrived_ms;
	PhQueueFile *file;
	uint64_t position;
	GArray *slots; /* of Slot */
} Noted;

static void
clear_slot(void *data)
{
	Slot *slot = data;

	g_free(slot->route);
	g_free(slot->destination);
	g_free(slot->reason);
}

static void
clear_noted(void *data)
{
	Noted *noted = data;

	ph_queue_file_unref(noted->file);
	g_clear_pointer(&noted->slots, g_array_unref);
}

static bool
fits_pattern(const char *pattern, const char *text)
{
	g_autofree char *low_pattern = g_ascii_strdown(pattern, -1);
	g_autofree char *low_text = g_ascii_strdown(text, -1);

	return g_pattern_match_simple(low_pattern, low_text);
}

static bool
fits_message(const PhQueueFilter *filter, const PhQueueMessage *row, uint64_t now_ms)
{
	uint64_t age_us = now_ms > row->arrived_ms ? (now_ms - row->arrived_ms) * 1000 : 0;

	if (row->place == 0)
		return false;
	if (filter->id != NULL
	    && row->key != (ph_queue_checksum(ph_slice(filter->id), 0) & PH_QUEUE_KEYS_MAX))
		return false;
	return (filter->older_us == 0 || age_us >= filter->older_us)
	       && (filter->younger_us == 0 || age_us <= filter->younger_us);
}

static void
note_slot(const PhQueue *queue, const PhQueueFilter *filter, uint32_t number, GArray *slots)
{
	const PhQueueSlot *row = ph_table_slot(&queue->table, number);
	const PhDestination *destination = NULL;
	const char *reason = ph_reasons_text(queue->reasons, row->reason);
	Slot slot = { .slot = number, .number = (uint32_t) row->number };

	if (row->state == PH_QUEUE_DONE || row->state == PH_QUEUE_FREE
	    || (filter->states != 0 && (filter->states & 1U << row->state) == 0)
	    || (filter->tried && row->state == PH_QUEUE_WAITING && row->attempts == 0))
		return;
	destination = ph_schedule_look(queue->schedule, row->destination);
	if (filter->destination != NULL && !fits_pattern(filter->destination, destination->key))
		return;
	slot.state = (uint32_t) row->state;
	slot.attempts = row->attempts;
	slot.due_ms = row->state == PH_QUEUE_READY ? destination->not_before_ms : row->due_ms;
	slot.route = g_strdup(destination->route);
	slot.destination = g_strdup(destination->key);
	slot.reason = g_strdup(reason != NULL ? reason : destination->reason);
	g_array_append_val(slots, slot);
}

/* Takes down the next mails from @at on. Returns: where to go on; 0 at the end. */
static uint32_t
take_down(PhQueue *queue, const PhQueueFilter *filter, uint32_t at, GArray *noted)
{
	uint64_t now_ms = ph_queue_ms(ph_clock_wall_us());
	uint32_t rest = at > UINT32_MAX - LOOKS ? UINT32_MAX : at + LOOKS;

	PH_LOCKED(&queue->lock);
	for (; at < MIN(queue->table.messages.end, rest) && noted->len < STEP; at++) {
		const PhQueueMessage *row = ph_table_message(&queue->table, at);
		Noted one = { .message = at, .place = row->place, .key = row->key };

		if (!fits_message(filter, row, now_ms))
			continue;
		one.arrived_ms = row->arrived_ms;
		one.slots = g_array_new(FALSE, FALSE, sizeof(Slot));
		g_array_set_clear_func(one.slots, clear_slot);
		for (uint32_t slot = row->first; slot != 0;
		     slot = ph_table_slot(&queue->table, slot)->sibling)
			note_slot(queue, filter, slot, one.slots);
		if (one.slots->len == 0) {
			g_array_unref(one.slots);
			continue;
		}
		one.file = ph_queue_file_ref(ph_queue_file_of(queue, row, &one.position));
		g_array_append_val(noted, one);
	}
	return at < queue->table.messages.end ? at : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool
fits_recipient(const PhQueueFilter *filter, const PhEnvelopeRecipient *recipient)
{
	const char *at = strrchr(recipient->address, '@');

	if (filter->recipient != NULL && !fits_pattern(filter->recipient, recipient->address)
	    && !fits_pattern(filter->recipient, recipient->original))
		return false;
	return filter->domain == NULL || (at != NULL && fits_pattern(filter->domain, at + 1));
}

static bool
asks_for_people(const PhQueueFilter *filter)
{
	return filter->sender != NULL || filter->recipient != NULL || filter->domain != NULL;
}

static bool
asks_for_envelope(const PhQueueFilter *filter)
{
	return filter->id != NULL || asks_for_people(filter);
}

/* Leaves those recipients that fit. A mail that cannot be read is found by its key alone. */
static bool
select_slots(const PhQueueFilter *filter, const Noted *noted, const PhEnvelope *envelope)
{
	if (envelope == NULL)
		return !asks_for_people(filter);
	if (filter->id != NULL && strcmp(filter->id, envelope->id) != 0)
		return false;
	if (filter->sender != NULL && !fits_pattern(filter->sender, envelope->sender))
		return false;
	for (guint i = noted->slots->len; i > 0; i--) {
		const Slot *slot = &g_array_index(noted->slots, Slot, i - 1);

		if (slot->number >= envelope->n_recipients
		    || !fits_recipient(filter, &envelope->recipients[slot->number]))
			g_array_remove_index(noted->slots, i - 1);
	}
	return noted->slots->len > 0;
}

static PhEnvelope *
read_envelope(const Noted *noted, PhQueueRecord *record_out, GBytes **octets_out)
{
	gsize length = 0;
	const char *octets = NULL;

	if (!ph_queue_file_read(noted->file, noted->position, record_out, octets_out, NULL))
		return NULL;
	octets = g_bytes_get_data(*octets_out, &length);
	return ph_queue_envelope_parse(PH_SLICE(octets + PH_QUEUE_HEAD, length - PH_QUEUE_HEAD));
}

static bool
show(const Noted *noted,
     const PhEnvelope *envelope,
     const PhQueueRecord *record,
     PhQueueItemFunc func,
     void *user_data)
{
	GArray *listed = g_array_new(FALSE, FALSE, sizeof(PhQueueListed));
	PhQueueItem item = { .envelope = envelope,
		             .arrived = ph_queue_time(noted->arrived_ms),
		             .octets = envelope != NULL ? record->octets : 0 };
	bool goes_on = false;

	for (guint i = 0; i < noted->slots->len; i++) {
		const Slot *slot = &g_array_index(noted->slots, Slot, i);
		PhQueueListed row = {
			.address =
				envelope != NULL ? envelope->recipients[slot->number].address : "",
			.route = slot->route,
			.destination = slot->destination,
			.state = slot->state,
			.attempts = slot->attempts,
			.due = slot->due_ms != 0 ? ph_queue_time(slot->due_ms) : 0,
			.reason = slot->reason,
		};

		g_array_append_val(listed, row);
	}
	item.recipients = (const PhQueueListed *) (const void *) listed->data;
	item.n_recipients = listed->len;
	item.content = envelope != NULL ? ph_queue_file_content(noted->file, record) : NULL;
	goes_on = func(&item, user_data);
	g_clear_pointer(&item.content, ph_content_unref);
	g_array_unref(listed);
	return goes_on;
}

static bool
show_one(const PhQueueFilter *filter, const Noted *noted, PhQueueItemFunc func, void *user_data)
{
	g_autoptr(GBytes) octets = NULL;
	PhQueueRecord record = { .octets = 0 };
	g_autoptr(PhEnvelope) envelope = read_envelope(noted, &record, &octets);

	return !select_slots(filter, noted, envelope)
	       || show(noted, envelope, &record, func, user_data);
}

static GArray *
noted_new(void)
{
	GArray *noted = g_array_new(FALSE, FALSE, sizeof(Noted));

	g_array_set_clear_func(noted, clear_noted);
	return noted;
}

void
ph_queue_each(PhQueue *queue, const PhQueueFilter *filter, PhQueueItemFunc func, void *user_data)
{
	g_autoptr(GArray) noted = noted_new();
	bool goes_on = true;
	uint32_t at = 1;

	while (at != 0 && goes_on) {
		g_array_set_size(noted, 0);
		at = take_down(queue, filter, at, noted);
		for (guint i = 0; i < noted->len && goes_on; i++)
			goes_on =
				show_one(filter, &g_array_index(noted, Noted, i), func, user_data);
	}
}

/* --- changing --------------------------------------------------------------------------------- */

static bool
may_change(uint32_t state, uint32_t action)
{
	switch (action) {
	case PH_QUEUE_RETRY:
	case PH_QUEUE_TO_HOLD:
		return state == PH_QUEUE_READY || state == PH_QUEUE_WAITING;
	case PH_QUEUE_RELEASE:
		return state == PH_QUEUE_HELD;
	default:
		return state == PH_QUEUE_READY || state == PH_QUEUE_WAITING
		       || state == PH_QUEUE_HELD;
	}
}

static void
change(PhQueue *queue, uint32_t slot, uint32_t action)
{
	PhQueueSlot *row = ph_table_slot(&queue->table, slot);
	uint64_t now_ms = ph_queue_ms(ph_clock_wall_us());

	ph_schedule_take(queue->schedule, slot);
	row->state = PH_QUEUE_FREE;
	if (action == PH_QUEUE_DELETE) {
		ph_queue_finish_slot(queue, slot);
	} else if (action == PH_QUEUE_TO_HOLD) {
		ph_queue_hold_slot(queue, slot, "held by an administrator");
	} else {
		ph_schedule_add(queue->schedule, slot, now_ms, now_ms);
		ph_schedule_wake(queue->schedule, row->destination);
		ph_queue_note(queue, slot);
	}
}

/* The mail may have gone since it was taken down, and so may its last recipient now. */
static void
act_on(PhQueue *queue, const Noted *noted, uint32_t action, PhQueueActed *acted)
{
	const PhQueueMessage *message = NULL;

	PH_LOCKED(&queue->lock);
	message = ph_table_message(&queue->table, noted->message);
	for (guint i = 0; i < noted->slots->len; i++) {
		const Slot *slot = &g_array_index(noted->slots, Slot, i);
		const PhQueueSlot *row = ph_table_slot(&queue->table, slot->slot);

		if (message->place != noted->place || message->key != noted->key
		    || row->message != noted->message || row->number != slot->number)
			continue;
		if (may_change((uint32_t) row->state, action)) {
			change(queue, slot->slot, action);
			acted->n_changed++;
		} else if (row->state == PH_QUEUE_BUSY) {
			acted->n_busy++;
		}
	}
	ph_queue_nudge(queue);
}

/* Waits until what was noted is durable. The writer may have taken it already, without a sync; one
 * that is being made may have begun before it was noted. */
static void
sync_index(PhQueue *queue)
{
	uint64_t enough = 0;

	PH_LOCKED(&queue->lock);
	if (!queue->writes || queue->is_closing || (queue->dirty->len == 0 && !queue->is_unsynced))
		return;
	queue->wants_sync = true;
	enough = queue->n_syncs + (queue->is_syncing ? 2 : 1);
	ph_signal_one(&queue->work);
	while (queue->n_syncs < enough)
		ph_signal_wait(&queue->synced, &queue->lock);
}

void
ph_queue_act(PhQueue *queue, const PhQueueFilter *filter, uint32_t action, PhQueueActed *acted_out)
{
	g_autoptr(GArray) noted = noted_new();
	PhQueueActed acted = { 0 };
	uint32_t at = 1;

	while (at != 0) {
		g_array_set_size(noted, 0);
		at = take_down(queue, filter, at, noted);
		for (guint i = 0; i < noted->len; i++) {
			const Noted *one = &g_array_index(noted, Noted, i);
			g_autoptr(GBytes) octets = NULL;
			PhQueueRecord record;
			g_autoptr(PhEnvelope) envelope =
				asks_for_envelope(filter) ? read_envelope(one, &record, &octets)
							  : NULL;

			if (!asks_for_envelope(filter) || select_slots(filter, one, envelope))
				act_on(queue, one, action, &acted);
		}
	}
	sync_index(queue);
	*acted_out = acted;
}

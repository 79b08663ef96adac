/* writer.c: enters transactions and writes what has gathered, one sync for all
 *
 * Entering copies into memory under a lock. The writing thread takes what has gathered, seals the
 * records for the segment that they go to, writes and syncs, and moves the horizon. When that fails
 * the same records, still in memory, go to another segment; nothing of the failed one behind the
 * horizon is ever looked at again. When that fails too the journal is closed off.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/horizon.h"
#include "journal/private.h"

enum {
	OP_OCTETS = 256,
	RECORD_OCTETS = 512,
	BUFFER_KEPT = 4 * 1024 * 1024,
	LINGER_MAX_US = 4000,
	LINGER_SYNCS = 2,  /* as long as so many syncs take */
	SYNC_US_SHARE = 8, /* the newest sync's share in the mean */
	SEGMENT_WAIT_US = 60000000,
	LINGER_OCTETS = 1024 * 1024,
};

/* --- room ----------------------------------------------------------------------------------------- */

uint64_t
ph_journal_size_of(const PhTransaction *transaction)
{
	uint64_t size = RECORD_OCTETS;

	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];

		size += OP_OCTETS + op->structure.length + op->value.length;
		if (op->kind == PH_OP_APPEND && op->octets <= PH_JOURNAL_OCTETS_MAX)
			size += op->octets;
	}
	return size;
}

/* With the lock held. One segment stays in reserve. */
static bool
has_room(const PhJournal *journal, uint64_t octets)
{
	uint64_t capacity = journal->segment_size * (PH_JOURNAL_SEGMENTS - 1);
	uint64_t used = journal->end - journal->checkpoint + journal->reserved;

	return used == 0 || used + octets <= capacity;
}

bool
ph_journal_reserve(PhJournal *journal, uint64_t octets, uint64_t deadline_us, GError **error)
{
	PH_LOCKED(&journal->lock);
	while (!journal->is_closed_off && !has_room(journal, octets)) {
		journal->checkpoint_wanted = true;
		ph_signal_one(&journal->wanted);
		if (ph_signal_wait_until(&journal->room, &journal->lock, deadline_us))
			continue;
		ph_error_set(error, PH_ERROR_TEMPORARY, "the journal is full");
		return false;
	}
	if (journal->is_closed_off) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the journal cannot be written");
		return false;
	}
	journal->reserved += octets;
	return true;
}

void
ph_journal_unreserve(PhJournal *journal, uint64_t octets)
{
	PH_LOCKED(&journal->lock);
	journal->reserved -= octets;
	ph_signal_all(&journal->room);
}

/* --- entering ------------------------------------------------------------------------------------- */

/* Where the position of what is appended next is kept: the end of what was entered. */
static uint64_t
end_record(PhJournal *journal, size_t start, PhJournalKind kind)
{
	uint64_t position = journal->end;

	ph_journal_record_end(journal->filling, start, kind, position);
	journal->end += journal->filling->len - start;
	return position;
}

static bool
append_octets(GByteArray *out, PhContent *content)
{
	size_t length = ph_content_length(content);
	size_t at = out->len;
	PhSlice octets = PH_SLICE_EMPTY;

	if (ph_content_peek(content, &octets)) {
		(void) g_byte_array_append(out, (const guint8 *) octets.data, (guint) length);
		return true;
	}
	(void) g_byte_array_set_size(out, (guint) (at + length));
	for (size_t got = 0; got < length;) {
		ssize_t n = ph_content_read(content, got, (char *) out->data + at + got,
		                            length - got, NULL);

		if (n <= 0)
			return false;
		got += (size_t) n;
	}
	return true;
}

/* The position of the content's octets, entered now unless another recipient's were just before. */
static bool
enter_octets(PhJournal *journal, PhContent *content, PhJournalOctets *octets)
{
	PhJournalRecent *recent = &journal->recent[((uintptr_t) content >> 6) % PH_JOURNAL_RECENT];
	size_t start = 0;

	octets->length = ph_content_length(content);
	octets->position = recent->position;
	if (recent->content == content && recent->position >= journal->epoch)
		return true;
	start = ph_journal_record_begin(journal->filling);
	if (!append_octets(journal->filling, content)) {
		(void) g_byte_array_set_size(journal->filling, (guint) start);
		return false;
	}
	octets->position = end_record(journal, start, PH_JOURNAL_OCTETS);
	g_clear_pointer(&recent->content, ph_content_unref);
	recent->content = ph_content_ref(content);
	recent->position = octets->position;
	return true;
}

/* It must fit into a segment. */
static size_t
longest_record(const PhJournal *journal)
{
	return (size_t) MIN(journal->segment_size - PH_SEGMENT_HEAD, PH_JOURNAL_RECORD_MAX);
}

static bool
enter_transaction(PhJournal *journal, const PhJournalBatch *batch, const PhTransaction *transaction)
{
	g_autofree PhJournalOctets *octets = g_new0(PhJournalOctets, transaction->n_ops + 1);
	size_t start = 0;

	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];
		PhContent *content = op->kind == PH_OP_APPEND ? batch->content(op) : NULL;

		if (content != NULL && !enter_octets(journal, content, &octets[i]))
			return false;
	}
	start = ph_journal_record_begin(journal->filling);
	ph_journal_entry_append(journal->filling, batch->section, batch->identity, transaction,
	                        octets, batch->is_hidden);
	if (journal->filling->len - start > longest_record(journal)) {
		(void) g_byte_array_set_size(journal->filling, (guint) start);
		return false;
	}
	(void) end_record(journal, start, PH_JOURNAL_TRANSACTION);
	return true;
}

bool
ph_journal_enter(PhJournal *journal, const PhJournalBatch *batch, uint64_t *position_out)
{
	bool was_idle = false;
	bool good = true;

	ph_lock_take(&journal->lock);
	good = !journal->is_closed_off;
	for (size_t i = 0; i < batch->n && good; i++)
		if (batch->transactions[i]->done)
			good = enter_transaction(journal, batch, batch->transactions[i]);
	if (journal->filling_us == 0 && !journal->is_closed_off)
		journal->filling_us = ph_clock_us();
	*position_out = journal->end;
	was_idle = journal->is_idle && !journal->is_closed_off;
	ph_lock_drop(&journal->lock);
	if (was_idle)
		ph_signal_one(&journal->work);
	return good;
}

/* --- writing --------------------------------------------------------------------------------------- */

PhSegment *
ph_journal_free_segment(PhJournal *journal)
{
	PH_LOCKED(&journal->lock);
	for (guint i = 0; i < journal->segments->len; i++) {
		PhSegment *segment = g_ptr_array_index(journal->segments, i);

		if (segment != journal->segment && !segment->is_bad
		    && segment->size == journal->segment_size
		    && (segment->sequence == 0 || segment->end <= journal->checkpoint))
			return segment;
	}
	return NULL;
}

PhSegment *
ph_journal_add_segment(PhJournal *journal, GError **error)
{
	PhSegment *made = NULL;
	unsigned slot = 0;

	PH_LOCKED(&journal->making);
	ph_lock_take(&journal->lock);
	for (guint i = 0; i < journal->segments->len; i++)
		slot = MAX(slot, ((PhSegment *) journal->segments->pdata[i])->slot + 1);
	ph_lock_drop(&journal->lock);
	if (slot >= PH_JOURNAL_SLOTS) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the journal has too many segments");
		return NULL;
	}
	made = ph_segment_make(journal->folder_fd, slot, journal->segment_size, error);
	if (made == NULL)
		return NULL;
	PH_LOCKED(&journal->lock);
	g_ptr_array_add(journal->segments, made);
	return made;
}

/* Can the present segment be filled anew? */
static bool
is_behind(const PhJournal *journal)
{
	return journal->segment != NULL && journal->segment->end <= journal->checkpoint;
}

/* A checkpoint makes room in what there is. */
static PhSegment *
wait_for_segment(PhJournal *journal)
{
	uint64_t deadline_us = ph_clock_us() + SEGMENT_WAIT_US;
	PhSegment *segment = ph_journal_free_segment(journal);
	bool goes_on = journal->segment != NULL;

	while (segment == NULL && goes_on) {
		ph_lock_take(&journal->lock);
		if (is_behind(journal))
			segment = journal->segment;
		journal->checkpoint_wanted = true;
		ph_signal_one(&journal->wanted);
		if (segment == NULL)
			goes_on = ph_signal_wait_until(&journal->room, &journal->lock, deadline_us)
			          && !journal->is_closed_off;
		ph_lock_drop(&journal->lock);
		if (segment == NULL)
			segment = ph_journal_free_segment(journal);
	}
	return segment;
}

/* One whose records are all behind the checkpoint, a new one, or, where the disk has no room for
 * that, one that the next checkpoint frees. */
static PhSegment *
find_segment(PhJournal *journal, GError **error)
{
	g_autoptr(GError) why = NULL;
	PhSegment *segment = ph_journal_free_segment(journal);

	if (segment == NULL)
		segment = ph_journal_add_segment(journal, &why);
	if (segment == NULL)
		segment = wait_for_segment(journal);
	if (segment == NULL)
		g_propagate_error(error, g_steal_pointer(&why));
	return segment;
}

static bool
next_segment(PhJournal *journal, uint64_t position, GError **error)
{
	PhSegment *segment = find_segment(journal, error);

	if (segment == NULL
	    || !ph_segment_begin(segment, journal->id, ++journal->sequence, position, error))
		return false;
	PH_LOCKED(&journal->lock);
	/* a quarter is full */
	journal->checkpoint_wanted = journal->checkpoint_wanted || journal->segment != NULL;
	journal->segment = segment;
	ph_signal_one(&journal->wanted);
	return true;
}

/* Seals whole records as far as they fit. Returns: their octets. */
static size_t
seal(const PhSegment *segment, uint8_t *records, size_t length, uint64_t room)
{
	size_t sealed = 0;

	while (sealed < length) {
		if (sealed + ph_journal_record_size_at(records + sealed) > room)
			break;
		sealed += ph_journal_record_seal(records + sealed, segment->seed);
	}
	return sealed;
}

/* Waiting for others is worth about as much as their sync costs. */
static void
note_sync(PhJournal *journal, uint64_t us)
{
	if (journal->sync_us == 0)
		journal->sync_us = us;
	journal->sync_us = (journal->sync_us * (SYNC_US_SHARE - 1) + us) / SYNC_US_SHARE;
}

/* Writes what fits into the present segment, durably. Returns: octets; 0 when nothing fits. */
static bool
write_some(PhJournal *journal, uint64_t position, size_t *at, GError **error)
{
	PhSegment *segment = journal->segment;
	uint8_t *records = journal->writing->data + *at;
	uint64_t started_us = 0;
	size_t n = 0;

	if (segment != NULL)
		n = seal(segment, records, journal->writing->len - *at,
		         ph_segment_room(segment, position));
	if (n == 0)
		return next_segment(journal, position, error);
	started_us = ph_clock_us();
	if (!ph_segment_write(segment, position, PH_SLICE((const char *) records, n), error)
	    || !ph_durable_sync(segment->fd, error))
		return false;
	note_sync(journal, ph_clock_us() - started_us);
	ph_lock_take(&journal->lock);
	segment->end = position + n;
	journal->n_syncs++;
	ph_lock_drop(&journal->lock);
	*at += n;
	return true;
}

/* What was not synced goes elsewhere; a failed sync is not tried again. */
static bool
give_up_segment(PhJournal *journal, const GError *why)
{
	if (journal->segment == NULL || journal->segment->is_bad)
		return false;
	ph_log(PH_LOG_ERROR, "journal-sync",
	       "a segment of the journal could not be written; its last records go to another one",
	       PH_LOG_NUMBER("segment", journal->segment->slot), PH_LOG_FAILURE(why), PH_LOG_END);
	PH_LOCKED(&journal->lock);
	journal->segment->is_bad = true;
	journal->segment = NULL;
	return true;
}

static bool
write_batch(PhJournal *journal, uint64_t position)
{
	size_t at = 0;
	unsigned n_failures = 0;

	while (at < journal->writing->len) {
		g_autoptr(GError) error = NULL;

		if (write_some(journal, position + at, &at, &error))
			continue;
		if (n_failures++ == 0 && give_up_segment(journal, error))
			continue;
		ph_log(PH_LOG_ERROR, "journal-failed",
		       "the journal cannot be written; nothing more is accepted",
		       PH_LOG_FAILURE(error), PH_LOG_END);
		return false;
	}
	return true;
}

void
ph_journal_expect(PhJournal *journal, int change)
{
	bool has_work = false;

	if (atomic_fetch_add(&journal->n_expected, change) + change != 0)
		return;
	ph_lock_take(&journal->lock);
	has_work = journal->filling->len > 0;
	ph_lock_drop(&journal->lock);
	if (has_work)
		ph_signal_one(&journal->work);
}

/* With the lock held: until something is there, and then while more is about to come, but not longer
 * than some syncs take: a fast disk need not be spared. */
static void
wait_for_work(PhJournal *journal)
{
	uint64_t deadline_us = 0;

	journal->is_idle = true;
	while (journal->filling->len == 0 && !journal->is_stopping)
		ph_signal_wait(&journal->work, &journal->lock);
	journal->is_idle = false;
	deadline_us = ph_clock_us() + MIN(journal->sync_us * LINGER_SYNCS, LINGER_MAX_US);
	while (atomic_load(&journal->n_expected) > 0 && !journal->is_stopping
	       && journal->filling->len < LINGER_OCTETS)
		if (!ph_signal_wait_until(&journal->work, &journal->lock, deadline_us))
			return;
}

/* Waits for work and takes all of it. Returns: false at the end. */
static bool
take_batch(PhJournal *journal, uint64_t *position_out)
{
	GByteArray *taken = journal->filling;

	if (journal->writing->len > BUFFER_KEPT) {
		(void) g_byte_array_unref(journal->writing);
		journal->writing = g_byte_array_new();
	}
	(void) g_byte_array_set_size(journal->writing, 0);
	PH_LOCKED(&journal->lock);
	wait_for_work(journal);
	taken = journal->filling;
	journal->filling = journal->writing;
	journal->writing = taken;
	journal->writing_us = journal->filling_us;
	journal->filling_us = 0;
	*position_out = journal->end - taken->len;
	return taken->len > 0;
}

void *
ph_journal_write_for_ever(void *data)
{
	PhJournal *journal = data;
	uint64_t position = 0;

	while (take_batch(journal, &position)) {
		uint64_t end = position + journal->writing->len;

		if (!write_batch(journal, position)) {
			ph_journal_fail(journal);
			return NULL;
		}
		ph_lock_take(&journal->lock);
		journal->durable = end;
		journal->writing_us = 0;
		journal->n_batches++;
		ph_lock_drop(&journal->lock);
		ph_horizon_advance(end);
	}
	return NULL;
}

/* recover.c: what an unclean stop left behind, and its replay
 *
 * Segments are read in the order of their fillings from the checkpoint on. A filling ends where the
 * next one begins, or where no whole record follows; only the last may end in the middle of one. If
 * another begins further on than its predecessor ends, acknowledged records are missing, and
 * nothing is done without somebody looking at it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "journal/private.h"

void
ph_journal_pending_free(void *data)
{
	PhJournalPending *pending = data;

	g_free(pending->section);
	ph_identity_unref(pending->identity);
	g_array_unref(pending->positions);
	g_free(pending);
}

static char *
key_of(const char *section, const char *address)
{
	return g_strconcat(section, "\n", address, NULL);
}

/* --- reading the segments ------------------------------------------------------------------------ */

/* @identity, @section: taken over. */
static void
note_pending(PhJournal *journal, char *section, PhIdentity *identity, uint64_t position)
{
	g_autofree char *key = key_of(section, ph_identity_address(identity));
	PhJournalPending *pending = g_hash_table_lookup(journal->pending, key);

	if (pending == NULL) {
		pending = g_new0(PhJournalPending, 1);
		pending->section = section;
		pending->identity = identity;
		pending->positions = g_array_new(FALSE, FALSE, sizeof(uint64_t));
		(void) g_hash_table_insert(journal->pending, g_steal_pointer(&key), pending);
		g_ptr_array_add(journal->pending_order, pending);
	} else {
		g_free(section);
		ph_identity_unref(pending->identity);
		pending->identity = identity; /* the newest */
	}
	(void) g_array_append_val(pending->positions, position);
}

static void
note_record(PhJournal *journal, const PhJournalRecord *record, uint64_t position)
{
	char *section = NULL;
	PhIdentity *identity = NULL;

	if (record->kind == PH_JOURNAL_TRANSACTION
	    && ph_journal_entry_peek_account(record->payload, &section, &identity))
		note_pending(journal, section, identity, position);
}

/* Notes the records of a filling from @position on, up to @limit. */
static bool
read_filling(PhJournal *journal,
             PhSegment *segment,
             uint64_t position,
             uint64_t limit,
             GError **error)
{
	uint64_t length = MIN(ph_segment_room(segment, position), limit - position);
	g_autofree char *octets = g_malloc(length + 1);
	ssize_t n = ph_segment_read(segment, position, octets, length, error);
	PhSlice rest = PH_SLICE(octets, n > 0 ? (size_t) n : 0);
	PhJournalRecord record;

	if (n < 0)
		return false;
	while (ph_journal_record_parse(rest, position, segment->seed, &record)) {
		note_record(journal, &record, position);
		position += record.size;
		rest = ph_slice_from(rest, record.size);
	}
	segment->end = position;
	return true;
}

static gint
compare_fillings(gconstpointer a, gconstpointer b)
{
	const PhSegment *one = *(PhSegment *const *) a;
	const PhSegment *other = *(PhSegment *const *) b;

	return one->sequence < other->sequence ? -1 : one->sequence > other->sequence;
}

/* The last filling that begins at or before the checkpoint; -1: none. */
static int
first_wanted(const PhJournal *journal)
{
	int found = -1;

	for (guint i = 0; i < journal->segments->len; i++) {
		const PhSegment *segment = g_ptr_array_index(journal->segments, i);

		if (segment->sequence != 0 && segment->start <= journal->checkpoint)
			found = (int) i;
	}
	return found;
}

static bool
missing(const PhJournal *journal, uint64_t from, uint64_t to, GError **error)
{
	ph_error_set(error, PH_ERROR_CORRUPT,
	             "the journal in '%s' is damaged: records between %" G_GUINT64_FORMAT
	             " and %" G_GUINT64_FORMAT " cannot be read; with the folder moved away the "
	             "server starts without what they hold",
	             journal->folder, from, to);
	return false;
}

/* A filling that begins after a failed sync repeats what its predecessor could not keep. */
static bool
read_from(PhJournal *journal, guint first, GError **error)
{
	for (guint i = first; i < journal->segments->len; i++) {
		PhSegment *segment = g_ptr_array_index(journal->segments, i);
		const PhSegment *next = i + 1 < journal->segments->len
		                                ? g_ptr_array_index(journal->segments, i + 1)
		                                : NULL;
		uint64_t from = MAX(segment->start, journal->checkpoint);
		uint64_t limit = next != NULL ? MAX(next->start, from) : UINT64_MAX;

		if (segment->start > journal->end)
			return missing(journal, journal->end, segment->start, error);
		if (!read_filling(journal, segment, from, limit, error))
			return false;
		journal->end = MAX(journal->end, segment->end);
	}
	return true;
}

/* Segments without a filling come first. */
static guint
n_empty(const PhJournal *journal)
{
	guint n = 0;

	while (n < journal->segments->len
	       && ((const PhSegment *) journal->segments->pdata[n])->sequence == 0)
		n++;
	return n;
}

bool
ph_journal_recover(PhJournal *journal, GError **error)
{
	int first = 0;

	g_ptr_array_sort(journal->segments, compare_fillings);
	first = first_wanted(journal);
	/* fillings follow one another without gaps: if there are any, one holds the checkpoint */
	if (first < 0)
		first = (int) n_empty(journal);
	if (!read_from(journal, (guint) first, error))
		return false;
	if (g_hash_table_size(journal->pending) > 0)
		ph_log(PH_LOG_NOTICE, "journal-replay",
		       "the last stop was not a clean one; accounts are replayed",
		       PH_LOG_NUMBER("accounts", g_hash_table_size(journal->pending)), PH_LOG_END);
	return true;
}

/* --- replay --------------------------------------------------------------------------------------- */

static PhSegment *
segment_of(PhJournal *journal, uint64_t position)
{
	PH_LOCKED(&journal->lock);
	/* of two that hold it the later one counts */
	for (guint i = journal->segments->len; i > 0; i--) {
		PhSegment *segment = g_ptr_array_index(journal->segments, i - 1);

		if (segment->sequence != 0 && segment->start <= position && position < segment->end)
			return segment;
	}
	return NULL;
}

/* The record there; @octets_out: (owned) what it points into. */
static bool
read_record(PhJournal *journal,
            uint64_t position,
            char **octets_out,
            PhJournalRecord *record,
            GError **error)
{
	PhSegment *segment = segment_of(journal, position);
	g_autofree char *octets = NULL;
	uint8_t header[PH_JOURNAL_HEADER];
	size_t size = 0;

	if (segment != NULL
	    && ph_segment_read(segment, position, (char *) header, sizeof header, error)
	               == (ssize_t) sizeof header)
		size = ph_journal_record_size_at(header);
	if (size > 0 && size <= ph_segment_room(segment, position)) {
		octets = g_malloc(size);
		if (ph_segment_read(segment, position, octets, size, error) == (ssize_t) size
		    && ph_journal_record_parse(PH_SLICE(octets, size), position, segment->seed,
		                               record)) {
			*octets_out = g_steal_pointer(&octets);
			return true;
		}
	}
	if (error == NULL || *error == NULL)
		ph_error_set(error, PH_ERROR_CORRUPT,
		             "record %" G_GUINT64_FORMAT " of the journal is damaged", position);
	return false;
}

PhContent *
ph_journal_octets(PhJournal *journal, const PhJournalOctets *octets, GError **error)
{
	g_autofree char *read = NULL;
	PhJournalRecord record;

	if (!read_record(journal, octets->position, &read, &record, error))
		return NULL;
	if (record.kind == PH_JOURNAL_OCTETS && record.payload.length == octets->length)
		return ph_content_new_copy(record.payload);
	ph_error_set(error, PH_ERROR_CORRUPT, "octets in the journal are not what was named");
	return NULL;
}

static bool
replay_one(PhJournal *journal,
           uint64_t position,
           PhJournalReplayFunc func,
           void *user_data,
           GError **error)
{
	g_autofree char *octets = NULL;
	g_autoptr(PhJournalEntry) entry = NULL;
	PhJournalRecord record;

	if (!read_record(journal, position, &octets, &record, error))
		return false;
	entry = ph_journal_entry_parse(record.payload);
	if (entry != NULL)
		return func(journal, entry, user_data, error);
	ph_error_set(error, PH_ERROR_CORRUPT,
	             "record %" G_GUINT64_FORMAT " of the journal cannot be understood", position);
	return false;
}

bool
ph_journal_replay(PhJournal *journal,
                  const char *section,
                  const char *address,
                  PhJournalReplayFunc func,
                  void *user_data,
                  GError **error)
{
	g_autofree char *key = key_of(section, address);
	const PhJournalPending *pending = NULL;
	bool was_last = false;

	ph_lock_take(&journal->lock);
	pending = g_hash_table_lookup(journal->pending, key);
	ph_lock_drop(&journal->lock);
	for (guint i = 0; pending != NULL && i < pending->positions->len; i++)
		if (!replay_one(journal, g_array_index(pending->positions, uint64_t, i), func,
		                user_data, error))
			return false;
	if (pending == NULL)
		return true;
	ph_lock_take(&journal->lock);
	(void) g_ptr_array_remove(journal->pending_order, (void *) (uintptr_t) pending);
	(void) g_hash_table_remove(journal->pending, key);
	was_last = g_hash_table_size(journal->pending) == 0;
	if (was_last) {
		journal->checkpoint_wanted = true;
		ph_signal_one(&journal->wanted);
	}
	ph_lock_drop(&journal->lock);
	if (was_last)
		ph_log(PH_LOG_NOTICE, "journal-replayed", "all accounts are as they were",
		       PH_LOG_END);
	return true;
}

bool
ph_journal_has_pending(PhJournal *journal)
{
	PH_LOCKED(&journal->lock);
	return g_hash_table_size(journal->pending) > 0;
}

void
ph_journal_each_pending(PhJournal *journal, PhJournalAccountFunc func, void *user_data)
{
	g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) identities =
		g_ptr_array_new_with_free_func((GDestroyNotify) ph_identity_unref);

	ph_lock_take(&journal->lock);
	for (guint i = 0; i < journal->pending_order->len; i++) {
		const PhJournalPending *pending = g_ptr_array_index(journal->pending_order, i);

		g_ptr_array_add(sections, g_strdup(pending->section));
		g_ptr_array_add(identities, ph_identity_ref(pending->identity));
	}
	ph_lock_drop(&journal->lock);
	for (guint i = 0; i < sections->len; i++)
		if (!func(g_ptr_array_index(sections, i), g_ptr_array_index(identities, i),
		          user_data))
			break;
}

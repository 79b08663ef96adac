/* index-read.c: what an index answers: mailboxes, changes since a number, values
 *
 * Messages come page by page; what never changes of them is joined from their records, by one
 * statement for a run of records that follow each other. What was altered after a change number is
 * found by the highest change of each page. Everything is told from one read transaction.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/index-op.h"

enum {
	LONG = 20000, /* messages whose reading takes long */
};

/* Reading: one call of changes. */
typedef struct {
	PhIndex *index;
	PhIndexConnection *connection;
	const PhChangesQuery *query;
	PhIndexMailbox mailbox; /* its number, its tail and its keywords */
	int64_t trimmed;
	uint64_t since; /* records altered after it; 0: all */
	PhIndexPages pages;
	sqlite3_stmt *records; /* (nullable) stands at a row, or at none when at_record is 0 */
	uint64_t at_record;
	uint64_t to_record;                          /* it goes up to here */
	const char *keywords[PH_INDEX_KEYWORDS + 1]; /* of one record */
	uint64_t keyword_bits;                       /* which those are */
	bool stopped;
} Reading;

bool
ph_index_mailboxes(PhIndex *index,
                   PhMailboxInfoFunc func,
                   void *user_data,
                   uint64_t *list_change_out,
                   GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(index, error);
	sqlite3_stmt *row = NULL;
	int status = SQLITE_ERROR;

	if (connection == NULL)
		return false;
	row = ph_index_sql(connection, PH_SQL_ACCOUNT, error);
	if (row != NULL && sqlite3_step(row) == SQLITE_ROW && list_change_out != NULL)
		*list_change_out = (uint64_t) sqlite3_column_int64(row, 1);
	(void) sqlite3_reset(row);
	row = row != NULL ? ph_index_sql(connection, PH_SQL_MAILBOXES, error) : NULL;
	while (row != NULL && (status = sqlite3_step(row)) == SQLITE_ROW) {
		PhMailboxInfo info = {
			.name = (const char *) sqlite3_column_text(row, 1),
			.special_use = (uint32_t) sqlite3_column_int64(row, 2),
			.uidvalidity = (uint32_t) sqlite3_column_int64(row, 3),
			.uidnext = (uint32_t) sqlite3_column_int64(row, 4),
			.n_messages = (uint32_t) sqlite3_column_int64(row, 5),
			.n_unseen = (uint32_t) sqlite3_column_int64(row, 6),
			.n_deleted = (uint32_t) sqlite3_column_int64(row, 7),
			.octets = (uint64_t) sqlite3_column_int64(row, 8),
			.change = (uint64_t) sqlite3_column_int64(row, 9),
		};

		if (sqlite3_column_bytes(row, 0) != (int) sizeof info.id.octets)
			continue;
		memcpy(info.id.octets, sqlite3_column_blob(row, 0), sizeof info.id.octets);
		if (!func(&info, user_data)) {
			status = SQLITE_DONE;
			break;
		}
	}
	if (row != NULL && status != SQLITE_DONE)
		(void) ph_index_fail(connection, "list mailboxes", error);
	(void) sqlite3_reset(row);
	ph_index_end_read(index, connection);
	return row != NULL && status == SQLITE_DONE;
}

/* --- records ------------------------------------------------------------------------------------ */

/* The names of these bits; mail with keywords often has the same ones again and again. */
static const char *const *
keyword_names(Reading *reading, uint64_t bits)
{
	size_t n = 0;

	if (bits == reading->keyword_bits)
		return reading->keywords;
	for (size_t bit = 0; bit < PH_INDEX_KEYWORDS; bit++)
		if ((bits >> bit & 1) != 0 && reading->mailbox.keywords[bit] != NULL)
			reading->keywords[n++] = reading->mailbox.keywords[bit];
	reading->keywords[n] = NULL;
	reading->keyword_bits = bits;
	return reading->keywords;
}

static void
read_ids(sqlite3_stmt *row, uint32_t fields, PhRecord *record)
{
	if ((fields & PH_FIELD_BLOB) != 0) {
		size_t length = (size_t) sqlite3_column_bytes(row, 4);

		record->blob.length = (uint8_t) MIN(length, sizeof record->blob.octets);
		if (record->blob.length > 0)
			memcpy(record->blob.octets, sqlite3_column_blob(row, 4),
			       record->blob.length);
	}
	if ((fields & PH_FIELD_IDS) != 0
	    && sqlite3_column_bytes(row, 5) == (int) sizeof record->message_id)
		memcpy(record->message_id, sqlite3_column_blob(row, 5), sizeof record->message_id);
	if ((fields & PH_FIELD_STRUCTURE) != 0)
		record->structure = PH_SLICE(sqlite3_column_blob(row, 6),
		                             (size_t) sqlite3_column_bytes(row, 6));
}

/* --- joining records ---------------------------------------------------------------------------- */

static void
end_records(Reading *reading)
{
	if (reading->records != NULL)
		(void) sqlite3_reset(reading->records);
	reading->records = NULL;
	reading->at_record = 0;
}

static bool
step_records(Reading *reading, GError **error)
{
	int status = sqlite3_step(reading->records);

	if (status == SQLITE_ROW) {
		reading->at_record = (uint64_t) sqlite3_column_int64(reading->records, 0);
		return true;
	}
	if (status != SQLITE_DONE)
		(void) ph_index_fail(reading->connection, "read records", error);
	end_records(reading);
	return status == SQLITE_DONE;
}

/* The statement goes as far as the records of the page follow each other, more or less. */
static uint64_t
run_end(const PhIndexPage *page, uint32_t i)
{
	const uint64_t *records = page->at[PH_COLUMN_RECORD];
	uint64_t first = records[i];
	uint32_t last = page->n - 1;

	if (records[last] >= first && records[last] - first <= 2 * (uint64_t) (last - i))
		return records[last];
	return first;
}

/* Makes the statement stand at the record of message @i. @found_out: (out) it is there. */
static bool
find_record(Reading *reading, const PhIndexPage *page, uint32_t i, bool *found_out, GError **error)
{
	uint64_t wanted = page->at[PH_COLUMN_RECORD][i];

	if (reading->records == NULL || wanted < reading->at_record
	    || wanted > reading->to_record) {
		end_records(reading);
		reading->records = ph_index_sql(reading->connection, PH_SQL_RECORDS, error);
		if (reading->records == NULL)
			return false;
		reading->to_record = run_end(page, i);
		(void) sqlite3_bind_int64(reading->records, 1, (int64_t) wanted);
		(void) sqlite3_bind_int64(reading->records, 2, (int64_t) reading->to_record);
		if (!step_records(reading, error))
			return false;
	}
	while (reading->records != NULL && reading->at_record < wanted)
		if (!step_records(reading, error))
			return false;
	*found_out = reading->records != NULL && reading->at_record == wanted;
	return true;
}

/* --- telling ------------------------------------------------------------------------------------ */

enum {
	COLD = PH_FIELD_DATES | PH_FIELD_BLOB | PH_FIELD_IDS | PH_FIELD_STRUCTURE,
};

static void
take_record(Reading *reading, uint64_t saved, PhRecord *record)
{
	sqlite3_stmt *row = reading->records;
	uint32_t fields = reading->query->fields;

	if ((fields & PH_FIELD_DATES) != 0) {
		record->internal_date = sqlite3_column_int64(row, 1);
		record->internal_zone = (int32_t) sqlite3_column_int64(row, 2);
		record->save_date = saved != 0 ? (PhTime) saved : sqlite3_column_int64(row, 3);
	}
	if ((fields & (PH_FIELD_BLOB | PH_FIELD_IDS | PH_FIELD_STRUCTURE)) != 0)
		read_ids(row, fields, record);
}

/* A message whose record is lost is not told: it cannot be read. */
static bool
tell_message(Reading *reading, const PhIndexPage *page, uint32_t i, GError **error)
{
	uint32_t fields = reading->query->fields;
	PhRecord record;
	bool found = true;

	/* not as an initialiser: the blob id alone is 65 octets that mostly nobody asks for */
	record.uid = ph_page_uid(page, i);
	record.change = page->at[PH_COLUMN_CHANGE][i];
	record.flags = 0;
	record.keywords = NULL;
	record.internal_date = record.save_date = 0;
	record.internal_zone = record.reserved = 0;
	record.octets = 0;
	record.blob.length = 0;
	record.structure = PH_SLICE_EMPTY;
	if ((fields & PH_FIELD_IDS) != 0)
		memset(record.message_id, 0, sizeof record.message_id);
	if ((fields & PH_FIELD_FLAGS) != 0) {
		record.flags = (uint32_t) page->at[PH_COLUMN_FLAGS][i];
		record.keywords = keyword_names(reading, page->at[PH_COLUMN_KEYWORDS][i]);
	}
	if ((fields & PH_FIELD_OCTETS) != 0)
		record.octets = page->at[PH_COLUMN_OCTETS][i];
	if ((fields & COLD) != 0) {
		if (!find_record(reading, page, i, &found, error))
			return false;
		if (!found)
			return true;
		take_record(reading, page->at[PH_COLUMN_SAVED][i], &record);
	}
	reading->stopped = !reading->query->record(&record, reading->query->user_data);
	return true;
}

/* Many messages at once, when nothing but flags is asked for. */
static void
tell_states(Reading *reading, const PhIndexPage *page, uint32_t from, uint32_t end)
{
	PhMessageState states[PH_PAGE_MESSAGES];
	size_t n = 0;

	for (uint32_t i = from; i < end; i++) {
		if (page->at[PH_COLUMN_CHANGE][i] <= reading->since && reading->since > 0)
			continue;
		states[n++] = (PhMessageState){
			.uid = (uint32_t) page->at[PH_COLUMN_UID][i],
			.flags = (uint32_t) page->at[PH_COLUMN_FLAGS][i],
			.keywords = page->at[PH_COLUMN_KEYWORDS][i],
			.change = page->at[PH_COLUMN_CHANGE][i],
		};
	}
	if (n > 0)
		reading->stopped = !reading->query->states(
			states, n, (const char *const *) reading->mailbox.keywords,
			reading->query->states_data);
}

/* The messages of a page from @uid up to @last. */
static bool
tell_page(Reading *reading, const PhIndexPage *page, PhUidRange range, GError **error)
{
	uint32_t i = ph_page_lower_bound(page, 0, range.first);
	uint32_t end =
		range.last == UINT32_MAX ? page->n : ph_page_lower_bound(page, i, range.last + 1);
	bool good = true;

	if (reading->query->states != NULL && reading->query->fields == PH_FIELD_FLAGS) {
		tell_states(reading, page, i, end);
		return true;
	}
	for (; i < end && good && !reading->stopped; i++)
		if (reading->since == 0 || page->at[PH_COLUMN_CHANGE][i] > reading->since)
			good = tell_message(reading, page, i, error);
	return good;
}

/* Tells the messages of a range of uids. */
static bool
tell_range(Reading *reading, PhUidRange range, GError **error)
{
	uint32_t uid = range.first;

	while (!reading->stopped && uid <= range.last) {
		PhIndexPage *page = NULL;
		uint32_t last = 0;

		if (!ph_index_pages_find(&reading->pages, uid, &page, error))
			return false;
		if (page == NULL)
			return true;
		if (!tell_page(reading, page, (PhUidRange){ uid, range.last }, error))
			return false;
		last = ph_page_uid(page, page->n - 1);
		if (last >= range.last)
			return true;
		uid = last + 1;
	}
	return true;
}

/* Tells the members of both sets (@uids nullable). */
static bool
tell_set(Reading *reading, const PhUidSet *set, GError **error)
{
	const PhUidSet *uids = reading->query->uids;
	size_t n = 0;
	size_t m = 0;
	const PhUidRange *a = ph_uid_set_ranges(set, &n);
	const PhUidRange *b = uids != NULL ? ph_uid_set_ranges(uids, &m) : NULL;

	for (size_t i = 0, j = 0; i < n && !reading->stopped;) {
		PhUidRange both = a[i];

		if (uids != NULL && j == m)
			break;
		if (uids != NULL)
			both = (PhUidRange){ MAX(a[i].first, b[j].first),
				             MIN(a[i].last, b[j].last) };
		if (both.first <= both.last && !tell_range(reading, both, error))
			return false;
		if (uids == NULL || a[i].last <= b[j].last)
			i++;
		else
			j++;
	}
	return true;
}

/* --- since a change ---------------------------------------------------------------------------- */

static int
compare_keys(const void *a, const void *b)
{
	int64_t first = *(const int64_t *) a;
	int64_t second = *(const int64_t *) b;

	return (first > second) - (first < second);
}

/* Keys of the pages with something that was altered, in order. */
static GArray *
altered_pages(Reading *reading, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(reading->connection, PH_SQL_PAGES_ALTERED, error);
	g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(int64_t));
	int status = SQLITE_DONE;

	if (row == NULL)
		return NULL;
	(void) sqlite3_bind_int64(row, 1, reading->mailbox.no);
	(void) sqlite3_bind_int64(row, 2, (int64_t) reading->since);
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		int64_t key = sqlite3_column_int64(row, 0);

		g_array_append_val(keys, key);
	}
	(void) sqlite3_reset(row);
	if (status != SQLITE_DONE) {
		(void) ph_index_fail(reading->connection, "read alterations", error);
		return NULL;
	}
	g_array_sort(keys, compare_keys);
	return g_steal_pointer(&keys);
}

/* The uids from the beginning of each altered page to that of the next page; and the tail's. */
static bool
add_altered(Reading *reading, PhUidSet *set, GError **error)
{
	g_autoptr(GArray) keys = altered_pages(reading, error);
	PhIndexPage *page = NULL;

	if (keys == NULL)
		return false;
	for (guint i = 0; i < keys->len; i++) {
		uint32_t first = MAX((uint32_t) g_array_index(keys, int64_t, i), 1);

		if (!ph_index_pages_find(&reading->pages, first, &page, error))
			return false;
		if (page != NULL)
			ph_uid_set_add_range(set, first, ph_page_uid(page, page->n - 1));
	}
	if (reading->mailbox.tail == NULL || reading->mailbox.tail->len == 0)
		return true;
	page = ph_index_tail(&reading->mailbox, error);
	if (page != NULL && page->n > 0)
		ph_uid_set_add_range(set, ph_page_uid(page, 0), UINT32_MAX);
	return page != NULL;
}

static bool
tell_expunged(Reading *reading, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(reading->connection, PH_SQL_EXPUNGED, error);
	g_autoptr(PhUidSet) gone = ph_uid_set_new();
	size_t n = 0;
	const PhUidRange *ranges = NULL;
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, reading->mailbox.no);
	(void) sqlite3_bind_int64(row, 2, (int64_t) reading->query->since);
	while ((status = sqlite3_step(row)) == SQLITE_ROW)
		ph_uid_set_add_range(gone, (uint32_t) sqlite3_column_int64(row, 0),
		                     (uint32_t) sqlite3_column_int64(row, 1));
	(void) sqlite3_reset(row);
	if (status != SQLITE_DONE)
		return ph_index_fail(reading->connection, "read expunges", error);
	ranges = ph_uid_set_ranges(gone, &n);
	for (size_t i = 0; i < n; i++)
		reading->query->expunged(ranges[i].first, ranges[i].last,
		                         reading->query->user_data);
	return true;
}

static bool
tell_since(Reading *reading, GError **error)
{
	g_autoptr(PhUidSet) set = ph_uid_set_new();

	reading->since = reading->query->since;
	return add_altered(reading, set, error)
	       && (reading->query->expunged == NULL || tell_expunged(reading, error))
	       && tell_set(reading, set, error);
}

/* --- changes ------------------------------------------------------------------------------------ */

static bool
find_mailbox(Reading *reading, const PhMailboxId *id, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(reading->connection, PH_SQL_MAILBOX, error);
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob(row, 1, id->octets, sizeof id->octets, SQLITE_STATIC);
	status = sqlite3_step(row);
	if (status == SQLITE_ROW) {
		reading->mailbox.no = sqlite3_column_int64(row, 0);
		reading->mailbox.n_messages = (uint32_t) sqlite3_column_int64(row, 3);
		reading->mailbox.change = (uint64_t) sqlite3_column_int64(row, 7);
		reading->trimmed = sqlite3_column_int64(row, 8);
		g_clear_pointer(&reading->mailbox.tail, g_byte_array_unref);
		reading->mailbox.tail = ph_index_read_tail(row, 9);
	} else if (status == SQLITE_DONE) {
		ph_error_set(error, PH_ERROR_GONE, "the mailbox was removed");
	} else {
		(void) ph_index_fail(reading->connection, "read a mailbox", error);
	}
	(void) sqlite3_reset(row);
	return status == SQLITE_ROW;
}

static uint32_t
columns_of(uint32_t fields)
{
	uint32_t columns = 1U << PH_COLUMN_CHANGE;

	if ((fields & PH_FIELD_FLAGS) != 0)
		columns |= 1U << PH_COLUMN_FLAGS | 1U << PH_COLUMN_KEYWORDS;
	if ((fields & PH_FIELD_OCTETS) != 0)
		columns |= 1U << PH_COLUMN_OCTETS;
	if ((fields & COLD) != 0)
		columns |= 1U << PH_COLUMN_RECORD | 1U << PH_COLUMN_SAVED;
	return columns;
}

static bool
read_changes(Reading *reading, PhChangesResult *result_out, GError **error)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	uint64_t since = reading->query->since;

	reading->pages = (PhIndexPages){ .connection = reading->connection,
		                         .mailbox = &reading->mailbox,
		                         .columns = columns_of(reading->query->fields) };
	result_out->complete_to = reading->mailbox.change;
	result_out->full = since > 0 && since < (uint64_t) reading->trimmed;
	if ((reading->query->fields & PH_FIELD_FLAGS) != 0
	    && !ph_index_load_keywords(reading->connection, &reading->mailbox, error))
		return false;
	if (since == 0 || result_out->full)
		return tell_set(reading, all, error);
	return since >= reading->mailbox.change || tell_since(reading, error);
}

/* Begins to read; a long reading does not keep the writer waiting. */
static bool
begin(Reading *reading, const PhMailboxId *id, GError **error)
{
	PhIndex *index = reading->index;

	reading->connection = ph_index_begin_read(index, error);
	if (reading->connection == NULL)
		return false;
	if (!find_mailbox(reading, id, error)) {
		ph_index_end_read(index, reading->connection);
		return false;
	}
	if (reading->mailbox.n_messages < LONG || reading->query->since > 0
	    || reading->query->uids != NULL || reading->connection != index->main)
		return true;
	ph_index_end_read(index, reading->connection);
	reading->connection = ph_index_begin_scan(index, error);
	if (reading->connection == NULL) {
		g_clear_pointer(&reading->mailbox.tail, g_byte_array_unref);
		return false;
	}
	if (find_mailbox(reading, id, error))
		return true;
	ph_index_end_read(index, reading->connection);
	return false;
}

bool
ph_index_changes(PhIndex *index,
                 const PhMailboxId *mailbox,
                 const PhChangesQuery *query,
                 PhChangesResult *result_out,
                 GError **error)
{
	Reading reading = { .index = index, .query = query };
	bool good = false;

	if (!begin(&reading, mailbox, error))
		return false;
	good = read_changes(&reading, result_out, error);
	end_records(&reading);
	ph_index_pages_end(&reading.pages);
	ph_index_end_read(index, reading.connection);
	g_clear_pointer(&reading.mailbox.tail, g_byte_array_unref);
	g_free(reading.mailbox.page);
	for (size_t i = 0; i < G_N_ELEMENTS(reading.mailbox.keywords); i++)
		g_free(reading.mailbox.keywords[i]);
	return good;
}

/* --- values ------------------------------------------------------------------------------------- */

static bool
value_owner(PhIndexConnection *connection,
            PhIndex *index,
            const PhMailboxId *mailbox,
            int64_t *no_out,
            GError **error)
{
	Reading reading = { .index = index, .connection = connection };

	bool good = mailbox == NULL || find_mailbox(&reading, mailbox, error);

	g_clear_pointer(&reading.mailbox.tail, g_byte_array_unref);
	*no_out = reading.mailbox.no;
	return good;
}

static bool
tell_values(PhIndexConnection *connection,
            int64_t no,
            const char *prefix,
            PhValueFunc func,
            void *user_data,
            GError **error)
{
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_VALUES, error);
	size_t length = strlen(prefix);
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, no);
	(void) sqlite3_bind_text(row, 2, prefix, -1, SQLITE_STATIC);
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		const char *key = (const char *) sqlite3_column_text(row, 0);
		PhSlice value = PH_SLICE(sqlite3_column_blob(row, 1),
		                         (size_t) sqlite3_column_bytes(row, 1));

		if (strncmp(key, prefix, length) != 0 || !func(key, value, user_data)) {
			status = SQLITE_DONE;
			break;
		}
	}
	if (status != SQLITE_DONE)
		(void) ph_index_fail(connection, "read values", error);
	(void) sqlite3_reset(row);
	return status == SQLITE_DONE;
}

bool
ph_index_values(PhIndex *index,
                const PhMailboxId *mailbox,
                const char *prefix,
                PhValueFunc func,
                void *user_data,
                GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(index, error);
	int64_t no = 0;
	bool good = false;

	if (connection == NULL)
		return false;
	good = value_owner(connection, index, mailbox, &no, error)
	       && tell_values(connection, no, prefix, func, user_data, error);
	ph_index_end_read(index, connection);
	return good;
}

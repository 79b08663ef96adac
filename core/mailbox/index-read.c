/* index-read.c: what an index answers: mailboxes, changes since a number, values
 *
 * What was altered after a change number comes from two places: the index on alterations, and the
 * end of the mailbox, where appended messages stand with ascending changes. Both are told as one
 * list in uid order, from one read transaction.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/index.h"

enum {
	LONG = 20000, /* messages whose reading takes long */
};

/* Reading: one call of changes. */
typedef struct {
	PhIndex *index;
	PhIndexConnection *connection;
	const PhChangesQuery *query;
	PhIndexMailbox mailbox; /* its number and its keywords */
	int64_t trimmed;
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
		size_t length = (size_t) sqlite3_column_bytes(row, 8);

		record->blob.length = (uint8_t) MIN(length, sizeof record->blob.octets);
		if (record->blob.length > 0)
			memcpy(record->blob.octets, sqlite3_column_blob(row, 8),
			       record->blob.length);
	}
	if ((fields & PH_FIELD_IDS) != 0
	    && sqlite3_column_bytes(row, 9) == (int) sizeof record->message_id)
		memcpy(record->message_id, sqlite3_column_blob(row, 9), sizeof record->message_id);
	if ((fields & PH_FIELD_STRUCTURE) != 0)
		record->structure = PH_SLICE(sqlite3_column_blob(row, 10),
		                             (size_t) sqlite3_column_bytes(row, 10));
}

static bool
tell_record(Reading *reading, sqlite3_stmt *row)
{
	uint32_t fields = reading->query->fields;
	PhRecord record = {
		.uid = (uint32_t) sqlite3_column_int64(row, 0),
		.change = (uint64_t) sqlite3_column_int64(row, 1),
	};

	if ((fields & PH_FIELD_FLAGS) != 0) {
		record.flags = (uint32_t) sqlite3_column_int64(row, 2);
		record.keywords = keyword_names(reading, (uint64_t) sqlite3_column_int64(row, 3));
	}
	if ((fields & PH_FIELD_DATES) != 0) {
		record.internal_date = sqlite3_column_int64(row, 4);
		record.internal_zone = (int32_t) sqlite3_column_int64(row, 5);
		record.save_date = sqlite3_column_int64(row, 6);
	}
	if ((fields & PH_FIELD_OCTETS) != 0)
		record.octets = (uint64_t) sqlite3_column_int64(row, 7);
	if ((fields & (PH_FIELD_BLOB | PH_FIELD_IDS | PH_FIELD_STRUCTURE)) != 0)
		read_ids(row, fields, &record);
	reading->stopped = !reading->query->record(&record, reading->query->user_data);
	return !reading->stopped;
}

/* Tells the records of a range of uids that are in the query's set. */
static bool
tell_range(Reading *reading, PhUidRange range, uint64_t since, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(reading->connection,
	                                 since > 0 ? PH_SQL_RECORDS_SINCE : PH_SQL_RECORDS, error);
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, ph_index_key(reading->mailbox.no, range.first));
	(void) sqlite3_bind_int64(row, 2, ph_index_key(reading->mailbox.no, range.last));
	if (since > 0)
		(void) sqlite3_bind_int64(row, 3, (int64_t) since);
	while (!reading->stopped && (status = sqlite3_step(row)) == SQLITE_ROW)
		if (!tell_record(reading, row))
			break;
	if (!reading->stopped && status != SQLITE_DONE)
		(void) ph_index_fail(reading->connection, "read messages", error);
	(void) sqlite3_reset(row);
	return reading->stopped || status == SQLITE_DONE;
}

/* Tells the members of both sets (@uids nullable). */
static bool
tell_set(Reading *reading, const PhUidSet *set, uint64_t since, GError **error)
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
		if (both.first <= both.last && !tell_range(reading, both, since, error))
			return false;
		if (uids == NULL || a[i].last <= b[j].last)
			i++;
		else
			j++;
	}
	return true;
}

/* --- since a change ---------------------------------------------------------------------------- */

static bool
add_altered(Reading *reading, PhUidSet *set, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(reading->connection, PH_SQL_ALTERED, error);
	g_autoptr(PhUidSet) found = ph_uid_set_new();
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, reading->mailbox.no);
	(void) sqlite3_bind_int64(row, 2, (int64_t) reading->query->since);
	while ((status = sqlite3_step(row)) == SQLITE_ROW)
		ph_uid_set_add(found, (uint32_t) sqlite3_column_int64(row, 0));
	(void) sqlite3_reset(row);
	if (status != SQLITE_DONE)
		return ph_index_fail(reading->connection, "read alterations", error);
	ph_uid_set_add_set(set, found);
	return true;
}

/* From the end down to the first message that was appended before @since and never altered. */
static bool
add_appended(Reading *reading, PhUidSet *set, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(reading->connection, PH_SQL_RECORDS_DOWN, error);
	uint64_t since = reading->query->since;
	uint32_t first = 0;
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, ph_index_key(reading->mailbox.no, 0));
	(void) sqlite3_bind_int64(row, 2, ph_index_key(reading->mailbox.no, UINT32_MAX));
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		bool is_new = (uint64_t) sqlite3_column_int64(row, 1) > since;

		if (!is_new && sqlite3_column_type(row, 2) == SQLITE_NULL)
			break;
		if (is_new)
			first = (uint32_t) sqlite3_column_int64(row, 0);
	}
	(void) sqlite3_reset(row);
	if (status != SQLITE_DONE && status != SQLITE_ROW)
		return ph_index_fail(reading->connection, "read messages", error);
	if (first != 0)
		ph_uid_set_add_range(set, first, UINT32_MAX);
	return true;
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

	return add_altered(reading, set, error) && add_appended(reading, set, error)
	       && (reading->query->expunged == NULL || tell_expunged(reading, error))
	       && tell_set(reading, set, reading->query->since, error);
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
	} else if (status == SQLITE_DONE) {
		ph_error_set(error, PH_ERROR_GONE, "the mailbox was removed");
	} else {
		(void) ph_index_fail(reading->connection, "read a mailbox", error);
	}
	(void) sqlite3_reset(row);
	return status == SQLITE_ROW;
}

static bool
read_changes(Reading *reading, PhChangesResult *result_out, GError **error)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	uint64_t since = reading->query->since;

	result_out->complete_to = reading->mailbox.change;
	result_out->full = since > 0 && since < (uint64_t) reading->trimmed;
	if ((reading->query->fields & PH_FIELD_FLAGS) != 0
	    && !ph_index_load_keywords(reading->connection, &reading->mailbox, error))
		return false;
	if (since == 0 || result_out->full)
		return tell_set(reading, all, 0, error);
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
	if (reading->connection == NULL)
		return false;
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
	ph_index_end_read(index, reading.connection);
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

	if (mailbox != NULL && !find_mailbox(&reading, mailbox, error))
		return false;
	*no_out = reading.mailbox.no;
	return true;
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

/* index-owner.c: counts the owners of records by ranges
 *
 * A copy of 100,000 messages shares 100,000 records whose numbers mostly follow each other: it is
 * noted as a few ranges. Ranges in `owned` never overlap; each says how many messages have its
 * records, two at least; a record outside of them has one. What loses its last owner is noted in
 * `dropped` with the time, and its row goes in the background.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-op.h"

enum {
	TEND_AT_ONCE = 64,
};

/* Piece: records with the same number of owners. */
typedef struct {
	uint64_t first;
	uint64_t last;
	uint64_t owners;
} Piece;

typedef struct {
	PhIndexRun *run;
	uint64_t first; /* what changes */
	uint64_t last;
	bool add;
	GArray *new_pieces; /* of Piece: what is noted afterwards */
	GError **error;
} Change;

/* --- the table ---------------------------------------------------------------------------------- */

/* The noted ranges that touch or adjoin those that change. */
static bool
read_pieces(const Change *change, GArray *pieces)
{
	PhIndexConnection *connection = change->run->connection;
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_OWNED, change->error);
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, (int64_t) change->first - 1);
	(void) sqlite3_bind_int64(row, 2, (int64_t) change->last + 1);
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		Piece piece = { (uint64_t) sqlite3_column_int64(row, 0),
			        (uint64_t) sqlite3_column_int64(row, 1),
			        (uint64_t) sqlite3_column_int64(row, 2) };

		if (piece.last + 1 >= change->first)
			g_array_append_val(pieces, piece);
	}
	(void) sqlite3_reset(row);
	return status == SQLITE_DONE || ph_index_fail(connection, "read owners", change->error);
}

static bool
write_row(const Change *change, PhSql which, const int64_t *numbers, int n)
{
	PhIndexConnection *connection = change->run->connection;
	sqlite3_stmt *row = ph_index_sql(connection, which, change->error);

	if (row == NULL)
		return false;
	for (int i = 0; i < n; i++)
		(void) sqlite3_bind_int64(row, i + 1, numbers[i]);
	return ph_index_done(connection, row, "note owners", change->error);
}

static bool
note_dropped(const Change *change, uint64_t first, uint64_t last)
{
	int64_t numbers[] = { change->run->now, (int64_t) first, (int64_t) last };

	change->run->index->has_dropped = true;
	return write_row(change, PH_SQL_DROPPED_ADD, numbers, 3);
}

/* --- pieces ------------------------------------------------------------------------------------- */

static void
keep(Change *change, uint64_t first, uint64_t last, uint64_t owners)
{
	Piece piece = { first, last, owners };
	Piece *before = NULL;

	if (first > last || owners < 2)
		return;
	if (change->new_pieces->len > 0)
		before = &g_array_index(change->new_pieces, Piece, change->new_pieces->len - 1);
	if (before != NULL && before->last + 1 == first && before->owners == owners)
		before->last = last;
	else
		g_array_append_val(change->new_pieces, piece);
}

/* A part of what changes that had this many owners. */
static bool
alter(Change *change, uint64_t first, uint64_t last, uint64_t owners)
{
	if (first > last)
		return true;
	keep(change, first, last, change->add ? owners + 1 : owners - 1);
	return change->add || owners > 1 || note_dropped(change, first, last);
}

static bool
alter_all(Change *change, const GArray *pieces)
{
	uint64_t next = change->first;

	for (guint i = 0; i < pieces->len; i++) {
		const Piece *piece = &g_array_index(pieces, Piece, i);
		uint64_t first = MAX(piece->first, change->first);
		uint64_t last = MIN(piece->last, change->last);

		if (piece->first > change->last) {
			if (!alter(change, next, change->last, 1))
				return false;
			next = change->last + 1;
		}
		keep(change, piece->first, MIN(piece->last, change->first - 1), piece->owners);
		if (first <= last) {
			if (!alter(change, next, first - 1, 1)
			    || !alter(change, first, last, piece->owners))
				return false;
			next = last + 1;
		}
		keep(change, MAX(piece->first, change->last + 1), piece->last, piece->owners);
	}
	return alter(change, next, change->last, 1);
}

static bool
apply(Change *change)
{
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
	bool good = read_pieces(change, pieces);

	change->new_pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
	for (guint i = 0; good && i < pieces->len; i++) {
		int64_t first = (int64_t) g_array_index(pieces, Piece, i).first;

		good = write_row(change, PH_SQL_OWNED_REMOVE, &first, 1);
	}
	good = good && alter_all(change, pieces);
	for (guint i = 0; good && i < change->new_pieces->len; i++) {
		const Piece *piece = &g_array_index(change->new_pieces, Piece, i);
		int64_t numbers[] = { (int64_t) piece->first, (int64_t) piece->last,
			              (int64_t) piece->owners };

		good = write_row(change, PH_SQL_OWNED_ADD, numbers, 3);
	}
	g_array_unref(change->new_pieces);
	return good;
}

bool
ph_index_share(PhIndexRun *run, uint64_t first, uint64_t last, GError **error)
{
	Change change = { .run = run, .first = first, .last = last, .add = true, .error = error };

	return apply(&change);
}

bool
ph_index_release(PhIndexRun *run, uint64_t first, uint64_t last, GError **error)
{
	Change change = { .run = run, .first = first, .last = last, .error = error };

	return apply(&change);
}

/* --- blobs -------------------------------------------------------------------------------------- */

bool
ph_index_record_blob(PhIndexConnection *connection, uint64_t no, PhBlobId *blob_out, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_RECORD_BLOB, error);
	int status = SQLITE_ERROR;

	blob_out->length = 0;
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, (int64_t) no);
	status = sqlite3_step(row);
	if (status == SQLITE_ROW) {
		size_t length = (size_t) sqlite3_column_bytes(row, 0);

		blob_out->length = (uint8_t) MIN(length, sizeof blob_out->octets);
		if (blob_out->length > 0)
			memcpy(blob_out->octets, sqlite3_column_blob(row, 0), blob_out->length);
	} else if (status == SQLITE_DONE) {
		ph_error_set(error, PH_ERROR_CORRUPT, "a message has lost its record");
	} else {
		(void) ph_index_fail(connection, "read a record", error);
	}
	(void) sqlite3_reset(row);
	return status == SQLITE_ROW;
}

/* --- removing ----------------------------------------------------------------------------------- */

static bool
remove_record(PhIndex *index, PhIndexConnection *connection, uint64_t no)
{
	PhBlobId blob = { .length = 0 };
	sqlite3_stmt *row = NULL;

	(void) ph_index_record_blob(connection, no, &blob, NULL);
	if (ph_index_removes(index) && blob.length > 0
	    && !index->hooks->remove(index->user_data, connection, &blob, NULL))
		return false;
	row = ph_index_sql(connection, PH_SQL_RECORD_REMOVE, NULL);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, (int64_t) no);
	return ph_index_done(connection, row, "remove a record", NULL);
}

bool
ph_index_tend_records(PhIndex *index, PhIndexConnection *connection, PhTime now)
{
	PhIndexRun run = { .index = index, .connection = connection };
	Change change = { .run = &run };
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_DROPPED_OLD, NULL);
	int64_t range[3] = { 0 };
	bool found = false;
	int64_t end = 0;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1,
	                          now - (ph_index_removes(index) ? (int64_t) index->grace_us : 0));
	found = sqlite3_step(row) == SQLITE_ROW;
	for (int i = 0; found && i < 3; i++)
		range[i] = sqlite3_column_int64(row, i);
	(void) sqlite3_reset(row);
	if (!found)
		return false;
	end = MIN(range[2], range[1] + TEND_AT_ONCE - 1);
	for (int64_t no = range[1]; no <= end; no++)
		if (!remove_record(index, connection, (uint64_t) no))
			return false;
	/* the range goes last, what is left of it is noted again: nothing is forgotten half-way */
	if (!write_row(&change, PH_SQL_DROPPED_REMOVE, range, 2))
		return false;
	range[1] = end + 1;
	return range[1] > range[2] || write_row(&change, PH_SQL_DROPPED_ADD, range, 3);
}

/* octets.c: octets on their way in and out of rows: uploads, pieces, sharing, grace
 *
 * An upload is a reference to its content until the commit that names it writes the rows, in the
 * transaction of the record: nothing is left behind by a crash. Copies share a record and with it a
 * blob; the index says when nobody has had it for the grace time. Blobs that were made durable
 * before a commit names them are noted with the time, and removed when none did. The newest blob is
 * never removed, so that no number is used twice.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>

#include "sqlite.h"

#include <sqlite3.h>
#include <string.h>

enum {
	ID_LENGTH = 1 + sizeof(uint64_t),
	TEND_AT_ONCE = 16,
	UNNAMED_DAYS = 7,
};

enum {
	SQL_ADD,
	SQL_ADD_PIECE,
	SQL_HIGHEST,
	SQL_DROP,
	SQL_UNDROP,
	SQL_OLD,
	SQL_REMOVE,
	SQL_REMOVE_PIECES,
	SQL_REMOVE_DROPPED,
};

static const char *const texts[] = {
	[SQL_ADD] = "INSERT INTO blob VALUES (?1, ?2, ?3)",
	[SQL_ADD_PIECE] = "INSERT INTO piece VALUES (?1, ?2)",
	[SQL_HIGHEST] = "SELECT max(id) FROM blob",
	[SQL_DROP] = "INSERT OR IGNORE INTO dropped VALUES (?2, ?1)",
	[SQL_UNDROP] = "DELETE FROM dropped WHERE blob = ?1",
	[SQL_OLD] = "SELECT time, blob FROM dropped WHERE time < ?1"
		    " AND blob < (SELECT max(id) FROM blob) LIMIT ?2",
	[SQL_REMOVE] = "DELETE FROM blob WHERE id = ?1",
	[SQL_REMOVE_PIECES] =
		"DELETE FROM piece WHERE key BETWEEN ?1 << 20 AND (?1 << 20) + 1048575",
	[SQL_REMOVE_DROPPED] = "DELETE FROM dropped WHERE time = ?2 AND blob = ?1",
};

static sqlite3_stmt *
sql(PhIndexConnection *connection, uint32_t which, int64_t first, GError **error)
{
	sqlite3_stmt *statement = ph_index_statement(connection, which, texts[which], error);

	if (statement != NULL)
		(void) sqlite3_bind_int64(statement, 1, first);
	return statement;
}

static bool
done(PhIndexConnection *connection, sqlite3_stmt *statement, const char *doing, GError **error)
{
	bool good = statement != NULL && sqlite3_step(statement) == SQLITE_DONE;

	if (statement != NULL && !good)
		(void) ph_index_fail(connection, doing, error);
	(void) sqlite3_reset(statement);
	return good;
}

static bool
run(PhIndexConnection *connection, uint32_t which, int64_t blob, GError **error)
{
	return done(connection, sql(connection, which, blob, error), "change octets", error);
}

/* --- blob ids ---------------------------------------------------------------------------------- */

static PhBlobId
make_id(char kind, uint64_t number)
{
	PhBlobId id = { .length = ID_LENGTH };

	id.octets[0] = (uint8_t) kind;
	memcpy(&id.octets[1], &number, sizeof number);
	return id;
}

bool
octets_parse_id(const PhBlobId *id, char kind, uint64_t *number_out)
{
	if (id->length != ID_LENGTH || id->octets[0] != (uint8_t) kind)
		return false;
	memcpy(number_out, &id->octets[1], sizeof *number_out);
	return *number_out <= INT64_MAX;
}

/* --- uploads ------------------------------------------------------------------------------------ */

void
uploads_init(Account *account)
{
	(void) pthread_mutex_init(&account->lock, NULL);
	account->uploads = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                         (GDestroyNotify) ph_content_unref);
	account->used = g_array_new(FALSE, FALSE, sizeof(uint64_t));
}

void
uploads_clear(Account *account)
{
	g_hash_table_destroy(account->uploads);
	(void) g_array_free(account->used, TRUE);
	(void) pthread_mutex_destroy(&account->lock);
}

static PhContent *
find_upload(Account *account, uint64_t number)
{
	PhContent *content = NULL;

	(void) pthread_mutex_lock(&account->lock);
	content = g_hash_table_lookup(account->uploads, &number);
	if (content != NULL)
		(void) ph_content_ref(content);
	(void) pthread_mutex_unlock(&account->lock);
	return content;
}

static void
remove_upload(Account *account, uint64_t number)
{
	(void) pthread_mutex_lock(&account->lock);
	(void) g_hash_table_remove(account->uploads, &number);
	(void) pthread_mutex_unlock(&account->lock);
}

static uint64_t
add_upload(Account *account, PhContent *content)
{
	uint64_t number = 0;

	(void) pthread_mutex_lock(&account->lock);
	number = ++account->next_upload;
	(void) g_hash_table_insert(account->uploads, g_memdup2(&number, sizeof number),
	                           ph_content_ref(content));
	(void) pthread_mutex_unlock(&account->lock);
	return number;
}

/* --- writing ------------------------------------------------------------------------------------ */

static bool
next_blob(Account *account, PhIndexConnection *connection, int64_t *number_out, GError **error)
{
	if (account->next_blob == 0) {
		sqlite3_stmt *row =
			ph_index_statement(connection, SQL_HIGHEST, texts[SQL_HIGHEST], error);

		if (row == NULL)
			return false;
		if (sqlite3_step(row) != SQLITE_ROW) {
			(void) sqlite3_reset(row);
			return ph_index_fail(connection, "number a message", error);
		}
		account->next_blob = sqlite3_column_int64(row, 0) + 1;
		(void) sqlite3_reset(row);
	}
	*number_out = account->next_blob++;
	return true;
}

static bool
write_row(PhIndexConnection *connection,
          int64_t number,
          uint64_t length,
          PhSlice octets,
          GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_ADD, number, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, (int64_t) length);
	(void) sqlite3_bind_blob64(row, 3, octets.length > 0 ? octets.data : "", octets.length,
	                           SQLITE_STATIC);
	return done(connection, row, "store a message", error);
}

static bool
write_small(PhIndexConnection *connection, int64_t number, PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *copy = NULL;
	PhSlice octets = PH_SLICE_EMPTY;

	if (!ph_content_peek(content, &octets)) {
		ssize_t got = 0;

		copy = g_malloc(length + 1);
		got = ph_content_read(content, 0, copy, length, error);
		if (got < 0)
			return false;
		octets = PH_SLICE(copy, (size_t) got);
	}
	if (octets.length != length) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "a message is shorter than announced");
		return false;
	}
	return write_row(connection, number, length, octets, error);
}

typedef struct {
	PhIndexConnection *connection;
	int64_t key; /* of the next piece */
	char *buffer;
	size_t filled;
} Pieces;

static bool
write_piece(Pieces *pieces, GError **error)
{
	sqlite3_stmt *row = sql(pieces->connection, SQL_ADD_PIECE, pieces->key, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob64(row, 2, pieces->buffer, pieces->filled, SQLITE_STATIC);
	pieces->key++;
	pieces->filled = 0;
	return done(pieces->connection, row, "store a message", error);
}

static bool
take_piece(PhSlice piece, void *user_data, GError **error)
{
	Pieces *pieces = user_data;

	while (piece.length > 0) {
		size_t n = MIN(piece.length, PIECE - pieces->filled);

		memcpy(pieces->buffer + pieces->filled, piece.data, n);
		pieces->filled += n;
		piece = PH_SLICE(piece.data + n, piece.length - n);
		if (pieces->filled == PIECE && !write_piece(pieces, error))
			return false;
	}
	return true;
}

static bool
write_large(PhIndexConnection *connection, int64_t number, PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *buffer = g_malloc(PIECE);
	Pieces pieces = {
		.connection = connection,
		.key = (int64_t) ((uint64_t) number << PIECE_BITS),
		.buffer = buffer,
	};

	return write_row(connection, number, length, PH_SLICE_EMPTY, error)
	       && ph_content_each(content, 0, length, take_piece, &pieces, error)
	       && (pieces.filled == 0 || write_piece(&pieces, error));
}

static bool
write_content(Account *account,
              PhIndexConnection *connection,
              PhContent *content,
              PhBlobId *blob_out,
              GError **error)
{
	bool small = ph_content_length(content) <= SMALL;
	int64_t number = 0;

	if (!next_blob(account, connection, &number, error)
	    || !(small ? write_small : write_large)(connection, number, content, error))
		return false;
	*blob_out = make_id(KIND_BLOB, (uint64_t) number);
	return true;
}

/* @time: from when on the grace time runs. */
static bool
note_dropped(PhIndexConnection *connection, int64_t blob, int64_t time, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_DROP, blob, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, time);
	return done(connection, row, "drop octets", error);
}

/* --- the hooks of a commit ------------------------------------------------------------------- */

static bool
add(void *user_data,
    PhIndexConnection *connection,
    const PhOp *op,
    PhBlobId *blob_out,
    GError **error)
{
	Account *account = user_data;
	uint64_t number = 0;
	g_autoptr(PhContent) content = NULL;

	if (octets_parse_id(&op->blob, KIND_BLOB, &number))
		return run(connection, SQL_UNDROP, (int64_t) number, error);
	if (octets_parse_id(&op->blob, KIND_UPLOAD, &number))
		content = find_upload(account, number);
	if (content == NULL) {
		ph_error_set(error, PH_ERROR_INVALID, "the octets to append were not uploaded");
		return false;
	}
	(void) g_array_append_val(account->used, number);
	return write_content(account, connection, content, blob_out, error);
}

static void
finished(void *user_data, bool committed)
{
	Account *account = user_data;

	for (guint i = 0; committed && i < account->used->len; i++)
		remove_upload(account, g_array_index(account->used, uint64_t, i));
	g_array_set_size(account->used, 0);
	if (!committed)
		account->next_blob = 0;
}

static uint64_t
highest_blob(PhIndexConnection *connection)
{
	sqlite3_stmt *row = ph_index_statement(connection, SQL_HIGHEST, texts[SQL_HIGHEST], NULL);
	uint64_t highest = 0;

	if (row != NULL && sqlite3_step(row) == SQLITE_ROW)
		highest = (uint64_t) sqlite3_column_int64(row, 0);
	(void) sqlite3_reset(row);
	return highest;
}

/* The index: nobody has had these octets for the grace time. */
static bool
remove_octets(void *user_data, PhIndexConnection *connection, const PhBlobId *blob, GError **error)
{
	uint64_t number = 0;

	if (!octets_parse_id(blob, KIND_BLOB, &number))
		return true;
	/* the newest keeps its number until there is a newer one */
	if (number == highest_blob(connection))
		return note_dropped(connection, (int64_t) number, g_get_real_time(), error);
	return run(connection, SQL_REMOVE_PIECES, (int64_t) number, error)
	       && run(connection, SQL_REMOVE, (int64_t) number, error);
}

static bool
remove_blob(PhIndexConnection *connection, int64_t time, int64_t blob)
{
	sqlite3_stmt *row = NULL;

	/* the note goes last: what fails half-way is found again */
	if (!run(connection, SQL_REMOVE_PIECES, blob, NULL)
	    || !run(connection, SQL_REMOVE, blob, NULL))
		return false;
	row = sql(connection, SQL_REMOVE_DROPPED, blob, NULL);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, time);
	return done(connection, row, "remove octets", NULL);
}

static bool
tend(void *user_data, PhIndexConnection *connection, PhTime now)
{
	Account *account = user_data;
	int64_t found[TEND_AT_ONCE][2];
	size_t n = 0;
	sqlite3_stmt *row =
		sql(connection, SQL_OLD, now - (int64_t) account->settings.grace.us, NULL);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, TEND_AT_ONCE);
	for (; n < TEND_AT_ONCE && sqlite3_step(row) == SQLITE_ROW; n++) {
		found[n][0] = sqlite3_column_int64(row, 0);
		found[n][1] = sqlite3_column_int64(row, 1);
	}
	(void) sqlite3_reset(row);
	for (size_t i = 0; i < n; i++)
		if (!remove_blob(connection, found[i][0], found[i][1]))
			return false;
	return n == TEND_AT_ONCE;
}

const PhIndexHooks octets_hooks = {
	.size = sizeof octets_hooks,
	.schema = "CREATE TABLE blob (id INTEGER PRIMARY KEY, length INTEGER NOT NULL,"
		  " octets BLOB NOT NULL);"
		  "CREATE TABLE piece (key INTEGER PRIMARY KEY, octets BLOB NOT NULL);"
		  "CREATE TABLE dropped (time INTEGER NOT NULL, blob INTEGER NOT NULL,"
		  " PRIMARY KEY (time, blob)) WITHOUT ROWID;",
	.add = add,
	.finished = finished,
	.tend = tend,
	.remove = remove_octets,
};

/* --- upload and content ---------------------------------------------------------------------- */

/* Octets whose row must be durable now; they count as dropped until a commit names them, which may
 * be the replay of a journal days later. */
static bool
upload_durably(Account *account, PhContent *content, PhBlobId *blob_out, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(account->index, error);
	uint64_t number = 0;
	bool good = false;

	if (connection == NULL)
		return false;
	good = write_content(account, connection, content, blob_out, error)
	       && octets_parse_id(blob_out, KIND_BLOB, &number)
	       && note_dropped(connection, (int64_t) number,
	                       g_get_real_time() + UNNAMED_DAYS * G_TIME_SPAN_DAY, error);
	if (!good)
		account->next_blob = 0;
	return ph_index_end_write(account->index, connection, good, error)
	       && (!account->is_deferred || ph_index_sync(account->index, error));
}

bool
octets_upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;

	if (account->settings.largest.octets != 0
	    && ph_content_length(content) > account->settings.largest.octets) {
		ph_error_set(error, PH_ERROR_TOO_LARGE, "a message of %" G_GUINT64_FORMAT " octets",
		             ph_content_length(content));
		return false;
	}
	if (durable)
		return upload_durably(account, content, blob_out, error);
	*blob_out = make_id(KIND_UPLOAD, add_upload(account, content));
	return true;
}

void
octets_abandon(void *data, const PhBlobId *blob)
{
	uint64_t number = 0;

	if (octets_parse_id(blob, KIND_UPLOAD, &number))
		remove_upload(data, number);
}

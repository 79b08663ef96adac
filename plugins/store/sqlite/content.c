/* content.c: reads messages: small ones in one go, some ahead; large ones piece by piece
 *
 * Who reads message after message is given the next ones from one read of the database: begin,
 * locks and searching are paid once for all of them. What was read ahead is at most AHEAD_OCTETS
 * for each of two such readers of an account and AHEAD_ALL in all, and goes with its handle. Octets of a number never
 * change, so what was read ahead is never wrong.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>

#include "sqlite.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

enum {
	SQL_READ = 13,
	SQL_READ_PIECE = 14,
	SQL_READ_AHEAD = 15,
	ORDERLY = 3,                  /* so many in order, and more are read ahead */
	AHEAD_OCTETS = 128 * 1024,    /* for one reader */
	AHEAD_ALL = 16 * 1024 * 1024, /* for all of the process; then nobody reads ahead */
};

static _Atomic int64_t octets_ahead;

static const char read_text[] = "SELECT length, octets FROM blob WHERE id = ?1";
static const char piece_text[] = "SELECT octets FROM piece WHERE key = ?1";
static const char ahead_text[] = "SELECT id, length, octets FROM blob WHERE id > ?1 LIMIT ?2";

static sqlite3_stmt *
sql(PhIndexConnection *connection, uint32_t slot, const char *text, int64_t first, GError **error)
{
	sqlite3_stmt *statement = ph_index_statement(connection, slot, text, error);

	if (statement != NULL)
		(void) sqlite3_bind_int64(statement, 1, first);
	return statement;
}

/* --- large messages ------------------------------------------------------------------------------ */

/* Large: a message in pieces, read as they are asked for. */
typedef struct {
	PhIndex *index; /* (owned) a reference */
	int64_t first;  /* key of the first piece */
	uint64_t length;
} Large;

typedef struct {
	char *octets;
	size_t length;
} Room;

/* Copies from one piece. Returns: octets, 0 when the row could not be read (@error). */
static size_t
copy_piece(PhIndexConnection *connection, sqlite3_stmt *row, size_t skip, Room room, GError **error)
{
	size_t got = 0;
	int status = sqlite3_step(row);

	if (status == SQLITE_ROW) {
		size_t length = (size_t) sqlite3_column_bytes(row, 0);
		const char *octets = sqlite3_column_blob(row, 0);

		got = MIN(length - MIN(skip, length), room.length);
		if (got > 0)
			memcpy(room.octets, octets + skip, got);
		else
			ph_error_set(error, PH_ERROR_CORRUPT, "a piece of a message is too short");
	} else if (status == SQLITE_DONE) {
		ph_error_set(error, PH_ERROR_GONE, "the message was removed");
	} else {
		(void) ph_index_fail(connection, "read a message", error);
	}
	(void) sqlite3_reset(row);
	return got;
}

static ssize_t
large_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Large *large = handle;
	size_t copied = 0;
	size_t got = 1;
	PhIndexConnection *connection = NULL;

	if (offset >= large->length || length == 0)
		return 0;
	length = MIN(length, large->length - offset);
	connection = ph_index_begin_read(large->index, error);
	if (connection == NULL)
		return -1;
	while (copied < length && got > 0) {
		uint64_t at = offset + copied;
		Room room = { buffer + copied, length - copied };
		sqlite3_stmt *row = sql(connection, SQL_READ_PIECE, piece_text,
		                        large->first + (int64_t) (at / PIECE), error);

		got = row != NULL ? copy_piece(connection, row, at % PIECE, room, error) : 0;
		copied += got;
	}
	ph_index_end_read(large->index, connection);
	return copied == length ? (ssize_t) copied : -1;
}

static void
large_free(void *handle)
{
	Large *large = handle;

	ph_index_unref(large->index);
	g_free(large);
}

static const PhContentTable large_table = {
	.size = sizeof large_table,
	.read = large_read,
	.free = large_free,
};

static PhContent *
make_large(Account *account, uint64_t number, uint64_t length)
{
	Large *large = g_new0(Large, 1);

	large->index = ph_index_ref(account->index);
	large->first = (int64_t) (number << PIECE_BITS);
	large->length = length;
	return ph_content_new_custom(&large_table, large, length);
}

/* --- small messages ------------------------------------------------------------------------------ */

/* The message of a row whose columns from @column on are length and octets. */
static PhContent *
make_content(Account *account, sqlite3_stmt *row, int column, uint64_t number, GError **error)
{
	uint64_t length = (uint64_t) sqlite3_column_int64(row, column);

	if (length > SMALL)
		return make_large(account, number, length);
	if ((uint64_t) sqlite3_column_bytes(row, column + 1) == length)
		return ph_content_new_copy(
			PH_SLICE(sqlite3_column_blob(row, column + 1), (size_t) length));
	ph_error_set(error, PH_ERROR_CORRUPT, "a message has lost octets");
	return NULL;
}

/* Reads the messages after @number, as far as there is room. */
static void
read_ahead(Account *account, PhIndexConnection *connection, uint64_t number, PhContent **ahead)
{
	sqlite3_stmt *row = sql(connection, SQL_READ_AHEAD, ahead_text, (int64_t) number, NULL);
	uint64_t octets = 0;

	if (row == NULL)
		return;
	(void) sqlite3_bind_int64(row, 2, AHEAD);
	while (octets < AHEAD_OCTETS && sqlite3_step(row) == SQLITE_ROW) {
		uint64_t found = (uint64_t) sqlite3_column_int64(row, 0);
		uint64_t length = (uint64_t) sqlite3_column_int64(row, 1);

		if (found <= number || found > number + AHEAD)
			break;
		if (length > SMALL)
			continue; /* it would refer to the account that it is kept in */
		ahead[found - number - 1] = make_content(account, row, 1, found, NULL);
		octets += length;
	}
	(void) sqlite3_reset(row);
}

/* Takes a content out of what was read ahead. Returns: (owned, nullable). */
static PhContent *
take(PhContent **place)
{
	PhContent *content = g_steal_pointer(place);

	if (content != NULL)
		(void) atomic_fetch_sub(&octets_ahead, (int64_t) ph_content_length(content));
	return content;
}

static void
forget(Reader *reader)
{
	for (size_t i = 0; i < AHEAD; i++) {
		PhContent *content = take(&reader->ahead[i]);

		if (content != NULL)
			ph_content_unref(content);
	}
}

void
content_forget_ahead(Account *account)
{
	for (size_t i = 0; i < READERS; i++)
		forget(&account->readers[i]);
}

/* Who would ask for @number: the one that read the message before it or has it read ahead, or else
 * the one that has asked for nothing the longest. */
static Reader *
find_reader(Account *account, uint64_t number)
{
	Reader *idle = &account->readers[0];

	for (size_t i = 0; i < READERS; i++) {
		Reader *reader = &account->readers[i];

		if (number == reader->last_read + 1
		    || (number >= reader->ahead_first && number - reader->ahead_first < AHEAD))
			return reader;
		if (reader->read_at < idle->read_at)
			idle = reader;
	}
	return idle;
}

/* What was read ahead. @reader_out: for whom it is worth to read ahead now; NULL: it is not. */
static PhContent *
take_ahead(Account *account, uint64_t number, Reader **reader_out)
{
	Reader *reader = NULL;
	PhContent *content = NULL;

	(void) pthread_mutex_lock(&account->lock);
	reader = find_reader(account, number);
	reader->in_order = number == reader->last_read + 1 ? reader->in_order + 1 : 0;
	reader->last_read = number;
	reader->read_at = ++account->n_reads;
	if (number >= reader->ahead_first && number - reader->ahead_first < AHEAD)
		content = take(&reader->ahead[number - reader->ahead_first]);
	*reader_out = NULL;
	if (content == NULL && reader->in_order >= ORDERLY
	    && atomic_load(&octets_ahead) < AHEAD_ALL)
		*reader_out = reader;
	if (reader->in_order == 0 && content == NULL)
		forget(reader);
	(void) pthread_mutex_unlock(&account->lock);
	return content;
}

static void
put_ahead(Account *account, Reader *reader, uint64_t first, PhContent **ahead)
{
	(void) pthread_mutex_lock(&account->lock);
	forget(reader);
	memcpy(reader->ahead, ahead, sizeof reader->ahead);
	for (size_t i = 0; i < AHEAD; i++)
		if (ahead[i] != NULL)
			(void) atomic_fetch_add(&octets_ahead,
			                        (int64_t) ph_content_length(ahead[i]));
	reader->ahead_first = first;
	(void) pthread_mutex_unlock(&account->lock);
}

static PhContent *
read_one(Account *account, PhIndexConnection *connection, uint64_t number, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_READ, read_text, (int64_t) number, error);
	PhContent *content = NULL;

	if (row == NULL)
		return NULL;
	switch (sqlite3_step(row)) {
	case SQLITE_ROW:
		content = make_content(account, row, 0, number, error);
		break;
	case SQLITE_DONE:
		ph_error_set(error, PH_ERROR_GONE, "the message was removed");
		break;
	default:
		(void) ph_index_fail(connection, "read a message", error);
	}
	(void) sqlite3_reset(row);
	return content;
}

bool
octets_content(void *data,
               const PhMailboxId *mailbox,
               uint32_t uid,
               const PhBlobId *blob,
               PhContent **content_out,
               GError **error)
{
	Account *account = data;
	PhContent *ahead[AHEAD] = { NULL };
	PhIndexConnection *connection = NULL;
	PhContent *content = NULL;
	uint64_t number = 0;
	Reader *reader = NULL;

	if (!octets_parse_id(blob, KIND_BLOB, &number)) {
		ph_error_set(error, PH_ERROR_GONE, "there are no such octets");
		return false;
	}
	content = take_ahead(account, number, &reader);
	if (content == NULL) {
		connection = ph_index_begin_read(account->index, error);
		if (connection == NULL)
			return false;
		content = read_one(account, connection, number, error);
		if (reader != NULL && content != NULL)
			read_ahead(account, connection, number, ahead);
		ph_index_end_read(account->index, connection);
		if (reader != NULL)
			put_ahead(account, reader, number + 1, ahead);
	}
	if (content != NULL)
		*content_out = content;
	return content != NULL;
}

/* place.c: the tables of mailbox files and of the places of messages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "fields.h"
#include "mbox.h"

#include <sqlite3.h>

enum {
	SQL_BOX,
	SQL_BOXES,
	SQL_BOX_PUT,
	SQL_BOX_NEXT,
	SQL_BOX_REMOVE,
	SQL_BOX_PLACES,
	SQL_PUT,
	SQL_GET,
	SQL_REMOVE,
	SQL_UNNAMED,
	SQL_EACH,
	SQL_GONE_PUT,
	SQL_GONE_GET,
	SQL_GONE_FORGET,
	SQL_BOX_GONE,
};

#define BOX_COLUMNS "no, id, path, device, inode, size, mtime, ctime, folder, last_uid, base"
#define PLACE_COLUMNS \
	"key & 4294967295, marks, at, length, octets, digest, flags, keywords, metadata, first"

static const char *const texts[] = {
	[SQL_BOX] = "SELECT " BOX_COLUMNS " FROM box WHERE id = ?1",
	[SQL_BOXES] = "SELECT " BOX_COLUMNS " FROM box",
	[SQL_BOX_PUT] = "INSERT OR REPLACE INTO box VALUES"
			" (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[SQL_BOX_NEXT] = "SELECT coalesce(max(no), 0) + 1 FROM box",
	[SQL_BOX_REMOVE] = "DELETE FROM box WHERE no = ?1",
	[SQL_BOX_PLACES] =
		"DELETE FROM place WHERE key BETWEEN ?1 << 32 AND (?1 << 32) + 4294967295",
	[SQL_PUT] = "INSERT OR REPLACE INTO place VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[SQL_GET] = "SELECT " PLACE_COLUMNS " FROM place WHERE key = ?1",
	[SQL_REMOVE] = "DELETE FROM place WHERE key = ?1",
	[SQL_UNNAMED] = "SELECT " PLACE_COLUMNS " FROM place WHERE digest = ?1 AND marks & 64 = 0"
			" AND octets = ?2 AND key BETWEEN ?3 << 32 AND (?3 << 32) + 4294967295"
			" ORDER BY key",
	[SQL_EACH] = "SELECT " PLACE_COLUMNS " FROM place"
		     " WHERE key BETWEEN ?1 << 32 AND (?1 << 32) + 4294967295 ORDER BY at",
	[SQL_GONE_PUT] = "INSERT OR REPLACE INTO gone VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_GONE_GET] = "SELECT time, file, at, length, octets, marks FROM gone WHERE key = ?1",
	[SQL_GONE_FORGET] = "DELETE FROM gone WHERE time < ?1",
	[SQL_BOX_GONE] = "DELETE FROM gone WHERE key BETWEEN ?1 << 32 AND (?1 << 32) + 4294967295",
};

const char place_schema[] =
	"CREATE TABLE box (no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, path TEXT NOT NULL,"
	" device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
	" mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, folder INTEGER NOT NULL,"
	" last_uid INTEGER NOT NULL, base INTEGER NOT NULL);"
	"CREATE TABLE place (key INTEGER PRIMARY KEY, marks INTEGER NOT NULL, at INTEGER NOT NULL,"
	" length INTEGER NOT NULL, octets INTEGER NOT NULL, digest INTEGER NOT NULL,"
	" flags INTEGER NOT NULL, keywords INTEGER NOT NULL, metadata INTEGER NOT NULL,"
	" first INTEGER NOT NULL);"
	"CREATE INDEX place_unnamed ON place (digest) WHERE marks & 64 = 0;"
	"CREATE TABLE gone (key INTEGER PRIMARY KEY, time INTEGER NOT NULL, file TEXT NOT NULL,"
	" at INTEGER NOT NULL, length INTEGER NOT NULL, octets INTEGER NOT NULL,"
	" marks INTEGER NOT NULL);";

G_STATIC_ASSERT(MARK_UID == 64);

static sqlite3_stmt *
sql(PhIndexConnection *connection, uint32_t which, int64_t first, GError **error)
{
	sqlite3_stmt *row = ph_index_statement(connection, which, texts[which], error);

	if (row != NULL && sqlite3_bind_parameter_count(row) > 0)
		(void) sqlite3_bind_int64(row, 1, first);
	return row;
}

static bool
done(PhIndexConnection *connection, sqlite3_stmt *row, GError **error)
{
	bool good = row != NULL && sqlite3_step(row) == SQLITE_DONE;

	if (row != NULL && !good)
		(void) ph_index_fail(connection, "note where messages lie", error);
	(void) sqlite3_reset(row);
	return good;
}

static int64_t
key_of(int64_t no, uint32_t uid)
{
	return (int64_t) ((uint64_t) no << 32 | uid);
}

/* --- boxes ------------------------------------------------------------------------------------- */

static void
read_box(sqlite3_stmt *row, Box *box)
{
	const char *path = (const char *) sqlite3_column_text(row, 2);

	box->no = sqlite3_column_int64(row, 0);
	if (sqlite3_column_bytes(row, 1) == (int) sizeof box->id.octets)
		memcpy(box->id.octets, sqlite3_column_blob(row, 1), sizeof box->id.octets);
	(void) g_strlcpy(box->path, path != NULL ? path : "", sizeof box->path);
	box->look = (Look){
		.device = (uint64_t) sqlite3_column_int64(row, 3),
		.inode = (uint64_t) sqlite3_column_int64(row, 4),
		.size = (uint64_t) sqlite3_column_int64(row, 5),
		.mtime_ns = sqlite3_column_int64(row, 6),
		.ctime_ns = sqlite3_column_int64(row, 7),
	};
	box->folder = (uint64_t) sqlite3_column_int64(row, 8);
	box->last_uid = (uint32_t) sqlite3_column_int64(row, 9);
	box->base = (uint32_t) sqlite3_column_int64(row, 10);
}

static bool
take_info(const PhMailboxInfo *info, void *user_data)
{
	Box *box = user_data;

	if (memcmp(&info->id, &box->id, sizeof box->id) != 0)
		return true;
	(void) g_strlcpy(box->name, info->name, sizeof box->name);
	box->uidvalidity = info->uidvalidity;
	box->uidnext = info->uidnext;
	box->n_messages = info->n_messages;
	return false;
}

bool
place_load_box(Account *account, const PhMailboxId *id, Box *box, GError **error)
{
	PhIndexConnection *connection = NULL;
	sqlite3_stmt *row = NULL;
	int status = SQLITE_ERROR;

	*box = (Box){ .id = *id };
	if (!ph_index_mailboxes(account->index, take_info, box, NULL, error))
		return false;
	if (box->name[0] == '\0') {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no such mailbox");
		return false;
	}
	connection = ph_index_begin_read(account->index, error);
	if (connection == NULL)
		return false;
	row = ph_index_statement(connection, SQL_BOX, texts[SQL_BOX], error);
	if (row != NULL) {
		(void) sqlite3_bind_blob(row, 1, id->octets, sizeof id->octets, SQLITE_STATIC);
		status = sqlite3_step(row);
		if (status == SQLITE_ROW)
			read_box(row, box);
		else if (status != SQLITE_DONE)
			(void) ph_index_fail(connection, "read a mailbox", error);
		(void) sqlite3_reset(row);
	}
	ph_index_end_read(account->index, connection);
	return status == SQLITE_ROW || status == SQLITE_DONE;
}

bool
place_each_box(Account *account, BoxFunc func, void *user_data, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);
	g_autoptr(GArray) boxes = g_array_new(FALSE, TRUE, sizeof(Box));
	sqlite3_stmt *row = NULL;
	int status = SQLITE_ERROR;
	bool good = true;

	if (connection == NULL)
		return false;
	row = ph_index_statement(connection, SQL_BOXES, texts[SQL_BOXES], error);
	while (row != NULL && (status = sqlite3_step(row)) == SQLITE_ROW) {
		g_array_set_size(boxes, boxes->len + 1);
		read_box(row, &g_array_index(boxes, Box, boxes->len - 1));
	}
	if (row != NULL && status != SQLITE_DONE)
		(void) ph_index_fail(connection, "read mailboxes", error);
	(void) sqlite3_reset(row);
	ph_index_end_read(account->index, connection);
	good = row != NULL && status == SQLITE_DONE;
	for (guint i = 0; good && i < boxes->len; i++)
		good = func(&g_array_index(boxes, Box, i), user_data, error);
	return good;
}

static bool
number_box(PhIndexConnection *connection, Box *box, GError **error)
{
	sqlite3_stmt *row =
		ph_index_statement(connection, SQL_BOX_NEXT, texts[SQL_BOX_NEXT], error);

	if (row == NULL)
		return false;
	if (sqlite3_step(row) == SQLITE_ROW)
		box->no = sqlite3_column_int64(row, 0);
	else
		(void) ph_index_fail(connection, "number a mailbox", error);
	(void) sqlite3_reset(row);
	return box->no != 0;
}

bool
place_save_box(PhIndexConnection *connection, Box *box, GError **error)
{
	const Look *look = &box->look;
	sqlite3_stmt *row = NULL;

	if (box->no == 0 && !number_box(connection, box, error))
		return false;
	row = sql(connection, SQL_BOX_PUT, box->no, error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob(row, 2, box->id.octets, sizeof box->id.octets, SQLITE_STATIC);
	(void) sqlite3_bind_text(row, 3, box->path, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 4, (int64_t) look->device);
	(void) sqlite3_bind_int64(row, 5, (int64_t) look->inode);
	(void) sqlite3_bind_int64(row, 6, (int64_t) look->size);
	(void) sqlite3_bind_int64(row, 7, look->mtime_ns);
	(void) sqlite3_bind_int64(row, 8, look->ctime_ns);
	(void) sqlite3_bind_int64(row, 9, (int64_t) box->folder);
	(void) sqlite3_bind_int64(row, 10, box->last_uid);
	(void) sqlite3_bind_int64(row, 11, box->base);
	return done(connection, row, error);
}

bool
place_remove_box(PhIndexConnection *connection, int64_t no, GError **error)
{
	return done(connection, sql(connection, SQL_BOX_PLACES, no, error), error)
	       && done(connection, sql(connection, SQL_BOX_GONE, no, error), error)
	       && done(connection, sql(connection, SQL_BOX_REMOVE, no, error), error);
}

/* --- places ------------------------------------------------------------------------------------ */

static void
read_place(sqlite3_stmt *row, Place *place)
{
	*place = (Place){
		.uid = (uint32_t) sqlite3_column_int64(row, 0),
		.marks = (uint32_t) sqlite3_column_int64(row, 1),
		.offset = (uint64_t) sqlite3_column_int64(row, 2),
		.length = (uint64_t) sqlite3_column_int64(row, 3),
		.octets = (uint64_t) sqlite3_column_int64(row, 4),
		.digest = (uint64_t) sqlite3_column_int64(row, 5),
		.flags = (uint32_t) sqlite3_column_int64(row, 6),
		.keywords_hash = (uint32_t) sqlite3_column_int64(row, 7),
		.metadata = (uint32_t) sqlite3_column_int64(row, 8),
		.from = (uint32_t) sqlite3_column_int64(row, 9),
	};
}

bool
place_put(PhIndexConnection *connection, int64_t no, const Place *place, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_PUT, key_of(no, place->uid), error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, place->marks);
	(void) sqlite3_bind_int64(row, 3, (int64_t) place->offset);
	(void) sqlite3_bind_int64(row, 4, (int64_t) place->length);
	(void) sqlite3_bind_int64(row, 5, (int64_t) place->octets);
	(void) sqlite3_bind_int64(row, 6, (int64_t) place->digest);
	(void) sqlite3_bind_int64(row, 7, place->flags);
	(void) sqlite3_bind_int64(row, 8, place->keywords_hash);
	(void) sqlite3_bind_int64(row, 9, place->metadata);
	(void) sqlite3_bind_int64(row, 10, place->from);
	return done(connection, row, error);
}

bool
place_remove(PhIndexConnection *connection, int64_t no, uint32_t uid, GError **error)
{
	return done(connection, sql(connection, SQL_REMOVE, key_of(no, uid), error), error);
}

bool
place_get(PhIndexConnection *connection, int64_t no, uint32_t uid, Place *place, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_GET, key_of(no, uid), error);
	int status = SQLITE_ERROR;

	*place = (Place){ .uid = 0 };
	if (row == NULL)
		return false;
	status = sqlite3_step(row);
	if (status == SQLITE_ROW)
		read_place(row, place);
	else if (status != SQLITE_DONE)
		(void) ph_index_fail(connection, "look for a message", error);
	(void) sqlite3_reset(row);
	return status == SQLITE_ROW || status == SQLITE_DONE;
}

bool
place_find_unnamed(PhIndexConnection *connection,
                   int64_t no,
                   const Message *message,
                   const PhUidSet *except,
                   Place *place,
                   GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_UNNAMED, (int64_t) message->digest, error);
	int status = SQLITE_ERROR;

	*place = (Place){ .uid = 0 };
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, (int64_t) message->octets);
	(void) sqlite3_bind_int64(row, 3, no);
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		if (ph_uid_set_contains(except, (uint32_t) sqlite3_column_int64(row, 0)))
			continue;
		read_place(row, place);
		break;
	}
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		(void) ph_index_fail(connection, "look for a message", error);
	(void) sqlite3_reset(row);
	return status == SQLITE_ROW || status == SQLITE_DONE;
}

bool
place_each(Account *account, int64_t no, PlaceFunc func, void *user_data, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);
	sqlite3_stmt *row = NULL;
	int status = SQLITE_DONE;
	bool good = true;

	if (connection == NULL)
		return false;
	row = sql(connection, SQL_EACH, no, error);
	while (row != NULL && good && (status = sqlite3_step(row)) == SQLITE_ROW) {
		Place place;

		read_place(row, &place);
		good = func(&place, user_data, error);
	}
	if (row != NULL && good && status != SQLITE_DONE)
		(void) ph_index_fail(connection, "read where messages lie", error);
	(void) sqlite3_reset(row);
	ph_index_end_read(account->index, connection);
	return row != NULL && good && status == SQLITE_DONE;
}

/* --- expunged messages --------------------------------------------------------------------------- */

bool
place_put_gone(PhIndexConnection *connection, int64_t no, const Gone *gone, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_GONE_PUT, key_of(no, gone->place.uid), error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, gone->time);
	(void) sqlite3_bind_text(row, 3, gone->file, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 4, (int64_t) gone->place.offset);
	(void) sqlite3_bind_int64(row, 5, (int64_t) gone->place.length);
	(void) sqlite3_bind_int64(row, 6, (int64_t) gone->place.octets);
	(void) sqlite3_bind_int64(row, 7, gone->place.marks);
	return done(connection, row, error);
}

bool
place_get_gone(PhIndexConnection *connection, int64_t no, uint32_t uid, Gone *gone, GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_GONE_GET, key_of(no, uid), error);
	int status = SQLITE_ERROR;

	*gone = (Gone){ .time = 0 };
	if (row == NULL)
		return false;
	status = sqlite3_step(row);
	if (status == SQLITE_ROW) {
		const char *file = (const char *) sqlite3_column_text(row, 1);

		gone->time = sqlite3_column_int64(row, 0);
		(void) g_strlcpy(gone->file, file != NULL ? file : "", sizeof gone->file);
		gone->place.uid = uid;
		gone->place.offset = (uint64_t) sqlite3_column_int64(row, 2);
		gone->place.length = (uint64_t) sqlite3_column_int64(row, 3);
		gone->place.octets = (uint64_t) sqlite3_column_int64(row, 4);
		gone->place.marks = (uint32_t) sqlite3_column_int64(row, 5);
	} else if (status != SQLITE_DONE) {
		(void) ph_index_fail(connection, "look for an expunged message", error);
	}
	(void) sqlite3_reset(row);
	return status == SQLITE_ROW || status == SQLITE_DONE;
}

bool
place_forget_gone(PhIndexConnection *connection, PhTime before, GError **error)
{
	return done(connection, sql(connection, SQL_GONE_FORGET, before, error), error);
}

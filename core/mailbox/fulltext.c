/* fulltext.c: the database of trigrams: opened, asked, filled
 *
 * A row's number is its mailbox's number and its uid in one integer, so a mailbox is one range. Rows
 * of messages that are gone stay until they are the greater part; then the whole is made anew. The
 * table keeps no text and no places (detail=none): it answers which messages hold all trigrams of a
 * string, a few more than hold the string.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/fulltext.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum {
	VERSION = 1,
	BUSY_MS = 5000,
	MODE = 0600,
	FOLDER_MODE = 0700,
	TRIGRAMS = 24, /* of one string that are asked for */
	SPARE = 10000, /* rows that are not worth beginning anew */
};

typedef enum {
	SQL_BEGIN_READ,
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_BOX,
	SQL_BOX_ADD,
	SQL_BOX_SET,
	SQL_ROWS,
	SQL_ASK,
	SQL_LARGE,
	SQL_ADD,
	SQL_LARGE_ADD,
	SQL_N,
} Sql;

static const char *const texts[SQL_N] = {
	[SQL_BEGIN_READ] = "BEGIN",
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_BOX] = "SELECT no, upto FROM box WHERE id = ?1 AND uidvalidity = ?2",
	[SQL_BOX_ADD] =
		"INSERT OR REPLACE INTO box (id, uidvalidity, upto, n) VALUES (?1, ?2, 0, 0)",
	[SQL_BOX_SET] = "UPDATE box SET upto = ?2, n = n + ?3 WHERE no = ?1",
	[SQL_ROWS] = "SELECT total(n) FROM box",
	[SQL_ASK] = "SELECT rowid FROM words WHERE words MATCH ?1 AND rowid BETWEEN ?2 AND ?3",
	[SQL_LARGE] = "SELECT row FROM large WHERE row BETWEEN ?2 AND ?3",
	[SQL_ADD] = "INSERT INTO words (rowid, text) VALUES (?1, ?2)",
	[SQL_LARGE_ADD] = "INSERT OR IGNORE INTO large VALUES (?1)",
};

static const char schema[] =
	"CREATE TABLE box (no INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,"
	" uidvalidity INTEGER NOT NULL, upto INTEGER NOT NULL, n INTEGER NOT NULL);"
	"CREATE TABLE large (row INTEGER PRIMARY KEY);"
	"CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, columnsize=0,"
	" tokenize='trigram case_sensitive 1');";

static const char clear[] = "DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS large;"
			    " DROP TABLE IF EXISTS box;";

struct PhFulltext {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_N];
};

static bool
fail(const PhFulltext *index, const char *doing, GError **error)
{
	int code = sqlite3_errcode(index->db);
	bool corrupt = (code & 0xff) == SQLITE_CORRUPT || code == SQLITE_NOTADB;

	ph_error_set(error, corrupt ? PH_ERROR_CORRUPT : PH_ERROR_TEMPORARY,
	             "cannot %s in the search index: %s", doing, sqlite3_errmsg(index->db));
	return false;
}

static sqlite3_stmt *
statement(PhFulltext *index, Sql which, GError **error)
{
	sqlite3_stmt **slot = &index->statements[which];

	if (*slot == NULL
	    && sqlite3_prepare_v3(index->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, slot,
	                          NULL)
	               != SQLITE_OK)
		(void) fail(index, "prepare a statement", error);
	return *slot;
}

/* Runs a statement that gives no rows. */
static bool
run(PhFulltext *index, sqlite3_stmt *what, GError **error)
{
	bool good = sqlite3_step(what) == SQLITE_DONE;

	if (!good)
		(void) fail(index, "write", error);
	(void) sqlite3_reset(what);
	return good;
}

static bool
run_plain(PhFulltext *index, Sql which, GError **error)
{
	sqlite3_stmt *what = statement(index, which, error);

	return what != NULL && run(index, what, error);
}

static bool
run_text(PhFulltext *index, const char *sql, GError **error)
{
	return sqlite3_exec(index->db, sql, NULL, NULL, NULL) == SQLITE_OK
	       || fail(index, "prepare the tables", error);
}

/* --- opening ------------------------------------------------------------------------------------ */

static bool
read_version(PhFulltext *index, int *version_out, GError **error)
{
	sqlite3_stmt *what = NULL;
	bool good =
		sqlite3_prepare_v2(index->db, "PRAGMA user_version", -1, &what, NULL) == SQLITE_OK
		&& sqlite3_step(what) == SQLITE_ROW;

	if (good)
		*version_out = sqlite3_column_int(what, 0);
	else
		(void) fail(index, "read the version", error);
	(void) sqlite3_finalize(what);
	return good;
}

static bool
make_tables(PhFulltext *index, GError **error)
{
	g_autofree char *mark = g_strdup_printf("PRAGMA user_version = %d", VERSION);

	return run_text(index, clear, error) && run_text(index, schema, error)
	       && run_text(index, mark, error);
}

static bool
prepare(PhFulltext *index, bool make, GError **error)
{
	int version = 0;
	bool good = false;

	(void) sqlite3_busy_timeout(index->db, BUSY_MS);
	if (!run_text(index, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", error)
	    || !read_version(index, &version, error))
		return false;
	if (version == VERSION)
		return true;
	if (!make) {
		/* an empty one is being made just now */
		if (version != 0)
			ph_error_set(error, PH_ERROR_CORRUPT, "the search index is another's");
		return false;
	}
	good = run_plain(index, SQL_BEGIN, error) && read_version(index, &version, error)
	       && (version == VERSION || make_tables(index, error))
	       && run_plain(index, SQL_COMMIT, error);
	if (!good)
		ph_fulltext_undo(index);
	return good;
}

static void
remove_files(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
		g_autofree char *file = g_strconcat(path, ends[i], NULL);

		(void) unlink(file);
	}
}

static PhFulltext *
open_once(const char *path, bool make, GError **error)
{
	g_autoptr(PhFulltext) index = g_new0(PhFulltext, 1);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;

	if (sqlite3_open_v2(path, &index->db, flags, NULL) != SQLITE_OK) {
		(void) fail(index, "open the file", error);
		return NULL;
	}
	return prepare(index, make, error) ? g_steal_pointer(&index) : NULL;
}

/* SQLite makes its files with the mode of the first. */
static void
make_file(const char *path)
{
	g_autofree char *folder = g_path_get_dirname(path);
	int fd = -1;

	(void) g_mkdir_with_parents(folder, FOLDER_MODE);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, MODE);
	if (fd >= 0)
		(void) close(fd);
}

PhFulltext *
ph_fulltext_open(const char *path, bool make, GError **error)
{
	g_autoptr(GError) failure = NULL;
	PhFulltext *index = NULL;

	if (make)
		make_file(path);
	else if (access(path, F_OK) != 0)
		return NULL;
	index = open_once(path, make, &failure);
	if (index == NULL && make && g_error_matches(failure, PH_ERROR, PH_ERROR_CORRUPT)) {
		remove_files(path);
		make_file(path);
		return open_once(path, make, error);
	}
	if (failure != NULL)
		g_propagate_error(error, g_steal_pointer(&failure));
	return index;
}

void
ph_fulltext_discard(const char *path)
{
	remove_files(path);
}

/* Lines of the check that are not "ok". */
static bool
check_pages(PhFulltext *index, PhListLineFunc report, void *user_data)
{
	sqlite3_stmt *what = NULL;
	bool good = sqlite3_prepare_v2(index->db, "PRAGMA integrity_check(10)", -1, &what, NULL)
	            == SQLITE_OK;
	int status = SQLITE_DONE;

	while (good && (status = sqlite3_step(what)) == SQLITE_ROW) {
		const char *line = (const char *) sqlite3_column_text(what, 0);
		g_autofree char *told = g_strdup_printf("the search index: %s", line);

		if (line != NULL && strcmp(line, "ok") == 0)
			continue;
		report(told, user_data);
		good = false;
	}
	(void) sqlite3_finalize(what);
	return good && status == SQLITE_DONE;
}

static bool
check_words(PhFulltext *index, PhListLineFunc report, void *user_data)
{
	if (sqlite3_exec(index->db, "INSERT INTO words (words) VALUES ('integrity-check')", NULL,
	                 NULL, NULL)
	    == SQLITE_OK)
		return true;
	report("the search index: its words are damaged", user_data);
	return false;
}

bool
ph_fulltext_check(const char *path, PhListLineFunc report, void *user_data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhFulltext) index = ph_fulltext_open(path, false, &error);

	if (error != NULL)
		report(error->message, user_data);
	if (index == NULL)
		return error == NULL;
	return check_pages(index, report, user_data) && check_words(index, report, user_data);
}

void
ph_fulltext_close(PhFulltext *index)
{
	if (index == NULL)
		return;
	for (size_t i = 0; i < SQL_N; i++)
		(void) sqlite3_finalize(index->statements[i]);
	(void) sqlite3_close(index->db);
	g_free(index);
}

/* --- asking ------------------------------------------------------------------------------------- */

bool
ph_fulltext_begin_read(PhFulltext *index, GError **error)
{
	return run_plain(index, SQL_BEGIN_READ, error);
}

void
ph_fulltext_end_read(PhFulltext *index)
{
	(void) run_plain(index, SQL_COMMIT, NULL);
}

bool
ph_fulltext_box(PhFulltext *index,
                const PhMailboxId *mailbox,
                uint32_t uidvalidity,
                PhFulltextBox *box_out,
                GError **error)
{
	sqlite3_stmt *what = statement(index, SQL_BOX, error);
	int status = SQLITE_DONE;

	*box_out = (PhFulltextBox){ .no = 0 };
	if (what == NULL)
		return false;
	(void) sqlite3_bind_blob(what, 1, mailbox, sizeof *mailbox, SQLITE_STATIC);
	(void) sqlite3_bind_int64(what, 2, uidvalidity);
	status = sqlite3_step(what);
	if (status == SQLITE_ROW)
		*box_out = (PhFulltextBox){ sqlite3_column_int64(what, 0),
			                    (uint32_t) sqlite3_column_int64(what, 1) };
	else if (status != SQLITE_DONE)
		(void) fail(index, "find a mailbox", error);
	(void) sqlite3_reset(what);
	return status == SQLITE_ROW || status == SQLITE_DONE;
}

bool
ph_fulltext_can_ask(PhSlice folded)
{
	return g_utf8_validate(folded.data, (gssize) folded.length, NULL)
	       && g_utf8_strlen(folded.data, (gssize) folded.length) >= PH_FULLTEXT_LEAST;
}

static const char *
next_character(const char *at)
{
	return at + g_utf8_skip[(unsigned char) *at];
}

/* "abc" AND "bcd": a quotation mark is doubled. */
static char *
trigrams_of(PhSlice folded)
{
	GString *query = g_string_new(NULL);
	const char *end = folded.data + folded.length;
	const char *at = folded.data;
	glong n = g_utf8_strlen(folded.data, (gssize) folded.length) - PH_FULLTEXT_LEAST + 1;

	for (glong i = 0; i < MIN(n, TRIGRAMS); i++, at = next_character(at)) {
		const char *c = at;

		g_string_append(query, i > 0 ? " AND \"" : "\"");
		for (int j = 0; j < PH_FULLTEXT_LEAST && c < end; j++, c = next_character(c)) {
			if (*c == '"')
				g_string_append_c(query, '"');
			g_string_append_len(query, c, g_utf8_skip[(unsigned char) *c]);
		}
		g_string_append_c(query, '"');
	}
	return g_string_free(query, FALSE);
}

static int64_t
row_of(const PhFulltextBox *box, uint32_t uid)
{
	return box->no << 32 | uid;
}

static bool
add_rows(PhFulltext *index,
         sqlite3_stmt *what,
         const PhFulltextBox *box,
         PhUidSet *uids,
         GError **error)
{
	int status = SQLITE_ROW;

	(void) sqlite3_bind_int64(what, 2, row_of(box, 1));
	(void) sqlite3_bind_int64(what, 3, row_of(box, box->upto));
	while ((status = sqlite3_step(what)) == SQLITE_ROW)
		ph_uid_set_add(uids, (uint32_t) (sqlite3_column_int64(what, 0) & UINT32_MAX));
	(void) sqlite3_reset(what);
	return status == SQLITE_DONE || fail(index, "look for a string", error);
}

PhUidSet *
ph_fulltext_ask(PhFulltext *index, const PhFulltextBox *box, PhSlice folded, GError **error)
{
	g_autofree char *query = trigrams_of(folded);
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	sqlite3_stmt *ask = statement(index, SQL_ASK, error);
	sqlite3_stmt *large = ask != NULL ? statement(index, SQL_LARGE, error) : NULL;
	bool good = large != NULL;

	if (good) {
		(void) sqlite3_bind_text(ask, 1, query, -1, SQLITE_STATIC);
		good = add_rows(index, ask, box, uids, error)
		       && add_rows(index, large, box, uids, error);
		(void) sqlite3_clear_bindings(ask);
	}
	return good ? g_steal_pointer(&uids) : NULL;
}

/* --- filling ------------------------------------------------------------------------------------ */

static bool
is_mostly_gone(PhFulltext *index, uint64_t live)
{
	sqlite3_stmt *what = statement(index, SQL_ROWS, NULL);
	bool gone = what != NULL && sqlite3_step(what) == SQLITE_ROW
	            && sqlite3_column_double(what, 0) > 2.0 * (double) live + SPARE;

	if (what != NULL)
		(void) sqlite3_reset(what);
	return gone;
}

static bool
add_box(PhFulltext *index, const PhMailboxId *mailbox, uint32_t uidvalidity, GError **error)
{
	sqlite3_stmt *what = statement(index, SQL_BOX_ADD, error);

	if (what == NULL)
		return false;
	(void) sqlite3_bind_blob(what, 1, mailbox, sizeof *mailbox, SQLITE_STATIC);
	(void) sqlite3_bind_int64(what, 2, uidvalidity);
	return run(index, what, error);
}

/* The statements of the tables that go cannot stay. */
static bool
begin_anew(PhFulltext *index, GError **error)
{
	for (size_t i = SQL_BOX; i < SQL_N; i++)
		(void) sqlite3_finalize(g_steal_pointer(&index->statements[i]));
	return make_tables(index, error);
}

bool
ph_fulltext_begin(PhFulltext *index,
                  const PhMailboxId *mailbox,
                  uint32_t uidvalidity,
                  uint64_t live,
                  PhFulltextBox *box_out,
                  GError **error)
{
	bool good = run_plain(index, SQL_BEGIN, error)
	            && (!is_mostly_gone(index, live) || begin_anew(index, error))
	            && ph_fulltext_box(index, mailbox, uidvalidity, box_out, error);

	if (good && box_out->no == 0)
		good = add_box(index, mailbox, uidvalidity, error)
		       && ph_fulltext_box(index, mailbox, uidvalidity, box_out, error);
	if (!good)
		ph_fulltext_undo(index);
	return good;
}

bool
ph_fulltext_add(PhFulltext *index,
                const PhFulltextBox *box,
                uint32_t uid,
                PhSlice text,
                bool is_whole,
                GError **error)
{
	sqlite3_stmt *add = statement(index, SQL_ADD, error);
	sqlite3_stmt *large = is_whole ? NULL : statement(index, SQL_LARGE_ADD, error);

	if (add == NULL || (!is_whole && large == NULL))
		return false;
	(void) sqlite3_bind_int64(add, 1, row_of(box, uid));
	(void) sqlite3_bind_text64(add, 2, text.data, text.length, SQLITE_STATIC, SQLITE_UTF8);
	if (!run(index, add, error))
		return false;
	if (is_whole)
		return true;
	(void) sqlite3_bind_int64(large, 1, row_of(box, uid));
	return run(index, large, error);
}

bool
ph_fulltext_end(PhFulltext *index,
                const PhFulltextBox *box,
                uint32_t upto,
                uint32_t n,
                GError **error)
{
	sqlite3_stmt *set = statement(index, SQL_BOX_SET, error);

	if (set == NULL)
		return false;
	(void) sqlite3_bind_int64(set, 1, box->no);
	(void) sqlite3_bind_int64(set, 2, upto);
	(void) sqlite3_bind_int64(set, 3, n);
	return run(index, set, error) && run_plain(index, SQL_COMMIT, error);
}

void
ph_fulltext_undo(PhFulltext *index)
{
	if (sqlite3_get_autocommit(index->db) == 0)
		(void) run_plain(index, SQL_ROLLBACK, NULL);
}

/* memory.c: who tried to send what to whom, in a database that survives a restart
 *
 * Two tables: attempts, one row a triplet, and clients that have succeeded often. A row is worth
 * nothing when it is lost, so nothing is synced. Old rows go a few at a time, every ten
 * seconds in which somebody asks; above the limit the oldest go as well.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "memory.h"

#include <posthorn/error.h>

#include <arpa/inet.h>
#include <sqlite3.h>
#include <string.h>

enum {
	BUSY_MS = 2000,
	STATEMENTS = 7,
	V6_KEPT = 8,      /* octets of a /64 */
	CLEAN_EVERY = 10, /* seconds */
};

typedef enum {
	FIND = 0,
	ADD = 1,
	PASS = 2,
	FIND_CLIENT = 3,
	COUNT_CLIENT = 4,
	CLEAN = 5,
	CLEAN_CLIENTS = 6,
} Which;

/* Instants are seconds since 1970; passes = 0: not repeated yet. */
static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = OFF;"
	"CREATE TABLE IF NOT EXISTS attempts (id INTEGER PRIMARY KEY, network TEXT NOT NULL,"
	" sender TEXT NOT NULL, recipient TEXT NOT NULL, first INTEGER NOT NULL,"
	" last INTEGER NOT NULL, passes INTEGER NOT NULL, UNIQUE (network, sender, recipient));"
	"CREATE INDEX IF NOT EXISTS attempts_by_age ON attempts (passes > 0, last);"
	"CREATE TABLE IF NOT EXISTS clients (network TEXT PRIMARY KEY, last INTEGER NOT NULL,"
	" passes INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS clients_by_age ON clients (last);";

static const char *const queries[STATEMENTS] = {
	[FIND] = "SELECT id, first, last, passes FROM attempts"
		 " WHERE network = ?1 AND sender = ?2 AND recipient = ?3",
	[ADD] = "INSERT INTO attempts (network, sender, recipient, first, last, passes)"
		" VALUES (?1, ?2, ?3, ?4, ?4, 0) ON CONFLICT (network, sender, recipient)"
		" DO UPDATE SET first = ?4, last = ?4, passes = 0",
	[PASS] = "UPDATE attempts SET last = ?2, passes = passes + 1 WHERE id = ?1",
	[FIND_CLIENT] = "SELECT passes FROM clients WHERE network = ?1 AND last >= ?2",
	[COUNT_CLIENT] = "INSERT INTO clients (network, last, passes) VALUES (?1, ?2, 1)"
			 " ON CONFLICT (network) DO UPDATE SET last = ?2, passes = passes + 1",
	[CLEAN] = "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE passes > 0 = ?1"
		  " AND last < ?2 ORDER BY last LIMIT 1000)",
	[CLEAN_CLIENTS] = "DELETE FROM clients WHERE last < ?1",
};

struct Memory {
	MemoryRules rules;
	GMutex lock; /* guards the rest */
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENTS];
	int64_t cleaned; /* when */
};

Memory *
memory_new(const MemoryRules *rules)
{
	Memory *memory = g_new0(Memory, 1);

	memory->rules = *rules;
	g_mutex_init(&memory->lock);
	return memory;
}

static void
close_database(Memory *memory)
{
	for (size_t i = 0; i < STATEMENTS; i++) {
		(void) sqlite3_finalize(memory->statements[i]);
		memory->statements[i] = NULL;
	}
	(void) sqlite3_close_v2(memory->database);
	memory->database = NULL;
}

void
memory_free(Memory *memory)
{
	if (memory == NULL)
		return;
	close_database(memory);
	g_mutex_clear(&memory->lock);
	g_free(memory);
}

static bool
fail(Memory *memory, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "'%s': %s", memory->rules.path,
	             memory->database != NULL ? sqlite3_errmsg(memory->database) : "out of memory");
	return false;
}

static bool
open_database(Memory *memory, GError **error)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	bool ok = memory->database != NULL;

	if (ok)
		return true;
	ok = sqlite3_open_v2(memory->rules.path, &memory->database, flags, NULL) == SQLITE_OK
	     && sqlite3_busy_timeout(memory->database, BUSY_MS) == SQLITE_OK
	     && sqlite3_exec(memory->database, schema, NULL, NULL, NULL) == SQLITE_OK;
	for (size_t i = 0; ok && i < STATEMENTS; i++)
		ok = sqlite3_prepare_v2(memory->database, queries[i], -1, &memory->statements[i],
		                        NULL)
		     == SQLITE_OK;
	if (ok)
		return true;
	(void) fail(memory, error);
	close_database(memory);
	return false;
}

/* --- statements ------------------------------------------------------------------------------- */

static sqlite3_stmt *
prepare(Memory *memory, Which which)
{
	sqlite3_stmt *statement = memory->statements[which];

	(void) sqlite3_reset(statement);
	(void) sqlite3_clear_bindings(statement);
	return statement;
}

static void
bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	(void) sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static void
bind_triplet(sqlite3_stmt *statement, const Triplet *triplet)
{
	bind_text(statement, 1, triplet->network);
	bind_text(statement, 2, triplet->sender);
	bind_text(statement, 3, triplet->recipient);
}

/* Runs one that gives no rows. */
static bool
finish(Memory *memory, sqlite3_stmt *statement, GError **error)
{
	bool ok = sqlite3_step(statement) == SQLITE_DONE || fail(memory, error);

	(void) sqlite3_reset(statement);
	return ok;
}

/* --- cleaning --------------------------------------------------------------------------------- */

static bool
clean_attempts(Memory *memory, bool have_passed, int64_t before, GError **error)
{
	sqlite3_stmt *statement = prepare(memory, CLEAN);

	(void) sqlite3_bind_int(statement, 1, have_passed);
	(void) sqlite3_bind_int64(statement, 2, before);
	return finish(memory, statement, error);
}

static int64_t
count_rows(Memory *memory)
{
	static const char query[] = "SELECT count(*) FROM attempts";
	sqlite3_stmt *statement = NULL;
	int64_t n = 0;

	if (sqlite3_prepare_v2(memory->database, query, -1, &statement, NULL) == SQLITE_OK
	    && sqlite3_step(statement) == SQLITE_ROW)
		n = sqlite3_column_int64(statement, 0);
	(void) sqlite3_finalize(statement);
	return n;
}

/* Above the limit those that wait longest go first, then those that passed longest ago. */
static bool
clean_surplus(Memory *memory, int64_t now, GError **error)
{
	for (int passed = 0; passed < 2; passed++) {
		int before = 0;

		if (count_rows(memory) <= memory->rules.limit)
			return true;
		do {
			if (!clean_attempts(memory, passed > 0, now + 1, error))
				return false;
			before = sqlite3_changes(memory->database);
		} while (before > 0 && count_rows(memory) > memory->rules.limit);
	}
	return true;
}

static bool
clean(Memory *memory, int64_t now, GError **error)
{
	const MemoryRules *rules = &memory->rules;
	sqlite3_stmt *statement = NULL;

	if (now >= memory->cleaned && now - memory->cleaned < CLEAN_EVERY)
		return true;
	memory->cleaned = now;
	if (!clean_attempts(memory, false, now - rules->window, error)
	    || !clean_attempts(memory, true, now - rules->lifetime, error))
		return false;
	statement = prepare(memory, CLEAN_CLIENTS);
	(void) sqlite3_bind_int64(statement, 1, now - rules->lifetime);
	return finish(memory, statement, error) && clean_surplus(memory, now, error);
}

/* --- asking ----------------------------------------------------------------------------------- */

static bool
is_trusted(Memory *memory, const char *network, int64_t now)
{
	sqlite3_stmt *statement = prepare(memory, FIND_CLIENT);
	bool is = false;

	if (memory->rules.allow == 0)
		return false;
	bind_text(statement, 1, network);
	(void) sqlite3_bind_int64(statement, 2, now - memory->rules.lifetime);
	is = sqlite3_step(statement) == SQLITE_ROW
	     && sqlite3_column_int64(statement, 0) >= memory->rules.allow;
	(void) sqlite3_reset(statement);
	return is;
}

static bool
count_client(Memory *memory, const char *network, int64_t now, GError **error)
{
	sqlite3_stmt *statement = prepare(memory, COUNT_CLIENT);

	bind_text(statement, 1, network);
	(void) sqlite3_bind_int64(statement, 2, now);
	return finish(memory, statement, error);
}

static bool
add(Memory *memory, const Triplet *triplet, int64_t now, int64_t *wait_out, GError **error)
{
	sqlite3_stmt *statement = prepare(memory, ADD);

	bind_triplet(statement, triplet);
	(void) sqlite3_bind_int64(statement, 4, now);
	*wait_out = memory->rules.delay;
	return finish(memory, statement, error);
}

static bool
pass(Memory *memory, int64_t id, const char *network, int64_t now, GError **error)
{
	sqlite3_stmt *statement = prepare(memory, PASS);

	(void) sqlite3_bind_int64(statement, 1, id);
	(void) sqlite3_bind_int64(statement, 2, now);
	return finish(memory, statement, error) && count_client(memory, network, now, error);
}

/* A clock that was set back must not make anybody wait for ever. */
static bool
is_stale(const MemoryRules *rules, int64_t first, int64_t last, bool has_passed, int64_t now)
{
	if (first > now || last > now)
		return true;
	return has_passed ? now - last > rules->lifetime : now - first > rules->window;
}

static bool
ask_attempts(Memory *memory, const Triplet *triplet, int64_t now, int64_t *wait_out, GError **error)
{
	sqlite3_stmt *statement = prepare(memory, FIND);
	int64_t id = 0;
	int64_t first = 0;
	int64_t last = 0;
	bool has_passed = false;
	int step = 0;

	bind_triplet(statement, triplet);
	step = sqlite3_step(statement);
	id = sqlite3_column_int64(statement, 0);
	first = sqlite3_column_int64(statement, 1);
	last = sqlite3_column_int64(statement, 2);
	has_passed = sqlite3_column_int64(statement, 3) > 0;
	(void) sqlite3_reset(statement);
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		return fail(memory, error);
	if (step == SQLITE_DONE || is_stale(&memory->rules, first, last, has_passed, now))
		return add(memory, triplet, now, wait_out, error);
	if (!has_passed && now - first < memory->rules.delay) {
		*wait_out = memory->rules.delay - (now - first);
		return true;
	}
	*wait_out = 0;
	return pass(memory, id, triplet->network, now, error);
}

static bool
ask(Memory *memory, const Triplet *triplet, int64_t now, int64_t *wait_out, GError **error)
{
	if (!open_database(memory, error) || !clean(memory, now, error))
		return false;
	if (!is_trusted(memory, triplet->network, now))
		return ask_attempts(memory, triplet, now, wait_out, error);
	*wait_out = 0;
	return count_client(memory, triplet->network, now, error);
}

bool
memory_ask(Memory *memory, const Triplet *triplet, int64_t now, int64_t *wait_out, GError **error)
{
	bool ok = false;

	g_mutex_lock(&memory->lock);
	ok = ask(memory, triplet, now, wait_out, error);
	g_mutex_unlock(&memory->lock);
	return ok;
}

void
memory_network(const char *address, GString *out)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1) {
		v4.s_addr &= htonl(UINT32_C(0xffffff00));
		(void) inet_ntop(AF_INET, &v4, text, sizeof text);
		g_string_append(out, text);
	} else if (inet_pton(AF_INET6, address, &v6) == 1) {
		memset(v6.s6_addr + V6_KEPT, 0, sizeof v6.s6_addr - V6_KEPT);
		(void) inet_ntop(AF_INET6, &v6, text, sizeof text);
		g_string_append(out, text);
	} else {
		g_string_append(out, address);
	}
}

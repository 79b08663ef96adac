/* subscriptions.c: the file of that name, as Dovecot keeps it
 *
 * A name a line; after a line "V\\t2" the components of each are separated by tabs. It follows the
 * index within a second or so, as the files do. When the account is opened and the file is not as it
 * was read or written last, what another program added or took away since is taken over.
 *
 * Owns the table `subscribed`: one row, the time of the file and its names.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/mailbox.h>

#include "tidy.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	FILE_MAX = 8 * 1024 * 1024,
	NAMES_MAX = 100000,
};

static const char file_name[] = "subscriptions";
static const char *const no_keywords[] = { NULL };

/* --- the file --------------------------------------------------------------------------------- */

/* Components between tabs as a path, or a path as components between tabs. */
static char *
translate(const Settings *settings, const char *text, size_t length, bool to_path)
{
	bool is_flat = settings->layout == LAYOUT_MAILDIRPP;
	char separator = is_flat ? '.' : '/';
	char *copy = g_strndup(text, length);

	(void) g_strdelimit(copy, to_path ? "\t" : (is_flat ? "." : "/"),
	                    to_path ? separator : '\t');
	return copy;
}

static char *
name_of(const Settings *settings, PhSlice line, bool is_second)
{
	g_autofree char *text = NULL;
	g_autofree char *path = NULL;

	if (line.length == 0 || ph_slice_is_nocase(line, "INBOX"))
		return line.length == 0 ? NULL : g_strdup("INBOX");
	text = is_second ? translate(settings, line.data, line.length, true) : ph_slice_dup(line);
	path = g_strconcat(settings->layout == LAYOUT_MAILDIRPP ? "." : "", text, NULL);
	return folder_name(settings, path);
}

static bool
is_second_version(PhSlice text)
{
	return ph_slice_is(ph_slice_split(&text, '\n'), "V\t2");
}

/* Names (owned) that the text has. */
static GHashTable *
read_names(const Settings *settings, PhSlice text)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	bool is_second = is_second_version(text);

	if (is_second)
		(void) ph_slice_split(&text, '\n');
	while (text.length > 0 && g_hash_table_size(names) < NAMES_MAX) {
		char *name = name_of(settings, ph_slice_split(&text, '\n'), is_second);

		if (name != NULL)
			(void) g_hash_table_add(names, name);
	}
	return names;
}

/* (owned, nullable) with a NUL behind it; @seen_out: its time. */
static char *
read_file(const Account *account, int64_t *seen_out)
{
	int fd =
		openat(account->root_fd, file_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *text = NULL;
	struct stat info;

	*seen_out = stat_ns(account->root_fd, file_name);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size < FILE_MAX) {
		ssize_t n = 0;

		text = g_malloc0((size_t) info.st_size + 1);
		n = read(fd, text, (size_t) info.st_size);
		text[MAX(n, 0)] = '\0';
	}
	(void) close(fd);
	return text;
}

/* --- what it was last ------------------------------------------------------------------------------ */

static bool
save_last(PhIndexConnection *connection, int64_t seen, const char *names, GError **error)
{
	static const char *const texts[] = {
		"CREATE TABLE IF NOT EXISTS subscribed"
		" (one INTEGER PRIMARY KEY, seen INTEGER NOT NULL, names TEXT NOT NULL)",
		"INSERT OR REPLACE INTO subscribed VALUES (1, ?1, ?2)",
	};
	bool good = true;

	for (size_t i = 0; good && i < G_N_ELEMENTS(texts); i++) {
		sqlite3_stmt *row = sql_once(connection, texts[i], error);

		if (row != NULL && i == 1) {
			(void) sqlite3_bind_int64(row, 1, seen);
			(void) sqlite3_bind_text(row, 2, names, -1, SQLITE_STATIC);
		}
		good = row != NULL && sql_done(connection, row, "note subscriptions", error);
		(void) sqlite3_finalize(row);
	}
	return good;
}

/* The names, a line each (owned); NULL: nothing was noted yet. */
static char *
load_last(Account *account, int64_t *seen_out)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, NULL);
	sqlite3_stmt *row = NULL;
	char *names = NULL;

	if (connection == NULL)
		return NULL;
	/* an index from before this table was kept has none */
	if (sqlite3_prepare_v2(ph_index_database(connection), "SELECT seen, names FROM subscribed",
	                       -1, &row, NULL)
	            == SQLITE_OK
	    && sqlite3_step(row) == SQLITE_ROW) {
		*seen_out = sqlite3_column_int64(row, 0);
		names = g_strdup((const char *) sqlite3_column_text(row, 1));
	}
	(void) sqlite3_finalize(row);
	ph_index_end_read(account->index, connection);
	return names;
}

/* --- to the index ---------------------------------------------------------------------------------- */

static bool
put(Account *account, const char *name, bool is_subscribed, GError **error)
{
	g_autofree char *key = g_strconcat(PH_KEY_SUBSCRIPTION, name, NULL);
	PhOp op = {
		.kind = PH_OP_PUT,
		.keywords = no_keywords,
		.is_account_value = true,
		.key = key,
		.value = is_subscribed ? PH_SLICE_LITERAL("1") : PH_SLICE_EMPTY,
	};
	PhOp *ops[1] = { &op };

	return commit_ops(account, ops, 1, error);
}

static bool
put_missing(Account *account, GHashTable *of, GHashTable *in, bool is_subscribed, GError **error)
{
	GHashTableIter iter;
	void *name = NULL;

	g_hash_table_iter_init(&iter, of);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		if (!g_hash_table_contains(in, name) && !put(account, name, is_subscribed, error))
			return false;
	return true;
}

static char *
lines_of(GHashTable *names)
{
	GString *lines = g_string_new("");
	GHashTableIter iter;
	void *name = NULL;

	g_hash_table_iter_init(&iter, names);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		g_string_append_printf(lines, "%s\n", (const char *) name);
	return g_string_free(lines, FALSE);
}

static GHashTable *
names_of(const char *lines)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	PhSlice rest = ph_slice(lines);

	while (rest.length > 0)
		(void) g_hash_table_add(names, ph_slice_dup(ph_slice_split(&rest, '\n')));
	return names;
}

bool
subscriptions_look(Account *account, bool is_new, GError **error)
{
	int64_t seen = 0;
	int64_t last_seen = 0;
	g_autofree char *last = load_last(account, &last_seen);
	g_autofree char *text = NULL;
	g_autofree char *lines = NULL;
	g_autoptr(GHashTable) before = NULL;
	g_autoptr(GHashTable) now = NULL;
	PhIndexConnection *connection = NULL;
	bool good = false;

	if (last != NULL && stat_ns(account->root_fd, file_name) == last_seen)
		return true;
	/* nothing says what changed: ours are written with the next change */
	text = read_file(account, &seen);
	if (text == NULL || (last == NULL && !is_new))
		return true;
	before = names_of(last != NULL ? last : "");
	now = read_names(&account->settings, ph_slice(text));
	if (!put_missing(account, now, before, true, error)
	    || !put_missing(account, before, now, false, error))
		return false;
	lines = lines_of(now);
	connection = ph_index_begin_write(account->index, error);
	if (connection == NULL)
		return false;
	good = save_last(connection, seen, lines, error);
	return ph_index_end_write(account->index, connection, good, error);
}

/* --- to the file ------------------------------------------------------------------------------------ */

static bool
add_name(const char *key, PhSlice value, void *user_data)
{
	GPtrArray *names = user_data;

	g_ptr_array_add(names, g_strdup(key + strlen(PH_KEY_SUBSCRIPTION)));
	return true;
}

static void
append_name(const Settings *settings, GString *out, const char *name, bool is_second)
{
	g_autofree char *path =
		g_str_equal(name, "INBOX") ? g_strdup(name) : folder_path(settings, name, NULL);
	const char *text = path;
	g_autofree char *line = NULL;

	if (path == NULL)
		return;
	if (path[0] == '.' && settings->layout == LAYOUT_MAILDIRPP)
		text = path + 1;
	line = is_second ? translate(settings, text, strlen(text), false) : g_strdup(text);
	g_string_append_printf(out, "%s\n", line);
}

void
subscriptions_follow(Account *account, PhIndexConnection *connection)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) text = g_string_new("");
	g_autoptr(GString) lines = g_string_new("");
	g_autofree char *former = NULL;
	int64_t seen = 0;
	bool is_second = true;

	if (g_atomic_int_exchange(&account->resubscribed, 0) == 0
	    || !ph_index_values(account->index, NULL, PH_KEY_SUBSCRIPTION, add_name, names, NULL))
		return;
	former = read_file(account, &seen);
	is_second = former == NULL || former[0] == '\0' || is_second_version(ph_slice(former));
	if (is_second)
		g_string_append(text, "V\t2\n\n");
	for (guint i = 0; i < names->len; i++) {
		append_name(&account->settings, text, names->pdata[i], is_second);
		g_string_append_printf(lines, "%s\n", (const char *) names->pdata[i]);
	}
	if (!ph_durable_replace(account->root_fd, file_name, PH_SLICE(text->str, text->len), 0600,
	                        NULL)
	    || !save_last(connection, stat_ns(account->root_fd, file_name), lines->str, NULL))
		g_atomic_int_set(&account->resubscribed, 1); /* with the next tidying */
}

void
subscriptions_note(Account *account, PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; batch[i]->done && j < batch[i]->n_ops; j++) {
			const PhOp *op = batch[i]->ops[j];

			if (op->kind != PH_OP_PUT || !op->is_account_value
			    || !g_str_has_prefix(op->key, PH_KEY_SUBSCRIPTION))
				continue;
			g_atomic_int_set(&account->resubscribed, 1);
			g_atomic_int_set(&account->unsettled, 1);
			tidy_soon(account);
		}
}

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

#include <errno.h>
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

/* The whole: an octet less might take away all subscriptions. */
static bool
read_whole(int fd, char *text, size_t size)
{
	size_t filled = 0;

	while (filled < size) {
		ssize_t n = read(fd, text + filled, size - filled);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		filled += (size_t) MAX(n, 0);
	}
	return true;
}

/* @text_out: (owned) with a NUL behind it; NULL: there is no such file, or nothing in it. @seen_out: its
 * time. Returns: false when it cannot be read. */
static bool
read_file(const Account *account, char **text_out, int64_t *seen_out)
{
	int fd =
		openat(account->root_fd, file_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	g_autofree char *text = NULL;
	struct stat info;
	bool good = false;

	*text_out = NULL;
	*seen_out = 0;
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP;
	good = fstat(fd, &info) == 0;
	if (good && S_ISREG(info.st_mode) && info.st_size > 0 && info.st_size < FILE_MAX) {
		text = g_malloc0((size_t) info.st_size + 1);
		good = read_whole(fd, text, (size_t) info.st_size);
	}
	if (good)
		*seen_out = info.st_mtim.tv_sec * INT64_C(1000000000) + info.st_mtim.tv_nsec;
	if (good)
		*text_out = g_steal_pointer(&text);
	(void) close(fd);
	return good;
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
last_of(PhIndexConnection *connection, int64_t *seen_out)
{
	sqlite3_stmt *row = NULL;
	char *names = NULL;

	/* an index from before this table was kept has none */
	if (sqlite3_prepare_v2(ph_index_database(connection), "SELECT seen, names FROM subscribed",
	                       -1, &row, NULL)
	            == SQLITE_OK
	    && sqlite3_step(row) == SQLITE_ROW) {
		*seen_out = sqlite3_column_int64(row, 0);
		names = g_strdup((const char *) sqlite3_column_text(row, 1));
	}
	(void) sqlite3_finalize(row);
	return names;
}

static bool
load_last(Account *account, char **names_out, int64_t *seen_out, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);

	if (connection == NULL)
		return false;
	*names_out = last_of(connection, seen_out);
	ph_index_end_read(account->index, connection);
	return true;
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
subscriptions_look(Account *account, GError **error)
{
	int64_t seen = 0;
	int64_t last_seen = 0;
	g_autofree char *last = NULL;
	g_autofree char *text = NULL;
	g_autofree char *lines = NULL;
	g_autoptr(GHashTable) before = NULL;
	g_autoptr(GHashTable) now = NULL;
	PhIndexConnection *connection = NULL;
	bool good = false;

	if (!load_last(account, &last, &last_seen, error))
		return false;
	if (last != NULL && stat_ns(account->root_fd, file_name) == last_seen)
		return true;
	/* before it was noted once, all that it says is new */
	if (!read_file(account, &text, &seen) || text == NULL)
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

/* Returns: false when the name has no place among the folders. */
static bool
append_name(const Settings *settings, GString *out, const char *name, bool is_second)
{
	g_autofree char *path =
		g_str_equal(name, "INBOX") ? g_strdup(name) : folder_path(settings, name, NULL);
	const char *text = path;
	g_autofree char *line = NULL;

	if (path == NULL)
		return false;
	if (path[0] == '.' && settings->layout == LAYOUT_MAILDIRPP)
		text = path + 1;
	line = is_second ? translate(settings, text, strlen(text), false) : g_strdup(text);
	g_string_append_printf(out, "%s\n", line);
	return true;
}

/* Writing: of a new file. */
typedef struct {
	const Account *account;
	GString *text;
	GString *lines; /* names of the index that have a line, or lost it to another program */
	bool is_second;
	bool has_foreign; /* the index does not know yet what another program did: at the next look */
} Writing;

/* What the index has, but as another program altered it since @before was noted. */
static void
write_names(Writing *writing, const GPtrArray *names, GHashTable *before, GHashTable *found)
{
	const Settings *settings = &writing->account->settings;
	GHashTableIter iter;
	void *key = NULL;

	for (guint i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];
		bool is_taken = found != NULL && g_hash_table_contains(before, name)
		                && !g_hash_table_contains(found, name);

		writing->has_foreign = writing->has_foreign || is_taken;
		if (is_taken || append_name(settings, writing->text, name, writing->is_second))
			g_string_append_printf(writing->lines, "%s\n", name);
		if (found != NULL)
			(void) g_hash_table_remove(found, name);
	}
	if (found == NULL)
		return;
	g_hash_table_iter_init(&iter, found);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (!g_hash_table_contains(before, key)
		    && append_name(settings, writing->text, key, writing->is_second))
			writing->has_foreign = true;
}

/* Is the file what was written? Else somebody was quicker, and the next look says what was done. */
static int64_t
time_written(const Writing *writing)
{
	g_autofree char *text = NULL;
	int64_t seen = 0;
	bool same = read_file(writing->account, &text, &seen)
	            && g_strcmp0(text, writing->text->str) == 0;

	return same && !writing->has_foreign ? seen : 0;
}

static bool
write_file(Account *account, PhIndexConnection *connection, const GPtrArray *names)
{
	Writing writing = { .account = account };
	int64_t last_seen = 0;
	int64_t seen = 0;
	g_autofree char *last = last_of(connection, &last_seen);
	g_autofree char *former = NULL;
	g_autoptr(GString) text = g_string_new("");
	g_autoptr(GString) lines = g_string_new("");
	g_autoptr(GHashTable) before = names_of(last != NULL ? last : "");
	g_autoptr(GHashTable) found = NULL;

	if (!read_file(account, &former, &seen))
		return false;
	if (former != NULL && (last == NULL || seen != last_seen))
		found = read_names(&account->settings, ph_slice(former));
	writing.text = text;
	writing.lines = lines;
	writing.is_second = former == NULL || is_second_version(ph_slice(former));
	if (writing.is_second)
		g_string_append(text, "V\t2\n\n");
	write_names(&writing, names, before, found);
	return ph_durable_replace(account->root_fd, file_name, PH_SLICE(text->str, text->len), 0600,
	                          NULL)
	       && save_last(connection, time_written(&writing), lines->str, NULL);
}

void
subscriptions_follow(Account *account, PhIndexConnection *connection)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (g_atomic_int_exchange(&account->resubscribed, 0) == 0
	    || !ph_index_values(account->index, NULL, PH_KEY_SUBSCRIPTION, add_name, names, NULL))
		return;
	if (!write_file(account, connection, names))
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

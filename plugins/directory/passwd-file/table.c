/* table.c: the users of one passwd-style file, parsed, immutable, counted
 *
 * A line is user:password:uid:gid:gecos:home:shell:extra; what follows the password may be left
 * out. The extra field holds words: quota=SIZE, messages=N, groups=a,b, senders=a,b,
 * aliases=a,b, disabled, and Dovecot's
 * userdb_quota_rule=*:storage=SIZE. '#' begins a comment line. The first line about a user holds.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "table.h"

enum {
	MAX_LINE = 16384,
	N_FIELDS = 8,
	FIELD_NAME = 0,
	FIELD_STORED = 1,
	FIELD_FULL_NAME = 4,
	FIELD_HOME = 5,
	FIELD_EXTRA = 7,
};

struct Table {
	gatomicrefcount references;
	GHashTable *users;   /* lower-case name to User; both live in the chunk */
	GHashTable *schemes; /* upper-case names of the forms in it */
	GPtrArray *order;
	GStringChunk *chunk;
	GPtrArray *arrays; /* lists of users */
};

static char *
keep(Table *table, PhSlice text)
{
	return g_string_chunk_insert_len(table->chunk, text.data != NULL ? text.data : "",
	                                 (gssize) text.length);
}

static char *
lower_key(PhSlice name)
{
	return g_ascii_strdown(name.data, (gssize) name.length);
}

/* "1G", "500M", "1024": like the sizes of a config file. */
static bool
parse_size(PhSlice text, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;

	if (text.length > 1 && g_ascii_toupper(text.data[text.length - 1]) == 'B')
		text.length--;
	if (text.length > 1) {
		const char *unit = strchr(units, g_ascii_toupper(text.data[text.length - 1]));
		if (unit != NULL && *unit != '\0') {
			shift = 10 * (unsigned) (unit - units + 1);
			text.length--;
		}
	}
	uint64_t number = 0;
	if (!ph_slice_to_u64(text, (uint64_t) INT64_MAX >> shift, &number))
		return false;
	*out = number << shift;
	return true;
}

/* "a,b". Returns: NULL-terminated, of the table. */
static const char *const *
keep_list(Table *table, PhSlice names)
{
	GPtrArray *list = g_ptr_array_new();

	while (names.length > 0) {
		PhSlice one = ph_slice_split(&names, ',');
		if (one.length > 0)
			g_ptr_array_add(list, keep(table, one));
	}
	g_ptr_array_add(list, NULL);
	gpointer *array = g_ptr_array_free(list, FALSE);
	g_ptr_array_add(table->arrays, array);
	return (const char *const *) array;
}

static bool
apply_word(Table *table, User *user, PhSlice word)
{
	static const char dovecot_storage[] = "userdb_quota_rule=*:storage=";

	if (ph_slice_starts_nocase(word, "quota="))
		return parse_size(ph_slice_from(word, strlen("quota=")), &user->quota_octets);
	if (ph_slice_starts_nocase(word, dovecot_storage))
		return parse_size(ph_slice_from(word, strlen(dovecot_storage)),
		                  &user->quota_octets);
	if (ph_slice_starts_nocase(word, "messages="))
		return ph_slice_to_u64(ph_slice_from(word, strlen("messages=")), UINT32_MAX,
		                       &user->quota_messages);
	if (ph_slice_starts_nocase(word, "groups="))
		user->groups = keep_list(table, ph_slice_from(word, strlen("groups=")));
	else if (ph_slice_starts_nocase(word, "senders="))
		user->senders = keep_list(table, ph_slice_from(word, strlen("senders=")));
	else if (ph_slice_starts_nocase(word, "aliases="))
		user->aliases = keep_list(table, ph_slice_from(word, strlen("aliases=")));
	else if (ph_slice_is_nocase(word, "disabled") || ph_slice_starts_nocase(word, "nologin"))
		user->disabled = true;
	return true; /* words of other servers are passed over */
}

static const char *
apply_extra(Table *table, User *user, PhSlice extra)
{
	while (extra.length > 0) {
		PhSlice word = ph_slice_trim(ph_slice_split(&extra, ' '));
		if (word.length > 0 && !apply_word(table, user, word))
			return "the quota is not a size such as 500M or 2G";
	}
	return NULL;
}

PhSlice
line_user(PhSlice line)
{
	PhSlice rest = ph_slice_trim(line);
	if (rest.length == 0 || rest.data[0] == '#')
		return PH_SLICE_EMPTY;
	return ph_slice_split(&rest, ':');
}

static void
note_scheme(Table *table, PhSlice stored)
{
	const guint most = 64;
	PhSlice rest = stored;

	if (stored.length == 0 || stored.data[0] != '{' || ph_slice_find(stored, '}') < 0)
		return;
	PhSlice name = ph_slice_from(ph_slice_split(&rest, '}'), 1);
	char *key = ph_slice_is_nocase(name, "CLEARTEXT")
	                    ? g_strdup("PLAIN")
	                    : g_ascii_strup(name.data, (gssize) name.length);
	if (g_hash_table_size(table->schemes) < most)
		g_hash_table_add(table->schemes, key);
	else
		g_free(key);
}

/* Returns what is wrong with the line, NULL when it was taken (or holds nothing). */
static const char *
take_line(Table *table, PhSlice line)
{
	PhSlice fields[N_FIELDS] = { 0 };
	PhSlice rest = line;
	if (line_user(line).length == 0)
		return ph_slice_trim(line).length == 0 || line.data[0] == '#'
		               ? NULL
		               : "the user name is missing";
	if (line.length > MAX_LINE || !ph_slice_is_utf8(line))
		return "the line is too long or not UTF-8";

	for (size_t i = 0; i < N_FIELDS && rest.length > 0; i++) {
		if (i == FIELD_EXTRA)
			fields[i] = rest;
		else
			fields[i] = ph_slice_split(&rest, ':');
	}
	g_autofree char *key = lower_key(fields[FIELD_NAME]);
	if (g_hash_table_contains(table->users, key))
		return "the user is already in an earlier line";

	User *user = g_new0(User, 1);
	user->name = keep(table, fields[FIELD_NAME]);
	user->stored = keep(table, fields[FIELD_STORED]);
	user->full_name = keep(table, fields[FIELD_FULL_NAME]);
	user->home = keep(table, fields[FIELD_HOME]);
	note_scheme(table, ph_slice(user->stored));
	g_ptr_array_add(table->order, user);
	g_hash_table_insert(table->users, g_steal_pointer(&key), user);
	return apply_extra(table, user, fields[FIELD_EXTRA]);
}

Table *
table_parse(PhSlice text, MistakeFunc mistake, void *user_data)
{
	const size_t chunk_octets = 4096;
	Table *table = g_new0(Table, 1);

	g_atomic_ref_count_init(&table->references);
	table->users = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	table->schemes = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	table->order = g_ptr_array_new_with_free_func(g_free);
	table->chunk = g_string_chunk_new(chunk_octets);
	table->arrays = g_ptr_array_new_with_free_func(g_free);

	for (unsigned line = 1; text.length > 0; line++) {
		PhSlice one = ph_slice_split(&text, '\n');
		if (one.length > 0 && one.data[one.length - 1] == '\r')
			one.length--;
		const char *sentence = take_line(table, one);
		if (sentence != NULL && mistake != NULL)
			mistake(line, sentence, user_data);
	}
	return table;
}

Table *
table_ref(Table *table)
{
	g_atomic_ref_count_inc(&table->references);
	return table;
}

void
table_unref(Table *table)
{
	if (table == NULL || !g_atomic_ref_count_dec(&table->references))
		return;
	g_hash_table_unref(table->users);
	g_hash_table_unref(table->schemes);
	g_ptr_array_unref(table->order);
	g_ptr_array_unref(table->arrays);
	g_string_chunk_free(table->chunk);
	g_free(table);
}

const User *
table_find(const Table *table, PhSlice name)
{
	g_autofree char *key = lower_key(name);

	return g_hash_table_lookup(table->users, key);
}

bool
table_gives(const Table *table, const char *scheme)
{
	return g_hash_table_contains(table->schemes, scheme);
}

const User *
table_any(const Table *table)
{
	return table->order->len > 0 ? g_ptr_array_index(table->order, 0) : NULL;
}

void
table_each(const Table *table, bool (*func)(const User *user, void *user_data), void *user_data)
{
	for (guint i = 0; i < table->order->len; i++)
		if (!func(g_ptr_array_index(table->order, i), user_data))
			return;
}

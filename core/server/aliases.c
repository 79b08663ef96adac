/* aliases.c: a file of names that stand for other addresses, read again when it has changed
 *
 * A changed file with a mistake is not used: what it held before stays, and the mistake is logged
 * once. The table is counted, so lookups hold no lock while they call.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/aliases.h"

#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
	FILE_MAX = 64 * 1024 * 1024,
	INCLUDE_MAX = 1024 * 1024,
	MEMBER_MAX = 320,
};

#define INCLUDE ":include:"

/* Stamp: which state of the file was read. */
typedef struct {
	uint64_t device;
	uint64_t inode;
	int64_t octets;
	struct timespec modified;
	struct timespec changed;
} Stamp;

struct PhAliases {
	PhSection *section;
	char *path;
	char *folder;
	GMutex lock; /* guards the rest */
	GHashTable *table;
	Stamp stamp;
};

/* --- parsing ---------------------------------------------------------------------------------- */

/* Reading: one file being parsed. */
typedef struct {
	GHashTable *table;
	char *name;         /* (nullable) of the entry under way */
	GPtrArray *members; /* (nullable) */
	unsigned line;
} Reading;

static bool
complain(const Reading *reading, GError **error, const char *what, PhSlice text)
{
	g_autofree char *shown = g_strndup(text.data, MIN(text.length, 80));

	ph_error_set(error, PH_ERROR_INVALID, "line %u: '%s' %s", reading->line, shown, what);
	return false;
}

static bool
is_address(PhSlice text)
{
	PhAddress address;

	return ph_address_parse_mailbox(text, PH_ADDRESS_ALLOW_UTF8, &address) == PH_ADDRESS_OK;
}

/* A local part alone: would it be an address in some domain? */
static bool
is_name(PhSlice text)
{
	g_autofree char *whole = NULL;

	if (text.length == 0 || text.length > MEMBER_MAX)
		return false;
	if (memchr(text.data, '@', text.length) != NULL)
		return is_address(text);
	whole = g_strdup_printf("%.*s@example.org", (int) text.length, text.data);
	return is_address(ph_slice(whole));
}

static bool
check_member(const Reading *reading, PhSlice member, GError **error)
{
	if (member.data[0] == '|' || ph_slice_starts_nocase(member, "\"|"))
		return complain(reading, error, "is a program, which is not run", member);
	if (member.data[0] == '/')
		return complain(reading, error, "is a file, which is not written", member);
	if (ph_slice_starts_nocase(member, INCLUDE))
		return ph_slice_trim(ph_slice_from(member, strlen(INCLUDE))).length > 0
		       || complain(reading, error, "names no file", member);
	if (!ph_slice_is_utf8(member) || !is_name(member))
		return complain(reading, error, "is no address", member);
	return true;
}

static bool
add_members(Reading *reading, PhSlice text, GError **error)
{
	while (text.length > 0) {
		PhSlice one = ph_slice_trim(ph_slice_split(&text, ','));

		if (one.length == 0)
			continue;
		if (!check_member(reading, one, error))
			return false;
		g_ptr_array_add(reading->members, ph_slice_dup(one));
	}
	return true;
}

static bool
end_entry(Reading *reading, GError **error)
{
	if (reading->name == NULL)
		return true;
	if (reading->members->len == 0)
		return complain(reading, error, "stands for nobody", ph_slice(reading->name));
	g_ptr_array_add(reading->members, NULL);
	g_hash_table_insert(reading->table, g_steal_pointer(&reading->name),
	                    g_ptr_array_free(g_steal_pointer(&reading->members), FALSE));
	return true;
}

static bool
begin_entry(Reading *reading, PhSlice *line, GError **error)
{
	ssize_t colon = ph_slice_find(*line, ':');
	PhSlice key = colon >= 0 ? ph_slice_trim(PH_SLICE(line->data, (size_t) colon)) : *line;
	PhSlice checked = key.length > 0 && key.data[0] == '@' ? ph_slice_from(key, 1) : key;
	bool is_domain = checked.length < key.length;

	if (colon < 0)
		return complain(reading, error, "has no colon; write NAME: ADDRESS", key);
	if (!ph_slice_is_utf8(key)
	    || (is_domain ? ph_domain_parse(checked, PH_ADDRESS_ALLOW_UTF8, NULL) != PH_ADDRESS_OK
	                  : !is_name(key)))
		return complain(reading, error, "is no name or address", key);
	reading->name = g_ascii_strdown(key.data, (gssize) key.length);
	if (g_hash_table_contains(reading->table, reading->name))
		return complain(reading, error, "stands here twice", key);
	reading->members = g_ptr_array_new_with_free_func(g_free);
	*line = ph_slice_from(*line, (size_t) colon + 1);
	return true;
}

static bool
read_line(Reading *reading, PhSlice line, GError **error)
{
	bool goes_on = line.length > 0 && (line.data[0] == ' ' || line.data[0] == '\t');

	if (line.length > 0 && line.data[line.length - 1] == '\r')
		line.length--;
	if (ph_slice_trim(line).length == 0 || ph_slice_trim(line).data[0] == '#')
		return true;
	if (goes_on && reading->name == NULL)
		return complain(reading, error, "continues nothing", ph_slice_trim(line));
	if (!goes_on && (!end_entry(reading, error) || !begin_entry(reading, &line, error)))
		return false;
	return add_members(reading, line, error);
}

static void
free_members(void *data)
{
	g_strfreev(data);
}

GHashTable *
ph_aliases_parse(PhSlice text, GError **error)
{
	Reading reading = { .table = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free,
		                                           free_members) };
	bool ok = true;

	while (ok && text.length > 0) {
		reading.line++;
		ok = read_line(&reading, ph_slice_split(&text, '\n'), error);
	}
	ok = ok && end_entry(&reading, error);
	g_free(reading.name);
	if (reading.members != NULL)
		g_ptr_array_unref(reading.members);
	if (!ok)
		g_clear_pointer(&reading.table, g_hash_table_unref);
	return reading.table;
}

/* --- the file --------------------------------------------------------------------------------- */

static bool
take_stamp(const char *path, Stamp *stamp_out, GError **error)
{
	struct stat status;

	memset(stamp_out, 0, sizeof *stamp_out);
	if (stat(path, &status) != 0) {
		ph_error_set_errno(error, errno, "cannot read '%s'", path);
		return false;
	}
	stamp_out->device = status.st_dev;
	stamp_out->inode = status.st_ino;
	stamp_out->octets = status.st_size;
	stamp_out->modified = status.st_mtim;
	stamp_out->changed = status.st_ctim;
	return true;
}

static GHashTable *
read_table(const char *path, const Stamp *stamp, GError **error)
{
	g_autofree char *text = NULL;
	GHashTable *table = NULL;
	gsize length = 0;

	if (stamp->octets > FILE_MAX) {
		ph_error_set(error, PH_ERROR_LIMIT, "'%s' is larger than 64 MiB", path);
		return NULL;
	}
	if (!g_file_get_contents(path, &text, &length, error))
		return NULL;
	table = ph_aliases_parse(PH_SLICE(text, length), error);
	if (table == NULL)
		g_prefix_error(error, "'%s', ", path);
	return table;
}

PhAliases *
ph_aliases_open(PhSection *section, const char *path, GError **error)
{
	PhAliases *aliases = NULL;
	GHashTable *table = NULL;
	Stamp stamp;

	if (!take_stamp(path, &stamp, error))
		return NULL;
	table = read_table(path, &stamp, error);
	if (table == NULL)
		return NULL;
	aliases = g_new0(PhAliases, 1);
	aliases->section = section;
	aliases->path = g_strdup(path);
	aliases->folder = g_path_get_dirname(path);
	aliases->table = table;
	aliases->stamp = stamp;
	g_mutex_init(&aliases->lock);
	return aliases;
}

void
ph_aliases_free(PhAliases *aliases)
{
	if (aliases == NULL)
		return;
	g_hash_table_unref(aliases->table);
	g_mutex_clear(&aliases->lock);
	g_free(aliases->folder);
	g_free(aliases->path);
	g_free(aliases);
}

const char *
ph_aliases_path(const PhAliases *aliases)
{
	return aliases->path;
}

static void
refresh(PhAliases *aliases)
{
	g_autoptr(GError) error = NULL;
	GHashTable *table = NULL;
	Stamp stamp;
	bool is_known = take_stamp(aliases->path, &stamp, &error);

	if (memcmp(&stamp, &aliases->stamp, sizeof stamp) == 0)
		return;
	if (is_known)
		table = read_table(aliases->path, &stamp, &error);
	/* Noted for a bad state too: it is told of once. */
	aliases->stamp = stamp;
	if (table == NULL) {
		ph_log_section(aliases->section, PH_LOG_ERROR, "aliases-unreadable",
		               "what the file held before is still used", PH_LOG_FAILURE(error),
		               PH_LOG_END);
		return;
	}
	g_hash_table_unref(aliases->table);
	aliases->table = table;
}

static GHashTable *
current(PhAliases *aliases)
{
	GHashTable *table = NULL;

	g_mutex_lock(&aliases->lock);
	refresh(aliases);
	table = g_hash_table_ref(aliases->table);
	g_mutex_unlock(&aliases->lock);
	return table;
}

/* --- looking up ------------------------------------------------------------------------------- */

static bool
each_included(PhSlice text, PhListFunc func, void *user_data)
{
	while (text.length > 0) {
		PhSlice line = ph_slice_split(&text, '\n');

		if (ph_slice_trim(line).length > 0 && ph_slice_trim(line).data[0] == '#')
			continue;
		while (line.length > 0) {
			PhSlice one = ph_slice_split(&line, ',');
			g_autofree char *member = NULL;

			if (one.length > 0 && one.data[one.length - 1] == '\r')
				one.length--;
			one = ph_slice_trim(one);
			if (one.length == 0 || strchr("|/:", one.data[0]) != NULL || !is_name(one))
				continue;
			member = ph_slice_dup(one);
			if (!func(member, user_data))
				return false;
		}
	}
	return true;
}

/* A list that cannot be read must not lose its mail: the sender tries again. */
static bool
include(const PhAliases *aliases,
        const char *name,
        PhListFunc func,
        void *user_data,
        GError **error)
{
	g_autofree char *path =
		g_canonicalize_filename(name + strspn(name, " \t"), aliases->folder);
	g_autoptr(GError) failure = NULL;
	g_autofree char *text = NULL;
	gsize length = 0;
	struct stat status;

	if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > INCLUDE_MAX
	    || !g_file_get_contents(path, &text, &length, &failure)) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "cannot read '%s', a file of up to 1 MiB that '%s' includes", path,
		             aliases->path);
		return false;
	}
	(void) each_included(PH_SLICE(text, length), func, user_data);
	return true;
}

static PhVerify
each_member(const PhAliases *aliases,
            char *const *members,
            PhListFunc func,
            void *user_data,
            GError **error)
{
	for (; *members != NULL; members++) {
		if (ph_slice_starts_nocase(ph_slice(*members), INCLUDE)) {
			if (!include(aliases, *members + strlen(INCLUDE), func, user_data, error))
				return PH_VERIFY_ERROR;
		} else if (!func(*members, user_data)) {
			break;
		}
	}
	return PH_VERIFY_OK;
}

static PhVerify
look_up(PhAliases *aliases,
        const char *const *keys,
        PhListFunc func,
        void *user_data,
        GError **error)
{
	GHashTable *table = current(aliases);
	char *const *members = NULL;
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	for (; *keys != NULL && members == NULL; keys++)
		members = g_hash_table_lookup(table, *keys);
	if (members != NULL)
		result = each_member(aliases, members, func, user_data, error);
	g_hash_table_unref(table);
	return result;
}

PhVerify
ph_aliases_expand(PhAliases *aliases,
                  const char *address,
                  PhListFunc func,
                  void *user_data,
                  GError **error)
{
	g_autofree char *whole = g_ascii_strdown(address, -1);
	const char *at = strrchr(whole, '@');
	g_autofree char *local =
		g_strndup(whole, at != NULL ? (gsize) (at - whole) : strlen(whole));
	const char *const keys[] = { whole, local, NULL };

	return look_up(aliases, keys, func, user_data, error);
}

PhVerify
ph_aliases_rest(PhAliases *aliases,
                const char *address,
                PhListFunc func,
                void *user_data,
                GError **error)
{
	const char *at = strrchr(address, '@');
	g_autofree char *domain = at != NULL ? g_ascii_strdown(at, -1) : NULL;
	const char *const keys[] = { domain, NULL };

	return domain != NULL ? look_up(aliases, keys, func, user_data, error)
	                      : PH_VERIFY_UNKNOWN_USER;
}

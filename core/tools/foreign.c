/* foreign.c: what kind of mail a path holds, and what its readers share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/foreign.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <string.h>
#include <sys/stat.h>

enum {
	FOLDER_DEPTH = 20,
	ADD_PIECE = 4096
};

/* --- octets ------------------------------------------------------------------------------------------ */

bool
ph_foreign_add(PhSpool *spool, PhSlice octets, char *last, GError **error)
{
	char out[2 * ADD_PIECE];
	size_t n = 0;

	for (size_t i = 0; i < octets.length; i++) {
		char c = octets.data[i] != '\0' ? octets.data[i] : '?';

		if (c == '\n' && *last != '\r')
			out[n++] = '\r';
		out[n++] = c;
		*last = c;
		if (n < sizeof out - 1)
			continue;
		if (!ph_spool_write(spool, PH_SLICE(out, n), error))
			return false;
		n = 0;
	}
	return n == 0 || ph_spool_write(spool, PH_SLICE(out, n), error);
}

bool
ph_foreign_put(PhArchiveWriter *writer, const PhRecord *record, PhContent *content, GError **error)
{
	g_autoptr(PhContent) owned = content;
	g_autoptr(GString) text = g_string_new(NULL);

	ph_archive_append_record(text, record);
	return ph_archive_put_piece(writer, PH_SLICE(text->str, text->len), error)
	       && ph_archive_put_message(writer, owned, error);
}

/* --- names -------------------------------------------------------------------------------------------- */

/* Modified UTF-7 (RFC 3501 section 5.1.3) by way of plain UTF-7. */
static char *
from_utf7(const char *name)
{
	g_autoptr(GString) plain = g_string_new(NULL);
	bool shifted = false;

	for (const char *p = name; *p != '\0'; p++) {
		if (shifted && *p == '-')
			shifted = false;
		if (!shifted && *p == '&' && p[1] == '-') {
			g_string_append_c(plain, '&');
			p++;
		} else if (!shifted && *p == '&') {
			g_string_append_c(plain, '+');
			shifted = true;
		} else if (!shifted && *p == '+') {
			g_string_append(plain, "+-");
		} else {
			g_string_append_c(plain, shifted && *p == ',' ? '/' : *p);
		}
	}
	return g_convert(plain->str, (gssize) plain->len, "UTF-8", "UTF-7", NULL, NULL, NULL);
}

char *
ph_foreign_decode_name(const char *folder)
{
	g_auto(GStrv) levels = g_strsplit(folder, ".", -1);
	g_autoptr(GString) name = g_string_new(NULL);

	for (size_t i = 0; levels[i] != NULL; i++) {
		g_autofree char *level = from_utf7(levels[i]);

		if (level == NULL || level[0] == '\0' || strchr(level, '/') != NULL)
			return NULL;
		g_string_append_printf(name, "%s%s", i > 0 ? "/" : "", level);
	}
	return g_strdup(name->str);
}

/* --- kinds -------------------------------------------------------------------------------------------- */

static bool
has_folder(const char *path, const char *name)
{
	g_autofree char *whole = g_build_filename(path, name, NULL);
	struct stat info;

	return stat(whole, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool
is_maildir(const char *path)
{
	return has_folder(path, "cur") && has_folder(path, "new");
}

/* Does the file begin as an mbox does? An empty one is an empty mailbox. */
static bool
is_mbox(const char *path)
{
	g_autofree char *start = NULL;
	g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, NULL);

	if (file == NULL)
		return false;
	return g_mapped_file_get_length(file) == 0
	       || (g_mapped_file_get_length(file) > 5
	           && memcmp(g_mapped_file_get_contents(file), "From ", 5) == 0);
}

bool
ph_foreign_is(const char *path)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return false;
	return S_ISDIR(info.st_mode)
	       || (S_ISREG(info.st_mode) && info.st_size > 0 && is_mbox(path));
}

/* --- folders of mbox files ----------------------------------------------------------------------------- */

static int
compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static GPtrArray *
names_in(const char *path, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	GPtrArray *names = NULL;
	const char *name = NULL;

	if (dir == NULL) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "cannot list '%s'", path);
		return NULL;
	}
	names = g_ptr_array_new_with_free_func(g_free);
	while ((name = g_dir_read_name(dir)) != NULL)
		g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);
	return names;
}

static char *
mailbox_of(const char *above, const char *file)
{
	g_autofree char *own = g_str_has_suffix(file, ".mbox")
	                               ? g_strndup(file, strlen(file) - strlen(".mbox"))
	                               : g_strdup(file);

	if (above[0] == '\0' && (g_ascii_strcasecmp(own, "inbox") == 0 || strcmp(own, "mbox") == 0))
		return g_strdup("INBOX");
	return above[0] != '\0' ? g_strconcat(above, "/", own, NULL) : g_steal_pointer(&own);
}

static bool
read_folder(PhArchiveWriter *writer, const char *path, const char *above, int depth, GError **error)
{
	g_autoptr(GPtrArray) names = names_in(path, error);

	for (guint i = 0; names != NULL && i < names->len; i++) {
		g_autofree char *whole = g_build_filename(path, names->pdata[i], NULL);
		g_autofree char *mailbox = mailbox_of(above, names->pdata[i]);
		bool good = true;

		if (((const char *) names->pdata[i])[0] == '.')
			continue;
		if (g_file_test(whole, G_FILE_TEST_IS_DIR))
			good = depth >= FOLDER_DEPTH
			       || read_folder(writer, whole, mailbox, depth + 1, error);
		else if (is_mbox(whole))
			good = ph_foreign_mbox(writer, whole, mailbox, error);
		if (!good)
			return false;
	}
	return names != NULL;
}

static bool
read_kind(PhArchiveWriter *writer, const char *path, const char *mailbox, GError **error)
{
	if (is_maildir(path))
		return ph_foreign_maildir(writer, path, error);
	if (g_file_test(path, G_FILE_TEST_IS_DIR))
		return read_folder(writer, path, "", 0, error);
	return ph_foreign_mbox(writer, path, mailbox != NULL ? mailbox : "INBOX", error);
}

/* The same path gives the same id, so that an interrupted import goes on. */
bool
ph_foreign_read(const char *path, const char *mailbox, int archive, GError **error)
{
	PhArchiveWriter writer = { .fd = archive };
	g_autofree char *whole = g_canonicalize_filename(path, NULL);
	g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
	                                                     (GDestroyNotify) g_bytes_unref);
	g_autofree char *id = g_compute_checksum_for_string(G_CHECKSUM_SHA256, whole, -1);

	if (is_maildir(path) && !ph_foreign_maildir_values(path, values, error))
		return false;
	return ph_archive_begin(&writer, id, values, error)
	       && read_kind(&writer, path, mailbox, error) && ph_archive_finish(&writer, error);
}

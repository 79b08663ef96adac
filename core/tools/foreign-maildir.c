/* foreign-maildir.c: a maildir, Dovecot's or anybody's, as an archive
 *
 * Folders are Maildir++ (".Sent.2024"). uids come from dovecot-uidlist, keywords from the letters
 * a to z and dovecot-keywords, subscriptions from `subscriptions`; the internal date is the file's
 * time. A file that the list does not know gets a uid when it is imported.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "mailbox/account.h"
#include "tools/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEYWORDS_MAX = 26,
	SMALL_FILE = 64 * 1024 * 1024, /* lists beside the mail */
	PIECE = 65536
};

/* Entry: one file. */
typedef struct {
	uint32_t uid; /* UINT32_MAX: not in the list */
	char *name;
	bool is_new; /* in new/ */
} Entry;

typedef struct {
	PhArchiveWriter *writer;
	const char *path;
	GHashTable *uids; /* base name -> uid */
	uint32_t uidvalidity;
	uint32_t uidnext;
	char *keywords[KEYWORDS_MAX];
	GArray *entries; /* of Entry */
} Folder;

static char *
read_small(const char *path, const char *name)
{
	g_autofree char *whole = g_build_filename(path, name, NULL);
	struct stat info;
	char *text = NULL;

	if (stat(whole, &info) < 0 || info.st_size > SMALL_FILE)
		return NULL;
	return g_file_get_contents(whole, &text, NULL, NULL) ? text : NULL;
}

/* The name without flags: what stands before ':'. */
static char *
base_of(const char *name)
{
	return g_strndup(name, strcspn(name, ":"));
}

/* --- lists ------------------------------------------------------------------------------------------- */

/* "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1" */
static void
take_uid_head(Folder *folder, const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", -1);

	for (size_t i = 1; words[i] != NULL; i++) {
		if (words[i][0] == 'V')
			(void) ph_slice_to_u32(ph_slice(words[i] + 1), UINT32_MAX,
			                       &folder->uidvalidity);
		if (words[i][0] == 'N')
			(void) ph_slice_to_u32(ph_slice(words[i] + 1), UINT32_MAX - 2,
			                       &folder->uidnext);
	}
}

/* "25006 W1394 :1276528487.M364837P9451.host,S=1355:2,"; version 1 has no ':'. */
static void
take_uid_line(Folder *folder, const char *line)
{
	PhSlice rest = ph_slice(line);
	PhSlice number = ph_slice_split(&rest, ' ');
	const char *name = strstr(line, " :");
	uint32_t uid = 0;

	if (!ph_slice_to_u32(number, UINT32_MAX - 2, &uid) || uid == 0)
		return;
	name = name != NULL ? name + 2 : strchr(line, ' ');
	if (name == NULL)
		return;
	while (*name == ' ')
		name++;
	(void) g_hash_table_replace(folder->uids, base_of(name), GUINT_TO_POINTER(uid));
	folder->uidnext = MAX(folder->uidnext, uid + 1);
}

static void
read_uids(Folder *folder)
{
	g_autofree char *text = read_small(folder->path, "dovecot-uidlist");
	g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

	if (lines[0] == NULL)
		return;
	take_uid_head(folder, lines[0]);
	for (size_t i = 1; lines[i] != NULL; i++)
		take_uid_line(folder, lines[i]);
}

/* "0 $Forwarded" */
static void
read_keywords(Folder *folder)
{
	g_autofree char *text = read_small(folder->path, "dovecot-keywords");
	g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

	for (size_t i = 0; lines[i] != NULL; i++) {
		PhSlice rest = ph_slice(lines[i]);
		PhSlice number = ph_slice_split(&rest, ' ');
		uint32_t index = 0;

		if (ph_slice_to_u32(number, KEYWORDS_MAX - 1, &index) && rest.length > 0
		    && folder->keywords[index] == NULL)
			folder->keywords[index] = ph_slice_dup(rest);
	}
}

/* --- files ------------------------------------------------------------------------------------------- */

static void
clear_entry(void *data)
{
	g_free(((Entry *) data)->name);
}

static bool
list_files(Folder *folder, bool is_new, GError **error)
{
	g_autofree char *path = g_build_filename(folder->path, is_new ? "new" : "cur", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	if (dir == NULL) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "cannot list '%s'", path);
		return false;
	}
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *base = base_of(name);
		uint32_t uid = GPOINTER_TO_UINT(g_hash_table_lookup(folder->uids, base));
		const Entry entry = { uid != 0 ? uid : UINT32_MAX, g_strdup(name), is_new };

		(void) g_array_append_val(folder->entries, entry);
	}
	return true;
}

static gint
compare_entries(gconstpointer left, gconstpointer right)
{
	const Entry *a = left;
	const Entry *b = right;

	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void
take_flags(const Folder *folder, const Entry *entry, PhRecord *record, const char **keywords)
{
	static const struct {
		char letter;
		uint32_t flag;
	} letters[] = { { 'S', PH_FLAG_SEEN },
		        { 'R', PH_FLAG_ANSWERED },
		        { 'F', PH_FLAG_FLAGGED },
		        { 'T', PH_FLAG_DELETED },
		        { 'D', PH_FLAG_DRAFT } };

	const char *flags = strstr(entry->name, ":2,");
	size_t n = 0;

	for (const char *p = flags != NULL ? flags + 3 : ""; *p != '\0'; p++) {
		for (size_t j = 0; j < G_N_ELEMENTS(letters); j++)
			if (*p == letters[j].letter)
				record->flags |= letters[j].flag;
		if (*p == 'P' && n < KEYWORDS_MAX)
			keywords[n++] = "$Forwarded";
		if (*p >= 'a' && *p <= 'z' && folder->keywords[*p - 'a'] != NULL
		    && n < KEYWORDS_MAX)
			keywords[n++] = folder->keywords[*p - 'a'];
	}
	record->keywords = keywords;
}

static PhContent *
read_file(int fd, GError **error)
{
	g_autoptr(PhSpool) spool = ph_spool_new();
	g_autofree char *buffer = g_malloc(PIECE);
	char last = '\0';
	ssize_t n = 0;

	while ((n = read(fd, buffer, PIECE)) > 0)
		if (!ph_foreign_add(spool, PH_SLICE(buffer, (size_t) n), &last, error))
			return NULL;
	if (n < 0) {
		ph_error_set_errno(error, errno, "cannot read a message");
		return NULL;
	}
	return ph_spool_finish(g_steal_pointer(&spool), error);
}

/* A file that went away, that is none, or that is empty is passed over. */
static bool
put_file(Folder *folder, const Entry *entry, GError **error)
{
	g_autofree char *path =
		g_build_filename(folder->path, entry->is_new ? "new" : "cur", entry->name, NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *keywords[KEYWORDS_MAX + 1] = { NULL };
	PhRecord record = { .uid = entry->uid != UINT32_MAX ? entry->uid : 0 };
	PhContent *content = NULL;
	struct stat info;

	if (fd < 0)
		return true;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
		content = read_file(fd, error);
	else
		info.st_size = 0;
	close(fd);
	if (content == NULL)
		return info.st_size == 0;
	record.internal_date = (PhTime) info.st_mtime * G_USEC_PER_SEC;
	take_flags(folder, entry, &record, keywords);
	return ph_foreign_put(folder->writer, &record, content, error);
}

/* --- folders ----------------------------------------------------------------------------------------- */

/* What the list does not know gets the next uids, as Dovecot would give them. */
static void
give_uids(Folder *folder)
{
	g_array_sort(folder->entries, compare_entries);
	for (guint i = 0; i < folder->entries->len; i++) {
		Entry *entry = &g_array_index(folder->entries, Entry, i);

		if (entry->uid == UINT32_MAX && folder->uidnext != 0
		    && folder->uidnext < UINT32_MAX - 2)
			entry->uid = folder->uidnext++;
	}
}

static bool
put_folder(Folder *folder, const char *name, GError **error)
{
	PhArchiveMailbox mailbox = { .name = (char *) (uintptr_t) name };

	if (!list_files(folder, false, error) || !list_files(folder, true, error))
		return false;
	give_uids(folder);
	mailbox.uidvalidity = folder->uidvalidity;
	mailbox.uidnext = folder->uidnext;
	if (!ph_archive_put_mailbox(folder->writer, &mailbox, error))
		return false;
	for (guint i = 0; i < folder->entries->len; i++)
		if (!put_file(folder, &g_array_index(folder->entries, Entry, i), error))
			return false;
	return true;
}

static bool
read_one(PhArchiveWriter *writer, const char *path, const char *name, GError **error)
{
	Folder folder = { .writer = writer, .path = path };
	bool good = false;

	folder.uids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	folder.entries = g_array_new(FALSE, FALSE, sizeof(Entry));
	g_array_set_clear_func(folder.entries, clear_entry);
	read_uids(&folder);
	read_keywords(&folder);
	good = put_folder(&folder, name, error);
	g_hash_table_unref(folder.uids);
	g_array_unref(folder.entries);
	for (size_t i = 0; i < KEYWORDS_MAX; i++)
		g_free(folder.keywords[i]);
	return good;
}

static gint
compare_texts(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static GPtrArray *
subfolders(const char *path)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *cur = g_build_filename(path, name, "cur", NULL);

		if (name[0] == '.' && name[1] != '.' && name[1] != '\0'
		    && g_file_test(cur, G_FILE_TEST_IS_DIR))
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_sort(names, compare_texts);
	return names;
}

bool
ph_foreign_maildir(PhArchiveWriter *writer, const char *path, GError **error)
{
	g_autoptr(GPtrArray) names = subfolders(path);

	if (!read_one(writer, path, "INBOX", error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];
		g_autofree char *whole = g_build_filename(path, name, NULL);
		g_autofree char *mailbox = ph_foreign_decode_name(name + 1);

		if (mailbox == NULL) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "the folder '%s' has no name that "
			             "a mailbox may have",
			             whole);
			return false;
		}
		if (!read_one(writer, whole, mailbox, error))
			return false;
	}
	return true;
}

/* A line each: "Sent.2024"; with the head "V\t2" levels are separated by tabs. */
bool
ph_foreign_maildir_values(const char *path, GHashTable *values, GError **error)
{
	g_autofree char *text = read_small(path, "subscriptions");
	g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
	bool has_tabs = lines[0] != NULL && g_str_equal(lines[0], "V\t2");

	for (size_t i = has_tabs ? 1 : 0; lines[i] != NULL; i++) {
		g_autofree char *name = NULL;

		if (lines[i][0] == '\0')
			continue;
		if (has_tabs)
			g_strdelimit(lines[i], "\t", '.');
		name = ph_foreign_decode_name(lines[i]);
		if (name != NULL)
			(void) g_hash_table_insert(values,
			                           g_strconcat(PH_KEY_SUBSCRIPTION, name, NULL),
			                           g_bytes_new_static("1", 1));
	}
	return true;
}

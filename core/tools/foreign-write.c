/* foreign-write.c: an archive as a maildir or as a folder of mbox files
 *
 * A maildir gets what Dovecot keeps beside it: dovecot-uidlist, dovecot-keywords, subscriptions. An
 * mbox file is mboxrd with Status, X-Status, X-Keywords, X-UID and X-IMAPbase. Lines end with LF.
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
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEYWORDS_MAX = 26
};

typedef struct {
	const char *path;
	bool as_maildir;
	char *folder;        /* maildir: of the present mailbox */
	int file;            /* mbox: of the present mailbox; -1 */
	GString *uids;       /* maildir: dovecot-uidlist */
	GPtrArray *keywords; /* maildir: by letter */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t n;
	GString *text; /* the message being written */
} Writing;

/* --- names ------------------------------------------------------------------------------------------- */

static bool
is_direct(char c)
{
	return c >= ' ' && c < 127 && c != '&' && c != '.';
}

/* One level in modified UTF-7; a dot, which separates levels in a folder's name, is encoded too. */
static void
append_level(GString *out, const char *level)
{
	const char *p = level;

	while (*p != '\0') {
		const char *end = p;
		g_autofree char *wide = NULL;
		g_autofree char *text = NULL;
		gsize length = 0;

		if (is_direct(*p) || *p == '&') {
			g_string_append(out, *p == '&' ? "&-" : (char[]){ *p, '\0' });
			p++;
			continue;
		}
		while (*end != '\0' && !is_direct(*end) && *end != '&')
			end++;
		wide = g_convert(p, end - p, "UTF-16BE", "UTF-8", NULL, &length, NULL);
		text = g_base64_encode((const guchar *) wide, length);
		g_strdelimit(text, "/", ',');
		g_string_append_printf(out, "&%.*s-", (int) strcspn(text, "="), text);
		p = end;
	}
}

static char *
maildir_folder(const Writing *writing, const char *name)
{
	g_auto(GStrv) levels = g_strsplit(name, "/", -1);
	g_autoptr(GString) out = g_string_new(writing->path);

	if (strcmp(name, "INBOX") == 0)
		return g_strdup(writing->path);
	g_string_append_c(out, '/');
	for (size_t i = 0; levels[i] != NULL; i++) {
		g_string_append_c(out, '.');
		append_level(out, levels[i]);
	}
	return g_strdup(out->str);
}

static bool
make_folder(const char *path, GError **error)
{
	if (g_mkdir_with_parents(path, 0700) == 0)
		return true;
	ph_error_set_errno(error, errno, "cannot make '%s'", path);
	return false;
}

static int
create_file(const char *path, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		ph_error_set_errno(error, errno, "cannot create '%s'", path);
	return fd;
}

/* --- the end of a mailbox ----------------------------------------------------------------------------- */

static bool
put_list(const Writing *writing, const char *name, const GString *text, GError **error)
{
	g_autofree char *path = g_build_filename(writing->folder, name, NULL);

	return ph_durable_replace(AT_FDCWD, path, PH_SLICE(text->str, text->len), 0600, error);
}

static bool
end_maildir(Writing *writing, GError **error)
{
	g_autoptr(GString) uids = g_string_new(NULL);
	g_autoptr(GString) keywords = g_string_new(NULL);

	if (writing->folder == NULL)
		return true;
	g_string_append_printf(uids, "3 V%u N%u\n%s", writing->uidvalidity, writing->uidnext,
	                       writing->uids->str);
	for (guint i = 0; i < writing->keywords->len; i++)
		g_string_append_printf(keywords, "%u %s\n", i,
		                       (const char *) writing->keywords->pdata[i]);
	g_string_truncate(writing->uids, 0);
	g_ptr_array_set_size(writing->keywords, 0);
	return put_list(writing, "dovecot-uidlist", uids, error)
	       && (keywords->len == 0 || put_list(writing, "dovecot-keywords", keywords, error));
}

static bool
end_mbox(Writing *writing, GError **error)
{
	bool good = writing->file < 0 || ph_durable_sync(writing->file, error);

	if (writing->file >= 0)
		close(writing->file);
	writing->file = -1;
	return good;
}

/* --- mailboxes ---------------------------------------------------------------------------------------- */

static bool
begin_maildir(Writing *writing, const char *name, GError **error)
{
	static const char *const below[] = { "cur", "new", "tmp" };

	g_free(writing->folder);
	writing->folder = maildir_folder(writing, name);
	for (size_t i = 0; i < G_N_ELEMENTS(below); i++) {
		g_autofree char *path = g_build_filename(writing->folder, below[i], NULL);

		if (!make_folder(path, error))
			return false;
	}
	return true;
}

static bool
begin_mbox(Writing *writing, const char *name, GError **error)
{
	g_autofree char *path = g_strconcat(writing->path, "/", name, ".mbox", NULL);
	g_autofree char *above = g_path_get_dirname(path);

	if (!make_folder(above, error))
		return false;
	writing->file = create_file(path, error);
	return writing->file >= 0;
}

static bool
begin_mailbox(const PhArchiveMailbox *mailbox, void *user_data, GError **error)
{
	Writing *writing = user_data;
	const char *reason = NULL;

	if (!ph_mailbox_name_check(ph_slice(mailbox->name), &reason)) {
		ph_error_set(error, PH_ERROR_INVALID, "a mailbox of the archive: %s", reason);
		return false;
	}
	if (writing->as_maildir ? !end_maildir(writing, error) : !end_mbox(writing, error))
		return false;
	writing->uidvalidity = mailbox->uidvalidity;
	writing->uidnext = mailbox->uidnext;
	writing->n = 0;
	return writing->as_maildir ? begin_maildir(writing, mailbox->name, error)
	                           : begin_mbox(writing, mailbox->name, error);
}

/* --- messages ----------------------------------------------------------------------------------------- */

static bool
gather(PhSlice piece, void *user_data, GError **error)
{
	GString *text = user_data;

	for (size_t i = 0; i < piece.length; i++) {
		char c = piece.data[i];

		if (c == '\n' && text->len > 0 && text->str[text->len - 1] == '\r')
			g_string_truncate(text, text->len - 1);
		g_string_append_c(text, c);
	}
	return true;
}

static char
letter_of(Writing *writing, const char *keyword)
{
	guint i = 0;

	while (i < writing->keywords->len
	       && g_ascii_strcasecmp(writing->keywords->pdata[i], keyword) != 0)
		i++;
	if (i == KEYWORDS_MAX)
		return '\0';
	if (i == writing->keywords->len)
		g_ptr_array_add(writing->keywords, g_strdup(keyword));
	return (char) ('a' + (int) i);
}

static void
append_letters(Writing *writing, const PhRecord *record, GString *out)
{
	static const struct {
		char letter;
		uint32_t flag;
	} letters[] = { { 'D', PH_FLAG_DRAFT },
		        { 'F', PH_FLAG_FLAGGED },
		        { 'R', PH_FLAG_ANSWERED },
		        { 'S', PH_FLAG_SEEN },
		        { 'T', PH_FLAG_DELETED } };

	for (size_t i = 0; i < G_N_ELEMENTS(letters); i++)
		if ((record->flags & letters[i].flag) != 0)
			g_string_append_c(out, letters[i].letter);
	for (const char *const *k = record->keywords; *k != NULL; k++) {
		char letter = letter_of(writing, *k);

		if (letter != '\0')
			g_string_append_c(out, letter);
	}
}

static bool
put_maildir(Writing *writing, const PhRecord *record, GError **error)
{
	int64_t seconds = record->internal_date / G_USEC_PER_SEC;
	g_autofree char *base = g_strdup_printf("%" G_GINT64_FORMAT ".M%uP%u.posthorn", seconds,
	                                        record->uid, writing->n);
	g_autoptr(GString) path = g_string_new(writing->folder);
	const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };
	bool good = false;
	int fd = -1;

	g_string_append_printf(path, "/cur/%s:2,", base);
	append_letters(writing, record, path);
	fd = create_file(path->str, error);
	if (fd < 0)
		return false;
	good = ph_durable_write(fd, PH_SLICE(writing->text->str, writing->text->len), error);
	(void) futimens(fd, times);
	close(fd);
	g_string_append_printf(writing->uids, "%u :%s\n", record->uid, base);
	return good;
}

static void
append_status(Writing *writing, const PhRecord *record, GString *out)
{
	if (writing->n == 1)
		g_string_append_printf(out, "X-IMAPbase: %u %010u\n", writing->uidvalidity,
		                       writing->uidnext > 0 ? writing->uidnext - 1 : 0);
	g_string_append_printf(out, "X-UID: %u\nStatus: %sO\nX-Status: %s%s%s%s\n", record->uid,
	                       (record->flags & PH_FLAG_SEEN) != 0 ? "R" : "",
	                       (record->flags & PH_FLAG_ANSWERED) != 0 ? "A" : "",
	                       (record->flags & PH_FLAG_DELETED) != 0 ? "D" : "",
	                       (record->flags & PH_FLAG_FLAGGED) != 0 ? "F" : "",
	                       (record->flags & PH_FLAG_DRAFT) != 0 ? "T" : "");
	if (record->keywords[0] != NULL) {
		g_autofree char *words = g_strjoinv(" ", (char **) (uintptr_t) record->keywords);

		g_string_append_printf(out, "X-Keywords: %s\n", words);
	}
}

/* A field of the message that would be read as one of the file's; the store mbox writes it so, too. */
static void
append_kept(GString *out, PhSlice line)
{
	PhSlice rest = line;

	if (ph_foreign_is_field(ph_slice_split(&rest, ':')))
		g_string_append(out, PH_FOREIGN_KEPT);
}

static void
append_line(GString *out, PhSlice line)
{
	size_t marks = 0;

	while (marks < line.length && line.data[marks] == '>')
		marks++;
	if (line.length >= marks + 5 && memcmp(line.data + marks, "From ", 5) == 0)
		g_string_append_c(out, '>');
	g_string_append_len(out, line.data, (gssize) line.length);
	g_string_append_c(out, '\n');
}

static bool
put_mbox(Writing *writing, const PhRecord *record, GError **error)
{
	g_autoptr(GDateTime) date =
		g_date_time_new_from_unix_utc(record->internal_date / G_USEC_PER_SEC);
	g_autofree char *when =
		date != NULL ? g_date_time_format(date, "%a %b %e %H:%M:%S %Y") : NULL;
	g_autoptr(GString) out = g_string_sized_new(writing->text->len + 256);
	PhSlice rest = PH_SLICE(writing->text->str, writing->text->len);
	bool in_header = true;

	g_string_append_printf(out, "From MAILER-DAEMON %s\n",
	                       when != NULL ? when : "Thu Jan  1 00:00:00 1970");
	while (rest.length > 0) {
		PhSlice line = ph_slice_split(&rest, '\n');

		if (in_header && line.length == 0) {
			append_status(writing, record, out);
			in_header = false;
		}
		if (in_header)
			append_kept(out, line);
		append_line(out, line);
	}
	if (in_header)
		append_status(writing, record, out);
	g_string_append_c(out, '\n');
	return ph_durable_write(writing->file, PH_SLICE(out->str, out->len), error);
}

static bool
put_message(const PhRecord *record, PhContent *content, void *user_data, GError **error)
{
	Writing *writing = user_data;

	writing->n++;
	g_string_truncate(writing->text, 0);
	if (!ph_content_each(content, 0, ph_content_length(content), gather, writing->text, error))
		return false;
	return writing->as_maildir ? put_maildir(writing, record, error)
	                           : put_mbox(writing, record, error);
}

/* --- the whole ----------------------------------------------------------------------------------------- */

static bool
begin(const char *id, GHashTable *values, void *user_data, GError **error)
{
	Writing *writing = user_data;
	g_autoptr(GString) lines = g_string_new(NULL);
	g_autofree char *path = g_build_filename(writing->path, "subscriptions", NULL);
	GHashTableIter iter;
	gpointer key = NULL;

	if (!make_folder(writing->path, error))
		return false;
	g_hash_table_iter_init(&iter, values);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		g_auto(GStrv) levels = NULL;

		if (!g_str_has_prefix(key, PH_KEY_SUBSCRIPTION))
			continue;
		levels = g_strsplit((const char *) key + strlen(PH_KEY_SUBSCRIPTION), "/", -1);
		for (size_t i = 0; levels[i] != NULL; i++) {
			g_string_append(lines, i > 0 ? "." : "");
			append_level(lines, levels[i]);
		}
		g_string_append_c(lines, '\n');
	}
	return !writing->as_maildir
	       || ph_durable_replace(AT_FDCWD, path, PH_SLICE(lines->str, lines->len), 0600, error);
}

bool
ph_foreign_write(int archive, const char *path, bool as_maildir, GError **error)
{
	Writing writing = { .path = path, .as_maildir = as_maildir, .file = -1 };
	const PhArchiveEvents events = {
		.begin = begin,
		.mailbox = begin_mailbox,
		.message = put_message,
		.user_data = &writing,
	};
	bool good = false;

	writing.uids = g_string_new(NULL);
	writing.text = g_string_new(NULL);
	writing.keywords = g_ptr_array_new_with_free_func(g_free);
	good = ph_archive_read(archive, INT64_MAX, &events, error);
	good = (as_maildir ? end_maildir(&writing, good ? error : NULL)
	                   : end_mbox(&writing, good ? error : NULL))
	       && good;
	g_string_free(writing.uids, TRUE);
	g_string_free(writing.text, TRUE);
	g_ptr_array_unref(writing.keywords);
	g_free(writing.folder);
	return good;
}

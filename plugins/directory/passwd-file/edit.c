/* edit.c: changes one user's line in the file, durably
 *
 * Comments, order and the fields that are not changed stay as they are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "edit.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>

#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NEW_FILE_MODE = 0640,
	MODE_BITS = 07777,
};

static void
append_line(GString *out, PhSlice line)
{
	g_string_append_len(out, line.data, (gssize) line.length);
	g_string_append_c(out, '\n');
}

/* The line with another password: what stands behind the second ':' stays. */
static void
append_changed(GString *out, PhSlice line, const char *stored)
{
	PhSlice rest = line;
	PhSlice name = ph_slice_split(&rest, ':');
	bool has_more = ph_slice_find(rest, ':') >= 0;

	(void) ph_slice_split(&rest, ':');
	g_string_append_len(out, name.data, (gssize) name.length);
	g_string_append_printf(out, ":%s", stored);
	if (has_more) {
		g_string_append_c(out, ':');
		g_string_append_len(out, rest.data, (gssize) rest.length);
	}
	g_string_append_c(out, '\n');
}

GString *
edit_text(PhSlice text, EditKind kind, const char *name, const char *stored, bool *found_out)
{
	GString *out = g_string_new(NULL);

	*found_out = false;
	while (text.length > 0) {
		PhSlice line = ph_slice_split(&text, '\n');
		if (!ph_slice_is_nocase(line_user(line), name)) {
			append_line(out, line);
			continue;
		}
		*found_out = true;
		if (kind == EDIT_CHANGE)
			append_changed(out, line, stored);
		else if (kind == EDIT_ADD)
			append_line(out, line);
	}
	if (kind == EDIT_ADD && !*found_out)
		g_string_append_printf(out, "%s:%s\n", name, stored);
	return out;
}

static bool
check_words(const char *name, const char *stored, GError **error)
{
	if (name[0] == '\0' || name[0] == '#' || strpbrk(name, ": \t\r\n") != NULL
	    || !ph_slice_is_utf8(ph_slice(name))) {
		g_set_error(
			error, PH_ERROR, PH_ERROR_INVALID,
			"'%s' cannot be a user name here: it is empty or has a colon or a blank",
			name);
		return false;
	}
	if (stored != NULL && strpbrk(stored, ":\r\n") != NULL) {
		g_set_error_literal(
			error, PH_ERROR, PH_ERROR_INVALID,
			"this password form cannot be kept in a passwd file: it has a colon");
		return false;
	}
	return true;
}

static bool
fail_errno(GError **error, const char *what, const char *path)
{
	int number = errno;

	g_set_error(error, PH_ERROR,
	            number == EACCES || number == EPERM ? PH_ERROR_DENIED : PH_ERROR_TEMPORARY,
	            "cannot %s '%s': %s", what, path, g_strerror(number));
	return false;
}

static int
take_file_lock(const char *path, GError **error)
{
	g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
	int fd = open(lock_path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	if (fd < 0 || flock(fd, LOCK_EX) != 0) {
		(void) fail_errno(error, "lock", lock_path);
		if (fd >= 0)
			(void) close(fd);
		return -1;
	}
	return fd;
}

/* The file's text, mode and owner; an empty text with mode 0640 when it is not there. */
static bool
read_file(const char *path, char **text_out, gsize *length_out, struct stat *status, GError **error)
{
	memset(status, 0, sizeof *status);
	status->st_mode = NEW_FILE_MODE;
	status->st_uid = geteuid();
	status->st_gid = getegid();
	if (stat(path, status) != 0) {
		if (errno != ENOENT)
			return fail_errno(error, "read", path);
		*text_out = g_strdup("");
		*length_out = 0;
		return true;
	}

	g_autoptr(GError) failure = NULL;
	if (g_file_get_contents(path, text_out, length_out, &failure))
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "%s", failure->message);
	return false;
}

static bool
replace(const char *path, const GString *text, const struct stat *status, GError **error)
{
	PhSlice octets = PH_SLICE(text->str, text->len);
	if (!ph_durable_replace(AT_FDCWD, path, octets, status->st_mode & MODE_BITS, error))
		return false;
	if (status->st_uid == geteuid() && status->st_gid == getegid())
		return true;
	if (chown(path, status->st_uid, status->st_gid) != 0)
		return fail_errno(error, "keep the owner of", path);
	return true;
}

static bool
edit_locked(const char *path, EditKind kind, const char *name, const char *stored, GError **error)
{
	g_autofree char *old = NULL;
	gsize length = 0;
	struct stat status;
	if (!read_file(path, &old, &length, &status, error))
		return false;

	bool found = false;
	g_autoptr(GString) text = edit_text(PH_SLICE(old, length), kind, name, stored, &found);
	if (found && kind == EDIT_ADD) {
		g_set_error(error, PH_ERROR, PH_ERROR_EXISTS, "'%s' is already there", name);
		return false;
	}
	if (!found && kind != EDIT_ADD) {
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND, "there is no user '%s'", name);
		return false;
	}
	return replace(path, text, &status, error);
}

bool
edit_file(const char *path, EditKind kind, const char *name, const char *stored, GError **error)
{
	if (!check_words(name, stored, error))
		return false;
	int lock = take_file_lock(path, error);
	if (lock < 0)
		return false;

	bool ok = edit_locked(path, kind, name, stored, error);
	(void) close(lock);
	return ok;
}

/* layout.c: where the file of a mailbox lies
 *
 * INBOX has a path of its own. Every other mailbox lies below `folders`: a component is a folder,
 * the last one a file. A mailbox that has children is a folder, and its messages are in a file
 * named mBoX-MeSsAgEs in it, as Dovecot's DIRNAME does it. A component that would not do as a file
 * name, or would be taken for something else, has those octets as %XX. No link is followed below
 * `folders`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/mailbox.h>
#include <posthorn/slice.h>

#include "mbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MESSAGES "mBoX-MeSsAgEs"

enum {
	FOLDER_MODE = 0700,
	LEVELS_MAX = 200,
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

/* --- names ---------------------------------------------------------------------------------------- */

static bool
is_lock_name(PhSlice name)
{
	return name.length >= 5 && memcmp(name.data + name.length - 5, ".lock", 5) == 0;
}

static bool
is_escape(PhSlice text)
{
	return text.length >= 3 && text.data[0] == '%' && g_ascii_isxdigit(text.data[1])
	       && g_ascii_isxdigit(text.data[2]);
}

void
layout_escape(PhSlice component, GString *out)
{
	bool whole = ph_slice_is(component, MESSAGES);

	for (size_t i = 0; i < component.length; i++) {
		char c = component.data[i];
		bool odd = (i == 0 && (c == '.' || whole))
		           || (i + 5 == component.length && is_lock_name(component))
		           || is_escape(ph_slice_from(component, i));

		if (odd)
			g_string_append_printf(out, "%%%02X", (unsigned) (unsigned char) c);
		else
			(void) g_string_append_c(out, c);
	}
}

bool
layout_unescape(PhSlice file_name, GString *out)
{
	gsize start = out->len;
	g_autoptr(GString) again = g_string_new(NULL);

	for (size_t i = 0; i < file_name.length; i++) {
		PhSlice rest = ph_slice_from(file_name, i);

		if (is_escape(rest)) {
			(void) g_string_append_c(out,
			                         (gchar) (g_ascii_xdigit_value(rest.data[1]) * 16
			                                  + g_ascii_xdigit_value(rest.data[2])));
			i += 2;
		} else {
			(void) g_string_append_c(out, rest.data[0]);
		}
	}
	layout_escape(PH_SLICE(out->str + start, out->len - start), again);
	return ph_slice_equal(PH_SLICE(again->str, again->len), file_name);
}

void
layout_clear(Where *where)
{
	if (where->folder_fd >= 0)
		(void) close(where->folder_fd);
	where->folder_fd = -1;
	g_clear_pointer(&where->base, g_free);
}

/* --- finding ------------------------------------------------------------------------------------- */

static bool
find_inbox(const Account *account, Where *where, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(account->inbox);

	where->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (where->folder_fd < 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot open '%s': %s", folder,
		             g_strerror(errno));
		return false;
	}
	where->base = g_path_get_basename(account->inbox);
	return true;
}

static bool
is_folder(int folder_fd, const char *name)
{
	struct stat status;

	return fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0
	       && S_ISDIR(status.st_mode);
}

/* Steps into a folder below. */
static bool
enter(Where *where, const char *name, GError **error)
{
	int fd = openat(where->folder_fd, name, OPEN_FOLDER);

	if (fd < 0) {
		ph_error_set(error,
		             errno == ENAMETOOLONG                 ? PH_ERROR_INVALID
		             : errno == ENOENT || errno == ENOTDIR ? PH_ERROR_NOT_FOUND
		                                                   : PH_ERROR_TEMPORARY,
		             "cannot open folder '%s': %s", name, g_strerror(errno));
		return false;
	}
	(void) close(where->folder_fd);
	where->folder_fd = fd;
	return true;
}

/* A file that was on its way into a folder of its own name when a crash came. */
static char *
moving_name(const char *component)
{
	return g_strconcat(".", component, ".moving", NULL);
}

static void
finish_moving(const Where *where, const char *component)
{
	g_autofree char *moving = moving_name(component);
	g_autofree char *inside = g_strconcat(component, "/" MESSAGES, NULL);
	PhRename move = {
		.from_folder_fd = where->folder_fd,
		.to_folder_fd = where->folder_fd,
		.from = moving,
		.to = is_folder(where->folder_fd, component) ? inside : component,
		.keep_existing = true,
	};
	struct stat status;

	if (fstatat(where->folder_fd, moving, &status, AT_SYMLINK_NOFOLLOW) == 0)
		(void) ph_durable_rename(&move, NULL);
}

bool
layout_find(const Account *account, const char *name, Where *where, GError **error)
{
	PhSlice rest = ph_slice(name);
	g_autoptr(GString) component = g_string_new(NULL);
	bool good = true;

	*where = (Where){ .folder_fd = -1 };
	if (g_str_equal(name, "INBOX"))
		return find_inbox(account, where, error);
	where->folder_fd = open(account->folders, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (where->folder_fd < 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot open '%s': %s", account->folders,
		             g_strerror(errno));
		return false;
	}
	while (good && rest.length > 0) {
		(void) g_string_truncate(component, 0);
		layout_escape(ph_slice_split(&rest, '/'), component);
		if (rest.length > 0)
			good = enter(where, component->str, error);
	}
	if (good)
		finish_moving(where, component->str);
	if (good && is_folder(where->folder_fd, component->str)) {
		good = enter(where, component->str, error);
		(void) g_string_assign(component, MESSAGES);
	}
	if (good)
		where->base = g_strdup(component->str);
	else
		layout_clear(where);
	return good;
}

/* --- making folders ------------------------------------------------------------------------------ */

/* The file of that name becomes a folder that holds it. */
static bool
move_inside(const Where *where, const char *component, GError **error)
{
	g_autofree char *moving = moving_name(component);
	PhRename move = {
		.from_folder_fd = where->folder_fd,
		.to_folder_fd = where->folder_fd,
		.from = component,
		.to = moving,
		.keep_existing = true,
	};

	if (!ph_durable_rename(&move, error))
		return false;
	if (mkdirat(where->folder_fd, component, FOLDER_MODE) < 0)
		ph_error_set_errno(error, errno, "cannot make folder '%s'", component);
	finish_moving(where, component);
	return is_folder(where->folder_fd, component);
}

static bool
make_folder(const Where *where, const char *component, GError **error)
{
	struct stat status;

	if (fstatat(where->folder_fd, component, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISREG(status.st_mode))
			return move_inside(where, component, error);
		return true;
	}
	if (mkdirat(where->folder_fd, component, FOLDER_MODE) < 0 && errno != EEXIST) {
		ph_error_set_errno(error, errno, "cannot make folder '%s'", component);
		return false;
	}
	return ph_durable_sync_folder(where->folder_fd, error);
}

bool
layout_make(const Account *account, const char *name, GError **error)
{
	g_autofree char *above = g_path_get_dirname(account->inbox);
	g_autoptr(GString) component = g_string_new(NULL);
	PhSlice rest = ph_slice(name);
	Where where = { .folder_fd = -1 };
	bool good = true;

	if (g_str_equal(name, "INBOX"))
		return ph_durable_make_folder(above, FOLDER_MODE, error);
	if (!ph_durable_make_folder(account->folders, FOLDER_MODE, error))
		return false;
	where.folder_fd = open(account->folders, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (where.folder_fd < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", account->folders);
		return false;
	}
	while (good && ph_slice_find(rest, '/') >= 0) {
		(void) g_string_truncate(component, 0);
		layout_escape(ph_slice_split(&rest, '/'), component);
		good = make_folder(&where, component->str, error)
		       && enter(&where, component->str, error);
	}
	layout_clear(&where);
	return good;
}

void
layout_remove_empty(const Account *account, const char *name)
{
	g_autofree char *above = g_strdup(name);
	g_autoptr(GString) component = g_string_new(NULL);
	char *slash = NULL;

	for (bool inside = true; inside || strchr(above, '/') != NULL; inside = false) {
		Where where = { .folder_fd = -1 };
		g_autofree char *child = g_strconcat(above, "/x", NULL);

		/* the folder that a child of it would lie in, seen from the one above */
		slash = strrchr(above, '/');
		(void) g_string_truncate(component, 0);
		layout_escape(ph_slice(slash != NULL ? slash + 1 : above), component);
		if (layout_find(account, child, &where, NULL)) {
			g_autofree char *up = g_strconcat("../", component->str, NULL);

			(void) unlinkat(where.folder_fd, up, AT_REMOVEDIR);
		}
		layout_clear(&where);
		if (slash == NULL)
			return;
		*slash = '\0';
	}
}

bool
layout_move(const Account *account, const char *from, const char *to, GError **error)
{
	Where source = { .folder_fd = -1 };
	Where target = { .folder_fd = -1 };
	bool good = layout_make(account, to, error) && layout_find(account, from, &source, error)
	            && layout_find(account, to, &target, error);
	PhRename move = {
		.from_folder_fd = source.folder_fd,
		.to_folder_fd = target.folder_fd,
		.from = source.base,
		.to = target.base,
		.keep_existing = true,
	};

	good = good && ph_durable_rename(&move, error);
	layout_clear(&source);
	layout_clear(&target);
	if (good)
		layout_remove_empty(account, from);
	return good;
}

/* --- listing -------------------------------------------------------------------------------------- */

typedef struct {
	const Account *account;
	GString *name; /* of the folder, with '/' at its end; empty at the top */
	LayoutFunc func;
	void *user_data;
	struct stat inbox;
	unsigned level;
} Walk;

static bool
is_inbox(const Walk *walk, const struct stat *status)
{
	return walk->inbox.st_ino == status->st_ino && walk->inbox.st_dev == status->st_dev;
}

static bool walk_folder(Walk *walk, int fd, GError **error);

/* Dovecot keeps its counter of uidvalidities in the uppermost folder. */
static bool
is_counter(const Walk *walk, const char *file_name)
{
	return walk->name->len == 0 && g_str_has_prefix(file_name, "dovecot-uidvalidity");
}

/* One entry: a mailbox, a folder, or neither. */
static bool
walk_entry(Walk *walk, int folder_fd, const char *file_name, GError **error)
{
	gsize length = walk->name->len;
	struct stat status;
	bool good = true;

	if (file_name[0] == '.' || is_lock_name(ph_slice(file_name)) || is_counter(walk, file_name)
	    || fstatat(folder_fd, file_name, &status, AT_SYMLINK_NOFOLLOW) < 0
	    || is_inbox(walk, &status))
		return true;
	if (g_str_equal(file_name, MESSAGES)) {
		if (!S_ISREG(status.st_mode) || length == 0)
			return true;
		(void) g_string_truncate(walk->name, length - 1);
		good = walk->func(walk->name->str, walk->user_data, error);
		(void) g_string_append_c(walk->name, '/');
		return good;
	}
	if (layout_unescape(ph_slice(file_name), walk->name)
	    && ph_mailbox_name_check(PH_SLICE(walk->name->str, walk->name->len), NULL)) {
		bool is_top_inbox = length == 0 && g_ascii_strcasecmp(file_name, "INBOX") == 0;

		if (S_ISREG(status.st_mode) && !is_top_inbox)
			good = walk->func(walk->name->str, walk->user_data, error);
		if (S_ISDIR(status.st_mode) && walk->level < LEVELS_MAX) {
			(void) g_string_append_c(walk->name, '/');
			walk->level++;
			good = walk_folder(walk, openat(folder_fd, file_name, OPEN_FOLDER), error);
			walk->level--;
		}
	}
	(void) g_string_truncate(walk->name, length);
	return good;
}

static bool
walk_folder(Walk *walk, int fd, GError **error)
{
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry = NULL;
	bool good = true;

	if (folder == NULL) {
		if (fd >= 0)
			(void) close(fd);
		return true;
	}
	while (good && (entry = readdir(folder)) != NULL)
		good = walk_entry(walk, fd, entry->d_name, error);
	(void) closedir(folder);
	return good;
}

bool
layout_each(const Account *account, LayoutFunc func, void *user_data, GError **error)
{
	g_autoptr(GString) name = g_string_new(NULL);
	Walk walk = { .account = account, .name = name, .func = func, .user_data = user_data };

	if (lstat(account->inbox, &walk.inbox) == 0 && S_ISREG(walk.inbox.st_mode)
	    && !func("INBOX", user_data, error))
		return false;
	return walk_folder(&walk, open(account->folders, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	                   error);
}

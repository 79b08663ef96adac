/* adopt.c: messages that other programs put into a folder
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	OPS = 500,
};

GPtrArray *
scan_keywords(const Folder *folder, Letters letters)
{
	GPtrArray *names = g_ptr_array_new();

	for (int i = 0; i < KEYWORD_LETTERS; i++)
		if ((letters & LETTERS_KEYWORD << i) != 0 && folder->keywords[i] != NULL)
			g_ptr_array_add(names, (void *) (uintptr_t) folder->keywords[i]);
	g_ptr_array_add(names, NULL);
	return names;
}

static gint
compare_found(gconstpointer a, gconstpointer b)
{
	const Found *first = a;
	const Found *second = b;

	/* those without come last */
	if (first->uid != second->uid)
		return first->uid - 1 < second->uid - 1 ? -1 : 1;
	return strcmp(first->name, second->name);
}

/* What a file holds: dates and sizes, from its name where that can be believed. */
static bool
measure_by_name(const Account *account, const char *where, File *file, PhTime *date_out)
{
	uint64_t size = 0;
	uint64_t octets = 0;
	struct stat info;

	file_sizes(file->base, &size, &octets);
	if (size == 0 || octets < size
	    || fstatat(account->root_fd, where, &info, AT_SYMLINK_NOFOLLOW) < 0
	    || !S_ISREG(info.st_mode) || (uint64_t) info.st_size != size)
		return false;
	file->size = size;
	file->octets = octets;
	file->is_plain = octets == size;
	*date_out = info.st_mtim.tv_sec * INT64_C(1000000) + info.st_mtim.tv_nsec / 1000;
	return true;
}

/* *skipped_out: it is there, and cannot be read now. */
static bool
measure(Scan *scan, const Found *found, File *file, PhTime *date_out, bool *skipped_out)
{
	Account *account = scan->account;
	g_autofree char *path = scan_part(account, scan->folder,
	                                  (found->letters & LETTERS_NEW) != 0 ? IN_NEW : IN_CUR);
	g_autofree char *where = g_strconcat(path, "/", found->name, NULL);
	struct stat info;
	bool good = false;
	int fd = -1;

	if (measure_by_name(account, where, file, date_out))
		return true;
	fd = openat(account->root_fd, where, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		Letters letters = 0;
		bool odd = false;
		PhSlice base = file_name_split(found->name, &letters, &odd);
		g_autofree char *proper = folder_where(account, scan->folder, found->letters, base);

		fd = openat(account->root_fd, proper,
		            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	*skipped_out = fd < 0 && errno != ENOENT && errno != ELOOP && errno != ENXIO;
	if (fd < 0)
		return false;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
		file->size = (uint64_t) info.st_size;
		*date_out = info.st_mtim.tv_sec * INT64_C(1000000) + info.st_mtim.tv_nsec / 1000;
		good = content_measure(fd, &file->octets, &file->is_plain, NULL);
		*skipped_out = !good;
	}
	(void) close(fd);
	return good;
}

static bool
adopt(Scan *scan, const Found *found, Adopted *adopted, GPtrArray *keywords)
{
	File file = { .is_upload = true, .is_adopted = true };
	Letters letters = 0;
	bool odd = false;
	PhSlice base = file_name_split(found->name, &letters, &odd);
	PhTime date = 0;
	GPtrArray *names = NULL;
	bool skipped = false;

	memcpy(file.base, base.data, base.length);
	if (trash_is_stuck(scan->account, base) || !measure(scan, found, &file, &date, &skipped)) {
		scan->n_skipped += skipped;
		return false;
	}
	if (!file_pack(&file, scan->connection, &adopted->op.blob, NULL)) {
		scan->n_skipped++;
		return false;
	}
	names = scan_keywords(scan->folder, found->letters);
	g_ptr_array_add(keywords, names);
	adopted->letters = found->letters;
	adopted->op.kind = PH_OP_APPEND;
	adopted->op.mailbox = scan->folder->id;
	adopted->op.flags = letters_to_flags(found->letters);
	adopted->op.keywords = (const char *const *) names->pdata;
	adopted->op.octets = file.octets;
	adopted->op.internal_date = date;
	adopted->op.save_date = g_get_real_time();
	adopted->op.has_given = true; /* it is there already: no quota refuses it */
	adopted->op.given_uid = found->uid >= scan->uidnext ? found->uid : 0;
	ph_secret_random(adopted->op.message_id, sizeof adopted->op.message_id);
	return true;
}

static bool
adopt_some(Scan *scan, guint first, guint n, GError **error)
{
	g_autofree Adopted *adopted = g_new0(Adopted, n);
	g_autofree PhOp **ops = g_new0(PhOp *, n);
	g_autoptr(GPtrArray) keywords =
		g_ptr_array_new_with_free_func((GDestroyNotify) g_ptr_array_unref);
	uint32_t n_ops = 0;
	PhIndexConnection *connection = ph_index_begin_write(scan->account->index, error);

	if (connection == NULL)
		return false;
	scan->connection = connection; /* long names are kept in it */
	for (guint i = first; i < first + n; i++) {
		Found *found = &g_array_index(scan->fresh, Found, i);

		found->is_left = !adopt(scan, found, &adopted[n_ops], keywords);
		scan->n_left += found->is_left;
		if (found->is_left)
			continue;
		ops[n_ops] = &adopted[n_ops].op;
		n_ops++;
	}
	scan->connection = NULL;
	if (!ph_index_end_write(scan->account->index, connection, true, error))
		return false;
	return n_ops == 0 || commit_ops(scan->account, ops, n_ops, error);
}

bool
scan_adopt(Scan *scan, GError **error)
{
	g_array_sort(scan->fresh, compare_found);
	for (guint i = 0; i < scan->fresh->len; i += OPS)
		if (!adopt_some(scan, i, MIN((guint) OPS, scan->fresh->len - i), error))
			return false;
	return true;
}

bool
scan_took_new(const Scan *scan)
{
	for (guint i = 0; i < scan->fresh->len; i++) {
		const Found *found = &g_array_index(scan->fresh, Found, i);

		if ((found->letters & LETTERS_NEW) != 0 && !found->is_left)
			return true;
	}
	return false;
}

void
scan_note_skipped(Scan *scan)
{
	Folder *folder = scan->folder;
	bool is_whole = scan->read[IN_NEW] && scan->read[IN_CUR];
	g_autofree char *path = NULL;

	if (scan->n_skipped == 0) {
		folder->retry_ns = is_whole ? 0 : folder->retry_ns;
		return;
	}
	if (folder->retry_ns == 0) {
		path = folder_dir(scan->account, folder);
		ph_log_section(
			scan->account->settings.section, PH_LOG_WARNING, "maildir-unreadable",
			"files that cannot be read are no messages yet",
			PH_LOG_TEXT("maildir", scan->account->root), PH_LOG_TEXT("folder", path),
			PH_LOG_NUMBER("files", scan->n_skipped), PH_LOG_END);
	}
	if (is_whole || folder->retry_ns == 0)
		folder->retry_ns = g_get_real_time() * 1000 + scan_patience(folder);
}

/* uidlist.c: uids written down beside the mail, as Dovecot does
 *
 * dovecot-uidlist of a folder says which uid each file has. The index knows that as well; the list is
 * for the day when the index is lost, or when a Dovecot server takes the maildir back. The housekeeping
 * appends lines to it, in the order of uids, once a second at most; lines of messages that are gone
 * stay until the file is several times as long as it must be, then it is written anew beside and
 * renamed. The next uid stands in the header with ten digits, so that it can be changed in place.
 *
 * No sync is made: a list that is torn is written anew from the index. Who finds a list that knows more
 * than the index (another server went on, the index is gone) takes the uids from it, see takeover.c.
 * As the last lines may be missing then, new uids begin a good way behind the list's end.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "uidlist.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
	EDGE = 4096,  /* read at both ends */
	LINES = 2048, /* at a time */
	DIGITS = 10,
	BLOATED_HEAD = 64 * 1024,
	BLOATED_LINE = 300,
};

static char *
list_path(Account *account, const Folder *folder)
{
	return folder_below(account, folder, "dovecot-uidlist");
}

static char *
making_path(const Account *account, const Folder *folder)
{
	return g_strdup_printf("%s/uidlist.%u", account->place, folder->no);
}

/* --- both ends of a list ---------------------------------------------------------------------- */

/* Where the next uid stands, when it has the digits to be changed in place; else 0. */
static size_t
find_digits(PhSlice header)
{
	for (size_t i = 1; i + 2 + DIGITS <= header.length; i++) {
		const char *at = header.data + i;
		size_t n = 2;

		if (at[0] != ' ' || at[1] != 'N')
			continue;
		while (i + n < header.length && at[n] >= '0' && at[n] <= '9')
			n++;
		return n == 2 + DIGITS ? i + 2 : 0;
	}
	return 0;
}

static bool
read_head(int fd, UidlistEnds *ends)
{
	char text[EDGE];
	ssize_t n = pread(fd, text, sizeof text, 0);
	const char *end = n > 0 ? memchr(text, '\n', (size_t) n) : NULL;

	if (end == NULL)
		return false;
	ends->version = takeover_parse_header(PH_SLICE(text, (size_t) (end - text)),
	                                      &ends->uidvalidity, &ends->next);
	ends->digits_at = find_digits(PH_SLICE(text, (size_t) (end - text)));
	return ends->version != 0;
}

static void
read_tail(int fd, UidlistEnds *ends)
{
	char text[EDGE];
	int64_t from = MAX(ends->size - EDGE, 0);
	ssize_t n = pread(fd, text, sizeof text, from);
	const char *line = NULL;
	PhSlice base = PH_SLICE_EMPTY;

	if (n > 0 && text[n - 1] == '\n') {
		line = memrchr(text, '\n', (size_t) n - 1);
		if (line == NULL) { /* the header is all there is */
			ends->is_torn = from > 0;
			return;
		}
		line++;
	}
	if (line == NULL
	    || !takeover_parse_line(PH_SLICE(line, (size_t) (text + n - 1 - line)), ends->version,
	                            &ends->last, &base)) {
		ends->is_torn = true;
		ends->last = 0;
	}
}

static bool
read_ends(int fd, UidlistEnds *ends)
{
	struct stat info;

	*ends = (UidlistEnds){ .size = 0 };
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
		return false;
	ends->size = info.st_size;
	if (!read_head(fd, ends))
		return false;
	read_tail(fd, ends);
	ends->next = MAX(ends->next, ends->last + 1);
	return true;
}

bool
uidlist_ends(const Account *account, const char *path, UidlistEnds *ends)
{
	g_autofree char *where =
		g_strconcat(path, path[0] != '\0' ? "/" : "", "dovecot-uidlist", NULL);
	int fd = openat(account->root_fd, where, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool good = fd >= 0 && read_ends(fd, ends);

	if (fd >= 0)
		(void) close(fd);
	return good;
}

/* --- first look ------------------------------------------------------------------------------- */

typedef struct {
	const PhMailboxId *id;
	uint32_t uidvalidity;
	uint32_t uidnext;
} Looked;

static bool
find_mailbox(const PhMailboxInfo *info, void *user_data)
{
	Looked *looked = user_data;

	if (memcmp(&info->id, looked->id, sizeof info->id) != 0)
		return true;
	looked->uidvalidity = info->uidvalidity;
	looked->uidnext = info->uidnext;
	return false;
}

static void
take_ends(Folder *folder, const UidlistEnds *ends, uint32_t uidvalidity)
{
	Uidlist *list = &folder->list;

	list->is_whole = ends->version == 3 && !ends->is_torn && ends->uidvalidity == uidvalidity;
	list->last = ends->last;
	list->size = ends->size;
	list->digits_at = ends->digits_at;
	list->next = ends->next;
}

bool
uidlist_look(Account *account, Folder *folder, GError **error)
{
	Looked looked = { .id = &folder->id };
	UidlistEnds ends = { .version = 0 };
	g_autofree char *path = NULL;
	uint64_t change = 0;

	if (g_atomic_int_get(&folder->list.is_known) != 0)
		return true;
	if (!ph_index_mailboxes(account->index, find_mailbox, &looked, &change, error))
		return false;
	path = folder_dir(account, folder);
	if (uidlist_ends(account, path, &ends)) {
		take_ends(folder, &ends, looked.uidvalidity);
		folder->list.is_newer =
			ends.uidvalidity == looked.uidvalidity && ends.next > looked.uidnext;
	}
	if (!folder->list.is_newer)
		g_atomic_int_set(&folder->list.is_known, 1);
	return true;
}

void
uidlist_taken(Folder *folder)
{
	folder->list.is_newer = false;
	g_atomic_int_set(&folder->list.is_known, 1);
}

bool
uidlist_before(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++) {
			const PhOp *op = batch[i]->ops[j];
			bool copies = op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE;
			Folder *folder = NULL;

			if (op->has_given || (!copies && op->kind != PH_OP_APPEND))
				continue;
			folder = folder_find(account, copies ? &op->to : &op->mailbox);
			if (folder == NULL || folder->is_gone
			    || g_atomic_int_get(&folder->list.is_known) != 0)
				continue;
			if (!uidlist_look(account, folder, error))
				return false;
			if (!folder->list.is_newer)
				continue;
			folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
			if (!scan_refresh(account, &folder->id, error))
				return false;
		}
	return true;
}

/* --- appending -------------------------------------------------------------------------------- */

bool
uidlist_is_behind(Folder *folder, const PhMailboxInfo *info)
{
	Uidlist *list = &folder->list;

	return !folder->is_gone && g_atomic_int_get(&list->is_known) != 0
	       && (list->is_making || !list->is_whole || list->last + 1 < info->uidnext);
}

/* Lines: what is appended. */
typedef struct {
	PhIndexConnection *connection;
	GString *text;
	uint64_t bound; /* what was altered later may be lost yet */
	uint32_t last;
	unsigned n;
	bool more;
	bool held;
} Lines;

static bool
can_be_written(const char *base)
{
	for (; *base != '\0'; base++)
		if ((unsigned char) *base < ' ')
			return false;
	return true;
}

static bool
add_line(const PhRecord *record, void *user_data)
{
	Lines *lines = user_data;
	File file;

	lines->more = lines->n >= LINES;
	lines->held = record->change > lines->bound;
	if (lines->more || lines->held)
		return false;
	if (file_unpack(&record->blob, lines->connection, &file) && can_be_written(file.base))
		g_string_append_printf(lines->text, "%" PRIu32 " :%s\n", record->uid, file.base);
	lines->last = record->uid;
	lines->n++;
	return true;
}

static void
begin_anew(Uidlist *list, const UidlistWork *work, GString *text)
{
	const PhMailboxId *id = &work->folder->id;

	g_string_printf(text, "3 V%" PRIu32 " N", work->uidvalidity);
	list->digits_at = text->len;
	g_string_append_printf(text, "%0*" PRIu32 " G", DIGITS, work->uidnext);
	for (size_t i = 0; i < sizeof id->octets; i++)
		g_string_append_printf(text, "%02x", id->octets[i]);
	g_string_append_c(text, '\n');
	list->is_making = true;
	list->last = 0;
	list->size = 0;
	list->next = work->uidnext;
}

/* Another process may have appended to it. */
static int
open_list(Account *account, Folder *folder, uint32_t uidvalidity)
{
	Uidlist *list = &folder->list;
	g_autofree char *path =
		list->is_making ? making_path(account, folder) : list_path(account, folder);
	int fd = openat(account->root_fd, path,
	                O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
	                        | (list->is_making ? O_CREAT : 0)
	                        | (list->is_making && list->size == 0 ? O_TRUNC : 0),
	                0600);
	UidlistEnds ends;
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0 || list->is_making || info.st_size == list->size)
		return fd;
	if (read_ends(fd, &ends))
		take_ends(folder, &ends, uidvalidity);
	else
		list->is_whole = false;
	if (list->is_whole)
		return fd;
	(void) close(fd);
	return -1;
}

static bool
write_at(int fd, const char *octets, size_t length, int64_t offset)
{
	return pwrite(fd, octets, length, (off_t) offset) == (ssize_t) length;
}

/* The list is complete: the next uid, and the new one's name. */
static bool
finish(Account *account, int fd, const UidlistWork *work)
{
	Folder *folder = work->folder;
	Uidlist *list = &folder->list;
	char digits[DIGITS + 2];

	(void) g_snprintf(digits, sizeof digits, "%0*" PRIu32, DIGITS, work->uidnext);
	if (MAX(list->next, list->last + 1) < work->uidnext || list->is_making) {
		if (list->digits_at == 0
		    || !write_at(fd, digits, DIGITS, (int64_t) list->digits_at))
			return false;
		list->next = work->uidnext;
	}
	if (list->is_making) {
		g_autofree char *from = making_path(account, folder);
		g_autofree char *to = list_path(account, folder);

		if (!ph_durable_move(
			    &(PhRename){ account->root_fd, account->root_fd, from, to, false },
			    NULL))
			return false;
	}
	list->is_making = false;
	list->last = work->uidnext - 1;
	list->is_whole = list->size <= BLOATED_HEAD + (int64_t) work->n_messages * BLOATED_LINE;
	return true;
}

/* One that cannot be written is left until there is more to be said. */
static void
give_up(Uidlist *list, const UidlistWork *work)
{
	list->is_making = false;
	list->is_whole = list->has_failed;
	list->has_failed = true;
	if (list->is_whole)
		list->last = work->uidnext - 1;
}

bool
uidlist_follow(Account *account, PhIndexConnection *connection, const UidlistWork *work)
{
	Folder *folder = work->folder;
	Uidlist *list = &folder->list;
	g_autoptr(GString) text = g_string_new("");
	g_autoptr(PhUidSet) rest = NULL;
	Lines lines = { .connection = connection, .text = text };
	PhChangesQuery query = { .fields = PH_FIELD_BLOB, .record = add_line, .user_data = &lines };
	PhChangesResult result = { 0 };
	bool good = false;
	int fd = -1;

	if (!list->is_whole && !list->is_making)
		begin_anew(list, work, text);
	fd = open_list(account, folder, work->uidvalidity);
	lines.last = list->last;
	lines.bound = defer_safe(account).change;
	query.uids = rest = ph_uid_set_new_range(list->last + 1, UINT32_MAX);
	good = fd >= 0 && ph_index_changes(account->index, &folder->id, &query, &result, NULL)
	       && write_at(fd, text->str, text->len, list->size);
	if (good) {
		list->size += (int64_t) text->len;
		list->last = lines.last;
		good = lines.more || lines.held || finish(account, fd, work);
	}
	if (fd >= 0)
		(void) close(fd);
	list->has_failed = list->has_failed && !good;
	if (!good)
		give_up(list, work);
	/* what is held has its turn when a sync was made, which asks for it */
	return (lines.more && good) || (!lines.held && !list->is_whole);
}

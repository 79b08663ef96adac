/* upload.c: octets on their way in: files in tmp, until they leave it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hints.h"
#include "tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
	ROOM = SUM_PIECE,
};

void
deliver_unique(char *base, size_t size)
{
	static gint counter = 0;
	static gsize once = 0;
	static char host[64] = "localhost";
	int64_t now_us = g_get_real_time();

	if (g_once_init_enter(&once)) {
		(void) gethostname(host, sizeof host - 1);
		host[strcspn(host, ":/,.")] = '\0';
		g_once_init_leave(&once, 1);
	}
	(void) g_snprintf(base, (gulong) size, "%" PRId64 ".M%06dP%dQ%x.%.7s",
	                  now_us / G_USEC_PER_SEC, (int) (now_us % G_USEC_PER_SEC), (int) getpid(),
	                  (unsigned) g_atomic_int_add(&counter, 1), host);
}

/* --- writing a file --------------------------------------------------------------------------- */

/* Writing: octets on their way to a file; CR before LF is left out when that can be undone. */
typedef struct {
	int fd;
	bool strip;
	bool refused; /* a line end that would not come back as it was */
	char last[2]; /* before this piece */
	uint64_t size;
	uint64_t sum;
	char *room;
	size_t filled;
} Writing;

static bool
flush(Writing *writing, GError **error)
{
	bool good = ph_durable_write(writing->fd, PH_SLICE(writing->room, writing->filled), error);

	writing->size += writing->filled;
	writing->sum = defer_sum(writing->sum, PH_SLICE(writing->room, writing->filled));
	writing->filled = 0;
	return good;
}

static bool
put(Writing *writing, const char *octets, size_t length, GError **error)
{
	while (length > 0) {
		size_t n = MIN(length, ROOM - writing->filled);

		memcpy(writing->room + writing->filled, octets, n);
		writing->filled += n;
		octets += n;
		length -= n;
		if (writing->filled == ROOM && !flush(writing, error))
			return false;
	}
	return true;
}

/* The line up to its LF, whose CR is left out. False with @refused when it has none, or two. */
static bool
put_line(Writing *writing, const char *line, size_t length, GError **error)
{
	char before = length >= 2 ? line[length - 2] : writing->last[1];
	char before_that = length >= 3 ? line[length - 3]
	                               : (length == 2 ? writing->last[1] : writing->last[0]);

	if (before != '\r' || before_that == '\r') {
		writing->refused = true;
		ph_error_set(error, PH_ERROR_INVALID, "line ends are mixed");
		return false;
	}
	if (length >= 2)
		return put(writing, line, length - 2, error) && put(writing, "\n", 1, error);
	/* the CR was the last octet of the piece before and still waits */
	return put(writing, "\n", 1, error);
}

static bool
take_stripped(Writing *writing, PhSlice piece, GError **error)
{
	const char *at = piece.data;
	const char *end = at + piece.length;
	bool waits = writing->last[1] == '\r';

	/* a CR at the end of a piece is kept back until it is known what follows */
	if (waits && piece.length > 0 && *at != '\n' && !put(writing, "\r", 1, error))
		return false;
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t) (end - at));
		size_t length = (size_t) ((lf != NULL ? lf + 1 : end) - at);

		if (lf != NULL && !put_line(writing, at, length, error))
			return false;
		if (lf == NULL
		    && !put(writing, at, length - (at[length - 1] == '\r' ? 1 : 0), error))
			return false;
		writing->last[0] = length >= 2 ? at[length - 2] : writing->last[1];
		writing->last[1] = at[length - 1];
		at += length;
	}
	return true;
}

static bool
take_piece(PhSlice piece, void *user_data, GError **error)
{
	Writing *writing = user_data;

	return writing->strip ? take_stripped(writing, piece, error)
	                      : put(writing, piece.data, piece.length, error);
}

static bool
write_octets(Writing *writing, PhContent *content, GError **error)
{
	bool good =
		ph_content_each(content, 0, ph_content_length(content), take_piece, writing, error);

	if (good && writing->strip && writing->last[1] == '\r')
		good = put(writing, "\r", 1, error);
	return good && flush(writing, error);
}

typedef struct {
	File file;
	bool durable;
} Upload;

/* As lines of the Unix kind when they come back as they are, else as it stands. */
static bool
write_file(Account *account, int fd, PhContent *content, Upload *upload, GError **error)
{
	g_autofree char *room = g_malloc(ROOM);
	Writing writing = {
		.fd = fd,
		.strip = account->settings.line_ends == LINES_LF,
		.room = room,
	};
	File *file = &upload->file;
	g_autoptr(GError) why = NULL;
	bool good = write_octets(&writing, content, &why);

	if (!good && writing.refused) {
		g_clear_error(&why);
		writing = (Writing){ .fd = fd, .room = room };
		good = lseek(fd, 0, SEEK_SET) == 0 && ftruncate(fd, 0) == 0
		       && write_octets(&writing, content, &why);
	}
	if (good && upload->durable)
		good = ph_durable_sync(fd, &why);
	if (!good)
		g_propagate_error(error, why != NULL ? g_steal_pointer(&why) : NULL);
	file->size = writing.size;
	file->octets = ph_content_length(content);
	file->is_plain = file->size == file->octets;
	if (account->deferred)
		defer_mark(file->base, sizeof file->base, writing.sum);
	return good;
}

char *
tmp_path(const char *base)
{
	return g_strdup_printf("tmp/%.*s", (int) strcspn(base, ","), base);
}

bool
upload_sync(Account *account, GError **error)
{
	int fd = -1;
	bool good = false;

	fd = openat(account->root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot open 'tmp'");
		return false;
	}
	good = ph_durable_sync_folder(fd, error);
	(void) close(fd);
	return good;
}

/* What no commit has named yet may be abandoned; a name without its sum. */
static void
note_upload(Account *account, const char *base)
{
	(void) pthread_mutex_lock(&account->lock);
	(void) g_hash_table_add(account->uploads, g_strndup(base, strcspn(base, ",")));
	(void) pthread_mutex_unlock(&account->lock);
}

bool
upload_forget(Account *account, const char *base)
{
	char name[BASE_MAX + 1];
	bool found = false;

	(void) g_strlcpy(name, base, MIN(sizeof name, strcspn(base, ",") + 1));
	(void) pthread_mutex_lock(&account->lock);
	found = g_hash_table_remove(account->uploads, name);
	(void) pthread_mutex_unlock(&account->lock);
	return found;
}

bool
deliver_upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	Upload upload = { .file.is_upload = true, .durable = durable || !account->deferred };
	File *file = &upload.file;
	g_autofree char *path = NULL;
	bool good = false;
	int fd = -1;

	if (account->settings.largest.octets != 0
	    && ph_content_length(content) > account->settings.largest.octets) {
		ph_error_set(error, PH_ERROR_TOO_LARGE, "a message of %" PRIu64 " octets",
		             ph_content_length(content));
		return false;
	}
	deliver_unique(file->base,
	               account->deferred ? NAME_ROOM - SUM_MARK + 1 : sizeof file->base);
	path = tmp_path(file->base);
	fd = openat(account->root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	            0600);
	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot create '%s'", path);
		return false;
	}
	good = write_file(account, fd, content, &upload, error)
	       && (!durable || upload_sync(account, error))
	       && file_pack(file, NULL, blob_out, error);
	(void) close(fd);
	if (good)
		note_upload(account, file->base);
	else
		(void) unlinkat(account->root_fd, path, 0);
	return good;
}

void
deliver_abandon(void *data, const PhBlobId *blob)
{
	Account *account = data;
	File file;

	if (file_unpack(blob, NULL, &file) && file.is_upload && !file.is_adopted
	    && upload_forget(account, file.base)) {
		g_autofree char *path = tmp_path(file.base);

		(void) unlinkat(account->root_fd, path, 0);
	}
}

/* When commits are deferred nothing is synced for it: a file that is back in tmp after a loss of power
 * is read there, and is not missing to who reads the folder. */
bool
upload_leave(Account *account, const File *file, const char *to)
{
	g_autofree char *from = tmp_path(file->base);
	bool good = false;

	hints_own(account, NULL, to);
	good = ph_durable_move(&(PhRename){ account->root_fd, account->root_fd, from, to, true },
	                       NULL);
	if (!good) {
		g_free(from);
		from = find_waiting(account, file);
		good = from != NULL
		       && ph_durable_move(
			       &(PhRename){ account->root_fd, account->root_fd, from, to, true },
			       NULL);
	}
	account->has_renamed = account->has_renamed || (good && !account->deferred);
	return good;
}

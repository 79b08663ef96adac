/* content.c: immutable octets in memory, in a file, in a store's own hands, or joined from parts
 *
 * A content never changes after it was made; only its count does. A range keeps its whole alive.
 * Joined contents find the part by binary search over the summed lengths.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "base/spool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
	piece_octets = 64 * 1024,
};

typedef enum {
	IN_MEMORY,
	IN_FILE,
	CUSTOM,
	RANGE,
	JOINED,
} Form;

typedef struct {
	PhContent *content; /* (owned) */
	uint64_t end;       /* summed length up to and with this part */
} Part;

typedef struct {
	PhContentFunc func;
	void *user_data;
} Each;

struct PhContent {
	atomic_uint references;
	Form form;
	uint64_t length;

	union {
		struct {
			char *octets;  /* (owned) or behind the struct */
			bool is_lent;  /* from the spools' common memory */
			uint8_t piece; /* its number then */
		} memory;

		struct {
			int fd; /* (owned) */
			uint64_t offset;
		} file;

		struct {
			const PhContentTable *table;
			void *handle;         /* (owned) */
			pthread_mutex_t turn; /* the contract promises one read at a time */
		} custom;

		struct {
			PhContent *whole; /* (owned) */
			uint64_t offset;
		} range;

		struct {
			Part *parts; /* (owned) */
			size_t n_parts;
		} joined;
	};

	char inline_octets[];
};

static PhContent *
make(Form form, uint64_t length, size_t inline_octets)
{
	PhContent *content = g_malloc(sizeof *content + inline_octets);

	*content = (PhContent){ .form = form, .length = length };
	atomic_init(&content->references, 1);
	return content;
}

PhContent *
ph_content_new_copy(PhSlice octets)
{
	PhContent *content = make(IN_MEMORY, octets.length, octets.length);

	content->memory.octets = content->inline_octets;
	if (octets.length > 0)
		memcpy(content->memory.octets, octets.data, octets.length);
	return content;
}

PhContent *
ph_content_new_take(char *data, size_t length)
{
	PhContent *content = make(IN_MEMORY, length, 0);

	content->memory.octets = data;
	return content;
}

PhContent *
ph_content_new_lent(char *piece, size_t i, size_t length)
{
	PhContent *content = ph_content_new_take(piece, length);

	content->memory.is_lent = true;
	content->memory.piece = (uint8_t) i;
	return content;
}

PhContent *
ph_content_new_file(int fd, uint64_t offset, uint64_t length)
{
	PhContent *content = make(IN_FILE, length, 0);

	content->file.fd = fd;
	content->file.offset = offset;
	return content;
}

PhContent *
ph_content_new_custom(const PhContentTable *table, void *handle, uint64_t length)
{
	PhContent *content = make(CUSTOM, length, 0);

	content->custom.table = table;
	content->custom.handle = handle;
	pthread_mutex_init(&content->custom.turn, NULL);
	return content;
}

PhContent *
ph_content_new_range(PhContent *whole, uint64_t offset, uint64_t length)
{
	PhContent *content = NULL;

	offset = MIN(offset, whole->length);
	length = MIN(length, whole->length - offset);
	if (whole->form == RANGE) {
		offset += whole->range.offset;
		whole = whole->range.whole;
	}
	content = make(RANGE, length, 0);
	content->range.whole = ph_content_ref(whole);
	content->range.offset = offset;
	return content;
}

PhContent *
ph_content_new_joined(PhContent *const *parts, size_t n)
{
	PhContent *content = make(JOINED, 0, 0);

	content->joined.parts = g_new0(Part, n);
	content->joined.n_parts = n;
	for (size_t i = 0; i < n; i++) {
		content->length += parts[i]->length;
		content->joined.parts[i].content = ph_content_ref(parts[i]);
		content->joined.parts[i].end = content->length;
	}
	return content;
}

PhContent *
ph_content_ref(PhContent *content)
{
	atomic_fetch_add_explicit(&content->references, 1, memory_order_relaxed);
	return content;
}

static void
release(PhContent *content)
{
	switch (content->form) {
	case IN_MEMORY:
		if (content->memory.is_lent)
			ph_spool_return(content->memory.octets, content->memory.piece);
		else if (content->memory.octets != content->inline_octets)
			g_free(content->memory.octets);
		break;
	case IN_FILE:
		(void) close(content->file.fd);
		break;
	case CUSTOM:
		content->custom.table->free(content->custom.handle);
		pthread_mutex_destroy(&content->custom.turn);
		break;
	case RANGE:
		ph_content_unref(content->range.whole);
		break;
	case JOINED:
		for (size_t i = 0; i < content->joined.n_parts; i++)
			ph_content_unref(content->joined.parts[i].content);
		g_free(content->joined.parts);
		break;
	}
	g_free(content);
}

void
ph_content_unref(PhContent *content)
{
	if (content == NULL)
		return;
	if (atomic_fetch_sub_explicit(&content->references, 1, memory_order_acq_rel) == 1)
		release(content);
}

uint64_t
ph_content_length(const PhContent *content)
{
	return content->length;
}

static ssize_t
read_file(const PhContent *content, uint64_t offset, char *buffer, size_t length, GError **error)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(content->file.fd, buffer + done, length - done,
		                  (off_t) (content->file.offset + offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY,
			            "content cannot be read: %s", g_strerror(errno));
			return -1;
		}
		if (n == 0) {
			g_set_error(error, PH_ERROR, PH_ERROR_CORRUPT,
			            "content's file is shorter than its recorded length");
			return -1;
		}
		done += (size_t) n;
	}
	return (ssize_t) done;
}

static ssize_t
read_custom(PhContent *content, uint64_t offset, char *buffer, size_t length, GError **error)
{
	ssize_t n = 0;

	pthread_mutex_lock(&content->custom.turn);
	n = content->custom.table->read(content->custom.handle, offset, buffer, length, error);
	pthread_mutex_unlock(&content->custom.turn);
	return n;
}

/* The first part that ends behind @offset. */
static size_t
find_part(const PhContent *content, uint64_t offset)
{
	size_t low = 0;
	size_t high = content->joined.n_parts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (content->joined.parts[middle].end > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static ssize_t
read_joined(const PhContent *content, uint64_t offset, char *buffer, size_t length, GError **error)
{
	size_t done = 0;

	for (size_t i = find_part(content, offset); done < length; i++) {
		const Part *part = &content->joined.parts[i];
		uint64_t begin = part->end - part->content->length;
		ssize_t n = ph_content_read(part->content, offset + done - begin, buffer + done,
		                            length - done, error);

		if (n < 0)
			return -1;
		done += (size_t) n;
	}
	return (ssize_t) done;
}

ssize_t
ph_content_read(PhContent *content, uint64_t offset, char *buffer, size_t length, GError **error)
{
	if (offset >= content->length)
		return 0;
	length = (size_t) MIN((uint64_t) length, content->length - offset);
	switch (content->form) {
	case IN_MEMORY:
		memcpy(buffer, content->memory.octets + offset, length);
		return (ssize_t) length;
	case IN_FILE:
		return read_file(content, offset, buffer, length, error);
	case CUSTOM:
		return read_custom(content, offset, buffer, length, error);
	case RANGE:
		return ph_content_read(content->range.whole, content->range.offset + offset, buffer,
		                       length, error);
	case JOINED:
		return read_joined(content, offset, buffer, length, error);
	}
	g_assert_not_reached();
}

bool
ph_content_peek(const PhContent *content, PhSlice *octets_out)
{
	PhSlice whole = PH_SLICE_EMPTY;

	if (content->form == IN_MEMORY) {
		*octets_out = PH_SLICE(content->memory.octets, content->length);
		return true;
	}
	if (content->form == RANGE && ph_content_peek(content->range.whole, &whole)) {
		*octets_out = PH_SLICE(whole.data + content->range.offset, content->length);
		return true;
	}
	if (content->form == JOINED && content->joined.n_parts == 1)
		return ph_content_peek(content->joined.parts[0].content, octets_out);
	return false;
}

bool
ph_content_file(const PhContent *content, int *fd_out, uint64_t *offset_out)
{
	uint64_t offset = 0;

	if (content->form == IN_FILE) {
		*fd_out = content->file.fd;
		*offset_out = content->file.offset;
		return true;
	}
	if (content->form == RANGE && ph_content_file(content->range.whole, fd_out, &offset)) {
		*offset_out = offset + content->range.offset;
		return true;
	}
	if (content->form == JOINED && content->joined.n_parts == 1)
		return ph_content_file(content->joined.parts[0].content, fd_out, offset_out);
	return false;
}

ssize_t
ph_content_read_blocks(PhContentBlockFunc block,
                       void *handle,
                       uint64_t offset,
                       char *buffer,
                       size_t length,
                       GError **error)
{
	size_t copied = 0;

	while (copied < length) {
		size_t n = block(handle, offset + copied, buffer + copied, length - copied, error);

		if (n == 0)
			return -1;
		copied += n;
	}
	return (ssize_t) copied;
}

/* Each part in its own way: what lies in memory is not copied. */
static bool
each_part(PhContent *content, uint64_t offset, uint64_t length, const Each *each, GError **error)
{
	for (size_t i = find_part(content, offset); length > 0; i++) {
		const Part *part = &content->joined.parts[i];
		uint64_t at = offset - (part->end - part->content->length);
		uint64_t n = MIN(length, part->content->length - at);

		if (!ph_content_each(part->content, at, n, each->func, each->user_data, error))
			return false;
		offset += n;
		length -= n;
	}
	return true;
}

bool
ph_content_each(PhContent *content,
                uint64_t offset,
                uint64_t length,
                PhContentFunc func,
                void *user_data,
                GError **error)
{
	const Each each = { func, user_data };
	PhSlice whole = PH_SLICE_EMPTY;
	g_autofree char *buffer = NULL;

	offset = MIN(offset, content->length);
	length = MIN(length, content->length - offset);
	if (length == 0)
		return true;
	if (ph_content_peek(content, &whole))
		return func(PH_SLICE(whole.data + offset, length), user_data, error);
	if (content->form == JOINED)
		return each_part(content, offset, length, &each, error);
	buffer = g_malloc(MIN(length, (uint64_t) piece_octets));
	while (length > 0) {
		ssize_t n = ph_content_read(content, offset, buffer,
		                            (size_t) MIN(length, (uint64_t) piece_octets), error);

		if (n < 0)
			return false;
		if (n == 0) {
			g_set_error(error, PH_ERROR, PH_ERROR_CORRUPT,
			            "content ended before its length");
			return false;
		}
		if (!func(PH_SLICE(buffer, (size_t) n), user_data, error))
			return false;
		offset += (uint64_t) n;
		length -= (uint64_t) n;
	}
	return true;
}

/* pack.c: a message into frames, or as it is when that is no larger
 *
 * One frame's octets and their packed form are in memory at a time; what a large message packs to
 * goes into a spool.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compress.h"

#include <string.h>

enum {
	GIVE_UP_AFTER = 8, /* frames */
	WORTH = 32,        /* it must save one part in so many by then */
	TINY = 64,         /* octets, which never shrink by what a container adds */
};

const char container_magic[HEADER - 1] = { '\xff', '\0', 'P', 'H', 'Z', 'S', 'T' };

static void
put_u32(char *out, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	memcpy(out, &value, sizeof value);
}

static void
put_header(char *out, char kind)
{
	memcpy(out, container_magic, sizeof container_magic);
	out[HEADER - 1] = kind;
}

static void
put_trailer(char *out, uint64_t length, uint32_t n_frames)
{
	uint64_t octets = GUINT64_TO_LE(length);

	memcpy(out, &octets, sizeof octets);
	put_u32(out + sizeof octets, n_frames);
	put_u32(out + sizeof octets + SIZE, FRAME_BITS);
}

static PhContent *
keep_as_it_is(PhContent *content)
{
	char header[HEADER];
	g_autoptr(PhContent) before = NULL;
	PhContent *parts[2] = { NULL, content };

	put_header(header, KIND_AS_IT_IS);
	parts[0] = before = ph_content_new_copy(PH_SLICE(header, HEADER));
	return ph_content_new_joined(parts, 2);
}

/* The octets of one frame, from memory or read into @buffer. */
static bool
read_plain(PhContent *content, uint64_t offset, char *buffer, PhSlice *plain_out, GError **error)
{
	size_t length = (size_t) MIN(ph_content_length(content) - offset, (uint64_t) FRAME);
	PhSlice whole = PH_SLICE_EMPTY;
	ssize_t got = 0;

	if (ph_content_peek(content, &whole)) {
		*plain_out = PH_SLICE(whole.data + offset, length);
		return true;
	}
	got = ph_content_read(content, offset, buffer, length, error);
	if (got >= 0 && (size_t) got < length)
		ph_error_set(error, PH_ERROR_TEMPORARY, "a message is shorter than announced");
	*plain_out = PH_SLICE(buffer, length);
	return got == (ssize_t) length;
}

/* A message of one frame is packed in memory. Returns: NULL without @error: it does not shrink. */
static PhContent *
pack_small(PhContent *content, int level, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *buffer = g_malloc(length);
	g_autofree char *out = g_malloc(HEADER + frame_bound(length) + SIZE + TRAILER);
	PhSlice plain = PH_SLICE_EMPTY;
	size_t n = 0;
	size_t total = 0;

	if (!read_plain(content, 0, buffer, &plain, error))
		return NULL;
	n = frame_pack(plain, level, out + HEADER);
	total = HEADER + n + SIZE + TRAILER;
	if (total >= length)
		return NULL;
	put_header(out, KIND_FRAMES);
	put_u32(out + HEADER + n, (uint32_t) n);
	put_trailer(out + HEADER + n + SIZE, length, 1);
	return ph_content_new_copy(PH_SLICE(out, total));
}

typedef struct {
	PhSpool *spool;
	char *plain; /* one frame's octets */
	char *packed;
	GByteArray *sizes;
	uint32_t n_frames;
	bool is_worth;
} Packing;

static bool
pack_frame(Packing *packing, PhContent *content, int level, GError **error)
{
	uint64_t offset = (uint64_t) packing->n_frames << FRAME_BITS;
	PhSlice plain = PH_SLICE_EMPTY;
	char size[SIZE];
	size_t n = 0;

	if (!read_plain(content, offset, packing->plain, &plain, error))
		return false;
	n = frame_pack(plain, level, packing->packed);
	put_u32(size, (uint32_t) n);
	(void) g_byte_array_append(packing->sizes, (const guint8 *) size, SIZE);
	packing->n_frames++;
	offset += plain.length;
	if (!ph_spool_write(packing->spool, PH_SLICE(packing->packed, n), error))
		return false;
	if (packing->n_frames == GIVE_UP_AFTER)
		packing->is_worth = ph_spool_length(packing->spool) < offset - offset / WORTH;
	return true;
}

static bool
pack_frames(Packing *packing, PhContent *content, int level, GError **error)
{
	uint64_t length = ph_content_length(content);
	char header[HEADER];
	char trailer[TRAILER];

	put_header(header, KIND_FRAMES);
	if (!ph_spool_write(packing->spool, PH_SLICE(header, HEADER), error))
		return false;
	while (packing->is_worth && (uint64_t) packing->n_frames << FRAME_BITS < length)
		if (!pack_frame(packing, content, level, error))
			return false;
	put_trailer(trailer, length, packing->n_frames);
	packing->is_worth = packing->is_worth && ph_spool_length(packing->spool) < length;
	return ph_spool_write(packing->spool,
	                      PH_SLICE((const char *) packing->sizes->data, packing->sizes->len),
	                      error)
	       && ph_spool_write(packing->spool, PH_SLICE(trailer, TRAILER), error);
}

static PhContent *
pack_large(PhContent *content, int level, GError **error)
{
	g_autoptr(PhSpool) spool = ph_spool_new();
	g_autofree char *plain = g_malloc(FRAME);
	g_autofree char *packed = g_malloc(frame_bound(FRAME));
	g_autoptr(GByteArray) sizes = g_byte_array_new();
	Packing packing = { spool, plain, packed, sizes, 0, true };

	if (!pack_frames(&packing, content, level, error) || !packing.is_worth)
		return NULL;
	return ph_spool_finish(g_steal_pointer(&spool), error);
}

PhContent *
container_pack(PhContent *content, int level, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autoptr(GError) why = NULL;
	PhContent *packed = NULL;

	if (length >> FRAME_BITS >= UINT32_MAX) {
		ph_error_set(error, PH_ERROR_TOO_LARGE, "a message of %" G_GUINT64_FORMAT " octets",
		             length);
		return NULL;
	}
	if (length > TINY)
		packed = (length <= FRAME ? pack_small : pack_large)(content, level, &why);
	if (packed == NULL && why == NULL)
		packed = keep_as_it_is(content);
	if (why != NULL)
		g_propagate_error(error, g_steal_pointer(&why));
	return packed;
}

/* unpack.c: the message back from what was stored, at any offset
 *
 * What is stored may be damaged or made up by somebody else: sizes are checked against the octets
 * that are really there before anything is allocated, and zstd's checksum against the octets that
 * come out. What does not fit is CORRUPT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>

#include "compress.h"

#include <string.h>

static uint32_t
get_u32(const char *at)
{
	uint32_t value = 0;

	memcpy(&value, at, sizeof value);
	return GUINT32_FROM_LE(value);
}

static bool
fail(GError **error, const char *what)
{
	ph_error_set(error, PH_ERROR_CORRUPT, "a compressed message %s", what);
	return false;
}

bool
container_layout(PhSlice trailer, uint64_t stored, Layout *layout_out)
{
	Layout layout = { 0 };
	uint64_t length = 0;
	uint64_t n = 0;

	if (trailer.length != TRAILER || stored < HEADER + TRAILER)
		return false;
	memcpy(&length, trailer.data, sizeof length);
	layout.length = GUINT64_FROM_LE(length);
	layout.n_frames = get_u32(trailer.data + sizeof length);
	layout.frame_bits = get_u32(trailer.data + sizeof length + SIZE);
	if (layout.frame_bits < MIN_FRAME_BITS || layout.frame_bits > MAX_FRAME_BITS
	    || layout.length == 0 || layout.length > INT64_MAX)
		return false;
	n = ((layout.length - 1) >> layout.frame_bits) + 1;
	/* each frame is at least one octet and has its size */
	if (n != layout.n_frames || n > (stored - HEADER - TRAILER) / (SIZE + 1))
		return false;
	*layout_out = layout;
	return true;
}

/* Frames: a message of several frames that is being read. */
typedef struct {
	PhContent *stored; /* (owned) a reference */
	Layout layout;
	uint64_t *begins; /* (owned) where each frame begins, and where the last one ends */
	char *plain;      /* (owned, nullable) the octets of one frame */
	uint32_t frame;   /* whose octets are there */
} Frames;

static size_t
frame_length(const Layout *layout, uint32_t frame)
{
	uint64_t begin = (uint64_t) frame << layout->frame_bits;

	return (size_t) MIN(layout->length - begin, (uint64_t) 1 << layout->frame_bits);
}

static bool
read_exactly(PhContent *stored, uint64_t offset, char *buffer, size_t length, GError **error)
{
	ssize_t got = ph_content_read(stored, offset, buffer, length, error);

	if (got >= 0 && (size_t) got < length)
		return fail(error, "ends too early");
	return got >= 0;
}

static bool
unpack_frame(const Frames *frames, uint32_t frame, char *out, GError **error)
{
	uint64_t begin = frames->begins[frame];
	size_t packed = (size_t) (frames->begins[frame + 1] - begin);
	g_autofree char *copy = NULL;
	PhSlice octets = PH_SLICE_EMPTY;

	if (ph_content_peek(frames->stored, &octets)) {
		octets = PH_SLICE(octets.data + begin, packed);
	} else {
		copy = g_malloc(packed);
		if (!read_exactly(frames->stored, begin, copy, packed, error))
			return false;
		octets = PH_SLICE(copy, packed);
	}
	return frame_unpack(octets, out, frame_length(&frames->layout, frame))
	       || fail(error, "has a damaged frame");
}

/* Octets of one frame from @offset on; a whole frame goes straight to @buffer. Returns: how many,
 * 0 with @error. */
static size_t
read_from_frame(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Frames *frames = handle;
	uint32_t frame = (uint32_t) (offset >> frames->layout.frame_bits);
	size_t inside = (size_t) (offset - ((uint64_t) frame << frames->layout.frame_bits));
	size_t whole = frame_length(&frames->layout, frame);
	size_t n = MIN(length, whole - inside);

	if (frames->plain != NULL && frames->frame == frame) {
		memcpy(buffer, frames->plain + inside, n);
		return n;
	}
	if (n == whole)
		return unpack_frame(frames, frame, buffer, error) ? n : 0;
	if (frames->plain == NULL)
		frames->plain = g_malloc((size_t) 1 << frames->layout.frame_bits);
	frames->frame = frames->layout.n_frames;
	if (!unpack_frame(frames, frame, frames->plain, error))
		return 0;
	frames->frame = frame;
	memcpy(buffer, frames->plain + inside, n);
	return n;
}

static ssize_t
frames_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Frames *frames = handle;

	if (offset >= frames->layout.length)
		return 0;
	length = (size_t) MIN((uint64_t) length, frames->layout.length - offset);
	return ph_content_read_blocks(read_from_frame, frames, offset, buffer, length, error);
}

static void
frames_free(void *handle)
{
	Frames *frames = handle;

	ph_content_unref(frames->stored);
	g_free(frames->begins);
	g_free(frames->plain);
	g_free(frames);
}

static const PhContentTable frames_table = {
	.size = sizeof frames_table,
	.read = frames_read,
	.free = frames_free,
};

/* Adds up the sizes: they must fill exactly what lies between header and sizes. */
static bool
read_sizes(Frames *frames, GError **error)
{
	uint32_t n = frames->layout.n_frames;
	uint64_t end = ph_content_length(frames->stored) - TRAILER - (uint64_t) n * SIZE;
	size_t most = frame_bound((size_t) 1 << frames->layout.frame_bits);
	g_autofree char *sizes = g_malloc((size_t) n * SIZE);

	if (!read_exactly(frames->stored, end, sizes, (size_t) n * SIZE, error))
		return false;
	frames->begins = g_new(uint64_t, (size_t) n + 1);
	frames->begins[0] = HEADER;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t size = get_u32(sizes + (size_t) i * SIZE);

		if (size == 0 || size > most)
			return fail(error, "has a frame of an impossible size");
		frames->begins[i + 1] = frames->begins[i] + size;
	}
	return frames->begins[n] == end || fail(error, "has sizes that do not fit its length");
}

/* A message of one frame is unpacked at once. */
static PhContent *
unpack_whole(const Frames *frames, GError **error)
{
	size_t length = (size_t) frames->layout.length;
	g_autofree char *plain = g_malloc(length);

	if (!unpack_frame(frames, 0, plain, error))
		return NULL;
	return ph_content_new_take(g_steal_pointer(&plain), length);
}

static PhContent *
unpack_frames(PhContent *stored, GError **error)
{
	uint64_t length = ph_content_length(stored);
	Frames *frames = NULL;
	PhContent *content = NULL;
	char trailer[TRAILER];
	Layout layout;

	if (length < HEADER + TRAILER)
		return fail(error, "ends too early"), NULL;
	if (!read_exactly(stored, length - TRAILER, trailer, TRAILER, error))
		return NULL;
	if (!container_layout(PH_SLICE(trailer, TRAILER), length, &layout))
		return fail(error, "has a damaged end"), NULL;
	frames = g_new0(Frames, 1);
	frames->stored = ph_content_ref(stored);
	frames->layout = layout;
	if (!read_sizes(frames, error)) {
		frames_free(frames);
		return NULL;
	}
	if (layout.n_frames > 1)
		return ph_content_new_custom(&frames_table, frames, layout.length);
	content = unpack_whole(frames, error);
	frames_free(frames);
	return content;
}

PhContent *
container_unpack(PhContent *stored, GError **error)
{
	uint64_t length = ph_content_length(stored);
	char header[HEADER];

	if (length < HEADER)
		return ph_content_ref(stored);
	if (!read_exactly(stored, 0, header, HEADER, error))
		return NULL;
	if (memcmp(header, container_magic, sizeof container_magic) != 0)
		return ph_content_ref(stored);
	switch (header[HEADER - 1]) {
	case KIND_AS_IT_IS:
		return ph_content_new_range(stored, HEADER, length - HEADER);
	case KIND_FRAMES:
		return unpack_frames(stored, error);
	default:
		return fail(error, "is of a kind that this version does not know"), NULL;
	}
}

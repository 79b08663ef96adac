/* compress.h: the inside of the compress store: how octets are packed
 *
 * What lies below is one of these, told apart by the first eight octets, which no mail begins with
 * (0xff and NUL may not stand in a header):
 *
 *	FF 00 50 48 5A 53 54 00   the message as it is follows
 *	FF 00 50 48 5A 53 54 01   frames, sizes, trailer follow
 *	anything else             the message as it is: it was stored before there was compression
 *
 * A frame is one zstd frame with a checksum and holds FRAME octets of the message, the last one what
 * is left. Behind the frames stand their sizes, 4 octets each, and a trailer of 16 octets: the
 * message's length (8), the number of frames (4), the binary logarithm of a frame's octets (4), all
 * little-endian. So a reader finds any offset without inflating what stands before it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_COMPRESS_H
#define STORE_COMPRESS_H

#include <posthorn/below.h>
#include <posthorn/error.h>

enum {
	HEADER = 8,
	TRAILER = 16,
	SIZE = 4, /* of a frame's size */
	KIND_AS_IT_IS = 0,
	KIND_FRAMES = 1,
	FRAME_BITS = 17,
	FRAME = 1 << FRAME_BITS,
	MIN_FRAME_BITS = 12, /* that a reader takes */
	MAX_FRAME_BITS = 20,
};

extern const char container_magic[HEADER - 1];

/* Layout: a container's trailer, checked against its length. */
typedef struct {
	uint64_t length; /* of the message */
	uint32_t n_frames;
	uint32_t frame_bits;
} Layout;

/* container_layout: @trailer: the last TRAILER octets of @stored. Pure.
 * Returns: false when no such container can have that length. */
bool container_layout(PhSlice trailer, uint64_t stored, Layout *layout_out);

/* container_pack: Returns: (owned) what to store; NULL with @error when @content cannot be read. */
PhContent *container_pack(PhContent *content, int level, GError **error);

/* container_unpack: @stored: (borrowed) a reference is kept. Returns: (owned) the message; NULL with
 * CORRUPT or what reading gave. */
PhContent *container_unpack(PhContent *stored, GError **error);

/* zstd's contexts, a few of which are kept. frame_pack: Returns: octets written to @out, which has
 * room for frame_bound(). frame_unpack: exactly @length octets, or false. */
size_t frame_bound(size_t length);
size_t frame_pack(PhSlice plain, int level, char *out);
bool frame_unpack(PhSlice packed, char *out, size_t length);

#endif

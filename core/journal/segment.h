/* segment.h: one file of the journal
 *
 * Made once, filled with zeros, and used again and again: each filling begins with a head that says
 * from which position on it holds records. Octets behind the head lie at their position less the
 * filling's start.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_JOURNAL_SEGMENT_H
#define PH_JOURNAL_SEGMENT_H

#include <posthorn/types.h>

enum {
	PH_SEGMENT_HEAD = 4096,
	PH_SEGMENT_MODE = 0600,
};

typedef struct {
	int fd;
	unsigned slot; /* its file is "segment-SLOT" */
	uint64_t size; /* of the file */
	/* The filling; sequence 0: none. */
	uint64_t sequence;
	uint64_t start;
	uint64_t end; /* behind its last record */
	uint64_t seed;
	bool is_bad; /* a write or sync has failed: never used again */
} PhSegment;

/* ph_segment_make: the file, zeros and name durable. ph_segment_open: one that is there; its filling
 * is taken when the head is that of the journal @id. NULL with @error; _open: NULL without @error
 * when there is no such file. Returns: (owned). Blocks: on the disk, as all do. */
PhSegment *ph_segment_make(int folder_fd, unsigned slot, uint64_t size, GError **error);
PhSegment *ph_segment_open(int folder_fd, unsigned slot, uint64_t id, GError **error);
void ph_segment_free(PhSegment *segment);

/* ph_segment_begin: a new filling; the head is written, not synced. */
bool ph_segment_begin(PhSegment *segment,
                      uint64_t id,
                      uint64_t sequence,
                      uint64_t start,
                      GError **error);

/* ph_segment_room: octets that still fit behind @position. */
uint64_t ph_segment_room(const PhSegment *segment, uint64_t position);

bool ph_segment_write(PhSegment *segment, uint64_t position, PhSlice octets, GError **error);

/* ph_segment_read: @buffer: (out). Returns: octets read, short only at the file's end; -1. */
ssize_t ph_segment_read(PhSegment *segment,
                        uint64_t position,
                        char *buffer,
                        size_t length,
                        GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSegment, ph_segment_free)

#endif

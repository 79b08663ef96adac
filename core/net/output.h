/* output.h: what a session has still to send: octets and ranges of contents, in order
 *
 * While a session runs its small writes gather in the worker's own buffer; only what the socket
 * did not take is copied and kept. So a session whose peer reads has no output memory at all.
 *
 * Thread: session.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_OUTPUT_H
#define PH_NET_OUTPUT_H

#include <posthorn/content.h>

#include "net/slot.h"
#include "net/stream.h"

enum {
	PH_OUTPUT_HIGH_WATER = 256 * 1024, /* octets */
	PH_OUTPUT_MAX_CONTENTS = 8,
	PH_OUTPUT_MAX_OCTETS = 16 * 1024 * 1024, /* a protocol that does not look: give up */
	PH_OUTPUT_TURN = 256 * 1024,             /* then others have their turn */
};

typedef struct PhChunk PhChunk;

typedef struct {
	PhChunk *first;
	PhChunk **last_link;
	size_t queued;       /* octets of chunks, contents included */
	uint32_t n_contents; /* chunks that are contents */
	bool broken;         /* too much was queued */
	bool wants_read;     /* the stream must read before it can write */
} PhOutput;

/* PhScratch: a worker's own buffers. */
enum {
	PH_SCRATCH_READ = 64 * 1024,
	PH_SCRATCH_IN = 2 * 64 * 1024 + 4096,
	PH_SCRATCH_OUT = 64 * 1024,
	PH_SCRATCH_PUMP = 64 * 1024,
};

struct PhScratch {
	char in[PH_SCRATCH_IN];
	char out[PH_SCRATCH_OUT];
	char pump[PH_SCRATCH_PUMP];
	size_t out_used; /* of the session that runs */
};

PhScratch *ph_scratch_new(void);
void ph_scratch_free(PhScratch *scratch);

void ph_output_init(PhOutput *output);
void ph_output_clear(PhOutput *output);

void ph_output_write(PhOutput *output, PhScratch *scratch, PhSlice octets);
void ph_output_write_content(PhOutput *output,
                             PhScratch *scratch,
                             PhContent *content,
                             uint64_t offset,
                             uint64_t length);

/* ph_output_keep: nothing is sent now: what is in the scratch is kept outside it. */
void ph_output_keep(PhOutput *output, PhScratch *scratch);

/* ph_output_pending: octets not yet given to the stream. */
size_t ph_output_pending(const PhOutput *output, const PhScratch *scratch);
bool ph_output_full(const PhOutput *output, const PhScratch *scratch);

typedef enum {
	PH_FLUSH_DONE = 0,
	PH_FLUSH_BLOCKED = 1, /* the socket is full */
	PH_FLUSH_TURN = 2,    /* PH_OUTPUT_TURN octets went out and there is more */
	PH_FLUSH_FAILED = 3,  /* the connection is dead, or a content could not be read */
} PhFlush;

/* ph_output_flush: sends. @sent_out: octets that went. @error: set when a content failed. What
 * is left is kept outside the scratch. */
PhFlush ph_output_flush(PhOutput *output,
                        PhScratch *scratch,
                        PhStream *stream,
                        size_t *sent_out,
                        GError **error);

/* ph_output_total: kept octets of all sessions together. Thread: any. */
size_t ph_output_total(void);
void ph_output_set_max_total(size_t octets);

#endif

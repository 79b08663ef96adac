/* framing.h: cuts a session's input into lines, counted octets or dot-stuffed data
 *
 * A pure machine: it is shown the octets that are there and says what the next frame is and how
 * many of them it used up. It keeps no octets itself: what it did not use must be shown again, in
 * front of what comes later. However the input is split, the calls that a protocol sees are the
 * same but for the cuts between pieces of one body.
 *
 * Thread: session.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_FRAMING_H
#define PH_NET_FRAMING_H

#include <posthorn/session.h>

enum {
	/* Octets of one over-long line that are skipped before the connection is given up. */
	PH_FRAMING_MAX_SKIP = 16 * 1024 * 1024,
	/* The longest line and the longest counted body that come in one call. */
	PH_FRAMING_MAX_WHOLE = 64 * 1024,
};

typedef enum {
	PH_FRAMING_LINES = 0,
	PH_FRAMING_OCTETS = 1, /* counted, in pieces */
	PH_FRAMING_WHOLE = 2,  /* counted, in one call */
	PH_FRAMING_DATA = 3,   /* dot-stuffed */
} PhFramingMode;

typedef enum {
	PH_FRAME_NONE = 0,  /* more input is needed */
	PH_FRAME_LINE = 1,  /* slice and flaws (PH_LINE_*) */
	PH_FRAME_PIECE = 2, /* slice and final */
	PH_FRAME_FLOOD = 3, /* an over-long line never ends: close */
} PhFrameKind;

typedef struct {
	PhFrameKind kind;
	bool final;
	uint32_t flaws;
	PhSlice slice; /* into the input, or static */
} PhFrame;

typedef struct {
	uint8_t mode;       /* PhFramingMode */
	uint8_t data_state; /* of dot-stuffed data */
	bool skipping;      /* the rest of an over-long line */
	uint32_t limit;     /* of a line, without CRLF */
	uint32_t scanned;   /* octets of the incomplete line that hold no LF */
	uint32_t skipped;
	uint32_t flaws;     /* state of ph_session_scan_flaws() */
	uint64_t remaining; /* of counted octets */
} PhFraming;

void ph_framing_init(PhFraming *framing, size_t line_limit);
void ph_framing_set_limit(PhFraming *framing, size_t octets);
void ph_framing_begin_octets(PhFraming *framing, uint64_t n, bool whole);
void ph_framing_begin_data(PhFraming *framing);

/* ph_framing_next: the next frame of @input. @used_out: octets to drop from its front, also for
 * PH_FRAME_NONE; the frame's slice points into what is dropped. */
void ph_framing_next(PhFraming *framing, PhSlice input, PhFrame *frame_out, size_t *used_out);

/* ph_framing_in_body: are counted octets or data under way? */
static inline bool
ph_framing_in_body(const PhFraming *framing)
{
	return framing->mode != PH_FRAMING_LINES;
}

/* ph_framing_wanted: how many octets, those shown included, can be in front of the machine before
 * it must use some: what a buffer has to hold. */
size_t ph_framing_wanted(const PhFraming *framing);

#endif

/* framing.c: cuts a session's input into lines, counted octets or dot-stuffed data
 *
 * Owns the three input modes and their limits. Knows nothing of any protocol. A mode change takes
 * effect at the next octet not yet used. Dot-stuffed data ends at CR LF . CR LF and at nothing
 * else (RFC 5321 section 4.5.2); a dot at the start of a line is taken away, every other octet is
 * passed on, and what is wrong with it is counted as it passes.
 *
 * A line that is too long is reported as soon as that is known; its rest is skipped.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/framing.h"

#include <posthorn/protocol.h>
#include <posthorn/slice.h>

#include <string.h>

/* States of dot-stuffed data: where the next octet stands. */
enum {
	LINE_START, /* behind CR LF, or first */
	BEHIND_DOT, /* behind a dot at the start of a line; the dot is not passed on */
	BEHIND_DOT_CR /* behind that and a CR, which is held back */,
	IN_LINE,
	BEHIND_CR,
};

void
ph_framing_init(PhFraming *framing, size_t line_limit)
{
	*framing = (PhFraming){ .mode = PH_FRAMING_LINES };
	ph_framing_set_limit(framing, line_limit);
}

void
ph_framing_set_limit(PhFraming *framing, size_t octets)
{
	framing->limit = (uint32_t) CLAMP(octets, 1, PH_FRAMING_MAX_WHOLE);
	framing->scanned = 0;
}

void
ph_framing_begin_octets(PhFraming *framing, uint64_t n, bool whole)
{
	framing->mode = PH_FRAMING_OCTETS;
	if (whole && n <= PH_FRAMING_MAX_WHOLE)
		framing->mode = PH_FRAMING_WHOLE;
	framing->remaining = n;
	framing->flaws = 0;
}

void
ph_framing_begin_data(PhFraming *framing)
{
	framing->mode = PH_FRAMING_DATA;
	framing->data_state = LINE_START;
	framing->flaws = 0;
}

size_t
ph_framing_wanted(const PhFraming *framing)
{
	switch ((PhFramingMode) framing->mode) {
	case PH_FRAMING_LINES:
		return (size_t) framing->limit + 2;
	case PH_FRAMING_WHOLE:
		return (size_t) framing->remaining;
	case PH_FRAMING_OCTETS:
	case PH_FRAMING_DATA:
		break;
	}
	return 1;
}

static uint32_t
find_line_flaws(PhSlice line)
{
	uint32_t flaws = 0;

	if (line.length == 0)
		return 0;
	if (memchr(line.data, '\r', line.length) != NULL)
		flaws |= PH_LINE_BARE_CR;
	if (memchr(line.data, '\0', line.length) != NULL)
		flaws |= PH_LINE_NUL;
	return flaws;
}

/* Drops input up to and with the LF that ends an over-long line. */
static size_t
skip_line(PhFraming *framing, PhSlice input, PhFrame *frame)
{
	const char *lf = input.length > 0 ? memchr(input.data, '\n', input.length) : NULL;

	if (lf != NULL) {
		framing->skipping = false;
		framing->skipped = 0;
		return (size_t) (lf - input.data) + 1;
	}
	framing->skipped += (uint32_t) MIN(input.length, (size_t) PH_FRAMING_MAX_SKIP);
	if (framing->skipped >= PH_FRAMING_MAX_SKIP)
		frame->kind = PH_FRAME_FLOOD;
	return input.length;
}

static size_t
cut_long_line(PhFraming *framing, PhSlice input, PhFrame *frame)
{
	frame->kind = PH_FRAME_LINE;
	frame->slice = PH_SLICE(input.data, framing->limit);
	frame->flaws = PH_LINE_TOO_LONG | find_line_flaws(frame->slice);
	framing->skipping = true;
	framing->scanned = 0;
	return framing->limit;
}

static size_t
next_line(PhFraming *framing, PhSlice input, PhFrame *frame)
{
	size_t limit = framing->limit;
	size_t known = MIN((size_t) framing->scanned, input.length);
	size_t window = MIN(input.length, limit + 2);
	const char *lf = NULL;
	size_t length = 0;

	if (window > known)
		lf = memchr(input.data + known, '\n', window - known);
	if (lf == NULL) {
		/* One octet above the limit may be the CR of a line that just fits. */
		if (input.length > limit + 1
		    || (input.length == limit + 1 && input.data[limit] != '\r'))
			return cut_long_line(framing, input, frame);
		framing->scanned = (uint32_t) input.length;
		return 0;
	}
	length = (size_t) (lf - input.data);
	frame->flaws = PH_LINE_BARE_LF;
	if (length > 0 && input.data[length - 1] == '\r') {
		length--;
		frame->flaws = 0;
	}
	if (length > limit)
		return cut_long_line(framing, input, frame);
	frame->kind = PH_FRAME_LINE;
	frame->slice = PH_SLICE(input.data, length);
	frame->flaws |= find_line_flaws(frame->slice);
	framing->scanned = 0;
	return (size_t) (lf - input.data) + 1;
}

static void
pass_piece(PhFraming *framing, PhFrame *frame, PhSlice piece, bool final)
{
	frame->kind = PH_FRAME_PIECE;
	frame->slice = piece;
	frame->final = final;
	framing->flaws = ph_session_scan_flaws(framing->flaws, piece, final);
	if (final)
		framing->mode = PH_FRAMING_LINES;
}

static size_t
next_octets(PhFraming *framing, PhSlice input, PhFrame *frame)
{
	size_t n = (size_t) MIN((uint64_t) input.length, framing->remaining);

	if (framing->mode == PH_FRAMING_WHOLE && n < framing->remaining)
		return 0;
	if (n == 0 && framing->remaining > 0)
		return 0;
	framing->remaining -= n;
	pass_piece(framing, frame, PH_SLICE(input.data, n), framing->remaining == 0);
	return n;
}

/* How many octets from @input can be passed on before the machine has to look at a dot: up to and
 * with a CR LF that a dot follows, or all of it. Leaves the state behind them. */
static size_t
measure_piece(PhFraming *framing, PhSlice input)
{
	size_t at = 0;

	if (framing->data_state == BEHIND_CR && input.length > 0 && input.data[0] == '\n') {
		framing->data_state = LINE_START;
		at = 1;
	}
	while (at < input.length) {
		const char *lf = NULL;

		if (framing->data_state == LINE_START && input.data[at] == '.')
			return at;
		lf = memchr(input.data + at, '\n', input.length - at);
		if (lf == NULL) {
			framing->data_state =
				input.data[input.length - 1] == '\r' ? BEHIND_CR : IN_LINE;
			return input.length;
		}
		framing->data_state = IN_LINE;
		if (lf > input.data + at && lf[-1] == '\r')
			framing->data_state = LINE_START;
		at = (size_t) (lf - input.data) + 1;
	}
	return at;
}

/* Behind a dot at the start of a line. Returns the octets used; frame->kind says whether something
 * has to be passed on. */
static size_t
look_behind_dot(PhFraming *framing, char next, PhFrame *frame)
{
	if (framing->data_state == BEHIND_DOT) {
		framing->data_state = next == '\r' ? BEHIND_DOT_CR : IN_LINE;
		return next == '\r' ? 1 : 0;
	}
	if (next == '\n') {
		framing->data_state = LINE_START;
		pass_piece(framing, frame, PH_SLICE_EMPTY, true);
		return 1;
	}
	/* The CR that was held back stands alone: the octet behind it is looked at again. */
	framing->data_state = BEHIND_CR;
	pass_piece(framing, frame, PH_SLICE_LITERAL("\r"), false);
	return 0;
}

static size_t
next_data(PhFraming *framing, PhSlice input, PhFrame *frame)
{
	size_t used = 0;

	while (used < input.length && frame->kind == PH_FRAME_NONE) {
		PhSlice rest = ph_slice_from(input, used);
		size_t n = 0;

		if (framing->data_state == BEHIND_DOT || framing->data_state == BEHIND_DOT_CR) {
			used += look_behind_dot(framing, rest.data[0], frame);
			continue;
		}
		n = measure_piece(framing, rest);
		if (n > 0)
			pass_piece(framing, frame, PH_SLICE(rest.data, n), false);
		used += n;
		if (n < rest.length) {
			framing->data_state = BEHIND_DOT;
			used++;
		}
	}
	return used;
}

void
ph_framing_next(PhFraming *framing, PhSlice input, PhFrame *frame_out, size_t *used_out)
{
	size_t used = 0;

	*frame_out = (PhFrame){ .kind = PH_FRAME_NONE };
	if (framing->skipping) {
		used = skip_line(framing, input, frame_out);
		input = ph_slice_from(input, used);
	}
	if (!framing->skipping) {
		switch ((PhFramingMode) framing->mode) {
		case PH_FRAMING_LINES:
			if (input.length > 0)
				used += next_line(framing, input, frame_out);
			break;
		case PH_FRAMING_OCTETS:
		case PH_FRAMING_WHOLE:
			used += next_octets(framing, input, frame_out);
			break;
		case PH_FRAMING_DATA:
			used += next_data(framing, input, frame_out);
			break;
		}
	}
	*used_out = used;
}

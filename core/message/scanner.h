/* message/scanner.h: the state of a scan between its pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_SCANNER_H
#define MESSAGE_SCANNER_H

#include "message/envelope.h"
#include "message/scan.h"

/* PhScanState: where the next octet stands. */
typedef enum {
	PH_SCAN_HEADER = 0,
	PH_SCAN_BODY = 1,
	PH_SCAN_DELIMITER = 2, /* in the rest of a boundary line */
} PhScanState;

/* PhBoundary: a multipart that is still looking for parts. */
typedef struct {
	PhSpan text;    /* in the scan's pool */
	uint32_t level; /* of the multipart in @open */
} PhBoundary;

struct PhScanner {
	PhScan scan;
	PhEnvelope envelope;
	PhPartHeader header;
	PhScanState state;
	bool begins_part;      /* after the boundary line: a part, not the epilogue */
	bool line_start;       /* the next octet begins a line */
	bool last_cr;          /* the octet before was CR */
	bool carry_first_line; /* @carry has no complete line yet */
	bool carry_line_ended; /* @carry ends with a line end */
	uint32_t line_end;     /* octets of the last line end: 1 or 2 */
	uint32_t n_open;
	uint32_t most_parts; /* of a message so far: what @parts has room for */
	uint32_t n_boundaries;
	uint64_t offset;                      /* of the next octet in the message */
	uint64_t carry_offset;                /* of the first octet of @carry */
	uint64_t header_octets;               /* looked at so far, in all header blocks */
	GString *carry;                       /* a field or line that began in an earlier piece */
	uint32_t open[PH_PART_DEPTH_MAX + 2]; /* parts that the next octet is in */
	PhBoundary boundaries[PH_PART_DEPTH_MAX + 2];
};

/* scanner-parts.c: the tree of parts. */

/* ph_scanner_open_part: a part whose header begins at @offset. False: too many or too deep. */
bool ph_scanner_open_part(PhScanner *scanner, uint64_t offset);
/* ph_scanner_close_parts: all parts from @level inwards end at @end, where a boundary line begins, or
 * the message ends when @boundary is false. */
void ph_scanner_close_parts(PhScanner *scanner, uint32_t level, uint64_t end, bool boundary);
/* ph_scanner_take_field: one whole field of the innermost part's header. */
void ph_scanner_take_field(PhScanner *scanner, PhSlice field);
/* ph_scanner_end_header: the innermost part's body begins at @body. Sets the next state. */
void ph_scanner_end_header(PhScanner *scanner, uint64_t body);
/* ph_scanner_find_boundary: the multipart whose boundary stands in @line, or NULL.
 * @closing_out: it is the last one of that multipart. */
const PhBoundary *ph_scanner_find_boundary(const PhScanner *scanner,
                                           PhSlice line,
                                           bool *closing_out);
/* ph_scanner_take_boundary: that line stands at @offset. */
void ph_scanner_take_boundary(PhScanner *scanner,
                              const PhBoundary *found,
                              bool closing,
                              uint64_t offset);

#endif

/* message/scan.h: what a scan gathers, and how it becomes a structure
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_SCAN_H
#define MESSAGE_SCAN_H

#include <posthorn/message.h>

#include "message/part-header.h"
#include "message/summary.h"

/* PhScanPart: one part while scanning. Spans point into PhScan.pool. */
typedef struct {
	uint64_t header_offset;
	uint64_t header_size;
	uint64_t body_offset;
	uint64_t body_size;
	uint64_t body_lines;
	uint64_t lines_before; /* line ends of the message before the body */
	uint32_t kind;
	uint32_t encoding;
	uint32_t depth;
	uint32_t parent;
	uint32_t next;
	uint32_t n_children;
	uint32_t last_child;
	bool is_message; /* the message itself or the child of a message part */
	bool is_digest;  /* children are messages by default */
	PhSpan leaf;     /* rendered type to encoding, or the subtype of a multipart */
	PhSpan more;     /* rendered extension data */
	PhSpan envelope; /* of a part with is_message */
	PhSpan type;
	PhSpan subtype;
	PhSpan charset;
	PhSpan disposition;
	PhSpan filename;
} PhScanPart;

/* PhScan: all that a scan knows at its end. */
typedef struct {
	GArray *parts; /* PhScanPart, in the order of their octets */
	GString *pool;
	GString *blob;   /* scratch of ph_scan_build */
	GString *fields; /* of the message's header: those that are kept */
	bool no_fields;  /* they are too long */
	PhSummary summary;
	uint64_t size;
	uint64_t lines;
	bool is_cut;
} PhScan;

static inline PhScanPart *
ph_scan_part(const PhScan *scan, uint32_t index)
{
	return &g_array_index(scan->parts, PhScanPart, index);
}

/* ph_scan_build: (owned) the structure. */
PhStructure *ph_scan_build(PhScan *scan);

#endif

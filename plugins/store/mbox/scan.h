/* scan.h: finds the messages of an mbox, one after the other
 *
 * A message begins at a From_ line. What stands before the first one belongs to none, nor does the
 * pseudo message of UW-IMAP (X-IMAP). A Content-Length is believed only when it leads to a From_
 * line or to the end. Linear time, and memory for two windows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_SCAN_H
#define STORE_MBOX_SCAN_H

#include "from.h"
#include "wire.h"

typedef enum {
	VARIANT_AUTO,
	VARIANT_MBOXO,
	VARIANT_MBOXRD,
	VARIANT_MBOXCL,
	VARIANT_MBOXCL2,
} Variant;

/* Message: what the scan found. */
typedef struct {
	uint64_t offset;   /* of the From_ line */
	uint64_t length;   /* up to the next message or the end */
	uint64_t octets;   /* as clients see it */
	uint64_t digest;   /* of its header as clients see it */
	uint32_t marks;    /* MARK_* */
	uint32_t uid;      /* of X-UID; 0: none */
	uint32_t validity; /* under which @uid was written by us; 0: not told */
	uint32_t flags;    /* PH_FLAG_* */
	uint32_t keywords_hash;
	uint32_t metadata; /* octets of the metadata that follow the From_ line at once */
	uint32_t from;     /* octets of the From_ line */
	PhDate date;
	const char *keywords; /* borrowed until the next message; words with blanks between */
} Message;

typedef struct {
	const Source *source;
	Variant variant;
	uint64_t end;
	Lines lines;
	Wire wire;
	Message message;
	bool in_message;
	bool in_header;
	bool in_metadata; /* nothing else came since the From_ line */
	bool is_pseudo;
	bool ended;
	FromLine next; /* the From_ line that ended the message before */
	Line next_line;
	bool has_next;
	uint64_t quiet_until; /* From_ lines before it are text */
	GString *words;       /* keywords */
	uint64_t first;       /* offset of the first message of all; UINT64_MAX: none */
	uint32_t base;        /* uidvalidity of X-IMAPbase; 0: none */
	uint32_t base_last;
	bool has_pseudo;
} Scan;

/* scan_init: from @offset, where a message begins (0: wherever the first one does), to @end. */
void scan_init(Scan *scan, const Source *source, Variant variant, uint64_t offset, uint64_t end);
void scan_clear(Scan *scan);

/* scan_next: @found_out: false at the end. */
bool scan_next(Scan *scan, Message *message_out, bool *found_out, GError **error);

#endif

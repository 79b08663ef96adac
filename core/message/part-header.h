/* message/part-header.h: the Content-* fields of one part, rendered for BODYSTRUCTURE
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_PART_HEADER_H
#define MESSAGE_PART_HEADER_H

#include "message/field-id.h"

#define PH_BOUNDARY_MAX 255 /* RFC 2046 allows 70 */

/* PhSpan: octets of a string that may still move. */
typedef struct {
	size_t start;
	size_t length;
} PhSpan;

/* PhPartHeader: one header block under way. Spans point into @text. */
typedef struct {
	GString *text;
	GString *scratch;
	PhSpan type_rendered;          /* "text" */
	PhSpan subtype_rendered;       /* "plain" */
	PhSpan parameters;             /* ("charset" "utf-8") or NIL */
	PhSpan fields[PH_FIELD_OTHER]; /* of the other Content-* fields; empty: NIL */
	PhSpan type;                   /* the same without quotes, for comparing */
	PhSpan subtype;
	PhSpan charset;
	PhSpan disposition;
	PhSpan filename;
	PhSpan boundary;
	uint32_t encoding; /* PhEncoding */
	uint32_t seen;     /* bit of every PhFieldId that was taken */
	bool has_name;     /* the filename is that of the disposition */
} PhPartHeader;

void ph_part_header_init(PhPartHeader *header);
void ph_part_header_clear(PhPartHeader *header);
/* ph_part_header_reset: @digest: the default is message/rfc822, else text/plain. */
void ph_part_header_reset(PhPartHeader *header);
/* ph_part_header_take: the first field of each name counts; others are ignored. */
void ph_part_header_take(PhPartHeader *header, PhFieldId id, PhSlice value);
/* ph_part_header_finish: sets the default type when none was seen. */
void ph_part_header_finish(PhPartHeader *header, bool digest);
/* ph_part_header_plain: whatever was seen, it is opaque text now. */
void ph_part_header_plain(PhPartHeader *header);

static inline PhSlice
ph_span_slice(const GString *text, PhSpan span)
{
	return PH_SLICE(text->str + span.start, span.length);
}

/* ph_part_header_append_leaf: type, subtype, parameters, id, description, encoding. */
void ph_part_header_append_leaf(const PhPartHeader *header, GString *out);
/* ph_part_header_append_leaf_more: " " md5, disposition, language, location. */
void ph_part_header_append_leaf_more(const PhPartHeader *header, GString *out);
/* ph_part_header_append_multipart_more: " " parameters, disposition, language, location. */
void ph_part_header_append_multipart_more(const PhPartHeader *header, GString *out);

#endif

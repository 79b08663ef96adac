/* message.h: the structure of a message: its parts, and the answers that IMAP gives about them
 *
 * A message is octets with CRLF line ends (a bare LF counts as a line end too). One pass over
 * them, at delivery, gives a PhStructure: where every part's header and body lie, the ENVELOPE
 * and BODYSTRUCTURE strings as IMAP sends them, and what SORT and THREAD compare. It serialises
 * to a few hundred octets that a store keeps, so that no message is parsed twice.
 *
 * The scan is linear and iterative and always succeeds: what is broken becomes text/plain. Limits:
 * 100 levels, 10,000 parts, 1 MB of a header field, 10 MB of header fields, 10,000 addresses of a
 * list; what lies beyond is opaque text.
 *
 * A PhStructure never changes, holds no pointer to the message, and is reference counted.
 * Thread: any, for everything here; a scanner belongs to one thread at a time. Nothing blocks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_MESSAGE_H
#define POSTHORN_MESSAGE_H

#include <posthorn/content.h>
#include <posthorn/date.h>
#include <posthorn/header.h>
#include <posthorn/types.h>

G_BEGIN_DECLS

#define PH_PART_DEPTH_MAX 100
#define PH_PARTS_MAX      10000
#define PH_PART_NONE      UINT32_MAX

/* ph_structure_scan: (owned) the structure of a whole message. */
PH_PUBLIC PhStructure *ph_structure_scan(PhSlice message);

PH_PUBLIC PhStructure *ph_structure_ref(PhStructure *structure);
/* ph_structure_unref: @structure: (owned, nullable). */
PH_PUBLIC void ph_structure_unref(PhStructure *structure);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhStructure, ph_structure_unref)

/* PhScanner: the same while the octets stream by, in pieces of any size. Memory is bounded by the
 * header fields and the number of parts, never by bodies. */
typedef struct PhScanner PhScanner;

PH_PUBLIC PhScanner *ph_structure_scanner_new(void);
/* ph_structure_scanner_feed: @piece: (borrowed) the next octets. */
PH_PUBLIC void ph_structure_scanner_feed(PhScanner *scanner, PhSlice piece);
/* ph_structure_scanner_finish: (owned) the message ended. The scanner is as new afterwards and may
 * take another message. */
PH_PUBLIC PhStructure *ph_structure_scanner_finish(PhScanner *scanner);
/* ph_structure_scanner_free: @scanner: (owned, nullable), at any moment. */
PH_PUBLIC void ph_structure_scanner_free(PhScanner *scanner);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhScanner, ph_structure_scanner_free)

/* ph_structure_envelope: "(...)" for FETCH ENVELOPE. Borrowed from the structure. May contain
 * literals, which are complete in it. The same holds for the next one. */
PH_PUBLIC PhSlice ph_structure_envelope(const PhStructure *structure);
/* ph_structure_bodystructure: "(...)" for FETCH BODYSTRUCTURE. */
PH_PUBLIC PhSlice ph_structure_bodystructure(const PhStructure *structure);
/* ph_structure_append_body: "(...)" for FETCH BODY, the same without extension data. */
PH_PUBLIC void ph_structure_append_body(const PhStructure *structure, GString *out);

/* PhMessageInfo: what is true of the whole message. Slices are borrowed from the structure and
 * empty when there is no such field. */
typedef struct {
	uint64_t size;  /* octets of the message */
	uint64_t lines; /* line ends in it */
	uint32_t n_parts;
	bool has_date; /* @date is that of the Date field */
	bool is_cut;   /* a limit was met: something was not looked at */
	PhDate date;
	PhSlice message_id;  /* "<...>", normalised by ph_message_id_next */
	PhSlice in_reply_to; /* the first id of In-Reply-To */
	PhSlice references; /* ids with one blank between; at most the first and the last 99. Those of
	                      * References, or @in_reply_to when there are none: what THREAD uses */
	PhSlice subject;    /* decoded, UTF-8, without NUL */
	PhSlice from;       /* local part of the first mailbox, as SORT compares it */
	PhSlice to;
	PhSlice cc;
	PhSlice from_name; /* decoded name, else local@domain: SORT=DISPLAY (RFC 5957) */
	PhSlice to_name;
} PhMessageInfo;

/* ph_structure_info: never NULL, borrowed from the structure. */
PH_PUBLIC const PhMessageInfo *ph_structure_info(const PhStructure *structure);

/* PhPartKind: what stands in a part's body. */
typedef enum {
	PH_PART_LEAF = 0,      /* octets */
	PH_PART_MULTIPART = 1, /* parts: at least one child */
	PH_PART_MESSAGE = 2,   /* a message: exactly one child, whose header is that message's */
} PhPartKind;

/* PhPart: one part. Part 0 is the message itself. Parts stand in the order of their octets, a parent
 * before its children. Offsets count from the first octet of the message. */
typedef struct {
	uint64_t header_offset;
	uint64_t header_size; /* with the empty line */
	uint64_t body_offset;
	uint64_t body_size; /* without the line end that belongs to the boundary after it */
	uint64_t body_lines;
	uint32_t kind;     /* PhPartKind */
	uint32_t encoding; /* PhEncoding */
	uint32_t depth;    /* 0 for part 0 */
	uint32_t parent;   /* PH_PART_NONE for part 0 */
	uint32_t next;     /* next sibling, or PH_PART_NONE; the first child is the index plus 1 */
	uint32_t n_children;
	PhSlice type;        /* as written: compare without case. "text" by default */
	PhSlice subtype;     /* "plain" by default */
	PhSlice charset;     /* of text, as written; empty when not given */
	PhSlice disposition; /* "attachment", "inline", or empty */
	PhSlice filename;    /* decoded, UTF-8; of the disposition, else the type's name */
} PhPart;

/* ph_structure_part: (borrowed) @index below n_parts. All else about a part is in its header: read
 * it with ph_header_find and ph_mime_value_parse. */
PH_PUBLIC const PhPart *ph_structure_part(const PhStructure *structure, uint32_t index);

/* PhRange: octets of the message. */
typedef struct {
	uint64_t offset;
	uint64_t size;
	uint32_t part;  /* the part meant */
	bool is_header; /* a header block: HEADER or MIME */
} PhRange;

/* PhFind: what a section specification leads to. */
typedef enum {
	PH_FIND_OK = 0,
	PH_FIND_NONE = 1,   /* well formed, but this message has no such part */
	PH_FIND_SYNTAX = 2, /* not a section specification */
} PhFind;

/* ph_structure_find: the octets of an IMAP section (RFC 3501 section 6.4.5): "" is the message,
 * then "HEADER", "TEXT", "1.2", "1.2.MIME", "1.2.HEADER", "1.2.TEXT" (ASCII case does not matter).
 * HEADER.FIELDS is the caller's: look for HEADER and filter with ph_header_append_fields.
 * @range_out: (out) written for OK only. */
PH_PUBLIC PhFind ph_structure_find(const PhStructure *structure,
                                   PhSlice section,
                                   PhRange *range_out);

/* ph_structure_blob: (borrowed from the structure) the octets to store. They are the same for the
 * same message, whatever the pieces in which it was fed. */
PH_PUBLIC PhSlice ph_structure_blob(const PhStructure *structure);

/* ph_structure_from_blob: (owned) the structure again, with a copy of @blob; NULL with
 * PH_ERROR_CORRUPT when it is damaged or of another version: scan the message again.
 * Every octet of @blob is checked; it may come from anywhere. */
PH_PUBLIC PhStructure *ph_structure_from_blob(PhSlice blob, GError **error);

/* Quick looks into a blob without a PhStructure, for FETCH over many messages: slices of @blob,
 * empty when it is damaged. Nothing allocates. */
PH_PUBLIC PhSlice ph_structure_blob_envelope(PhSlice blob);
PH_PUBLIC PhSlice ph_structure_blob_bodystructure(PhSlice blob);

/* ph_structure_blob_fields: the fields of the message's own header that a structure keeps, each as
 * it stands in the message and in their order: a header block in which ph_header_find and
 * ph_header_append_fields give for those names what they give in the message.
 * @fields_out: (out, borrowed from @blob)
 * False: this blob has none (made by an older release, or the fields are too long). */
PH_PUBLIC bool ph_structure_blob_fields(PhSlice blob, PhSlice *fields_out);

/* ph_structure_keeps_field: is it one of those that are kept? ASCII case does not matter. */
PH_PUBLIC bool ph_structure_keeps_field(PhSlice name);

/* ph_structure_blob_info: the message's own values, with slices of @blob, the parts left unchecked;
 * false when the blob is damaged. */
PH_PUBLIC bool ph_structure_blob_info(PhSlice blob, PhMessageInfo *info_out);

/* PhMessageLimit: what somebody can take. */
typedef enum {
	PH_LIMIT_LINES = 1, /* lines that end in CRLF, no NUL: all mail but BINARYMIME */
	PH_LIMIT_7BIT = 2,  /* and octets below 128 in lines of at most 998 */
} PhMessageLimit;

/* ph_message_encode: the message with its parts in base64 or quoted-printable where they pass @limit.
 * Signatures over such parts do not hold any more. Returns: (owned) the same content when nothing
 * passes it; NULL with UNSUPPORTED when octets outside of parts do (8-bit header fields, a preamble),
 * TEMPORARY. Thread: any. Blocks: as reading the content does. */
PH_PUBLIC PhContent *ph_message_encode(PhContent *content, uint32_t limit, GError **error);

/* ph_imap_append_string: @text as an IMAP string: quoted where that is allowed, else a literal. A
 * NUL, which neither can hold, becomes octet 0x80. */
PH_PUBLIC void ph_imap_append_string(PhSlice text, GString *out);
/* ph_imap_append_nstring: the same, NIL for a slice whose data is NULL. */
PH_PUBLIC void ph_imap_append_nstring(PhSlice text, GString *out);

G_END_DECLS

#endif

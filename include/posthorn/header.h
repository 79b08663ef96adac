/* header.h: header fields, encoded words, transfer encodings and charsets
 *
 * A *header block* is what stands before the first empty line of a message or a part, that line
 * included. Values keep their folds until somebody asks for plain text. Whatever is decoded comes
 * out as well-formed UTF-8: octets that mean nothing in the stated charset become U+FFFD, and
 * 8-bit octets without any charset are UTF-8 when they are well formed, else windows-1252.
 *
 * Thread: any, for everything here; a decoder belongs to one thread at a time. Nothing blocks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_HEADER_H
#define POSTHORN_HEADER_H

#include <posthorn/types.h>

G_BEGIN_DECLS

#define PH_HEADER_FIELD_MAX (1024 * 1024)      /* octets of one field that are looked at */
#define PH_HEADER_SUM_MAX   (10 * 1024 * 1024) /* octets of all header blocks of a message */

/* PhHeaderField: one field. Slices are borrowed from the block. A line that is not a field (no
 * colon) has an empty name and is its own value. */
typedef struct {
	PhSlice name;  /* without blanks before the colon */
	PhSlice value; /* after the colon: first blanks and last line end cut, folds kept */
	PhSlice whole; /* the field as it stands, with its last line end */
	size_t offset; /* of @whole in the block */
} PhHeaderField;

/* ph_header_next: steps through a block once.
 * @rest: (inout) the block at first; what is left after each step
 * @offset: (inout) 0 at first. False: the empty line or the end was reached. */
PH_PUBLIC bool ph_header_next(PhSlice *rest, size_t *offset, PhHeaderField *field_out);

/* ph_header_find: the first field of that name (ASCII case does not matter). */
PH_PUBLIC bool ph_header_find(PhSlice block, const char *name, PhHeaderField *field_out);

/* ph_header_append_fields: the fields whose names are in @names (or are not, when @except), each as
 * it stands, then the empty line: the answer to HEADER.FIELDS and HEADER.FIELDS.NOT. */
PH_PUBLIC void ph_header_append_fields(PhSlice block,
                                       const PhSlice *names,
                                       size_t n_names,
                                       bool except,
                                       GString *out);

/* ph_header_append_unfolded: @value with line ends removed where a line is folded, NUL and stray
 * CR and LF as blanks, blanks at both ends cut. */
PH_PUBLIC void ph_header_append_unfolded(PhSlice value, GString *out);

/* ph_header_decode: unfolded, encoded words decoded (RFC 2047, and as lenient about their place as
 * mail programs are), as UTF-8. */
PH_PUBLIC void ph_header_decode(PhSlice value, GString *out);

/* ph_subject_base: the base subject of RFC 5256 section 2.1 of a decoded subject.
 * @is_reply_out: (out, nullable) "Re:", "Fwd:" or the like was cut.
 * Appends to @out, upper case for ASCII letters not applied: compare without case. */
PH_PUBLIC void ph_subject_base(PhSlice subject, GString *out, bool *is_reply_out);

/* ph_message_id_next: the next "<...>" of a Message-ID, In-Reply-To or References value, without
 * blanks and comments, with quoted parts undone as RFC 5256 wants for comparing.
 * @rest: (inout)     @id: overwritten. False: no more. */
PH_PUBLIC bool ph_message_id_next(PhSlice *rest, GString *id);

/* PhParameter: one parameter of Content-Type or Content-Disposition, decoded (RFC 2231
 * continuations joined, percent and charset undone, encoded words undone). */
typedef struct {
	char *name;  /* lower case, without the marks of RFC 2231 */
	char *value; /* UTF-8 */
} PhParameter;

/* PhMimeValue: a parsed Content-Type or Content-Disposition. */
typedef struct {
	char *type;    /* lower case; "text", or the disposition */
	char *subtype; /* lower case; empty for a disposition */
	PhParameter *parameters;
	size_t n_parameters;
} PhMimeValue;

/* ph_mime_value_parse: (owned) always gives a value; "text/plain" for what is not a type when
 * @is_type, "attachment" for what is not a disposition otherwise. At most 100 parameters. */
PH_PUBLIC PhMimeValue *ph_mime_value_parse(PhSlice value, bool is_type);
PH_PUBLIC void ph_mime_value_free(PhMimeValue *value);
/* ph_mime_value_get: (borrowed, nullable) a parameter by its lower-case name. */
PH_PUBLIC const char *ph_mime_value_get(const PhMimeValue *value, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhMimeValue, ph_mime_value_free)

/* PhEncoding: Content-Transfer-Encoding. */
typedef enum {
	PH_ENCODING_7BIT = 0,
	PH_ENCODING_8BIT = 1,
	PH_ENCODING_BINARY = 2,
	PH_ENCODING_QUOTED_PRINTABLE = 3,
	PH_ENCODING_BASE64 = 4,
	PH_ENCODING_OTHER = 5, /* cannot be undone here: octets as they are */
} PhEncoding;

/* ph_encoding_parse: by name; 7BIT when empty. */
PH_PUBLIC PhEncoding ph_encoding_parse(PhSlice value);

/* PhDecoder: undoes a transfer encoding and then, if asked, a charset, in constant memory. */
typedef struct PhDecoder PhDecoder;

/* ph_decoder_new: (owned) @charset: NULL leaves the decoded octets alone; otherwise the output is
 * UTF-8, an empty or unknown charset being treated as said at the head of this file. */
PH_PUBLIC PhDecoder *ph_decoder_new(PhEncoding encoding, const PhSlice *charset);
/* ph_decoder_feed: decodes a piece and appends to @out: at most a few octets of output an octet. */
PH_PUBLIC void ph_decoder_feed(PhDecoder *decoder, PhSlice octets, GString *out);
/* ph_decoder_finish: what is still held. The decoder may then only be freed. */
PH_PUBLIC void ph_decoder_finish(PhDecoder *decoder, GString *out);
PH_PUBLIC void ph_decoder_free(PhDecoder *decoder);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhDecoder, ph_decoder_free)

/* ph_charset_append: all of @octets as UTF-8. False: the charset is unknown; the octets were
 * appended as if they had none. */
PH_PUBLIC bool ph_charset_append(PhSlice charset, PhSlice octets, GString *out);

/* ph_charset_known: can this charset be decoded? For SEARCH CHARSET. */
PH_PUBLIC bool ph_charset_known(PhSlice charset);

/* ph_base64_append: plain base64 with padding and without line breaks. */
PH_PUBLIC void ph_base64_append(PhSlice octets, GString *out);
/* ph_base64_decode: strict: alphabet, padding and length must be right (RFC 4648 section 4, as
 * SASL needs it). False leaves @out as it was. */
PH_PUBLIC bool ph_base64_decode(PhSlice text, GString *out);

G_END_DECLS

#endif

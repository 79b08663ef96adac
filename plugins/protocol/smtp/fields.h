/* fields.h: completes the header of a submitted message while it streams by
 *
 * RFC 6409 section 8: Date, Message-ID, From and Sender are added when they are missing; Bcc and
 * Return-Path are taken out; a header in which From or Sender cannot be right is refused. The
 * header is gathered (bounded), what follows it passes through.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_FIELDS_H
#define POSTHORN_SMTP_FIELDS_H

#include <posthorn/types.h>

enum {
	FIELDS_MAX = 1024 * 1024 /* octets of a header */
};

/* FieldsFor: whose message it is; all borrowed. */
typedef struct {
	const char *hostname;
	const char *id;     /* of the mail: becomes the Message-ID */
	const char *author; /* address for a missing From or Sender; "" when nobody is known */
	PhTime now;
} FieldsFor;

/* Fields: zeroed at the start of a message, fields_clear() at its end. */
typedef struct {
	GString *head;
	bool is_past; /* the header is complete */
} Fields;

/* fields_take: moves what belongs to the header from @piece to it. True: the header is complete (or
 * too long); what is left of @piece belongs to the body. @piece: (inout). */
bool fields_take(Fields *fields, PhSlice *piece);

/* fields_complete: the completed header with its empty line is appended to @out, and the addresses of
 * From to @authors (of owned strings). Returns: NULL, or the reply that refuses the message. */
const char *fields_complete(Fields *fields,
                            const FieldsFor *whose,
                            GString *out,
                            GPtrArray *authors);
void fields_clear(Fields *fields);

#endif

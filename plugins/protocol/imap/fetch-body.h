/* fetch-body.h: the octets of message sections
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_FETCH_BODY_H
#define IMAP_FETCH_BODY_H

#include <posthorn/mailbox.h>

#include "fetch-parse.h"

/* imap_put: append that is inlined: FETCH over many messages does little else. */
static inline void
imap_put(GString *out, const char *octets, size_t n)
{
	if (out->len + n >= out->allocated_len) {
		g_string_append_len(out, octets, (gssize) n);
		return;
	}
	memcpy(out->str + out->len, octets, n);
	out->len += n;
	out->str[out->len] = '\0';
}

/* FetchMessage: the message that is being answered; content and structure come when needed. */
typedef struct {
	PhSession *session;
	PhView *view;
	const PhRecord *record;
	PhContent *content;     /* (owned) */
	PhStructure *structure; /* (owned) */
	GString *out;           /* (borrowed) what was not yet given to the session */
	bool any;               /* an item was written */
	bool begun;             /* part of the answer is with the session */
} FetchMessage;

/* imap_fetch_begin: the name of the next item, with a blank before it but for the first. */
void imap_fetch_begin(FetchMessage *message, const char *name);

void imap_fetch_message_clear(FetchMessage *message);

PhStructure *imap_fetch_structure(FetchMessage *message, GError **error);

/* imap_fetch_section: "LABEL {n}" and the octets. False: nothing was written. */
bool imap_fetch_section(FetchMessage *message, const FetchSection *section, GError **error);

#endif

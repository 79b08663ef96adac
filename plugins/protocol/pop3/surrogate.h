/* surrogate.h: a message for clients that know nothing but ASCII in header fields
 *
 * RFC 6856 section 2.1 forbids to send other octets in header fields to a client that has not said UTF8.
 * What it gets instead follows RFC 6858, but keeps more: texts become encoded words (RFC 2047),
 * parameters percent-encoded (RFC 2231); octets that are no UTF-8 count as windows-1252. An address that
 * cannot be written in ASCII becomes one that leads nowhere, with the true one in its name. Other fields
 * with such octets are left out. Bodies stay as they are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_POP3_SURROGATE_H
#define POSTHORN_POP3_SURROGATE_H

#include <posthorn/content.h>

/* surrogate_header: the header block with ASCII alone. Pure. */
void surrogate_header(PhSlice block, GString *out);

/* surrogate_new: Returns: (owned) the message with its headers, and those of its parts, in ASCII: @content
 * itself when they are; NULL with LIMIT for headers that are too long, or as reading fails. */
PhContent *surrogate_new(PhContent *content, GError **error);

#endif

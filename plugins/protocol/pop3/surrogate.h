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

enum {
	SURROGATE_READ_MAX = 1024 * 1024,     /* octets of header fields that are rewritten */
	SURROGATE_MADE_MAX = 4 * 1024 * 1024, /* and what becomes of them */
};

/* surrogate_header: the header block with ASCII alone. Returns: false when @out became longer than
 * @most: then it is not the whole. Pure. */
bool surrogate_header(PhSlice block, size_t most, GString *out);

/* surrogate_new: Returns: (owned) the message with its headers, and those of its parts, in ASCII: @content
 * itself when they are; NULL as reading fails. Both bounds hold for a whole message: headers beyond
 * them stay as they are, because a client that cannot fetch a message at all is worse off. */
PhContent *surrogate_new(PhContent *content, GError **error);

#endif

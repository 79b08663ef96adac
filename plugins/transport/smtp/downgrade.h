/* downgrade.h: a message for a host that takes only 7-bit text, nothing binary or no long lines
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef DOWNGRADE_H
#define DOWNGRADE_H

#include <posthorn/content.h>

enum {
	DOWNGRADE_8BIT = 1U << 0,   /* no octet above 127 in a body */
	DOWNGRADE_BINARY = 1U << 1, /* no part with the encoding "binary" */
	DOWNGRADE_LINES = 1U << 2,  /* no line of more than 998 octets, where no signature breaks */
};

typedef enum {
	DOWNGRADED = 1,
	DOWNGRADE_IMPOSSIBLE = 2, /* something is signed or encrypted, or has an encoding that is
	                           * not known */
	DOWNGRADE_FAILED = 3,     /* it could not be read, or no space is left */
} Downgraded;

/* downgrade_message: @content_out: (out, owned) for DOWNGRADED: the same message with parts in
 * quoted-printable or base64 where that is needed (RFC 2045). Header fields stay as they are, but
 * for the folding of long ones. With DOWNGRADE_LINES nothing is impossible: what is signed, by the
 * message's DKIM or ARC signature too, or has an encoding already keeps its lines.
 * Blocks: on the disk. */
Downgraded downgrade_message(PhContent *content, uint32_t what, PhContent **content_out);

#endif

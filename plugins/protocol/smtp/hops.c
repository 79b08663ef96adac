/* hops.c: counts the Received fields of a message while it streams by
 *
 * RFC 5321 section 6.3: a message that went through too many hosts is in a loop. Only the start of
 * each header line is compared; the rest of a line is skipped by memchr. A fold ("\tfrom ...") is
 * no field, an empty line ends the header.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hops.h"

#include <string.h>

static const char field[] = "received:";

/* Looks at one octet of a line that may still be a Received field. */
static void
scan_octet(Hops *hops, char octet)
{
	if (hops->column == 0 && octet == '\n') {
		hops->is_past = true;
		return;
	}
	if (hops->column == 0 && octet == '\r')
		return;
	if (g_ascii_tolower(octet) != field[hops->column]) {
		hops->is_other = true;
		return;
	}
	hops->column++;
	if (field[hops->column] == '\0') {
		hops->n_received++;
		hops->is_other = true;
	}
}

void
hops_scan(Hops *hops, PhSlice piece)
{
	const char *at = piece.data;
	const char *end = piece.data + piece.length;

	while (at < end && !hops->is_past) {
		if (!hops->is_other) {
			scan_octet(hops, *at);
			if (!hops->is_other) {
				at++;
				continue;
			}
		}
		at = memchr(at, '\n', (size_t) (end - at));
		if (at == NULL)
			return;
		at++;
		hops->column = 0;
		hops->is_other = false;
	}
}

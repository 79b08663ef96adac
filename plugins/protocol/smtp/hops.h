/* hops.h: counts the Received fields of a message while it streams by
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_HOPS_H
#define POSTHORN_SMTP_HOPS_H

#include <posthorn/types.h>

/* Hops: zeroed at the start of a message. */
typedef struct {
	uint32_t n_received;
	uint8_t column; /* octets of the current line that were looked at, while they fit */
	bool is_other;  /* this line is not a Received field */
	bool is_past;   /* the header has ended */
} Hops;

/* hops_scan: one more piece. Linear; only the header is looked at. */
void hops_scan(Hops *hops, PhSlice piece);

#endif

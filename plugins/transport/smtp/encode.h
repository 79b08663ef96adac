/* encode.h: quoted-printable and base64 as octets pass by
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef ENCODE_H
#define ENCODE_H

#include <posthorn/types.h>

enum {
	ENCODE_LINE_MAX = 76, /* RFC 2045 sections 6.7 and 6.8 */
};

/* Encoder: zeroed at first but for is_base64. */
typedef struct {
	bool is_base64;
	unsigned char held[3]; /* octets whose form depends on what follows */
	uint8_t n_held;
	uint8_t column;
} Encoder;

/* encode_feed: appends what is certain of @piece. encode_finish: the rest. Pure. In quoted-printable
 * a CR LF or LF is a line end, a CR alone an octet like any other. */
void encode_feed(Encoder *encoder, PhSlice piece, GString *out);
void encode_finish(Encoder *encoder, GString *out);

#endif

/* message/transfer.h: base64 and quoted-printable, in pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_TRANSFER_H
#define MESSAGE_TRANSFER_H

#include <posthorn/header.h>

/* PhTransfer: one decoding under way. Zeroed but for the encoding it is ready. */
typedef struct {
	uint32_t encoding; /* PhEncoding */
	uint32_t bits;     /* base64: sextets read of a quantum */
	uint32_t n_bits;
	uint32_t n_held; /* quoted-printable: octets after an unfinished '=' */
	char held[2];
} PhTransfer;

/* Lenient: octets outside the alphabet are skipped, broken escapes are kept as they are. */
void ph_transfer_feed(PhTransfer *transfer, PhSlice octets, GString *out);
void ph_transfer_finish(PhTransfer *transfer, GString *out);

/* ph_q_decode: the "Q" encoding of RFC 2047: '_' is a blank. */
void ph_q_decode(PhSlice text, GString *out);

#endif

/* message/envelope.h: the ENVELOPE of IMAP, gathered field by field
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_ENVELOPE_H
#define MESSAGE_ENVELOPE_H

#include "message/field-id.h"

/* PhEnvelope: one header block under way. Members are private. */
typedef struct {
	GString *text;  /* rendered values in the order of arrival */
	GArray *pieces; /* which part of @text belongs to which field */
	GString *scratch;
	uint32_t counts[PH_FIELDS_OF_ENVELOPE]; /* strings or addresses taken */
} PhEnvelope;

void ph_envelope_init(PhEnvelope *envelope);
void ph_envelope_clear(PhEnvelope *envelope);
/* ph_envelope_reset: for the next header block; memory is kept. */
void ph_envelope_reset(PhEnvelope *envelope);

/* ph_envelope_take: a field of the block; others than those of the envelope are ignored. Of a
 * single-valued field the first counts; address fields that are repeated are joined, so that none
 * is hidden. */
void ph_envelope_take(PhEnvelope *envelope, PhFieldId id, PhSlice value);

/* ph_envelope_append: "(...)" (RFC 3501 section 7.4.2). Sender and Reply-To default to From. */
void ph_envelope_append(const PhEnvelope *envelope, GString *out);

#endif

/* envelope.h: how the envelope of a queued mail lies on the disk
 *
 * Tagged texts, one after another: what a version does not know it skips. Texts of a recipient
 * follow the tag that begins it. Pure; what is read may be damaged or hostile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_ENVELOPE_H
#define PH_QUEUE_ENVELOPE_H

#include <posthorn/types.h>

enum {
	PH_ENVELOPE_MAX = 16 * 1024 * 1024, /* octets */
	PH_ENVELOPE_RECIPIENTS_MAX = 16383,
	PH_ENVELOPE_ID_MAX = 32,
};

typedef struct {
	const char *name;
	const char *value;
} PhEnvelopeParameter;

/* PhEnvelopeRecipient: one who gets the mail, with what is needed to find the way again. */
typedef struct {
	const char *address;     /* final recipient */
	const char *user;        /* (nullable) the local user's own address */
	const char *original;    /* (nullable) as the client gave it; NULL: the same as @address */
	const char *detail;      /* (nullable) of user+detail */
	const char *route;       /* name of the section */
	const char *destination; /* see PhTransport.destination */
	uint8_t transaction[16];
	const PhEnvelopeParameter *parameters;
	uint32_t n_parameters;
} PhEnvelopeRecipient;

typedef struct {
	const char *id;
	PhTime arrived;
	PhTime not_before; /* 0: at once */
	PhTime by;         /* deadline of DELIVERBY; negative: only to be told then; 0: none */
	int32_t priority;  /* -9 to 9 */
	const char *sender;
	const char *user; /* (nullable) who submitted it */
	const PhEnvelopeParameter *parameters;
	uint32_t n_parameters;
	const PhEnvelopeRecipient *recipients;
	uint32_t n_recipients;
	PhSlice prepended;
} PhEnvelope;

/* ph_queue_envelope_append: false when it is larger than is taken; @out is unchanged then. */
bool ph_queue_envelope_append(const PhEnvelope *envelope, GByteArray *out);

/* ph_queue_envelope_parse: @octets: (borrowed) as long as the result is used. Returns: (owned) NULL when it
 * makes no sense. Free with ph_queue_envelope_free(). */
PhEnvelope *ph_queue_envelope_parse(PhSlice octets);
void ph_queue_envelope_free(PhEnvelope *envelope);

/* ph_queue_envelope_parameter: NULL when there is none. */
const char *ph_queue_envelope_parameter(const PhEnvelopeParameter *parameters,
                                        uint32_t n,
                                        const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhEnvelope, ph_queue_envelope_free)

#endif

/* mechanism.h: what is asked of an isolated mechanism, and what it asks itself (both ends)
 *
 * A step: the exchange's number, the server's host name, PH_STEP_IS_..., the response. Its answer:
 * the PhStep; the error for ERROR; the challenge for CHALLENGE; the user's name as it was tried; and
 * for ASKED the authorisation identity and the password, which is absent when the user is only
 * accepted. After every answer but CHALLENGE the exchange is over at the other end.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_MECHANISM_H
#define PH_ISOLATE_MECHANISM_H

typedef enum {
	PH_ASK_STEP = 1,
} PhAskMechanism;

enum {
	PH_STEP_HAS_RESPONSE = 1U << 0,
	PH_STEP_IS_PLUS = 1U << 1,
	PH_STEP_OFFERS_PLUS = 1U << 2,
	PH_STEP_FLAGS = (1U << 3) - 1
};

typedef enum {
	PH_CALL_SECRET = 1,      /* user, scheme; 1 and the octets, or 0 and the error */
	PH_CALL_GIVES = 2,       /* scheme; 0 or 1 */
	PH_CALL_INVENT = 3,      /* purpose, user, how many; the octets */
	PH_CALL_BINDING = 4,     /* type; 1 and the octets, or 0 */
	PH_CALL_CERTIFICATE = 5, /* 1 and the octets, or 0 */
} PhCallMechanism;

#endif

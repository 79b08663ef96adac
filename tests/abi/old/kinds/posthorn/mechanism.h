/* mechanism.h: one SASL exchange (RFC 4422)
 *
 * A mechanism turns challenges and responses into a claim (who, and with which proof), and asks
 * the directories about it through the helper functions below. It never talks to a client or a
 * directory itself. The smallest one, PLAIN, is under a hundred lines.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_MECHANISM_H
#define POSTHORN_MECHANISM_H

#include <posthorn/identity.h>
#include <posthorn/plugin.h>
#include <posthorn/secret.h>

G_BEGIN_DECLS

/* PhMechanismFlags. */
enum {
	PH_MECHANISM_SHOWS_PASSWORD = 1U << 0, /* refuse without TLS unless configured otherwise */
	PH_MECHANISM_CLIENT_FIRST =
		1U << 1, /* the client speaks first: an initial response may come */
	PH_MECHANISM_NEEDS_SECRET = 1U << 2,      /* needs a directory that offers `secret` */
	PH_MECHANISM_NEEDS_BINDING = 1U << 3,     /* only on connections with channel binding */
	PH_MECHANISM_NEEDS_CERTIFICATE = 1U << 4, /* only when the client showed a certificate */
};

/* PhStep: result of a step. */
typedef enum {
	PH_STEP_CHALLENGE = 1, /* ph_exchange_challenge() was called; wait for the answer */
	PH_STEP_DONE = 2,      /* one of the ph_exchange_... functions said who it is */
	PH_STEP_FAILED = 3,    /* wrong */
	PH_STEP_MALFORMED = 4, /* the response breaks the syntax */
	PH_STEP_ERROR = 5,     /* @error is set: something is away */
	PH_STEP_ASKED = 6,     /* what verify and accept return: the core asks the directories */
} PhStep;

/* PhExchange: the core's side of one exchange; lives as long as the state. */
typedef struct PhExchange PhExchange;

struct PhMechanism {
	size_t size;
	uint32_t flags; /* PH_MECHANISM_* */
	uint32_t reserved;

	/* sasl_name: upper case, as in the registry: "PLAIN". Required. */
	const char *sasl_name;

	/* create, destroy: one instance for each section; `[mechanism NAME]` is needed only when
	 * there are options. Optional. Thread: load / main. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);
	void (*destroy)(void *instance);

	/* begin: state of one exchange. Optional (a mechanism of one message needs none).
	 * Thread: worker. */
	void *(*begin)(void *instance, PhExchange *exchange);

	/* step: the client's next response. @response: (borrowed) NULL for the first step of an
	 * exchange without initial response. Required. Thread: worker, serial for one exchange.
	 * Blocks: yes, in the ph_exchange functions. Errors: PH_STEP_ERROR with TEMPORARY: the
	 * client is told to try later and nothing is counted against it. */
	PhStep (*step)(void *instance,
	               void *state,
	               PhExchange *exchange,
	               const PhSlice *response,
	               GError **error);

	/* end: frees the state. Optional. Thread: worker. */
	void (*end)(void *instance, void *state);
};

/* Thread: the step's, for all. */

/* ph_exchange_challenge: the octets to send; copied. */
PH_PUBLIC void ph_exchange_challenge(PhExchange *exchange, PhSlice octets);

/* ph_exchange_verify: has the chain asked whether the password is the user's, when the step has
 * returned: the session holds no thread while it waits for a directory that is at its limit.
 * @authzid: whom to act as, empty for the user itself. Names are prepared (SASLprep) by the core;
 * NUL is refused. Returns: PH_STEP_ASKED or FAILED, to be returned from the step as it is. */
PH_PUBLIC PhStep ph_exchange_verify(PhExchange *exchange,
                                    PhSlice authzid,
                                    PhSlice user,
                                    PhSlice password,
                                    GError **error);

/* ph_exchange_secret: the stored form that a challenge mechanism needs: @scheme "PLAIN" or
 * "SCRAM-SHA-256" (then "iterations,salt,stored-key,server-key" in base64 as RFC 5803 writes it).
 * Returns: (owned) or NULL when the user is unknown or has none; a mechanism goes on with invented
 * values then, and fails at the end. @error is set only when a directory is away. Blocks: yes. */
PH_PUBLIC PhSecret *ph_exchange_secret(PhExchange *exchange,
                                       PhSlice user,
                                       const char *scheme,
                                       GError **error);

/* ph_exchange_accept: the mechanism itself has proved that it is @user: has the user looked up.
 * Returns like verify. */
PH_PUBLIC PhStep ph_exchange_accept(PhExchange *exchange,
                                    PhSlice authzid,
                                    PhSlice user,
                                    GError **error);

/* ph_exchange_binding: channel binding octets of the connection; false when there is none. */
PH_PUBLIC bool ph_exchange_binding(PhExchange *exchange, const char *type, GByteArray *out);

/* ph_exchange_hostname: for challenges. Borrowed. */
PH_PUBLIC const char *ph_exchange_hostname(PhExchange *exchange);

G_END_DECLS

#endif

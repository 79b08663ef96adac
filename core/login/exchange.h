/* exchange.h: the core's side of one authentication exchange
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_EXCHANGE_H
#define PH_LOGIN_EXCHANGE_H

#include <posthorn/mechanism.h>
#include <posthorn/session.h>

#include "login/chain.h"

/* PhExchangeRemote: who answers for the server in a process that runs the mechanism alone. What is
 * verified or accepted stands in the exchange when the step has returned PH_STEP_ASKED. */
typedef struct {
	PhSecret *(*secret)(PhExchange *exchange, PhSlice user, const char *scheme, GError **error);
	bool (*gives)(PhExchange *exchange, const char *scheme);
	void (*invent)(PhExchange *exchange,
	               const char *purpose,
	               PhSlice user,
	               uint8_t *octets,
	               size_t n);
	bool (*binding)(PhExchange *exchange, const char *type, GByteArray *out);
	bool (*certificate)(PhExchange *exchange, GByteArray *out);
	const char *(*hostname)(PhExchange *exchange);
} PhExchangeRemote;

/* PhExchangeStage: what the question at hand is about. */
typedef enum {
	PH_EXCHANGE_OWN = 0,    /* the user, in the listener's directories */
	PH_EXCHANGE_MASTER = 1, /* the user, in those of master users */
	PH_EXCHANGE_OTHER = 2,  /* whom a user acts as who may */
} PhExchangeStage;

struct PhExchange {
	PhChain directories;
	const PhSession *session;     /* (nullable) borrowed: for channel binding and host name */
	GByteArray *challenge;        /* (nullable) the last one */
	char *user;                   /* (nullable) prepared name that was tried, for the log */
	PhIdentity *identity;         /* (nullable) set when a step proved it */
	bool disabled;                /* the account is locked: told like a failure */
	char *authzid;                /* (nullable) whom the user wants to be */
	PhSecret *secret;             /* (nullable) to verify; without it the user is looked up */
	PhChain masters;              /* (nullable) of those who may act as every user */
	const char *master_separator; /* (nullable) */
	const char *const *proxy_groups; /* (nullable) */
	uint32_t stage;                  /* PhExchangeStage */
	PhChainWalk walk;                /* of the question asked last */
	const uint8_t *key;              /* (nullable) of the server: login/invent.h */
	bool is_plus;                    /* the client chose NAME-PLUS */
	bool offers_plus;                /* and could have */
	const PhExchangeRemote *remote;  /* (nullable) */
	PhSlice certificate;             /* in DER, of exchanges of no session: tools */
};

/* ph_exchange_ask: what ph_exchange_verify and ph_exchange_accept left to do. Returns: DONE, FAILED,
 * ERROR; or ASKED: a directory is at its limit: give @exchange->walk a wake and ask again. */
PhStep ph_exchange_ask(PhExchange *exchange, GError **error);

/* ph_exchange_clear: frees what the members own. */
void ph_exchange_clear(PhExchange *exchange);

#endif

/* exchange.h: the core's side of one authentication exchange
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_EXCHANGE_H
#define PH_LOGIN_EXCHANGE_H

#include <posthorn/mechanism.h>
#include <posthorn/session.h>

#include "login/chain.h"

struct PhExchange {
	PhChain directories;
	const PhSession *session; /* (nullable) borrowed: for channel binding and host name */
	GByteArray *challenge;    /* (nullable) the last one */
	char *user;               /* (nullable) prepared name that was tried, for the log */
	PhIdentity *identity;     /* (nullable) set when a step proved it */
	bool disabled;            /* the account is locked: told like a failure */
};

/* ph_exchange_clear: frees what the members own. */
void ph_exchange_clear(PhExchange *exchange);

#endif

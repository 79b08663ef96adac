/* services.h: what a listener's sessions may use, made by the server, found through the session
 *
 * The net layer only carries the pointer. core/login and core/mailbox take their own member.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_SERVICES_H
#define PH_NET_SERVICES_H

#include <posthorn/types.h>

typedef struct PhLoginService PhLoginService; /* core/login: mechanisms and directories */
typedef struct PhAccounts PhAccounts;         /* core/mailbox: open accounts of one store */
typedef struct PhRouter PhRouter;             /* core/server: addresses to transports */
typedef struct PhFilterChain PhFilterChain;   /* core/server: the listener's filters */

typedef struct {
	PhLoginService *login;  /* (nullable) */
	PhAccounts *accounts;   /* (nullable) */
	PhRouter *router;       /* (nullable) */
	PhFilterChain *filters; /* (nullable) */
	void *server;           /* the server's own */
} PhServices;

/* ph_session_services: of the listener generation that accepted the session; NULL for client
 * sessions. Lives as long as the session. Thread: session. */
const PhServices *ph_session_services(const PhSession *session);

/* ph_session_count_login_failure, ph_session_login_failures: how often this connection failed to
 * authenticate. Thread: session. */
uint32_t ph_session_count_login_failure(PhSession *session);
uint32_t ph_session_login_failures(const PhSession *session);

/* ph_session_park_for: like ph_session_park, but the core resumes the session after @longest if the
 * wake was not completed before. Returns: (owned). Thread: session. */
PhWake *ph_session_park_for(PhSession *session, PhDuration longest);

#endif

/* service.h: what one listener's logins need: mechanisms, directories, policy
 *
 * Made by the server for each listener and generation, found through the session's services.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_SERVICE_H
#define PH_LOGIN_SERVICE_H

#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include "config/sections.h"
#include "login/backoff.h"
#include "login/chain.h"
#include "net/services.h"

/* PhLoginParams: borrowed for the life of the service. */
typedef struct {
	PhChain directories;          /* NULL-terminated */
	PhSection *const *mechanisms; /* NULL-terminated; (nullable) none */
	PhBackoff *backoff;           /* of the process */
	uint32_t plaintext;    /* PhPlaintextAuth: from where a password may be sent without TLS */
	uint32_t max_failures; /* a connection may fail so often */
	const uint8_t *key;    /* (nullable) PH_LOGIN_KEY_SIZE octets: login/invent.h */
	PhChain masters;       /* (nullable) directories of those who may act as every user */
	const char *master_separator;    /* (nullable) */
	const char *const *proxy_groups; /* (nullable) */
} PhLoginParams;

PhLoginService *ph_login_service_new(const PhLoginParams *params);
void ph_login_service_free(PhLoginService *service);

/* --- inside core/login ------------------------------------------------------------------------ */

const PhLoginParams *ph_login_service_params(const PhLoginService *service);

/* PhLoginConnection: what a connection can do for mechanisms. */
typedef struct {
	bool tls;
	bool plaintext_ok; /* a password may be shown */
	bool certificate;  /* the client showed one that was verified */
	bool binding;      /* TLS can be bound to */
} PhLoginConnection;

/* ph_login_connection: @service: (borrowed) its policy, and whether it has use for the costly ones. */
PhLoginConnection ph_login_connection(const PhLoginService *service, const PhSession *session);

/* ph_offered_names: what may be offered on a connection, NULL-terminated, upper case (borrowed from
 * the service). */
const char *const *ph_offered_names(PhLoginService *service, const PhLoginConnection *connection);

/* PhOffered: is a mechanism there for this connection? */
typedef enum {
	PH_OFFERED_YES = 1,
	PH_OFFERED_NEEDS_TLS = 2,
	PH_OFFERED_NO = 3,
} PhOffered;

/* PhOfferedMechanism: what was asked for by its name. */
typedef struct {
	PhSection *section;
	bool is_plus;     /* as NAME-PLUS */
	bool offers_plus; /* it could have been */
} PhOfferedMechanism;

/* ph_offered_find: @is_command: APOP, not SASL. @found: set only for YES. */
PhOffered ph_offered_find(const PhLoginService *service,
                          PhSlice name,
                          const PhLoginConnection *connection,
                          bool is_command,
                          PhOfferedMechanism *found);

/* ph_takes_passwords: may a name and a password come outside of SASL (LOGIN of IMAP, USER of POP3)? Not
 * where the listener names mechanisms, and none of them shows a password. */
bool ph_takes_passwords(const PhLoginService *service);

/* ph_plaintext_ok: may a password be shown on this connection? */
bool ph_plaintext_ok(const PhLoginService *service, const PhSession *session);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhLoginService, ph_login_service_free)

#endif

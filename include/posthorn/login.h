/* login.h: one authentication exchange, from the protocol's side
 *
 * The protocol asks which mechanisms may be offered on this connection, starts an exchange, passes
 * on what the client answers, and gets an identity. The service runs the mechanism against the
 * listener's directory chain, delays answers to failures (2 s, doubling for each address to 15 s),
 * takes the same time for unknown users, and logs each failure once. A protocol never sees a
 * password after handing it over.
 *
 * Usage, for SASL:
 *
 *	login = ph_login_start(session, mechanism, initial, &outcome)
 *	loop: switch (outcome)
 *	  PH_LOGIN_CHALLENGE: send ph_login_challenge(), later
 *	                      outcome = ph_login_answer(login, response)
 *	  PH_LOGIN_WAIT:      return PH_WAIT; in `resumed`: outcome = ph_login_outcome(login)
 *	  PH_LOGIN_DONE:      ph_login_identity()
 *	  PH_LOGIN_FAILED, ..: answer, ph_login_free()
 *
 * Protocols of lines, which carry the exchange in base64, use the three functions in `lines` below.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_LOGIN_H
#define POSTHORN_LOGIN_H

#include <posthorn/identity.h>
#include <posthorn/secret.h>
#include <posthorn/session.h>

G_BEGIN_DECLS

typedef enum {
	PH_LOGIN_CHALLENGE = 1, /* send the challenge, then ph_login_answer() */
	PH_LOGIN_WAIT = 2,      /* the session is parked by the service: return PH_WAIT */
	PH_LOGIN_DONE = 3,      /* who it is: ph_login_identity() */
	PH_LOGIN_FAILED =
		4, /* wrong: SMTP 535 5.7.8, IMAP NO [AUTHENTICATIONFAILED], POP3 [AUTH] */
	PH_LOGIN_UNAVAILABLE = 5, /* a directory is away: 454 4.7.0, NO [UNAVAILABLE], [SYS/TEMP] */
	PH_LOGIN_DISABLED = 6,    /* account locked: told like FAILED, logged as what it is */
	PH_LOGIN_NOT_OFFERED = 7, /* no such mechanism here: 504 5.5.4, NO [CANNOT] */
	PH_LOGIN_NEEDS_TLS = 8,   /* it would show a password: 538 5.7.11, NO [PRIVACYREQUIRED] */
	PH_LOGIN_MALFORMED = 9,   /* the response breaks the mechanism's syntax: 501 5.5.2, BAD */
	PH_LOGIN_TOO_MANY = 10,   /* this connection failed too often: say so and close */
	PH_LOGIN_NOT_BASE64 = 11, /* of lines only: 501 5.5.2, BAD */
	PH_LOGIN_CANCELLED = 12,  /* of lines only: the client sent "*": 501 5.7.0, BAD */
} PhLoginOutcome;

/* Thread: session, for all. */

/* ph_login_mechanisms: names to offer now, upper case, NULL-terminated: configured, safe on this
 * connection (no clear-text password without TLS unless `plaintext-auth` allows it), and such that
 * a directory of the chain can answer. Borrowed until the connection's TLS state changes. */
PH_PUBLIC const char *const *ph_login_mechanisms(PhSession *session);

/* ph_login_plaintext_allowed: may USER/PASS and LOGIN be used now (else LOGINDISABLED)? Never where the
 * listener names mechanisms and none of them takes a password. */
PH_PUBLIC bool ph_login_plaintext_allowed(PhSession *session);

/* ph_login_start: begins an exchange. @mechanism: any case. @initial: (borrowed, nullable) decoded
 * initial response; NULL when the client sent none (an empty one is a slice of length 0).
 * Returns: (owned); never NULL. */
PH_PUBLIC PhLogin *ph_login_start(PhSession *session,
                                  PhSlice mechanism,
                                  const PhSlice *initial,
                                  PhLoginOutcome *outcome_out);

/* ph_login_start_command: the same for a mechanism that is a command of the protocol and no SASL
 * (PH_MECHANISM_IS_COMMAND): POP3 begins "APOP" when it greets, tells the challenge there, and gives
 * what stands behind the command to ph_login_answer(). NOT_OFFERED when the listener does not name
 * such a mechanism. Returns: (owned); never NULL. */
PH_PUBLIC PhLogin *ph_login_start_command(PhSession *session,
                                          const char *command,
                                          PhLoginOutcome *outcome_out);

/* ph_login_password: the same for a plain name and password (LOGIN of IMAP, USER and PASS). */
PH_PUBLIC PhLogin *ph_login_password(PhSession *session,
                                     PhSlice user,
                                     PhSlice password,
                                     PhLoginOutcome *outcome_out);

/* ph_login_challenge: octets to send (borrowed until the next call), not base64. */
PH_PUBLIC PhSlice ph_login_challenge(const PhLogin *login);

/* ph_login_answer: the client's decoded response. */
PH_PUBLIC PhLoginOutcome ph_login_answer(PhLogin *login, PhSlice response);

/* ph_login_outcome: after `resumed`: goes on with what the session was parked for; may be WAIT again.
 * Blocks: yes. */
PH_PUBLIC PhLoginOutcome ph_login_outcome(PhLogin *login);

/* ph_login_identity: (borrowed from the login; take a reference). Only after DONE. */
PH_PUBLIC const PhIdentity *ph_login_identity(const PhLogin *login);

PH_PUBLIC void ph_login_free(PhLogin *login);

/* --- lines: an exchange in base64, as SMTP (RFC 4954), IMAP (RFC 3501) and POP3 (RFC 5034) do --- */

/* ph_login_start_line: begins an exchange. @argument: (borrowed) what stands behind AUTH or
 * AUTHENTICATE: the mechanism's name and perhaps, after one space, an initial response in base64
 * ("=": an empty one). What was decoded is wiped. Returns: (owned); never NULL. */
PH_PUBLIC PhLogin *ph_login_start_line(PhSession *session,
                                       PhSlice argument,
                                       PhLoginOutcome *outcome_out);

/* ph_login_answer_line: the client's response. @line: (borrowed) as it came: base64, or "*" to give
 * up. @flaws: the line's: any makes it NOT_BASE64. After NOT_BASE64 and CANCELLED the exchange is
 * over: answer, ph_login_free(). */
PH_PUBLIC PhLoginOutcome ph_login_answer_line(PhLogin *login, PhSlice line, uint32_t flaws);

/* ph_login_write_challenge: writes @prefix ("334 " or "+ "), the challenge in base64, CR LF. */
PH_PUBLIC void ph_login_write_challenge(const PhLogin *login,
                                        PhSession *session,
                                        const char *prefix);

/* --- who exists: VRFY, EXPN, RCPT ---------------------------------------------------------- */

/* PhLookup: what the listener's directory chain knows of an address. */
typedef enum {
	PH_LOOKUP_FOUND = 1,
	PH_LOOKUP_UNKNOWN = 2,
	PH_LOOKUP_UNAVAILABLE = 3,
} PhLookup;

/* ph_login_lookup: finds a user by name or address in the listener's chain. @identity_out: (out,
 * owned) on FOUND. Thread: session. Blocks: yes. */
PH_PUBLIC PhLookup ph_login_lookup(PhSession *session, PhSlice address, PhIdentity **identity_out);

/* ph_login_expand: what an alias or list stands for (EXPN): one address a call of @func, which
 * returns false to stop. FOUND, or UNKNOWN when it is no list. Thread: session. Blocks: yes. */
PH_PUBLIC PhLookup ph_login_expand(PhSession *session,
                                   PhSlice address,
                                   bool (*func)(const char *address, void *user_data),
                                   void *user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhLogin, ph_login_free)

G_END_DECLS

#endif

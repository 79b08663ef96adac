/* srs.h: senders of forwarded mail rewritten so that this server answers for them
 *
 * The Sender Rewriting Scheme: "SRS0=HASH=DAY=domain=local" in a domain of ours stands for
 * local@domain; "SRS1=HASH=domain==..." for such an address of another server. The hash is an HMAC
 * of what follows it, so nobody else can make one; the day lets it expire. A local part of more
 * than 64 octets cannot be carried (RFC 5321 section 4.5.3.1.1): such a sender stays as it is.
 *
 * Thread: any. Pure, but for what was given at the start.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SRS_H
#define PH_SERVER_SRS_H

#include <posthorn/secret.h>

typedef struct PhSrs PhSrs;

/* ph_srs_new: @secret: copied. @lifetime: whole days that a rewritten address is good for. */
PhSrs *ph_srs_new(PhSlice secret, uint32_t lifetime);
void ph_srs_free(PhSrs *srs);

/* ph_srs_forward: the sender to use in @domain in place of @sender ("local@domain"). @now: for the
 * day. Returns: (owned) NULL when it does not fit, or the domain has '=' (a literal). */
char *ph_srs_forward(const PhSrs *srs, const char *sender, const char *domain, PhTime now);

/* ph_srs_is: does the local part have the form of a rewritten address? */
bool ph_srs_is(const char *address);

/* ph_srs_reverse: whom the rewritten @address stands for. Returns: (owned) NULL when it is not ours
 * or too old. */
char *ph_srs_reverse(const PhSrs *srs, const char *address, PhTime now);

#endif

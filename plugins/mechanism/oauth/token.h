/* token.h: a signed token (JWT, RFC 7519) and the claims in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_TOKEN_H
#define OAUTH_TOKEN_H

#include "json.h"
#include "keys.h"

/* token_open: the claims of a token that one of the keys has signed.
 * @algorithms: those that are taken; "none" never is. @why_out: (borrowed, static) why not.
 * @wants_key_out: true when no key has the token's id: newer ones may be there.
 * Returns: (owned) NULL when it is not good. Pure. */
JsonObject *token_open(PhSlice token,
                       const KeySet *keys,
                       const char *const *algorithms,
                       const char **why_out,
                       bool *wants_key_out);

/* token_algorithm_known: can tokens be signed with it? */
bool token_algorithm_known(const char *algorithm);

/* Rules: what claims must be; borrowed. NULL: not asked. */
typedef struct {
	const char *issuer;
	const char *const *audience; /* one of them */
	const char *const *scope;    /* all of them */
	const char *user_claim;
	int64_t leeway; /* seconds */
	bool must_expire;
} Rules;

/* claims_user: (borrowed from the claims) who it is. @now: seconds. NULL with @why_out (static). Pure. */
const char *claims_user(JsonObject *claims, const Rules *rules, int64_t now, const char **why_out);

#endif

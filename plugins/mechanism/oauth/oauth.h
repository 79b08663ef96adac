/* oauth.h: one exchange with a token, for both mechanisms
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_OAUTH_H
#define OAUTH_OAUTH_H

#include <posthorn/mechanism.h>

#include "message.h"

extern const PhOption oauth_options[];

/* OauthKind: what the two differ in. */
typedef struct {
	bool (*parse)(PhSlice message, OauthMessage *out);
	bool is_google; /* XOAUTH2: its own form of the error */
} OauthKind;

/* The members of PhMechanism; oauth_create for a static @kind. */
bool oauth_load(GError **error);
bool oauth_create(const OauthKind *kind,
                  PhSection *section,
                  const void *settings,
                  void **instance_out,
                  GError **error);
void oauth_destroy(void *instance);
void *oauth_begin(void *instance, PhExchange *exchange);
PhStep oauth_step(void *instance,
                  void *state,
                  PhExchange *exchange,
                  const PhSlice *response,
                  GError **error);
void oauth_end(void *instance, void *state);

#endif

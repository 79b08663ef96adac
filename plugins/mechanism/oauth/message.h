/* message.h: what clients send: OAUTHBEARER (RFC 7628) and XOAUTH2
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_MESSAGE_H
#define OAUTH_MESSAGE_H

#include <posthorn/slice.h>

enum {
	OAUTH_MESSAGE_MAX = 20480,
	OAUTH_TOKEN_MAX = 16384,
	OAUTH_NAME_MAX = 1024,
};

/* OauthMessage: the slice is borrowed from the message. */
typedef struct {
	char *user;    /* (owned) whom the client wants to be; "" when it does not say */
	PhSlice token; /* behind "Bearer " */
} OauthMessage;

/* Both: false when it breaks the syntax, has another scheme than Bearer, or no token.
 * @out: to be cleared in either case. Pure. */
bool oauthbearer_parse(PhSlice message, OauthMessage *out);
bool xoauth2_parse(PhSlice message, OauthMessage *out);
void oauth_message_clear(OauthMessage *message);

#endif

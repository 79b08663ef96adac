/* compose.h: makes what a program wrote a message that can be sent
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_CLI_COMPOSE_H
#define PH_CLI_COMPOSE_H

#include <posthorn/types.h>

/* PhCompose: how. Strings are borrowed. */
typedef struct {
	const char *sender;    /* address for a missing From field */
	const char *full_name; /* (nullable) for it */
	const char *hostname;  /* for a missing Message-ID */
	bool take_recipients;  /* from To, Cc and Bcc */
	bool dot_ends;         /* a line with a single dot ends the message */
} PhCompose;

/* ph_compose: @input: what was read, with any line ends. @message: line ends made CRLF, missing
 * Date, Message-ID and From put before it, Bcc taken out. @recipients: of owned strings, added to. */
void ph_compose(PhSlice input, const PhCompose *how, GString *message, GPtrArray *recipients);

#endif

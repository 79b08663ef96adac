/* sasl.h: mechanisms that never send the password: the client's side, by GNU SASL
 *
 * Without that library sasl-none.c stands in: then there are no such mechanisms.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SASL_H
#define SASL_H

#include <posthorn/types.h>

typedef struct SaslLibrary SaslLibrary;
typedef struct Sasl Sasl;

/* sasl_library_open: (owned, nullable) NULL: there are no mechanisms. May be shared by threads. */
SaslLibrary *sasl_library_open(void);
void sasl_library_close(SaslLibrary *library);

/* sasl_new: an exchange by @mechanism, "SCRAM-SHA-256". Returns: (owned, nullable) NULL: it is not
 * known. */
Sasl *sasl_new(SaslLibrary *library, const char *mechanism, const char *user, PhSlice password);
void sasl_free(Sasl *sasl);

/* sasl_step: appends the answer to @challenge (empty at first), not in base64. false: it makes no sense,
 * asks for too much work, or its sender does not know the password. */
bool sasl_step(Sasl *sasl, PhSlice challenge, GString *answer);

/* sasl_is_done: nothing more is to come, and what the peer had to prove it has proved. */
bool sasl_is_done(const Sasl *sasl);

#endif

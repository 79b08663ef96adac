/* scram.h: one exchange of SCRAM, for any digest
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SCRAM_SCRAM_H
#define SCRAM_SCRAM_H

#include <posthorn/mechanism.h>

typedef struct {
	int64_t iterations;
} ScramSettings;

extern const PhOption scram_options[];

/* ScramKind: one mechanism of the family. */
typedef struct {
	const char *scheme; /* "SCRAM-SHA-256": the stored form, and the SASL name */
	const char *digest; /* OpenSSL's name */
} ScramKind;

/* The members of PhMechanism. scram_create: for @kind, which is static. */
bool scram_create(const ScramKind *kind, const void *settings, void **instance_out, GError **error);
void scram_destroy(void *instance);
void *scram_begin(void *instance, PhExchange *exchange);
PhStep scram_step(void *instance,
                  void *state,
                  PhExchange *exchange,
                  const PhSlice *response,
                  GError **error);
void scram_end(void *instance, void *state);

/* For tests: the nonce that the server adds, instead of a random one. NULL: random again. */
extern const char *scram_fixed_nonce;

#endif

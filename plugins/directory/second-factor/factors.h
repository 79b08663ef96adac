/* factors.h: the database of one-time keys and app passwords
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SECOND_FACTOR_FACTORS_H
#define SECOND_FACTOR_FACTORS_H

#include <posthorn/directory.h>

/* Factors: one connection, used by one thread at a time. */
typedef struct Factors Factors;

/* factors_new: opens nothing yet. */
Factors *factors_new(const char *path);
void factors_free(Factors *factors);

/* factors_key: the user's one-time key in base32. Returns: false on error; @key_out: (owned) NULL for a
 * user without one. */
bool factors_key(Factors *factors, const char *address, char **key_out, GError **error);

/* factors_use: this step is used up now. Returns: OK; WRONG when it, or a later one, was before. */
PhVerify factors_use(Factors *factors, const char *address, uint64_t step, GError **error);

/* factors_forms: the stored forms of the user's app passwords for @scope and of those for all scopes.
 * Returns: (owned) an array of texts, at most 32; NULL on error. */
GPtrArray *factors_forms(Factors *factors, const char *address, const char *scope, GError **error);

/* factors_set: @name: "totp", a label, or "label:scope". factors_remove: NOT_FOUND for none. Both are
 * durable when they return. */
bool factors_set(Factors *factors,
                 const char *address,
                 const char *name,
                 const char *hash,
                 bool create,
                 GError **error);
bool factors_remove(Factors *factors, const char *address, const char *name, GError **error);

/* factors_list: "address/label" of each. */
bool factors_list(Factors *factors, PhListFunc func, void *user_data, GError **error);

#endif

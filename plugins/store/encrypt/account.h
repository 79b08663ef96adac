/* account.h: an account of the encrypt store
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_ENCRYPT_ACCOUNT_H
#define STORE_ENCRYPT_ACCOUNT_H

#include "encrypt.h"

typedef struct {
	PhSection *self;
	PhSection *section; /* below */
	MasterKeys masters;
	bool accept_plain;
	uint64_t renew_after; /* seconds; 0: a key stays */
} Instance;

typedef struct {
	PhBelow below;
	const Instance *instance;
	char *address;
	pthread_mutex_t lock; /* guards keys: another process may have made one */
	GArray *keys;         /* of Key; the one that was made last seals */
	bool is_outdated;     /* an older master key wraps one that may seal */
} Account;

/* account_load_keys: those of the account's values that are not known yet. It reads the store below: not to
 * be called while that is read, which may give out only so many readings at a time. */
bool account_load_keys(Account *account, GError **error);

/* account_make_key: when there is none, or the one that seals is too old: what comes from now on is sealed by
 * the new one, and the others go on to open what they sealed. Not beside another commit. */
bool account_make_key(Account *account, GError **error);

/* account_seal_key: what seals now. account_find_key: CORRUPT when the account has no such key; reads the
 * store below for one that is not known. account_known_key: without that. The copy is to be wiped. */
void account_seal_key(Account *account, Key *key_out);
bool account_known_key(Account *account, PhSlice id, Key *key_out);
bool account_find_key(Account *account, PhSlice id, Key *key_out, GError **error);

/* account_fail_unknown: the error of a key that the account has not. */
void account_fail_unknown(const Account *account, PhSlice id, GError **error);

/* account_check_keys: reports keys that an older master key wraps; @repair: wraps them anew. Not
 * beside another commit. */
bool account_check_keys(Account *account,
                        bool repair,
                        PhListLineFunc report,
                        void *user_data,
                        GError **error);

#endif

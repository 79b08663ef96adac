/* cache.h: what directories have answered, for a while
 *
 * Of a password only a keyed hash is kept, with a key that this process alone has. Right and wrong
 * answers have tables of their own, so that nobody pushes users out with wrong names. All is
 * forgotten at a reload.
 *
 * Thread: any, for all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_CACHE_H
#define PH_LOGIN_CACHE_H

#include <posthorn/directory.h>

/* PhCacheQuestion: what is asked; borrowed. */
typedef struct {
	PhSection *section;
	const char *name;
	const PhSecret *secret; /* (nullable) to verify; NULL: a lookup */
} PhCacheQuestion;

/* ph_cache_version: to be taken before the directory is asked; 0: nothing is kept for it. */
uint64_t ph_cache_version(const PhCacheQuestion *question);

/* ph_cache_find: false: the directory must be asked. OK (with @identity_out), WRONG or UNKNOWN_USER.
 * @version: of now. */
bool ph_cache_find(const PhCacheQuestion *question,
                   uint64_t version,
                   PhVerify *result_out,
                   PhIdentity **identity_out);

/* ph_cache_keep: the answer to a question that was asked at @version. */
void ph_cache_keep(const PhCacheQuestion *question,
                   uint64_t version,
                   PhVerify result,
                   PhIdentity *identity);

/* ph_cache_forget: everything. */
void ph_cache_forget(void);

#endif

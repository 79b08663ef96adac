/* cache.h: what directories have answered, for a while
 *
 * Of a password only a keyed hash is kept, with a key that this process alone has. Right and wrong
 * answers have tables of their own, so that nobody pushes users out with wrong names. Long lists of
 * members are not kept. All is forgotten at a reload.
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
	bool is_list;           /* who are the members? */
} PhCacheQuestion;

/* PhCacheAnswer: what was said. */
typedef struct {
	PhVerify result;
	PhIdentity *identity; /* (owned, nullable) for OK, but of a list */
	GPtrArray *
		members; /* (owned, nullable) addresses, for OK of a list; never changed any more */
} PhCacheAnswer;

/* ph_cache_version: to be taken before the directory is asked; 0: nothing is kept for it. */
uint64_t ph_cache_version(const PhCacheQuestion *question);

/* ph_cache_find: false: the directory must be asked. @answer_out: (out) OK, WRONG or UNKNOWN_USER.
 * @version: of now. */
bool ph_cache_find(const PhCacheQuestion *question, uint64_t version, PhCacheAnswer *answer_out);

/* ph_cache_keep: the answer to a question that was asked at @version. @answer: (borrowed) */
void ph_cache_keep(const PhCacheQuestion *question, uint64_t version, const PhCacheAnswer *answer);

/* ph_cache_forget: everything. */
void ph_cache_forget(void);

#endif

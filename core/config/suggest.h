/* suggest.h: the nearest valid name to one that was mistyped
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_SUGGEST_H
#define POSTHORN_CONFIG_SUGGEST_H

#include <posthorn/types.h>

/* ph_suggest_distance: insertions, removals, changes and swaps of neighbours that turn @a into @b
 * (Damerau-Levenshtein, optimal string alignment); '_' and '-' and letter case do not count. */
size_t ph_suggest_distance(const char *a, const char *b);

/* ph_suggest_nearest: the nearest of @names, the first of several; NULL when none is near enough
 * (a third of the word, at least 1). @names: NULL behind the last. */
const char *ph_suggest_nearest(const char *word, const char *const *names);

/* ph_suggest_hint: "; did you mean 'NAME'?" or "; one of: a, b, c" when none is near and there are
 * at most 12, or "". Returns: (owned). */
char *ph_suggest_hint(const char *word, const char *const *names);

#endif

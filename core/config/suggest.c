/* suggest.c: the nearest valid name to one that was mistyped
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/suggest.h"

#include <string.h>

enum {
	LENGTH_MAX = 64,
	LISTED_MAX = 24
};

static char
fold(char c)
{
	return c == '_' ? '-' : g_ascii_tolower(c);
}

static size_t
least(size_t a, size_t b, size_t c)
{
	return MIN(MIN(a, b), c);
}

size_t
ph_suggest_distance(const char *a, const char *b)
{
	size_t n_a = MIN(strlen(a), (size_t) LENGTH_MAX);
	size_t n_b = MIN(strlen(b), (size_t) LENGTH_MAX);
	size_t rows[3][LENGTH_MAX + 1];

	for (size_t j = 0; j <= n_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		size_t *now = rows[i % 3];
		const size_t *before = rows[(i + 2) % 3];
		const size_t *two_before = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			char x = fold(a[i - 1]);
			char y = fold(b[j - 1]);

			now[j] = least(before[j] + 1, now[j - 1] + 1, before[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == fold(b[j - 2]) && fold(a[i - 2]) == y)
				now[j] = MIN(now[j], two_before[j - 2] + 1);
		}
	}
	return rows[n_a % 3][n_b];
}

const char *
ph_suggest_nearest(const char *word, const char *const *names)
{
	size_t limit = MAX(strlen(word) / 3, (size_t) 1);
	const char *nearest = NULL;

	for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
		size_t distance = ph_suggest_distance(word, names[i]);

		if (distance > limit || (nearest != NULL && distance == limit))
			continue;
		limit = distance;
		nearest = names[i];
	}
	return nearest;
}

char *
ph_suggest_hint(const char *word, const char *const *names)
{
	const char *nearest = ph_suggest_nearest(word, names);
	size_t n = names != NULL ? g_strv_length((char **) (uintptr_t) names) : 0;
	g_autofree char *list = NULL;

	if (nearest != NULL)
		return g_strdup_printf("; did you mean '%s'?", nearest);
	if (n == 0 || n > LISTED_MAX)
		return g_strdup("");
	if (n == 1)
		return g_strdup_printf("; there is only '%s'", names[0]);
	list = g_strjoinv(", ", (char **) (uintptr_t) names);
	return g_strdup_printf("; one of: %s", list);
}

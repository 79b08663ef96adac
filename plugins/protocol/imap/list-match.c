/* list-match.c: does a mailbox name match a pattern of LIST?
 *
 * All ways to match are followed at once, as a set of positions in the pattern, so there is no
 * backtracking to be provoked. INBOX at the front matches in any case (RFC 3501 section 5.1).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "list-match.h"

#include <posthorn/slice.h>

static bool
is_wild(char c)
{
	return c == '*' || c == '%';
}

/* Wildcards match nothing too: position i reached means that those behind a wildcard are. */
static void
close_over(PhSlice pattern, uint8_t *reached)
{
	for (size_t i = 0; i < pattern.length; i++)
		if (reached[i] && is_wild(pattern.data[i]))
			reached[i + 1] = 1;
}

static bool
advance(PhSlice pattern, char c, bool fold, const uint8_t *from, uint8_t *to)
{
	bool any = false;

	memset(to, 0, pattern.length + 1);
	for (size_t i = 0; i < pattern.length; i++) {
		char p = pattern.data[i];

		if (!from[i])
			continue;
		if (p == '*' || (p == '%' && c != '/'))
			to[i] = 1;
		else if (!is_wild(p) && (p == c || (fold && g_ascii_toupper(p) == c)))
			to[i + 1] = 1;
		else
			continue;
		any = true;
	}
	close_over(pattern, to);
	return any;
}

static bool
begins_with_inbox(PhSlice name)
{
	return name.length >= 5 && memcmp(name.data, "INBOX", 5) == 0
	       && (name.length == 5 || name.data[5] == '/');
}

bool
imap_list_match(PhSlice pattern, PhSlice name)
{
	g_autofree uint8_t *states = NULL;
	uint8_t *from;
	uint8_t *to;
	bool inbox = begins_with_inbox(name);

	if (pattern.length == 1 && pattern.data[0] == '*')
		return true;
	if (pattern.length == 1 && pattern.data[0] == '%')
		return ph_slice_find(name, '/') < 0;
	states = g_malloc0(2 * (pattern.length + 1));
	from = states;
	to = states + pattern.length + 1;
	from[0] = 1;
	close_over(pattern, from);
	for (size_t i = 0; i < name.length; i++) {
		uint8_t *swap = from;

		if (!advance(pattern, name.data[i], inbox && i < 5, from, to))
			return false;
		from = to;
		to = swap;
	}
	return from[pattern.length] != 0;
}

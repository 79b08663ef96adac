/* convert.c: line ends and dots of a message as it goes out
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "convert.h"

#include <string.h>

#define LINE_END PH_SLICE_LITERAL("\r\n")

static void
pass(BodyFunc func, void *user_data, const char *begin, const char *end)
{
	if (end > begin)
		func(PH_SLICE(begin, (size_t) (end - begin)), user_data);
}

static void
end_line(uint32_t *state, BodyFunc func, void *user_data)
{
	*state &= ~(uint32_t) (BODY_BEHIND_CR | BODY_IN_LINE);
	func(LINE_END, user_data);
}

/* From @at to the next octet that needs thought. @lf: (inout) the next LF, found once: many CRs before
 * it must not cost a search each. */
static const char *
find_end(const char *at, const char *end, const char **lf)
{
	const char *cr = NULL;

	if (*lf < at) {
		*lf = memchr(at, '\n', (size_t) (end - at));
		if (*lf == NULL)
			*lf = end;
	}
	cr = memchr(at, '\r', (size_t) (*lf - at));
	return cr != NULL ? cr : *lf;
}

void
body_convert(uint32_t *state, PhSlice piece, BodyFunc func, void *user_data)
{
	const char *at = piece.data;
	const char *end = piece.length > 0 ? at + piece.length : at;
	const char *from = at; /* what is not passed on yet begins here */
	const char *lf = NULL;

	while (at < end) {
		const char *stop = NULL;

		if ((*state & BODY_BEHIND_CR) != 0) {
			bool is_pair = *at == '\n';

			end_line(state, func, user_data);
			at += is_pair;
			from = at;
			continue;
		}
		if ((*state & (BODY_IN_LINE | BODY_DOTS)) == BODY_DOTS && *at == '.') {
			pass(func, user_data, from, at);
			func(PH_SLICE_LITERAL("."), user_data);
			from = at;
		}
		stop = find_end(at, end, &lf);
		if (stop > at)
			*state |= BODY_IN_LINE;
		if (stop + 1 < end && stop[0] == '\r' && stop[1] == '\n') {
			*state &= ~(uint32_t) BODY_IN_LINE;
			at = stop + 2;
			continue;
		}
		if (stop == end)
			break;
		pass(func, user_data, from, stop);
		if (*stop == '\r')
			*state |= BODY_BEHIND_CR;
		else
			end_line(state, func, user_data);
		at = stop + 1;
		from = at;
	}
	pass(func, user_data, from, end);
}

void
body_finish(uint32_t *state, BodyFunc func, void *user_data)
{
	if ((*state & (BODY_BEHIND_CR | BODY_IN_LINE)) != 0)
		func(LINE_END, user_data);
	*state &= BODY_DOTS;
}

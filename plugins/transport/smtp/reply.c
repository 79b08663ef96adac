/* reply.c: replies of a mail server, line by line
 *
 * RFC 5321 section 4.2: three digits, then a hyphen when more follows. What the peer says is for
 * logs and reports, so only printable ASCII of it is kept, and not much.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "reply.h"

enum {
	DIGITS = 3,
	FIRST_CODE = 200,
	LAST_CODE = 599,
};

void
reply_reset(Reply *reply)
{
	reply->code = 0;
	reply->n_lines = 0;
	reply->length = 0;
	reply->text[0] = '\0';
}

static void
keep(Reply *reply, PhSlice text)
{
	for (size_t i = 0; i < text.length && reply->length < REPLY_TEXT_MAX - 1; i++) {
		char c = text.data[i];

		reply->text[reply->length++] = g_ascii_isprint(c) ? c : c == '\t' ? ' ' : '?';
	}
	reply->text[reply->length] = '\0';
}

/* Does this line begin with the enhanced code that the first one began with? It is kept once. */
static PhSlice
without_status(PhSlice rest)
{
	size_t i = 0;

	while (i < rest.length && (g_ascii_isdigit(rest.data[i]) || rest.data[i] == '.'))
		i++;
	if (i < 5 || i >= rest.length || rest.data[i] != ' ' || rest.data[1] != '.')
		return rest;
	return PH_SLICE(rest.data + i + 1, rest.length - i - 1);
}

ReplyResult
reply_feed(Reply *reply, PhSlice line, PhSlice *rest_out)
{
	unsigned code = 0;
	bool is_last = true;
	PhSlice rest = PH_SLICE_EMPTY;

	if (line.length < DIGITS || line.length > REPLY_LINE_MAX)
		return REPLY_BROKEN;
	for (size_t i = 0; i < DIGITS; i++) {
		if (!g_ascii_isdigit(line.data[i]))
			return REPLY_BROKEN;
		code = code * 10 + (unsigned) (line.data[i] - '0');
	}
	if (code < FIRST_CODE || code > LAST_CODE || (reply->n_lines > 0 && code != reply->code)
	    || reply->n_lines >= REPLY_LINES_MAX)
		return REPLY_BROKEN;
	if (line.length > DIGITS) {
		is_last = line.data[DIGITS] != '-';
		if (is_last && line.data[DIGITS] != ' ')
			return REPLY_BROKEN;
		rest = PH_SLICE(line.data + DIGITS + 1, line.length - DIGITS - 1);
	}
	if (reply->n_lines == 0)
		keep(reply, PH_SLICE(line.data, DIGITS));
	keep(reply, PH_SLICE_LITERAL(" "));
	keep(reply, reply->n_lines > 0 ? without_status(rest) : rest);
	reply->code = (uint16_t) code;
	reply->n_lines++;
	*rest_out = rest;
	return is_last ? REPLY_DONE : REPLY_MORE;
}

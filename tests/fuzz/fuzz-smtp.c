/* fuzz-smtp.c: the parsers of the smtp and pop3 plugins
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "hops.h"
#include "parameters.h"
#include "stuff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_parameters(PhSlice text)
{
	MailParameters out;
	Parameter parameter;
	PhSlice rest = text;
	size_t octets = 0;

	while (parameter_next(&rest, &parameter) == PARAMETER_FOUND)
		octets += parameter.keyword.length + parameter.value.length;
	g_assert_cmpuint(octets, <=, text.length);
	(void) mail_parameters_parse(text, &out);
}

/* However the octets are cut, the count is the same. */
static void
check_hops(PhSlice text, size_t step)
{
	Hops whole = { 0 };
	Hops cut = { 0 };

	hops_scan(&whole, text);
	for (size_t at = 0; at < text.length; at += step)
		hops_scan(&cut, PH_SLICE(text.data + at, MIN(step, text.length - at)));
	g_assert_cmpuint(whole.n_received, ==, cut.n_received);
}

static void
gather(PhSlice octets, void *user_data)
{
	g_string_append_len(user_data, octets.data, (gssize) octets.length);
}

static GString *
stuffed(PhSlice text, size_t step, bool is_limited, uint64_t n_lines)
{
	GString *out = g_string_new(NULL);
	Stuff stuff;

	stuff_begin(&stuff, is_limited, n_lines);
	for (size_t at = 0; at < text.length; at += step)
		if (!stuff_piece(&stuff, PH_SLICE(text.data + at, MIN(step, text.length - at)),
		                 gather, out))
			break;
	stuff_end(&stuff, gather, out);
	return out;
}

/* Pieces make no difference, and the only line that is a lone dot is the last one. */
static void
check_stuff(PhSlice text, size_t step, bool is_limited)
{
	GString *whole = stuffed(text, text.length + 1, is_limited, step);
	GString *cut = stuffed(text, step, is_limited, step);

	g_assert_cmpmem(whole->str, whole->len, cut->str, cut->len);
	if (whole->len > 3) {
		g_assert_null(memmem(whole->str, whole->len - 3, "\n.\r\n", 4));
		g_assert_null(memmem(whole->str, whole->len - 3, "\n.\n", 3));
	}
	g_string_free(whole, TRUE);
	g_string_free(cut, TRUE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);
	size_t step = size > 0 ? 1 + data[0] % 16 : 1;

	check_parameters(text);
	check_hops(text, step);
	check_stuff(text, step, false);
	check_stuff(text, step, true);
	return 0;
}

/* fuzz-relay.c: what a next hop says, what the DNS says, and what goes out
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "convert.h"
#include "downgrade.h"
#include "encode.h"
#include "hop.h"
#include "net/resolver.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_replies(PhSlice text)
{
	Reply reply = { 0 };
	Caps caps = { 0 };

	while (text.length > 0) {
		PhSlice rest = PH_SLICE_EMPTY;
		ReplyResult result = reply_feed(&reply, ph_slice_split(&text, '\n'), &rest);

		g_assert_cmpuint(strlen(reply.text), ==, reply.length);
		for (const char *c = reply.text; *c != '\0'; c++)
			g_assert_true(g_ascii_isprint(*c));
		g_assert_cmpuint(reply.n_lines, <=, REPLY_LINES_MAX);
		caps_add(&caps, rest);
		if (result != REPLY_MORE)
			reply_reset(&reply);
	}
}

static void
check_rules(PhSlice text)
{
	g_autofree char *line = ph_slice_dup(text);
	NextHop hop = { NULL };
	Rule rule;

	if (next_hop_parse(line, &hop))
		g_assert_nonnull(hop.host);
	next_hop_clear(&hop);
	if (!rule_parse(line, &rule, NULL))
		return;
	(void) rule_matches(&rule, "a.example.org");
	rule_clear(&rule);
}

static void
gather(PhSlice octets, void *user_data)
{
	g_string_append_len(user_data, octets.data, (gssize) octets.length);
}

static GString *
converted(PhSlice text, uint32_t state, size_t step)
{
	GString *out = g_string_new(NULL);

	for (size_t at = 0; at < text.length; at += step)
		body_convert(&state, PH_SLICE(text.data + at, MIN(step, text.length - at)), gather,
		             out);
	body_finish(&state, gather, out);
	return out;
}

/* Every CR stands before an LF, every LF behind a CR, and with dots no line is one alone. */
static void
check_lines(const GString *out, bool has_dots)
{
	for (size_t i = 0; i < out->len; i++) {
		if (out->str[i] == '\r')
			g_assert_cmpint(out->str[i + 1], ==, '\n');
		if (out->str[i] == '\n')
			g_assert_true(i > 0 && out->str[i - 1] == '\r');
	}
	g_assert_true(out->len == 0 || g_str_has_suffix(out->str + out->len - 1, "\n"));
	if (has_dots)
		g_assert_null(memmem(out->str, out->len, "\r\n.\r\n", 5));
}

static void
check_body(PhSlice text, size_t step)
{
	g_autoptr(GString) whole = converted(text, BODY_DOTS, text.length + 1);
	g_autoptr(GString) cut = converted(text, BODY_DOTS, step);
	g_autoptr(GString) plain = converted(text, 0, step);

	g_assert_true(g_string_equal(whole, cut));
	check_lines(whole, true);
	check_lines(plain, false);
}

static void
check_encoder(PhSlice text, size_t step, bool is_base64)
{
	g_autoptr(GString) whole = g_string_new(NULL);
	g_autoptr(GString) cut = g_string_new(NULL);
	Encoder one = { .is_base64 = is_base64 };
	Encoder many = { .is_base64 = is_base64 };
	size_t column = 0;

	encode_feed(&one, text, whole);
	encode_finish(&one, whole);
	for (size_t at = 0; at < text.length; at += step)
		encode_feed(&many, PH_SLICE(text.data + at, MIN(step, text.length - at)), cut);
	encode_finish(&many, cut);
	g_assert_true(g_string_equal(whole, cut));
	for (size_t i = 0; i < whole->len; i++) {
		g_assert_cmpuint((unsigned char) whole->str[i], <, 0x7f);
		column = whole->str[i] == '\n' ? 0 : column + 1;
		g_assert_cmpuint(column, <=, ENCODE_LINE_MAX + 1);
	}
}

static void
check_downgrade(PhSlice text)
{
	g_autoptr(PhContent) content = ph_content_new_copy(text);
	g_autoptr(PhContent) made = NULL;
	g_autoptr(PhContent) again = NULL;

	if (downgrade_message(content, DOWNGRADE_8BIT | DOWNGRADE_BINARY, &made) != DOWNGRADED)
		return;
	/* Done once, there is nothing more to do. */
	(void) downgrade_message(made, DOWNGRADE_8BIT | DOWNGRADE_BINARY, &again);
}

static void
check_record(PhSlice text, uint32_t type)
{
	g_autoptr(GString) out = g_string_new(NULL);
	PhDnsRecord record;

	if (ph_dns_record_decode(type, text, &record, out))
		g_assert_cmpuint(record.text.length + 1, ==, out->len);
	else
		g_assert_cmpuint(out->len, ==, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text;
	size_t step = 0;

	if (size < 2)
		return 0;
	step = 1 + data[0] % 16;
	text = PH_SLICE((const char *) data + 2, size - 2);
	check_replies(text);
	check_rules(text);
	check_body(text, step);
	check_encoder(text, step, (data[0] & 0x80) != 0);
	check_downgrade(text);
	check_record(text, data[1]);
	return 0;
}

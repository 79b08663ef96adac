/* test-packet.c: what a milter says is read to the letter
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "packet.h"

#define OCTETS(text) PH_SLICE((text), sizeof(text) - 1)

static void
test_options(void)
{
	PhSlice macros[MILTER_STAGES];
	Options options;

	g_assert_true(
		packet_options(OCTETS("O\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"), &options, macros));
	g_assert_cmpuint(options.version, ==, 6);
	g_assert_cmpuint(options.actions, ==, MAY_ALL);
	g_assert_cmpuint(options.protocol, ==, PROTOCOL_ALL);
	g_assert_true(packet_options(OCTETS("O\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\1{i} j\0"), &options,
	                             macros));
	g_assert_null(macros[1].data); /* it may not name any */
	g_assert_true(packet_options(OCTETS("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\1{i} j\0\0\0\0\5\0"),
	                             &options, macros));
	g_assert_true(ph_slice_is(macros[1], "{i} j"));
	g_assert_true(macros[5].data != NULL && macros[5].length == 0);
	g_assert_null(macros[0].data);
	g_assert_false(packet_options(OCTETS("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\7{i} j\0"), &options,
	                              macros));
	g_assert_false(
		packet_options(OCTETS("O\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\1{i}"), &options, macros));
	g_assert_false(packet_options(OCTETS("O\0\0\0\7\0\0\0\0\0\0\0\0"), &options, macros));
	g_assert_false(packet_options(OCTETS("O\0\0\0\1\0\0\0\0\0\0\0\0"), &options, macros));
	g_assert_false(packet_options(OCTETS("O\0\0\0\6\0\0\2\0\0\0\0\0"), &options, macros));
	g_assert_false(packet_options(OCTETS("O\0\0\0\6\0\0\0\0\0\x40\0\0"), &options, macros));
	g_assert_false(packet_options(OCTETS("O\0\0\0\6\0\0\0\0\0\0\0"), &options, macros));
	g_assert_false(packet_options(OCTETS("c"), &options, macros));
}

static void
test_replies(void)
{
	Reply reply;

	g_assert_true(packet_reply(OCTETS("c"), 0, &reply));
	g_assert_false(packet_reply(OCTETS("cc"), 0, &reply));
	g_assert_false(packet_reply(OCTETS("Z"), 0, &reply));
	g_assert_false(packet_reply(OCTETS(""), MAY_ALL, &reply));
	g_assert_true(packet_reply(OCTETS("m\0\0\0\2Subject\0new\0"), MAY_ALL, &reply));
	g_assert_cmpuint(reply.index, ==, 2);
	g_assert_true(ph_slice_is(reply.first, "Subject") && ph_slice_is(reply.second, "new"));
	g_assert_false(packet_reply(OCTETS("m\0\0\0\2Subject\0new"), MAY_ALL, &reply));
	g_assert_false(packet_reply(OCTETS("m\0\0\0\2Subject\0new\0"), MAY_ADD_HEADERS, &reply));
	g_assert_false(packet_reply(OCTETS("m\0\0\2"), MAY_ALL, &reply));
	g_assert_false(packet_reply(OCTETS("h\0"), MAY_ALL, &reply));
	g_assert_false(packet_reply(OCTETS("+<a@b>"), MAY_ALL, &reply));
	g_assert_true(packet_reply(OCTETS("2<a@b>\0NOTIFY=NEVER\0"), MAY_ALL, &reply));
	g_assert_true(packet_reply(OCTETS("e<>\0"), MAY_ALL, &reply));
	g_assert_true(packet_reply(OCTETS("b"), MAY_ALL, &reply));
	g_assert_false(packet_reply(OCTETS("b"), 0, &reply));
}

static void
assert_code(const char *text, uint32_t code, const char *status, const char *lines)
{
	g_autoptr(GString) out = g_string_new(NULL);
	char got_status[16];
	uint32_t got = 0;

	g_assert_true(packet_code(ph_slice(text), &got, got_status, out) == (code != 0));
	if (code == 0)
		return;
	g_assert_cmpuint(got, ==, code);
	g_assert_cmpstr(got_status, ==, status);
	g_assert_cmpstr(out->str, ==, lines);
}

static void
test_codes(void)
{
	assert_code("550 5.7.1 go away", 550, "5.7.1", "go away");
	assert_code("451 later", 451, "", "later");
	assert_code("554", 554, "", "");
	assert_code("550-5.7.1 one\r\n550 5.7.1 two", 550, "5.7.1", "one\ntwo");
	assert_code("550-5.7.1 one\r\n551 5.7.1 two", 0, NULL, NULL);
	assert_code("550-never ended", 0, NULL, NULL);
	assert_code("550 one\r\n550 two", 0, NULL, NULL);
	assert_code("250 fine", 0, NULL, NULL);
	assert_code("go away", 0, NULL, NULL);
	assert_code("", 0, NULL, NULL);
}

static void
test_lengths(void)
{
	g_assert_cmpuint(packet_length(OCTETS("\0\0\0\5")), ==, 5);
	g_assert_cmpuint(packet_length(OCTETS("\0\1\0\0")), ==, MILTER_PACKET);
	g_assert_cmpuint(packet_length(OCTETS("\0\1\0\1")), ==, 0);
	g_assert_cmpuint(packet_length(OCTETS("\0\0\0\0")), ==, 0);
	g_assert_cmpuint(packet_length(OCTETS("\xff\xff\xff\xff")), ==, 0);
}

static void
test_header(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *large = g_strnfill(200000, 'x');

	packet_header(out, ph_slice("To"), ph_slice(" a,\r\n b"), false);
	g_assert_cmpmem(out->str, out->len, "\0\0\0\12LTo\0a,\n b\0", 14);
	g_string_truncate(out, 0);
	packet_header(out, ph_slice("To"), ph_slice(" a"), true);
	g_assert_cmpmem(out->str, out->len, "\0\0\0\7LTo\0 a\0", 11);
	g_string_truncate(out, 0);
	packet_header(out, ph_slice("X"), ph_slice(large), true);
	g_assert_cmpuint(out->len, <=, MILTER_LENGTH + MILTER_PACKET);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/filter-milter/packet/options-are-what-was-offered", test_options);
	g_test_add_func("/filter-milter/packet/replies-are-read-to-the-letter", test_replies);
	g_test_add_func("/filter-milter/packet/codes-in-one-line-and-several", test_codes);
	g_test_add_func("/filter-milter/packet/lengths-are-bounded", test_lengths);
	g_test_add_func("/filter-milter/packet/header-fields-are-written", test_header);
	return g_test_run();
}

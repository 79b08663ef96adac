/* test-proxy-header.c: both versions of the PROXY protocol, whole, in pieces, and broken
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "net/proxy-header.h"

#include <arpa/inet.h>

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static const char v2_tcp4[] = V2_SIGNATURE "\x21\x11\0\x0f"
					   "\xc0\0\x02\x01\x7f\0\0\x01\x1f\x90\0\x19"
					   "\x04\0\0";
static const char v2_tcp6[] = V2_SIGNATURE "\x21\x21\0\x24"
					   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
					   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1f\x90\0\x19";
static const char v2_local[] = V2_SIGNATURE "\x20\0\0\0";
static const char v2_unix[] = V2_SIGNATURE "\x21\x31\0\x02"
					   "xx";

#define WHOLE(text) PH_SLICE((text), sizeof(text) - 1)

static void
check_peer(const PhProxyHeader *header, const char *address, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	if (header->peer.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &header->peer.v4.sin_addr, text, sizeof text);
		g_assert_cmpuint(ntohs(header->peer.v4.sin_port), ==, port);
	} else {
		g_assert_cmpint(header->peer.any.sa_family, ==, AF_INET6);
		inet_ntop(AF_INET6, &header->peer.v6.sin6_addr, text, sizeof text);
		g_assert_cmpuint(ntohs(header->peer.v6.sin6_port), ==, port);
	}
	g_assert_cmpstr(text, ==, address);
}

/* Every shorter beginning is incomplete; what follows is not looked at. */
static void
check_pieces(PhSlice whole, PhProxyHeader *header_out)
{
	g_autoptr(GString) longer = g_string_new_len(whole.data, (gssize) whole.length);

	for (size_t n = 0; n < whole.length; n++)
		g_assert_cmpint(ph_proxy_header_parse(PH_SLICE(whole.data, n), header_out), ==,
		                PH_PROXY_INCOMPLETE);
	g_string_append(longer, "EHLO x\r\n");
	g_assert_cmpint(ph_proxy_header_parse(PH_SLICE(longer->str, longer->len), header_out), ==,
	                PH_PROXY_OK);
	g_assert_cmpuint(header_out->used, ==, whole.length);
}

static void
test_version_1(void)
{
	PhProxyHeader header;

	check_pieces(ph_slice("PROXY TCP4 192.0.2.1 127.0.0.1 8080 25\r\n"), &header);
	check_peer(&header, "192.0.2.1", 8080);
	g_assert_false(header.is_local);
	check_pieces(ph_slice("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), &header);
	check_peer(&header, "2001:db8::1", 65535);
	check_pieces(ph_slice("PROXY UNKNOWN\r\n"), &header);
	g_assert_true(header.is_local);
	check_pieces(ph_slice("PROXY UNKNOWN ffff:f...f:ffff whatever 1 2\r\n"), &header);
	g_assert_true(header.is_local);
}

static void
test_version_2(void)
{
	PhProxyHeader header;

	check_pieces(WHOLE(v2_tcp4), &header);
	check_peer(&header, "192.0.2.1", 8080);
	check_pieces(WHOLE(v2_tcp6), &header);
	check_peer(&header, "2001:db8::1", 8080);
	check_pieces(WHOLE(v2_local), &header);
	g_assert_true(header.is_local);
	check_pieces(WHOLE(v2_unix), &header);
	g_assert_true(header.is_local);
}

static void
test_broken(void)
{
	static const PhSlice wrong[] = {
		WHOLE("EHLO example.org\r\n"),
		WHOLE("proxy TCP4 192.0.2.1 127.0.0.1 1 2\r\n"),
		WHOLE("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\n"),
		WHOLE("PROXY TCP4 192.0.2.1 127.0.0.1 1\r\n"),
		WHOLE("PROXY TCP4 192.0.2.1 127.0.0.1 1 2 3\r\n"),
		WHOLE("PROXY TCP4 192.0.2.1 127.0.0.1 01 2\r\n"),
		WHOLE("PROXY TCP4 192.0.2.1 127.0.0.1 65536 2\r\n"),
		WHOLE("PROXY TCP4 2001:db8::1 ::1 1 2\r\n"),
		WHOLE("PROXY TCP6 192.0.2.1 127.0.0.1 1 2\r\n"),
		WHOLE("PROXY TCP4 192.0.2.1\0 127.0.0.1 1 2\r\n"),
		WHOLE("PROXY UDP4 192.0.2.1 127.0.0.1 1 2\r\n"),
		WHOLE("PROXY \r\n"),
		WHOLE("PROXY TCP4 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		WHOLE(V2_SIGNATURE "\x31\x11\0\x0c"),
		WHOLE(V2_SIGNATURE "\x22\x11\0\x0c"),
		WHOLE(V2_SIGNATURE "\x21\x11\xff\xff"),
		WHOLE(V2_SIGNATURE "\x21\x11\0\x0b"
		                   "01234567890"),
		WHOLE(V2_SIGNATURE "\x21\x21\0\x0c"
		                   "012345678901"),
		WHOLE(V2_SIGNATURE "\x21\x42\0\0"),
	};
	PhProxyHeader header;

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		g_assert_cmpint(ph_proxy_header_parse(wrong[i], &header), ==, PH_PROXY_INVALID);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/proxy-header/version-1-whole-and-in-pieces", test_version_1);
	g_test_add_func("/net/proxy-header/version-2-whole-and-in-pieces", test_version_2);
	g_test_add_func("/net/proxy-header/broken-ones-are-refused", test_broken);
	return g_test_run();
}

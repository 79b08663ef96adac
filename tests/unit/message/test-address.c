/* test-address.c: the paths of MAIL and RCPT, to the letter of RFC 5321
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/slice.h>

#define L64  "1234567890123456789012345678901234567890123456789012345678901234"
#define L63  "123456789012345678901234567890123456789012345678901234567890123"
#define D189 L63 "." L63 "." L63 /* with dots 191 octets */

typedef struct {
	const char *text;
	PhAddressResult result;
	const char *local;
	const char *domain;
	size_t used;
} Row;

static const Row good_paths[] = {
	{ "<joe@example.org>", PH_ADDRESS_OK, "joe", "example.org", 17 },
	{ "<joe@example.org> SIZE=5", PH_ADDRESS_OK, "joe", "example.org", 17 },
	{ "<Joe.Blow+x@EXAMPLE.Org>", PH_ADDRESS_OK, "Joe.Blow+x", "example.org", 24 },
	{ "<!#$%&'*+-/=?^_`{|}~@a>", PH_ADDRESS_OK, "!#$%&'*+-/=?^_`{|}~", "a", 23 },
	{ "<\"joe blow\"@a.b>", PH_ADDRESS_OK, "joe blow", "a.b", 16 },
	{ "<\"a\\\"b\\\\c\\d\"@a.b>", PH_ADDRESS_OK, "a\"b\\cd", "a.b", 17 },
	{ "<\"\"@a.b>", PH_ADDRESS_OK, "", "a.b", 8 },
	{ "<\"a@b>c\"@a.b>", PH_ADDRESS_OK, "a@b>c", "a.b", 13 },
	{ "<@a.b:joe@c.d>", PH_ADDRESS_OK, "joe", "c.d", 14 },
	{ "<@a.b,@e-f.g:joe@c.d>", PH_ADDRESS_OK, "joe", "c.d", 21 },
	{ "<a@[192.0.2.1]>", PH_ADDRESS_OK, "a", "[192.0.2.1]", 15 },
	{ "<a@[IPv6:2001:DB8::1]>", PH_ADDRESS_OK, "a", "[ipv6:2001:db8::1]", 22 },
	{ "<a@[IPv6:1:2:3:4:5:6:7:8]>", PH_ADDRESS_OK, "a", "[ipv6:1:2:3:4:5:6:7:8]", 26 },
	{ "<a@[IPv6:1:2:3:4:5:6:1.2.3.4]>", PH_ADDRESS_OK, "a", "[ipv6:1:2:3:4:5:6:1.2.3.4]", 30 },
	{ "<a@[IPv6:::]>", PH_ADDRESS_OK, "a", "[ipv6:::]", 13 },
	{ "<a@[IPv6:::ffff:1.2.3.4]>", PH_ADDRESS_OK, "a", "[ipv6:::ffff:1.2.3.4]", 25 },
	{ "<a@[x400:c=de]>", PH_ADDRESS_OK, "a", "[x400:c=de]", 15 },
	{ "<a@1.2.3.4>", PH_ADDRESS_OK, "a", "1.2.3.4", 11 },
	{ "<" L64 "@a>", PH_ADDRESS_OK, L64, "a", 68 },
	{ "<a@" L63 ">", PH_ADDRESS_OK, "a", L63, 67 },
	{ "<a@" D189 "." L63 ">", PH_ADDRESS_TOO_LONG, NULL, NULL, 0 },
};

static const char *const bad_paths[] = {
	"",
	"<",
	"<>",
	"<postmaster>",
	"joe@example.org",
	"<joe>",
	"<joe@>",
	"<@example.org>",
	"<joe@example.org",
	"<joe@example.org.>",
	"<joe@.example.org>",
	"<joe@a..b>",
	"<.joe@a>",
	"<joe.@a>",
	"<jo..e@a>",
	"<jo e@a>",
	"< joe@a>",
	"<joe@a >",
	"<joe@-a>",
	"<joe@a->",
	"<joe@a-.b>",
	"<joe@a_b>",
	"<joe@a@b>",
	"<jo(e)@a>",
	"<jo\"e@a>",
	"<\"joe@a>",
	"<\"joe\"x@a>",
	"<\"joe\".x@a>",
	"<\"a\\\"@a>",
	"<\"tab\there\"@a>",
	"<\"a\x01\"@a>",
	"<\"a\x7f\"@a>",
	"<a@[1.2.3]>",
	"<a@[1.2.3.4.5]>",
	"<a@[1.2.3.256]>",
	"<a@[1.2.3.0004]>",
	"<a@[1.2.3.4>",
	"<a@[]>",
	"<a@[IPv6:]>",
	"<a@[IPv6:1:2:3:4:5:6:7]>",
	"<a@[IPv6:1:2:3:4:5:6:7:8:9]>",
	"<a@[IPv6:1:2:3:4:5:6:7::]>",
	"<a@[IPv6:1::2::3]>",
	"<a@[IPv6::1]>",
	"<a@[IPv6:12345::]>",
	"<a@[IPv6:g::]>",
	"<a@[IPv6:1.2.3.4::]>",
	"<a@[IPv6:1:2:3:4:5:6:7:1.2.3.4]>",
	"<a@[-:x]>",
	"<a@[tag:]>",
	"<a@[tag:a b]>",
	"<@a:>",
	"<@a,:b@c>",
	"<@a@b:c@d>",
	"<@[1.2.3.4]:c@d>",
	"<a@b:c@d>",
	"<@a,@b c@d>",
	"<\xc3\x28@a>",
	"<a@\xff>",
	"<joe@a\r\n>",
};

static void
check_row(const Row *row, PhAddressResult result, const PhAddress *address, size_t used)
{
	g_assert_cmpint(result, ==, row->result);
	if (result != PH_ADDRESS_OK)
		return;
	g_assert_cmpint(address->kind, ==, PH_ADDRESS_MAILBOX);
	g_assert_cmpstr(address->local, ==, row->local);
	g_assert_cmpstr(address->domain, ==, row->domain);
	g_assert_cmpuint(address->local_length, ==, strlen(row->local));
	g_assert_cmpuint(address->domain_length, ==, strlen(row->domain));
	g_assert_cmpuint(used, ==, row->used);
}

static void
test_good(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(good_paths); i++) {
		PhAddress address;
		size_t used = 0;
		PhSlice text = ph_slice(good_paths[i].text);
		PhAddressResult result = ph_address_parse_path(text, 0, &address, &used);

		check_row(&good_paths[i], result, &address, used);
	}
}

static void
test_bad(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(bad_paths); i++) {
		PhAddress address = { .kind = 99 };
		size_t used = 99;
		g_autofree char *shown = g_strescape(bad_paths[i], NULL);

		g_test_message("%s", shown);
		g_assert_cmpint(ph_address_parse_path(ph_slice(bad_paths[i]), 0, &address, &used),
		                ==, PH_ADDRESS_SYNTAX);
		g_assert_cmpint(address.kind, ==, 99);
		g_assert_cmpuint(used, ==, 99);
	}
	g_assert_cmpint(ph_address_parse_path(PH_SLICE("<a\0b@c>", 7), 0, NULL, NULL), ==,
	                PH_ADDRESS_SYNTAX);
}

static void
test_special(void)
{
	PhAddress address;
	size_t used = 0;

	g_assert_cmpint(ph_address_parse_path(ph_slice("<> BODY=8BITMIME"), PH_ADDRESS_ALLOW_NULL,
	                                      &address, &used),
	                ==, PH_ADDRESS_OK);
	g_assert_cmpint(address.kind, ==, PH_ADDRESS_NULL);
	g_assert_cmpuint(used, ==, 2);
	g_assert_cmpint(ph_address_parse_path(ph_slice("<POSTMASTER>"), PH_ADDRESS_ALLOW_POSTMASTER,
	                                      &address, &used),
	                ==, PH_ADDRESS_OK);
	g_assert_cmpint(address.kind, ==, PH_ADDRESS_POSTMASTER);
	g_assert_cmpstr(address.local, ==, "postmaster");
	g_assert_cmpuint(used, ==, 12);
	g_assert_cmpint(
		ph_address_parse_path(ph_slice("<>"), PH_ADDRESS_ALLOW_POSTMASTER, &address, NULL),
		==, PH_ADDRESS_SYNTAX);
}

static void
test_length(void)
{
	PhAddress address;

	g_assert_cmpint(ph_address_parse_path(ph_slice("<" L64 "5@a>"), 0, &address, NULL), ==,
	                PH_ADDRESS_TOO_LONG);
	g_assert_cmpint(ph_address_parse_path(ph_slice("<a@" L63 "4>"), 0, &address, NULL), ==,
	                PH_ADDRESS_TOO_LONG);
	/* 1 + 52 + 1 + 191 + ... : exactly 256 octets, then one more */
	g_assert_cmpint(ph_address_parse_path(ph_slice("<" L63 "@" D189 ">"), 0, &address, NULL),
	                ==, PH_ADDRESS_TOO_LONG);
	g_assert_cmpint(
		ph_address_parse_path(ph_slice("<12345678901234567890123456789012345678901234567890"
	                                       "123456789012@" D189 ">"),
	                              0, &address, NULL),
		==, PH_ADDRESS_OK);
	g_assert_cmpint(ph_address_parse_path(ph_slice("<@" D189 ":a@" L63 ">"), 0, &address, NULL),
	                ==, PH_ADDRESS_TOO_LONG);
}

static void
test_utf8(void)
{
	PhAddress address;
	PhSlice text = ph_slice("<gr\xc3\xbc\xc3\x9f@ex\xc3\xa4mple.org>");

	g_assert_cmpint(ph_address_parse_path(text, 0, &address, NULL), ==, PH_ADDRESS_NEEDS_UTF8);
	g_assert_cmpint(ph_address_parse_path(text, PH_ADDRESS_ALLOW_UTF8, &address, NULL), ==,
	                PH_ADDRESS_OK);
	g_assert_true(address.is_utf8);
	g_assert_cmpstr(address.local, ==, "gr\xc3\xbc\xc3\x9f");
	g_assert_cmpint(ph_address_parse_path(ph_slice("<\"\xc3\xbc \"@a>"), PH_ADDRESS_ALLOW_UTF8,
	                                      &address, NULL),
	                ==, PH_ADDRESS_OK);
	g_assert_cmpint(
		ph_address_parse_path(ph_slice("<\xc3@a>"), PH_ADDRESS_ALLOW_UTF8, &address, NULL),
		==, PH_ADDRESS_SYNTAX);
	g_assert_cmpint(
		ph_address_parse_path(ph_slice("<a@b>"), PH_ADDRESS_ALLOW_UTF8, &address, NULL), ==,
		PH_ADDRESS_OK);
	g_assert_false(address.is_utf8);
}

static void
test_output(void)
{
	static const char *const rows[][2] = {
		{ "Joe.Blow@Example.ORG", "Joe.Blow@example.org" },
		{ "\"Joe\".\"Blow\"@a", NULL },
		{ "\"Joe.Blow\"@a", "Joe.Blow@a" },
		{ "\"Joe Blow\"@a", "\"Joe Blow\"@a" },
		{ "\"a\\\"b\\\\\"@a", "\"a\\\"b\\\\\"@a" },
		{ "\"\"@a", "\"\"@a" },
		{ "\".a\"@a", "\".a\"@a" },
		{ "a@[IPv6:::1]", "a@[ipv6:::1]" },
		{ "a@b c", NULL },
		{ "<a@b>", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		PhAddress address;
		PhAddress again;
		PhAddressResult result =
			ph_address_parse_mailbox(ph_slice(rows[i][0]), 0, &address);
		g_autofree char *text = NULL;

		g_assert_cmpint(result == PH_ADDRESS_OK, ==, rows[i][1] != NULL);
		if (result != PH_ADDRESS_OK)
			continue;
		text = ph_address_dup(&address);
		g_assert_cmpstr(text, ==, rows[i][1]);
		g_assert_cmpint(ph_address_parse_mailbox(ph_slice(text), 0, &again), ==,
		                PH_ADDRESS_OK);
		g_assert_true(ph_address_equal(&address, &again));
	}
}

static void
test_path_output(void)
{
	PhAddress address;
	g_autoptr(GString) out = g_string_new(NULL);

	g_assert_cmpint(
		ph_address_parse_path(ph_slice("<>"), PH_ADDRESS_ALLOW_NULL, &address, NULL), ==,
		PH_ADDRESS_OK);
	ph_address_append_path(&address, out);
	g_assert_cmpint(ph_address_parse_path(ph_slice("<@x:\"a b\"@C>"), 0, &address, NULL), ==,
	                PH_ADDRESS_OK);
	ph_address_append_path(&address, out);
	g_assert_cmpstr(out->str, ==, "<><\"a b\"@c>");
}

static void
test_domain(void)
{
	uint32_t kind = PH_DOMAIN_NONE;

	g_assert_cmpint(ph_domain_parse(ph_slice("mail.example.org"), 0, &kind), ==, PH_ADDRESS_OK);
	g_assert_cmpint(kind, ==, PH_DOMAIN_NAME);
	g_assert_cmpint(ph_domain_parse(ph_slice("[127.0.0.1]"), 0, &kind), ==, PH_ADDRESS_OK);
	g_assert_cmpint(kind, ==, PH_DOMAIN_IPV4);
	g_assert_cmpint(ph_domain_parse(ph_slice("[IPv6:::1]"), 0, &kind), ==, PH_ADDRESS_OK);
	g_assert_cmpint(kind, ==, PH_DOMAIN_IPV6);
	g_assert_cmpint(ph_domain_parse(ph_slice("[x:y]"), 0, &kind), ==, PH_ADDRESS_OK);
	g_assert_cmpint(kind, ==, PH_DOMAIN_GENERAL);
	g_assert_cmpint(ph_domain_parse(ph_slice("a b"), 0, &kind), ==, PH_ADDRESS_SYNTAX);
	g_assert_cmpint(ph_domain_parse(ph_slice(""), 0, &kind), ==, PH_ADDRESS_SYNTAX);
	g_assert_cmpint(ph_domain_parse(ph_slice("\xc3\xa4.de"), 0, &kind), ==,
	                PH_ADDRESS_NEEDS_UTF8);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/address/reads-the-grammar", test_good);
	g_test_add_func("/message/address/refuses-everything-else", test_bad);
	g_test_add_func("/message/address/null-and-postmaster-only-where-allowed", test_special);
	g_test_add_func("/message/address/tells-too-long-from-wrong", test_length);
	g_test_add_func("/message/address/utf8-only-when-asked-for", test_utf8);
	g_test_add_func("/message/address/writes-what-it-reads", test_output);
	g_test_add_func("/message/address/writes-paths", test_path_output);
	g_test_add_func("/message/address/domains-alone", test_domain);
	return g_test_run();
}

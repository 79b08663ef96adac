/* test-address-list.c: the address lists of header fields, good and bad
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/slice.h>

/* Items as "name|route|local|domain", "{name" and "}", divided by " ; ". */
static void
check(const char *value, const char *expected)
{
	g_autoptr(GString) scratch = g_string_new(NULL);
	g_autoptr(GString) out = g_string_new(NULL);
	PhAddressIter iter;
	PhListed item;

	ph_address_iter_init(&iter, ph_slice(value), scratch);
	while (ph_address_iter_next(&iter, &item)) {
		if (out->len > 0)
			g_string_append(out, " ; ");
		if (item.kind == PH_LISTED_GROUP_END)
			g_string_append(out, "}");
		else if (item.kind == PH_LISTED_GROUP_START)
			g_string_append_printf(out, "{%.*s", (int) item.name.length,
			                       item.name.data);
		else
			g_string_append_printf(
				out, "%.*s|%.*s|%.*s|%.*s", (int) item.name.length, item.name.data,
				(int) item.route.length, item.route.data, (int) item.local.length,
				item.local.data, (int) item.domain.length, item.domain.data);
	}
	g_assert_cmpstr(out->str, ==, expected);
}

static void
test_rfc(void)
{
	check("John Doe <jdoe@machine.example>", "John Doe||jdoe|machine.example");
	check("\"Joe Q. Public\" <john.q.public@example.com>",
	      "Joe Q. Public||john.q.public|example.com");
	check("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
	      "Mary Smith||mary|x.test ; ||jdoe|example.org ; Who?||one|y.test");
	check("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
	      "||boss|nil.test ; Giant; \"Big\" Box||sysservices|example.net");
	check("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
	      "{A Group ; Ed Jones||c|a.test ; ||joe|where.test ; John||jdoe|one.test ; }");
	check("Undisclosed recipients:;", "{Undisclosed recipients ; }");
	check("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
	      "Pete||pete|silly.test");
	check("A Group(Some people)\r\n  :Chris Jones <c@(Chris's host.)public.example>,\r\n"
	      " joe@example.org,\r\n John <jdoe@one.test> (my dear friend); (the end of the group)",
	      "{A Group ; Chris Jones||c|public.example ; ||joe|example.org ; John||jdoe|one.test ; }");
	check("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
	      "{Hidden recipients ; }");
	check("Joe Q. Public <john.q.public@example.com>",
	      "Joe Q. Public||john.q.public|example.com");
	check("Mary Smith <@node.test,@b.test:mary@example.net>, , jdoe@test  . example",
	      "Mary Smith|@node.test,@b.test|mary|example.net ; ||jdoe|test.example");
}

static void
test_odd(void)
{
	check("", "");
	check(" \r\n ", "");
	check(",,;,", "");
	check("(just a comment)", "");
	check("joe@example.org (Joe Blow)", "Joe Blow||joe|example.org");
	check("\"joe blow\"@example.org", "||joe blow|example.org");
	check("joe", "||joe|");
	check("Joe Blow", "||Joe Blow|");
	check("Joe Blow joe@a.b", "Joe Blow||joe|a.b");
	check("anna . berg @ example . org", "||anna.berg|example.org");
	check("Anna anna. berg . x@a.b", "Anna||anna.berg.x|a.b");
	check("Anna <anna . berg@a.b>", "Anna||anna.berg|a.b");
	check("Anna B . Berg <anna@a.b>", "Anna B . Berg||anna|a.b");
	check(". @a", "||.|a");
	check("a . @a", "||a.|a");
	check("joe@a.b <joe@c.d>", "joe@a.b||joe|c.d");
	check("<>", "|||");
	check("Joe <>", "Joe|||");
	check("Joe <joe@a.b", "Joe||joe|a.b");
	check("Joe <joe@a.b, x@y", "Joe||joe|a.b ; ||x|y");
	check("@a.b", "|||a.b");
	check("joe@", "||joe|");
	check("joe@[127.0.0.1]", "||joe|[127.0.0.1]");
	check("=?utf-8?q?J=C3=BCrgen?= <j@a>", "=?utf-8?q?J=C3=BCrgen?=||j|a");
	check("\"Doe, Joe\" <j@a>, b@c", "Doe, Joe||j|a ; ||b|c");
	check("\"never closed <j@a>, b@c", "||never closed <j@a>, b@c|");
	check("(never closed <j@a>, b@c", "");
	check("g:a@b", "{g ; ||a|b ; }");
	check("g:h:a@b;", "{g ; ||h:a|b ; }");
	check("a@b; c@d", "||a|b ; ||c|d");
	check("a@b>, c@d", "||a|b> ; ||c|d");
	check("J\xc3\xbcrgen <j@a>", "J\xc3\xbcrgen||j|a");
	check(" <a@b> junk, <c@d>", "||a|b ; ||c|d");
}

static void
test_limit(void)
{
	g_autoptr(GString) value = g_string_new(NULL);
	g_autoptr(GString) scratch = g_string_new(NULL);
	PhAddressIter iter;
	PhListed item;
	uint32_t n = 0;

	for (int i = 0; i < PH_ADDRESS_LIST_MAX + 5; i++)
		g_string_append(value, "a@b,");
	ph_address_iter_init(&iter, PH_SLICE(value->str, value->len), scratch);
	while (ph_address_iter_next(&iter, &item))
		n++;
	g_assert_cmpuint(n, ==, PH_ADDRESS_LIST_MAX);
}

/* Values that would cost quadratic time if anything looked back. */
static void
test_linear(void)
{
	static const char *const units[] = { "(",  "\"", "<",    "@",  "a ", ":", "[",
		                             "\\", ",",  "a:b;", "<@", "(a", ". " };
	g_autoptr(GString) scratch = g_string_new(NULL);

	for (size_t u = 0; u < G_N_ELEMENTS(units); u++) {
		g_autoptr(GString) value = g_string_new(NULL);
		PhAddressIter iter;
		PhListed item;
		gint64 start = 0;

		while (value->len < 1024 * 1024)
			g_string_append(value, units[u]);
		start = g_get_monotonic_time();
		ph_address_iter_init(&iter, PH_SLICE(value->str, value->len), scratch);
		while (ph_address_iter_next(&iter, &item))
			continue;
		g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/address-list/examples-of-rfc-5322", test_rfc);
	g_test_add_func("/message/address-list/makes-sense-of-broken-ones", test_odd);
	g_test_add_func("/message/address-list/stops-at-the-limit", test_limit);
	g_test_add_func("/message/address-list/costs-linear-time", test_linear);
	return g_test_run();
}

/* test-grammar.c: the grammar of IMAP: words, strings, sets, flags, FETCH items, search keys
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/store.h>

#include "fetch-parse.h"
#include "parse.h"
#include "search-parse.h"

static Parser
over(const char *text)
{
	Parser parser;

	imap_parser_init(&parser, ph_slice(text));
	return parser;
}

static void
check_astring(const char *text, const char *wanted)
{
	g_auto(Parser) parser = over(text);
	PhSlice out = PH_SLICE_EMPTY;
	bool ok = imap_parse_astring(&parser, &out);

	g_assert_cmpint(ok, ==, wanted != NULL);
	if (wanted != NULL)
		g_assert_true(ph_slice_is(out, wanted));
	else
		g_assert_nonnull(parser.error);
}

static void
test_strings(void)
{
	check_astring("atom rest", "atom");
	check_astring("a]b rest", "a]b");
	check_astring("\"quoted text\" rest", "quoted text");
	check_astring("\"a \\\"b\\\" \\\\ c\"", "a \"b\" \\ c");
	check_astring("\"\"", "");
	check_astring("{3}\r\na\"b rest", "a\"b");
	check_astring("{0}\r\n", "");
	check_astring("{3+}\r\nabc", "abc");
}

static void
test_bad_strings(void)
{
	static const char *const bad[] = {
		"",
		" atom",
		"(x)",
		"\"open",
		"\"wrong \\n\"",
		"\"end\\",
		"{4}\r\nabc",
		"{3}abc",
		"{x}\r\nabc",
		"{3}\nabc",
		"{-1}\r\nab",
		"{99999999999999999999}\r\nab",
		"{3{3}\r\nabc",
		"%",
		"*",
		"\"new\nline\"",
		"\177",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		check_astring(bad[i], NULL);
}

static void
test_nul_in_literal(void)
{
	static const char text[] = "{3}\r\na\0b";
	g_auto(Parser) parser = { NULL, NULL, NULL, NULL };
	PhSlice out;

	imap_parser_init(&parser, PH_SLICE(text, sizeof text - 1));
	g_assert_false(imap_parse_astring(&parser, &out));
}

static void
test_literal_at_end(void)
{
	static const struct {
		const char *line;
		ImapLiteral result;
		uint64_t size;
		bool wait;
	} rows[] = {
		{ "a LOGIN {5}", IMAP_LITERAL_OK, 5, true },
		{ "a LOGIN {5+}", IMAP_LITERAL_OK, 5, false },
		{ "a APPEND x {9223372036854775807}", IMAP_LITERAL_OK, INT64_MAX, true },
		{ "a APPEND x {9223372036854775808}", IMAP_LITERAL_BAD, 0, true },
		{ "a APPEND x {18446744073709551616+}", IMAP_LITERAL_BAD, 0, false },
		{ "a NOOP {5} ", IMAP_LITERAL_NONE, 0, false },
		{ "a NOOP {}", IMAP_LITERAL_NONE, 0, false },
		{ "a NOOP {+}", IMAP_LITERAL_NONE, 0, false },
		{ "a NOOP 5}", IMAP_LITERAL_NONE, 0, false },
		{ "5}", IMAP_LITERAL_NONE, 0, false },
		{ "{5}", IMAP_LITERAL_OK, 5, true },
		{ "", IMAP_LITERAL_NONE, 0, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		uint64_t size = 0;
		bool wait = false;

		g_assert_cmpint(imap_literal_at_end(ph_slice(rows[i].line), &size, &wait), ==,
		                rows[i].result);
		if (rows[i].result == IMAP_LITERAL_OK)
			g_assert_cmpuint(size, ==, rows[i].size);
		if (rows[i].result != IMAP_LITERAL_NONE)
			g_assert_cmpint(wait, ==, rows[i].wait);
	}
}

static void
test_numbers(void)
{
	static const char *const bad[] = { "", "x", "-1", "4294967296", "18446744073709551617" };
	uint32_t number;
	uint64_t large;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_auto(Parser) parser = over(bad[i]);

		g_assert_false(imap_parse_number(&parser, &number));
	}
	{
		g_auto(Parser) parser = over("4294967295 ");

		g_assert_true(imap_parse_number(&parser, &number));
		g_assert_cmpuint(number, ==, UINT32_MAX);
	}
	{
		g_auto(Parser) parser = over("9223372036854775808");

		g_assert_false(imap_parse_number64(&parser, &large));
	}
}

static void
test_sets(void)
{
	static const char *const bad[] = { "0", "1:0", "4294967296", "1,", ",1", "a", "1::2", "" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_auto(Parser) parser = over(bad[i]);

		g_assert_null(imap_parse_set(&parser, 10));
	}
	{
		g_auto(Parser) parser = over("7:*,2 FLAGS");
		g_autoptr(PhUidSet) set = imap_parse_set(&parser, 10);
		g_autoptr(GString) text = g_string_new(NULL);

		ph_uid_set_append_text(set, text);
		g_assert_cmpstr(text->str, ==, "2,7:10");
		g_assert_true(imap_parse_peek(&parser, ' '));
	}
	{
		g_auto(Parser) parser = over("1:*");

		g_assert_null(imap_parse_set(&parser, 0));
	}
}

static void
test_flags(void)
{
	static const char *const bad[] = { "\\Recent", "(\\Seen", "(\\*)", "(a  b)",
		                           "( a)",     "",        "\\" };
	FlagList list = { 0, NULL };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_auto(Parser) parser = over(bad[i]);

		g_assert_false(imap_parse_flags(&parser, true, &list));
		g_assert_null(list.keywords);
	}
	{
		g_auto(Parser) parser = over("(\\seen $Junk \\DELETED)");

		g_assert_true(imap_parse_flags(&parser, false, &list));
		g_assert_cmpuint(list.flags, ==, PH_FLAG_SEEN | PH_FLAG_DELETED);
		g_assert_cmpstr(list.keywords->pdata[0], ==, "$Junk");
		g_assert_null(list.keywords->pdata[1]);
		imap_flags_clear(&list);
	}
	{
		g_auto(Parser) parser = over("\\Seen");

		g_assert_false(imap_parse_flags(&parser, false, &list));
	}
}

static void
check_fetch(const char *text, uint32_t items, const char *label, const char *find)
{
	g_auto(Parser) parser = over(text);
	FetchQuery query = { 0 };

	g_assert_true(imap_fetch_parse(&parser, &query));
	g_assert_cmphex(query.items, ==, items);
	if (label != NULL) {
		const FetchSection *section = query.sections->pdata[0];

		g_assert_cmpstr(section->label, ==, label);
		g_assert_cmpstr(section->find, ==, find);
	}
	imap_fetch_query_clear(&query);
}

static void
test_fetch(void)
{
	check_fetch(" FLAGS", FETCH_FLAGS, NULL, NULL);
	check_fetch(" (flags uid)", FETCH_FLAGS | FETCH_UID, NULL, NULL);
	check_fetch(" FAST", FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE, NULL, NULL);
	check_fetch(" BODY", FETCH_BODY, NULL, NULL);
	check_fetch(" BODY[]", 0, "BODY[]", "");
	check_fetch(" body.peek[1.2.mime]<5.7>", 0, "BODY[1.2.MIME]<5>", "1.2.MIME");
	check_fetch(" BODY[HEADER.FIELDS (To \"a b\")]", 0, "BODY[HEADER.FIELDS (To \"a b\")]",
	            "HEADER");
	check_fetch(" BODY[3.header.fields.not (x)]", 0, "BODY[3.HEADER.FIELDS.NOT (x)]",
	            "3.HEADER");
	check_fetch(" RFC822.TEXT", 0, "RFC822.TEXT", "TEXT");
	check_fetch(" (UID) (CHANGEDSINCE 12)", FETCH_UID | FETCH_MODSEQ, NULL, NULL);
}

static void
test_bad_fetch(void)
{
	static const char *const bad[] = {
		"",
		" ",
		" ()",
		" (FLAGS",
		" (FAST)",
		" (FLAGS  UID)",
		" BODY[",
		" BODY[0]",
		" BODY[1.0]",
		" BODY[1.]",
		" BODY[.1]",
		" BODY[MIME]",
		" BODY[4294967296]",
		" BODY[HEADER.FIELDS]",
		" BODY[HEADER.FIELDS ()]",
		" BODY[]<1>",
		" BODY[]<1.0>",
		" BODY[]<9223372036854775808.1>",
		" BODY[]<-1.1>",
		" BODY.PEEK",
		" NOSUCH",
		" FLAGS (NOSUCH 1)",
		" FLAGS x",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_auto(Parser) parser = over(bad[i]);
		FetchQuery query = { 0 };

		g_test_message("%s", bad[i]);
		g_assert_false(imap_fetch_parse(&parser, &query));
		imap_fetch_query_clear(&query);
	}
}

static PhSearchKey *
search(const char *text, bool *bad_charset_out)
{
	g_auto(Parser) parser = over(text);
	SearchScope scope = { .count = 10, .last_uid = 50 };
	PhSearchKey *key = imap_search_parse(&parser, &scope);

	if (bad_charset_out != NULL)
		*bad_charset_out = scope.bad_charset;
	return key;
}

static void
test_search(void)
{
	g_autoptr(PhSearchKey) key =
		search("UNSEEN 2:* (OR FROM \"a\" NOT LARGER 10) SINCE 1-Feb-1994", NULL);

	g_assert_nonnull(key);
	g_assert_cmpuint(key->kind, ==, PH_SEARCH_AND);
	g_assert_cmpuint(key->n_children, ==, 4);
	g_assert_cmpuint(key->children[0]->kind, ==, PH_SEARCH_NOT);
	g_assert_cmpuint(key->children[1]->kind, ==, PH_SEARCH_NUMBERS);
	g_assert_cmpuint(key->children[2]->children[0]->kind, ==, PH_SEARCH_OR);
	g_assert_cmpint(key->children[3]->month, ==, 2);
}

static void
test_bad_search(void)
{
	static const char *const bad[] = {
		"",
		"NOSUCH",
		"NOT",
		"OR ALL",
		"(ALL",
		"ALL )",
		"LARGER x",
		"SINCE 31-Feb-2020",
		"SINCE 1-Foo-2020",
		"UID 0",
		"KEYWORD",
		"HEADER Name",
		"ALL  SEEN",
		"YOUNGER 0",
		"SMALLER 9223372036854775808",
	};
	g_autoptr(GString) deep = g_string_new(NULL);
	g_autoptr(GString) many = g_string_new("ALL");

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i]);
		g_assert_null(search(bad[i], NULL));
	}
	for (int i = 0; i < 60; i++)
		g_string_append(deep, "NOT ");
	g_string_append(deep, "ALL");
	g_assert_null(search(deep->str, NULL));
	for (int i = 0; i < SEARCH_KEYS_MAX; i++)
		g_string_append(many, " ALL");
	g_assert_null(search(many->str, NULL));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap/grammar/astrings-in-all-forms", test_strings);
	g_test_add_func("/imap/grammar/broken-strings-are-refused", test_bad_strings);
	g_test_add_func("/imap/grammar/literal-with-nul-is-refused", test_nul_in_literal);
	g_test_add_func("/imap/grammar/literal-is-seen-at-the-end", test_literal_at_end);
	g_test_add_func("/imap/grammar/numbers-never-wrap", test_numbers);
	g_test_add_func("/imap/grammar/sets", test_sets);
	g_test_add_func("/imap/grammar/flags", test_flags);
	g_test_add_func("/imap/grammar/fetch-items", test_fetch);
	g_test_add_func("/imap/grammar/broken-fetch-items-are-refused", test_bad_fetch);
	g_test_add_func("/imap/grammar/search-keys", test_search);
	g_test_add_func("/imap/grammar/broken-search-keys-are-refused", test_bad_search);
	return g_test_run();
}

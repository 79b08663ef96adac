/* fuzz-imap.c: the grammar of IMAP commands; the first octet chooses the parser
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fetch-parse.h"
#include "list-match.h"
#include "parse.h"
#include "search-query.h"
#include "utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_fetch(PhSlice text)
{
	g_auto(Parser) parser = { 0 };
	FetchQuery query = { 0 };

	imap_parser_init(&parser, text);
	if (!imap_fetch_parse(&parser, &query))
		g_assert_nonnull(parser.error);
	imap_fetch_query_clear(&query);
}

static void
try_search(PhSlice text, SearchKind kind)
{
	g_auto(Parser) parser = { 0 };
	SearchScope scope = { .count = 10, .last_uid = 100 };
	SearchQuery query = { 0 };

	imap_parser_init(&parser, text);
	if (!imap_search_query_parse(&parser, kind, &scope, &query))
		g_assert_nonnull(parser.error);
	imap_search_query_clear(&query);
}

static void
try_words(PhSlice text)
{
	g_auto(Parser) parser = { 0 };
	FlagList flags = { 0 };
	PhSlice word;
	uint64_t number;
	bool wait;

	(void) imap_literal_at_end(text, &number, &wait);
	imap_parser_init(&parser, text);
	while (imap_parse_astring(&parser, &word) && imap_parse_skip(&parser, ' '))
		g_assert_cmpuint(word.length, <=, text.length);
	if (imap_parse_flags(&parser, true, &flags))
		imap_flags_clear(&flags);
	ph_uid_set_free(imap_parse_set(&parser, 7));
}

/* A name that decodes is what its encoding gives: there is one spelling only. */
static void
try_name(PhSlice text)
{
	g_autoptr(GString) utf8 = g_string_new(NULL);
	g_autoptr(GString) again = g_string_new(NULL);

	if (!imap_utf7_decode(text, utf8))
		return;
	g_assert_true(ph_slice_is_utf8(PH_SLICE(utf8->str, utf8->len)));
	imap_utf7_encode(PH_SLICE(utf8->str, utf8->len), again);
	g_assert_true(ph_slice_equal(PH_SLICE(again->str, again->len), text));
}

static void
try_match(PhSlice text)
{
	PhSlice pattern = ph_slice_split(&text, '\n');

	(void) imap_list_match(pattern, text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *copy = NULL;
	PhSlice text;

	if (size == 0 || size > 8192)
		return 0;
	copy = g_memdup2(data + 1, size - 1);
	text = PH_SLICE(copy != NULL ? copy : "", size - 1);
	switch (data[0] & 7) {
	case 0:
		try_fetch(text);
		break;
	case 1:
		try_search(text, SEARCH_PLAIN);
		break;
	case 2:
		try_search(text, SEARCH_SORT);
		break;
	case 3:
		try_search(text, SEARCH_THREAD);
		break;
	case 4:
		try_name(text);
		break;
	case 5:
		try_match(text);
		break;
	default:
		try_words(text);
		break;
	}
	return 0;
}

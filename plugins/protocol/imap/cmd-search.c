/* cmd-search.c: SEARCH, SORT, THREAD
 *
 * All three search first; SORT and THREAD then order what was found. Evaluation and answer go in
 * steps. RFC 3501 section 6.4.4, RFC 4731 (ESEARCH), RFC 5256 (SORT, THREAD), RFC 7162 (MODSEQ).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"
#include "search-parse.h"
#include "set-walk.h"

enum {
	RETURN_MIN = 1U << 0,
	RETURN_MAX = 1U << 1,
	RETURN_ALL = 1U << 2,
	RETURN_COUNT = 1U << 3,
	SORT_KEYS_MAX = 16,
};

typedef struct {
	ImapWork work;
	PhSearchKey *key;
	PhSearch *search;
	PhSort *sort;
	PhThreads *threads;
	PhSortKey sort_keys[SORT_KEYS_MAX];
	size_t n_sort_keys;
	uint32_t method; /* PhThreadMethod */
	bool extended;   /* ESEARCH */
	bool has_modseq;
	uint32_t wanted; /* RETURN_* */
	SetWalk walk;    /* the answer that is under way */
	size_t at;
} Search;

static void
free_search(void *data)
{
	Search *search = data;

	g_clear_pointer(&search->sort, ph_sort_free);
	g_clear_pointer(&search->threads, ph_threads_free);
	g_clear_pointer(&search->search, ph_search_free);
	g_clear_pointer(&search->key, ph_search_key_free);
	g_free(search);
}

/* --- the answers --- */

static uint32_t
name_of(const Imap *imap, uint32_t number)
{
	return imap->uid ? ph_view_uid(imap->view, number) : number;
}

static PhUidSet *
names_of(const Imap *imap, const PhUidSet *numbers)
{
	return imap->uid ? ph_view_uids(imap->view, numbers, NULL) : ph_uid_set_copy(numbers);
}

static void
append_modseq(const Search *search, GString *out)
{
	if (!search->has_modseq || ph_uid_set_is_empty(ph_search_result(search->search)))
		return;
	g_string_append(out, " (MODSEQ ");
	imap_append_number(out, ph_search_highest_change(search->search));
	g_string_append_c(out, ')');
}

/* "* SEARCH 2 84 882": a long one goes out in pieces. */
static PhNext
tell_numbers(Imap *imap)
{
	Search *search = (Search *) imap->work;
	const PhUidSet *found = ph_search_result(search->search);
	g_autoptr(GString) out = g_string_sized_new(4096);
	uint32_t number;

	while ((number = imap_set_walk(&search->walk, found)) != 0) {
		g_string_append_c(out, ' ');
		imap_append_number(out, name_of(imap, number));
		if (out->len < 16384)
			continue;
		ph_session_write(imap->session, PH_SLICE(out->str, out->len));
		if (ph_session_should_yield(imap->session))
			return PH_MORE;
		g_string_truncate(out, 0);
	}
	append_modseq(search, out);
	g_string_append(out, "\r\n");
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return imap_done(imap);
}

static void
append_item(GString *out, const char *name, uint64_t number)
{
	g_string_append(out, name);
	imap_append_number(out, number);
}

/* The MODSEQ of an ESEARCH answer is that of what it names (RFC 7162 section 3.1.10). */
static uint64_t
extended_modseq(const Imap *imap, const Search *search, const PhUidRange *ranges, size_t n)
{
	uint64_t change = 0;

	if (search->wanted & (RETURN_ALL | RETURN_COUNT))
		return ph_search_highest_change(search->search);
	if (search->wanted & RETURN_MIN)
		change = ph_view_message_change(imap->view, ranges[0].first);
	if (search->wanted & RETURN_MAX)
		change = MAX(change, ph_view_message_change(imap->view, ranges[n - 1].last));
	return change;
}

static PhNext
tell_extended(Imap *imap)
{
	const Search *search = (const Search *) imap->work;
	const PhUidSet *found = ph_search_result(search->search);
	g_autoptr(GString) out = g_string_new("* ESEARCH (TAG \"");
	size_t n;
	const PhUidRange *ranges = ph_uid_set_ranges(found, &n);

	g_string_append_printf(out, "%s\")%s", imap->tag, imap->uid ? " UID" : "");
	if (n > 0 && (search->wanted & RETURN_MIN))
		append_item(out, " MIN ", name_of(imap, ranges[0].first));
	if (n > 0 && (search->wanted & RETURN_MAX))
		append_item(out, " MAX ", name_of(imap, ranges[n - 1].last));
	if (search->wanted & RETURN_COUNT)
		append_item(out, " COUNT ", ph_uid_set_count(found));
	if (n > 0 && (search->wanted & RETURN_ALL)) {
		g_autoptr(PhUidSet) names = names_of(imap, found);

		g_string_append(out, " ALL ");
		ph_uid_set_append_text(names, out);
	}
	if (n > 0 && search->has_modseq)
		append_item(out, " MODSEQ ", extended_modseq(imap, search, ranges, n));
	g_string_append(out, "\r\n");
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return imap_done(imap);
}

static PhNext
tell_sorted(Imap *imap)
{
	Search *search = (Search *) imap->work;
	g_autoptr(GString) out = g_string_sized_new(4096);
	size_t n;
	const uint32_t *numbers = ph_sort_result(search->sort, &n);

	while (search->at < n) {
		g_string_append_c(out, ' ');
		imap_append_number(out, name_of(imap, numbers[search->at++]));
		if (out->len < 16384)
			continue;
		ph_session_write(imap->session, PH_SLICE(out->str, out->len));
		if (ph_session_should_yield(imap->session))
			return PH_MORE;
		g_string_truncate(out, 0);
	}
	append_modseq(search, out);
	g_string_append(out, "\r\n");
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return imap_done(imap);
}

/* --- the steps --- */

static PhNext
sort_step(Imap *imap)
{
	Search *search = (Search *) imap->work;
	g_autoptr(GError) error = NULL;
	bool failed = false;

	if (!ph_sort_step(search->sort, imap->session, &failed, &error))
		return PH_MORE;
	if (failed)
		return imap_error(imap, error);
	ph_session_write_text(imap->session, "* SORT");
	search->work.step = tell_sorted;
	return tell_sorted(imap);
}

static PhNext
thread_step(Imap *imap)
{
	Search *search = (Search *) imap->work;
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) out = NULL;
	bool failed = false;

	if (!ph_threads_step(search->threads, imap->session, &failed, &error))
		return PH_MORE;
	if (failed)
		return imap_error(imap, error);
	out = g_string_new("* THREAD ");
	ph_threads_append(search->threads, imap->uid, out);
	if (out->len == strlen("* THREAD "))
		g_string_truncate(out, out->len - 1);
	g_string_append(out, "\r\n");
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return imap_done(imap);
}

static PhNext
found(Imap *imap, Search *search)
{
	const PhUidSet *numbers = ph_search_result(search->search);

	if (search->n_sort_keys > 0) {
		search->sort =
			ph_sort_new(imap->view, numbers, search->sort_keys, search->n_sort_keys);
		search->work.step = sort_step;
	} else if (search->method != 0) {
		search->threads = ph_threads_new(imap->view, numbers, search->method);
		search->work.step = thread_step;
	} else if (search->extended) {
		return tell_extended(imap);
	} else {
		ph_session_write_text(imap->session, "* SEARCH");
		search->work.step = tell_numbers;
	}
	return search->work.step(imap);
}

static PhNext
search_step(Imap *imap)
{
	Search *search = (Search *) imap->work;
	g_autoptr(GError) error = NULL;
	bool failed = false;

	if (!ph_search_step(search->search, imap->session, &failed, &error))
		return PH_MORE;
	return failed ? imap_error(imap, error) : found(imap, search);
}

/* --- the arguments --- */

static bool
parse_return_word(Parser *parser, Search *search)
{
	static const char *const words[] = { "MIN", "MAX", "ALL", "COUNT" };
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return false;
	for (uint32_t i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!ph_slice_is_nocase(word, words[i]))
			continue;
		search->wanted |= 1U << i;
		return true;
	}
	return imap_parse_fail(parser, "Unknown return option");
}

/* " RETURN (MIN MAX)" when it is there; without words it means ALL. */
static bool
parse_return(Parser *parser, Search *search)
{
	PhSlice rest = PH_SLICE(parser->at, (size_t) (parser->end - parser->at));

	if (!ph_slice_starts_nocase(rest, " RETURN ("))
		return true;
	parser->at += strlen(" RETURN (");
	search->extended = true;
	search->wanted = RETURN_ALL;
	if (imap_parse_skip(parser, ')'))
		return true;
	search->wanted = 0;
	do {
		if (!parse_return_word(parser, search))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
check_charset(Parser *parser, SearchScope *scope)
{
	bool known = false;
	g_autofree char *probe = ph_charset_to_utf8(PH_SLICE_LITERAL("a"), scope->charset, &known);

	if (known)
		return true;
	scope->bad_charset = true;
	return imap_parse_fail(parser, "Unknown charset");
}

static bool
parse_charset(Parser *parser, bool always, SearchScope *scope)
{
	PhSlice rest = PH_SLICE(parser->at, (size_t) (parser->end - parser->at));

	if (!always) {
		if (!ph_slice_starts_nocase(rest, " CHARSET "))
			return true;
		parser->at += strlen(" CHARSET");
	}
	return imap_parse_space(parser) && imap_parse_astring(parser, &scope->charset)
	       && check_charset(parser, scope);
}

static bool
parse_sort_key(Parser *parser, Search *search)
{
	static const struct {
		const char *name;
		uint32_t field;
	} names[] = {
		{ "ARRIVAL", PH_SORT_ARRIVAL }, { "CC", PH_SORT_CC },
		{ "DATE", PH_SORT_DATE },       { "FROM", PH_SORT_FROM },
		{ "SIZE", PH_SORT_SIZE },       { "SUBJECT", PH_SORT_SUBJECT },
		{ "TO", PH_SORT_TO },
	};

	PhSortKey key = { 0, false };
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return false;
	if (ph_slice_is_nocase(word, "REVERSE")) {
		key.reverse = true;
		if (!imap_parse_space(parser) || !imap_parse_atom(parser, &word))
			return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (ph_slice_is_nocase(word, names[i].name))
			key.field = names[i].field;
	if (key.field == 0 || search->n_sort_keys == SORT_KEYS_MAX)
		return imap_parse_fail(parser, "Unknown or too many sort keys");
	search->sort_keys[search->n_sort_keys++] = key;
	return true;
}

static bool
parse_sort(Parser *parser, Search *search)
{
	if (!imap_parse_space(parser) || !imap_parse_char(parser, '('))
		return false;
	do {
		if (!parse_sort_key(parser, search))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
parse_method(Parser *parser, Search *search)
{
	PhSlice word;

	if (!imap_parse_space(parser) || !imap_parse_atom(parser, &word))
		return false;
	if (ph_slice_is_nocase(word, "REFERENCES"))
		search->method = PH_THREAD_REFERENCES;
	else if (ph_slice_is_nocase(word, "ORDEREDSUBJECT"))
		search->method = PH_THREAD_ORDEREDSUBJECT;
	return search->method != 0 || imap_parse_fail(parser, "Unknown threading method");
}

static PhNext
start(Imap *imap, Parser *parser, bool (*parse_first)(Parser *, Search *), bool charset)
{
	uint32_t count = ph_view_count(imap->view);
	SearchScope scope = { .count = count };
	Search *search = g_new0(Search, 1);

	search->work.free = free_search;
	search->work.step = search_step;
	imap_work_begin(imap, search);
	scope.last_uid = count > 0 ? ph_view_uid(imap->view, count) : 1;
	if (parse_first(parser, search) && parse_charset(parser, charset, &scope)
	    && imap_parse_space(parser))
		search->key = imap_search_parse(parser, &scope);
	if (search->key == NULL && scope.bad_charset)
		return imap_no(imap, "[BADCHARSET (US-ASCII UTF-8 ISO-8859-1)] Unknown charset.");
	if (search->key == NULL)
		return imap_parse_bad(imap, parser);
	search->has_modseq = scope.has_modseq;
	imap->condstore = imap->condstore || scope.has_modseq;
	search->search = ph_search_new(imap->view, search->key);
	return search_step(imap);
}

PhNext
imap_search(Imap *imap, Parser *parser)
{
	return start(imap, parser, parse_return, false);
}

PhNext
imap_sort(Imap *imap, Parser *parser)
{
	return start(imap, parser, parse_sort, true);
}

PhNext
imap_thread(Imap *imap, Parser *parser)
{
	return start(imap, parser, parse_method, true);
}

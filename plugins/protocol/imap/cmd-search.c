/* cmd-search.c: SEARCH, SORT, THREAD
 *
 * All three search first; SORT and THREAD then order what was found. Evaluation and answer go in
 * steps. RFC 3501 section 6.4.4, RFC 4731 (ESEARCH), RFC 5256 (SORT, THREAD), RFC 7162 (MODSEQ).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"
#include "search-query.h"
#include "set-walk.h"

typedef struct {
	ImapWork work;
	SearchQuery query;
	PhSearch *search;
	PhSort *sort;
	PhThreads *threads;
	bool has_modseq;
	SetWalk walk; /* the answer that is under way */
	size_t at;
} Search;

static void
free_search(void *data)
{
	Search *search = data;

	g_clear_pointer(&search->sort, ph_sort_free);
	g_clear_pointer(&search->threads, ph_threads_free);
	g_clear_pointer(&search->search, ph_search_free);
	imap_search_query_clear(&search->query);
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

	if (search->query.wanted & (RETURN_ALL | RETURN_COUNT))
		return ph_search_highest_change(search->search);
	if (search->query.wanted & RETURN_MIN)
		change = ph_view_message_change(imap->view, ranges[0].first);
	if (search->query.wanted & RETURN_MAX)
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
	if (n > 0 && (search->query.wanted & RETURN_MIN))
		append_item(out, " MIN ", name_of(imap, ranges[0].first));
	if (n > 0 && (search->query.wanted & RETURN_MAX))
		append_item(out, " MAX ", name_of(imap, ranges[n - 1].last));
	if (search->query.wanted & RETURN_COUNT)
		append_item(out, " COUNT ", ph_uid_set_count(found));
	if (n > 0 && (search->query.wanted & RETURN_ALL)) {
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

	if (search->query.n_sort_keys > 0) {
		search->sort = ph_sort_new(imap->view, numbers, search->query.sort_keys,
		                           search->query.n_sort_keys);
		search->work.step = sort_step;
	} else if (search->query.method != 0) {
		search->threads = ph_threads_new(imap->view, numbers, search->query.method);
		search->work.step = thread_step;
	} else if (search->query.extended) {
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

static PhNext
start(Imap *imap, Parser *parser, SearchKind kind)
{
	SearchScope scope = { .count = 0 };
	Search *search;

	/* What others have changed is found too. */
	if (!imap_sync(imap, false))
		return PH_CLOSE;
	search = g_new0(Search, 1);
	search->work.free = free_search;
	search->work.step = search_step;
	imap_work_begin(imap, search);
	scope.count = ph_view_count(imap->view);
	scope.last_uid = scope.count > 0 ? ph_view_uid(imap->view, scope.count) : 1;
	if (!imap_search_query_parse(parser, kind, &scope, &search->query))
		return scope.bad_charset ? imap_no(
			       imap, "[BADCHARSET (US-ASCII UTF-8 ISO-8859-1)] Unknown charset.")
		                         : imap_parse_bad(imap, parser);
	search->has_modseq = scope.has_modseq;
	imap->condstore = imap->condstore || scope.has_modseq;
	search->search = ph_search_new(imap->view, search->query.key);
	return search_step(imap);
}

PhNext
imap_search(Imap *imap, Parser *parser)
{
	return start(imap, parser, SEARCH_PLAIN);
}

PhNext
imap_sort(Imap *imap, Parser *parser)
{
	return start(imap, parser, SEARCH_SORT);
}

PhNext
imap_thread(Imap *imap, Parser *parser)
{
	return start(imap, parser, SEARCH_THREAD);
}

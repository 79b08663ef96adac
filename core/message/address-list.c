/* address-list.c: walks the address lists of header fields
 *
 *	address-list = address *( "," address )
 *	address      = mailbox / phrase ":" [mailbox-list] ";"
 *	mailbox      = [phrase] "<" [route ":"] addr-spec ">" / addr-spec
 *
 * (RFC 5322 section 3.4 and 4.4), but nothing is refused: an item ends at a comma, and what it
 * holds is read as well as it can be. Every step consumes input, so a list costs linear time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>

#include "message/lex.h"

/* Where things lie in the scratch string, which may move while it grows. */
typedef struct {
	size_t start;
	size_t end;
} Span;

#define NOWHERE SIZE_MAX

/* One item being read. */
typedef struct {
	PhAddressIter *iter;
	PhSlice comment; /* with its brackets; the last one seen */
	size_t word;     /* in scratch: where the last word begins */
	size_t at;       /* in scratch: the first '@' outside quotes, or NOWHERE */
	size_t at_word;  /* in scratch: where the word before it begins */
	bool blank;      /* blanks since the last word */
	bool has_words;
} Item;

void
ph_address_iter_init(PhAddressIter *iter, PhSlice value, GString *scratch)
{
	iter->rest = value;
	iter->scratch = scratch;
	iter->count = 0;
	iter->in_group = false;
}

static PhSlice
span_slice(const PhAddressIter *iter, Span span)
{
	if (span.end <= span.start)
		return PH_SLICE_EMPTY;
	return PH_SLICE(iter->scratch->str + span.start, span.end - span.start);
}

/* Blanks in a domain mean nothing next to a dot or after the '@' (RFC 5322 section 4.4). */
static bool
is_idle_blank(const Item *item)
{
	const GString *scratch = item->iter->scratch;
	char before = scratch->len > 0 ? scratch->str[scratch->len - 1] : '\0';

	return item->at != NOWHERE
	       && (before == '@' || before == '.' || item->iter->rest.data[0] == '.');
}

static void
start_word(Item *item)
{
	GString *scratch = item->iter->scratch;

	if (item->blank && item->has_words && !is_idle_blank(item)) {
		g_string_append_c(scratch, ' ');
		item->word = scratch->len;
	}
	item->blank = false;
	item->has_words = true;
}

static void
take_at_sign(Item *item)
{
	GString *scratch = item->iter->scratch;

	if (item->at == NOWHERE) {
		item->at = scratch->len;
		item->at_word = item->word;
	}
	g_string_append_c(scratch, '@');
	item->word = scratch->len;
	item->blank = false;
	item->has_words = true;
}

/* A domain literal is one word up to its bracket. */
static size_t
literal_length(PhSlice text)
{
	size_t n = 1;

	while (n < text.length && text.data[n] != ']' && !ph_lex_is(text.data[n], PH_LEX_BLANK))
		n++;
	return n < text.length && text.data[n] == ']' ? n + 1 : n;
}

/* Takes one lexical element that belongs to words; false at one that does not. */
static bool
take_element(Item *item)
{
	PhSlice *rest = &item->iter->rest;
	GString *scratch = item->iter->scratch;
	size_t n = 0;

	switch (rest->data[0]) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		item->blank = true;
		ph_lex_skip(rest, ph_lex_run(*rest, PH_LEX_BLANK));
		return true;
	case '(':
		n = ph_lex_comment(*rest);
		item->comment = PH_SLICE(rest->data, n);
		item->blank = true;
		break;
	case '"':
		start_word(item);
		n = ph_lex_quoted(*rest, scratch);
		break;
	case '@':
		take_at_sign(item);
		n = 1;
		break;
	case '[':
		start_word(item);
		n = literal_length(*rest);
		g_string_append_len(scratch, rest->data, (gssize) n);
		break;
	case '<':
	case '>':
	case ',':
	case ':':
	case ';':
		return false;
	default:
		start_word(item);
		while (n < rest->length && !ph_lex_is(rest->data[n], PH_LEX_LIST))
			n++;
		g_string_append_len(scratch, rest->data, (gssize) n);
		break;
	}
	ph_lex_skip(rest, n);
	return true;
}

static void
take_octet(Item *item)
{
	start_word(item);
	g_string_append_c(item->iter->scratch, item->iter->rest.data[0]);
	ph_lex_skip(&item->iter->rest, 1);
}

/* The content of a comment without brackets and escapes; appended to scratch. */
static Span
append_comment(Item *item)
{
	GString *scratch = item->iter->scratch;
	Span span = { scratch->len, scratch->len };
	PhSlice text = ph_slice_from(item->comment, 1);

	if (text.length > 0 && text.data[text.length - 1] == ')')
		text.length--;
	text = ph_slice_trim(text);
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '\\' && i + 1 < text.length)
			i++;
		if (text.data[i] != '\r' && text.data[i] != '\n')
			g_string_append_c(scratch, text.data[i]);
	}
	span.end = scratch->len;
	return span;
}

/* "anna . berg@x" is one local part: blanks around its dots mean nothing (RFC 5322 section 4.4). The
 * words are looked at once, from the '@' to the left, and closed up once. */
static void
join_dots(Item *item, size_t start)
{
	GString *scratch = item->iter->scratch;
	size_t word = item->at_word;
	size_t n = 0;

	while (word > start + 1 && (scratch->str[word] == '.' || scratch->str[word - 2] == '.'))
		for (word--; word > start && scratch->str[word - 1] != ' ';)
			word--;
	if (word == item->at_word)
		return;
	for (size_t i = word; i < item->at; i++)
		if (scratch->str[i] != ' ')
			scratch->str[word + n++] = scratch->str[i];
	item->at_word = word;
	g_string_erase(scratch, (gssize) (word + n), (gssize) (item->at - word - n));
	item->at = word + n;
}

/* The spans of an addr-spec whose text ends where scratch now ends. Words before it are a name
 * that should have been quoted; without '@' all of them are the local part. */
static void
split_spec(Item *item, size_t start, Span *name, Span *local, Span *domain)
{
	const GString *scratch = item->iter->scratch;
	size_t end = scratch->len;
	const char *blank = NULL;

	*name = (Span){ start, start };
	if (item->at == NOWHERE) {
		*local = (Span){ start, end };
		return;
	}
	join_dots(item, start);
	end = scratch->len;
	*local = (Span){ item->at_word, item->at };
	if (item->at_word > start)
		name->end = item->at_word - 1;
	blank = memchr(scratch->str + item->at, ' ', end - item->at);
	*domain = (Span){ item->at + 1, blank != NULL ? (size_t) (blank - scratch->str) : end };
}

/* "@a,@b:" in front of an addr-spec. */
static Span
take_route(PhAddressIter *iter)
{
	GString *scratch = iter->scratch;
	Span span = { scratch->len, scratch->len };
	size_t n = 0;

	ph_lex_skip_cfws(&iter->rest);
	if (iter->rest.length == 0 || iter->rest.data[0] != '@')
		return span;
	while (n < iter->rest.length && iter->rest.data[n] != ':' && iter->rest.data[n] != '>')
		n++;
	if (n == iter->rest.length || iter->rest.data[n] != ':')
		return span;
	for (size_t i = 0; i < n; i++)
		if (!ph_lex_is(iter->rest.data[i], PH_LEX_BLANK))
			g_string_append_c(scratch, iter->rest.data[i]);
	ph_lex_skip(&iter->rest, n + 1);
	span.end = scratch->len;
	return span;
}

/* What stands in "<...>", brackets included; @item then holds its words only. */
static void
take_angle(Item *item, Span *route, Span *local, Span *domain)
{
	PhAddressIter *iter = item->iter;
	Span ignored = { 0, 0 };
	size_t start = 0;

	ph_lex_skip(&iter->rest, 1);
	*route = take_route(iter);
	start = iter->scratch->len;
	item->word = start;
	item->at = NOWHERE;
	item->blank = false;
	item->has_words = false;
	while (iter->rest.length > 0 && iter->rest.data[0] != '>' && iter->rest.data[0] != ',')
		if (!take_element(item))
			take_octet(item);
	split_spec(item, start, &ignored, local, domain);
	local->start = start;
	if (iter->rest.length > 0 && iter->rest.data[0] == '>')
		ph_lex_skip(&iter->rest, 1);
}

/* After "<...>" up to the comma: only a comment is of use. */
static void
skip_item(Item *item)
{
	PhAddressIter *iter = item->iter;
	gsize length = iter->scratch->len;

	while (iter->rest.length > 0 && iter->rest.data[0] != ','
	       && !(iter->rest.data[0] == ';' && iter->in_group))
		if (!take_element(item))
			ph_lex_skip(&iter->rest, 1);
	g_string_truncate(iter->scratch, length);
}

static void
finish_mailbox(Item *item, bool angle, PhListed *item_out)
{
	PhAddressIter *iter = item->iter;
	Span name = { 0, item->has_words ? iter->scratch->len : 0 };
	Span route = { 0, 0 };
	Span local = { 0, 0 };
	Span domain = { 0, 0 };

	if (angle) {
		take_angle(item, &route, &local, &domain);
		skip_item(item);
	} else {
		split_spec(item, 0, &name, &local, &domain);
	}
	if (name.end == name.start && item->comment.length > 0)
		name = append_comment(item);
	item_out->kind = PH_LISTED_MAILBOX;
	item_out->name = ph_slice_trim(span_slice(iter, name));
	item_out->route = span_slice(iter, route);
	item_out->local = span_slice(iter, local);
	item_out->domain = span_slice(iter, domain);
}

static bool
emit_group(PhAddressIter *iter, bool start, PhListed *item_out)
{
	*item_out = (PhListed){ .kind = start ? PH_LISTED_GROUP_START : PH_LISTED_GROUP_END };
	if (start)
		item_out->name = PH_SLICE(iter->scratch->str, iter->scratch->len);
	iter->in_group = start;
	return true;
}

/* Past what separates items; true: a group ended here. */
static bool
skip_separators(PhAddressIter *iter)
{
	while (iter->rest.length > 0) {
		char c = iter->rest.data[0];

		if (c == ';' && iter->in_group) {
			ph_lex_skip(&iter->rest, 1);
			return true;
		}
		if (c != ',' && c != ';' && !ph_lex_is(c, PH_LEX_BLANK))
			return false;
		ph_lex_skip(&iter->rest, 1);
	}
	return iter->in_group;
}

/* Reads words up to what ends or divides an item, and returns that octet, or 0 at the end. */
static char
read_words(Item *item)
{
	PhAddressIter *iter = item->iter;

	while (iter->rest.length > 0) {
		char c = iter->rest.data[0];

		if (take_element(item))
			continue;
		if (c == ',' || c == ';' || c == '<'
		    || (c == ':' && !iter->in_group && item->has_words))
			return c;
		take_octet(item);
	}
	return '\0';
}

bool
ph_address_iter_next(PhAddressIter *iter, PhListed *item_out)
{
	for (;;) {
		Item item = { .iter = iter, .at = NOWHERE };
		char stop = '\0';

		if (iter->count >= PH_ADDRESS_LIST_MAX)
			iter->rest = PH_SLICE_EMPTY;
		g_string_truncate(iter->scratch, 0);
		if (skip_separators(iter))
			return emit_group(iter, false, item_out);
		if (iter->rest.length == 0)
			return false;
		stop = read_words(&item);
		if (stop == ':') {
			ph_lex_skip(&iter->rest, 1);
			iter->count++;
			return emit_group(iter, true, item_out);
		}
		if (stop == '<' || item.has_words) {
			iter->count++;
			finish_mailbox(&item, stop == '<', item_out);
			return true;
		}
	}
}

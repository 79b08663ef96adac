/* encoded-word.c: header values as UTF-8
 *
 *	encoded-word = "=?" charset [ "*" language ] "?" ( "B" / "Q" ) "?" text "?="   (RFC 2047)
 *
 * They are decoded wherever they stand, also where the RFC forbids it (in the middle of a word, in
 * quotes, longer than 75 octets, with blanks inside), as mail programs do. Blanks between two of
 * them vanish, and a character may be split between two of the same charset. Each value is read
 * once: a word without an end is looked for only once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>

#include "message/charset.h"
#include "message/lex.h"
#include "message/transfer.h"

#define CHARSET_MAX 64
#define CHANGES_MAX 1000 /* of charset in one value: opening one has its price */

typedef struct {
	PhSlice charset;
	PhSlice text;
	bool base64;
	size_t length; /* of the whole word */
} Word;

typedef struct {
	PhCharset converter;
	PhSlice charset; /* of the open converter; data is NULL when none is open */
	GString *octets; /* scratch */
	GString *out;
	unsigned int changes;
	bool no_end; /* there is no "?=" ahead any more */
} State;

static bool
parse_word(State *state, PhSlice text, Word *word_out)
{
	PhSlice head = ph_slice_from(PH_SLICE(text.data, MIN(text.length, CHARSET_MAX)), 2);
	ssize_t mark = ph_slice_find(head, '?');
	const char *end = NULL;
	PhSlice rest = { NULL, 0 };

	if (state->no_end || mark <= 0)
		return false;
	rest = ph_slice_from(text, 2 + (size_t) mark + 1);
	if (rest.length < 4 || rest.data[1] != '?' || strchr("bBqQ", rest.data[0]) == NULL)
		return false;
	word_out->charset = PH_SLICE(head.data, (size_t) mark);
	word_out->charset = ph_slice_split(&word_out->charset, '*');
	word_out->base64 = g_ascii_tolower(rest.data[0]) == 'b';
	rest = ph_slice_from(rest, 2);
	end = memmem(rest.data, rest.length, "?=", 2);
	if (end == NULL) {
		state->no_end = true;
		return false;
	}
	word_out->text = PH_SLICE(rest.data, (size_t) (end - rest.data));
	word_out->length = (size_t) (end + 2 - text.data);
	return ph_lex_run(word_out->charset, PH_LEX_TOKEN) == word_out->charset.length;
}

static void
close_charset(State *state)
{
	if (state->charset.data == NULL)
		return;
	ph_charset_flush(&state->converter, state->out);
	ph_charset_close(&state->converter);
	state->charset = PH_SLICE_EMPTY;
}

static void
append_word(State *state, const Word *word)
{
	PhTransfer transfer = { .encoding = PH_ENCODING_BASE64 };

	if (state->charset.data == NULL || !ph_slice_equal_nocase(state->charset, word->charset)) {
		close_charset(state);
		(void) ph_charset_open(&state->converter, word->charset);
		state->charset = word->charset;
		state->changes++;
	}
	g_string_truncate(state->octets, 0);
	if (word->base64)
		ph_transfer_feed(&transfer, word->text, state->octets);
	else
		ph_q_decode(word->text, state->octets);
	ph_charset_feed(&state->converter, PH_SLICE(state->octets->str, state->octets->len),
	                state->out);
}

static void
append_plain(State *state, PhSlice text)
{
	if (text.length == 0)
		return;
	close_charset(state);
	if (ph_slice_is_ascii(text))
		ph_lex_append(state->out, text);
	else
		(void) ph_charset_append(PH_SLICE_EMPTY, text, state->out);
}

/* Where the next "=?" is, or the end. */
static size_t
find_word(PhSlice text, size_t from)
{
	const char *at = NULL;

	if (from >= text.length)
		return text.length;
	at = memmem(text.data + from, text.length - from, "=?", 2);
	return at != NULL ? (size_t) (at - text.data) : text.length;
}

static void
decode_words(State *state, PhSlice text)
{
	size_t plain = 0; /* where text that is not decoded yet begins */
	size_t from = 0;
	bool after = false; /* a word ended at @plain */

	while (state->changes < CHANGES_MAX) {
		size_t at = find_word(text, from);
		Word word = { .length = 0 };
		PhSlice between = { NULL, 0 };

		if (at == text.length)
			break;
		if (!parse_word(state, ph_slice_from(text, at), &word)) {
			from = at + 2;
			continue;
		}
		between = PH_SLICE(text.data + plain, at - plain);
		if (!after || ph_lex_run(between, PH_LEX_BLANK) != between.length)
			append_plain(state, between);
		append_word(state, &word);
		from = at + word.length;
		plain = from;
		after = true;
	}
	append_plain(state, ph_slice_from(text, plain));
	close_charset(state);
}

void
ph_header_decode(PhSlice value, GString *out)
{
	gsize before = out->len;
	PhSlice text = { NULL, 0 };
	State state = { .out = out };
	g_autofree char *copy = NULL;

	ph_header_append_unfolded(value, out);
	text = PH_SLICE(out->str + before, out->len - before);
	if (find_word(text, 0) == text.length && ph_slice_is_ascii(text))
		return;
	copy = ph_slice_dup(text);
	text.data = copy;
	g_string_truncate(out, before);
	state.octets = g_string_new(NULL);
	decode_words(&state, text);
	g_string_free(state.octets, TRUE);
}

/* subject.c: the base subject of RFC 5256 section 2.1, and message ids
 *
 *	subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
 *	subj-blob    = "[" *BLOBCHAR "]" *WSP
 *	subj-leader  = (*subj-blob subj-refwd) / WSP
 *	subj-trailer = "(fwd)" / WSP
 *	subj-fwd     = "[fwd:" subject "]"
 *
 * The RFC repeats its steps one blob at a time; here a run of blobs is read once, with the same
 * result, so that the whole costs linear time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>

#include "message/lex.h"

static void
skip_blanks(PhSlice *text)
{
	ph_lex_skip(text, ph_lex_run(*text, PH_LEX_BLANK));
}

/* Octets of a subj-blob, 0 when there is none. */
static size_t
blob_length(PhSlice text)
{
	size_t n = 1;

	if (text.length == 0 || text.data[0] != '[')
		return 0;
	while (n < text.length && text.data[n] != '[' && text.data[n] != ']')
		n++;
	if (n == text.length || text.data[n] == '[')
		return 0;
	n++;
	return n + ph_lex_run(ph_slice_from(text, n), PH_LEX_BLANK);
}

/* Octets of a subj-refwd, 0 when there is none. */
static size_t
refwd_length(PhSlice text)
{
	PhSlice rest = text;
	bool forward = ph_slice_starts_nocase(text, "fw");

	if (!forward && !ph_slice_starts_nocase(text, "re"))
		return 0;
	ph_lex_skip(&rest, forward && ph_slice_starts_nocase(text, "fwd") ? 3 : 2);
	skip_blanks(&rest);
	ph_lex_skip(&rest, blob_length(rest));
	if (rest.length == 0 || rest.data[0] != ':')
		return 0;
	return text.length - rest.length + 1;
}

/* Step 2. */
static void
cut_trailers(PhSlice *text, bool *is_reply)
{
	for (;;) {
		while (text->length > 0 && ph_lex_is(text->data[text->length - 1], PH_LEX_BLANK))
			text->length--;
		if (text->length < 5
		    || !ph_slice_starts_nocase(ph_slice_from(*text, text->length - 5), "(fwd)"))
			return;
		text->length -= 5;
		*is_reply = true;
	}
}

/* Steps 3 to 5. */
static void
cut_leaders(PhSlice *text, bool *is_reply)
{
	for (;;) {
		PhSlice rest = *text;
		PhSlice last_blob = rest;
		size_t n = 0;

		skip_blanks(&rest);
		*text = rest;
		while ((n = blob_length(rest)) > 0) {
			last_blob = rest;
			ph_lex_skip(&rest, n);
		}
		n = refwd_length(rest);
		if (n > 0) {
			ph_lex_skip(&rest, n);
			*text = rest;
			*is_reply = true;
			continue;
		}
		if (rest.data != text->data)
			*text = rest.length > 0 ? rest : last_blob;
		return;
	}
}

/* Step 6. */
static bool
cut_wrapping(PhSlice *text, bool *is_reply)
{
	if (!ph_slice_starts_nocase(*text, "[fwd:") || text->data[text->length - 1] != ']')
		return false;
	*text = PH_SLICE(text->data + 5, text->length - 6);
	*is_reply = true;
	return true;
}

void
ph_subject_base(PhSlice subject, GString *out, bool *is_reply_out)
{
	bool is_reply = false;
	bool blank = false;

	do {
		cut_trailers(&subject, &is_reply);
		cut_leaders(&subject, &is_reply);
	} while (cut_wrapping(&subject, &is_reply));
	for (size_t i = 0; i < subject.length; i++) {
		if (ph_lex_is(subject.data[i], PH_LEX_BLANK)) {
			blank = true;
			continue;
		}
		if (blank)
			g_string_append_c(out, ' ');
		blank = false;
		g_string_append_c(out, subject.data[i]);
	}
	if (is_reply_out != NULL)
		*is_reply_out = is_reply;
}

/* Past what stands before the next '<'; false: there is none. */
static bool
skip_to_id(PhSlice *rest)
{
	while (rest->length > 0 && rest->data[0] != '<')
		ph_lex_skip(rest, rest->data[0] == '(' ? ph_lex_comment(*rest) : 1);
	return rest->length > 0;
}

bool
ph_message_id_next(PhSlice *rest, GString *id)
{
	while (skip_to_id(rest)) {
		g_string_assign(id, "<");
		ph_lex_skip(rest, 1);
		while (rest->length > 0 && rest->data[0] != '<') {
			char c = rest->data[0];

			if (c == '"') {
				ph_lex_skip(rest, ph_lex_quoted(*rest, id));
				continue;
			}
			ph_lex_skip(rest, 1);
			if (c == '\0' || ph_lex_is(c, PH_LEX_BLANK))
				continue;
			g_string_append_c(id, c);
			if (c == '>')
				break;
		}
		if (id->len > 2 && id->str[id->len - 1] == '>')
			return true;
	}
	return false;
}

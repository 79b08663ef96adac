/* caps.c: what a peer says it can do
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "hop.h"

enum {
	BY_MAX = 999999999,
};

static const struct {
	const char *word;
	uint32_t flag;
} words[] = {
	{ "PIPELINING", CAP_PIPELINING }, { "SIZE", CAP_SIZE },
	{ "8BITMIME", CAP_8BITMIME },     { "STARTTLS", CAP_STARTTLS },
	{ "CHUNKING", CAP_CHUNKING },     { "BINARYMIME", CAP_BINARYMIME },
	{ "SMTPUTF8", CAP_SMTPUTF8 },     { "DSN", CAP_DSN },
	{ "REQUIRETLS", CAP_REQUIRETLS }, { "DELIVERBY", CAP_DELIVERBY },
	{ "MT-PRIORITY", CAP_PRIORITY },
};

static const struct {
	const char *word;
	uint32_t flag;
} auth_words[] = {
	{ "PLAIN", CAP_AUTH_PLAIN },
	{ "LOGIN", CAP_AUTH_LOGIN },
	{ "CRAM-MD5", CAP_AUTH_CRAM_MD5 },
	{ "SCRAM-SHA-1", CAP_AUTH_SCRAM_SHA_1 },
	{ "SCRAM-SHA-256", CAP_AUTH_SCRAM_SHA_256 },
};

static void
add_auth(Caps *caps, PhSlice rest)
{
	while (rest.length > 0) {
		PhSlice word = ph_slice_split(&rest, ' ');

		for (size_t i = 0; i < G_N_ELEMENTS(auth_words); i++)
			if (ph_slice_is_nocase(word, auth_words[i].word))
				caps->flags |= auth_words[i].flag;
	}
}

static void
add_limits(Caps *caps, PhSlice rest)
{
	while (rest.length > 0) {
		PhSlice value = ph_slice_split(&rest, ' ');
		PhSlice name = ph_slice_split(&value, '=');

		if (ph_slice_is_nocase(name, "RCPTMAX"))
			(void) ph_slice_to_u32(value, UINT32_MAX, &caps->max_recipients);
		else if (ph_slice_is_nocase(name, "MAILMAX"))
			(void) ph_slice_to_u32(value, UINT32_MAX, &caps->max_messages);
	}
}

void
caps_add(Caps *caps, PhSlice line)
{
	PhSlice rest = ph_slice_trim(line);
	PhSlice word = ph_slice_split(&rest, ' ');

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (ph_slice_is_nocase(word, words[i].word))
			caps->flags |= words[i].flag;
	if (ph_slice_is_nocase(word, "SIZE"))
		(void) ph_slice_to_u64(ph_slice_trim(rest), UINT64_MAX, &caps->size);
	else if (ph_slice_is_nocase(word, "DELIVERBY"))
		(void) ph_slice_to_u32(ph_slice_trim(rest), UINT32_MAX, &caps->min_deliver_by);
	else if (ph_slice_is_nocase(word, "AUTH"))
		add_auth(caps, rest);
	else if (ph_slice_starts_nocase(word, "AUTH=")) /* of servers before RFC 2554 */
		add_auth(caps, PH_SLICE(line.data + 5, line.length - 5));
	else if (ph_slice_is_nocase(word, "LIMITS"))
		add_limits(caps, rest);
}

bool
by_left(PhSlice value, int64_t elapsed_seconds, int64_t *seconds_out, PhSlice *mode_out)
{
	bool is_negative = value.length > 0 && value.data[0] == '-';
	PhSlice rest = ph_slice_from(value, is_negative ? 1 : 0);
	PhSlice digits = ph_slice_split(&rest, ';');
	uint32_t seconds = 0;

	if (!ph_slice_to_u32(digits, BY_MAX, &seconds)
	    || (!ph_slice_is_nocase(rest, "R") && !ph_slice_is_nocase(rest, "N")
	        && !ph_slice_is_nocase(rest, "RT") && !ph_slice_is_nocase(rest, "NT")))
		return false;
	*seconds_out = (is_negative ? -(int64_t) seconds : (int64_t) seconds) - elapsed_seconds;
	*mode_out = rest;
	return true;
}

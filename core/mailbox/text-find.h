/* text-find.h: finds a string in text, whatever the case of its letters
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_TEXT_FIND_H
#define PH_MAILBOX_TEXT_FIND_H

#include <posthorn/types.h>

/* PhNeedle: what is looked for, prepared once. Immutable: any number of threads may use it. */
typedef struct PhNeedle PhNeedle;

/* ph_needle_new: @text: UTF-8. Returns: (owned). */
PhNeedle *ph_needle_new(PhSlice text);
void ph_needle_free(PhNeedle *needle);

bool ph_needle_is_empty(const PhNeedle *needle);

/* ph_needle_is_ascii: then it may be looked for in any octets of an ASCII superset. */
bool ph_needle_is_ascii(const PhNeedle *needle);

/* ph_needle_has_blank: a needle without one is found in one line of a header or in none. */
bool ph_needle_has_blank(const PhNeedle *needle);

/* ph_needle_folded: as it is compared (borrowed from the needle). */
PhSlice ph_needle_folded(const PhNeedle *needle);

/* ph_text_fold: appends text as needles are compared with it, as valid UTF-8 without NUL: octets that
 * are none stand as U+FFFD. */
void ph_text_fold(GString *out, PhSlice text);

/* ph_needle_in: is it anywhere in @text (UTF-8)? Linear on average. */
bool ph_needle_in(const PhNeedle *needle, PhSlice text);

/* ph_text_has_encoded_word: could anything in this text be an encoded word (RFC 2047)? */
bool ph_text_has_encoded_word(PhSlice text);

/* PhHaystack: the same over text that comes in pieces. */
typedef struct {
	const PhNeedle *needle;
	GString *window; /* the end of what came before, and scratch */
	bool found;
} PhHaystack;

void ph_haystack_init(PhHaystack *haystack, const PhNeedle *needle);

/* ph_haystack_feed: Returns: found so far. */
bool ph_haystack_feed(PhHaystack *haystack, PhSlice piece);
void ph_haystack_clear(PhHaystack *haystack);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhNeedle, ph_needle_free)

#endif

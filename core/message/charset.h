/* message/charset.h: octets in some charset to UTF-8, in pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_CHARSET_H
#define MESSAGE_CHARSET_H

#include <posthorn/types.h>

#define PH_CHARSET_HELD_MAX 32
#define PH_CHARSET_NAME_MAX 40

/* PhCharset: one conversion under way; lives on the stack. Members are private. */
typedef struct {
	GIConv handle; /* of iconv, if it is needed */
	bool has_handle;
	char name[PH_CHARSET_NAME_MAX + 1]; /* iconv's, of the handle */
	bool guess;                         /* UTF-8 where it is well formed, else windows-1252 */
	size_t n_held;
	char held[PH_CHARSET_HELD_MAX]; /* a character that is not complete yet */
} PhCharset;

/* ph_charset_open: false: the charset is unknown; it is guessed then. Close it in any case. */
bool ph_charset_open(PhCharset *charset, PhSlice name);
void ph_charset_feed(PhCharset *charset, PhSlice octets, GString *out);
/* ph_charset_flush: the character is not going to be completed; the charset begins anew. */
void ph_charset_flush(PhCharset *charset, GString *out);
void ph_charset_close(PhCharset *charset);

#endif

/* kept-field.c: the header fields that a structure keeps as they stand in the message
 *
 * Those that mail readers ask for to show a list, and those that SEARCH, SORT and THREAD name most:
 * with them a list is answered without opening a message.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

typedef struct {
	size_t length;
	const char *name;
} Name;

#define NAME(text)                     \
	{                              \
		sizeof(text) - 1, text \
	}
#define END             \
	{               \
		0, NULL \
	}

static const Name of_b[] = { NAME("bcc"), NAME("bimi-indicator"), NAME("bimi-location"), END };
static const Name of_c[] = { NAME("cc"), NAME("content-type"), NAME("content-description"),
	                     NAME("chat-version"), END };
static const Name of_d[] = { NAME("date"), NAME("disposition-notification-to"), END };
static const Name of_f[] = { NAME("from"), NAME("followup-to"), END };
static const Name of_i[] = { NAME("in-reply-to"), NAME("importance"), END };
static const Name of_l[] = { NAME("list-id"),          NAME("list-post"), NAME("list-subscribe"),
	                     NAME("list-unsubscribe"), NAME("lines"),     END };
static const Name of_m[] = { NAME("message-id"), NAME("mime-version"), END };
static const Name of_n[] = { NAME("newsgroups"), END };
static const Name of_p[] = { NAME("priority"), END };
static const Name of_r[] = { NAME("references"), NAME("reply-to"), END };
static const Name of_s[] = { NAME("subject"), NAME("sender"), END };
static const Name of_t[] = { NAME("to"), END };
static const Name of_x[] = { NAME("x-priority"),
	                     NAME("x-label"),
	                     NAME("x-original-to"),
	                     NAME("x-uniform-type-identifier"),
	                     NAME("x-universally-unique-identifier"),
	                     NAME("x-k9mail-identity"),
	                     NAME("x-bimi-indicator-hash"),
	                     NAME("x-msmail-priority"),
	                     END };

static const Name *const by_letter['z' - 'a' + 1] = {
	['b' - 'a'] = of_b, ['c' - 'a'] = of_c, ['d' - 'a'] = of_d, ['f' - 'a'] = of_f,
	['i' - 'a'] = of_i, ['l' - 'a'] = of_l, ['m' - 'a'] = of_m, ['n' - 'a'] = of_n,
	['p' - 'a'] = of_p, ['r' - 'a'] = of_r, ['s' - 'a'] = of_s, ['t' - 'a'] = of_t,
	['x' - 'a'] = of_x,
};

bool
ph_structure_keeps_field(PhSlice name)
{
	unsigned char letter = name.length > 0 ? (unsigned char) name.data[0] | 0x20 : 0;
	const Name *row = NULL;

	if (letter < 'a' || letter > 'z')
		return false;
	for (row = by_letter[letter - 'a']; row != NULL && row->name != NULL; row++)
		if (row->length == name.length
		    && ph_slice_equal_nocase(name, PH_SLICE(row->name, row->length)))
			return true;
	return false;
}

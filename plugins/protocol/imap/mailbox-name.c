/* mailbox-name.c: mailbox names and message sets as commands give them
 *
 * Names come in modified UTF-7 and go on as UTF-8; INBOX is written in capitals, alone and as the
 * first component. RFC 3501 section 5.1.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/message.h>

#include "imap.h"
#include "utf7.h"

char *
imap_mailbox_name(PhSlice name)
{
	g_autoptr(GString) out = g_string_sized_new(name.length + 1);

	if (!imap_utf7_decode(name, out))
		return NULL;
	if (ph_slice_starts_nocase(PH_SLICE(out->str, out->len), "INBOX")
	    && (out->len == 5 || out->str[5] == '/'))
		memcpy(out->str, "INBOX", 5);
	return g_string_free(g_steal_pointer(&out), FALSE);
}

char *
imap_parse_mailbox(Parser *parser)
{
	PhSlice name;
	char *utf8;

	if (!imap_parse_space(parser) || !imap_parse_astring(parser, &name))
		return NULL;
	utf8 = imap_mailbox_name(name);
	if (utf8 == NULL)
		(void) imap_parse_fail(parser, "The mailbox name is not valid modified UTF-7");
	return utf8;
}

void
imap_append_name(GString *out, PhSlice utf8)
{
	g_autoptr(GString) name = g_string_sized_new(utf8.length + 1);

	imap_utf7_encode(utf8, name);
	g_string_append_c(out, ' ');
	if (ph_slice_is(utf8, "INBOX"))
		g_string_append(out, "INBOX");
	else
		ph_imap_append_string(PH_SLICE(name->str, name->len), out);
}

bool
imap_find(Imap *imap, const char *name, const char *code, PhMailboxInfo *out, PhNext *next_out)
{
	g_autoptr(GError) error = NULL;

	if (ph_account_find(imap->account, ph_slice(name), out, &error))
		return true;
	if (code != NULL && g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND)) {
		g_autofree char *text = g_strdup_printf("[%s] There is no such mailbox.", code);

		*next_out = imap_no(imap, text);
		return false;
	}
	*next_out = imap_error(imap, error);
	return false;
}

PhUidSet *
imap_parse_numbers(Imap *imap, Parser *parser)
{
	uint32_t count = ph_view_count(imap->view);
	g_autoptr(PhUidSet) set = NULL;
	size_t n;
	const PhUidRange *ranges;

	if (!imap_parse_space(parser))
		return NULL;
	set = imap_parse_set(parser,
	                     imap->uid ? (count > 0 ? ph_view_uid(imap->view, count) : 1) : count);
	if (set == NULL)
		return NULL;
	if (imap->uid)
		return ph_view_numbers(imap->view, set);
	ranges = ph_uid_set_ranges(set, &n);
	if (n > 0 && ranges[n - 1].last > count) {
		(void) imap_parse_fail(parser, "There is no message of that number");
		return NULL;
	}
	return g_steal_pointer(&set);
}

/* cmd-select.c: SELECT, EXAMINE, CLOSE, UNSELECT
 *
 * RFC 3501 sections 6.3.1, 6.3.2 and 6.4.2, RFC 3691, RFC 7162 (CONDSTORE).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

#define SYSTEM_FLAGS "\\Answered \\Flagged \\Deleted \\Seen \\Draft"

void
imap_deselect(Imap *imap)
{
	g_clear_pointer(&imap->view, ph_view_close);
	if (imap->state == IMAP_SELECTED)
		imap->state = IMAP_LOGGED_IN;
}

static void
append_flags(const PhView *view, GString *out)
{
	bool read_only = ph_view_is_read_only(view);

	g_string_append(out, "* FLAGS (" SYSTEM_FLAGS);
	for (const char *const *k = ph_view_keywords(view); *k != NULL; k++)
		g_string_append_printf(out, " %s", *k);
	g_string_append(out, ")\r\n* OK [PERMANENTFLAGS (");
	if (!read_only) {
		g_string_append(out, SYSTEM_FLAGS);
		for (const char *const *k = ph_view_keywords(view); *k != NULL; k++)
			g_string_append_printf(out, " %s", *k);
		if (ph_view_can_add_keywords(view))
			g_string_append(out, " \\*");
	}
	g_string_append(out,
	                read_only ? ")] Nothing can be changed.\r\n" : ")] Flags are kept.\r\n");
}

static PhNext
tell(Imap *imap)
{
	const PhView *view = imap->view;
	g_autoptr(GString) out = g_string_sized_new(512);
	uint32_t unseen = ph_view_first_unseen(view);

	append_flags(view, out);
	g_string_append_printf(out, "* %u EXISTS\r\n* %u RECENT\r\n", ph_view_count(view),
	                       ph_view_n_recent(view));
	if (unseen > 0)
		g_string_append_printf(out, "* OK [UNSEEN %u] First unseen message.\r\n", unseen);
	g_string_append_printf(out,
	                       "* OK [UIDVALIDITY %u] UIDs are valid.\r\n"
	                       "* OK [UIDNEXT %u] Predicted next UID.\r\n"
	                       "* OK [HIGHESTMODSEQ %" G_GUINT64_FORMAT "] Highest.\r\n",
	                       ph_view_uidvalidity(view), ph_view_uidnext(view),
	                       ph_view_change(view));
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return imap_ok(imap, ph_view_is_read_only(view) ? "[READ-ONLY] Mailbox opened for reading."
	                                                : "[READ-WRITE] Mailbox opened.");
}

static bool
parse_parameters(Imap *imap, Parser *parser)
{
	PhSlice word;

	if (imap_parse_at_end(parser))
		return true;
	if (!imap_parse_space(parser) || !imap_parse_char(parser, '('))
		return false;
	do {
		if (!imap_parse_atom(parser, &word))
			return false;
		if (!ph_slice_is_nocase(word, "CONDSTORE"))
			return imap_parse_fail(parser, "Unknown parameter");
		imap->condstore = true;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')') && imap_parse_end(parser);
}

PhNext
imap_select(Imap *imap, Parser *parser)
{
	g_autofree char *name = imap_parse_mailbox(parser);
	g_autoptr(GError) error = NULL;

	if (name == NULL || !parse_parameters(imap, parser))
		return imap_parse_bad(imap, parser);
	if (imap->view != NULL)
		ph_session_write_text(imap->session,
		                      "* OK [CLOSED] The mailbox before is closed.\r\n");
	imap_deselect(imap);
	imap->view = ph_view_open(imap->account, ph_slice(name), imap->command->name[0] == 'E',
	                          ph_session_ref(imap->session), &error);
	if (imap->view == NULL)
		return imap_error(imap, error);
	imap->state = IMAP_SELECTED;
	return tell(imap);
}

PhNext
imap_unselect(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	imap_deselect(imap);
	return imap_done(imap);
}

static PhUidSet *
deleted_uids(const PhView *view)
{
	PhUidSet *uids = ph_uid_set_new();
	uint32_t count = ph_view_count(view);

	for (uint32_t number = 1; number <= count; number++)
		if (ph_view_flags(view, number) & PH_FLAG_DELETED)
			ph_uid_set_add(uids, ph_view_uid(view, number));
	return uids;
}

static PhNext
close_resumed(Imap *imap)
{
	PhTransaction *transaction = imap->work->transaction;

	imap_deselect(imap);
	return transaction->done ? imap_done(imap) : imap_error(imap, transaction->error);
}

PhNext
imap_close(Imap *imap, Parser *parser)
{
	static const PhViewEvents nothing = { NULL, NULL, NULL, NULL };
	g_autoptr(PhUidSet) uids = NULL;
	PhTransaction *transaction;

	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!ph_view_is_read_only(imap->view)
	    && ph_view_sync(imap->view, true, &nothing, NULL, NULL))
		uids = deleted_uids(imap->view);
	if (uids == NULL || ph_uid_set_is_empty(uids)) {
		imap_deselect(imap);
		return imap_done(imap);
	}
	transaction = ph_transaction_new(imap->account, NULL);
	(void) ph_transaction_expunge(transaction, ph_view_mailbox(imap->view), uids);
	return imap_submit(imap, transaction, close_resumed);
}

/* --- EXPUNGE and UID EXPUNGE (RFC 4315) --- */

static void
keep_common(PhUidSet **uids, const PhUidSet *wanted)
{
	g_autoptr(PhUidSet) all = *uids;
	size_t n;
	const PhUidRange *ranges = ph_uid_set_ranges(all, &n);

	*uids = ph_uid_set_new();
	for (size_t i = 0; i < n; i++)
		for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++)
			if (ph_uid_set_contains(wanted, (uint32_t) uid))
				ph_uid_set_add(*uids, (uint32_t) uid);
}

PhNext
imap_expunge(Imap *imap, Parser *parser)
{
	g_autoptr(PhUidSet) wanted = NULL;
	g_autoptr(PhUidSet) uids = NULL;
	PhTransaction *transaction;

	if (imap->uid
	    && (!imap_parse_space(parser)
	        || (wanted = imap_parse_set(parser, MAX(ph_view_uidnext(imap->view), 2) - 1))
	                   == NULL))
		return imap_parse_bad(imap, parser);
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (ph_view_is_read_only(imap->view))
		return imap_no(imap, "[READ-ONLY] The mailbox is open for reading only.");
	if (!imap_sync(imap, true))
		return PH_CLOSE;
	uids = deleted_uids(imap->view);
	if (wanted != NULL)
		keep_common(&uids, wanted);
	if (ph_uid_set_is_empty(uids))
		return imap_done(imap);
	transaction = ph_transaction_new(imap->account, NULL);
	(void) ph_transaction_expunge(transaction, ph_view_mailbox(imap->view), uids);
	return imap_submit_plain(imap, transaction);
}

/* cmd-idle.c: IDLE: news as they happen (RFC 2177)
 *
 * A session in IDLE has no thread, no buffer and no timer of its own but the deadline; the core
 * calls when the mailbox may have changed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

static PhNext
idle_line(Imap *imap, PhSlice line, uint32_t flaws)
{
	imap->idling = false;
	imap->on_line = NULL;
	if (flaws & PH_LINE_TOO_LONG)
		return imap_bye(imap, "[LIMIT] The line is too long.");
	if (flaws != 0 || !ph_slice_is_nocase(line, "DONE"))
		return imap_bad(imap, "IDLE ends with DONE.");
	return imap_done(imap);
}

PhNext
imap_idle_notified(Imap *imap)
{
	return imap_sync(imap, true) ? PH_DONE : PH_CLOSE;
}

PhNext
imap_idle(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	ph_session_write_text(imap->session, "+ idling\r\n");
	imap->idling = true;
	imap->on_line = idle_line;
	return imap_idle_notified(imap);
}

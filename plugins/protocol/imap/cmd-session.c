/* cmd-session.c: CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, NAMESPACE, STARTTLS
 *
 * RFC 3501 sections 6.1 and 6.2.1, RFC 2971, RFC 5161, RFC 2342.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

PhNext
imap_capability(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	ph_session_write_text(imap->session, "* CAPABILITY ");
	imap_write_capabilities(imap);
	ph_session_write_text(imap->session, "\r\n");
	return imap_done(imap);
}

PhNext
imap_noop(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	return imap_done(imap);
}

PhNext
imap_logout(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	(void) imap_bye(imap, "Goodbye.");
	(void) imap_done(imap);
	return PH_CLOSE;
}

/* At most 30 pairs (RFC 2971 section 3.3); what the client says of itself is not used. */
static bool
parse_id(Parser *parser)
{
	PhSlice word;
	uint32_t n = 0;

	if (!imap_parse_space(parser))
		return false;
	if (!imap_parse_skip(parser, '('))
		return imap_parse_nstring(parser, &word)
		       && (word.data == NULL || imap_parse_fail(parser, "A list or NIL is missing"))
		       && imap_parse_end(parser);
	while (!imap_parse_skip(parser, ')')) {
		if (n > 0 && !imap_parse_space(parser))
			return false;
		if (!imap_parse_string(parser, &word) || !imap_parse_space(parser)
		    || !imap_parse_nstring(parser, &word))
			return false;
		if (++n > 30)
			return imap_parse_fail(parser, "Too many fields");
	}
	return imap_parse_end(parser);
}

PhNext
imap_id(Imap *imap, Parser *parser)
{
	if (!parse_id(parser))
		return imap_parse_bad(imap, parser);
	ph_session_write_text(imap->session, "* ID (\"name\" \"Posthorn\")\r\n");
	return imap_done(imap);
}

PhNext
imap_enable(Imap *imap, Parser *parser)
{
	bool condstore = false;

	do {
		PhSlice name;

		if (!imap_parse_space(parser) || !imap_parse_atom(parser, &name))
			return imap_parse_bad(imap, parser);
		condstore = condstore || ph_slice_is_nocase(name, "CONDSTORE");
	} while (!imap_parse_at_end(parser));
	ph_session_write_text(imap->session, condstore && !imap->condstore
	                                             ? "* ENABLED CONDSTORE\r\n"
	                                             : "* ENABLED\r\n");
	imap->condstore = imap->condstore || condstore;
	return imap_done(imap);
}

PhNext
imap_namespace(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	ph_session_write_text(imap->session, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	return imap_done(imap);
}

PhNext
imap_starttls(Imap *imap, Parser *parser)
{
	if (!imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!ph_session_tls_available(imap->session))
		return imap_bad(imap, ph_session_is_tls(imap->session) ? "TLS is in use already."
		                                                       : "TLS is not available.");
	(void) imap_ok(imap, "Begin TLS negotiation now.");
	ph_session_start_tls(imap->session);
	return PH_DONE;
}

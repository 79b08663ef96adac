/* cmd-quota.c: GETQUOTA, GETQUOTAROOT, SETQUOTA
 *
 * An account has one quota root, "user", for all its mailboxes; none when it has no limits. Storage
 * is counted in units of 1,024 octets. Limits are the operator's, so SETQUOTA is refused.
 * RFC 9208.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

enum {
	UNIT = 1024
};

#define ROOT "user"

static bool
has_limit(const PhQuota *quota)
{
	return quota->max_octets != 0 || quota->max_messages != 0;
}

static uint64_t
units(uint64_t octets)
{
	return octets / UNIT + (octets % UNIT != 0);
}

static void
write_quota(Imap *imap, const PhQuota *quota)
{
	g_autoptr(GString) out = g_string_new("* QUOTA " ROOT " (");

	if (quota->max_octets != 0)
		g_string_append_printf(out, "STORAGE %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
		                       units(quota->octets), quota->max_octets / UNIT);
	if (quota->max_messages != 0)
		g_string_append_printf(out, "%sMESSAGE %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
		                       quota->max_octets != 0 ? " " : "", quota->messages,
		                       quota->max_messages);
	g_string_append(out, ")\r\n");
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
}

/* A blank and the root's name. */
static bool
parse_root(Parser *parser, PhSlice *root_out)
{
	return imap_parse_space(parser) && imap_parse_astring(parser, root_out);
}

PhNext
imap_get_quota(Imap *imap, Parser *parser)
{
	g_autoptr(GError) error = NULL;
	PhQuota quota;
	PhSlice root;

	if (!parse_root(parser, &root) || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!ph_account_quota(imap->account, &quota, &error))
		return imap_error(imap, error);
	if (!ph_slice_is(root, ROOT) || !has_limit(&quota))
		return imap_no(imap, "[NONEXISTENT] There is no such quota root.");
	write_quota(imap, &quota);
	return imap_done(imap);
}

/* Of a mailbox that is not there too: the root that it would have (RFC 9208 section 4.1.2). */
PhNext
imap_get_quota_root(Imap *imap, Parser *parser)
{
	g_autofree char *name = imap_parse_mailbox(parser);
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) out = NULL;
	PhQuota quota;

	if (name == NULL || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!ph_account_quota(imap->account, &quota, &error))
		return imap_error(imap, error);
	out = g_string_new("* QUOTAROOT");
	imap_append_name(out, ph_slice(name));
	g_string_append(out, has_limit(&quota) ? " " ROOT "\r\n" : "\r\n");
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	if (has_limit(&quota))
		write_quota(imap, &quota);
	return imap_done(imap);
}

/* "(STORAGE 512 MESSAGE 100)", or nothing in it. */
static bool
parse_limits(Parser *parser)
{
	PhSlice word;

	if (!imap_parse_char(parser, '('))
		return false;
	if (imap_parse_skip(parser, ')'))
		return true;
	do {
		if (!imap_parse_atom(parser, &word))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

PhNext
imap_set_quota(Imap *imap, Parser *parser)
{
	PhSlice root;

	if (!parse_root(parser, &root) || !imap_parse_space(parser) || !parse_limits(parser)
	    || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	return imap_no(imap, "[NOPERM] The limits are the operator's.");
}

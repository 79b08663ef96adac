/* cmd-status.c: STATUS, also as part of LIST
 *
 * Everything but DELETED-STORAGE comes from the mailbox's row. RFC 3501 section 6.3.10,
 * RFC 7162 (HIGHESTMODSEQ), RFC 8438 (SIZE), RFC 9051 (DELETED), RFC 9208 (DELETED-STORAGE), RFC 7889 (APPENDLIMIT).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

static uint64_t
messages(const Imap *imap, const PhMailboxInfo *info)
{
	return info->n_messages;
}

static uint64_t
recent(const Imap *imap, const PhMailboxInfo *info)
{
	if (imap->view == NULL
	    || memcmp(ph_view_mailbox(imap->view)->octets, info->id.octets, sizeof info->id.octets)
	               != 0)
		return 0;
	return ph_view_n_recent(imap->view);
}

static uint64_t
uidnext(const Imap *imap, const PhMailboxInfo *info)
{
	return info->uidnext;
}

static uint64_t
uidvalidity(const Imap *imap, const PhMailboxInfo *info)
{
	return info->uidvalidity;
}

static uint64_t
unseen(const Imap *imap, const PhMailboxInfo *info)
{
	return info->n_unseen;
}

static uint64_t
highest(const Imap *imap, const PhMailboxInfo *info)
{
	return info->change;
}

static uint64_t
size(const Imap *imap, const PhMailboxInfo *info)
{
	return info->octets;
}

static uint64_t
deleted(const Imap *imap, const PhMailboxInfo *info)
{
	return info->n_deleted;
}

/* The sizes of the messages that EXPUNGE would remove (RFC 9208 section 4.1.4). */
static uint64_t
deleted_storage(const Imap *imap, const PhMailboxInfo *info)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	g_autoptr(PhView) view = NULL;
	g_autoptr(PhCursor) cursor = NULL;
	const PhRecord *record = NULL;
	uint64_t octets = 0;

	if (info->n_deleted == 0)
		return 0;
	view = ph_view_open(imap->account, ph_slice(info->name), true,
	                    ph_session_ref(imap->session), NULL);
	for (uint32_t i = 1; view != NULL && i <= ph_view_count(view); i++)
		if ((ph_view_flags(view, i) & PH_FLAG_DELETED) != 0)
			ph_uid_set_add(uids, ph_view_uid(view, i));
	if (view == NULL || ph_uid_set_is_empty(uids))
		return 0;
	cursor = ph_cursor_new(view, uids, PH_FIELD_OCTETS);
	while ((record = ph_cursor_next(cursor, NULL)) != NULL)
		octets += record->octets;
	return octets;
}

static uint64_t
append_limit(const Imap *imap, const PhMailboxInfo *info)
{
	return imap->settings->message_limit.octets;
}

static const struct {
	const char *name;
	uint64_t (*value)(const Imap *imap, const PhMailboxInfo *info);
} rows[] = {
	{ "MESSAGES", messages },
	{ "RECENT", recent },
	{ "UIDNEXT", uidnext },
	{ "UIDVALIDITY", uidvalidity },
	{ "UNSEEN", unseen },
	{ "HIGHESTMODSEQ", highest },
	{ "SIZE", size },
	{ "DELETED", deleted },
	{ "DELETED-STORAGE", deleted_storage },
	{ "APPENDLIMIT", append_limit },
};

static bool
add_item(Parser *parser, uint32_t *items)
{
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (!ph_slice_is_nocase(word, rows[i].name))
			continue;
		*items |= 1U << i;
		return true;
	}
	return imap_parse_fail(parser, "There is no such status item");
}

bool
imap_parse_status(Parser *parser, uint32_t *items_out)
{
	uint32_t items = 0;

	if (!imap_parse_char(parser, '('))
		return false;
	do {
		if (!add_item(parser, &items))
			return false;
	} while (imap_parse_skip(parser, ' '));
	if (!imap_parse_char(parser, ')'))
		return false;
	*items_out = items;
	return true;
}

void
imap_append_status(Imap *imap,
                   const char *name,
                   const PhMailboxInfo *info,
                   uint32_t items,
                   GString *out)
{
	PhMailboxInfo named = *info;
	const char *before = " (";

	named.name = name;
	g_string_append(out, "* STATUS");
	imap_append_name(out, ph_slice(name));
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if ((items & 1U << i) == 0)
			continue;
		g_string_append(out, before);
		g_string_append(out, rows[i].name);
		g_string_append_c(out, ' ');
		imap_append_number(out, rows[i].value(imap, &named));
		before = " ";
		imap->condstore = imap->condstore || rows[i].value == highest;
	}
	g_string_append(out, ")\r\n");
}

PhNext
imap_status(Imap *imap, Parser *parser)
{
	g_autofree char *name = imap_parse_mailbox(parser);
	g_autoptr(GString) out = NULL;
	PhMailboxInfo info;
	uint32_t items = 0;
	PhNext next = PH_DONE;

	if (name == NULL || !imap_parse_space(parser) || !imap_parse_status(parser, &items)
	    || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!imap_find(imap, name, NULL, &info, &next))
		return next;
	out = g_string_sized_new(256);
	imap_append_status(imap, name, &info, items, out);
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return imap_done(imap);
}

/* cmd-mailbox.c: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE
 *
 * Each is one transaction: parents are made with their child, children are renamed with their
 * parent. A mailbox that has children may be deleted; its name then stands in LIST as \Noselect
 * until the last child is gone. RENAME of INBOX moves its messages and leaves it empty.
 * RFC 3501 sections 6.3.3 to 6.3.7, RFC 6154 (CREATE-SPECIAL-USE).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "imap.h"

const char *const imap_use_names[7] = {
	"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash",
};

static bool
parse_use(Parser *parser, uint32_t *use_out)
{
	PhSlice name;

	if (!imap_parse_char(parser, '\\') || !imap_parse_atom(parser, &name))
		return false;
	for (uint32_t i = 0; i < G_N_ELEMENTS(imap_use_names); i++)
		if (ph_slice_is_nocase(name, imap_use_names[i] + 1))
			*use_out |= 1U << i;
	return true;
}

static bool
parse_create_parameters(Parser *parser, uint32_t *use_out, uint32_t *n_uses_out)
{
	PhSlice word;

	if (imap_parse_at_end(parser))
		return true;
	if (!imap_parse_space(parser) || !imap_parse_char(parser, '(')
	    || !imap_parse_atom(parser, &word) || !imap_parse_space(parser)
	    || !imap_parse_char(parser, '('))
		return false;
	if (!ph_slice_is_nocase(word, "USE"))
		return imap_parse_fail(parser, "Unknown parameter");
	if (!imap_parse_peek(parser, ')')) {
		do {
			if (!parse_use(parser, use_out))
				return false;
			++*n_uses_out;
		} while (imap_parse_skip(parser, ' '));
	}
	return imap_parse_char(parser, ')') && imap_parse_char(parser, ')')
	       && imap_parse_end(parser);
}

/* Adds what is missing above @name. False: the list could not be read. */
static bool
create_parents(Imap *imap, PhTransaction *transaction, PhSlice name, GError **error)
{
	for (size_t i = 1; i < name.length; i++) {
		PhSlice parent = PH_SLICE(name.data, i);
		g_autoptr(GError) local = NULL;
		PhMailboxInfo info;

		if (name.data[i] != '/' || ph_account_find(imap->account, parent, &info, &local))
			continue;
		if (!g_error_matches(local, PH_ERROR, PH_ERROR_NOT_FOUND)) {
			g_propagate_error(error, g_steal_pointer(&local));
			return false;
		}
		(void) ph_transaction_create(transaction, parent, 0);
	}
	return true;
}

static PhNext
refuse_name(Imap *imap, PhSlice name)
{
	const char *reason = NULL;
	g_autofree char *text = NULL;

	(void) ph_mailbox_name_check(name, &reason);
	text = g_strdup_printf("[CANNOT] %s",
	                       reason != NULL ? reason : "That name is not possible.");
	return imap_no(imap, text);
}

/* "foo/" announces children only: the mailbox is "foo" (RFC 3501 section 6.3.3). */
static PhSlice
without_separator(const char *name)
{
	PhSlice slice = ph_slice(name);

	if (slice.length > 1 && slice.data[slice.length - 1] == '/')
		slice.length--;
	return slice;
}

PhNext
imap_create(Imap *imap, Parser *parser)
{
	g_autofree char *text = imap_parse_mailbox(parser);
	g_autoptr(PhTransaction) transaction = NULL;
	g_autoptr(GError) error = NULL;
	PhMailboxInfo info;
	uint32_t use = 0;
	uint32_t n_uses = 0;
	PhSlice name;

	if (text == NULL || !parse_create_parameters(parser, &use, &n_uses))
		return imap_parse_bad(imap, parser);
	if (n_uses > 1 || (n_uses == 1 && (use & ~(PH_USE_ALL | PH_USE_FLAGGED)) == 0))
		return imap_no(imap, "[USEATTR] That use is not possible.");
	name = without_separator(text);
	if (!ph_mailbox_name_check(name, NULL))
		return refuse_name(imap, name);
	if (ph_account_find(imap->account, name, &info, NULL))
		return imap_no(imap, "[ALREADYEXISTS] There is such a mailbox.");
	transaction = ph_transaction_new(imap->account, NULL);
	if (!create_parents(imap, transaction, name, &error))
		return imap_error(imap, error);
	(void) ph_transaction_create(transaction, name, use);
	return imap_submit_plain(imap, g_steal_pointer(&transaction));
}

/* --- DELETE --- */

typedef struct {
	PhSlice name;
	bool found;
} ChildLook;

static bool
is_below(PhSlice name, PhSlice parent)
{
	return name.length > parent.length && name.data[parent.length] == '/'
	       && memcmp(name.data, parent.data, parent.length) == 0;
}

static bool
look_for_child(const PhMailboxInfo *info, void *user_data)
{
	ChildLook *look = user_data;

	look->found = is_below(ph_slice(info->name), look->name);
	return !look->found;
}

static PhNext
no_such_mailbox(Imap *imap, const char *name)
{
	ChildLook look = { ph_slice(name), false };

	(void) ph_account_mailboxes(imap->account, look_for_child, &look, NULL);
	return imap_no(imap, look.found ? "[HASCHILDREN] Only its children are there."
	                                : "[NONEXISTENT] There is no such mailbox.");
}

static PhNext
delete_resumed(Imap *imap)
{
	const PhTransaction *transaction = imap->work->transaction;

	if (!transaction->done)
		return imap_error(imap, transaction->error);
	if (imap->view != NULL
	    && memcmp(ph_view_mailbox(imap->view)->octets, transaction->ops[0]->mailbox.octets,
	              sizeof transaction->ops[0]->mailbox.octets)
	               == 0) {
		imap_deselect(imap);
		ph_session_write_text(imap->session,
		                      "* OK [CLOSED] It was the selected mailbox.\r\n");
	}
	return imap_done(imap);
}

PhNext
imap_delete(Imap *imap, Parser *parser)
{
	g_autofree char *name = imap_parse_mailbox(parser);
	g_autoptr(GError) error = NULL;
	PhTransaction *transaction;
	PhMailboxInfo info;

	if (name == NULL || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (g_str_equal(name, "INBOX"))
		return imap_no(imap, "[CANNOT] INBOX cannot be deleted.");
	if (!ph_account_find(imap->account, ph_slice(name), &info, &error)) {
		if (g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND))
			return no_such_mailbox(imap, name);
		return imap_error(imap, error);
	}
	transaction = ph_transaction_new(imap->account, NULL);
	(void) ph_transaction_remove(transaction, &info.id);
	return imap_submit(imap, transaction, delete_resumed);
}

/* --- RENAME --- */

typedef struct {
	PhTransaction *transaction;
	PhSlice from;
	PhSlice to;
	uint32_t n_renamed;
	bool is_whole; /* the mailbox itself is there: its transaction names the children too */
	bool too_long;
} Renaming;

static bool
rename_one(const PhMailboxInfo *info, void *user_data)
{
	Renaming *renaming = user_data;
	PhSlice name = ph_slice(info->name);
	g_autofree char *target = NULL;

	if (!ph_slice_equal(name, renaming->from) && !is_below(name, renaming->from))
		return true;
	target = g_strdup_printf("%.*s%s", (int) renaming->to.length, renaming->to.data,
	                         info->name + renaming->from.length);
	if (!ph_mailbox_name_check(ph_slice(target), NULL)) {
		renaming->too_long = true;
		return false;
	}
	if (renaming->is_whole)
		return true;
	renaming->is_whole = ph_slice_equal(name, renaming->from);
	(void) ph_transaction_rename(renaming->transaction, &info->id, ph_slice(target));
	renaming->n_renamed++;
	return true;
}

static PhNext
rename_inbox(Imap *imap, PhTransaction *transaction, PhSlice to)
{
	g_autoptr(PhTransaction) owned = transaction;
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	g_autoptr(GError) error = NULL;
	PhMailboxInfo inbox;
	const PhOp *made;

	if (!ph_account_find(imap->account, PH_SLICE_LITERAL("INBOX"), &inbox, &error))
		return imap_error(imap, error);
	made = ph_transaction_create(transaction, to, 0);
	(void) ph_transaction_move(transaction, &inbox.id, all, &made->mailbox);
	return imap_submit_plain(imap, g_steal_pointer(&owned));
}

static PhNext
rename_mailbox(Imap *imap, PhSlice from, PhSlice to)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(imap->account, NULL);
	Renaming renaming = { .transaction = transaction, .from = from, .to = to };
	g_autoptr(GError) error = NULL;

	if (!create_parents(imap, transaction, to, &error))
		return imap_error(imap, error);
	if (ph_slice_is(from, "INBOX"))
		return rename_inbox(imap, g_steal_pointer(&transaction), to);
	if (!ph_account_mailboxes(imap->account, rename_one, &renaming, &error))
		return imap_error(imap, error);
	if (renaming.too_long)
		return imap_no(imap, "[CANNOT] A child's name would be too long.");
	if (renaming.n_renamed == 0)
		return imap_no(imap, "[NONEXISTENT] There is no such mailbox.");
	return imap_submit_plain(imap, g_steal_pointer(&transaction));
}

PhNext
imap_rename(Imap *imap, Parser *parser)
{
	g_autofree char *from = imap_parse_mailbox(parser);
	g_autofree char *target = from != NULL ? imap_parse_mailbox(parser) : NULL;
	PhMailboxInfo info;
	PhSlice to;

	if (from == NULL || target == NULL || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	to = without_separator(target);
	if (!ph_mailbox_name_check(to, NULL))
		return refuse_name(imap, to);
	if (ph_account_find(imap->account, to, &info, NULL))
		return imap_no(imap, "[ALREADYEXISTS] There is such a mailbox.");
	if (!g_str_equal(from, "INBOX") && is_below(to, ph_slice(from)))
		return imap_no(imap, "[CANNOT] A mailbox cannot become its own child.");
	return rename_mailbox(imap, ph_slice(from), to);
}

/* --- SUBSCRIBE and UNSUBSCRIBE --- */

PhNext
imap_subscribe(Imap *imap, Parser *parser)
{
	bool subscribe = imap->command->name[0] == 'S';
	g_autofree char *name = imap_parse_mailbox(parser);
	g_autofree char *key = NULL;
	PhTransaction *transaction;
	PhMailboxInfo info;
	PhNext next = PH_DONE;

	if (name == NULL || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!ph_mailbox_name_check(ph_slice(name), NULL))
		return refuse_name(imap, ph_slice(name));
	if (subscribe && !imap_find(imap, name, NULL, &info, &next))
		return next;
	key = g_strconcat(PH_KEY_SUBSCRIPTION, name, NULL);
	transaction = ph_transaction_new(imap->account, NULL);
	(void) ph_transaction_put(transaction, NULL, key,
	                          subscribe ? PH_SLICE_LITERAL("1") : PH_SLICE_EMPTY);
	return imap_submit_plain(imap, transaction);
}

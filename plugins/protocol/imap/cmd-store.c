/* cmd-store.c: STORE, COPY, MOVE
 *
 * One transaction each. STORE tells the new flags of every message it was given unless .SILENT;
 * those that the client changed itself are told once. RFC 3501 sections 6.4.6 and 6.4.7, RFC 4315
 * (COPYUID), RFC 6851 (MOVE), RFC 7162 (UNCHANGEDSINCE).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "imap.h"
#include "set-walk.h"

typedef struct {
	ImapWork work;
	PhUidSet *numbers;
	PhUidSet *uids;
	FlagList flags;
	uint32_t mode; /* PhFlagsMode */
	bool silent;
	bool has_unchanged_since;
	uint64_t unchanged_since;
	SetWalk walk;
} Store;

static void
free_store(void *data)
{
	Store *store = data;

	ph_uid_set_free(store->numbers);
	ph_uid_set_free(store->uids);
	imap_flags_clear(&store->flags);
	g_free(store);
}

static PhNext
store_done(Imap *imap, const PhOp *op)
{
	g_autoptr(GString) text = NULL;
	g_autoptr(PhUidSet) numbers = NULL;

	if (op->refused == NULL || ph_uid_set_is_empty(op->refused))
		return imap_done(imap);
	text = g_string_new("[MODIFIED ");
	numbers = imap->uid ? NULL : ph_view_numbers(imap->view, op->refused);
	ph_uid_set_append_text(imap->uid ? op->refused : numbers, text);
	g_string_append(text, "] Some messages have changed since.");
	return imap_ok(imap, text->str);
}

static void
append_fetch(Imap *imap, const Store *store, uint32_t number, GString *out)
{
	const char *blank = "";

	g_string_append(out, "* ");
	imap_append_number(out, number);
	g_string_append(out, " FETCH (");
	if (imap->uid) {
		g_string_append(out, "UID ");
		imap_append_number(out, ph_view_uid(imap->view, number));
		blank = " ";
	}
	if (!store->silent) {
		g_string_append(out, blank);
		g_string_append(out, "FLAGS (");
		ph_view_append_flags(imap->view, number, out);
		g_string_append_c(out, ')');
		blank = " ";
	}
	if (imap->condstore) {
		g_string_append(out, blank);
		g_string_append(out, "MODSEQ (");
		imap_append_number(out, ph_view_message_change(imap->view, number));
		g_string_append_c(out, ')');
	}
	g_string_append(out, ")\r\n");
}

static PhNext
store_step(Imap *imap)
{
	Store *store = (Store *) imap->work;
	const PhOp *op = store->work.transaction->ops[0];
	g_autoptr(GString) out = g_string_sized_new(4096);
	uint32_t number;

	while ((number = imap_set_walk(&store->walk, store->numbers)) != 0) {
		uint32_t uid = ph_view_uid(imap->view, number);

		if ((op->refused != NULL && ph_uid_set_contains(op->refused, uid))
		    || (op->missing != NULL && ph_uid_set_contains(op->missing, uid)))
			continue;
		append_fetch(imap, store, number, out);
		if (out->len < 16384)
			continue;
		ph_session_write(imap->session, PH_SLICE(out->str, out->len));
		if (ph_session_should_yield(imap->session))
			return PH_MORE;
		g_string_truncate(out, 0);
	}
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
	return store_done(imap, op);
}

static PhNext
stored(Imap *imap)
{
	const Store *store = (const Store *) imap->work;
	const PhTransaction *transaction = store->work.transaction;

	if (!transaction->done)
		return imap_error(imap, transaction->error);
	ph_view_quiet(imap->view, transaction->ops[0], transaction->change);
	if (!imap_sync(imap, false))
		return PH_CLOSE;
	if (store->silent && !imap->condstore)
		return store_done(imap, transaction->ops[0]);
	return store_step(imap);
}

static bool
parse_modifier(Parser *parser, Store *store)
{
	PhSlice word;

	if (!imap_parse_skip(parser, '('))
		return true;
	if (!imap_parse_atom(parser, &word) || !imap_parse_space(parser)
	    || !imap_parse_number64(parser, &store->unchanged_since)
	    || !imap_parse_char(parser, ')') || !imap_parse_space(parser))
		return false;
	store->has_unchanged_since = ph_slice_is_nocase(word, "UNCHANGEDSINCE");
	return store->has_unchanged_since || imap_parse_fail(parser, "Unknown modifier of STORE");
}

static bool
parse_store(Imap *imap, Parser *parser, Store *store)
{
	PhSlice word;

	store->numbers = imap_parse_numbers(imap, parser);
	if (store->numbers == NULL || !imap_parse_space(parser) || !parse_modifier(parser, store))
		return false;
	store->mode = PH_FLAGS_REPLACE;
	if (imap_parse_skip(parser, '+'))
		store->mode = PH_FLAGS_ADD;
	else if (imap_parse_skip(parser, '-'))
		store->mode = PH_FLAGS_REMOVE;
	if (!imap_parse_word(parser, &word))
		return false;
	store->silent = ph_slice_is_nocase(word, "FLAGS.SILENT");
	if (!store->silent && !ph_slice_is_nocase(word, "FLAGS"))
		return imap_parse_fail(parser, "Only FLAGS can be stored");
	return imap_parse_space(parser) && imap_parse_flags(parser, true, &store->flags)
	       && imap_parse_end(parser);
}

PhNext
imap_store(Imap *imap, Parser *parser)
{
	Store *store = g_new0(Store, 1);
	PhTransaction *transaction;
	PhOp *op;

	store->work.free = free_store;
	store->work.step = store_step;
	imap_work_begin(imap, store);
	if (!parse_store(imap, parser, store))
		return imap_parse_bad(imap, parser);
	if (ph_view_is_read_only(imap->view))
		return imap_no(imap, "[READ-ONLY] The mailbox is open for reading only.");
	imap->condstore = imap->condstore || store->has_unchanged_since;
	store->uids = ph_view_uids(imap->view, store->numbers, NULL);
	if (ph_uid_set_is_empty(store->uids))
		return imap_done(imap);
	transaction = ph_transaction_new(imap->account, NULL);
	op = ph_transaction_flags(transaction, ph_view_mailbox(imap->view), store->uids,
	                          store->mode, store->flags.flags,
	                          (const char *const *) store->flags.keywords->pdata);
	op->has_unchanged_since = store->has_unchanged_since;
	op->unchanged_since = store->unchanged_since;
	return imap_submit(imap, transaction, stored);
}

/* --- COPY and MOVE --- */

static void
append_copyuid(const PhOp *op, GString *out)
{
	g_string_append(out, "[COPYUID ");
	imap_append_number(out, op->uidvalidity);
	g_string_append_c(out, ' ');
	ph_uid_set_append_text(op->from_uids, out);
	g_string_append_c(out, ' ');
	ph_uid_set_append_text(op->to_uids, out);
	g_string_append(out, "] ");
}

static PhNext
copied(Imap *imap)
{
	const PhTransaction *transaction = imap->work->transaction;
	g_autoptr(GString) text = g_string_new(NULL);
	const PhOp *op = transaction->ops[0];
	bool move = op->kind == PH_OP_MOVE;

	if (!transaction->done && g_error_matches(transaction->error, PH_ERROR, PH_ERROR_NOT_FOUND))
		return imap_no(imap, "[EXPUNGEISSUED] Some of the messages are gone.");
	if (!transaction->done)
		return imap_error(imap, transaction->error);
	if (op->from_uids != NULL && !ph_uid_set_is_empty(op->from_uids))
		append_copyuid(op, text);
	if (!move) {
		g_string_append(text, "COPY completed.");
		return imap_ok(imap, text->str);
	}
	if (text->len > 0) {
		g_string_prepend(text, "* OK ");
		g_string_append(text, "Moved.\r\n");
		ph_session_write(imap->session, PH_SLICE(text->str, text->len));
	}
	return imap_done(imap);
}

static PhNext
start_copy(Imap *imap, const PhUidSet *numbers, const PhMailboxId *to, bool move)
{
	g_autoptr(PhUidSet) uids = ph_view_uids(imap->view, numbers, NULL);
	PhTransaction *transaction;
	PhOp *op;

	if (ph_uid_set_is_empty(uids))
		return imap_done(imap);
	transaction = ph_transaction_new(imap->account, NULL);
	op = (move ? ph_transaction_move
	           : ph_transaction_copy)(transaction, ph_view_mailbox(imap->view), uids, to);
	op->must_exist = !imap->uid;
	return imap_submit(imap, transaction, copied);
}

PhNext
imap_copy(Imap *imap, Parser *parser)
{
	bool move = imap->command->name[0] == 'M';
	g_autoptr(PhUidSet) numbers = imap_parse_numbers(imap, parser);
	g_autofree char *name = numbers != NULL ? imap_parse_mailbox(parser) : NULL;
	PhMailboxInfo info;
	PhNext next = PH_DONE;

	if (name == NULL || !imap_parse_end(parser))
		return imap_parse_bad(imap, parser);
	if (!imap_find(imap, name, "TRYCREATE", &info, &next))
		return next;
	if (move && ph_view_is_read_only(imap->view))
		return imap_no(imap, "[READ-ONLY] The mailbox is open for reading only.");
	if (move
	    && memcmp(info.id.octets, ph_view_mailbox(imap->view)->octets, sizeof info.id.octets)
	               == 0)
		return imap_no(imap, "[CANNOT] The messages are in that mailbox already.");
	return start_copy(imap, numbers, &info.id, move);
}

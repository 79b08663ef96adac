/* command.c: the table of commands, and the way from a command's text to its row
 *
 * A row says in which states a command is allowed and what news may be told at its end.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

#define ANY   (IMAP_GREETED | IMAP_LOGGED_IN | IMAP_SELECTED)
#define LATER (IMAP_LOGGED_IN | IMAP_SELECTED)

static const Command commands[] = {
	{ "APPEND", imap_append, LATER, 0, imap_append_literal },
	{ "AUTHENTICATE", imap_authenticate, IMAP_GREETED, 0, NULL },
	{ "CAPABILITY", imap_capability, ANY, 0, NULL },
	{ "CHECK", imap_noop, IMAP_SELECTED, 0, NULL },
	{ "CLOSE", imap_close, IMAP_SELECTED, IMAP_NO_UPDATES, NULL },
	{ "COPY", imap_copy, IMAP_SELECTED, IMAP_HAS_UID, NULL },
	{ "CREATE", imap_create, LATER, 0, NULL },
	{ "DELETE", imap_delete, LATER, 0, NULL },
	{ "ENABLE", imap_enable, LATER, 0, NULL },
	{ "EXAMINE", imap_select, LATER, IMAP_NO_UPDATES, NULL },
	{ "EXPUNGE", imap_expunge, IMAP_SELECTED, IMAP_HAS_UID | IMAP_EXPUNGES, NULL },
	{ "FETCH", imap_fetch, IMAP_SELECTED, IMAP_HAS_UID | IMAP_KEEPS_NUMBERS, NULL },
	{ "GETQUOTA", imap_get_quota, LATER, 0, NULL },
	{ "GETQUOTAROOT", imap_get_quota_root, LATER, 0, NULL },
	{ "ID", imap_id, ANY, 0, NULL },
	{ "IDLE", imap_idle, LATER, 0, NULL },
	{ "LIST", imap_list, LATER, 0, NULL },
	{ "LOGIN", imap_login, IMAP_GREETED, 0, NULL },
	{ "LOGOUT", imap_logout, ANY, IMAP_NO_UPDATES, NULL },
	{ "LSUB", imap_list, LATER, 0, NULL },
	{ "MOVE", imap_copy, IMAP_SELECTED, IMAP_HAS_UID | IMAP_EXPUNGES, NULL },
	{ "NAMESPACE", imap_namespace, LATER, 0, NULL },
	{ "NOOP", imap_noop, ANY, 0, NULL },
	{ "RENAME", imap_rename, LATER, 0, NULL },
	{ "SEARCH", imap_search, IMAP_SELECTED, IMAP_HAS_UID | IMAP_KEEPS_NUMBERS, NULL },
	{ "SELECT", imap_select, LATER, IMAP_NO_UPDATES, NULL },
	{ "SETQUOTA", imap_set_quota, LATER, 0, NULL },
	{ "SORT", imap_sort, IMAP_SELECTED, IMAP_HAS_UID | IMAP_KEEPS_NUMBERS, NULL },
	{ "STARTTLS", imap_starttls, IMAP_GREETED, 0, NULL },
	{ "STATUS", imap_status, LATER, 0, NULL },
	{ "STORE", imap_store, IMAP_SELECTED, IMAP_HAS_UID | IMAP_KEEPS_NUMBERS, NULL },
	{ "SUBSCRIBE", imap_subscribe, LATER, 0, NULL },
	{ "THREAD", imap_thread, IMAP_SELECTED, IMAP_HAS_UID | IMAP_KEEPS_NUMBERS, NULL },
	{ "UNSELECT", imap_unselect, IMAP_SELECTED, IMAP_NO_UPDATES, NULL },
	{ "UNSUBSCRIBE", imap_subscribe, LATER, 0, NULL },
};

static const Command *
find(PhSlice name)
{
	char first = name.length > 0 ? g_ascii_toupper(name.data[0]) : '\0';

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (commands[i].name[0] == first && ph_slice_is_nocase(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static const char *
wrong_state(const Imap *imap)
{
	if (imap->state == IMAP_GREETED)
		return "BAD Log in first.";
	return imap->command->states == IMAP_GREETED ? "BAD You are logged in already."
	                                             : "BAD Select a mailbox first.";
}

const char *
imap_command_begin(Imap *imap, Parser *parser)
{
	PhSlice word = PH_SLICE_EMPTY;

	imap->command = NULL;
	imap->uid = false;
	memcpy(imap->tag, "*", 2);
	if (!imap_parse_tag(parser, &word) || word.length > IMAP_TAG_MAX
	    || !imap_parse_space(parser))
		return "BAD A command begins with a tag, a space and its name.";
	memcpy(imap->tag, word.data, word.length);
	imap->tag[word.length] = '\0';
	if (!imap_parse_atom(parser, &word))
		return "BAD The command's name is missing.";
	if (ph_slice_is_nocase(word, "UID")) {
		imap->uid = true;
		if (!imap_parse_space(parser) || !imap_parse_atom(parser, &word))
			return "BAD UID is followed by another command.";
	}
	imap->command = find(word);
	if (imap->command == NULL || (imap->uid && (imap->command->flags & IMAP_HAS_UID) == 0)) {
		imap->command = NULL;
		return "BAD Unknown command.";
	}
	if ((imap->command->states & imap->state) == 0)
		return wrong_state(imap);
	return NULL;
}

PhNext
imap_command_run(Imap *imap, PhSlice text)
{
	g_auto(Parser) parser = { NULL, NULL, NULL, NULL };
	const char *refusal;

	imap_parser_init(&parser, text);
	refusal = imap_command_begin(imap, &parser);
	if (refusal != NULL)
		return imap_reply(imap, refusal);
	return imap->command->run(imap, &parser);
}

void
imap_work_begin(Imap *imap, void *work)
{
	g_assert(imap->work == NULL);
	imap->work = work;
}

void
imap_work_end(Imap *imap)
{
	ImapWork *work = g_steal_pointer(&imap->work);

	if (work == NULL)
		return;
	/* Under way or answered: the transaction knows what to do when it is left alone. */
	if (work->transaction != NULL)
		ph_transaction_detach(work->transaction);
	work->free(work);
}

PhNext
imap_submit(Imap *imap, PhTransaction *transaction, ImapFunc resumed)
{
	if (imap->work == NULL) {
		ImapWork *work = g_new0(ImapWork, 1);

		work->free = g_free;
		imap_work_begin(imap, work);
	}
	if (imap->work->transaction != NULL)
		ph_transaction_free(imap->work->transaction);
	imap->work->transaction = transaction;
	imap->work->resumed = resumed;
	ph_transaction_submit(transaction, ph_session_park(imap->session));
	return PH_WAIT;
}

static PhNext
plain_resumed(Imap *imap)
{
	const PhTransaction *transaction = imap->work->transaction;

	return transaction->done ? imap_done(imap) : imap_error(imap, transaction->error);
}

PhNext
imap_submit_plain(Imap *imap, PhTransaction *transaction)
{
	return imap_submit(imap, transaction, plain_resumed);
}

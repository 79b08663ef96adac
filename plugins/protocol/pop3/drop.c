/* drop.c: the maildrop: opened at login, listed, marked, updated at QUIT
 *
 * Sizes of single messages are read when a command first needs them: many sessions only look
 * whether there is anything new, and the sum stands in the list of mailboxes.
 *
 * The maildrop is INBOX as it was at login: the view is never synced, so numbers stay. Marks are
 * only ours until QUIT; then one transaction removes what was marked, and "+OK" is said when
 * that is durable. Without QUIT nothing is removed (RFC 1939 section 6). One session has the lock unless it is
 * configured to be shared.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "pop3.h"

static uint64_t
sum_octets(const Client *client)
{
	uint64_t octets = 0;

	if (!client->has_sizes)
		return client->total;
	for (uint32_t i = 0; i < client->n_messages; i++)
		if (!client->messages[i].is_deleted)
			octets += client->messages[i].octets;
	return octets;
}

/* --- opening and leaving ---------------------------------------------------------------------- */

void
pop3_leave(PhSession *session)
{
	Client *client = ph_session_data(session);

	g_clear_pointer(&client->content, ph_content_unref);
	g_clear_pointer(&client->cursor, ph_cursor_free);
	g_clear_pointer(&client->reader, ph_cursor_free);
	g_clear_pointer(&client->view, ph_view_close);
	if (client->transaction != NULL)
		ph_transaction_detach(g_steal_pointer(&client->transaction));
	g_clear_pointer(&client->messages, g_free);
	ph_session_refund(session, client->charged);
	client->charged = 0;
	client->n_messages = 0;
	if (client->has_lock)
		ph_account_unlock_maildrop(client->account);
	client->has_lock = false;
	g_clear_pointer(&client->account, ph_account_unref);
}

static PhNext
refuse_open(PhSession *session, const GError *error)
{
	pop3_leave(session);
	return pop3_refuse_error(session, "the maildrop could not be opened", error);
}

static bool
open_view(PhSession *session, GError **error)
{
	Client *client = ph_session_data(session);
	size_t octets = 0;

	client->view = ph_view_open(client->account, PH_SLICE_LITERAL("INBOX"), true,
	                            ph_session_ref(session), error);
	if (client->view == NULL)
		return false;
	octets = (size_t) ph_view_count(client->view) * sizeof(Message);
	if (!ph_session_charge(session, octets)) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_LIMIT,
		                    "too many messages for one session");
		return false;
	}
	client->charged = octets;
	client->n_messages = ph_view_count(client->view);
	client->messages = g_new0(Message, client->n_messages + 1);
	return true;
}

static PhNext
greet(PhSession *session)
{
	Client *client = ph_session_data(session);
	char text[96];

	client->work = WORK_NONE;
	ph_session_set_deadline(session, client->server->settings->idle_timeout);
	g_snprintf(text, sizeof text, "+OK %u messages (%" G_GUINT64_FORMAT " octets)",
	           client->n_messages, sum_octets(client));
	return pop3_reply(session, text);
}

PhNext
pop3_load(PhSession *session)
{
	Client *client = ph_session_data(session);
	g_autoptr(GError) error = NULL;
	const PhRecord *record = NULL;

	while ((record = ph_cursor_next(client->cursor, &error)) != NULL) {
		uint32_t number = ph_view_number(client->view, record->uid);

		if (number > 0 && number <= client->n_messages)
			client->messages[number - 1].octets = record->octets;
		if (number % 256 == 0 && ph_session_should_yield(session))
			return PH_MORE;
	}
	g_clear_pointer(&client->cursor, ph_cursor_free);
	client->work = WORK_NONE;
	if (error != NULL)
		return pop3_refuse_error(session, "the maildrop could not be read", error);
	client->has_sizes = true;
	return client->then(session);
}

/* Calls @then when the sizes are there. */
static PhNext
with_sizes(PhSession *session, PhNext (*then)(PhSession *session))
{
	Client *client = ph_session_data(session);
	g_autoptr(PhUidSet) all = ph_uid_set_new();

	if (client->has_sizes)
		return then(session);
	if (client->n_messages > 0)
		ph_uid_set_add_range(all, ph_view_uid(client->view, 1),
		                     ph_view_uid(client->view, client->n_messages));
	client->then = then;
	client->cursor = ph_cursor_new(client->view, all, PH_FIELD_OCTETS);
	client->work = WORK_LOAD;
	return pop3_load(session);
}

/* Is the sum of the list of mailboxes that of our view? */
static bool
knows_total(Client *client)
{
	PhMailboxInfo info = { 0 };

	if (!ph_account_find(client->account, PH_SLICE_LITERAL("INBOX"), &info, NULL))
		return false;
	client->total = info.octets;
	return info.n_messages == client->n_messages
	       && info.uidnext == ph_view_uidnext(client->view);
}

static bool
take_maildrop(Client *client)
{
	if (client->server->settings->maildrop == MAILDROP_SHARED)
		return true;
	client->has_lock = ph_account_lock_maildrop(client->account);
	return client->has_lock;
}

PhNext
pop3_open(PhSession *session, const PhIdentity *identity)
{
	Client *client = ph_session_data(session);
	g_autoptr(GError) error = NULL;

	client->account = ph_session_account(session, identity, &error);
	if (client->account == NULL)
		return refuse_open(session, error);
	if (!take_maildrop(client)) {
		pop3_leave(session);
		return pop3_refuse(session, "-ERR [IN-USE] another session has the maildrop");
	}
	if (!delay_admit(client->server->delay, ph_identity_address(identity),
	                 g_get_monotonic_time())) {
		pop3_leave(session);
		return pop3_refuse(session, "-ERR [LOGIN-DELAY] you were here a moment ago");
	}
	if (!open_view(session, &error))
		return refuse_open(session, error);
	return knows_total(client) ? greet(session) : with_sizes(session, greet);
}

/* --- listing ---------------------------------------------------------------------------------- */

bool
pop3_number(const Client *client, PhSlice text, uint32_t *number_out)
{
	uint32_t number = 0;

	if (!ph_slice_to_u32(text, client->n_messages, &number) || number == 0)
		return false;
	if (client->messages[number - 1].is_deleted)
		return false;
	*number_out = number;
	return true;
}

static PhNext
say_stat(PhSession *session)
{
	const Client *client = ph_session_data(session);
	char text[64];

	g_snprintf(text, sizeof text, "+OK %u %" G_GUINT64_FORMAT,
	           client->n_messages - client->n_deleted, sum_octets(client));
	return pop3_reply(session, text);
}

PhNext
pop3_stat(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);

	return client->n_deleted == 0 ? say_stat(session) : with_sizes(session, say_stat);
}

/* "1 120" or "1 3.17"; returns its length. */
static size_t
write_row(const Client *client, uint32_t number, bool is_uidl, char *text, size_t size)
{
	int length;

	if (is_uidl)
		length = g_snprintf(text, size, "%u %u.%u\r\n", number,
		                    ph_view_uidvalidity(client->view),
		                    ph_view_uid(client->view, number));
	else
		length = g_snprintf(text, size, "%u %" G_GUINT64_FORMAT "\r\n", number,
		                    (uint64_t) client->messages[number - 1].octets);
	return (size_t) length;
}

PhNext
pop3_listing(PhSession *session)
{
	Client *client = ph_session_data(session);
	bool is_uidl = client->work == WORK_UIDL;
	char rows[4096];
	const size_t row_max = 64;
	size_t length = 0;

	while (client->next <= client->n_messages) {
		uint32_t number = client->next++;

		if (client->messages[number - 1].is_deleted)
			continue;
		length += write_row(client, number, is_uidl, rows + length, sizeof rows - length);
		if (length + row_max < sizeof rows)
			continue;
		ph_session_write(session, PH_SLICE(rows, length));
		length = 0;
		if (ph_session_should_yield(session))
			return PH_MORE;
	}
	ph_session_write(session, PH_SLICE(rows, length));
	client->work = WORK_NONE;
	return pop3_reply(session, ".");
}

static PhNext
say_row(PhSession *session, bool is_uidl)
{
	const Client *client = ph_session_data(session);
	char row[64];

	ph_session_write(session, PH_SLICE_LITERAL("+OK "));
	ph_session_write(session,
	                 PH_SLICE(row, write_row(client, client->next, is_uidl, row, sizeof row)));
	return PH_DONE;
}

static PhNext
say_size(PhSession *session)
{
	return say_row(session, false);
}

static PhNext
list_all(PhSession *session, uint8_t work)
{
	Client *client = ph_session_data(session);

	client->work = work;
	client->next = 1;
	pop3_reply(session, "+OK");
	return pop3_listing(session);
}

static PhNext
list_sizes(PhSession *session)
{
	return list_all(session, WORK_LIST);
}

PhNext
pop3_list(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);

	if (argument.length == 0)
		return with_sizes(session, list_sizes);
	if (!pop3_number(client, argument, &client->next))
		return pop3_refuse(session, "-ERR no such message");
	return with_sizes(session, say_size);
}

PhNext
pop3_uidl(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);

	if (argument.length == 0)
		return list_all(session, WORK_UIDL);
	if (!pop3_number(client, argument, &client->next))
		return pop3_refuse(session, "-ERR no such message");
	return say_row(session, true);
}

/* --- marking and removing --------------------------------------------------------------------- */

PhNext
pop3_dele(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	uint32_t number = 0;

	if (!pop3_number(client, argument, &number))
		return pop3_refuse(session, "-ERR no such message");
	client->messages[number - 1].is_deleted = 1;
	client->n_deleted++;
	return pop3_reply(session, "+OK marked");
}

PhNext
pop3_rset(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);

	for (uint32_t i = 0; i < client->n_messages; i++)
		client->messages[i].is_deleted = 0;
	client->n_deleted = 0;
	return pop3_reply(session, "+OK");
}

static PhNext
say_goodbye(PhSession *session, const char *text)
{
	const Client *client = ph_session_data(session);

	if (client->account != NULL)
		ph_log_session(session, PH_LOG_INFO, "logout", "session ended",
		               PH_LOG_TEXT("user", ph_identity_address(
							   ph_account_identity(client->account))),
		               PH_LOG_NUMBER("messages", client->n_messages),
		               PH_LOG_NUMBER("retrieved", client->n_sent),
		               PH_LOG_NUMBER("deleted", client->n_deleted), PH_LOG_END);
	/* The maildrop is free before the client knows that it may come again. */
	pop3_leave(session);
	pop3_reply(session, text);
	return PH_CLOSE;
}

PhNext
pop3_quit(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	g_autoptr(PhUidSet) uids = NULL;

	if (client->n_deleted == 0)
		return say_goodbye(session, "+OK goodbye");
	uids = ph_uid_set_new();
	for (uint32_t i = 0; i < client->n_messages; i++)
		if (client->messages[i].is_deleted)
			ph_uid_set_add(uids, ph_view_uid(client->view, i + 1));
	client->transaction = ph_transaction_new(client->account, NULL);
	ph_transaction_expunge(client->transaction, ph_view_mailbox(client->view), uids);
	client->work = WORK_UPDATE;
	ph_transaction_submit(client->transaction, ph_session_park(session));
	return PH_WAIT;
}

PhNext
pop3_updated(PhSession *session)
{
	Client *client = ph_session_data(session);
	g_autoptr(PhTransaction) transaction = g_steal_pointer(&client->transaction);

	client->work = WORK_NONE;
	if (transaction->done)
		return say_goodbye(session, "+OK goodbye");
	client->n_deleted = 0;
	ph_log_session(session, PH_LOG_WARNING, "maildrop-failed",
	               "marked messages could not be removed", PH_LOG_FAILURE(transaction->error),
	               PH_LOG_END);
	return say_goodbye(session, "-ERR [SYS/TEMP] marked messages were not removed");
}

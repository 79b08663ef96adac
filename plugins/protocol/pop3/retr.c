/* retr.c: RETR and TOP: a message goes out, dot-stuffed, in steps
 *
 * Nothing is held but the content's reference and a place in it. A message that cannot be read any
 * more after its first octet closes the connection: half a message must not look like a whole one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "pop3.h"

enum {
	PIECE_MAX = 64 << 10
};

static void
write_out(PhSlice octets, void *user_data)
{
	ph_session_write(user_data, octets);
}

static PhNext
finish(PhSession *session)
{
	Client *client = ph_session_data(session);

	stuff_end(&client->stuff, write_out, session);
	g_clear_pointer(&client->content, ph_content_unref);
	client->work = WORK_NONE;
	client->n_sent++;
	return PH_DONE;
}

/* The next octets, without a copy when they are in memory. Empty at the end; false: failed. */
static bool
next_piece(Client *client, char *buffer, PhSlice *piece_out, GError **error)
{
	PhSlice whole;
	ssize_t got;

	if (ph_content_peek(client->content, &whole)) {
		PhSlice rest = ph_slice_from(whole, client->offset);

		*piece_out = PH_SLICE(rest.data, MIN(rest.length, (size_t) PIECE_MAX));
		return true;
	}
	got = ph_content_read(client->content, client->offset, buffer, PIECE_MAX, error);
	if (got < 0)
		return false;
	*piece_out = PH_SLICE(buffer, (size_t) got);
	return true;
}

PhNext
pop3_sending(PhSession *session)
{
	Client *client = ph_session_data(session);
	g_autofree char *buffer = NULL;
	g_autoptr(GError) error = NULL;
	PhSlice piece = PH_SLICE_EMPTY;

	if (!ph_content_peek(client->content, &piece))
		buffer = g_malloc(PIECE_MAX);
	for (;;) {
		if (!next_piece(client, buffer, &piece, &error)) {
			ph_log_session(session, PH_LOG_ERROR, "maildrop-failed",
			               "a message could not be read to its end, closing",
			               PH_LOG_FAILURE(error), PH_LOG_END);
			return PH_ABORT;
		}
		client->offset += piece.length;
		if (piece.length == 0 || !stuff_piece(&client->stuff, piece, write_out, session))
			return finish(session);
		if (client->offset >= ph_content_length(client->content))
			return finish(session);
		if (ph_session_should_yield(session))
			return PH_MORE;
	}
}

/* A client that reads one message after another gets them from one cursor, so that the store is
 * asked once for many. The record is borrowed until the next call. */
static const PhRecord *
find_record(Client *client, uint32_t number, GError **error)
{
	uint32_t uid = ph_view_uid(client->view, number);
	bool is_next = number == client->last + 1 && number > 1;
	g_autoptr(PhUidSet) uids = NULL;

	client->last = number;
	if (client->reader != NULL && client->reader_next == number) {
		const PhRecord *record = ph_cursor_next(client->reader, NULL);

		client->reader_next++;
		if (record != NULL && record->uid == uid)
			return record;
	}
	g_clear_pointer(&client->reader, ph_cursor_free);
	uids = ph_uid_set_new_range(uid,
	                            is_next ? ph_view_uid(client->view, client->n_messages) : uid);
	client->reader = ph_cursor_new(client->view, uids, PH_FIELD_BLOB | PH_FIELD_OCTETS);
	client->reader_next = is_next ? number + 1 : 0;
	return ph_cursor_next(client->reader, error);
}

/* What the client can read. */
static PhContent *
suited(const Client *client, PhContent *content, GError **error)
{
	if (client->is_utf8 || client->server->settings->utf8_headers != UTF8_SURROGATE)
		return ph_content_ref(content);
	return surrogate_new(content, error);
}

static PhNext
start(PhSession *session, uint32_t number, bool is_whole)
{
	Client *client = ph_session_data(session);
	g_autoptr(GError) error = NULL;
	const PhRecord *record = find_record(client, number, &error);
	g_autoptr(PhContent) content = NULL;
	char text[64] = "+OK";

	if (record != NULL && record->uid == ph_view_uid(client->view, number))
		content = ph_view_content(client->view, record, &error);
	if (content == NULL && error == NULL)
		return pop3_refuse(session, "-ERR [SYS/TEMP] that message was removed meanwhile");
	if (content != NULL && pop3_needs_utf8(client, content))
		return pop3_refuse(session, "-ERR [UTF8] that message needs UTF8 before login");
	if (content != NULL)
		client->content = suited(client, content, &error);
	if (client->content == NULL)
		return pop3_refuse_error(session, "a message could not be read", error);
	client->offset = 0;
	client->work = WORK_SEND;
	if (is_whole)
		g_snprintf(text, sizeof text, "+OK %" G_GUINT64_FORMAT " octets",
		           ph_content_length(client->content));
	pop3_reply(session, text);
	return pop3_sending(session);
}

PhNext
pop3_retr(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	uint32_t number = 0;

	if (!pop3_number(client, argument, &number))
		return pop3_refuse(session, "-ERR no such message");
	stuff_begin(&client->stuff, false, 0);
	return start(session, number, true);
}

PhNext
pop3_top(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	PhSlice rest = argument;
	PhSlice first = ph_slice_split(&rest, ' ');
	uint32_t number = 0;
	uint64_t n_lines = 0;

	if (!ph_slice_to_u64(ph_slice_trim(rest), INT64_MAX, &n_lines))
		return pop3_refuse(session, "-ERR syntax: TOP message lines");
	if (!pop3_number(client, first, &number))
		return pop3_refuse(session, "-ERR no such message");
	stuff_begin(&client->stuff, true, n_lines);
	return start(session, number, false);
}

/* etrn.c: ETRN: a host asks for the mail that waits for it (RFC 1985)
 *
 * The queue tries the destination at once, over a connection of its own, so nothing is handed to
 * whoever asks. "@example.org" means the hosts below that domain, too; queues by name ("#") are not
 * known.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "smtp.h"

bool
smtp_may_etrn(PhSession *session)
{
	const Client *client = ph_session_data(session);
	uint32_t policy = client->server->settings->etrn;
	bool is_known = client->user != NULL || client->is_trusted;

	return ph_route_has_queue(session)
	       && (policy == SHOW_YES || (policy == SHOW_AUTHENTICATED && is_known));
}

static PhNext
answer(PhSession *session, PhSlice node, int64_t n_waiting)
{
	GString *out = g_string_new(n_waiting == 0 ? "251 2.0.0 OK, no messages waiting for " : "");

	if (n_waiting > 0)
		g_string_append_printf(
			out, "253 2.0.0 OK, %" G_GINT64_FORMAT " pending messages for ", n_waiting);
	g_string_append_len(out, node.data, (gssize) node.length);
	if (n_waiting > 0)
		g_string_append(out, " started");
	smtp_reply(session, out->str);
	g_string_free(out, TRUE);
	return PH_DONE;
}

PhNext
smtp_etrn(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	PhSlice name = argument;
	int64_t n_waiting = 0;

	if (client->server->settings->etrn == SHOW_NO || !ph_route_has_queue(session))
		return smtp_refuse(session, "502 5.5.1 command not implemented");
	if (client->envelope != NULL)
		return smtp_refuse(session, "503 5.5.1 not inside a mail transaction");
	if (!smtp_may_etrn(session))
		return smtp_refuse(session, "459 4.7.1 not allowed without authentication");
	if (name.length > 0 && name.data[0] == '#')
		return smtp_refuse(session, "459 4.7.1 queues have no names here");
	if (name.length > 0 && name.data[0] == '@')
		name = ph_slice_from(name, 1);
	if (ph_domain_parse(name, 0, NULL) != PH_ADDRESS_OK)
		return smtp_refuse(session, "501 5.5.4 syntax: ETRN [@]domain");
	n_waiting = ph_route_retry(session, argument);
	ph_log_session(session, PH_LOG_INFO, "etrn", "mail for a host is asked for",
	               PH_LOG_SLICE("node", argument),
	               PH_LOG_NUMBER("messages", (uint64_t) MAX(n_waiting, 0)), PH_LOG_END);
	if (n_waiting < 0)
		return smtp_refuse(session, "458 4.3.0 the queue cannot do that now");
	return answer(session, argument, n_waiting);
}

/* hop.c: one connection to a next hop: its life, and which part hears what the peer says
 *
 * Before the first job all trouble means the next address; afterwards it means the end, unless the
 * job moves to the next address with those whom this host has put off. A session that has ended has
 * always said why, or we ended it ourselves; what comes next is decided when it is gone, so that
 * there is never more than one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hop.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>

#include <string.h>

enum {
	QUIT_US = 2 * 1000 * 1000, /* for the answer to a goodbye */
	SERVICE_ENDS = 421,
};

Hop *
hop_new(Relay *relay, Destination *destination)
{
	Hop *hop = g_new0(Hop, 1);

	hop->relay = relay_ref(relay);
	hop->destination = destination;
	hop->idle_link.data = hop;
	hop->tls = (TlsPolicy) relay->settings->tls;
	if (destination->rule != NULL && destination->rule->tls >= 0)
		hop->tls = (TlsPolicy) destination->rule->tls;
	if (destination->requires_tls)
		hop->tls = TLS_VERIFY;
	path_init(&hop->path);
	return hop;
}

void
hop_free(Hop *hop)
{
	sending_clear(&hop->sending);
	path_clear(&hop->path);
	g_free(hop->kept);
	sasl_free(hop->sasl);
	g_free(hop);
}

void
hop_start(Hop *hop)
{
	path_begin(hop);
}

/* --- failing ---------------------------------------------------------------------------------- */

void
hop_note_reply(Hop *hop)
{
	hop->failure.code = hop->reply.code >= 500 ? PH_ERROR_PERMANENT : PH_ERROR_TEMPORARY;
	hop->failure.is_away = hop->reply.code == SERVICE_ENDS;
	g_strlcpy(hop->failure.reply, hop->reply.text, sizeof hop->failure.reply);
	g_strlcpy(hop->failure.mta, path_host(&hop->path), sizeof hop->failure.mta);
}

static void
end(Hop *hop, const Failure *failure)
{
	Failure copy;

	if (failure == NULL) {
		pool_gone(hop, NULL);
		return;
	}
	copy = *failure;
	pool_gone(hop, &copy);
}

void
hop_keep_failure(Hop *hop)
{
	if (hop->failure.code != PH_ERROR_TEMPORARY)
		return;
	if (hop->kept == NULL)
		hop->kept = g_new(Failure, 1);
	*hop->kept = hop->failure;
}

void
hop_unreachable(Hop *hop)
{
	if (hop->kept != NULL && hop->failure.code != PH_ERROR_TEMPORARY)
		hop->failure = *hop->kept;
	ph_log_section(hop->relay->section, PH_LOG_INFO, "unreachable", "no host takes mail there",
	               PH_LOG_TEXT("destination", hop->destination->key),
	               PH_LOG_TEXT("error", hop->failure.reply), PH_LOG_END);
	if (!hop->is_moving) {
		end(hop, &hop->failure);
		return;
	}
	job_fail_rest(hop->job, &hop->failure);
	job_free(g_steal_pointer(&hop->job));
	end(hop, NULL);
}

PhNext
hop_fail_host(Hop *hop)
{
	hop->is_broken = true;
	return PH_ABORT;
}

PhNext
hop_give_up(Hop *hop)
{
	hop->is_broken = true;
	return PH_ABORT;
}

PhNext
hop_quit(Hop *hop)
{
	hop->phase = PHASE_QUIT;
	hop->is_broken = true;
	ph_session_write_text(hop->session, "QUIT\r\n");
	ph_session_set_deadline(hop->session, (PhDuration){ QUIT_US });
	return PH_DONE;
}

/* --- callbacks -------------------------------------------------------------------------------- */

static Hop *
hop_of(PhSession *session)
{
	Hop *hop = ph_session_data(session);

	hop->session = session;
	return hop;
}

static PhNext
connected(PhSession *session)
{
	Hop *hop = hop_of(session);

	hop->ref = ph_session_ref(session);
	hop->is_tls = ph_session_is_tls(session);
	hop->phase = PHASE_GREETING;
	ph_session_limit_line(session, REPLY_LINE_MAX);
	ph_session_set_deadline(session, hop->relay->settings->greeting_timeout);
	return PH_DONE;
}

/* A reply that nobody asked for: the peer ends the service, or is out of step. */
static PhNext
hear_idle(Hop *hop)
{
	if (!pool_leave(hop))
		return PH_DONE; /* there is a job already, and this reply will be its trouble */
	return hop->reply.code == SERVICE_ENDS ? PH_CLOSE : hop_quit(hop);
}

static PhNext
hear(Hop *hop)
{
	switch (hop->phase) {
	case PHASE_GREETING:
	case PHASE_EHLO:
	case PHASE_HELO:
	case PHASE_STARTTLS:
	case PHASE_AUTH:
		return hello_reply(hop);
	case PHASE_ENVELOPE:
	case PHASE_BODY:
	case PHASE_RESULT:
	case PHASE_RSET:
		return transact_reply(hop);
	case PHASE_IDLE:
		return hear_idle(hop);
	case PHASE_QUIT:
		return PH_CLOSE;
	case PHASE_PATH:
	case PHASE_HANDSHAKE:
		break;
	}
	return PH_ABORT;
}

static PhNext
line(PhSession *session, PhSlice octets, uint32_t flaws)
{
	Hop *hop = hop_of(session);
	PhSlice rest = PH_SLICE_EMPTY;
	bool is_first = hop->reply.n_lines == 0;
	ReplyResult result = (flaws & PH_LINE_TOO_LONG) != 0
	                             ? REPLY_BROKEN
	                             : reply_feed(&hop->reply, octets, &rest);
	PhNext next = PH_DONE;

	if (result == REPLY_BROKEN) {
		failure_set(&hop->failure, 451, "4.5.0", "'%s' does not speak the protocol",
		            path_host(&hop->path));
		return hop_give_up(hop);
	}
	if (hop->phase == PHASE_EHLO && !is_first)
		caps_add(&hop->caps, rest);
	if (result == REPLY_MORE)
		return PH_DONE;
	next = hear(hop);
	reply_reset(&hop->reply);
	return next;
}

static PhNext
tls_started(PhSession *session)
{
	Hop *hop = hop_of(session);

	hop->is_tls = true;
	return hello_ehlo(hop);
}

static PhNext
step(PhSession *session)
{
	return transact_step(hop_of(session));
}

static const char *const phase_words[] = {
	[PHASE_PATH] = "looking for a host",
	[PHASE_GREETING] = "waiting for the greeting",
	[PHASE_EHLO] = "saying EHLO",
	[PHASE_HELO] = "saying HELO",
	[PHASE_STARTTLS] = "saying STARTTLS",
	[PHASE_HANDSHAKE] = "beginning TLS",
	[PHASE_AUTH] = "logging in",
	[PHASE_IDLE] = "waiting for mail",
	[PHASE_ENVELOPE] = "sending the envelope",
	[PHASE_BODY] = "sending the message",
	[PHASE_RESULT] = "waiting for the answer to the message",
	[PHASE_RSET] = "saying RSET",
	[PHASE_QUIT] = "saying goodbye",
};

static PhNext
timeout(PhSession *session)
{
	Hop *hop = hop_of(session);

	if (hop->phase == PHASE_IDLE)
		return pool_leave(hop) ? hop_quit(hop) : PH_DONE;
	if (hop->phase != PHASE_QUIT)
		failure_set(&hop->failure, 451, "4.4.2", "'%s' did not answer in time while %s",
		            path_host(&hop->path), phase_words[hop->phase]);
	return hop_give_up(hop);
}

/* The pool has given the idle connection a job, or wants its end. */
static PhNext
notified(PhSession *session)
{
	Hop *hop = hop_of(session);
	bool ends = false;

	if (hop->phase != PHASE_IDLE)
		return PH_DONE;
	hop->job = pool_take(hop, &ends);
	if (hop->job != NULL)
		return transact_begin(hop);
	return ends ? hop_quit(hop) : PH_DONE;
}

static PhNext
drain(PhSession *session)
{
	Hop *hop = hop_of(session);

	return hop->phase == PHASE_IDLE && pool_leave(hop) ? hop_quit(hop) : PH_DONE;
}

/* --- the end of a session --------------------------------------------------------------------- */

static bool
is_tls_trouble(const Hop *hop, const GError *error)
{
	return error != NULL && hop->phase == PHASE_HANDSHAKE
	       && !g_str_has_prefix(error->message, "cannot connect");
}

static void
explain(Hop *hop, const GError *error)
{
	const char *host = path_host(&hop->path);
	const char *colon = error != NULL ? strrchr(error->message, ':') : NULL;

	if (error == NULL)
		return;
	if (is_tls_trouble(hop, error))
		failure_set(&hop->failure, 454, "4.7.5", "no TLS with '%s'%s", host,
		            g_str_has_prefix(error->message, "TLS:")
		                    ? error->message + strlen("TLS")
		                    : "");
	else if (hop->phase == PHASE_PATH)
		failure_set(&hop->failure, 451, "4.4.1", "cannot connect to '%s'%s", host,
		            colon != NULL ? colon : "");
	else
		failure_set(&hop->failure, 451, "4.4.2", "lost the connection to '%s' while %s",
		            host, phase_words[hop->phase]);
}

static void
reset(Hop *hop)
{
	hop->phase = PHASE_PATH;
	hop->session = NULL;
	hop->is_tls = false;
	hop->is_broken = false;
	hop->auth_step = 0;
	g_clear_pointer(&hop->sasl, sasl_free);
	hop->n_messages = 0;
	hop->caps = (Caps){ 0 };
	reply_reset(&hop->reply);
}

static void
closed(PhSession *session, const GError *error)
{
	Hop *hop = hop_of(session);
	bool again_plain = hop->tls == TLS_MAY && !hop->goes_plain && is_tls_trouble(hop, error);

	explain(hop, error);
	if (hop->is_established && !hop->is_moving) {
		bool ends = false;

		if (hop->phase == PHASE_IDLE && !pool_leave(hop))
			hop->job = pool_take(hop, &ends);
		hop->session = NULL;
		transact_lost(hop);
	}
	if (hop->is_established && !hop->is_moving) {
		end(hop, NULL);
		return;
	}
	ph_log_section(hop->relay->section, PH_LOG_DEBUG, "next-host", "this host will not do",
	               PH_LOG_TEXT("host", path_host(&hop->path)),
	               PH_LOG_TEXT("error", hop->failure.reply), PH_LOG_END);
	hop_keep_failure(hop);
	reset(hop);
	hop->goes_plain = again_plain;
	if (again_plain)
		hop_found(hop);
	else
		path_next(hop);
}

static const PhClientTable table = {
	.size = sizeof table,
	.connected = connected,
	.line = line,
	.step = step,
	.tls_started = tls_started,
	.timeout = timeout,
	.closed = closed,
	.notified = notified,
	.drain = drain,
};

/* --- connecting ------------------------------------------------------------------------------- */

bool
hop_wants_tls(const Hop *hop)
{
	return hop->tls != TLS_NONE && !hop->goes_plain;
}

static const char *
host_name(const Hop *hop)
{
	const char *host = path_host(&hop->path);

	if (hop->relay->settings->tls_name != NULL)
		return hop->relay->settings->tls_name;
	return host[0] == '[' || g_str_has_prefix(host, "unix:") ? NULL : host;
}

static uint16_t
port_of(const Hop *hop)
{
	const Rule *rule = hop->destination->rule;
	const NextHop *next = &hop->relay->next_hop;

	if (rule != NULL && rule->has_next_hop)
		next = &rule->next_hop;
	if (next->host != NULL && next->port != 0)
		return next->port;
	if (rule != NULL && rule->port != 0)
		return rule->port;
	return (uint16_t) hop->relay->settings->port;
}

static PhClientOptions
make_options(const Hop *hop)
{
	const Settings *settings = hop->relay->settings;
	const char *address = path_address(&hop->path);
	bool is_v6 = strchr(address, ':') != NULL;
	PhClientOptions options = {
		.size = sizeof options,
		.address = address,
		.port = port_of(hop),
		.connect_timeout = settings->connect_timeout,
		.ca_file = settings->ca_file,
		.source_address = is_v6 ? settings->source_ipv6 : settings->source_ipv4,
	};

	if (g_str_has_prefix(address, "unix:"))
		options.source_address = NULL;
	if (!hop_wants_tls(hop))
		return options;
	options.tls = settings->implicit_tls ? PH_CLIENT_IMPLICIT_TLS : PH_CLIENT_STARTTLS;
	if (hop->tls == TLS_VERIFY)
		options.tls_name = host_name(hop) != NULL ? host_name(hop) : address;
	else
		options.sni = host_name(hop);
	return options;
}

void
hop_found(Hop *hop)
{
	PhClientOptions options = make_options(hop);
	g_autoptr(GError) error = NULL;

	if (options.tls == PH_CLIENT_IMPLICIT_TLS)
		hop->phase = PHASE_HANDSHAKE;
	if (ph_client_open(hop->relay->section, &options, &table, hop, &error))
		return;
	failure_set(&hop->failure, 451, "4.4.1", "cannot connect to '%s'", path_host(&hop->path));
	hop->phase = PHASE_PATH;
	ph_log_section(hop->relay->section, PH_LOG_DEBUG, "next-host", "cannot connect",
	               PH_LOG_TEXT("host", path_host(&hop->path)), PH_LOG_FAILURE(error),
	               PH_LOG_END);
	hop_keep_failure(hop);
	path_next(hop);
}

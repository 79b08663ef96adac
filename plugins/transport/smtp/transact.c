/* transact.c: one mail over an established connection: MAIL, RCPT, DATA or BDAT, and the results
 *
 * What may be pipelined is: the envelope and DATA go out together, a small message by BDAT even with
 * them. Answers come in the order of the commands. A job that hears nothing on a connection that
 * had been idle is tried once more on another: the peer had closed it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "hop.h"

#include <string.h>

enum {
	CODE_GO = 354,
	CODE_SERVICE_ENDS = 421,
	CLASS_GOOD = 2,
	TRIES_MAX = 2,
};

static bool
is_good(const Hop *hop)
{
	return hop->reply.code / 100 == CLASS_GOOD;
}

static bool
has_flag(const Hop *hop, uint32_t flag)
{
	return (hop->caps.flags & flag) != 0;
}

/* --- the commands ----------------------------------------------------------------------------- */

/* "<local@domain>" of a canonical address. */
static void
append_path(const char *canonical, GString *out)
{
	PhAddress address = { .kind = PH_ADDRESS_NULL };
	const char *literal = g_strrstr(canonical, "@[");
	const char *at = g_str_has_suffix(canonical, "]") && literal != NULL
	                         ? literal
	                         : strrchr(canonical, '@');

	if (at != NULL && (size_t) (at - canonical) < sizeof address.local) {
		address.kind = PH_ADDRESS_MAILBOX;
		address.domain_kind = PH_DOMAIN_NAME;
		address.local_length = (uint16_t) (at - canonical);
		memcpy(address.local, canonical, address.local_length);
		address.domain_length =
			(uint16_t) g_strlcpy(address.domain, at + 1, sizeof address.domain);
	} else if (canonical[0] != '\0') {
		address.kind = PH_ADDRESS_POSTMASTER;
	}
	ph_address_append_path(&address, out);
}

/* A value goes out only if it can be no other command. */
static bool
is_plain(const char *value)
{
	for (; *value != '\0'; value++)
		if ((unsigned char) *value <= ' ' || *value == 0x7f)
			return false;
	return true;
}

static void
append_parameter(const Hop *hop, const char *name, GString *out)
{
	const char *value = ph_mail_parameter(ph_delivery_mail(hop->job->delivery), name);

	if (value != NULL && value[0] != '\0' && is_plain(value))
		g_string_append_printf(out, " %s=%s", name, value);
}

static const struct {
	uint32_t flag;
	const char *name;
} mail_parameters[] = {
	{ CAP_DSN, "RET" },
	{ CAP_DSN, "ENVID" },
	{ CAP_PRIORITY, "MT-PRIORITY" },
};

static void
say_mail(Hop *hop)
{
	const Sending *sending = &hop->sending;
	g_autoptr(GString) text = g_string_new("MAIL FROM:");

	append_path(ph_mail_sender(ph_delivery_mail(hop->job->delivery)), text);
	if (has_flag(hop, CAP_SIZE))
		g_string_append_printf(text, " SIZE=%" G_GUINT64_FORMAT, sending->length);
	if (sending->is_binary)
		g_string_append(text, " BODY=BINARYMIME");
	else if (sending->is_8bit && has_flag(hop, CAP_8BITMIME))
		g_string_append(text, " BODY=8BITMIME");
	if (sending->is_utf8)
		g_string_append(text, " SMTPUTF8");
	if (hop->job->requires_tls)
		g_string_append(text, " REQUIRETLS");
	for (size_t i = 0; i < G_N_ELEMENTS(mail_parameters); i++)
		if (has_flag(hop, mail_parameters[i].flag))
			append_parameter(hop, mail_parameters[i].name, text);
	if (sending->by_mode.length > 0 && has_flag(hop, CAP_DELIVERBY))
		g_string_append_printf(text, " BY=%" G_GINT64_FORMAT ";%.*s", sending->by_seconds,
		                       (int) sending->by_mode.length, sending->by_mode.data);
	g_string_append(text, "\r\n");
	ph_session_write(hop->session, PH_SLICE(text->str, text->len));
}

static void
say_rcpt(Hop *hop, size_t at)
{
	static const char *const names[] = { "NOTIFY", "ORCPT" };
	const PhDelivery *delivery = hop->job->delivery;
	uint32_t index = hop->job->recipients[at].index;
	g_autoptr(GString) text = g_string_new("RCPT TO:");

	append_path(ph_delivery_recipient(delivery, index), text);
	for (size_t i = 0; has_flag(hop, CAP_DSN) && i < G_N_ELEMENTS(names); i++) {
		const char *value = ph_delivery_recipient_parameter(delivery, index, names[i]);

		if (value != NULL && value[0] != '\0' && is_plain(value))
			g_string_append_printf(text, " %s=%s", names[i], value);
	}
	g_string_append(text, "\r\n");
	ph_session_write(hop->session, PH_SLICE(text->str, text->len));
}

static PhNext
send_body(Hop *hop)
{
	ph_session_set_deadline(hop->session, hop->relay->settings->block_timeout);
	switch (body_send(hop)) {
	case BODY_MORE:
		return PH_MORE;
	case BODY_SENT:
		break;
	case BODY_FAILED:
		return hop_give_up(hop);
	}
	if (hop->phase == PHASE_BODY) {
		hop->phase = PHASE_RESULT;
		ph_session_set_deadline(hop->session, hop->relay->settings->end_timeout);
	}
	return PH_DONE;
}

PhNext
transact_step(Hop *hop)
{
	return hop->phase == PHASE_BODY ? send_body(hop) : PH_DONE;
}

/* --- the order of things ---------------------------------------------------------------------- */

static size_t
last_step(const Hop *hop)
{
	return hop->job->n_recipients + 1;
}

static bool
is_left_out(const Hop *hop, size_t at)
{
	return at >= 1 && at <= hop->job->n_recipients && hop->job->recipients[at - 1].is_left_out;
}

static void
skip(const Hop *hop, size_t *at)
{
	while (is_left_out(hop, *at))
		(*at)++;
}

/* May the last step go out before the recipients are answered? LMTP servers must not get a message
 * that nobody takes: they would answer nothing. */
static bool
may_hurry(const Hop *hop)
{
	return !hop->relay->is_lmtp && (!hop->sending.by_bdat || hop->sending.is_small);
}

static PhDuration
patience(const Hop *hop)
{
	const Settings *settings = hop->relay->settings;

	if (hop->n_answered == 0)
		return settings->mail_timeout;
	if (hop->n_answered < last_step(hop))
		return settings->rcpt_timeout;
	return hop->sending.by_bdat ? settings->end_timeout : settings->data_timeout;
}

/* May those whom this host does not take now be offered to the next one (RFC 5321 section 5.1)? */
static bool
may_move(const Hop *hop)
{
	return hop->failure.code == PH_ERROR_TEMPORARY
	       && hop->job->n_hosts + 1 < (unsigned) hop->relay->settings->max_tries
	       && path_has_more(hop);
}

static void
turn_down(Hop *hop, size_t at)
{
	if (hop->job->recipients[at].is_put_off)
		return;
	if (may_move(hop))
		job_put_off(hop->job, at, &hop->failure);
	else
		job_fail_one(hop->job, at, &hop->failure);
}

static void
turn_down_all(Hop *hop)
{
	for (size_t i = 0; i < hop->job->n_recipients; i++)
		turn_down(hop, i);
}

/* Takes those without a result to the next host. @is_detour: other mail may still go to this one. */
static void
move(Hop *hop, bool is_detour)
{
	job_shrink(hop->job);
	hop->job->n_hosts++;
	hop->is_moving = true;
	hop->is_detour = is_detour;
	sending_clear(&hop->sending);
}

static PhNext
finish_transaction(Hop *hop)
{
	if (hop->job->n_left > 0) {
		move(hop, true);
		return hop_quit(hop);
	}
	job_free(g_steal_pointer(&hop->job));
	sending_clear(&hop->sending);
	if (hop->is_clean)
		return transact_next(hop);
	hop->phase = PHASE_RSET;
	ph_session_write_text(hop->session, "RSET\r\n");
	ph_session_set_deadline(hop->session, hop->relay->settings->mail_timeout);
	return PH_DONE;
}

static PhNext
say_last(Hop *hop)
{
	if (!hop->sending.by_bdat) {
		ph_session_write_text(hop->session, "DATA\r\n");
		return PH_DONE;
	}
	if (hop->n_answered == hop->n_sent - 1)
		hop->phase = PHASE_BODY;
	return send_body(hop);
}

/* Sends all that may be sent now. */
static PhNext
go_on(Hop *hop)
{
	bool pipelines = has_flag(hop, CAP_PIPELINING);
	size_t last = last_step(hop);
	PhNext next = PH_DONE;

	for (;;) {
		skip(hop, &hop->n_sent);
		skip(hop, &hop->n_answered);
		if (hop->n_sent > last || (!pipelines && hop->n_sent != hop->n_answered))
			break;
		if (hop->n_sent == last && hop->n_answered != last && !may_hurry(hop))
			break;
		if (hop->n_sent == last && hop->n_answered == last && hop->n_accepted == 0)
			return finish_transaction(hop);
		hop->n_sent++;
		if (hop->n_sent == 1)
			say_mail(hop);
		else if (hop->n_sent <= last)
			say_rcpt(hop, hop->n_sent - 2);
		else
			next = say_last(hop);
	}
	if (hop->phase == PHASE_ENVELOPE)
		ph_session_set_deadline(hop->session, patience(hop));
	return next;
}

/* RFC 9422: what is more than the peer takes at once is another job. */
static void
obey_limits(Hop *hop)
{
	Job *rest =
		hop->caps.max_recipients > 0 ? job_split(hop->job, hop->caps.max_recipients) : NULL;

	if (rest != NULL)
		pool_submit_again(hop->relay, rest);
}

static bool
prepare(Hop *hop)
{
	const PhDelivery *delivery = hop->job->delivery;

	obey_limits(hop);
	hop->failure.code = 0;
	hop->n_messages++;
	hop->is_reused = hop->n_messages > 1;
	hop->had_reply = false;
	hop->is_clean = false;
	hop->n_sent = 0;
	hop->n_answered = 0;
	hop->n_accepted = 0;
	hop->result_at = 0;
	if (!body_prepare(hop)) {
		job_fail_rest(hop->job, &hop->failure);
		return false;
	}
	for (size_t i = 0; i < hop->job->n_recipients; i++) {
		Recipient *recipient = &hop->job->recipients[i];
		const char *address = ph_delivery_recipient(delivery, recipient->index);

		recipient->is_left_out = false;
		recipient->is_accepted = false;
		recipient->is_put_off = false;
		if (body_is_ascii(address))
			continue;
		if (has_flag(hop, CAP_SMTPUTF8)) {
			hop->sending.is_utf8 = true;
			continue;
		}
		recipient->is_left_out = true;
		failure_set(&hop->failure, 550, "5.6.7", "'%s' does not take such addresses",
		            path_host(&hop->path));
		job_fail_one(hop->job, i, &hop->failure);
	}
	return hop->job->n_left > 0;
}

PhNext
transact_begin(Hop *hop)
{
	if (!prepare(hop)) {
		job_free(g_steal_pointer(&hop->job));
		sending_clear(&hop->sending);
		return transact_next(hop);
	}
	hop->phase = PHASE_ENVELOPE;
	return go_on(hop);
}

static bool
is_used_up(const Hop *hop)
{
	const Settings *settings = hop->relay->settings;

	return hop->is_detour || hop->n_messages >= (uint32_t) settings->max_messages
	       || (hop->caps.max_messages > 0 && hop->n_messages >= hop->caps.max_messages)
	       || ph_session_is_draining(hop->session)
	       || g_get_monotonic_time() - hop->born_us >= (int64_t) settings->max_age.us;
}

PhNext
transact_next(Hop *hop)
{
	bool ends = false;

	if (!hop->is_established || hop->is_moving)
		hop->born_us = g_get_monotonic_time();
	if (!hop->is_established)
		pool_established(hop);
	if (hop->is_moving) {
		hop->is_moving = false;
		return transact_begin(hop);
	}
	while (!(ends = is_used_up(hop))) {
		Job *job = pool_next(hop, &ends);

		/* Without one the hop is idle, and its job the pool's to set. */
		if (job == NULL)
			break;
		hop->job = job;
		if (prepare(hop)) {
			hop->phase = PHASE_ENVELOPE;
			return go_on(hop);
		}
		job_free(g_steal_pointer(&hop->job));
		sending_clear(&hop->sending);
	}
	if (ends || (hop->relay->settings->idle_time.us == 0 && pool_leave(hop)))
		return hop_quit(hop);
	hop->phase = PHASE_IDLE;
	ph_session_set_deadline(hop->session, hop->relay->settings->idle_time);
	return PH_DONE;
}

/* --- the answers ------------------------------------------------------------------------------ */

static void
succeed(Hop *hop, size_t at)
{
	PhDeliveryResult result = {
		.size = sizeof result,
		.remote_mta = path_host(&hop->path),
		.reply = hop->reply.text,
	};

	if (!has_flag(hop, CAP_DSN))
		result.flags =
			hop->relay->is_lmtp ? PH_DELIVERED_FINAL : PH_DELIVERED_RELAYED_NO_DSN;
	job_complete(hop->job, at, &result);
}

static void
fail_accepted(Hop *hop)
{
	hop_note_reply(hop);
	for (size_t i = 0; i < hop->job->n_recipients; i++)
		if (hop->job->recipients[i].is_accepted)
			turn_down(hop, i);
}

static PhNext
result_reply(Hop *hop)
{
	Job *job = hop->job;
	size_t at = hop->result_at;

	while (at < job->n_recipients && !job->recipients[at].is_accepted)
		at++;
	for (; at < job->n_recipients; at++) {
		if (!job->recipients[at].is_accepted)
			continue;
		if (is_good(hop)) {
			succeed(hop, at);
		} else {
			hop_note_reply(hop);
			job_fail_one(job, at, &hop->failure);
		}
		if (hop->relay->is_lmtp) {
			at++;
			break;
		}
	}
	while (at < job->n_recipients && !job->recipients[at].is_accepted)
		at++;
	hop->result_at = at;
	if (at < job->n_recipients)
		return PH_DONE;
	hop->is_clean = true;
	return finish_transaction(hop);
}

/* BDAT: the answers to the chunks before the last one are good, or the rest makes no sense. */
static PhNext
chunk_reply(Hop *hop)
{
	Sending *sending = &hop->sending;

	if (hop->phase == PHASE_RESULT && sending->n_chunks == 1)
		return result_reply(hop);
	sending->n_chunks--;
	if (is_good(hop))
		return PH_DONE;
	fail_accepted(hop);
	return hop_give_up(hop);
}

static PhNext
last_reply(Hop *hop)
{
	hop->n_answered++;
	if (hop->sending.by_bdat) {
		hop->phase = PHASE_RESULT;
		if (hop->n_accepted > 0)
			return chunk_reply(hop);
		return finish_transaction(hop);
	}
	if (hop->reply.code != CODE_GO) {
		fail_accepted(hop);
		/* A good answer to DATA is none that can be gone on from. */
		return is_good(hop) ? hop_give_up(hop) : finish_transaction(hop);
	}
	if (hop->n_accepted == 0) {
		ph_session_write_text(hop->session, ".\r\n");
		hop->phase = PHASE_RESULT;
		ph_session_set_deadline(hop->session, hop->relay->settings->end_timeout);
		return PH_DONE;
	}
	hop->phase = PHASE_BODY;
	return send_body(hop);
}

static PhNext
envelope_reply(Hop *hop)
{
	size_t at = hop->n_answered;

	skip(hop, &at);
	hop->n_answered = at;
	if (at == last_step(hop))
		return last_reply(hop);
	hop->n_answered++;
	if (at == 0 && !is_good(hop)) {
		hop_note_reply(hop);
		turn_down_all(hop);
		if (hop->n_sent == 1)
			return finish_transaction(hop);
	} else if (at > 0 && is_good(hop) && !hop->job->recipients[at - 1].is_done
	           && !hop->job->recipients[at - 1].is_put_off) {
		hop->job->recipients[at - 1].is_accepted = true;
		hop->n_accepted++;
	} else if (at > 0) {
		hop_note_reply(hop);
		turn_down(hop, at - 1);
	}
	return go_on(hop);
}

/* 421: whatever has no result yet gets this one, and the connection ends. */
static PhNext
service_ends(Hop *hop)
{
	if (hop->job != NULL && (hop->had_reply || !hop->is_reused)) {
		hop_note_reply(hop);
		if (!hop->sending.is_whole)
			turn_down_all(hop);
		else
			job_fail_rest(hop->job, &hop->failure);
	}
	return hop_give_up(hop);
}

PhNext
transact_reply(Hop *hop)
{
	if (hop->reply.code == CODE_SERVICE_ENDS)
		return service_ends(hop);
	hop->had_reply = true;
	switch (hop->phase) {
	case PHASE_ENVELOPE:
		return envelope_reply(hop);
	case PHASE_BODY:
		if (hop->sending.by_bdat)
			return chunk_reply(hop);
		/* An answer before the message has ended: it will not be taken. */
		fail_accepted(hop);
		return hop_give_up(hop);
	case PHASE_RESULT:
		if (hop->n_accepted == 0)
			return finish_transaction(hop);
		return hop->sending.by_bdat ? chunk_reply(hop) : result_reply(hop);
	case PHASE_RSET:
		return is_good(hop) ? transact_next(hop) : hop_quit(hop);
	case PHASE_PATH:
	case PHASE_GREETING:
	case PHASE_EHLO:
	case PHASE_HELO:
	case PHASE_STARTTLS:
	case PHASE_HANDSHAKE:
	case PHASE_AUTH:
	case PHASE_IDLE:
	case PHASE_QUIT:
		break;
	}
	g_return_val_if_reached(PH_ABORT);
}

/* Those who may have the message by now are offered to nobody else. */
static bool
can_move_lost(Hop *hop)
{
	Job *job = hop->job;

	for (size_t i = 0; i < job->n_recipients; i++)
		if (hop->sending.is_whole && !job->recipients[i].is_put_off)
			job_fail_one(job, i, &hop->failure);
	if (may_move(hop))
		turn_down_all(hop);
	return job->n_left > 0 && may_move(hop);
}

void
transact_lost(Hop *hop)
{
	Job *job = hop->job;

	if (job == NULL)
		return;
	if (job->n_left > 0 && (hop->phase == PHASE_IDLE || (hop->is_reused && !hop->had_reply))
	    && ++job->n_tries < TRIES_MAX) {
		hop->job = NULL;
		pool_submit_again(hop->relay, job);
		return;
	}
	if (hop->failure.code == 0)
		failure_set(&hop->failure, 451, "4.4.2", "lost the connection to '%s'",
		            path_host(&hop->path));
	if (can_move_lost(hop)) {
		move(hop, false);
		return;
	}
	hop->job = NULL;
	job_fail_rest(job, &hop->failure);
	job_free(job);
}

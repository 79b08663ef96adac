/* filter.c: asks the filters of a session in order, and waits for none with a thread
 *
 * One question at a time is under way for a session. A filter that answers at once is asked on the
 * caller's thread; when one has parked, the next are asked on the pool.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "base/clock.h"
#include "net/net.h"
#include "server/filter-session.h"

#define DELAY_MAX_US (UINT64_C(3600) * G_USEC_PER_SEC)

void
ph_filters_free(PhFilters *filters)
{
	if (filters == NULL)
		return;
	filters->session = NULL;
	g_atomic_int_set(&filters->is_closed, 1);
	ph_filters_abandon(filters);
	if (ph_timer_cancel(&filters->pause))
		ph_filters_let_go(filters);
	ph_filters_let_go(filters);
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool
wants(const PhFilters *filters, size_t index)
{
	const PhSeat *seat = &filters->seats[index];

	return (filters->chain->rows[index].stages & 1U << filters->stage) != 0
	       && !seat->skips_session && !seat->skips_message;
}

static bool
is_final(const PhFilters *filters)
{
	return filters->verdict.result != PH_VERDICT_NONE
	       && filters->verdict.result != PH_VERDICT_ACCEPT;
}

static void
paused(void *user_data)
{
	ph_filters_carry_on(user_data);
}

/* Returns: false: the rest comes after a delay. */
static bool
conclude(PhFilters *filters)
{
	PhSeat *seat = &filters->seats[filters->index];
	uint64_t delay_us = MIN(filters->verdict.delay.us, DELAY_MAX_US);

	filters->mail->is_asked = false;
	ph_mail_apply_edits(filters->mail);
	ph_verdict_apply(&filters->chain->rows[filters->index], filters->stage, filters->mail,
	                 filters->recipient, &filters->verdict);
	if (filters->verdict.result == PH_VERDICT_ACCEPT) {
		seat->skips_message = true;
		seat->skips_session |= filters->stage <= PH_STAGE_HELO;
	}
	if (filters->stage == PH_STAGE_REFUSED)
		filters->verdict.result = PH_VERDICT_NONE;
	filters->phase = PH_PHASE_NEXT;
	if (delay_us == 0)
		return true;
	ph_timer_set(&ph_filters_hold(filters)->pause, ph_clock_us() + delay_us, paused, filters);
	return false;
}

/* Returns: true: all were asked; false: somebody carries on. */
static bool
work(PhFilters *filters)
{
	for (;;) {
		if (filters->phase == PH_PHASE_NEXT) {
			if (is_final(filters))
				return true;
			filters->index++;
			filters->phase = PH_PHASE_ASK;
		} else if (filters->phase == PH_PHASE_CONCLUDE) {
			if (!conclude(filters))
				return false;
		} else if (filters->index == filters->chain->n
		           || g_atomic_int_get(&filters->is_closed)) {
			return true;
		} else if (!wants(filters, filters->index)) {
			filters->index++;
		} else if (!ph_filters_call(filters)) {
			return false;
		}
	}
}

static void
drop_refused(const PhFilters *filters)
{
	PhMail *mail = filters->mail;

	while (ph_mail_n_recipients(mail) > filters->recipient)
		ph_mail_drop_recipient(mail, ph_mail_n_recipients(mail) - 1);
}

/* Nothing more is asked before the mail goes on. */
static bool
is_last_stage(uint32_t stage)
{
	return stage == PH_STAGE_MESSAGE || stage == PH_STAGE_DELIVERY;
}

/* Recipients that were named after the mail was redirected. */
static void
drop_named(PhMail *mail)
{
	for (size_t i = 0; i < ph_mail_n_recipients(mail); i++)
		if ((ph_mail_recipient_flags(mail, i) & PH_RECIPIENT_ADDED) == 0)
			ph_mail_remove_recipient(mail, i);
}

static void
settle(PhFilters *filters)
{
	PhVerdict *verdict = &filters->verdict;
	PhMail *mail = filters->mail;

	if (verdict->result == PH_VERDICT_DISCARD) {
		mail->is_discarded = true;
		if (filters->stage < PH_STAGE_MESSAGE || filters->stage > PH_STAGE_DELIVERY)
			verdict->result = PH_VERDICT_NONE;
		return;
	}
	if (is_final(filters) && filters->stage == PH_STAGE_RECIPIENT)
		drop_refused(filters);
	if (!is_final(filters) && is_last_stage(filters->stage) && mail->is_redirected)
		drop_named(mail);
	if (!is_final(filters) && is_last_stage(filters->stage) && mail->hold != NULL
	    && !ph_quarantine_settle(mail))
		*verdict = (PhVerdict){ .result = PH_VERDICT_TEMPORARY };
}

static void
finish(PhFilters *filters)
{
	PhWake *wake = NULL;

	settle(filters);
	g_clear_pointer(&filters->mail, ph_mail_unref);
	ph_lock_take(&filters->lock);
	filters->is_done = true;
	wake = g_steal_pointer(&filters->wake);
	ph_lock_drop(&filters->lock);
	if (wake != NULL)
		ph_wake_complete(wake);
}

static void
resume(void *user_data)
{
	PhFilters *filters = user_data;

	if (work(filters))
		finish(filters);
	ph_filters_let_go(filters);
}

/* Is nothing left that may take its time? Then whoever has brought the answer ends the question. */
static bool
is_short(const PhFilters *filters)
{
	if (filters->phase != PH_PHASE_CONCLUDE || filters->verdict.result == PH_VERDICT_REDIRECT)
		return false;
	for (size_t i = filters->index + 1; i < filters->chain->n; i++)
		if (wants(filters, i))
			return false;
	return true;
}

/* Takes over a reference. */
void
ph_filters_carry_on(PhFilters *filters)
{
	if (is_short(filters))
		resume(filters);
	else
		ph_filters_run(resume, filters);
}

/* --- asking ----------------------------------------------------------------------------------- */

void
ph_filters_set_hello(PhFilters *filters, PhSlice name)
{
	if (filters != NULL)
		ph_mail_set_fact(filters->known, "helo", name);
}

void
ph_filters_tell_refused(PhFilters *filters, PhSlice address, const char *reply)
{
	if (filters == NULL)
		return;
	ph_mail_set_fact(filters->known, "refused-recipient", address);
	ph_mail_set_fact(filters->known, "refused-reply", ph_slice(reply));
}

void
ph_filters_tell_command(PhFilters *filters, PhSlice line)
{
	if (filters != NULL)
		ph_mail_set_fact(filters->known, "command", line);
}

/* A client that has shown a certificate which was verified. */
static void
note_certificate(const PhSession *session, PhMail *known)
{
	g_autoptr(GByteArray) der = g_byte_array_new();
	g_autofree char *subject = NULL;
	g_autofree char *issuer = NULL;

	if (!ph_session_tls_certificate(session, der))
		return;
	ph_tls_certificate_names(PH_SLICE((const char *) der->data, der->len), &subject, &issuer);
	if (subject != NULL)
		ph_mail_set_fact(known, "tls-subject", ph_slice(subject));
	if (issuer != NULL)
		ph_mail_set_fact(known, "tls-issuer", ph_slice(issuer));
}

/* They change when TLS begins. */
static void
note_facts(PhFilters *filters)
{
	PhSession *session = filters->session;
	PhMail *known = filters->known;
	const char *tls = ph_session_tls_description(session);
	char port[8];

	ph_mail_set_fact(known, "client-address", ph_slice(ph_session_peer(session)));
	g_snprintf(port, sizeof port, "%u", ph_session_peer_port(session));
	ph_mail_set_fact(known, "client-port", ph_slice(port));
	ph_mail_set_fact(known, "local-address", ph_slice(ph_session_local(session)));
	if (tls != NULL && ph_mail_fact(known, "tls") == NULL)
		note_certificate(session, known);
	if (tls != NULL)
		ph_mail_set_fact(known, "tls", ph_slice(tls));
	if (ph_session_section(session) != NULL)
		ph_mail_set_fact(known, "listener",
		                 ph_slice(ph_section_name(ph_session_section(session))));
}

static void
begin_stage(PhFilters *filters, uint32_t stage, PhMail *mail)
{
	filters->stage = stage;
	filters->index = 0;
	filters->phase = PH_PHASE_ASK;
	filters->is_done = false;
	filters->recipient = ph_mail_n_recipients(mail) - 1;
	g_clear_pointer(&filters->mail, ph_mail_unref);
	filters->mail = ph_mail_ref(mail);
	for (size_t i = 0; i < filters->chain->n && stage == PH_STAGE_SENDER; i++)
		filters->seats[i].skips_message = false;
}

static void
tell_facts(PhFilters *filters, uint32_t stage, PhMail *mail)
{
	static const char *const said[] = { "refused-recipient", "refused-reply", "command" };

	if (filters->session != NULL && stage <= PH_STAGE_SENDER)
		note_facts(filters);
	if (mail == filters->known)
		return;
	if (stage == PH_STAGE_SENDER)
		ph_mail_copy_facts(mail, filters->known);
	for (size_t i = 0; i < G_N_ELEMENTS(said) && stage > PH_STAGE_DATA; i++) {
		const char *value = ph_mail_fact(filters->known, said[i]);

		if (value != NULL)
			ph_mail_set_fact(mail, said[i], ph_slice(value));
	}
}

bool
ph_filters_want(const PhFilters *filters, uint32_t stage)
{
	return filters != NULL && (filters->chain->stages & 1U << stage) != 0;
}

/* Is there anything to do at that stage? */
static bool
is_due(const PhFilters *filters, uint32_t stage, const PhMail *mail)
{
	return stage == PH_STAGE_SENDER || ph_filters_want(filters, stage)
	       || (is_last_stage(stage) && (mail->hold != NULL || mail->is_redirected));
}

bool
ph_filters_ask(PhFilters *filters, uint32_t stage, PhMail *mail)
{
	if (filters == NULL)
		return true;
	if (mail == NULL)
		mail = filters->known;
	tell_facts(filters, stage, mail);
	filters->verdict = (PhVerdict){ .result = PH_VERDICT_NONE };
	if (mail->is_discarded && stage == PH_STAGE_MESSAGE)
		filters->verdict.result = PH_VERDICT_DISCARD;
	if (mail->is_discarded || !is_due(filters, stage, mail))
		return true;
	begin_stage(filters, stage, mail);
	if (!work(filters))
		return false;
	finish(filters);
	return true;
}

void
ph_filters_wait(PhFilters *filters, PhWake *wake)
{
	bool is_done = false;

	ph_lock_take(&filters->lock);
	is_done = filters->is_done;
	if (!is_done)
		filters->wake = wake;
	ph_lock_drop(&filters->lock);
	if (is_done)
		ph_wake_complete(wake);
}

const PhVerdict *
ph_filters_verdict(const PhFilters *filters)
{
	static const PhVerdict none = { .result = PH_VERDICT_NONE };

	return filters != NULL ? &filters->verdict : &none;
}

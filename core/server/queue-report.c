/* queue-report.c: tells senders what became of their mail
 *
 * RFC 3461 says when: a failure unless the sender said NOTIFY without FAILURE, a delay unless it
 * said NOTIFY without DELAY, success only when it asked. A report goes out with the null sender as
 * any mail does, and what it reports is done only when the report is durable. Mail with the null
 * sender is never reported to anybody but the postmaster.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "base/clock.h"
#include "server/queue-job.h"

#include <string.h>

/* --- what is to be told ----------------------------------------------------------------------- */

/* Is @word in the comma-separated @notify (nullable)? */
static bool
has_word(const char *notify, const char *word)
{
	PhSlice rest = ph_slice(notify);

	while (rest.length > 0)
		if (ph_slice_is_nocase(ph_slice_trim(ph_slice_split(&rest, ',')), word))
			return true;
	return false;
}

/* @otherwise: when the recipient has no NOTIFY. */
static bool
asks_for(const PhEnvelopeRecipient *recipient, const char *word, bool otherwise)
{
	const char *notify = ph_queue_envelope_parameter(recipient->parameters,
	                                                 recipient->n_parameters, "NOTIFY");

	return notify != NULL ? has_word(notify, word) : otherwise;
}

static bool
is_wanted(const PhEnvelopeRecipient *recipient, uint32_t action)
{
	switch (action) {
	case PH_REPORT_FAILED:
		return asks_for(recipient, "FAILURE", true);
	case PH_REPORT_DELAYED:
		return asks_for(recipient, "DELAY", true);
	default:
		return asks_for(recipient, "SUCCESS", false);
	}
}

/* The job and those that share its report, one after the other; NULL behind the last. */
static PhQueueJob *
member(PhQueueJob *job, guint at)
{
	if (at == 0)
		return job;
	return job->others != NULL && at <= job->others->len ? job->others->pdata[at - 1] : NULL;
}

static const char *
mail_fact(const PhQueueJob *job, const char *name)
{
	const PhEnvelope *envelope = ph_queue_task_envelope(job->task);

	return ph_queue_envelope_parameter(envelope->parameters, envelope->n_parameters, name);
}

static void
hold(PhQueueJob *job, PhQueueFate *fate, const char *reason)
{
	fate->outcome = PH_QUEUE_HOLD;
	fate->action = 0;
	g_free(fate->reason);
	fate->reason = g_strdup(reason);
}

/* A report that failed: by [queue] double-bounce. */
static void
choose_double(PhQueueJob *job, PhQueueFate *fate)
{
	const char *reports = mail_fact(job, PH_QUEUE_FACT_REPORT);
	uint32_t policy = ph_config_queue(job->used->config)->double_bounce;
	const PhEnvelope *envelope = ph_queue_task_envelope(job->task);

	if (policy == PH_DOUBLE_BOUNCE_POSTMASTER && g_strcmp0(reports, "postmaster") != 0) {
		job->to_postmaster = true;
		return;
	}
	ph_log(PH_LOG_WARNING, "double-bounce", "mail that reports to nobody failed",
	       PH_LOG_TEXT("id", envelope->id), PH_LOG_FAILURE(fate->error), PH_LOG_END);
	if (policy == PH_DOUBLE_BOUNCE_DISCARD)
		fate->action = 0;
	else
		hold(job, fate, "a report that could not be delivered");
}

void
ph_queue_job_choose(PhQueueJob *job)
{
	const PhEnvelope *envelope = ph_queue_task_envelope(job->task);

	for (size_t i = 0; i < job->n; i++) {
		PhQueueFate *fate = &job->fates[i];
		const PhEnvelopeRecipient *recipient =
			ph_queue_task_recipient(job->task, i)->envelope;

		if (fate->action == 0)
			continue;
		if (envelope->sender[0] != '\0')
			fate->action = is_wanted(recipient, fate->action) ? fate->action : 0;
		else if (fate->action == PH_REPORT_FAILED)
			choose_double(job, fate);
		else
			fate->action = 0;
	}
}

/* --- composing -------------------------------------------------------------------------------- */

static char *
postmaster_of(const PhQueueJob *job)
{
	const char *name = ph_config_queue(job->used->config)->postmaster;

	return strchr(name, '@') != NULL
	               ? g_strdup(name)
	               : g_strdup_printf("%s@%s", name,
	                                 ph_config_server(job->used->config)->hostname);
}

static char *
lifetime_text(const PhQueueJob *job)
{
	uint64_t seconds = ph_config_queue(job->used->config)->lifetime.us / G_USEC_PER_SEC;
	const uint64_t hour = 3600;

	if (ph_queue_task_kind(job->task) != PH_QUEUE_TASK_EXPIRED)
		return NULL;
	if (mail_fact(job, "BY") != NULL)
		return g_strdup("It could not be delivered within the time that you gave.");
	if (seconds >= 48 * hour)
		return g_strdup_printf("It could not be delivered for %" G_GUINT64_FORMAT
		                       " days, and will not be tried any more.",
		                       seconds / (24 * hour));
	if (seconds >= 2 * hour)
		return g_strdup_printf("It could not be delivered for %" G_GUINT64_FORMAT
		                       " hours, and will not be tried any more.",
		                       seconds / hour);
	return g_strdup("It could not be delivered in time, and will not be tried any more.");
}

static void
add_recipients(const PhQueueJob *job, const char *reason, GArray *rows)
{
	bool has_expired = ph_queue_task_kind(job->task) == PH_QUEUE_TASK_EXPIRED;
	bool is_late = ph_queue_task_kind(job->task) == PH_QUEUE_TASK_LATE;

	for (size_t i = 0; i < job->n; i++) {
		const PhQueueFate *fate = &job->fates[i];
		const PhQueueTaskRecipient *recipient = ph_queue_task_recipient(job->task, i);
		const PhEnvelopeRecipient *named = recipient->envelope;
		PhReportRecipient row = {
			.action = fate->action,
			.address = named->address,
			.orcpt = ph_queue_envelope_parameter(named->parameters, named->n_parameters,
			                                     "ORCPT"),
			.status = has_expired && fate->reply == NULL ? "5.4.7" : NULL,
			.diagnostic = fate->reply,
			.remote_mta = fate->remote_mta,
			.error = fate->error,
			.reason = reason,
			.last_attempt = ph_clock_wall_us(),
			.retry_until = is_late ? ph_queue_task_expires(job->task) : 0,
		};

		if (fate->action != 0)
			g_array_append_val(rows, row);
	}
}

static GArray *
list_recipients(PhQueueJob *job, const char *reason)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(PhReportRecipient));
	const PhQueueJob *one = NULL;

	for (guint at = 0; (one = member(job, at)) != NULL; at++)
		add_recipients(one, reason, rows);
	return rows;
}

static PhContent *
compose(PhQueueJob *job, const char *id, const char *to, uint32_t *needs_out)
{
	const PhEnvelope *envelope = ph_queue_task_envelope(job->task);
	g_autofree char *reason = lifetime_text(job);
	GArray *rows = list_recipients(job, reason);
	const char *ret = mail_fact(job, "RET");
	g_autoptr(GError) error = NULL;
	PhContent *made = NULL;
	PhReport report = {
		.hostname = ph_config_server(job->used->config)->hostname,
		.sender = to,
		.id = id,
		.mail_id = envelope->id,
		.envid = mail_fact(job, "ENVID"),
		.returns_full = ret != NULL && g_ascii_strcasecmp(ret, "FULL") == 0,
		.takes_utf8 = mail_fact(job, "SMTPUTF8") != NULL,
		.arrived = envelope->arrived,
		.now = ph_clock_wall_us(),
		.prepended = envelope->prepended,
		.content = ph_queue_task_content(job->task),
		.recipients = (const PhReportRecipient *) (void *) rows->data,
		.n_recipients = rows->len,
	};

	made = ph_report_compose(&report, needs_out, &error);
	if (made == NULL) {
		report.content = NULL;
		made = ph_report_compose(&report, needs_out, NULL);
	}
	g_array_unref(rows);
	return made;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void
put_off(PhQueueJob *job, const char *reason)
{
	for (size_t i = 0; i < job->n; i++) {
		PhQueueFate *fate = &job->fates[i];

		if (fate->action == 0 || ph_queue_task_kind(job->task) == PH_QUEUE_TASK_LATE)
			continue;
		if (fate->error == NULL)
			continue; /* it was delivered: that is not done twice for a report's sake */
		fate->outcome = PH_QUEUE_LATER;
		g_free(fate->reason);
		fate->reason = g_strdup(reason);
	}
}

/* Until it can be sent, what it tells of has not come to an end. */
static void
try_again(PhQueueJob *job, const char *reason)
{
	PhQueueJob *one = NULL;

	for (guint at = 0; (one = member(job, at)) != NULL; at++)
		put_off(one, reason);
	ph_queue_job_end(job);
}

static void
hold_all(PhQueueJob *job, const char *reason)
{
	PhQueueJob *one = NULL;

	for (guint at = 0; (one = member(job, at)) != NULL; at++)
		for (size_t i = 0; i < one->n; i++)
			if (one->fates[i].action == PH_REPORT_FAILED)
				hold(one, &one->fates[i], reason);
	ph_queue_job_end(job);
}

static bool
has_failed(PhQueueJob *job)
{
	PhQueueJob *one = NULL;

	for (guint at = 0; (one = member(job, at)) != NULL; at++)
		for (size_t i = 0; i < one->n; i++)
			if (one->fates[i].action == PH_REPORT_FAILED)
				return true;
	return false;
}

/* The sender cannot be told: the postmaster may be. */
static void
fall_back(PhQueueJob *job)
{
	uint32_t policy = ph_config_queue(job->used->config)->double_bounce;

	if (!has_failed(job) || policy == PH_DOUBLE_BOUNCE_DISCARD) {
		ph_queue_job_end(job);
	} else if (policy == PH_DOUBLE_BOUNCE_HOLD || job->to_postmaster) {
		hold_all(job, "it failed, and neither its sender nor the postmaster can be told");
	} else {
		job->to_postmaster = true;
		ph_queue_job_report(job);
	}
}

static void
submitted(void *user_data)
{
	PhQueueJob *job = user_data;
	PhMailOutcome outcome;

	ph_mail_outcome(job->report, &outcome);
	if (outcome.n_temporary == 0 && outcome.n_failed == 0)
		ph_queue_job_end(job);
	else if (outcome.n_temporary > 0)
		try_again(job, "the report to its sender cannot be sent now");
	else
		fall_back(job);
}

static PhMail *
make_mail(PhQueueJob *job)
{
	PhMail *mail = ph_mail_new_routed(job->used->router);

	ph_mail_keep(mail, ph_queue_used_ref(job->used), (GDestroyNotify) ph_queue_used_unref);
	ph_mail_set_sender(mail, PH_SLICE_EMPTY);
	ph_mail_set_fact(mail, PH_QUEUE_FACT_REPORT,
	                 ph_slice(job->to_postmaster ? "postmaster" : "sender"));
	return mail;
}

static void
set_needs(PhMail *mail, uint32_t needs)
{
	if ((needs & PH_REPORT_NEEDS_8BIT) != 0)
		ph_mail_set_parameter(mail, "BODY", PH_SLICE_LITERAL("8BITMIME"));
	if ((needs & PH_REPORT_NEEDS_UTF8) != 0)
		ph_mail_set_parameter(mail, "SMTPUTF8", PH_SLICE_EMPTY);
}

void
ph_queue_job_report(PhQueueJob *job)
{
	g_autofree char *to = job->to_postmaster
	                              ? postmaster_of(job)
	                              : g_strdup(ph_queue_task_envelope(job->task)->sender);
	const char *name = ph_config_queue(job->used->config)->postmaster;
	g_autoptr(PhContent) content = NULL;
	uint32_t needs = 0;
	PhRcpt found;

	/* it is delivered anew by another process, which tells what becomes of that */
	if (ph_queue_task_is_lost(job->task)) {
		ph_queue_job_end(job);
		return;
	}
	ph_mail_unref(job->report);
	job->report = make_mail(job);
	content = compose(job, ph_mail_id(job->report), to, &needs);
	if (content == NULL) {
		try_again(job, "the report to its sender could not be made");
		return;
	}
	ph_mail_set_content(job->report, content);
	set_needs(job->report, needs);
	found = ph_mail_add_recipient(job->report, ph_slice(job->to_postmaster ? name : to));
	if (found == PH_RCPT_OK)
		ph_mail_submit(job->report, ph_wake_new_func(submitted, job));
	else if (found == PH_RCPT_TEMPORARY || found == PH_RCPT_OVER_QUOTA)
		try_again(job, "the report to its sender cannot be sent now");
	else
		fall_back(job);
}

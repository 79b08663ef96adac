/* queue-run.c: the queue of a running server: its tasks go to the transports
 *
 * A task becomes a job: its envelope is read on a worker, routes and users are looked up as they are
 * now, the transport gets one delivery, and when that has all results the sender is told what it
 * asked to be told; only then does the queue hear of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/queue-run.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "config/options.h"
#include "net/net.h"
#include "server/filter-chain.h"
#include "server/queue-job.h"
#include "server/queue-together.h"

#include <string.h>

enum {
	QUIET_PAUSE_US = 20000,
	ADDING_PAUSE_US = 500,
};

struct PhQueueRun {
	PhReactor *reactor; /* (nullable) */
	PhQueueTogether *together;
	char *folder;
	PhLock lock;          /* guards until the blank line */
	PhQueue *queue;       /* (nullable) what mail is added to */
	unsigned n_adding[2]; /* calls under way, by `turn` */
	unsigned turn;        /* changes with `queue` */
	PhQueueUsed *used;    /* (nullable) */

	char *beside; /* (nullable) the folder of `queue` when another process has the real one */
	bool is_started;
};

/* --- settings --------------------------------------------------------------------------------- */

static void
read_settings(const PhConfig *config, PhDuration *curve, PhQueueSettings *settings_out)
{
	const PhQueueOptions *options = ph_config_queue(config);
	size_t n = 0;

	while (n < PH_QUEUE_CURVE_MAX && options->retry != NULL && options->retry[n] != NULL) {
		(void) ph_duration_parse(ph_slice(options->retry[n]), &curve[n].us);
		n++;
	}
	*settings_out = (PhQueueSettings){
		.curve = curve,
		.n_curve = n,
		.lifetime = options->lifetime,
		.warn_after = options->warn_after,
		.concurrency = (uint32_t) options->concurrency,
		.concurrency_each = (uint32_t) options->concurrency_per_destination,
		.recipients_each = (uint32_t) options->recipients_per_delivery,
		.failures = (uint32_t) options->failures_until_pause,
		.file_octets = options->segment_size.octets,
	};
}

/* --- life ------------------------------------------------------------------------------------- */

PhQueueUsed *
ph_queue_used_ref(PhQueueUsed *used)
{
	g_atomic_int_inc(&used->refs);
	return used;
}

void
ph_queue_used_unref(PhQueueUsed *used)
{
	if (used == NULL || !g_atomic_int_dec_and_test(&used->refs))
		return;
	ph_router_unref(used->router);
	ph_config_unref(used->config);
	if (used->keeper_free != NULL)
		used->keeper_free(used->keeper);
	g_free(used);
}

static void begin(PhQueueTask *task, void *user_data);

PhQueueRun *
ph_queue_run_new(const PhConfig *config, PhReactor *reactor)
{
	const char *folder = ph_config_queue(config)->path;
	PhQueueRun *run = NULL;

	if (!ph_config_needs_queue(config) && !ph_queue_exists(folder)
	    && !ph_queue_exists_beside(folder))
		return NULL;
	run = g_new0(PhQueueRun, 1);
	ph_lock_init(&run->lock);
	run->together = ph_queue_together_new();
	run->reactor = reactor;
	run->folder = g_strdup(folder);
	return run;
}

static PhQueue *
open_queue(PhQueueRun *run, const PhConfig *config, const char *folder, GError **error)
{
	PhDuration curve[PH_QUEUE_CURVE_MAX];
	PhQueueParams params = { .folder = folder,
		                 .writes = true,
		                 .begin = begin,
		                 .user_data = run };

	read_settings(config, curve, &params.settings);
	return ph_queue_open(&params, error);
}

/* From now on mail goes to @queue. Returns: (owned, nullable) where it went before; whatever was
 * under way has been added to it. */
static PhQueue *
exchange(PhQueueRun *run, PhQueue *queue)
{
	PhQueue *old = NULL;
	unsigned turn = 0;

	ph_lock_take(&run->lock);
	old = run->queue;
	run->queue = queue;
	turn = run->turn;
	run->turn ^= 1;
	while (run->n_adding[turn] > 0) {
		ph_lock_drop(&run->lock);
		g_usleep(ADDING_PAUSE_US);
		ph_lock_take(&run->lock);
	}
	ph_lock_drop(&run->lock);
	return old;
}

static void
close_beside(PhQueueRun *run, PhQueue *queue)
{
	g_autofree char *folder = g_steal_pointer(&run->beside);

	ph_queue_close(queue);
	if (folder != NULL)
		ph_queue_leave_beside(folder);
}

bool
ph_queue_run_take(PhQueueRun *run, const PhConfig *config, GError **error)
{
	PhQueue *queue = open_queue(run, config, run->folder, error);

	if (queue == NULL)
		return false;
	close_beside(run, exchange(run, queue));
	run->is_started = false;
	ph_queue_adopt(queue);
	return true;
}

/* --- letting go of it ------------------------------------------------------------------------- */

/* Opens another queue beside the real one. */
static bool
open_beside(PhQueueRun *run, GError **error)
{
	PhQueueUsed *used = ph_queue_run_used(run);
	g_autofree char *folder = ph_queue_beside(run->folder);
	PhQueue *queue = NULL;

	if (used != NULL)
		queue = open_queue(run, used->config, folder, error);
	else
		ph_error_set(error, PH_ERROR_TEMPORARY, "the queue is not in use");
	ph_queue_used_unref(used);
	if (queue == NULL)
		return false;
	close_beside(run, exchange(run, queue));
	run->beside = g_steal_pointer(&folder);
	return true;
}

static void
wait_until_quiet(PhQueue *queue, PhDuration within, gint *cancelled)
{
	uint64_t deadline_us = ph_clock_us() + within.us;

	while (ph_queue_n_busy(queue) > 0 && ph_clock_us() < deadline_us
	       && g_atomic_int_get(cancelled) == 0)
		g_usleep(QUIET_PAUSE_US);
}

bool
ph_queue_run_yield(PhQueueRun *run, PhDuration within, gint *cancelled, GError **error)
{
	ph_queue_stop(run->queue);
	wait_until_quiet(run->queue, within, cancelled);
	if (g_atomic_int_get(cancelled) != 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the process is about to end");
		return false;
	}
	if (open_beside(run, error))
		return true;
	if (run->is_started)
		ph_queue_start(run->queue);
	return false;
}

void
ph_queue_run_turn(PhQueueRun *run)
{
	g_autoptr(GError) error = NULL;
	PhQueueStats stats;

	if (run->beside == NULL)
		return;
	ph_queue_stats(run->queue, &stats);
	if (stats.n_mails > 0 && !open_beside(run, &error))
		ph_log(PH_LOG_WARNING, "queue-beside",
		       "accepted mail is delivered when this process has ended",
		       PH_LOG_FAILURE(error), PH_LOG_END);
}

void
ph_queue_run_adopt(PhQueueRun *run)
{
	if (run->beside == NULL)
		ph_queue_adopt(run->queue);
}

bool
ph_queue_run_fits(const PhQueueRun *run, const PhConfig *old, const PhConfig *next)
{
	if (run == NULL)
		return !ph_config_needs_queue(next);
	return strcmp(ph_config_queue(old)->path, ph_config_queue(next)->path) == 0;
}

void
ph_queue_run_use(PhQueueRun *run, const PhQueueUse *use)
{
	PhQueueUsed *made = g_new0(PhQueueUsed, 1);
	PhQueueUsed *old = NULL;
	PhDuration curve[PH_QUEUE_CURVE_MAX];
	PhQueueSettings settings;

	*made = (PhQueueUsed){ .refs = 1,
		               .config = ph_config_ref(use->config),
		               .router = ph_router_ref(use->router),
		               .keeper = use->keeper,
		               .keeper_free = use->keeper_free };
	read_settings(use->config, curve, &settings);
	ph_queue_set(run->queue, &settings);
	ph_lock_take(&run->lock);
	old = run->used;
	run->used = made;
	ph_lock_drop(&run->lock);
	ph_queue_used_unref(old);
	if (!run->is_started)
		ph_queue_start(run->queue);
	run->is_started = true;
}

void
ph_queue_run_stop(PhQueueRun *run)
{
	PhQueueUsed *old = NULL;

	if (run == NULL)
		return;
	if (run->queue != NULL)
		ph_queue_stop(run->queue);
	ph_queue_together_stop(run->together);
	ph_lock_take(&run->lock);
	old = g_steal_pointer(&run->used);
	ph_lock_drop(&run->lock);
	ph_queue_used_unref(old);
}

void
ph_queue_run_close(PhQueueRun *run)
{
	if (run == NULL)
		return;
	ph_queue_run_stop(run);
	close_beside(run, run->queue);
	ph_queue_together_unref(run->together);
	ph_lock_clear(&run->lock);
	g_free(run->folder);
	g_free(run);
}

PhQueueUsed *
ph_queue_run_used(PhQueueRun *run)
{
	PH_LOCKED(&run->lock);
	return run->used != NULL ? ph_queue_used_ref(run->used) : NULL;
}

PhQueue *
ph_queue_run_queue(PhQueueRun *run)
{
	PH_LOCKED(&run->lock);
	return run->queue != NULL ? ph_queue_ref(run->queue) : NULL;
}

void
ph_queue_run_add(PhQueueRun *run, const PhQueueNew *mail)
{
	PhQueue *queue = NULL;
	unsigned turn = 0;

	ph_lock_take(&run->lock);
	queue = run->queue;
	turn = run->turn;
	run->n_adding[turn]++;
	ph_lock_drop(&run->lock);
	ph_queue_add(queue, mail);
	PH_LOCKED(&run->lock);
	run->n_adding[turn]--;
}

/* --- the end of a job ------------------------------------------------------------------------- */

static void
clear_fate(PhQueueFate *fate)
{
	g_clear_error(&fate->error);
	g_free(fate->remote_mta);
	g_free(fate->reply);
	g_free(fate->reason);
}

/* Has somebody released it whom a filter held? The first attempt knows by the reason, which it may
 * replace; those behind it by what it has told the queue. */
static bool
is_released(const PhQueueTaskRecipient *recipient)
{
	return recipient->is_released
	       || (recipient->reason != NULL
	           && g_str_has_prefix(recipient->reason, PH_QUARANTINED));
}

static void
end_one(PhQueueJob *job)
{
	PhQueueTogether *together = job->run->together;
	const PhEnvelope *envelope = ph_queue_task_envelope(job->task);
	g_autofree char *id =
		envelope != NULL && ph_queue_together_any(together) ? g_strdup(envelope->id) : NULL;
	g_autofree PhQueueResult *results = g_new0(PhQueueResult, job->n);

	for (size_t i = 0; i < job->n; i++)
		results[i] = (PhQueueResult){
			.outcome = job->fates[i].outcome,
			.not_before = job->fates[i].not_before,
			.reason = job->fates[i].reason,
			.is_released = is_released(ph_queue_task_recipient(job->task, i)),
		};
	ph_queue_task_finish(job->task, results, job->answered);
	for (size_t i = 0; i < job->n; i++)
		clear_fate(&job->fates[i]);
	ph_mail_unref(job->mail);
	ph_mail_unref(job->report);
	ph_queue_used_unref(job->used);
	g_free(job->fates);
	g_free(job->targets);
	g_free(job);
	if (id != NULL)
		ph_queue_together_ended(together, id);
}

void
ph_queue_job_end(PhQueueJob *job)
{
	GPtrArray *others = g_steal_pointer(&job->others);

	end_one(job);
	for (guint i = 0; others != NULL && i < others->len; i++)
		end_one(others->pdata[i]);
	if (others != NULL)
		g_ptr_array_unref(others);
}

void
ph_queue_job_put_back(PhQueueJob *job)
{
	for (size_t i = 0; i < job->n; i++) {
		PhQueueFate *fate = &job->fates[i];

		if (fate->action != 0 && fate->error != NULL)
			fate->outcome = PH_QUEUE_LATER;
	}
	ph_queue_job_end(job);
}

/* --- results ---------------------------------------------------------------------------------- */

static const char *
event_of(const PhQueueFate *fate)
{
	if (fate->error == NULL)
		return "delivered";
	if (fate->outcome == PH_QUEUE_HOLD)
		return "held";
	return fate->outcome == PH_QUEUE_LATER ? "deferred" : "failed";
}

static void
log_fate(const PhQueueJob *job, size_t index)
{
	const PhQueueFate *fate = &job->fates[index];
	const PhQueueTaskRecipient *recipient = ph_queue_task_recipient(job->task, index);
	const PhEnvelope *envelope = ph_queue_task_envelope(job->task);
	bool is_bad = fate->error != NULL && fate->outcome != PH_QUEUE_LATER;

	if (!ph_log_wants(is_bad ? PH_LOG_WARNING : PH_LOG_INFO) || envelope == NULL)
		return;
	ph_log(is_bad ? PH_LOG_WARNING : PH_LOG_INFO, event_of(fate), "a delivery has ended",
	       PH_LOG_TEXT("id", envelope->id), PH_LOG_TEXT("from", envelope->sender),
	       PH_LOG_TEXT("to", recipient->envelope->address),
	       PH_LOG_TEXT("route", recipient->envelope->route),
	       PH_LOG_NUMBER("attempt", recipient->attempts + 1),
	       PH_LOG_TEXT("host", fate->remote_mta), PH_LOG_TEXT("reply", fate->reply),
	       PH_LOG_FAILURE(fate->error), PH_LOG_END);
}

/* What the queue shows for it, and what a later report quotes: see ph_queue_job_report(). */
static char *
reason_of(const PhQueueFate *fate)
{
	if (fate->remote_mta != NULL && fate->reply != NULL)
		return g_strdup_printf("%s said: %s", fate->remote_mta, fate->reply);
	return g_strdup(fate->reply != NULL ? fate->reply : fate->error->message);
}

static void
judge(PhQueueFate *fate)
{
	if (fate->error == NULL) {
		fate->outcome = PH_QUEUE_DONE_WITH;
		fate->action = (fate->flags & PH_DELIVERED_FINAL) != 0 ? PH_REPORT_DELIVERED : 0;
		if ((fate->flags & PH_DELIVERED_RELAYED_NO_DSN) != 0)
			fate->action = PH_REPORT_RELAYED;
		return;
	}
	fate->reason = reason_of(fate);
	fate->outcome = ph_error_is_temporary(fate->error) ? PH_QUEUE_LATER : PH_QUEUE_DONE_WITH;
	fate->action = fate->outcome == PH_QUEUE_LATER ? 0 : PH_REPORT_FAILED;
}

static void
conclude(PhQueueJob *job)
{
	bool tells = false;

	for (size_t i = 0; i < job->n; i++)
		if (ph_queue_task_kind(job->task) == PH_QUEUE_TASK_DELIVER)
			log_fate(job, i);
	ph_queue_job_choose(job);
	for (size_t i = 0; i < job->n; i++)
		tells = tells || job->fates[i].action != 0;
	if (!tells)
		ph_queue_job_end(job);
	else
		ph_queue_together_tell(job->run->together, job);
}

static void
delivered(PhMail *mail, void *user_data)
{
	PhQueueJob *job = user_data;

	for (guint i = 0; i < mail->targets->len; i++) {
		PhTarget *target = ph_mail_target(mail, i);
		PhQueueFate *fate = &job->fates[job->targets[i]];
		bool commits = (target->route->params.transport->flags & PH_TRANSPORT_COMMITS) != 0;

		bool was_heard = target->remote_mta != NULL
		                 && (target->result_flags & PH_DELIVERY_AWAY) == 0;

		fate->error = g_steal_pointer(&target->error);
		fate->reply = g_steal_pointer(&target->reply);
		fate->remote_mta = g_steal_pointer(&target->remote_mta);
		fate->flags = target->result_flags | (commits ? PH_DELIVERED_FINAL : 0);
		fate->not_before = target->not_before;
		if (fate->error == NULL || was_heard || commits
		    || !ph_error_is_temporary(fate->error))
			job->answered = true;
		judge(fate);
		if (target->hold != NULL) {
			g_free(fate->reason);
			fate->reason = g_steal_pointer(&target->hold);
			fate->outcome = PH_QUEUE_HOLD;
			job->answered = true;
		}
		if (mail->is_suspect && fate->error != NULL)
			fate->outcome = PH_QUEUE_HOLD;
	}
	conclude(job);
}

/* --- begin ------------------------------------------------------------------------------------ */

static void
give_up(PhQueueFate *fate, uint32_t outcome, uint32_t code, const char *text)
{
	fate->error = g_error_new_literal(PH_ERROR, (int) code, text);
	fate->reason = g_strdup(text);
	fate->outcome = outcome;
	fate->action = outcome == PH_QUEUE_DONE_WITH ? PH_REPORT_FAILED : 0;
}

/* The user as the directory knows it now; false when there is no delivery. */
static bool
find_user(const PhRoute *route,
          const PhEnvelopeRecipient *recipient,
          PhIdentity **identity_out,
          PhQueueFate *fate)
{
	PhRcpt found = recipient->user != NULL
	                       ? ph_router_find_user(route, recipient->user, identity_out)
	                       : PH_RCPT_OK;

	if (found == PH_RCPT_TEMPORARY)
		give_up(fate, PH_QUEUE_LATER, PH_ERROR_TEMPORARY,
		        "the directory could not say who the user is");
	else if (found == PH_RCPT_DISABLED)
		give_up(fate, PH_QUEUE_DONE_WITH, PH_ERROR_DENIED, "the user is disabled");
	else if (found != PH_RCPT_OK)
		give_up(fate, PH_QUEUE_DONE_WITH, PH_ERROR_NOT_FOUND,
		        "there is no such user any more");
	return found == PH_RCPT_OK;
}

static void
add_recipient(PhQueueJob *job, uint32_t index)
{
	const PhQueueTaskRecipient *recipient = ph_queue_task_recipient(job->task, index);
	const PhRoute *route = ph_router_by_name(job->used->router, recipient->envelope->route);
	PhQueueFate *fate = &job->fates[index];
	PhIdentity *identity = NULL;
	g_autofree char *text = NULL;

	if (route == NULL) {
		text = g_strdup_printf("[route %s] is not in the config any more",
		                       recipient->envelope->route);
		give_up(fate, PH_QUEUE_HOLD, PH_ERROR_PERMANENT, text);
		return;
	}
	if (!find_user(route, recipient->envelope, &identity, fate))
		return;
	job->targets[job->mail->targets->len] = index;
	ph_queue_mail_add(job->mail, recipient->envelope, route, identity);
	ph_mail_target(job->mail, job->mail->targets->len - 1)->is_released =
		is_released(recipient);
	job->mail->attempt = MAX(job->mail->attempt, recipient->attempts + 1);
}

static void
deliver(PhQueueJob *job)
{
	job->targets = g_new0(uint32_t, job->n);
	job->mail = ph_queue_mail_make(job->task, job->used->router);
	ph_mail_keep(job->mail, ph_queue_used_ref(job->used), (GDestroyNotify) ph_queue_used_unref);
	for (uint32_t i = 0; i < job->n; i++)
		add_recipient(job, i);
	if (job->mail->targets->len == 0) {
		job->answered = true;
		conclude(job);
		return;
	}
	ph_mail_deliver(job->mail, delivered, job);
}

/* What the last attempt has said, for the report. */
static void
take_reason(PhQueueFate *fate, const char *reason)
{
	static const char said[] = " said: ";
	const char *at = reason != NULL ? strstr(reason, said) : NULL;

	if (at == NULL)
		return;
	fate->remote_mta = g_strndup(reason, (gsize) (at - reason));
	fate->reply = g_strdup(at + sizeof said - 1);
}

static void
tell(PhQueueJob *job)
{
	bool is_late = ph_queue_task_kind(job->task) == PH_QUEUE_TASK_LATE;

	for (size_t i = 0; i < job->n; i++) {
		PhQueueFate *fate = &job->fates[i];

		take_reason(fate, ph_queue_task_recipient(job->task, i)->reason);
		fate->outcome = PH_QUEUE_DONE_WITH;
		fate->action = is_late ? PH_REPORT_DELAYED : PH_REPORT_FAILED;
		fate->error = g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY,
		                                  "it could not be delivered in time");
		if (!is_late)
			log_fate(job, i);
	}
	conclude(job);
}

/* A mail that cannot be read is kept for a person. */
static void
set_aside(PhQueueJob *job, const GError *error)
{
	bool is_damaged = g_error_matches(error, PH_ERROR, PH_ERROR_CORRUPT);

	ph_log(PH_LOG_ERROR, "queue-damaged", "a mail in the queue cannot be read",
	       PH_LOG_FAILURE(error), PH_LOG_END);
	for (size_t i = 0; i < job->n; i++)
		give_up(&job->fates[i], is_damaged ? PH_QUEUE_HOLD : PH_QUEUE_LATER,
		        PH_ERROR_CORRUPT, error->message);
	job->answered = true;
	ph_queue_job_end(job);
}

static void
work(void *user_data)
{
	PhQueueJob *job = user_data;
	g_autoptr(GError) error = NULL;

	if (!ph_queue_task_load(job->task, &error))
		set_aside(job, error);
	else if (ph_queue_task_kind(job->task) == PH_QUEUE_TASK_DELIVER)
		deliver(job);
	else
		tell(job);
}

static void
begin(PhQueueTask *task, void *user_data)
{
	PhQueueRun *run = user_data;
	PhQueueJob *job = g_new0(PhQueueJob, 1);

	job->run = run;
	job->task = task;
	job->n = ph_queue_task_n(task);
	job->fates = g_new0(PhQueueFate, job->n);
	job->used = ph_queue_run_used(run);
	if (run->reactor != NULL)
		ph_workers_submit(run->reactor, work, job);
	else
		work(job);
}

/* delivery.c: hands a mail to the transports of its routes and gathers the results
 *
 * One PhDelivery for each route that has recipients. It holds a reference to the mail; the last
 * result frees it, the last delivery settles the mail and completes the submitter's wake, on
 * whatever thread that happens. Results are written once each, before the counters go down, so
 * they need no lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/wake.h>

#include "base/attempt.h"
#include "plugin/call.h"
#include "server/filter-delivery.h"
#include "server/mail.h"
#include "server/queue-mail.h"
#include "server/success.h"

#include <string.h>

struct PhDelivery {
	PhMail *mail;
	const PhRoute *route;
	gint n_pending;
	uint32_t attempt;
	uint32_t n_targets;
	uint32_t targets[]; /* indexes of the mail's targets */
};

PhMail *
ph_delivery_mail(const PhDelivery *delivery)
{
	return delivery->mail;
}

size_t
ph_delivery_n_recipients(const PhDelivery *delivery)
{
	return delivery->n_targets;
}

static PhTarget *
target_at(const PhDelivery *delivery, size_t index)
{
	g_assert(index < delivery->n_targets);
	return ph_mail_target(delivery->mail, delivery->targets[index]);
}

const char *
ph_delivery_recipient(const PhDelivery *delivery, size_t index)
{
	return target_at(delivery, index)->address;
}

const PhIdentity *
ph_delivery_identity(const PhDelivery *delivery, size_t index)
{
	return target_at(delivery, index)->identity;
}

const char *
ph_delivery_recipient_parameter(const PhDelivery *delivery, size_t index, const char *name)
{
	return ph_mail_recipient_parameter(delivery->mail, target_at(delivery, index)->recipient,
	                                   name);
}

const char *
ph_delivery_detail(const PhDelivery *delivery, size_t index)
{
	return target_at(delivery, index)->detour.detail;
}

const uint8_t *
ph_delivery_transaction(const PhDelivery *delivery, size_t index)
{
	return target_at(delivery, index)->transaction;
}

PhSection *
ph_delivery_store(const PhDelivery *delivery)
{
	return delivery->route->params.store;
}

uint32_t
ph_delivery_attempt(const PhDelivery *delivery)
{
	return delivery->attempt;
}

PhTime
ph_delivery_arrived(const PhDelivery *delivery)
{
	return delivery->mail->arrived;
}

/* --- results ---------------------------------------------------------------------------------- */

void
ph_mail_finish(PhMail *mail)
{
	PhWake *wake = g_steal_pointer(&mail->wake);

	ph_mail_settle(mail);
	ph_wake_complete(wake);
}

static void
finish_rest(PhMail *mail)
{
	if (!ph_queue_mail_rest(mail))
		ph_mail_finish(mail);
}

static void
finish_one(PhMail *mail)
{
	if (!g_atomic_int_dec_and_test(&mail->n_pending))
		return;
	if (mail->finished != NULL) {
		mail->finished(mail, mail->finished_data);
		return;
	}
	if (!ph_success_tell(mail, finish_rest))
		finish_rest(mail);
}

void
ph_delivery_complete(PhDelivery *delivery, size_t index, const GError *error)
{
	PhDeliveryResult result = { .size = sizeof result, .error = error };

	ph_delivery_complete_with(delivery, index, &result);
}

void
ph_delivery_hold(PhDelivery *delivery, size_t index, const char *why)
{
	target_at(delivery, index)->hold = g_strdup(why);
}

void
ph_delivery_complete_with(PhDelivery *delivery, size_t index, const PhDeliveryResult *result)
{
	PhMail *mail = delivery->mail;
	PhTarget *target = target_at(delivery, index);

	if (result->error != NULL)
		target->error = g_error_copy(result->error);
	if (mail->attempt > 0) {
		target->result_flags = result->flags;
		target->not_before = result->not_before;
		target->remote_mta = g_strdup(result->remote_mta);
		target->reply = g_strdup(result->reply);
	}
	if (!g_atomic_int_dec_and_test(&delivery->n_pending))
		return;
	g_free(delivery);
	finish_one(mail);
	ph_mail_unref(mail);
}

static void
fail_all(PhDelivery *delivery, const GError *error)
{
	uint32_t n = delivery->n_targets;

	for (uint32_t i = 0; i < n; i++)
		ph_delivery_complete(delivery, i, error);
}

/* --- submitting ------------------------------------------------------------------------------- */

static void
hand_over(PhDelivery *delivery, void (*member)(void *instance, PhDelivery *delivery))
{
	const PhRouteParams *params = &delivery->route->params;
	PhContent *content = delivery->mail->content;
	g_autoptr(GError) error = NULL;
	PhAttempt attempt;
	PhCall call;

	if (!ph_attempt_begin_content(&attempt, PH_ATTEMPT_DELIVERY, content, &error)) {
		delivery->mail->is_suspect = true;
		fail_all(delivery, error);
		return;
	}
	if (ph_call_begin(&call, params->section, &error)) {
		member(params->instance, delivery);
		ph_call_end(&call, true);
	} else {
		fail_all(delivery, error);
	}
	ph_attempt_end(&attempt);
}

static void
run_blocking(void *user_data)
{
	PhDelivery *delivery = user_data;

	hand_over(delivery, delivery->route->params.transport->deliver);
}

static void
start(const PhRouter *router, PhDelivery *delivery)
{
	const PhRouteParams *params = &delivery->route->params;

	if (params->filters != NULL && !delivery->mail->is_filtered)
		ph_filter_deliver(delivery, params->filters, delivery->targets);
	else if (params->transport->begin != NULL)
		hand_over(delivery, params->transport->begin);
	else
		ph_router_run(router, run_blocking, delivery);
}

static bool
is_first_of_route(const PhMail *mail, guint index)
{
	for (guint i = 0; i < index; i++)
		if (ph_mail_target(mail, i)->route == ph_mail_target(mail, index)->route
		    && !ph_mail_target(mail, i)->was_served)
			return false;
	return true;
}

static PhDelivery *
gather(PhMail *mail, const PhRoute *route)
{
	PhDelivery *delivery =
		g_malloc0(sizeof *delivery + mail->targets->len * sizeof delivery->targets[0]);

	delivery->mail = ph_mail_ref(mail);
	delivery->route = route;
	delivery->attempt = MAX(mail->attempt, 1);
	for (guint i = 0; i < mail->targets->len; i++)
		if (ph_mail_target(mail, i)->route == route && !ph_mail_target(mail, i)->was_served)
			delivery->targets[delivery->n_targets++] = i;
	delivery->n_pending = (gint) delivery->n_targets;
	return delivery;
}

/* The mail's own share of the counter keeps it open until all deliveries were begun. */
static void
start_all(PhMail *mail)
{
	g_autoptr(GPtrArray) deliveries = NULL;

	ph_mail_ref(mail);
	if (mail->targets->len == 1 && !mail->was_partial) {
		mail->n_pending = 2;
		start(mail->router, gather(mail, ph_mail_target(mail, 0)->route));
	} else {
		deliveries = g_ptr_array_new();
		for (guint i = 0; i < mail->targets->len; i++) {
			const PhTarget *target = ph_mail_target(mail, i);

			if (!target->was_served && is_first_of_route(mail, i))
				g_ptr_array_add(deliveries, gather(mail, target->route));
		}
		mail->n_pending = (gint) deliveries->len + 1;
		for (guint i = 0; i < deliveries->len; i++)
			start(mail->router, deliveries->pdata[i]);
	}
	finish_one(mail);
	ph_mail_unref(mail);
}

void
ph_mail_submit_whole(PhMail *mail, PhWake *wake)
{
	g_return_if_fail(mail->content != NULL && mail->wake == NULL);
	mail->wake = wake;
	ph_mail_recall(mail);
	if (!ph_queue_mail_submit(mail))
		start_all(mail);
}

void
ph_mail_deliver(PhMail *mail, void (*finished)(PhMail *mail, void *user_data), void *user_data)
{
	mail->finished = finished;
	mail->finished_data = user_data;
	start_all(mail);
}

/* --- retries ---------------------------------------------------------------------------------- */

static void
log_partial(const PhMail *mail, const char *sentence, const GError *error)
{
	ph_log(PH_LOG_WARNING, "partial", sentence, PH_LOG_TEXT("id", mail->id),
	       PH_LOG_TEXT("from", ph_mail_sender(mail)), PH_LOG_FAILURE(error), PH_LOG_END);
}

static void
make_key(const PhTarget *target, const uint8_t *digest, PhPartialEntry *entry_out)
{
	g_autofree char *name = ph_target_name(target->route, target->identity, target->address,
	                                       target->detour.detail);

	ph_partial_key(digest, name, entry_out->key);
}

static PhPartial *
partial_of(const PhMail *mail)
{
	return mail->router != NULL && !mail->is_part ? ph_router_partial(mail->router) : NULL;
}

void
ph_mail_recall(PhMail *mail)
{
	PhPartial *partial = partial_of(mail);
	g_autoptr(GError) error = NULL;
	uint8_t digest[32];

	if (partial == NULL)
		return;
	mail->partial_hint =
		ph_partial_hint(ph_mail_sender(mail), ph_content_length(mail->content));
	if (!ph_partial_expects(partial, mail->partial_hint))
		return;
	if (!ph_partial_digest(ph_mail_sender(mail), mail->content, digest, &error)) {
		log_partial(mail, "could not compare with partly delivered messages", error);
		return;
	}
	for (guint i = 0; i < mail->targets->len; i++) {
		PhTarget *target = ph_mail_target(mail, i);
		PhPartialEntry entry = { 0 };

		make_key(target, digest, &entry);
		if (!ph_partial_find(partial, &entry))
			continue;
		mail->was_partial = true;
		target->was_served = entry.kind == PH_PARTIAL_SERVED;
		memcpy(target->transaction, entry.transaction, sizeof target->transaction);
	}
}

/* What the next attempt must know of this target. FORGOTTEN when all is done. */
static uint32_t
kind_of(const PhTarget *target, bool is_done)
{
	if (is_done)
		return PH_PARTIAL_FORGOTTEN;
	if (target->error == NULL)
		return PH_PARTIAL_SERVED;
	return g_error_matches(target->error, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN)
	               ? PH_PARTIAL_UNCERTAIN
	               : 0;
}

static size_t
describe(const PhMail *mail, const uint8_t *digest, bool is_done, PhPartialEntry *entries)
{
	size_t n = 0;

	for (guint i = 0; i < mail->targets->len; i++) {
		const PhTarget *target = ph_mail_target(mail, i);
		PhPartialEntry *entry = &entries[n];

		entry->kind = kind_of(target, is_done);
		if (entry->kind == 0)
			continue;
		entry->hint = mail->partial_hint;
		memcpy(entry->transaction, target->transaction, sizeof entry->transaction);
		make_key(target, digest, entry);
		n++;
	}
	return n;
}

/* Is there anything to write down? Only when a retry will come and somebody has the mail, or when
 * such a retry has come to its end. */
static bool
needs_settling(const PhMail *mail, bool *is_done_out)
{
	bool is_served = false;
	bool is_temporary = false;

	for (guint i = 0; i < mail->targets->len; i++) {
		const PhTarget *target = ph_mail_target(mail, i);

		if (target->error == NULL)
			is_served = true;
		else if (ph_error_is_temporary(target->error))
			is_temporary = true;
		if (g_error_matches(target->error, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN))
			is_served = true;
	}
	*is_done_out = !is_temporary;
	return is_temporary ? is_served : mail->was_partial;
}

void
ph_mail_settle(PhMail *mail)
{
	PhPartial *partial = partial_of(mail);
	g_autofree PhPartialEntry *entries = NULL;
	g_autoptr(GError) error = NULL;
	uint8_t digest[32];
	bool is_done = false;
	size_t n = 0;

	if (partial == NULL || !needs_settling(mail, &is_done))
		return;
	entries = g_new0(PhPartialEntry, mail->targets->len);
	if (!ph_partial_digest(ph_mail_sender(mail), mail->content, digest, &error)) {
		log_partial(mail, "could not note who has the message already", error);
		return;
	}
	n = describe(mail, digest, is_done, entries);
	if (!ph_partial_remember(partial, entries, n, &error))
		log_partial(mail, "could not note who has the message already", error);
}

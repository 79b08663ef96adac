/* queue-mail.c: a mail into the queue, and out of it again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/queue-mail.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/limits.h"
#include "server/queue-run.h"
#include "server/success.h"

#include <string.h>

enum {
	DESTINATION_MAX = 320,
	BY_MAX = 999999999, /* RFC 2852 section 4 */
};

/* --- what the sender asks for ----------------------------------------------------------------- */

static PhTime
seconds_from(PhTime start, PhSlice digits)
{
	uint64_t seconds = 0;

	if (!ph_slice_to_u64(digits, BY_MAX, &seconds))
		return 0;
	return start + (PhTime) seconds * G_USEC_PER_SEC;
}

/* "120;R": the mail comes back then; "120;N": its sender is told then, and it is tried on (RFC 2852
 * section 4). */
static PhTime
deadline_of(const PhMail *mail)
{
	PhSlice rest = ph_slice(ph_mail_parameter(mail, "BY"));
	PhTime by = seconds_from(mail->arrived, ph_slice_split(&rest, ';'));

	if (rest.length == 0)
		return 0;
	return g_ascii_toupper(rest.data[0]) == 'R' ? by : -by;
}

static PhTime
release_of(const PhMail *mail)
{
	const char *until = ph_mail_parameter(mail, "HOLDUNTIL");
	const char *duration = ph_mail_parameter(mail, "HOLDFOR");
	GDateTime *time = until != NULL ? g_date_time_new_from_iso8601(until, NULL) : NULL;
	PhTime found = 0;

	if (time != NULL) {
		found = g_date_time_to_unix(time) * G_USEC_PER_SEC;
		g_date_time_unref(time);
	} else if (duration != NULL) {
		found = seconds_from(mail->arrived, ph_slice(duration));
	}
	return MAX(found, 0);
}

static int32_t
priority_of(const PhMail *mail)
{
	const char *text = ph_mail_parameter(mail, "MT-PRIORITY");
	uint32_t number = 0;

	if (text == NULL || !ph_slice_to_u32(ph_slice(text + (text[0] == '-')), 9, &number))
		return 0;
	return text[0] == '-' ? -(int32_t) number : (int32_t) number;
}

void
ph_queue_mail_times(const PhMail *mail, PhEnvelope *envelope)
{
	envelope->by = deadline_of(mail);
	envelope->not_before = release_of(mail);
	envelope->priority = priority_of(mail);
}

/* --- into the queue --------------------------------------------------------------------------- */

/* Parts: what an envelope points to while it is written. */
typedef struct {
	GPtrArray *texts;   /* (owned) */
	GPtrArray *tables;  /* (owned) arrays of parameters */
	GArray *recipients; /* of PhEnvelopeRecipient */
} Parts;

static const PhEnvelopeParameter *
copy_parameters(Parts *parts, const GArray *rows, uint32_t *n_out)
{
	PhEnvelopeParameter *table = NULL;

	*n_out = rows != NULL ? rows->len : 0;
	if (*n_out == 0)
		return NULL;
	table = g_new(PhEnvelopeParameter, *n_out);
	for (uint32_t i = 0; i < *n_out; i++) {
		const PhMailParameter *row = &g_array_index(rows, PhMailParameter, i);

		table[i] = (PhEnvelopeParameter){ row->name, row->value };
	}
	g_ptr_array_add(parts->tables, table);
	return table;
}

static void
add_part(Parts *parts, const PhMail *mail, const PhTarget *target)
{
	const PhRouteParams *params = &target->route->params;
	const PhRecipient *recipient =
		&g_array_index(mail->recipients, PhRecipient, target->recipient);
	char destination[DESTINATION_MAX];
	PhEnvelopeRecipient row = {
		.address = target->address,
		.user = target->identity != NULL ? ph_identity_address(target->identity) : NULL,
		.original = recipient->address,
		.detail = target->detour.detail,
		.route = ph_section_name(params->section),
	};

	(void) params->transport->destination(params->instance, target->address, destination,
	                                      sizeof destination);
	row.destination = g_strdup(destination);
	g_ptr_array_add(parts->texts, (char *) (uintptr_t) row.destination);
	memcpy(row.transaction, target->transaction, sizeof row.transaction);
	row.parameters = copy_parameters(parts, recipient->parameters, &row.n_parameters);
	g_array_append_val(parts->recipients, row);
}

static void
add_to_queue(PhQueueRun *run,
             PhMail *mail,
             bool (*wants)(const PhTarget *target),
             PhQueueAddedFunc added)
{
	Parts parts = { g_ptr_array_new_with_free_func(g_free),
		        g_ptr_array_new_with_free_func(g_free),
		        g_array_new(FALSE, FALSE, sizeof(PhEnvelopeRecipient)) };
	PhEnvelope envelope = {
		.id = mail->id,
		.arrived = mail->arrived,
		.sender = ph_mail_sender(mail),
		.user = mail->user != NULL ? ph_identity_address(mail->user) : NULL,
		.prepended = ph_mail_prepended(mail),
	};
	PhQueueNew new = { .envelope = &envelope,
		           .content = mail->content,
		           .hold = mail->hold,
		           .added = added,
		           .user_data = ph_mail_ref(mail) };

	for (guint i = 0; i < mail->targets->len; i++)
		if (wants(ph_mail_target(mail, i)))
			add_part(&parts, mail, ph_mail_target(mail, i));
	envelope.recipients = (const PhEnvelopeRecipient *) (void *) parts.recipients->data;
	envelope.n_recipients = parts.recipients->len;
	envelope.parameters = copy_parameters(&parts, mail->parameters, &envelope.n_parameters);
	ph_queue_mail_times(mail, &envelope);
	ph_queue_run_add(run, &new);
	g_ptr_array_unref(parts.texts);
	g_ptr_array_unref(parts.tables);
	g_array_unref(parts.recipients);
}

static bool
was_not_served(const PhTarget *target)
{
	return !target->was_served;
}

/* A mailbox that is full is told at once: its owner may make room, its sender should know. */
static bool
may_succeed_later(const PhTarget *target)
{
	return target->error != NULL && ph_error_is_temporary(target->error)
	       && !g_error_matches(target->error, PH_ERROR, PH_ERROR_OVER_QUOTA);
}

static void
log_queued(const PhMail *mail, guint n)
{
	if (ph_log_wants(PH_LOG_INFO))
		ph_log(PH_LOG_INFO, "queued", "a mail was taken into the queue",
		       PH_LOG_TEXT("id", mail->id), PH_LOG_TEXT("from", ph_mail_sender(mail)),
		       PH_LOG_NUMBER("recipients", n),
		       PH_LOG_NUMBER("octets", ph_content_length(mail->content)), PH_LOG_END);
}

static void
whole_added(const GError *error, void *user_data)
{
	g_autoptr(PhMail) mail = user_data;
	guint n = 0;

	for (guint i = 0; i < mail->targets->len; i++) {
		PhTarget *target = ph_mail_target(mail, i);

		if (!was_not_served(target))
			continue;
		n++;
		if (error != NULL)
			target->error = g_error_copy(error);
	}
	if (error == NULL)
		log_queued(mail, n);
	ph_mail_finish(mail);
}

static void
rest_added(const GError *error, void *user_data)
{
	g_autoptr(PhMail) mail = user_data;
	guint n = 0;

	for (guint i = 0; i < mail->targets->len && error == NULL; i++) {
		PhTarget *target = ph_mail_target(mail, i);

		if (!may_succeed_later(target))
			continue;
		n++;
		g_clear_error(&target->error);
	}
	if (error == NULL)
		log_queued(mail, n);
	ph_mail_finish(mail);
}

static PhQueueRun *
queue_of(const PhMail *mail)
{
	return mail->router != NULL ? ph_router_queue(mail->router) : NULL;
}

/* A mail that is to be kept back must wait somewhere, whatever its route; and reports of success are
 * made here. */
static bool
can_be_delivered_at_once(const PhMail *mail)
{
	if (mail->hold != NULL
	    || (mail->sender != NULL && mail->sender[0] != '\0' && ph_success_any(mail)))
		return false;
	for (guint i = 0; i < mail->targets->len; i++) {
		const PhTarget *target = ph_mail_target(mail, i);

		if (!target->was_served
		    && (target->route->params.transport->flags & PH_TRANSPORT_COMMITS) == 0)
			return false;
	}
	return release_of(mail) <= mail->arrived;
}

static bool
has_any(const PhMail *mail, bool (*wants)(const PhTarget *target))
{
	for (guint i = 0; i < mail->targets->len; i++)
		if (wants(ph_mail_target(mail, i)))
			return true;
	return false;
}

bool
ph_queue_mail_submit(PhMail *mail)
{
	PhQueueRun *run = queue_of(mail);

	if (run == NULL || can_be_delivered_at_once(mail) || !has_any(mail, was_not_served))
		return false;
	add_to_queue(run, mail, was_not_served, whole_added);
	return true;
}

bool
ph_queue_mail_rest(PhMail *mail)
{
	PhQueueRun *run = queue_of(mail);

	if (run == NULL || !has_any(mail, may_succeed_later))
		return false;
	add_to_queue(run, mail, may_succeed_later, rest_added);
	return true;
}

/* --- out of the queue ------------------------------------------------------------------------- */

static PhIdentity *
identity_of(const char *address)
{
	const char *at = strrchr(address, '@');
	g_autofree char *user = at != NULL ? g_strndup(address, (gsize) (at - address)) : NULL;
	PhIdentityValues values = { .size = sizeof values,
		                    .user = user != NULL ? user : address,
		                    .domain = at != NULL ? at + 1 : "" };

	return ph_identity_new(&values, NULL);
}

PhMail *
ph_queue_mail_make(PhQueueTask *task, PhRouter *router)
{
	const PhEnvelope *envelope = ph_queue_task_envelope(task);
	PhMail *mail = ph_mail_new_routed(router);
	g_autoptr(PhIdentity) user = envelope->user != NULL ? identity_of(envelope->user) : NULL;

	g_strlcpy(mail->id, envelope->id, sizeof mail->id);
	mail->arrived = envelope->arrived;
	ph_mail_set_sender(mail, ph_slice(envelope->sender));
	if (user != NULL)
		ph_mail_set_user(mail, user);
	for (uint32_t i = 0; i < envelope->n_parameters; i++)
		ph_mail_set_parameter(mail, envelope->parameters[i].name,
		                      ph_slice(envelope->parameters[i].value));
	ph_mail_set_content(mail, ph_queue_task_content(task));
	ph_mail_prepend(mail, envelope->prepended);
	mail->attempt = 1;
	return mail;
}

void
ph_queue_mail_add(PhMail *mail,
                  const PhEnvelopeRecipient *recipient,
                  const PhRoute *route,
                  PhIdentity *identity)
{
	uint32_t index = mail->targets->len;
	PhRecipient said = { .address = g_strdup(recipient->original),
		             .targets = g_memdup2(&index, sizeof index),
		             .n_targets = 1 };
	PhTarget target = { .route = route,
		            .identity = identity,
		            .address = g_strdup(recipient->address),
		            .recipient = mail->recipients->len,
		            .detour = { .detail = g_strdup(recipient->detail) } };

	memcpy(target.transaction, recipient->transaction, sizeof target.transaction);
	g_array_append_val(mail->targets, target);
	g_array_append_val(mail->recipients, said);
	for (uint32_t i = 0; i < recipient->n_parameters; i++)
		ph_mail_set_recipient_parameter(mail, index, recipient->parameters[i].name,
		                                ph_slice(recipient->parameters[i].value));
}

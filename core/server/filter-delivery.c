/* filter-delivery.c: asks a route's filters before each delivery to a recipient
 *
 * What a filter changes for one recipient must not be seen by another, so each gets a mail of its
 * own that shares the octets. Its result is that of the delivery's recipient.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/filter-delivery.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "server/mail.h"

#include <string.h>

enum {
	REPLY_OCTETS = 1024
};

/* Passage: one recipient on the way through the filters. */
typedef struct {
	PhDelivery *delivery;
	size_t index;
	PhMail *part;
	PhFilters *filters;
} Passage;

static void
end(Passage *passage, const PhDeliveryResult *result)
{
	ph_delivery_complete_with(passage->delivery, passage->index, result);
	ph_filters_free(passage->filters);
	ph_mail_unref(passage->part);
	g_free(passage);
}

/* The part was handed over: its result is the passage's. A filter may have given it several targets
 * or none. */
static void
delivered(PhMail *part, void *user_data)
{
	PhDeliveryResult result = { .size = sizeof result };

	for (size_t i = 0; i < ph_mail_n_recipients(part); i++)
		if (ph_mail_recipient_error(part, i) != NULL)
			result.error = ph_mail_recipient_error(part, i);
	if (part->targets->len == 1) {
		const PhTarget *target = ph_mail_target(part, 0);

		result.flags = target->result_flags;
		result.not_before = target->not_before;
		result.remote_mta = target->remote_mta;
		result.reply = target->reply;
	}
	end(user_data, &result);
}

static void
refuse(Passage *passage, const PhVerdict *verdict)
{
	bool is_final = verdict->result == PH_VERDICT_REJECT;
	PhDeliveryResult result = { .size = sizeof result };
	g_autoptr(GError) error = NULL;
	char text[REPLY_OCTETS];

	ph_verdict_reply(verdict, true, text, sizeof text);
	ph_error_set(&error, is_final ? PH_ERROR_DENIED : PH_ERROR_TEMPORARY,
	             "a filter refuses the delivery");
	ph_log(PH_LOG_INFO, "refused", "a filter refuses the delivery",
	       PH_LOG_TEXT("id", ph_mail_id(passage->part)),
	       PH_LOG_TEXT("from", ph_mail_sender(passage->part)),
	       PH_LOG_TEXT("recipient", ph_mail_recipient(passage->part, 0)),
	       PH_LOG_TEXT("reply", text), PH_LOG_END);
	result.error = error;
	result.reply = text;
	end(passage, &result);
}

/* It is in quarantine, and its recipient has no mailbox here. */
static void
keep(Passage *passage)
{
	PhDeliveryResult result = { .size = sizeof result };
	g_autoptr(GError) error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "%s", passage->part->hold);
	result.error = error;
	ph_delivery_hold(passage->delivery, passage->index, passage->part->hold);
	end(passage, &result);
}

static void
passed(void *user_data)
{
	Passage *passage = user_data;
	const PhVerdict *verdict = ph_filters_verdict(passage->filters);
	PhDeliveryResult done = { .size = sizeof done };

	switch (verdict->result) {
	case PH_VERDICT_REJECT:
	case PH_VERDICT_TEMPORARY:
	case PH_VERDICT_DROP:
		refuse(passage, verdict);
		break;
	case PH_VERDICT_DISCARD:
		end(passage, &done);
		break;
	default:
		if (passage->part->hold != NULL) {
			keep(passage);
			break;
		}
		passage->part->is_filtered = true;
		ph_mail_deliver(passage->part, delivered, passage);
		break;
	}
}

/* Transports are called from the pool or the submitter, not from where an answer came. */
static void
answered(void *user_data)
{
	const Passage *passage = user_data;

	ph_router_run(passage->part->router, passed, user_data);
}

static void
copy_target(const PhMail *mail, const PhTarget *from, PhMail *part)
{
	const PhRecipient *named = &g_array_index(mail->recipients, PhRecipient, from->recipient);
	PhTarget target = { .route = from->route, .address = g_strdup(from->address) };
	PhRecipient recipient = { .address = g_strdup(from->address),
		                  .targets = g_new0(uint32_t, 1),
		                  .n_targets = 1,
		                  .parameters = ph_mail_copy_parameters(named->parameters) };

	if (from->identity != NULL)
		target.identity = ph_identity_ref(from->identity);
	ph_detour_copy(&from->detour, &target.detour);
	memcpy(target.transaction, from->transaction, sizeof target.transaction);
	g_array_append_val(part->targets, target);
	g_array_append_val(part->recipients, recipient);
	part->n_made = 1;
}

static PhMail *
make_part(const PhMail *mail, const PhTarget *target)
{
	PhMail *part = ph_mail_new_part(mail);

	memcpy(part->id, mail->id, sizeof part->id);
	ph_mail_set_sender(part, ph_slice(ph_mail_sender(mail)));
	part->attempt = MAX(mail->attempt, 1);
	copy_target(mail, target, part);
	return part;
}

void
ph_filter_deliver(PhDelivery *delivery, const PhFilterChain *chain, const uint32_t *targets)
{
	const PhMail *mail = ph_delivery_mail(delivery);
	size_t n = ph_delivery_n_recipients(delivery);
	g_autofree Passage **passages = g_new0(Passage *, n);

	/* The delivery may be gone with the last result, so all parts are made before. */
	for (size_t i = 0; i < n; i++) {
		passages[i] = g_new0(Passage, 1);
		passages[i]->delivery = delivery;
		passages[i]->index = i;
		passages[i]->part = make_part(mail, ph_mail_target(mail, targets[i]));
		passages[i]->filters = ph_filters_open(chain);
	}
	for (size_t i = 0; i < n; i++) {
		Passage *passage = passages[i];

		if (ph_mail_target(mail, targets[i])->is_released
		    || ph_filters_ask(passage->filters, PH_STAGE_DELIVERY, passage->part))
			passed(passage);
		else
			ph_filters_wait(passage->filters, ph_wake_new_func(answered, passage));
	}
}

/* discard.c: the discard transport: takes every message and keeps none
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>
#include <posthorn/transport.h>

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = section;
	return true;
}

static void
destroy(void *instance)
{
}

static void
begin(void *instance, PhDelivery *delivery)
{
	const PhMail *mail = ph_delivery_mail(delivery);
	const PhDeliveryResult result = { .size = sizeof result, .flags = PH_DELIVERED_FINAL };
	size_t n = ph_delivery_n_recipients(delivery);

	ph_log_section(instance, PH_LOG_INFO, "discarded", "a message was thrown away",
	               PH_LOG_TEXT("id", ph_mail_id(mail)),
	               PH_LOG_TEXT("from", ph_mail_sender(mail)),
	               PH_LOG_TEXT("to", ph_delivery_recipient(delivery, 0)),
	               PH_LOG_NUMBER("recipients", n), PH_LOG_END);
	for (size_t i = 0; i < n; i++)
		ph_delivery_complete_with(delivery, i, &result);
}

static const PhTransport transport = {
	.size = sizeof transport,
	.flags = PH_TRANSPORT_COMMITS,
	.create = create,
	.destroy = destroy,
	.begin = begin,
};

static const PhOffer offers[] = { PH_OFFER_TRANSPORT("discard", &transport), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "discard",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "throws messages away",
	.offers = offers,
};

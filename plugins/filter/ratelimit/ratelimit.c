/* ratelimit.c: the ratelimit filter: so much mail in a time, and no more
 *
 * Messages are counted when their sender is named (those of a recipient when that is), recipients
 * when they are named, octets when all are there. What is refused is not counted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/slice.h>

#include "limit.h"

#include <arpa/inet.h>

enum {
	V6_KEPT = 8,      /* octets of a /64 */
	LIMITS_MAX = 64,  /* of one section */
	CHARGES_MAX = 64, /* of one question and limit: recipients of a message */
};

typedef struct {
	const char *const *limit; /* pairs of key and text */
	uint32_t action;
	int64_t entries;
} Settings;

typedef enum {
	ACTION_TEMPORARY = 0,
	ACTION_REJECT = 1,
	ACTION_DROP = 2,
} Action;

static const char *const action_words[] = { "temporary", "reject", "drop", NULL };

/* Charge: one use of one limit; its key is owned. */
typedef struct {
	const Limit *limit;
	PhTallyCharge charge;
} Charge;

typedef struct {
	const Settings *settings;
	GArray *limits; /* of Limit; does not change */
	PhTally *tally;
} Ratelimit;

static const PhOption options[] = {
	PH_OPTION_KEYS(Settings,
	               limit,
	               "N messages|recipients|octets per TIME of client|sender|user|recipient"),
	PH_OPTION_CHOICE(
		Settings,
		action,
		"temporary",
		action_words,
		"what is said above a limit: 451, 550, or 421 and the connection is closed"),
	PH_OPTION_INTEGER(Settings,
	                  entries,
	                  "100000",
	                  100,
	                  100000000,
	                  "most clients, senders, users and recipients that are remembered"),
	PH_OPTIONS_END,
};

static void
destroy(void *instance)
{
	Ratelimit *ratelimit = instance;

	ph_tally_close(ratelimit->tally);
	g_array_unref(ratelimit->limits);
	g_free(ratelimit);
}

static bool
read_limits(Ratelimit *ratelimit, GError **error)
{
	const char *const *rows = ratelimit->settings->limit;

	for (size_t i = 0; rows != NULL && rows[i] != NULL; i += 2) {
		Limit limit;

		if (!limit_parse(rows[i], rows[i + 1], &limit, error))
			return false;
		g_array_append_val(ratelimit->limits, limit);
	}
	if (ratelimit->limits->len > 0 && ratelimit->limits->len <= LIMITS_MAX)
		return true;
	ph_error_set(error, PH_ERROR_INVALID,
	             "there must be from 1 to 64 limits; write one such as "
	             "limit-1 = 100 messages per 1h of client");
	return false;
}

/* One a section: listeners that name it share it. */
static PhTally *
open_tally(PhSection *section, size_t entries)
{
	g_autofree char *name = g_strdup_printf("ratelimit-%s", ph_section_name(section));

	return ph_tally_open(section, name, entries);
}

static bool
create(PhSection *section, const void *settings_pointer, void **instance_out, GError **error)
{
	Ratelimit *ratelimit = g_new0(Ratelimit, 1);

	ratelimit->settings = settings_pointer;
	ratelimit->limits = g_array_new(FALSE, FALSE, sizeof(Limit));
	if (!read_limits(ratelimit, error)) {
		destroy(ratelimit);
		return false;
	}
	ratelimit->tally = open_tally(section, (size_t) ratelimit->settings->entries);
	*instance_out = ratelimit;
	return true;
}

/* --- charging --------------------------------------------------------------------------------- */

/* The address; of IPv6 its /64, because one client has that many. Returns: (owned). */
static char *
client_name(const char *address)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr v6;

	if (inet_pton(AF_INET6, address, &v6) != 1)
		return g_strdup(address);
	memset(v6.s6_addr + V6_KEPT, 0, sizeof v6.s6_addr - V6_KEPT);
	(void) inet_ntop(AF_INET6, &v6, text, sizeof text);
	return g_strdup(text);
}

/* Whose bucket is charged. Returns: (owned) NULL for nobody's. */
static char *
name_of(const Limit *limit, const PhMail *mail, size_t recipient)
{
	const char *client = ph_mail_fact(mail, "client-address");
	const char *sender = ph_mail_sender(mail);

	switch (limit->of) {
	case OF_CLIENT:
		return client != NULL ? client_name(client) : NULL;
	case OF_SENDER:
		return sender[0] != '\0' ? g_ascii_strdown(sender, -1) : NULL;
	case OF_USER:
		return ph_mail_user(mail) != NULL
		               ? g_strdup(ph_identity_address(ph_mail_user(mail)))
		               : NULL;
	case OF_RECIPIENT:
		return g_ascii_strdown(ph_mail_recipient(mail, recipient), -1);
	}
	return NULL;
}

/* At which stage is this counted? */
static uint32_t
stage_of(const Limit *limit)
{
	if (limit->unit == UNIT_OCTETS)
		return PH_STAGE_MESSAGE;
	if (limit->unit == UNIT_RECIPIENTS || limit->of == OF_RECIPIENT)
		return PH_STAGE_RECIPIENT;
	return PH_STAGE_SENDER;
}

static uint64_t
amount_of(const Limit *limit, const PhMail *mail)
{
	PhContent *content = ph_mail_content(mail);

	if (limit->unit != UNIT_OCTETS)
		return 1;
	return content != NULL ? ph_content_length(content) : 0;
}

static void
add_charge(GArray *charges, const Limit *limit, const PhMail *mail, size_t recipient)
{
	g_autofree char *whose = name_of(limit, mail, recipient);
	Charge charge = { .limit = limit };

	if (whose == NULL)
		return;
	limit_charge(limit, limit_key(limit, whose), amount_of(limit, mail), &charge.charge);
	g_array_append_val(charges, charge);
}

static void
clear_charge(void *data)
{
	g_free((char *) (uintptr_t) ((Charge *) data)->charge.key);
}

static GArray *
gather(const Ratelimit *ratelimit, const PhFilterQuestion *question)
{
	GArray *charges = g_array_new(FALSE, FALSE, sizeof(Charge));
	const PhMail *mail = question->mail;

	g_array_set_clear_func(charges, clear_charge);
	for (guint i = 0; i < ratelimit->limits->len; i++) {
		const Limit *limit = &g_array_index(ratelimit->limits, Limit, i);

		if (stage_of(limit) != question->stage)
			continue;
		if (limit->of != OF_RECIPIENT || question->stage == PH_STAGE_RECIPIENT) {
			add_charge(charges, limit, mail, question->recipient);
			continue;
		}
		for (size_t r = 0; r < ph_mail_n_recipients(mail) && r < CHARGES_MAX; r++)
			add_charge(charges, limit, mail, r);
	}
	return charges;
}

static void
refuse(const Ratelimit *ratelimit, const Limit *limit, uint64_t wait_us, PhVerdict *verdict)
{
	static const char *const units[] = { "messages", "recipients", "octets" };
	static const uint32_t results[] = { PH_VERDICT_TEMPORARY, PH_VERDICT_REJECT,
		                            PH_VERDICT_DROP };
	bool is_final = ratelimit->settings->action == ACTION_REJECT;

	verdict->result = results[ratelimit->settings->action];
	g_strlcpy(verdict->status, is_final ? "5.7.1" : "4.7.1", sizeof verdict->status);
	g_snprintf(verdict->text, sizeof verdict->text,
	           "Too many %s, please try again in %" G_GUINT64_FORMAT " seconds",
	           units[limit->unit], (guint64) (wait_us / G_USEC_PER_SEC + 1));
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Ratelimit *ratelimit = instance;
	g_autoptr(GArray) charges = gather(ratelimit, question);
	g_autofree PhTallyCharge *rows = g_new0(PhTallyCharge, charges->len);
	uint64_t wait_us = 0;
	size_t refused = 0;

	for (guint i = 0; i < charges->len; i++)
		rows[i] = g_array_index(charges, Charge, i).charge;
	refused = ph_tally_charge(ratelimit->tally, rows, charges->len, &wait_us);
	if (refused < charges->len)
		refuse(ratelimit, g_array_index(charges, Charge, refused).limit, wait_us,
		       &question->verdict);
	return true;
}

static uint32_t
wants(void *instance)
{
	const Ratelimit *ratelimit = instance;
	uint32_t stages = 0;

	for (guint i = 0; i < ratelimit->limits->len; i++)
		stages |= 1U << stage_of(&g_array_index(ratelimit->limits, Limit, i));
	return stages;
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_SENDER | 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_MESSAGE,
	.create = create,
	.destroy = destroy,
	.ask = ask,
	.wants = wants,
};

static const PhOffer offers[] = {
	{
		.kind = PH_KIND_FILTER,
		.name = "ratelimit",
		.filter = &filter,
		.not_isolated = "its counts are one table in the server's process",
	},
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "ratelimit",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "takes so much mail of everybody in a time, and no more",
	.options = options,
	.offers = offers,
};

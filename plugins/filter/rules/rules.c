/* rules.c: the rules filter: conditions and actions from the config
 *
 * Rules are looked at in the order of the file. One that gives a verdict ends that; a delay and a
 * change of the header do not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/secret.h>

#include "rule.h"

typedef struct {
	const char *const *rule; /* pairs of key and text */
} Settings;

typedef struct {
	GPtrArray *rules; /* of Rule */
} Rules;

static const PhOption options[] = {
	PH_OPTION_KEYS(Settings,
	               rule,
	               "at STAGE [if TEST and TEST ...] [with N% | every N] then ACTION"),
	PH_OPTIONS_END,
};

static void
free_rule(gpointer rule)
{
	rule_free(rule);
}

static void
destroy(void *instance)
{
	Rules *rules = instance;

	g_ptr_array_unref(rules->rules);
	g_free(rules);
}

static bool
create(PhSection *section, const void *settings_pointer, void **instance_out, GError **error)
{
	const Settings *settings = settings_pointer;
	Rules *rules = g_new0(Rules, 1);

	rules->rules = g_ptr_array_new_with_free_func(free_rule);
	for (size_t i = 0; settings->rule != NULL && settings->rule[i] != NULL; i += 2) {
		Rule *rule = rule_parse(settings->rule[i], settings->rule[i + 1], error);

		if (rule == NULL) {
			destroy(rules);
			return false;
		}
		g_ptr_array_add(rules->rules, rule);
	}
	*instance_out = rules;
	return true;
}

/* Is it this one's turn? */
static bool
is_drawn(Rule *rule)
{
	const uint32_t all = 100;
	uint32_t random = 0;

	if (rule->every > 1)
		return ((uint32_t) g_atomic_int_add(&rule->n_seen, 1) + 1) % rule->every == 0;
	if (rule->percent == all)
		return true;
	ph_secret_random((uint8_t *) &random, sizeof random);
	return random % all < rule->percent;
}

/* All fields of that name. */
static bool
delete_headers(PhMail *mail, const char *name, GError **error)
{
	PhHeaderField field;
	PhSlice block;

	while (ph_mail_header(mail, &block, error)) {
		if (!ph_header_find(block, name, &field))
			return true;
		if (!ph_mail_header_delete(mail, name, 1, error))
			return false;
	}
	return false;
}

/* Returns: true when no other rule is looked at. */
static bool
apply(const Rule *rule, PhFilterQuestion *question, GError **error)
{
	uint64_t delay_us = question->verdict.delay.us + rule->verdict.delay.us;

	question->verdict.delay.us = delay_us;
	switch (rule->action) {
	case ACTION_VERDICT:
		question->verdict = rule->verdict;
		question->verdict.delay.us = delay_us;
		return true;
	case ACTION_ADD_HEADER:
		return !ph_mail_header_add(question->mail, rule->name, ph_slice(rule->value),
		                           error);
	case ACTION_DELETE_HEADER:
		return !delete_headers(question->mail, rule->name, error);
	case ACTION_DELAY:
		break;
	}
	return false;
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Rules *rules = instance;
	g_autoptr(GError) failure = NULL;

	for (guint i = 0; i < rules->rules->len && failure == NULL; i++) {
		Rule *rule = rules->rules->pdata[i];

		if (rule_holds(rule, question, &failure) && is_drawn(rule)
		    && apply(rule, question, &failure))
			break;
	}
	if (failure == NULL)
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static uint32_t
wants(void *instance)
{
	const Rules *rules = instance;
	uint32_t stages = 0;

	for (guint i = 0; i < rules->rules->len; i++)
		stages |= 1U << ((const Rule *) rules->rules->pdata[i])->stage;
	return stages;
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_CONNECT | 1U << PH_STAGE_HELO | 1U << PH_STAGE_SENDER
	          | 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_DATA | 1U << PH_STAGE_HEADER
	          | 1U << PH_STAGE_MESSAGE | 1U << PH_STAGE_DELIVERY,
	.create = create,
	.destroy = destroy,
	.ask = ask,
	.wants = wants,
};

static const PhOffer offers[] = { PH_OFFER_FILTER("rules", &filter), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "rules",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "conditions and actions on mail, from the config",
	.options = options,
	.offers = offers,
};

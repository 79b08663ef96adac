/* chain.c: asks directories in order until one knows the user
 *
 * A directory without the ability that is asked for is passed over. A password that no directory
 * could be asked about costs as much as a wrong one ([DIR-1]).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/chain.h"

#include <posthorn/error.h>

/* Question: one of the four, so that the walk along the chain is written once. */
typedef struct Question Question;

struct Question {
	PhVerify (*ask)(const PhDirectory *table,
	                void *instance,
	                const Question *question,
	                GError **error);
	const char *name;
	const PhSecret *secret;
	const char *scheme;
	PhIdentity **identity_out;
	PhSecret **secret_out;
	PhListFunc func;
	void *user_data;
};

static PhVerify
ask_verify(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	if (table->verify == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return table->verify(instance, question->name, question->secret, question->identity_out,
	                     error);
}

static PhVerify
ask_lookup(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	return table->lookup(instance, question->name, question->identity_out, error);
}

static PhVerify
ask_secret(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	if (table->secret == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return table->secret(instance, question->name, question->scheme, question->secret_out,
	                     error);
}

static PhVerify
ask_expand(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	if (table->expand == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return table->expand(instance, question->name, question->func, question->user_data, error);
}

static PhVerify
ask_entered(PhCall *call, const Question *question, GError **error)
{
	PhSection *section = call->section;
	PhVerify result = question->ask(ph_section_table(section), ph_section_instance(section),
	                                question, error);

	ph_call_end(call, result != PH_VERIFY_ERROR);
	if (result == PH_VERIFY_ERROR)
		g_prefix_error(error, "directory '%s': ", ph_section_name(section));
	return result;
}

static PhVerify
ask_one(PhSection *section, const Question *question, GError **error)
{
	PhCall call;

	if (ph_call_begin(&call, section, error))
		return ask_entered(&call, question, error);
	g_prefix_error(error, "directory '%s': ", ph_section_name(section));
	return PH_VERIFY_ERROR;
}

static PhVerify
ask_chain(PhChain chain, const Question *question, GError **error)
{
	for (; chain != NULL && *chain != NULL; chain++) {
		PhVerify result = ask_one(*chain, question, error);
		if (result != PH_VERIFY_UNKNOWN_USER)
			return result;
	}
	return PH_VERIFY_UNKNOWN_USER;
}

/* --- in steps --- */

bool
ph_chain_walk(PhChainWalk *walk,
              const char *user,
              const PhSecret *secret,
              PhIdentity **identity_out,
              PhVerify *result_out,
              GError **error)
{
	const Question question = {
		.ask = secret != NULL ? ask_verify : ask_lookup,
		.name = user,
		.secret = secret,
		.identity_out = identity_out,
	};

	*result_out = PH_VERIFY_UNKNOWN_USER;
	for (; walk->at != NULL && *walk->at != NULL; walk->at++) {
		PhCall call;

		switch (ph_call_enter(&call, &walk->ticket, *walk->at, error)) {
		case PH_ENTRY_QUEUED:
			return false;
		case PH_ENTRY_REFUSED:
			g_prefix_error(error, "directory '%s': ", ph_section_name(*walk->at));
			*result_out = PH_VERIFY_ERROR;
			return true;
		case PH_ENTRY_GO:
			break;
		}
		*result_out = ask_entered(&call, &question, error);
		if (*result_out != PH_VERIFY_UNKNOWN_USER)
			return true;
	}
	return true;
}

void
ph_chain_walk_clear(PhChainWalk *walk)
{
	ph_ticket_clear(&walk->ticket);
}

/* --- at once --- */

PhVerify
ph_chain_lookup(PhChain chain, const char *address, PhIdentity **identity_out, GError **error)
{
	const Question question = { .ask = ask_lookup,
		                    .name = address,
		                    .identity_out = identity_out };

	return ask_chain(chain, &question, error);
}

PhVerify
ph_chain_secret(PhChain chain,
                const char *user,
                const char *scheme,
                PhSecret **secret_out,
                GError **error)
{
	const Question question = {
		.ask = ask_secret,
		.name = user,
		.scheme = scheme,
		.secret_out = secret_out,
	};

	return ask_chain(chain, &question, error);
}

PhVerify
ph_chain_expand(PhChain chain,
                const char *address,
                PhListFunc func,
                void *user_data,
                GError **error)
{
	const Question question = {
		.ask = ask_expand,
		.name = address,
		.func = func,
		.user_data = user_data,
	};

	return ask_chain(chain, &question, error);
}

static bool
gives(PhSection *section, const char *scheme)
{
	const PhDirectory *table = ph_section_table(section);

	if (table->secret == NULL)
		return false;
	return table->gives == NULL || table->gives(ph_section_instance(section), scheme);
}

bool
ph_chain_gives(PhChain chain, const char *scheme)
{
	for (; chain != NULL && *chain != NULL; chain++)
		if (gives(*chain, scheme))
			return true;
	return false;
}

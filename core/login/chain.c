/* chain.c: asks directories in order until one knows the user
 *
 * A directory without the ability that is asked for is passed over. A password that no directory
 * could be asked about costs as much as a wrong one ([DIR-1]). What a directory said a short while ago
 * is not asked again. A section's `on-wrong` and `on-error` say whether it has the last word.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/chain.h"

#include <posthorn/error.h>
#include <posthorn/transport.h>

#include "config/config.h"
#include "login/cache.h"
#include "login/question.h"
#include "login/rehash.h"

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
	PhCacheAnswer *answer; /* identity or members are put here */
	PhSecret **secret_out;
};

static PhVerify
ask_verify(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	if (table->verify == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return table->verify(instance, question->name, question->secret,
	                     &question->answer->identity, error);
}

static PhVerify
ask_lookup(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	return table->lookup(instance, question->name, &question->answer->identity, error);
}

static PhVerify
ask_secret(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	if (table->secret == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return table->secret(instance, question->name, question->scheme, question->secret_out,
	                     error);
}

static bool
add_member(const char *address, void *user_data)
{
	GPtrArray *members = user_data;

	g_ptr_array_add(members, g_strdup(address));
	return members->len <= PH_ROUTE_MEMBERS_MAX;
}

static PhVerify
ask_expand(const PhDirectory *table, void *instance, const Question *question, GError **error)
{
	g_autoptr(GPtrArray) members = NULL;
	PhVerify result;

	if (table->expand == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	members = g_ptr_array_new_with_free_func(g_free);
	result = table->expand(instance, question->name, add_member, members, error);
	if (result == PH_VERIFY_OK)
		question->answer->members = g_steal_pointer(&members);
	return result;
}

/* What a directory says must fit together, whatever it does. */
static PhVerify
settle(const Question *question, PhVerify result, GError **error)
{
	bool needs_user = question->ask == ask_verify || question->ask == ask_lookup;

	if (result != PH_VERIFY_OK)
		g_clear_pointer(&question->answer->identity, ph_identity_unref);
	if (result != PH_VERIFY_ERROR)
		g_clear_error(error);
	if (result != PH_VERIFY_OK || !needs_user || question->answer->identity != NULL)
		return result;
	ph_error_set(error, PH_ERROR_TEMPORARY, "it said yes without saying who");
	return PH_VERIFY_ERROR;
}

static PhVerify
ask_entered(PhCall *call, const Question *question, GError **error)
{
	PhSection *section = call->section;
	PhVerify result = PH_VERIFY_ERROR;

	ph_rehash_note(NULL, NULL);
	result = question->ask(ph_section_table(section), ph_section_instance(section), question,
	                       error);
	result = settle(question, result, error);
	if (result == PH_VERIFY_OK && question->ask == ask_verify)
		ph_rehash(section, question->answer->identity, question->secret);
	ph_call_end(call, result != PH_VERIFY_ERROR);
	return result;
}

static PhVerify
ask_one(PhSection *section, const Question *question, GError **error)
{
	PhCall call;

	return ph_call_begin(&call, section, error) ? ask_entered(&call, question, error)
	                                            : PH_VERIFY_ERROR;
}

/* --- which directory has the last word --------------------------------------------------------- */

bool
ph_chain_stops(PhSection *section, PhVerify result)
{
	const PhPluginSettings *settings = section->core_settings;

	if (result == PH_VERIFY_UNKNOWN_USER)
		return false;
	if (settings == NULL || result == PH_VERIFY_OK || result == PH_VERIFY_DISABLED)
		return true;
	return (result == PH_VERIFY_WRONG ? settings->on_wrong : settings->on_error)
	       == PH_ON_FALL_STOP;
}

/* One directory has answered. @failure: (owned, nullable) of an ERROR. True: the chain is over. */
static bool
note_answer(PhChainWalk *walk, PhSection *section, PhVerify result, GError *failure)
{
	if (result == PH_VERIFY_ERROR) {
		g_prefix_error(&failure, "directory '%s': ", ph_section_name(section));
		g_clear_error(&walk->failure);
		walk->failure = failure;
	}
	walk->is_wrong = walk->is_wrong || result == PH_VERIFY_WRONG;
	if (!ph_chain_stops(section, result))
		return false;
	if (result == PH_VERIFY_OK || result == PH_VERIFY_DISABLED)
		g_clear_error(&walk->failure);
	return true;
}

/* The answer of the chain as a whole. Who may be known to a directory that could not be asked is told
 * to try later, not that the password is wrong. */
static PhVerify
conclude(PhChainWalk *walk, PhVerify last, GError **error)
{
	if (walk->failure != NULL) {
		g_propagate_error(error, g_steal_pointer(&walk->failure));
		return PH_VERIFY_ERROR;
	}
	if (last == PH_VERIFY_OK || last == PH_VERIFY_DISABLED)
		return last;
	return walk->is_wrong ? PH_VERIFY_WRONG : PH_VERIFY_UNKNOWN_USER;
}

static PhCacheQuestion
kept_question(PhSection *section, const Question *question)
{
	return (PhCacheQuestion){ .section = section,
		                  .name = question->name,
		                  .secret = question->secret,
		                  .is_list = question->ask == ask_expand };
}

/* Stored forms are not kept. A directory that has no lists is not worth an entry for each name. */
static uint64_t
kept_version(const PhCacheQuestion *kept, const Question *question)
{
	const PhDirectory *table = ph_section_table(kept->section);

	if (question->ask == ask_secret || (kept->is_list && table->expand == NULL))
		return 0;
	return ph_cache_version(kept);
}

/* Asks the section at hand, or remembers what it said. */
static PhVerify
ask_or_remember(PhSection *section, const Question *question, GError **error)
{
	const PhCacheQuestion kept = kept_question(section, question);
	uint64_t version = kept_version(&kept, question);
	PhCacheAnswer *answer = question->answer;

	if (ph_cache_find(&kept, version, answer))
		return answer->result;
	answer->result = ask_one(section, question, error);
	ph_cache_keep(&kept, version, answer);
	return answer->result;
}

static PhVerify
ask_chain(PhChain chain, const Question *question, GError **error)
{
	PhChainWalk walk = { .at = chain };
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	for (; walk.at != NULL && *walk.at != NULL; walk.at++) {
		GError *failure = NULL;

		result = ask_or_remember(*walk.at, question, &failure);
		if (note_answer(&walk, *walk.at, result, failure))
			break;
	}
	return conclude(&walk, result, error);
}

/* --- in steps --- */

/* True: the section at hand has answered. */
static bool
take_answer(PhChainWalk *walk, const Question *question, GError **error)
{
	PhCacheAnswer *answer = question->answer;

	if (!ph_question_take(walk->question, &answer->result, &answer->identity, error))
		return false;
	g_clear_pointer(&walk->question, ph_question_drop);
	return true;
}

static bool
enter_and_ask(PhChainWalk *walk, const Question *question, GError **error)
{
	const PhDirectory *table = ph_section_table(*walk->at);
	PhCall call;

	switch (ph_call_enter(&call, &walk->ticket, *walk->at, error)) {
	case PH_ENTRY_QUEUED:
		return false;
	case PH_ENTRY_REFUSED:
		question->answer->result = PH_VERIFY_ERROR;
		return true;
	case PH_ENTRY_GO:
		break;
	}
	if (table->begin != NULL && question->ask != ask_expand) {
		walk->question = ph_question_ask(&call, question->name, question->secret);
		return take_answer(walk, question, error);
	}
	question->answer->result = ask_entered(&call, question, error);
	return true;
}

/* True: the section at hand has answered, now or before. */
static bool
ask_at_hand(PhChainWalk *walk, const Question *question, GError **error)
{
	const PhCacheQuestion kept = kept_question(*walk->at, question);
	bool is_new = walk->question == NULL && walk->ticket.section == NULL;

	if (is_new) {
		walk->version = kept_version(&kept, question);
		if (ph_cache_find(&kept, walk->version, question->answer))
			return true;
	}
	if (walk->question != NULL ? !take_answer(walk, question, error)
	                           : !enter_and_ask(walk, question, error))
		return false;
	ph_cache_keep(&kept, walk->version, question->answer);
	return true;
}

static bool
walk_on(PhChainWalk *walk, const Question *question, PhVerify *result_out, GError **error)
{
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	for (; walk->at != NULL && *walk->at != NULL; walk->at++) {
		GError *failure = NULL;

		if (!ask_at_hand(walk, question, &failure))
			return false;
		result = question->answer->result;
		if (note_answer(walk, *walk->at, result, failure))
			break;
	}
	*result_out = conclude(walk, result, error);
	return true;
}

bool
ph_chain_walk(PhChainWalk *walk,
              const char *user,
              const PhSecret *secret,
              PhIdentity **identity_out,
              PhVerify *result_out,
              GError **error)
{
	PhCacheAnswer answer = { .identity = NULL };
	const Question question = {
		.ask = secret != NULL ? ask_verify : ask_lookup,
		.name = user,
		.secret = secret,
		.answer = &answer,
	};

	if (!walk_on(walk, &question, result_out, error))
		return false;
	if (answer.identity != NULL)
		*identity_out = answer.identity;
	return true;
}

bool
ph_chain_walk_members(PhChainWalk *walk,
                      const char *address,
                      GPtrArray **members_out,
                      PhVerify *result_out,
                      GError **error)
{
	PhCacheAnswer answer = { .members = NULL };
	const Question question = { .ask = ask_expand, .name = address, .answer = &answer };

	if (!walk_on(walk, &question, result_out, error))
		return false;
	if (answer.members != NULL)
		*members_out = answer.members;
	return true;
}

void
ph_chain_walk_clear(PhChainWalk *walk)
{
	ph_ticket_clear(&walk->ticket);
	g_clear_pointer(&walk->question, ph_question_drop);
	g_clear_error(&walk->failure);
	walk->is_wrong = false;
}

PhDuration
ph_chain_walk_patience(const PhChainWalk *walk)
{
	return walk->question != NULL ? ph_question_patience(walk->question)
	                              : ph_ticket_patience(&walk->ticket);
}

void
ph_chain_walk_wake(PhChainWalk *walk, PhWake *wake)
{
	if (walk->question != NULL)
		ph_question_wake(walk->question, wake);
	else
		ph_ticket_wake(&walk->ticket, wake);
}

/* --- at once --- */

PhVerify
ph_chain_lookup(PhChain chain, const char *address, PhIdentity **identity_out, GError **error)
{
	PhCacheAnswer answer = { .identity = NULL };
	const Question question = { .ask = ask_lookup, .name = address, .answer = &answer };
	PhVerify result = ask_chain(chain, &question, error);

	if (answer.identity != NULL)
		*identity_out = answer.identity;
	return result;
}

PhVerify
ph_chain_secret(PhChain chain,
                const char *user,
                const char *scheme,
                PhSecret **secret_out,
                GError **error)
{
	PhCacheAnswer answer = { .identity = NULL };
	const Question question = {
		.ask = ask_secret,
		.name = user,
		.scheme = scheme,
		.answer = &answer,
		.secret_out = secret_out,
	};

	return ask_chain(chain, &question, error);
}

PhVerify
ph_chain_expand(PhChain chain, const char *address, GPtrArray **members_out, GError **error)
{
	PhCacheAnswer answer = { .members = NULL };
	const Question question = { .ask = ask_expand, .name = address, .answer = &answer };
	PhVerify result = ask_chain(chain, &question, error);

	if (answer.members != NULL)
		*members_out = answer.members;
	return result;
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

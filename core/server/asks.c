/* asks.c: what is asked of directories while an address is resolved
 *
 * An address may stand for a long list, and each wait begins anew: after a few the thread waits itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/asks.h"

#include <posthorn/log.h>

#include "login/chain.h"

#include <string.h>

enum {
	WAITS_MAX = 64,
};

/* Ask: one question that had to wait. Does not move: the section's queue knows the walk. */
typedef struct {
	PhSection *chain[2];
	bool wants_members;
	char *address;
	PhChainWalk walk;
	uint32_t result; /* PhVerify; LATER: not answered yet */
	PhIdentity *identity;
	GPtrArray *members;
} Ask;

struct PhAsks {
	GPtrArray *waited; /* Ask; the last may still wait */
};

static void
free_ask(void *data)
{
	Ask *ask = data;

	ph_chain_walk_clear(&ask->walk);
	ph_identity_unref(ask->identity);
	g_clear_pointer(&ask->members, g_ptr_array_unref);
	g_free(ask->address);
	g_free(ask);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ask, free_ask)

PhAsks *
ph_asks_new(void)
{
	PhAsks *asks = g_new0(PhAsks, 1);

	asks->waited = g_ptr_array_new_with_free_func(free_ask);
	return asks;
}

void
ph_asks_free(PhAsks *asks)
{
	if (asks == NULL)
		return;
	g_ptr_array_unref(asks->waited);
	g_free(asks);
}

void
ph_asks_clear(PhAsks *asks)
{
	g_ptr_array_set_size(asks->waited, 0);
}

static void
log_failure(PhSection *section, const char *address, const GError *error)
{
	ph_log_section(section, PH_LOG_WARNING, "lookup-failed", "the directory could not answer",
	               PH_LOG_TEXT("address", address), PH_LOG_FAILURE(error), PH_LOG_END);
}

/* Asks on; true when it was answered. */
static bool
step(Ask *ask)
{
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	bool is_answered = ask->wants_members ? ph_chain_walk_members(
				   &ask->walk, ask->address, &ask->members, &result, &error)
	                                      : ph_chain_walk(&ask->walk, ask->address, NULL,
	                                                      &ask->identity, &result, &error);

	if (!is_answered)
		return false;
	if (result == PH_VERIFY_ERROR)
		log_failure(ask->chain[0], ask->address, error);
	ask->result = result;
	return true;
}

static Ask *
find_waited(const PhAsks *asks, const Ask *wanted)
{
	for (guint i = 0; i < asks->waited->len; i++) {
		Ask *ask = asks->waited->pdata[i];

		if (ask->chain[0] == wanted->chain[0] && ask->wants_members == wanted->wants_members
		    && strcmp(ask->address, wanted->address) == 0)
			return ask;
	}
	return NULL;
}

static void
take_outputs(const Ask *ask, PhIdentity **identity_out, GPtrArray **members_out)
{
	if (ask->identity != NULL && identity_out != NULL)
		*identity_out = ph_identity_ref(ask->identity);
	if (ask->members != NULL && members_out != NULL)
		*members_out = g_ptr_array_ref(ask->members);
}

/* One that was asked before, or a new one, which is kept only if it must wait. */
static uint32_t
ask_in_steps(PhAsks *asks, const Ask *wanted, PhIdentity **identity_out, GPtrArray **members_out)
{
	Ask *before = find_waited(asks, wanted);
	g_autoptr(Ask) fresh = NULL;
	Ask *ask = before;

	if (ask == NULL) {
		fresh = g_new0(Ask, 1);
		fresh->chain[0] = wanted->chain[0];
		fresh->wants_members = wanted->wants_members;
		fresh->address = g_strdup(wanted->address);
		fresh->walk.at = fresh->chain;
		ask = fresh;
	}
	if (ask->result == PH_ASKS_LATER && !step(ask)) {
		if (before == NULL)
			g_ptr_array_add(asks->waited, g_steal_pointer(&fresh));
		return PH_ASKS_LATER;
	}
	take_outputs(ask, identity_out, members_out);
	return ask->result;
}

static uint32_t
ask_at_once(const Ask *wanted, PhIdentity **identity_out, GPtrArray **members_out)
{
	g_autoptr(GError) error = NULL;
	PhVerify result =
		wanted->wants_members
			? ph_chain_expand(wanted->chain, wanted->address, members_out, &error)
			: ph_chain_lookup(wanted->chain, wanted->address, identity_out, &error);

	if (result == PH_VERIFY_ERROR)
		log_failure(wanted->chain[0], wanted->address, error);
	return result;
}

static bool
may_wait(const PhAsks *asks, const Ask *wanted)
{
	return asks != NULL && (asks->waited->len < WAITS_MAX || find_waited(asks, wanted) != NULL);
}

uint32_t
ph_asks_user(PhAsks *asks, PhSection *directory, const char *address, PhIdentity **identity_out)
{
	const Ask wanted = { .chain = { directory, NULL },
		             .address = (char *) (uintptr_t) address };

	return may_wait(asks, &wanted) ? ask_in_steps(asks, &wanted, identity_out, NULL)
	                               : ask_at_once(&wanted, identity_out, NULL);
}

uint32_t
ph_asks_members(PhAsks *asks, PhSection *directory, const char *address, GPtrArray **members_out)
{
	const Ask wanted = { .chain = { directory, NULL },
		             .wants_members = true,
		             .address = (char *) (uintptr_t) address };
	const PhDirectory *table = ph_section_table(directory);

	if (table->expand == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return may_wait(asks, &wanted) ? ask_in_steps(asks, &wanted, NULL, members_out)
	                               : ask_at_once(&wanted, NULL, members_out);
}

static Ask *
last_ask(const PhAsks *asks)
{
	return asks->waited->pdata[asks->waited->len - 1];
}

void
ph_asks_wake(PhAsks *asks, PhWake *wake)
{
	ph_chain_walk_wake(&last_ask(asks)->walk, wake);
}

PhDuration
ph_asks_patience(const PhAsks *asks)
{
	return ph_chain_walk_patience(&last_ask(asks)->walk);
}

/* mechanism.h: one exchange with a mechanism, without a server, for unit tests
 *
 * A directory of one user stands behind the exchange; what it gives is written in the test.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MECHANISM_H
#define TEST_MECHANISM_H

#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include "config/section.h"
#include "login/exchange.h"

/* Person: who is known; NULL for what the directory does not keep. */
typedef struct {
	const char *user;
	const char *plain;
	const char *scheme; /* of the stored form */
	const char *stored;
	bool is_away;       /* the directory is */
	bool without_plain; /* it says that it gives no plain secrets */
	unsigned n_secrets; /* how often a secret was asked for */
} Person;

static PhVerify
person_lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	const Person *person = instance;
	const PhIdentityValues values = { .size = sizeof values, .user = address, .domain = "" };

	if (g_strcmp0(address, person->user) != 0)
		return PH_VERIFY_UNKNOWN_USER;
	*identity_out = ph_identity_new(&values, error);
	return PH_VERIFY_OK;
}

static PhVerify
person_secret(void *instance,
              const char *user,
              const char *scheme,
              PhSecret **secret_out,
              GError **error)
{
	Person *person = instance;
	const char *found = strcmp(scheme, "PLAIN") == 0             ? person->plain
	                    : g_strcmp0(scheme, person->scheme) == 0 ? person->stored
	                                                             : NULL;

	person->n_secrets++;
	if (person->is_away) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_TEMPORARY, "the server is away");
		return PH_VERIFY_ERROR;
	}
	if (g_strcmp0(user, person->user) != 0)
		return PH_VERIFY_UNKNOWN_USER;
	if (found == NULL)
		return PH_VERIFY_WRONG;
	*secret_out = ph_secret_new(ph_slice(found));
	return PH_VERIFY_OK;
}

static bool
person_gives(void *instance, const char *scheme)
{
	const Person *person = instance;

	return !person->without_plain || strcmp(scheme, "PLAIN") != 0;
}

static const PhDirectory person_directory = {
	.size = sizeof person_directory,
	.lookup = person_lookup,
	.secret = person_secret,
	.gives = person_gives,
};

/* Talk: one exchange. */
typedef struct {
	const PhMechanism *table;
	void *instance;
	void *state;
	PhOfferInfo offer;
	PhSection section;
	PhSection *chain[2];
	PhExchange exchange;
	GError *error;
} Talk;

static inline void
talk_begin(Talk *talk, const PhMechanism *table, void *instance, Person *person)
{
	*talk = (Talk){ .table = table, .instance = instance };
	talk->offer = (PhOfferInfo){ .kind = PH_KIND_DIRECTORY, .table = &person_directory };
	talk->section.word = "directory";
	talk->section.name = "people";
	talk->section.offer = &talk->offer;
	talk->section.instance = person;
	talk->chain[0] = &talk->section;
	talk->exchange.directories = talk->chain;
	talk->state = table->begin != NULL ? table->begin(instance, &talk->exchange) : NULL;
}

/* What a listener does with one response; @response: NULL for none. */
static inline PhStep
talk_say_octets(Talk *talk, const PhSlice *response)
{
	PhStep step = talk->table->step(talk->instance, talk->state, &talk->exchange, response,
	                                &talk->error);

	return step == PH_STEP_ASKED ? ph_exchange_ask(&talk->exchange, &talk->error) : step;
}

static inline PhStep
talk_say(Talk *talk, const char *response)
{
	PhSlice octets = ph_slice(response);

	return talk_say_octets(talk, response != NULL ? &octets : NULL);
}

/* The challenge as text. Returns: (owned). */
static inline char *
talk_challenge(const Talk *talk)
{
	const GByteArray *challenge = talk->exchange.challenge;

	return challenge == NULL ? g_strdup("")
	                         : g_strndup((const char *) challenge->data, challenge->len);
}

static inline void
talk_end(Talk *talk)
{
	if (talk->table->end != NULL)
		talk->table->end(talk->instance, talk->state);
	ph_exchange_clear(&talk->exchange);
	g_clear_error(&talk->error);
}

#endif

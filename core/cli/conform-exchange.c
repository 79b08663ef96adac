/* conform-exchange.c: exchanges for the conformance kit, with a directory of two users behind them
 *
 * The exchange is the core's own; the directory verifies, looks up and gives plain secrets. The second
 * user, "other", has the first one's password: whoever becomes it has got in by a mistake.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/conform-exchange.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/section.h"
#include "login/exchange.h"

#define OTHER_USER     "other"
#define OTHER_PASSWORD "another password"

static PhConformMechanism tried;

/* --- the directory --- */

/* Behind: an instance of it, for one exchange. */
typedef struct {
	PhConformPerson person;
	bool asked_password;
} Behind;

static PhVerify
find(const void *instance, const char *user, GError **error)
{
	PhConformPerson person = ((const Behind *) instance)->person;

	if (person == PH_CONFORM_AWAY) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the directory is away");
		return PH_VERIFY_ERROR;
	}
	if (person == PH_CONFORM_NOBODY)
		return PH_VERIFY_UNKNOWN_USER;
	return strcmp(user, tried.user) == 0 || strcmp(user, OTHER_USER) == 0
	               ? PH_VERIFY_OK
	               : PH_VERIFY_UNKNOWN_USER;
}

static const char *
password_of(const void *instance)
{
	return ((const Behind *) instance)->person == PH_CONFORM_KNOWN ? tried.password
	                                                               : OTHER_PASSWORD;
}

static PhVerify
lookup(void *instance, const char *user, PhIdentity **identity_out, GError **error)
{
	PhVerify result = find(instance, user, error);
	g_auto(GStrv) parts = g_strsplit(user, "@", 2);
	const PhIdentityValues values = { .size = sizeof values,
		                          .user = parts[0],
		                          .domain = parts[0] != NULL && parts[1] != NULL ? parts[1]
		                                                                         : "" };

	if (result == PH_VERIFY_OK) {
		*identity_out = ph_identity_new(&values, error);
		result = *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_ERROR;
	}
	return result;
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	PhVerify result = find(instance, user, error);

	((Behind *) instance)->asked_password = true;
	if (result != PH_VERIFY_OK)
		return result;
	if (!ph_slice_is(ph_secret_slice(secret), password_of(instance)))
		return PH_VERIFY_WRONG;
	return lookup(instance, user, identity_out, error);
}

static PhVerify
give_secret(void *instance,
            const char *user,
            const char *scheme,
            PhSecret **secret_out,
            GError **error)
{
	PhVerify result = find(instance, user, error);

	((Behind *) instance)->asked_password = true;
	if (result != PH_VERIFY_OK)
		return result;
	if (strcmp(scheme, "PLAIN") != 0)
		return PH_VERIFY_WRONG;
	*secret_out = ph_secret_new(ph_slice(password_of(instance)));
	return PH_VERIFY_OK;
}

static bool
gives(void *instance, const char *scheme)
{
	return strcmp(scheme, "PLAIN") == 0;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.verify = verify,
	.lookup = lookup,
	.secret = give_secret,
	.gives = gives,
};

/* --- exchanges --- */

typedef struct {
	PhExchange exchange;
	Behind behind;
	PhOfferInfo offer;
	PhSection section;
	PhSection *chain[2];
	void *state;
	GError *error;
} Exchange;

static void *
begin(PhConformPerson person)
{
	Exchange *mine = g_new0(Exchange, 1);

	mine->offer.kind = PH_KIND_DIRECTORY;
	mine->offer.table = &directory;
	mine->section.word = "directory";
	mine->section.name = "kit";
	mine->section.offer = &mine->offer;
	mine->behind.person = person;
	mine->section.instance = &mine->behind;
	mine->chain[0] = &mine->section;
	mine->exchange.directories = mine->chain;
	mine->exchange.certificate = tried.certificate;
	mine->state = tried.table->begin(tried.instance, &mine->exchange);
	return mine;
}

static void
step(void *data, const PhSlice *response, PhConformStep *out)
{
	Exchange *mine = data;
	PhExchange *exchange = &mine->exchange;

	g_clear_error(&mine->error);
	g_clear_pointer(&exchange->challenge, g_byte_array_unref);
	exchange->walk.at = NULL;
	*out = (PhConformStep){ .challenge = PH_SLICE_EMPTY };
	out->said =
		tried.table->step(tried.instance, mine->state, exchange, response, &mine->error);
	out->has_question = exchange->walk.at != NULL;
	out->step = out->said;
	if (out->said == PH_STEP_ASKED && out->has_question)
		out->step = ph_exchange_ask(exchange, &mine->error);
	out->has_challenge = exchange->challenge != NULL;
	if (out->has_challenge)
		out->challenge = PH_SLICE((const char *) exchange->challenge->data,
		                          exchange->challenge->len);
	if (out->step == PH_STEP_DONE && exchange->identity != NULL)
		out->identity = ph_identity_address(exchange->identity);
	out->asked_password = mine->behind.asked_password;
	out->error = mine->error;
}

static void
end(void *data)
{
	Exchange *mine = data;

	tried.table->end(tried.instance, mine->state);
	ph_exchange_clear(&mine->exchange);
	g_clear_error(&mine->error);
	g_free(mine);
}

void
ph_conform_exchange_set_up(PhConformMechanism *mechanism)
{
	mechanism->begin = begin;
	mechanism->step = step;
	mechanism->end = end;
	tried = *mechanism;
}

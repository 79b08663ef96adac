/* scram.c: one exchange of SCRAM, for any digest (RFC 5802, RFC 7677)
 *
 * What the server works with are the stored keys of the user, or keys that are derived from a plain
 * password with a salt that is invented for that name; for an unknown user all of it is invented,
 * and the exchange fails where a wrong password fails. Known or not, the same directories are asked
 * the same questions and the same digests are made.
 *
 * Channel binding: a client that binds must have chosen NAME-PLUS; one that says that the server
 * offers no binding ("y") while it does was told lies on the way: refused. RFC 5802 section 6,
 * RFC 5929 (tls-server-end-point), RFC 9266 (tls-exporter).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "scram.h"

#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/log.h>

#include "keys.h"
#include "message.h"

enum {
	SALT_OCTETS = 16,
	NONCE_OCTETS = 18, /* 144 bits; 24 characters of base64 */
	SHORT_KEY = 20,    /* octets of a key of SHA-1 */
};

const PhOption scram_options[] = {
	PH_OPTION_INTEGER(ScramSettings,
	                  iterations,
	                  "4096",
	                  4096,
	                  10000000,
	                  "rounds for users with a plain password and for unknown ones; stored "
	                  "keys have their own number, and it should be the same"),
	PH_OPTIONS_END,
};

const char *scram_fixed_nonce;

typedef struct {
	const ScramKind *kind;
	const ScramSettings *settings;
	size_t key_length;
} Instance;

typedef enum {
	AT_FIRST = 0, /* the client's first message comes next */
	AT_FINAL = 1,
	AT_END = 2, /* the client has seen our signature */
} Place;

typedef struct {
	Place place;
	bool known; /* the user has a secret */
	char *authzid;
	char *user;
	GString *message; /* AuthMessage, as far as it goes */
	GString *nonce;   /* both parts */
	GString *binding; /* what "c=" must hold */
	ScramKeys keys;
} State;

/* --- life --- */

bool
scram_create(const ScramKind *kind, const void *settings, void **instance_out, GError **error)
{
	size_t length = scram_key_length(kind->digest);
	if (length == 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED,
		            "the digest %s is not to be had from OpenSSL", kind->digest);
		return false;
	}

	Instance *instance = g_new0(Instance, 1);
	instance->kind = kind;
	instance->settings = settings;
	instance->key_length = length;
	*instance_out = instance;
	return true;
}

void
scram_destroy(void *instance)
{
	g_free(instance);
}

void *
scram_begin(void *instance, PhExchange *exchange)
{
	return g_new0(State, 1);
}

void
scram_end(void *instance, void *data)
{
	State *state = data;
	if (state == NULL)
		return;

	g_free(state->authzid);
	g_free(state->user);
	if (state->message != NULL)
		g_string_free(state->message, TRUE);
	if (state->nonce != NULL)
		g_string_free(state->nonce, TRUE);
	if (state->binding != NULL)
		g_string_free(state->binding, TRUE);
	ph_secret_wipe(&state->keys, sizeof state->keys);
	g_free(state);
}

/* --- what the user is proved with --- */

/* Secrets: what the directories gave; NULL for nothing. */
typedef struct {
	PhSecret *plain;
	PhSecret *stored;
} Secrets;

/* All that exist are asked for, whatever was found: the time must not tell. */
static bool
ask(const Instance *instance, PhExchange *exchange, PhSlice user, Secrets *secrets, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (ph_exchange_gives(exchange, "PLAIN"))
		secrets->plain = ph_exchange_secret(exchange, user, "PLAIN", &failure);
	if (failure == NULL)
		secrets->stored =
			ph_exchange_secret(exchange, user, instance->kind->scheme, &failure);
	if (failure == NULL)
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

/* The keys of a plain password. Without one, the same work for nothing. */
static bool
derive(const Instance *instance, PhExchange *exchange, PhSlice password, PhSlice salt, State *state)
{
	uint8_t salted[SCRAM_KEY_MAX];
	const PhDerivation how = {
		.size = sizeof how,
		.digest = instance->kind->digest,
		.salt = salt,
		.iterations = (uint32_t) instance->settings->iterations,
		.length = instance->key_length,
	};
	bool ok = ph_exchange_derive(exchange, &how, password, salted)
	          && scram_keys_from_salted(instance->kind->digest, salted, &state->keys);

	ph_secret_wipe(salted, sizeof salted);
	return ok;
}

/* What stands for the stored keys of somebody who has none: it is looked at, and not used. */
#define NO_KEYS(key) "4096,AAAAAAAAAAAAAAAAAAAAAA==," key "," key
static const char no_keys[] = NO_KEYS("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
static const char no_short_keys[] = NO_KEYS("AAAAAAAAAAAAAAAAAAAAAAAAAAA="); /* of SHA-1 */

/* Secret of nobody: so that both ways cost the same. False: the stored form is broken. */
static bool
use_stored(const Instance *instance,
           const PhSecret *secret,
           State *state,
           GString *salt,
           uint32_t *iterations)
{
	const char *nobodys = instance->key_length == SHORT_KEY ? no_short_keys : no_keys;
	PhSlice text = secret != NULL ? ph_secret_slice(secret) : ph_slice(nobodys);
	ScramStored stored = { .iterations = 0 };
	bool ok = scram_stored_parse(text, instance->key_length, &stored);

	if (ok && secret != NULL) {
		g_string_truncate(salt, 0);
		g_string_append_len(salt, stored.salt->str, (gssize) stored.salt->len);
		*iterations = stored.iterations;
		memcpy(state->keys.stored_key, stored.stored_key->str, instance->key_length);
		memcpy(state->keys.server_key, stored.server_key->str, instance->key_length);
	} else if (secret != NULL) {
		ph_log(PH_LOG_ERROR, "password-form", "a stored password cannot be understood",
		       PH_LOG_TEXT("user", state->user), PH_LOG_END);
	}
	scram_stored_clear(&stored);
	return ok && secret != NULL;
}

/* Salt, iterations and keys of the user, or invented ones. All is done for everybody: the time must
 * not tell who exists. */
static bool
find_keys(const Instance *instance,
          State *state,
          PhExchange *exchange,
          GString *salt,
          uint32_t *iterations,
          GError **error)
{
	PhSlice user = ph_slice(state->user);
	uint8_t invented[SALT_OCTETS];
	Secrets secrets = { NULL, NULL };
	bool derives = ph_exchange_gives(exchange, "PLAIN");
	if (!ask(instance, exchange, user, &secrets, error)) {
		ph_secret_free(secrets.plain);
		return false;
	}

	ph_exchange_invent(exchange, instance->kind->scheme, user, invented, sizeof invented);
	g_string_append_len(salt, (const char *) invented, sizeof invented);
	*iterations = (uint32_t) instance->settings->iterations;
	ph_exchange_invent(exchange, "keys", user, state->keys.stored_key, instance->key_length);
	ScramKeys others = state->keys;
	PhSlice password = secrets.plain != NULL ? ph_secret_slice(secrets.plain)
	                                         : PH_SLICE_LITERAL("invented");
	bool ok = !derives
	          || derive(instance, exchange, password, PH_SLICE(salt->str, salt->len), state);
	state->known = secrets.plain != NULL && ok;
	if (secrets.plain == NULL)
		state->keys = others;
	state->known |= use_stored(instance, secrets.stored, state, salt, iterations);
	ph_secret_free(secrets.plain);
	ph_secret_free(secrets.stored);
	return true;
}

/* --- the first message --- */

/* What "c=" must hold: the GS2 header and the octets of the channel. */
static bool
settle_binding(PhExchange *exchange, const ScramFirst *first, State *state)
{
	static const char *const types[] = { "tls-exporter", "tls-server-end-point" };
	bool is_bound = first->flag == 'p';

	if (is_bound != ph_exchange_is_plus(exchange))
		return false;
	if (first->flag == 'y' && ph_exchange_offers_plus(exchange))
		return false;
	state->binding = g_string_new_len(first->header.data, (gssize) first->header.length);
	if (!is_bound)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		g_autoptr(GByteArray) octets = g_byte_array_new();

		if (!ph_slice_is(first->binding_name, types[i]))
			continue;
		if (!ph_exchange_binding(exchange, types[i], octets))
			return false;
		g_string_append_len(state->binding, (const char *) octets->data, octets->len);
		return true;
	}
	return false;
}

static void
make_nonce(PhSlice clients, State *state)
{
	uint8_t octets[NONCE_OCTETS];

	state->nonce = g_string_new_len(clients.data, (gssize) clients.length);
	if (scram_fixed_nonce != NULL) {
		g_string_append(state->nonce, scram_fixed_nonce);
		return;
	}
	ph_secret_random(octets, sizeof octets);
	ph_base64_append(PH_SLICE((const char *) octets, sizeof octets), state->nonce);
}

static PhStep
answer_first(const Instance *instance,
             State *state,
             PhExchange *exchange,
             const ScramFirst *first,
             GError **error)
{
	g_autoptr(GString) salt = g_string_new(NULL);
	uint32_t iterations = 0;

	state->authzid = g_strdup(first->authzid);
	state->user = g_strdup(first->user);
	if (!find_keys(instance, state, exchange, salt, &iterations, error))
		return PH_STEP_ERROR;

	g_autoptr(GString) answer = g_string_new("r=");
	make_nonce(first->nonce, state);
	g_string_append_len(answer, state->nonce->str, (gssize) state->nonce->len);
	g_string_append(answer, ",s=");
	ph_base64_append(PH_SLICE(salt->str, salt->len), answer);
	g_string_append_printf(answer, ",i=%u", iterations);

	state->message = g_string_new_len(first->bare.data, (gssize) first->bare.length);
	g_string_append_c(state->message, ',');
	g_string_append_len(state->message, answer->str, (gssize) answer->len);
	g_string_append_c(state->message, ',');
	state->place = AT_FINAL;
	ph_exchange_challenge(exchange, PH_SLICE(answer->str, answer->len));
	return PH_STEP_CHALLENGE;
}

static PhStep
take_first(const Instance *instance,
           State *state,
           PhExchange *exchange,
           PhSlice response,
           GError **error)
{
	ScramFirst first;
	PhStep step = PH_STEP_MALFORMED;

	if (scram_first_parse(response, &first))
		step = settle_binding(exchange, &first, state)
		               ? answer_first(instance, state, exchange, &first, error)
		               : PH_STEP_FAILED;
	scram_first_clear(&first);
	return step;
}

/* --- the final message --- */

static PhStep
check_final(const Instance *instance, State *state, PhExchange *exchange, const ScramFinal *final)
{
	const char *digest = instance->kind->digest;
	uint8_t signature[SCRAM_KEY_MAX];

	g_string_append_len(state->message, final->without_proof.data,
	                    (gssize) final->without_proof.length);
	PhSlice message = PH_SLICE(state->message->str, state->message->len);
	bool fits = scram_proof_fits(digest, &state->keys, message,
	                             PH_SLICE(final->proof->str, final->proof->len));
	if (!fits || !state->known
	    || !ph_slice_equal(final->nonce, PH_SLICE(state->nonce->str, state->nonce->len))
	    || !g_string_equal(final->binding, state->binding))
		return PH_STEP_FAILED;

	g_autoptr(GString) answer = g_string_new("v=");
	size_t length = scram_server_signature(digest, &state->keys, message, signature);
	ph_base64_append(PH_SLICE((const char *) signature, length), answer);
	ph_exchange_challenge(exchange, PH_SLICE(answer->str, answer->len));
	state->place = AT_END;
	return PH_STEP_CHALLENGE;
}

static PhStep
take_final(const Instance *instance, State *state, PhExchange *exchange, PhSlice response)
{
	ScramFinal final;
	PhStep step = scram_final_parse(response, &final)
	                      ? check_final(instance, state, exchange, &final)
	                      : PH_STEP_MALFORMED;

	scram_final_clear(&final);
	return step;
}

PhStep
scram_step(void *data,
           void *state_data,
           PhExchange *exchange,
           const PhSlice *response,
           GError **error)
{
	const Instance *instance = data;
	State *state = state_data;

	if (response == NULL)
		return PH_STEP_MALFORMED;
	switch (state->place) {
	case AT_FIRST:
		if (state->user != NULL)
			return PH_STEP_MALFORMED;
		return take_first(instance, state, exchange, *response, error);
	case AT_FINAL:
		return take_final(instance, state, exchange, *response);
	case AT_END:
		break;
	}
	if (response->length > 0)
		return PH_STEP_MALFORMED;
	return ph_exchange_accept(exchange, ph_slice(state->authzid), ph_slice(state->user), error);
}

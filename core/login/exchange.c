/* exchange.c: the core's side of one authentication exchange
 *
 * What mechanisms may ask: verify a password, fetch a stored form, accept a user that the
 * mechanism proved itself. Names and passwords are prepared here, once, so that no directory sees
 * an unprepared one. Directories are asked when the step has returned, so that waiting for one that
 * is at its limit holds no thread. To act as somebody else than oneself is refused: there is no
 * policy yet that could allow it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/exchange.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "login/invent.h"
#include "login/password-digest.h"
#include "login/prepare.h"

#include <string.h>

static void
forget_question(PhExchange *exchange)
{
	ph_chain_walk_clear(&exchange->walk);
	g_clear_pointer(&exchange->authzid, g_free);
	g_clear_pointer(&exchange->secret, ph_secret_free);
}

void
ph_exchange_clear(PhExchange *exchange)
{
	forget_question(exchange);
	if (exchange->challenge != NULL)
		g_byte_array_unref(exchange->challenge);
	g_free(exchange->user);
	if (exchange->identity != NULL)
		ph_identity_unref(exchange->identity);
}

void
ph_exchange_challenge(PhExchange *exchange, PhSlice octets)
{
	if (exchange->challenge == NULL)
		exchange->challenge = g_byte_array_new();
	g_byte_array_set_size(exchange->challenge, 0);
	g_byte_array_append(exchange->challenge, (const guint8 *) octets.data,
	                    (guint) octets.length);
}

static bool
keep_user(PhExchange *exchange, PhSlice user)
{
	g_free(exchange->user);
	exchange->user = ph_prepare_name(user);
	return exchange->user != NULL;
}

/* May the user that was proved act as @authzid? Empty, the name that was used and the canonical
 * address all mean oneself. */
static bool
is_oneself(const PhExchange *exchange, const PhIdentity *identity)
{
	PhSlice authzid = ph_slice(exchange->authzid);

	return authzid.length == 0 || ph_slice_is(authzid, exchange->user)
	       || ph_slice_is(authzid, ph_identity_address(identity));
}

static PhStep
conclude(PhExchange *exchange, PhVerify result, PhIdentity *identity)
{
	g_autoptr(PhIdentity) proved = identity;

	switch (result) {
	case PH_VERIFY_OK:
		if (!is_oneself(exchange, proved))
			return PH_STEP_FAILED;
		exchange->identity = g_steal_pointer(&proved);
		return PH_STEP_DONE;
	case PH_VERIFY_ERROR:
		return PH_STEP_ERROR;
	case PH_VERIFY_DISABLED:
		exchange->disabled = true;
		return PH_STEP_FAILED;
	case PH_VERIFY_WRONG:
	case PH_VERIFY_UNKNOWN_USER:
		break;
	}
	return PH_STEP_FAILED;
}

/* @secret: (owned, nullable) */
static PhStep
ask_later(PhExchange *exchange, PhSlice authzid, PhSlice user, PhSecret *secret)
{
	forget_question(exchange);
	exchange->secret = secret;
	if (!keep_user(exchange, user) || ph_slice_find(authzid, '\0') >= 0)
		return PH_STEP_FAILED;
	exchange->authzid = ph_slice_dup(authzid);
	exchange->walk.at = exchange->directories;
	return PH_STEP_ASKED;
}

PhStep
ph_exchange_verify(PhExchange *exchange,
                   PhSlice authzid,
                   PhSlice user,
                   PhSlice password,
                   GError **error)
{
	PhSecret *secret = ph_prepare_secret(password);
	if (secret == NULL) {
		(void) keep_user(exchange, user);
		return PH_STEP_FAILED;
	}
	return ask_later(exchange, authzid, user, secret);
}

PhStep
ph_exchange_ask(PhExchange *exchange, GError **error)
{
	PhIdentity *identity = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	if (!ph_chain_walk(&exchange->walk, exchange->user, exchange->secret, &identity, &result,
	                   error))
		return PH_STEP_ASKED;

	PhStep step = conclude(exchange, result, identity);
	forget_question(exchange);
	return step;
}

PhSecret *
ph_exchange_secret(PhExchange *exchange, PhSlice user, const char *scheme, GError **error)
{
	if (!keep_user(exchange, user))
		return NULL;
	if (exchange->remote != NULL)
		return exchange->remote->secret(exchange, user, scheme, error);

	PhSecret *secret = NULL;
	PhVerify result =
		ph_chain_secret(exchange->directories, exchange->user, scheme, &secret, error);
	return result == PH_VERIFY_OK ? secret : NULL;
}

bool
ph_exchange_gives(PhExchange *exchange, const char *scheme)
{
	if (exchange->remote != NULL)
		return exchange->remote->gives(exchange, scheme);
	return ph_chain_gives(exchange->directories, scheme);
}

/* For exchanges of no server, as in tests and tools: one key for the life of the process. */
static const uint8_t *
key_of_process(void)
{
	static uint8_t key[PH_LOGIN_KEY_SIZE];
	static gsize made;

	if (g_once_init_enter(&made)) {
		ph_secret_random(key, sizeof key);
		g_once_init_leave(&made, 1);
	}
	return key;
}

void
ph_exchange_invent(PhExchange *exchange,
                   const char *purpose,
                   PhSlice user,
                   uint8_t *octets,
                   size_t n)
{
	const uint8_t *key = exchange->key != NULL ? exchange->key : key_of_process();
	g_autofree char *name = ph_prepare_name(user);

	if (exchange->remote != NULL) {
		exchange->remote->invent(exchange, purpose, user, octets, n);
		return;
	}
	ph_invent(key, purpose, name != NULL ? ph_slice(name) : user, octets, n);
}

bool
ph_exchange_derive(PhExchange *exchange, const PhDerivation *how, PhSlice password, uint8_t *key)
{
	g_autoptr(PhSecret) prepared = ph_prepare_secret(password);
	PhSlice secret = prepared != NULL ? ph_secret_slice(prepared) : PH_SLICE_EMPTY;
	bool done = false;

	g_return_val_if_fail(how->length <= PH_INVENT_MAX, false);
	ph_hash_slot_enter();
	done = ph_digest_derive(how->digest, secret, how->salt, how->iterations, key, how->length);
	ph_hash_slot_leave();
	return done;
}

PhStep
ph_exchange_accept(PhExchange *exchange, PhSlice authzid, PhSlice user, GError **error)
{
	return ask_later(exchange, authzid, user, NULL);
}

bool
ph_exchange_binding(PhExchange *exchange, const char *type, GByteArray *out)
{
	if (exchange->remote != NULL)
		return exchange->remote->binding(exchange, type, out);
	return exchange->session != NULL && ph_session_tls_binding(exchange->session, type, out);
}

bool
ph_exchange_is_plus(const PhExchange *exchange)
{
	return exchange->is_plus;
}

bool
ph_exchange_offers_plus(const PhExchange *exchange)
{
	return exchange->offers_plus;
}

bool
ph_exchange_certificate(PhExchange *exchange, GByteArray *out)
{
	if (exchange->remote != NULL)
		return exchange->remote->certificate(exchange, out);
	return exchange->session != NULL && ph_session_tls_certificate(exchange->session, out);
}

const char *
ph_exchange_hostname(PhExchange *exchange)
{
	if (exchange->remote != NULL)
		return exchange->remote->hostname(exchange);
	return exchange->session != NULL ? ph_session_hostname(exchange->session) : "localhost";
}

/* exchange.c: the core's side of one authentication exchange
 *
 * What mechanisms may ask: verify a password, fetch a stored form, accept a user that the
 * mechanism proved itself. Names and passwords are prepared here, once, so that no directory sees
 * an unprepared one. Directories are asked when the step has returned, so that waiting for one that
 * is at its limit holds no thread. To act as somebody else than
 * oneself needs a master directory or a group that may (`proxy-groups`).
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

static bool
is_in_proxy_group(const PhExchange *exchange, const PhIdentity *identity)
{
	const char *const *group = ph_identity_groups(identity);

	for (; exchange->proxy_groups != NULL && group != NULL && *group != NULL; group++)
		if (g_strv_contains(exchange->proxy_groups, *group))
			return true;
	return false;
}

/* Asks on, about the user or about whom it acts as. */
static PhStep
turn_to(PhExchange *exchange, PhExchangeStage stage)
{
	ph_chain_walk_clear(&exchange->walk);
	exchange->stage = stage;
	exchange->walk.at = stage == PH_EXCHANGE_MASTER ? exchange->masters : exchange->directories;
	return PH_STEP_ASKED;
}

/* The user was proved. */
static PhStep
let_in(PhExchange *exchange, PhIdentity *identity)
{
	g_autoptr(PhIdentity) proved = identity;

	if (exchange->stage == PH_EXCHANGE_OTHER
	    || (exchange->stage == PH_EXCHANGE_OWN && is_oneself(exchange, proved))) {
		exchange->identity = g_steal_pointer(&proved);
		return PH_STEP_DONE;
	}
	if (exchange->stage == PH_EXCHANGE_MASTER || is_in_proxy_group(exchange, proved))
		return turn_to(exchange, PH_EXCHANGE_OTHER);
	return PH_STEP_FAILED;
}

static PhStep
conclude(PhExchange *exchange, PhVerify result, PhIdentity *identity)
{
	switch (result) {
	case PH_VERIFY_OK:
		return let_in(exchange, identity);
	case PH_VERIFY_ERROR:
		return PH_STEP_ERROR;
	case PH_VERIFY_DISABLED:
		exchange->disabled = true;
		return PH_STEP_FAILED;
	case PH_VERIFY_UNKNOWN_USER:
		if (exchange->stage == PH_EXCHANGE_MASTER && exchange->authzid[0] != '\0')
			return turn_to(exchange, PH_EXCHANGE_OWN);
		break;
	case PH_VERIFY_WRONG:
		break;
	}
	return PH_STEP_FAILED;
}

/* "anna*admin": whom to act as, and who does. */
static void
split_master(const PhExchange *exchange, PhSlice *authzid, PhSlice *user)
{
	const char *separator = exchange->master_separator;
	const char *at = separator != NULL && separator[0] != '\0' && authzid->length == 0
	                                 && user->length > 0
	                         ? memrchr(user->data, separator[0], user->length)
	                         : NULL;

	if (at == NULL)
		return;
	*authzid = PH_SLICE(user->data, (size_t) (at - user->data));
	*user = ph_slice_from(*user, authzid->length + 1);
}

/* @secret: (owned, nullable) */
static PhStep
ask_later(PhExchange *exchange, PhSlice authzid, PhSlice user, PhSecret *secret)
{
	bool is_other = false;

	forget_question(exchange);
	exchange->secret = secret;
	split_master(exchange, &authzid, &user);
	if (!keep_user(exchange, user))
		return PH_STEP_FAILED;
	exchange->authzid = authzid.length > 0 ? ph_prepare_name(authzid) : g_strdup("");
	if (exchange->authzid == NULL)
		return PH_STEP_FAILED;
	is_other = exchange->authzid[0] != '\0' && strcmp(exchange->authzid, exchange->user) != 0;
	return turn_to(exchange, is_other && exchange->masters != NULL ? PH_EXCHANGE_MASTER
	                                                               : PH_EXCHANGE_OWN);
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
	PhStep step = PH_STEP_ASKED;

	while (step == PH_STEP_ASKED) {
		bool is_other = exchange->stage == PH_EXCHANGE_OTHER;
		PhIdentity *identity = NULL;
		PhVerify result = PH_VERIFY_ERROR;

		if (!ph_chain_walk(&exchange->walk, is_other ? exchange->authzid : exchange->user,
		                   is_other ? NULL : exchange->secret, &identity, &result, error))
			return PH_STEP_ASKED;
		step = conclude(exchange, result, identity);
	}
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
	if (exchange->session == NULL)
		g_byte_array_append(out, (const guint8 *) exchange->certificate.data,
		                    (guint) exchange->certificate.length);
	if (exchange->session == NULL)
		return exchange->certificate.length > 0;
	return ph_session_tls_certificate(exchange->session, out);
}

const char *
ph_exchange_hostname(PhExchange *exchange)
{
	if (exchange->remote != NULL)
		return exchange->remote->hostname(exchange);
	return exchange->session != NULL ? ph_session_hostname(exchange->session) : "localhost";
}

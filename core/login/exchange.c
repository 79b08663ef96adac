/* exchange.c: the core's side of one authentication exchange
 *
 * What mechanisms may ask: verify a password, fetch a stored form, accept a user that the
 * mechanism proved itself. Names and passwords are prepared here, once, so that no directory sees
 * an unprepared one. To act as somebody else than oneself is refused: there is no policy yet that
 * could allow it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/exchange.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "login/prepare.h"

void
ph_exchange_clear(PhExchange *exchange)
{
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
is_oneself(const PhExchange *exchange, PhSlice authzid, const PhIdentity *identity)
{
	return authzid.length == 0 || ph_slice_is(authzid, exchange->user)
	       || ph_slice_is(authzid, ph_identity_address(identity));
}

static PhStep
conclude(PhExchange *exchange, PhSlice authzid, PhVerify result, PhIdentity *identity)
{
	g_autoptr(PhIdentity) proved = identity;

	switch (result) {
	case PH_VERIFY_OK:
		if (!is_oneself(exchange, authzid, proved))
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

PhStep
ph_exchange_verify(PhExchange *exchange,
                   PhSlice authzid,
                   PhSlice user,
                   PhSlice password,
                   GError **error)
{
	g_autoptr(PhSecret) secret = ph_prepare_secret(password);
	if (!keep_user(exchange, user) || secret == NULL)
		return PH_STEP_FAILED;

	PhIdentity *identity = NULL;
	PhVerify result =
		ph_chain_verify(exchange->directories, exchange->user, secret, &identity, error);
	return conclude(exchange, authzid, result, identity);
}

PhSecret *
ph_exchange_secret(PhExchange *exchange, PhSlice user, const char *scheme, GError **error)
{
	if (!keep_user(exchange, user))
		return NULL;

	PhSecret *secret = NULL;
	PhVerify result =
		ph_chain_secret(exchange->directories, exchange->user, scheme, &secret, error);
	return result == PH_VERIFY_OK ? secret : NULL;
}

PhStep
ph_exchange_accept(PhExchange *exchange, PhSlice authzid, PhSlice user, GError **error)
{
	if (!keep_user(exchange, user))
		return PH_STEP_FAILED;

	PhIdentity *identity = NULL;
	PhVerify result = ph_chain_lookup(exchange->directories, exchange->user, &identity, error);
	return conclude(exchange, authzid, result, identity);
}

bool
ph_exchange_binding(PhExchange *exchange, const char *type, GByteArray *out)
{
	return exchange->session != NULL && ph_session_tls_binding(exchange->session, type, out);
}

const char *
ph_exchange_hostname(PhExchange *exchange)
{
	return exchange->session != NULL ? ph_session_hostname(exchange->session) : "localhost";
}

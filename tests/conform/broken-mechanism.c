/* broken-mechanism.c: a mechanism with one planted fault for each rule of the kit
 *
 * A challenge and the answer "user digest", like CRAM-MD5 but with SHA-256 over challenge and password.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

typedef struct {
	const char *fault; /* the rule that must find it; "none" */
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings, fault, "none", "the rule that this breaks"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

static bool
has(const void *instance, const char *fault)
{
	return strcmp(((const Settings *) instance)->fault, fault) == 0;
}

static GString *shared; /* of "together": a state for all */

static void *
begin(void *instance, PhExchange *exchange)
{
	if (has(instance, "together")) {
		shared = shared != NULL ? shared : g_string_sized_new(256);
		g_string_truncate(shared, 0);
		return shared;
	}
	return g_string_new(NULL);
}

static void
end(void *instance, void *state)
{
	if (state != NULL && !has(instance, "given-up") && !has(instance, "together"))
		g_string_free(state, TRUE);
}

static PhStep
ask(const void *instance, GString *challenge, PhExchange *exchange)
{
	uint8_t octets[16] = { 0 };

	if (!has(instance, "replayed"))
		ph_secret_random(octets, sizeof octets);
	for (size_t i = 0; i < sizeof octets; i++)
		g_string_append_printf(challenge, "%02x", octets[i]);
	if (!has(instance, "no-response"))
		ph_exchange_challenge(exchange, PH_SLICE(challenge->str, challenge->len));
	return PH_STEP_CHALLENGE;
}

static bool
is_right(const GString *challenge, const PhSecret *secret, PhSlice digest)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

	if (secret == NULL)
		return false;
	g_checksum_update(sum, (const guchar *) challenge->str, (gssize) challenge->len);
	g_checksum_update(sum, (const guchar *) ph_secret_slice(secret).data,
	                  (gssize) ph_secret_slice(secret).length);
	return ph_secret_equal(ph_slice(g_checksum_get_string(sum)), digest);
}

/* Faults in what an answer leads to. PH_STEP_ASKED: none of them. */
static PhStep
stumble(const void *instance, GString *state, PhExchange *exchange, PhSlice answer)
{
	if (has(instance, "malformed"))
		return PH_STEP_DONE;
	if (!has(instance, "endless"))
		return PH_STEP_ASKED;
	g_string_append_len(state, answer.data, (gssize) answer.length);
	ph_exchange_challenge(exchange, PH_SLICE_LITERAL("go on"));
	return PH_STEP_CHALLENGE;
}

static PhStep
judge(const void *instance, PhExchange *exchange, PhSlice user, const PhSecret *secret, bool right)
{
	if (has(instance, "unknown-user") && secret == NULL)
		return PH_STEP_MALFORMED;
	if (has(instance, "wrong-password") && secret != NULL)
		right = true;
	if (!right && has(instance, "changed-responses"))
		return ph_exchange_accept(exchange, PH_SLICE_EMPTY, PH_SLICE_LITERAL("other"),
		                          NULL);
	if (!right || has(instance, "good-login"))
		return PH_STEP_FAILED;
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, user, NULL);
}

static PhStep
check(const void *instance,
      GString *challenge,
      PhExchange *exchange,
      PhSlice answer,
      GError **error)
{
	PhStep fault = stumble(instance, challenge, exchange, answer);
	PhSlice digest = answer;
	PhSlice user = ph_slice_split(&digest, ' ');
	g_autoptr(GError) failure = NULL;
	g_autoptr(PhSecret) secret = NULL;

	if (fault != PH_STEP_ASKED)
		return fault;
	if (user.length == 0 || digest.length == 0)
		return PH_STEP_MALFORMED;
	secret = ph_exchange_secret(exchange, user, "PLAIN", &failure);
	if (failure != NULL && !has(instance, "directory-away")) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return PH_STEP_ERROR;
	}
	return judge(instance, exchange, user, secret, is_right(challenge, secret, digest));
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	GString *challenge = state;

	if (challenge->len == 0)
		return ask(instance, challenge, exchange);
	return response != NULL ? check(instance, challenge, exchange, *response, error)
	                        : PH_STEP_MALFORMED;
}

#define MECHANISM(name)                                                                    \
	{                                                                                  \
		.size = sizeof(PhMechanism), .flags = PH_MECHANISM_NEEDS_SECRET,           \
		.sasl_name = (name), .create = create, .destroy = destroy, .begin = begin, \
		.step = step, .end = end,                                                  \
	}

static const PhMechanism mechanism = MECHANISM("BROKEN");
static const PhMechanism misnamed = MECHANISM("broken name");

static const PhOffer offers[] = { PH_OFFER_MECHANISM("broken", &mechanism),
	                          PH_OFFER_MECHANISM("misnamed", &misnamed), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "broken",
	.version = "1",
	.licence = "LGPL-2.1-or-later",
	.summary = "one planted fault for each rule",
	.options = options,
	.offers = offers,
};

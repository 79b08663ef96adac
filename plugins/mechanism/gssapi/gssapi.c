/* gssapi.c: SASL GSSAPI (RFC 4752): Kerberos tickets, by libgssapi_krb5
 *
 * Tokens go to and fro until the context stands; then the server offers no security layer, and the
 * client says whom it wants to be. The keys are those of the section's keytab. Replayed tickets are
 * noticed in a file in the data directory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include "layer.h"

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

enum {
	TOKEN_MAX = 65536,
};

typedef struct {
	const char *keytab;
	const char *const *realms;
	uint32_t user_from;
} Settings;

static const char *const user_words[] = { "address", "name", NULL };

static const PhOption options[] = {
	PH_OPTION_PATH(Settings,
	               keytab,
	               PH_REQUIRED,
	               "file with the keys of the services: imap/mail.example.org and so on"),
	PH_OPTION_LIST(Settings,
	               realms,
	               PH_ABSENT,
	               "realms whose users may log in; absent: any that the keys belong to"),
	PH_OPTION_CHOICE(Settings,
	                 user_from,
	                 "address",
	                 user_words,
	                 "address: anna@EXAMPLE.ORG is anna@example.org; name: she is anna"),
	PH_OPTIONS_END,
};

typedef struct {
	PhSection *section;
	const Settings *settings;
	PrincipalRules rules;
	char *keytab;
	char *replays;
} Instance;

/* --- life --------------------------------------------------------------------------------------- */

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Instance *instance = NULL;

	if (settings == NULL) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_INVALID,
		                    "it needs a section of its own with 'keytab'");
		return false;
	}
	instance = g_new0(Instance, 1);
	instance->section = section;
	instance->settings = settings;
	instance->rules.realms = settings->realms;
	instance->rules.with_realm = settings->user_from == 0;
	instance->keytab = g_strconcat("FILE:", settings->keytab, NULL);
	instance->replays = g_strdup_printf("file2:%s/gssapi.replays", ph_section_data(section));
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	g_free(instance->keytab);
	g_free(instance->replays);
	g_free(instance);
}

typedef enum {
	AT_CONTEXT = 0, /* tokens go to and fro */
	AT_OFFER = 1,   /* the client has to acknowledge our last token */
	AT_CHOICE = 2,  /* the client's choice of a layer comes next */
} Place;

typedef struct {
	Place place;
	gss_cred_id_t keys;
	gss_ctx_id_t context;
	char *user; /* (nullable) whom the ticket proves */
} State;

static void *
begin(void *instance, PhExchange *exchange)
{
	State *state = g_new0(State, 1);

	state->keys = GSS_C_NO_CREDENTIAL;
	state->context = GSS_C_NO_CONTEXT;
	return state;
}

static void
end(void *instance, void *data)
{
	State *state = data;
	OM_uint32 minor = 0;
	if (state == NULL)
		return;

	if (state->context != GSS_C_NO_CONTEXT)
		(void) gss_delete_sec_context(&minor, &state->context, GSS_C_NO_BUFFER);
	if (state->keys != GSS_C_NO_CREDENTIAL)
		(void) gss_release_cred(&minor, &state->keys);
	g_free(state->user);
	g_free(state);
}

/* --- what the library says ------------------------------------------------------------------------ */

static char *
reason_of(OM_uint32 major, OM_uint32 minor)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 ignored = 0;
	OM_uint32 more = 0;
	bool by_mechanism = minor != 0;
	char *reason = NULL;

	if (gss_display_status(&ignored, by_mechanism ? minor : major,
	                       by_mechanism ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, GSS_C_NO_OID, &more,
	                       &text)
	    != GSS_S_COMPLETE)
		return g_strdup("unknown");
	reason = g_strndup(text.value, text.length);
	(void) gss_release_buffer(&ignored, &text);
	return reason;
}

static PhStep
refuse(const Instance *instance, OM_uint32 major, OM_uint32 minor)
{
	g_autofree char *reason = reason_of(major, minor);

	ph_log_section(instance->section, PH_LOG_WARNING, "ticket-refused", "a ticket is refused",
	               PH_LOG_TEXT("why", reason), PH_LOG_END);
	return PH_STEP_FAILED;
}

/* The keys of the section, for one exchange. */
static bool
take_keys(const Instance *instance, State *state, GError **error)
{
	gss_key_value_element_desc elements[] = { { "keytab", instance->keytab },
		                                  { "rcache", instance->replays } };
	const gss_key_value_set_desc store = { G_N_ELEMENTS(elements), elements };
	OM_uint32 minor = 0;
	OM_uint32 major = GSS_S_COMPLETE;

	if (state->keys != GSS_C_NO_CREDENTIAL)
		return true;
	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
	                              GSS_C_ACCEPT, &store, &state->keys, NULL, NULL);
	if (major == GSS_S_COMPLETE)
		return true;
	g_autofree char *reason = reason_of(major, minor);
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "the keys in '%s' cannot be used: %s",
	            instance->settings->keytab, reason);
	return false;
}

/* --- the exchange ------------------------------------------------------------------------------- */

static PhStep
offer_layer(const Instance *instance, State *state, PhExchange *exchange)
{
	uint8_t octets[LAYER_OCTETS];
	gss_buffer_desc plain = { sizeof octets, octets };
	gss_buffer_desc wrapped = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 0;
	OM_uint32 major = GSS_S_COMPLETE;

	layer_offer(octets);
	major = gss_wrap(&minor, state->context, 0, GSS_C_QOP_DEFAULT, &plain, NULL, &wrapped);
	if (major != GSS_S_COMPLETE)
		return refuse(instance, major, minor);
	ph_exchange_challenge(exchange, PH_SLICE(wrapped.value, wrapped.length));
	(void) gss_release_buffer(&minor, &wrapped);
	state->place = AT_CHOICE;
	return PH_STEP_CHALLENGE;
}

static void
take_user(const Instance *instance, State *state, gss_name_t name)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 0;

	if (name == GSS_C_NO_NAME || gss_display_name(&minor, name, &text, NULL) != GSS_S_COMPLETE)
		return;
	state->user = principal_user(PH_SLICE(text.value, text.length), &instance->rules);
	(void) gss_release_buffer(&minor, &text);
}

static PhStep
take_context(const Instance *instance, State *state, PhExchange *exchange, PhSlice response)
{
	gss_buffer_desc given = { response.length, (void *) (uintptr_t) response.data };
	gss_buffer_desc answer = GSS_C_EMPTY_BUFFER;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 minor = 0;
	OM_uint32 ignored = 0;
	OM_uint32 major = gss_accept_sec_context(&minor, &state->context, state->keys, &given,
	                                         GSS_C_NO_CHANNEL_BINDINGS, &name, NULL, &answer,
	                                         NULL, NULL, NULL);
	bool says = !GSS_ERROR(major) && answer.length > 0;

	if (major == GSS_S_COMPLETE)
		take_user(instance, state, name);
	if (says)
		ph_exchange_challenge(exchange, PH_SLICE(answer.value, answer.length));
	(void) gss_release_buffer(&ignored, &answer);
	(void) gss_release_name(&ignored, &name);
	if (GSS_ERROR(major))
		return refuse(instance, major, minor);
	if (major == GSS_S_COMPLETE)
		state->place = AT_OFFER;
	if (says)
		return PH_STEP_CHALLENGE;
	return major == GSS_S_COMPLETE ? offer_layer(instance, state, exchange) : PH_STEP_MALFORMED;
}

/* Does the client want to be whom its ticket proves? "anna" is said for anna@example.org too. */
static bool
is_oneself(PhSlice authzid, PhSlice user)
{
	return ph_slice_equal_nocase(authzid, user)
	       || (ph_slice_find(authzid, '@') < 0
	           && ph_slice_equal(authzid, ph_slice_split(&user, '@')));
}

static PhStep
take_choice(const Instance *instance,
            State *state,
            PhExchange *exchange,
            PhSlice response,
            GError **error)
{
	gss_buffer_desc wrapped = { response.length, (void *) (uintptr_t) response.data };
	gss_buffer_desc plain = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor = 0;
	OM_uint32 major = gss_unwrap(&minor, state->context, &wrapped, &plain, NULL, NULL);
	g_autofree char *authzid = NULL;

	if (major != GSS_S_COMPLETE)
		return refuse(instance, major, minor);
	authzid = layer_choice(PH_SLICE(plain.value, plain.length));
	(void) gss_release_buffer(&minor, &plain);
	if (authzid == NULL)
		return PH_STEP_MALFORMED;
	if (state->user == NULL)
		return PH_STEP_FAILED;

	PhSlice user = ph_slice(state->user);
	bool same = is_oneself(ph_slice(authzid), user);
	return ph_exchange_accept(exchange, same ? PH_SLICE_EMPTY : ph_slice(authzid), user, error);
}

static PhStep
step(void *data, void *state_data, PhExchange *exchange, const PhSlice *response, GError **error)
{
	const Instance *instance = data;
	State *state = state_data;

	if (response == NULL || response->length > TOKEN_MAX)
		return PH_STEP_MALFORMED;
	switch (state->place) {
	case AT_CONTEXT:
		if (response->length == 0)
			return PH_STEP_MALFORMED;
		if (!take_keys(instance, state, error))
			return PH_STEP_ERROR;
		return take_context(instance, state, exchange, *response);
	case AT_OFFER:
		return response->length == 0 ? offer_layer(instance, state, exchange)
		                             : PH_STEP_MALFORMED;
	case AT_CHOICE:
		break;
	}
	return take_choice(instance, state, exchange, *response, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_CLIENT_FIRST | PH_MECHANISM_BLOCKS,
	.sasl_name = "GSSAPI",
	.create = create,
	.destroy = destroy,
	.begin = begin,
	.step = step,
	.end = end,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("gssapi", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "gssapi",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL GSSAPI: Kerberos tickets",
	.options = options,
	.offers = offers,
};

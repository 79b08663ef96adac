/* oauth.c: one exchange with a token, for both mechanisms
 *
 * A token is checked here against keys (JWT), or by asking whoever issued it (introspection, RFC
 * 7662). A client whose token is refused is told so in JSON, answers with nothing, and only then the
 * exchange fails (RFC 7628 section 3.2.3).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "oauth.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "http.h"
#include "source.h"
#include "token.h"

typedef struct {
	const char *keys;
	const char *keys_url;
	PhDuration keys_refresh;
	const char *introspection_url;
	const char *client_id;
	const PhSecret *client_secret;
	const char *ca_file;
	PhDuration request_timeout;
	const char *issuer;
	const char *const *audience;
	const char *const *algorithms;
	const char *const *scope;
	const char *user_claim;
	PhDuration leeway;
	const char *configuration_url;
} Settings;

const PhOption oauth_options[] = {
	PH_OPTION_PATH(Settings,
	               keys,
	               PH_ABSENT,
	               "JWK set in a file: the keys that tokens are signed with"),
	PH_OPTION_STRING(Settings, keys_url, PH_ABSENT, "the same at an address (https)"),
	PH_OPTION_DURATION(Settings, keys_refresh, "1h", "how often that address is asked"),
	PH_OPTION_STRING(Settings,
	                 introspection_url,
	                 PH_ABSENT,
	                 "instead of keys: an address (https) that is asked about each token"),
	PH_OPTION_STRING(Settings, client_id, PH_ABSENT, "our name there"),
	PH_OPTION_SECRET(Settings, client_secret, PH_ABSENT, "our password there"),
	PH_OPTION_PATH(Settings,
	               ca_file,
	               PH_ABSENT,
	               "PEM file of those who vouch for the addresses; absent: the system's"),
	PH_OPTION_DURATION(Settings, request_timeout, "5s", "most time for one question"),
	PH_OPTION_STRING(Settings,
	                 issuer,
	                 PH_ABSENT,
	                 "the claim 'iss' must be this; required with keys"),
	PH_OPTION_LIST(Settings,
	               audience,
	               PH_ABSENT,
	               "one of these must be in the claim 'aud'; required with keys"),
	PH_OPTION_LIST(Settings,
	               algorithms,
	               "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
	               "algorithms of signatures that are taken; also HS256 to HS512"),
	PH_OPTION_LIST(Settings, scope, PH_ABSENT, "a token must have all of these scopes"),
	PH_OPTION_STRING(Settings, user_claim, "email", "the claim that names the user"),
	PH_OPTION_DURATION(Settings, leeway, "60s", "how wrong clocks may be"),
	PH_OPTION_STRING(Settings,
	                 configuration_url,
	                 PH_ABSENT,
	                 "told to clients whose token is refused: openid-configuration"),
	PH_OPTIONS_END,
};

typedef struct {
	const OauthKind *kind;
	PhSection *section;
	const Settings *settings;
	KeySource *source; /* (nullable) with introspection */
} Instance;

/* --- life --------------------------------------------------------------------------------------- */

bool
oauth_load(GError **error)
{
	return http_load(error);
}

static const char *
fault_of(const Settings *settings)
{
	const char *const urls[] = { settings->keys_url, settings->introspection_url };
	unsigned sources = (settings->keys != NULL) + (settings->keys_url != NULL)
	                   + (settings->introspection_url != NULL);

	if (sources != 1)
		return "give one of 'keys', 'keys-url' and 'introspection-url'";
	if (settings->introspection_url == NULL
	    && (settings->issuer == NULL || settings->audience == NULL))
		return "keys need 'issuer' and 'audience': others have tokens of their own";
	for (size_t i = 0; i < G_N_ELEMENTS(urls); i++)
		if (urls[i] != NULL && !http_url_allowed(urls[i]))
			return "addresses begin with https://, or http:// to this machine";
	for (size_t i = 0; settings->algorithms != NULL && settings->algorithms[i] != NULL; i++)
		if (!token_algorithm_known(settings->algorithms[i]))
			return "there is an unknown algorithm in 'algorithms'";
	return NULL;
}

bool
oauth_create(const OauthKind *kind,
             PhSection *section,
             const void *data,
             void **instance_out,
             GError **error)
{
	const Settings *settings = data;
	const char *fault = settings != NULL ? fault_of(settings) : "it needs a section of its own";
	Instance *instance = NULL;

	if (fault != NULL) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_INVALID, fault);
		return false;
	}
	instance = g_new0(Instance, 1);
	instance->kind = kind;
	instance->section = section;
	instance->settings = settings;
	if (settings->introspection_url == NULL) {
		const KeySourceOptions options = { settings->keys, settings->keys_url,
			                           settings->ca_file, settings->keys_refresh,
			                           settings->request_timeout };
		instance->source = key_source_new(section, &options);
	}
	*instance_out = instance;
	return true;
}

void
oauth_destroy(void *data)
{
	Instance *instance = data;

	key_source_free(instance->source);
	g_free(instance);
}

/* --- whether a token is good ------------------------------------------------------------------ */

/* The claims of a token, signed by one of our keys. NULL with @why_out, or with @error. */
static JsonObject *
claims_by_keys(const Instance *instance, PhSlice token, const char **why_out, GError **error)
{
	bool wants_key = false;
	JsonObject *claims = NULL;

	for (int attempt = 0; attempt < 2 && claims == NULL; attempt++) {
		g_autoptr(KeySet) keys = key_source_get(instance->source, wants_key, error);

		if (keys == NULL)
			return NULL;
		claims = token_open(token, keys, instance->settings->algorithms, why_out,
		                    &wants_key);
		if (!wants_key)
			break;
	}
	return claims;
}

/* The same, from whoever issued it. */
static JsonObject *
claims_by_asking(const Instance *instance, PhSlice token, const char **why_out, GError **error)
{
	const Settings *settings = instance->settings;
	g_autofree char *escaped = http_escape(token);
	g_autofree char *form = g_strdup_printf("token=%s&token_type_hint=access_token", escaped);
	const HttpQuestion question = {
		settings->introspection_url, settings->ca_file,       form,
		settings->client_id,         settings->client_secret, settings->request_timeout
	};
	g_autoptr(GString) body = http_ask(&question, error);
	g_autoptr(JsonObject) answer = NULL;

	ph_secret_wipe(escaped, strlen(escaped));
	ph_secret_wipe(form, strlen(form));
	if (body == NULL)
		return NULL;
	answer = json_object_parse(PH_SLICE(body->str, body->len));
	if (answer == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "'%s' does not answer in JSON",
		            settings->introspection_url);
		return NULL;
	}
	JsonNode *active = json_object_get_member(answer, "active");
	if (active != NULL && JSON_NODE_HOLDS_VALUE(active)
	    && json_node_get_value_type(active) == G_TYPE_BOOLEAN && json_node_get_boolean(active))
		return g_steal_pointer(&answer);
	*why_out = "whoever issued it says that it is not valid";
	return NULL;
}

/* Whose token it is. Returns: (owned) NULL with @why_out, or with @error. */
static char *
user_of(const Instance *instance, PhSlice token, const char **why_out, GError **error)
{
	const Settings *settings = instance->settings;
	const Rules rules = {
		.issuer = settings->issuer,
		.audience = settings->audience,
		.scope = settings->scope,
		.user_claim = settings->user_claim,
		.leeway = (int64_t) (settings->leeway.us / G_USEC_PER_SEC),
		.must_expire = instance->source != NULL,
	};
	g_autoptr(JsonObject) claims = instance->source != NULL
	                                       ? claims_by_keys(instance, token, why_out, error)
	                                       : claims_by_asking(instance, token, why_out, error);
	if (claims == NULL)
		return NULL;
	return g_strdup(claims_user(claims, &rules, g_get_real_time() / G_USEC_PER_SEC, why_out));
}

/* --- the exchange ------------------------------------------------------------------------------- */

/* State: has the client been told that its token is refused? */
typedef struct {
	bool is_refused;
} State;

void *
oauth_begin(void *instance, PhExchange *exchange)
{
	return g_new0(State, 1);
}

void
oauth_end(void *instance, void *state)
{
	g_free(state);
}

static void
add_member(JsonBuilder *builder, const char *name, const char *value)
{
	if (value == NULL)
		return;
	json_builder_set_member_name(builder, name);
	json_builder_add_string_value(builder, value);
}

static PhStep
refuse(const Instance *instance, State *state, PhExchange *exchange, const char *why)
{
	const Settings *settings = instance->settings;
	g_autofree char *scope = settings->scope != NULL
	                                 ? g_strjoinv(" ", (char **) (uintptr_t) settings->scope)
	                                 : NULL;
	g_autoptr(JsonBuilder) builder = json_builder_new_immutable();
	g_autoptr(JsonNode) root = NULL;
	g_autofree char *text = NULL;

	ph_log_section(instance->section, PH_LOG_WARNING, "token-refused", "a token is refused",
	               PH_LOG_TEXT("why", why), PH_LOG_END);
	json_builder_begin_object(builder);
	add_member(builder, "status", instance->kind->is_google ? "401" : "invalid_token");
	add_member(builder, "schemes", instance->kind->is_google ? "bearer" : NULL);
	add_member(builder, "scope", scope);
	add_member(builder, "openid-configuration", settings->configuration_url);
	json_builder_end_object(builder);
	root = json_builder_get_root(builder);
	text = json_to_string(root, false);
	state->is_refused = true;
	ph_exchange_challenge(exchange, ph_slice(text));
	return PH_STEP_CHALLENGE;
}

/* The name that the client gave is the token's user, or another name of the same. */
static PhStep
accept_user(PhExchange *exchange, const char *name, const char *user, GError **error)
{
	bool same = g_ascii_strcasecmp(name, user) == 0;

	return ph_exchange_accept(exchange, same ? PH_SLICE_EMPTY : ph_slice(name), ph_slice(user),
	                          error);
}

static PhStep
take_token(const Instance *instance,
           State *state,
           PhExchange *exchange,
           PhSlice response,
           GError **error)
{
	OauthMessage message;
	PhStep step = PH_STEP_MALFORMED;
	g_autoptr(GError) failure = NULL;
	const char *why = NULL;

	if (instance->kind->parse(response, &message)) {
		g_autofree char *user = user_of(instance, message.token, &why, &failure);

		if (failure != NULL)
			step = PH_STEP_ERROR;
		else if (user == NULL)
			step = refuse(instance, state, exchange, why);
		else
			step = accept_user(exchange, message.user, user, error);
	}
	oauth_message_clear(&message);
	if (failure != NULL)
		g_propagate_error(error, g_steal_pointer(&failure));
	return step;
}

PhStep
oauth_step(void *data,
           void *state_data,
           PhExchange *exchange,
           const PhSlice *response,
           GError **error)
{
	State *state = state_data;

	if (response == NULL)
		return PH_STEP_MALFORMED;
	if (state->is_refused)
		return PH_STEP_FAILED;
	return take_token(data, state, exchange, *response, error);
}

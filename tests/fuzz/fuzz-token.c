/* fuzz-token.c: OAUTHBEARER and XOAUTH2 messages, JWK sets, tokens and their claims
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "message.h"
#include "token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key_text[] =
	"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"
	"aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
	"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void
check_message(PhSlice text, bool (*parse)(PhSlice message, OauthMessage *out))
{
	OauthMessage message;

	if (parse(text, &message)) {
		g_assert_cmpuint(message.token.length, >, 0);
		g_assert_true(message.token.data >= text.data);
		g_assert_nonnull(message.user);
	}
	oauth_message_clear(&message);
}

static void
check_claims(PhSlice text)
{
	static const char *const audience[] = { "mail", NULL };
	static const char *const scope[] = { "imap", NULL };
	const Rules rules = { "joe", audience, scope, "email", 60, true };
	g_autoptr(JsonObject) claims = json_object_parse(text);
	const char *why = NULL;

	if (claims == NULL)
		return;
	const char *user = claims_user(claims, &rules, 1000, &why);
	g_assert_true((user == NULL) == (why != NULL));
}

static void
check_token(PhSlice text, const KeySet *keys)
{
	static const char *const algorithms[] = { "HS256", "EdDSA", "RS256", NULL };
	const char *why = NULL;
	bool wants_key = false;
	g_autoptr(JsonObject) claims = token_open(text, keys, algorithms, &why, &wants_key);

	g_assert_true((claims == NULL) == (why != NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KeySet *keys;
	PhSlice text = PH_SLICE((const char *) data, size);
	g_autoptr(KeySet) parsed = key_set_parse(text, true, NULL);

	if (keys == NULL)
		keys = key_set_parse(ph_slice(key_text), true, NULL);
	check_message(text, oauthbearer_parse);
	check_message(text, xoauth2_parse);
	check_claims(text);
	check_token(text, keys);
	return 0;
}

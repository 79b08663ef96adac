/* test-oauth.c: the examples of RFC 7628, 7515 and 8037, and tokens that must not log in
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "message.h"
#include "token.h"

#include <openssl/hmac.h>

#define PAYLOAD \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define OCT_KEY \
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
#define RSA_N                                                                                      \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt" \
	"0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX" \
	"ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5" \
	"IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"

/* The keys of RFC 7515 appendix A.1 to A.3 and RFC 8037 appendix A.2. */
static const char key_text[] =
	"{\"keys\":["
	"{\"kty\":\"oct\",\"k\":\"" OCT_KEY "\"},"
	"{\"kty\":\"RSA\",\"kid\":\"r\",\"use\":\"sig\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\","
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
	"{\"kty\":\"unheard of\"},"
	"{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}]}";

static const char hs256[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." PAYLOAD
			    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static const char rs256[] =
	"eyJhbGciOiJSUzI1NiJ9." PAYLOAD
	".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
	"O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNP"
	"vkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1ph"
	"CnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
static const char es256[] =
	"eyJhbGciOiJFUzI1NiJ9." PAYLOAD
	".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
static const char eddsa[] =
	"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
	"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static const char *const all[] = { "RS256", "ES256", "EdDSA", "HS256", NULL };
static const char *const no_secrets[] = { "RS256", "ES256", "EdDSA", NULL };

/* --- messages --- */

static void
the_examples_of_rfc_7628_are_understood(void)
{
	OauthMessage message;

	g_assert_true(oauthbearer_parse(
		PH_SLICE_LITERAL("n,a=user@example.com,\001host=server.example.com\001port=143\001"
	                         "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\001\001"),
		&message));
	g_assert_cmpstr(message.user, ==, "user@example.com");
	g_assert_true(ph_slice_is(message.token, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
	oauth_message_clear(&message);
	g_assert_true(
		oauthbearer_parse(PH_SLICE_LITERAL("n,,\001auth=bearer x\001\001"), &message));
	g_assert_cmpstr(message.user, ==, "");
	oauth_message_clear(&message);
	g_assert_true(xoauth2_parse(PH_SLICE_LITERAL("user=someuser@example.com\001auth=Bearer "
	                                             "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
	                                             "\001\001"),
	                            &message));
	g_assert_cmpstr(message.user, ==, "someuser@example.com");
	oauth_message_clear(&message);
}

static void
what_is_no_message_is_refused(void)
{
	static const PhSlice bad[] = {
		PH_SLICE_LITERAL(""),
		PH_SLICE_LITERAL("\001"),
		PH_SLICE_LITERAL("n,,"),
		PH_SLICE_LITERAL("n,,\001\001"),
		PH_SLICE_LITERAL("n,,\001auth=Bearer x"),
		PH_SLICE_LITERAL("n,,\001auth=Bearer x\001"),
		PH_SLICE_LITERAL("n,,\001auth=Bearer \001\001"),
		PH_SLICE_LITERAL("n,,\001auth=Basic x\001\001"),
		PH_SLICE_LITERAL("n,,\001auth=Bearer x y\001\001"),
		PH_SLICE_LITERAL("n,,\001auth=Bearer x\001\001y"),
		PH_SLICE_LITERAL("n,,\001auth=Bearer x\001auth=Bearer y\001\001"),
		PH_SLICE_LITERAL("n,,\001=\001auth=Bearer x\001\001"),
		PH_SLICE_LITERAL("n,,\001auth\001\001"),
		PH_SLICE_LITERAL("n,a=,\001auth=Bearer x\001\001"),
		PH_SLICE_LITERAL("n,a=b=c,\001auth=Bearer x\001\001"),
		PH_SLICE_LITERAL("n,b=c,\001auth=Bearer x\001\001"),
		PH_SLICE_LITERAL("p=tls-exporter,,\001auth=Bearer x\001\001"),
		PH_SLICE_LITERAL("n,a=b\0c,\001auth=Bearer x\001\001"),
		PH_SLICE_LITERAL("user=x\001auth=Bearer\0x\001\001"),
		PH_SLICE_LITERAL("user=x\001auth=Bearer x\001"),
		PH_SLICE_LITERAL("user=\xff\001auth=Bearer x\001\001"),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		OauthMessage message;

		g_assert_false(oauthbearer_parse(bad[i], &message));
		oauth_message_clear(&message);
		g_assert_false(xoauth2_parse(bad[i], &message));
		oauth_message_clear(&message);
	}
}

/* --- signatures --- */

static KeySet *
keys(void)
{
	KeySet *set = key_set_parse(ph_slice(key_text), true, NULL);

	g_assert_nonnull(set);
	g_assert_cmpuint(set->keys->len, ==, 4);
	return set;
}

/* Why it is not taken; NULL: it is. */
static const char *
judge(const char *token, const KeySet *set, const char *const *algorithms)
{
	bool wants_key = false;
	const char *why = NULL;
	JsonObject *claims = token_open(ph_slice(token), set, algorithms, &why, &wants_key);

	g_assert_true((claims != NULL) == (why == NULL));
	if (claims != NULL)
		json_object_unref(claims);
	return why;
}

static void
the_signatures_of_rfc_7515_and_8037_are_right(void)
{
	g_autoptr(KeySet) set = keys();

	g_assert_cmpstr(judge(hs256, set, all), ==, NULL);
	g_assert_cmpstr(judge(rs256, set, all), ==, NULL);
	g_assert_cmpstr(judge(es256, set, all), ==, NULL);
	/* Its signature is right; what it signs is a sentence. */
	g_assert_cmpstr(judge(eddsa, set, all), ==, "its claims are no JSON object");
}

static void
a_changed_token_is_refused(void)
{
	static const char *const tokens[] = { hs256, rs256, es256, eddsa };
	g_autoptr(KeySet) set = keys();

	for (size_t i = 0; i < G_N_ELEMENTS(tokens); i++) {
		g_autofree char *changed = g_strdup(tokens[i]);
		size_t length = strlen(changed);

		changed[length - 10] = changed[length - 10] == 'A' ? 'B' : 'A';
		g_assert_cmpstr(judge(changed, set, all), ==, "its signature is wrong");
	}
}

/* A token of these parts, signed with HMAC and @key. Returns: (owned). */
static char *
sign(const char *header, const char *payload, PhSlice key)
{
	const char *const parts[] = { header, payload };
	g_autoptr(GString) text = g_string_new(NULL);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	for (size_t i = 0; i < 3; i++) {
		g_autofree char *part = NULL;

		if (i == 2)
			HMAC(EVP_sha256(), key.data, (int) key.length,
			     (const unsigned char *) text->str, text->len, digest, &length);
		part = i < 2 ? g_base64_encode((const guchar *) parts[i], strlen(parts[i]))
		             : g_base64_encode(digest, length);
		g_strdelimit(part, "+", '-');
		g_strdelimit(part, "/", '_');
		part[strcspn(part, "=")] = '\0';
		g_string_append_printf(text, "%s%s", i > 0 ? "." : "", part);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
an_algorithm_that_is_not_taken_is_refused(void)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\"}", "{\"alg\":\"None\"}", "{\"alg\":\"\"}", "{\"alg\":1}", "{}",
		"{\"alg\":\"HS256\"}"
	};
	static const char *const with_none[] = { "none", "None", "RS256", NULL };
	g_autoptr(KeySet) set = keys();

	for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
		g_autofree char *token = sign(headers[i], "{}", PH_SLICE_LITERAL("x"));

		g_assert_cmpstr(judge(token, set, with_none), ==,
		                "the algorithm of its signature is not taken");
		g_assert_cmpstr(judge(token, set, no_secrets), ==,
		                "the algorithm of its signature is not taken");
	}
	g_assert_cmpstr(judge("eyJhbGciOiJub25lIn0." PAYLOAD ".", set, all), ==,
	                "it is no signed token");
	g_assert_false(token_algorithm_known("none"));
}

static void
a_public_key_is_no_shared_secret(void)
{
	g_autofree char *text =
		g_strdup("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}]}");
	g_autoptr(KeySet) set = key_set_parse(ph_slice(text), true, NULL);
	g_autoptr(GByteArray) modulus = base64url_decode(ph_slice(RSA_N));
	g_autofree char *by_modulus = sign("{\"alg\":\"HS256\"}", "{}",
	                                   PH_SLICE((const char *) modulus->data, modulus->len));

	g_assert_cmpstr(judge(by_modulus, set, all), ==, "there is no such key");
	g_assert_null(key_set_parse(
		PH_SLICE_LITERAL("{\"keys\":[{\"kty\":\"oct\",\"k\":\"" OCT_KEY "\"}]}"), false,
		NULL));
}

static void
the_id_of_a_key_is_only_compared(void)
{
	static const char *const headers[] = {
		"{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}",
		"{\"alg\":\"HS256\",\"kid\":\"/etc/passwd\"}",
		"{\"alg\":\"HS256\",\"kid\":\"r\"}",
		"{\"alg\":\"HS256\",\"kid\":\"\\u0000\"}",
	};
	g_autoptr(KeySet) set = keys();

	for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
		g_autofree char *token = sign(headers[i], "{}", PH_SLICE_LITERAL(""));

		g_assert_nonnull(judge(token, set, all));
	}
	g_autofree char *odd = sign("{\"alg\":\"HS256\",\"kid\":7}", "{}", PH_SLICE_LITERAL(""));
	g_assert_cmpstr(judge(odd, set, all), ==, "the id of its key is no text");
	g_autofree char *critical =
		sign("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{}", PH_SLICE_LITERAL(""));
	g_assert_cmpstr(judge(critical, set, all), ==,
	                "it has an extension that must be understood");
}

static void
what_is_no_token_is_refused(void)
{
	static const char *const bad[] = { "",
		                           ".",
		                           "..",
		                           "a.b",
		                           "a.b.c",
		                           "a.b.c.d",
		                           "....",
		                           "eyJhbGciOiJSUzI1NiJ9.!.AAAA",
		                           "eyJhbGciOiJSUzI1NiJ9.AAAA.AAAA=" };
	g_autoptr(KeySet) set = keys();
	g_autofree char *deep = g_strnfill(100000, '[');
	g_autofree char *nested = sign(deep, "{}", PH_SLICE_LITERAL(""));

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_nonnull(judge(bad[i], set, all));
	g_assert_cmpstr(judge(nested, set, all), ==, "it is no signed token");
	g_assert_null(json_object_parse(ph_slice(deep)));
	g_assert_null(json_object_parse(PH_SLICE_LITERAL("{\"email\":\"a\\u0000b\"}")));
}

/* --- claims --- */

static const char *const us[] = { "mail", NULL };
static const char *const scopes[] = { "imap", "smtp", NULL };
static const Rules rules = { "joe", us, scopes, "email", 60, true };

static const char *
why_not(const char *text)
{
	const char *why = NULL;
	g_autoptr(JsonObject) claims = json_object_parse(ph_slice(text));

	g_assert_nonnull(claims);
	const char *user = claims_user(claims, &rules, 1000, &why);
	g_assert_true((user != NULL) == (why == NULL));
	if (user != NULL)
		g_assert_cmpstr(user, ==, "anna");
	return why;
}

#define REST ",\"iss\":\"joe\",\"aud\":\"mail\",\"scope\":\"smtp imap\",\"email\":\"anna\"}"

static void
every_claim_counts(void)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{ "{\"exp\":1001" REST, NULL },
		{ "{\"exp\":941" REST, NULL },
		{ "{\"exp\":940" REST, "it has expired" },
		{ "{\"exp\":940.9" REST, "it has expired" },
		{ "{\"exp\":-1e300" REST, "it has expired" },
		{ "{\"exp\":1e300" REST, "it has expired" },
		{ "{\"exp\":\"2000\"" REST, "it has expired" },
		{ "{\"x\":1" REST, "it does not expire" },
		{ "{\"exp\":2000,\"nbf\":1060" REST, NULL },
		{ "{\"exp\":2000,\"nbf\":1061" REST, "it is not valid yet" },
		{ "{\"exp\":2000,\"iat\":1061" REST, "it was issued in the future" },
		{ "{\"exp\":2000,\"iat\":\"x\"" REST, "it was issued in the future" },
		{ "{\"exp\":2000,\"aud\":\"mail\",\"scope\":\"smtp imap\",\"email\":\"anna\"}",
		  "it is of another issuer" },
		{ "{\"exp\":2000,\"iss\":\"jo\",\"aud\":\"mail\",\"email\":\"anna\"}",
		  "it is of another issuer" },
		{ "{\"exp\":2000,\"iss\":\"joe\",\"aud\":\"web\",\"email\":\"anna\"}",
		  "it is for another audience" },
		{ "{\"exp\":2000,\"iss\":\"joe\",\"aud\":[\"web\",7],\"email\":\"anna\"}",
		  "it is for another audience" },
		{ "{\"exp\":2000,\"iss\":\"joe\",\"aud\":[\"web\",\"mail\"],\"email\":\"anna\","
		  "\"scp\":[\"imap\",\"smtp\"]}",
		  NULL },
		{ "{\"exp\":2000,\"iss\":\"joe\",\"aud\":\"mail\",\"email\":\"anna\","
		  "\"scope\":\"imap smtps\"}",
		  "it lacks a scope" },
		{ "{\"exp\":2000,\"iss\":\"joe\",\"aud\":\"mail\",\"scope\":\"smtp imap\"}",
		  "it does not say the user" },
		{ "{\"exp\":2000,\"iss\":\"joe\",\"aud\":\"mail\",\"scope\":\"smtp imap\","
		  "\"email\":[\"anna\"]}",
		  "it does not say the user" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		g_assert_cmpstr(why_not(rows[i].text), ==, rows[i].why);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/oauth/the-examples-of-rfc-7628-are-understood",
	                the_examples_of_rfc_7628_are_understood);
	g_test_add_func("/oauth/what-is-no-message-is-refused", what_is_no_message_is_refused);
	g_test_add_func("/oauth/the-signatures-of-rfc-7515-and-8037-are-right",
	                the_signatures_of_rfc_7515_and_8037_are_right);
	g_test_add_func("/oauth/a-changed-token-is-refused", a_changed_token_is_refused);
	g_test_add_func("/oauth/an-algorithm-that-is-not-taken-is-refused",
	                an_algorithm_that_is_not_taken_is_refused);
	g_test_add_func("/oauth/a-public-key-is-no-shared-secret",
	                a_public_key_is_no_shared_secret);
	g_test_add_func("/oauth/the-id-of-a-key-is-only-compared",
	                the_id_of_a_key_is_only_compared);
	g_test_add_func("/oauth/what-is-no-token-is-refused", what_is_no_token_is_refused);
	g_test_add_func("/oauth/every-claim-counts", every_claim_counts);
	return g_test_run();
}

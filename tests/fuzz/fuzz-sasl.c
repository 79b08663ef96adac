/* fuzz-sasl.c: what clients say in SCRAM, CRAM-MD5, APOP, GSSAPI and EXTERNAL, and base64 around it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "answer.h"
#include "certificate.h"
#include "layer.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_inside(PhSlice part, PhSlice whole)
{
	return part.length == 0
	       || (part.data >= whole.data && part.data + part.length <= whole.data + whole.length);
}

static void
check_scram(PhSlice text)
{
	ScramFirst first;
	ScramFinal final;
	ScramStored stored;

	if (scram_first_parse(text, &first)) {
		g_assert_true(is_inside(first.nonce, first.bare));
		g_assert_cmpuint(first.header.length + first.bare.length, ==, text.length);
		g_assert_cmpuint(strlen(first.user), <=, SCRAM_NAME_MAX);
		g_assert_true(strchr("nyp", first.flag) != NULL);
	}
	scram_first_clear(&first);
	if (scram_final_parse(text, &final)) {
		g_assert_true(is_inside(final.nonce, final.without_proof));
		g_assert_cmpuint(final.without_proof.length, <, text.length);
	}
	scram_final_clear(&final);
	if (scram_stored_parse(text, 32, &stored))
		g_assert_cmpuint(stored.stored_key->len, ==, stored.server_key->len);
	scram_stored_clear(&stored);
}

static void
check_answer(PhSlice text)
{
	PhSlice user = PH_SLICE_EMPTY;
	PhSlice digest = PH_SLICE_EMPTY;

	if (!answer_split(text, &user, &digest))
		return;
	g_assert_cmpuint(digest.length, ==, ANSWER_HEX);
	g_assert_cmpuint(user.length + 1 + digest.length, ==, text.length);
}

static void
check_names(PhSlice text)
{
	const PrincipalRules rules = { NULL, true };
	g_autofree char *authzid = layer_choice(text);
	g_autofree char *user = principal_user(text, &rules);
	g_autofree char *mapped = fingerprint_find(
		text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	g_autoptr(GPtrArray) emails = certificate_emails(text);
	g_autoptr(GPtrArray) names = certificate_common_names(text);

	g_assert_true(user == NULL || strchr(user, '@') != NULL);
	g_assert_cmpuint(emails->len, <=, CERTIFICATE_NAMES_MAX);
	g_assert_cmpuint(names->len, <=, CERTIFICATE_NAMES_MAX);
}

/* What decodes is what its octets are written as. */
static void
check_base64(PhSlice text)
{
	g_autoptr(GString) octets = g_string_new(NULL);
	g_autoptr(GString) again = g_string_new(NULL);

	if (!ph_base64_decode(text, octets))
		return;
	ph_base64_append(PH_SLICE(octets->str, octets->len), again);
	g_assert_cmpuint(again->len, ==, text.length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);

	check_scram(text);
	check_answer(text);
	check_names(text);
	check_base64(text);
	return 0;
}

/* password.c: compares a secret with a stored form, and makes new ones
 *
 * One row a scheme. Slow hashes run on a bounded number of threads at once, so that a flood of
 * logins with an expensive hash cannot take every worker from mail. An unknown user costs the same
 * as a wrong password of the preferred scheme.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/lock.h"
#include "login/config-login.h"
#include "login/password-digest.h"
#include "login/rehash.h"

#if PH_HAVE_CRYPT
#include <crypt.h>
#endif
#if PH_HAVE_ARGON2
#include <argon2.h>
#endif

#define PREFERRED_SCHEME "SHA512-CRYPT"

/* What an unknown user's password is compared with: the preferred scheme at its usual cost. */
#define DUMMY_FORM             \
	"$6$posthornposthorn$" \
	"Lm5bJ2Yk1CqYwbPzQ3bJm2l9cS8bX3k0u7q1g5t9z1xw4n6d8f0h2j4k6l8m0n2p4q6r8s0t2v4w6x8y0z2A4"

static PhDigestResult
check_plain(const PhDigestQuestion *question)
{
	return ph_secret_equal(ph_slice(question->form), question->secret) ? PH_DIGEST_MATCH
	                                                                   : PH_DIGEST_WRONG;
}

#if PH_HAVE_CRYPT
static PhDigestResult
check_crypt(const PhDigestQuestion *question)
{
	g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
	const char *result = crypt_r(question->secret.data, question->form, data);
	if (result == NULL || result[0] == '*')
		return PH_DIGEST_MALFORMED;

	bool same = ph_secret_equal(ph_slice(result), ph_slice(question->form));
	ph_secret_wipe(data, sizeof *data);
	return same ? PH_DIGEST_MATCH : PH_DIGEST_WRONG;
}
#endif

#if PH_HAVE_ARGON2
static PhDigestResult
check_argon2(const PhDigestQuestion *question)
{
	bool is_id = g_str_has_prefix(question->form, "$argon2id$");
	int status = argon2_verify(question->form, question->secret.data, question->secret.length,
	                           is_id ? Argon2_id : Argon2_i);

	if (status == ARGON2_OK)
		return PH_DIGEST_MATCH;
	return status == ARGON2_VERIFY_MISMATCH ? PH_DIGEST_WRONG : PH_DIGEST_MALFORMED;
}
#endif

#if PH_HAVE_CRYPT
/* Dovecot says MD5 to MD5-CRYPT, LDAP servers to the digest. */
static PhDigestResult
check_md5(const PhDigestQuestion *question)
{
	return question->form[0] == '$' ? check_crypt(question) : ph_digest_plain(question);
}
#endif

/* Scheme: one row a {SCHEME}. slow: runs under the limit. */
typedef struct {
	const char *name;
	PhDigestResult (*check)(const PhDigestQuestion *question);
	const char *argument;
	bool slow;
} Scheme;

static const Scheme schemes[] = {
	{ "PLAIN", check_plain, NULL, false },
	{ "CLEARTEXT", check_plain, NULL, false },
	{ "CLEAR", check_plain, NULL, false },
#if PH_HAVE_CRYPT
	{ "CRYPT", check_crypt, NULL, true },
	{ "SHA512-CRYPT", check_crypt, NULL, true },
	{ "SHA256-CRYPT", check_crypt, NULL, true },
	{ "BLF-CRYPT", check_crypt, NULL, true },
	{ "MD5-CRYPT", check_crypt, NULL, true },
	{ "DES-CRYPT", check_crypt, NULL, true },
	{ "MD5", check_md5, "MD5", true },
#endif
#if PH_HAVE_ARGON2
	{ "ARGON2I", check_argon2, NULL, true },
	{ "ARGON2ID", check_argon2, NULL, true },
	{ "ARGON2", check_argon2, NULL, true }, /* what OpenLDAP writes */
#endif
	{ "PBKDF2", ph_digest_pbkdf2, NULL, true },
	{ "SCRAM-SHA-1", ph_digest_scram, "SHA1", true },
	{ "SCRAM-SHA-256", ph_digest_scram, "SHA256", true },
	{ "SHA", ph_digest_plain, "SHA1", false },
	{ "SHA1", ph_digest_plain, "SHA1", false },
	{ "SHA256", ph_digest_plain, "SHA256", false },
	{ "SHA512", ph_digest_plain, "SHA512", false },
	{ "PLAIN-MD5", ph_digest_plain, "MD5", false },
	{ "LDAP-MD5", ph_digest_plain, "MD5", false },
	{ "SSHA", ph_digest_salted, "SHA1", false },
	{ "SSHA256", ph_digest_salted, "SHA256", false },
	{ "SSHA512", ph_digest_salted, "SHA512", false },
	{ "SMD5", ph_digest_salted, "MD5", false },
};

static const Scheme *
find_scheme(PhSlice name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++)
		if (ph_slice_is_nocase(name, schemes[i].name))
			return &schemes[i];
	return NULL;
}

/* --- how many slow hashes run at once --------------------------------------------------------- */

static PhLock slots_lock = PH_LOCK_INIT; /* guards slots_used */
static PhSignal slots_freed = { PTHREAD_COND_INITIALIZER };
static unsigned slots_used;

void
ph_hash_slot_enter(void)
{
	unsigned limit = g_get_num_processors();

	ph_lock_take(&slots_lock);
	while (slots_used >= limit)
		ph_signal_wait(&slots_freed, &slots_lock);
	slots_used++;
	ph_lock_drop(&slots_lock);
}

void
ph_hash_slot_leave(void)
{
	ph_lock_take(&slots_lock);
	slots_used--;
	ph_signal_one(&slots_freed);
	ph_lock_drop(&slots_lock);
}

/* --- the public functions --------------------------------------------------------------------- */

static PhEncoding
cut_encoding(PhSlice *name)
{
	static const struct {
		const char *suffix;
		PhEncoding encoding;
	} suffixes[] = {
		{ ".b64", PH_ENCODING_BASE64 },
		{ ".base64", PH_ENCODING_BASE64 },
		{ ".hex", PH_ENCODING_HEX },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		size_t n = strlen(suffixes[i].suffix);
		if (name->length > n
		    && ph_slice_is_nocase(ph_slice_from(*name, name->length - n),
		                          suffixes[i].suffix)) {
			name->length -= n;
			return suffixes[i].encoding;
		}
	}
	return PH_ENCODING_AUTO;
}

/* Splits "{SCHEME.enc}form"; a form without braces is crypt(3). */
static const Scheme *
split_stored(const char *stored, PhDigestQuestion *question)
{
	PhSlice rest = ph_slice(stored);
	question->form = stored;
	if (stored[0] != '{')
		return find_scheme(g_str_has_prefix(stored, "$argon2")
		                           ? PH_SLICE_LITERAL("ARGON2ID")
		                           : PH_SLICE_LITERAL("CRYPT"));

	rest = ph_slice_from(rest, 1);
	if (ph_slice_find(rest, '}') < 0)
		return NULL;
	PhSlice name = ph_slice_split(&rest, '}');
	question->form = name.data + name.length + 1;
	question->encoding = cut_encoding(&name);
	return find_scheme(name);
}

static bool
run_check(const Scheme *scheme, const PhDigestQuestion *question, GError **error)
{
	if (scheme->slow)
		ph_hash_slot_enter();
	PhDigestResult result = scheme->check(question);
	if (scheme->slow)
		ph_hash_slot_leave();

	if (result == PH_DIGEST_MALFORMED)
		g_set_error(error, PH_ERROR, PH_ERROR_CORRUPT,
		            "the stored %s password cannot be understood", scheme->name);
	return result == PH_DIGEST_MATCH;
}

static void
do_dummy_work(const PhSecret *secret)
{
	const Scheme *scheme = find_scheme(PH_SLICE_LITERAL(PREFERRED_SCHEME));
	PhDigestQuestion question = { .form = DUMMY_FORM, .secret = ph_secret_slice(secret) };

	if (scheme != NULL)
		(void) run_check(scheme, &question, NULL);
}

/* It may be a password. @text: (owned, nullable) */
static void
forget_text(char *text, size_t length)
{
	if (text != NULL)
		ph_secret_wipe(text, length);
	g_free(text);
}

/* A form that is text by itself, written in base64 or hexadecimal digits all the same. Returns: (owned,
 * nullable) the text; NULL when it is none. */
static char *
decode_text(const PhDigestQuestion *question)
{
	gsize length = 0;
	size_t n = strlen(question->form);
	char *text = NULL;
	char *good_text = NULL;
	bool good = true;

	if (question->encoding == PH_ENCODING_BASE64) {
		text = (char *) g_base64_decode(question->form, &length);
	} else {
		text = g_malloc(n / 2 + 1);
		for (good = n % 2 == 0; good && length < n / 2; length++) {
			int high = g_ascii_xdigit_value(question->form[2 * length]);
			int low = g_ascii_xdigit_value(question->form[2 * length + 1]);

			good = high >= 0 && low >= 0;
			text[length] = (char) (good ? high * 16 + low : 0);
		}
	}
	if (good && length > 0 && memchr(text, '\0', length) == NULL)
		good_text = g_strndup(text, length);
	forget_text(text, length);
	return good_text;
}

static bool
is_text(const Scheme *scheme)
{
	return scheme->check != ph_digest_plain && scheme->check != ph_digest_salted;
}

bool
ph_password_verify(const char *stored, const PhSecret *secret, GError **error)
{
	if (stored == NULL) {
		do_dummy_work(secret);
		return false;
	}

	PhDigestQuestion question = { .secret = ph_secret_slice(secret) };
	char *decoded = NULL;
	const Scheme *scheme = split_stored(stored, &question);
	if (scheme == NULL) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_CORRUPT, "unknown password scheme");
		return false;
	}
	if (question.encoding != PH_ENCODING_AUTO && is_text(scheme)) {
		decoded = decode_text(&question);
		question.form = decoded != NULL ? decoded : "*";
		question.encoding = PH_ENCODING_AUTO;
	}
	question.argument = scheme->argument;
	bool good = run_check(scheme, &question, error);
	if (good)
		ph_rehash_note(scheme->name, question.form);
	forget_text(decoded, decoded != NULL ? strlen(decoded) : 0);
	return good;
}

#if PH_HAVE_CRYPT
static char *
make_crypt(const char *prefix, PhSlice secret)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	if (crypt_gensalt_rn(prefix, 0, NULL, 0, salt, sizeof salt) == NULL)
		return NULL;

	g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
	const char *result = crypt_r(secret.data, salt, data);
	return result != NULL && result[0] != '*' ? g_strdup(result) : NULL;
}
#endif

#if PH_HAVE_ARGON2
static char *
make_argon2(PhSlice secret)
{
	enum {
		TIME_COST = 2,
		MEMORY_KIB = 19456,
		HASH_OCTETS = 32,
		ENCODED_OCTETS = 256,
	};

	uint8_t salt[16];
	char encoded[ENCODED_OCTETS];

	ph_secret_random(salt, sizeof salt);
	if (argon2id_hash_encoded(TIME_COST, MEMORY_KIB, 1, secret.data, secret.length, salt,
	                          sizeof salt, HASH_OCTETS, encoded, sizeof encoded)
	    != ARGON2_OK)
		return NULL;
	return g_strdup(encoded);
}
#endif

static char *
make_form(PhSlice scheme, PhSlice secret)
{
	if (ph_slice_is_nocase(scheme, "PLAIN"))
		return ph_slice_dup(secret);
	if (ph_slice_is_nocase(scheme, "SCRAM-SHA-256"))
		return ph_digest_make_scram("SHA256", secret);
	if (ph_slice_is_nocase(scheme, "SCRAM-SHA-1"))
		return ph_digest_make_scram("SHA1", secret);
	if (ph_slice_is_nocase(scheme, "SSHA512"))
		return ph_digest_make_salted("SHA512", secret);
	if (ph_slice_is_nocase(scheme, "SSHA256"))
		return ph_digest_make_salted("SHA256", secret);
#if PH_HAVE_CRYPT
	if (ph_slice_is_nocase(scheme, "SHA512-CRYPT"))
		return make_crypt("$6$", secret);
	if (ph_slice_is_nocase(scheme, "SHA256-CRYPT"))
		return make_crypt("$5$", secret);
	if (ph_slice_is_nocase(scheme, "BLF-CRYPT"))
		return make_crypt("$2y$", secret);
	if (ph_slice_is_nocase(scheme, "CRYPT"))
		return make_crypt("$y$", secret);
#endif
#if PH_HAVE_ARGON2
	if (ph_slice_is_nocase(scheme, "ARGON2ID"))
		return make_argon2(secret);
#endif
	return NULL;
}

char *
ph_password_hash(const char *scheme, const PhSecret *secret, GError **error)
{
	const char *name = scheme != NULL ? scheme : PREFERRED_SCHEME;
	g_autofree char *form = make_form(ph_slice(name), ph_secret_slice(secret));
	if (form == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED,
		            "passwords cannot be stored as '%s'; one that can: %s", name,
		            PREFERRED_SCHEME);
		return NULL;
	}

	g_autofree char *upper = g_ascii_strup(name, -1);
	return g_strdup_printf("{%s}%s", upper, form);
}

/* test-scram.c: the examples of RFC 5802 and RFC 7677, and what must not log in
 *
 * The client here is written from the RFC and shares nothing with the mechanism.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>

#include "mechanism.h"
#include "message.h"
#include "scram.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* --- what OpenSSL is asked to do --- */

/* Work: each HMAC, derivation and digest begins with finding its digest. */
typedef struct {
	unsigned digests;
	unsigned hashes;
	size_t octets; /* of those */
} Work;

static Work work;

/* These stand before those of the library, count and pass on. */
const EVP_MD *
EVP_get_digestbyname(const char *name)
{
	const EVP_MD *(*real)(const char *) = NULL;

	*(void **) (void *) &real = dlsym(RTLD_NEXT, "EVP_get_digestbyname");
	work.digests++;
	return real(name);
}

int
EVP_Digest(const void *octets,
           size_t length,
           unsigned char *out,
           unsigned *length_out,
           const EVP_MD *md,
           ENGINE *engine)
{
	int (*real)(const void *, size_t, unsigned char *, unsigned *, const EVP_MD *, ENGINE *) =
		NULL;

	*(void **) (void *) &real = dlsym(RTLD_NEXT, "EVP_Digest");
	work.hashes++;
	work.octets += length;
	return real(octets, length, out, length_out, md, engine);
}

static const ScramKind sha1 = { "SCRAM-SHA-1", "SHA1" };
static const ScramKind sha256 = { "SCRAM-SHA-256", "SHA256" };

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.begin = scram_begin,
	.step = scram_step,
	.end = scram_end,
};

static const ScramSettings settings = { 4096 };

/* --- a client --- */

typedef struct {
	const EVP_MD *md;
	const char *password;
} Client;

static unsigned
keyed(const Client *client, const uint8_t *key, int length, PhSlice text, uint8_t *out)
{
	unsigned n = 0;

	HMAC(client->md, key, length, (const unsigned char *) text.data, text.length, out, &n);
	return n;
}

static GString *
decode(const char *text)
{
	GString *octets = g_string_new(NULL);

	g_assert_true(ph_base64_decode(ph_slice(text), octets));
	return octets;
}

/* What the password is kept as, with that salt. Returns: (owned). */
static char *
store(const Client *client, const char *salt64)
{
	uint8_t salted[EVP_MAX_MD_SIZE];
	uint8_t key[EVP_MAX_MD_SIZE];
	uint8_t stored[EVP_MAX_MD_SIZE];
	int n = EVP_MD_get_size(client->md);
	GString *salt = decode(salt64);
	g_autofree char *stored64 = NULL;
	g_autofree char *server64 = NULL;

	PKCS5_PBKDF2_HMAC(client->password, (int) strlen(client->password),
	                  (const unsigned char *) salt->str, (int) salt->len, 4096, client->md, n,
	                  salted);
	g_string_free(salt, TRUE);
	keyed(client, salted, n, PH_SLICE_LITERAL("Client Key"), key);
	EVP_Digest(key, (size_t) n, stored, NULL, client->md, NULL);
	stored64 = g_base64_encode(stored, (gsize) n);
	keyed(client, salted, n, PH_SLICE_LITERAL("Server Key"), key);
	server64 = g_base64_encode(key, (gsize) n);
	return g_strdup_printf("4096,%s,%s,%s", salt64, stored64, server64);
}

/* The final message for a server's first one. @binding64: what "c=" holds. Returns: (owned). */
static char *
finish(const Client *client, const char *bare, const char *server_first, const char *binding64)
{
	uint8_t salted[EVP_MAX_MD_SIZE];
	uint8_t key[EVP_MAX_MD_SIZE];
	uint8_t stored[EVP_MAX_MD_SIZE];
	uint8_t signature[EVP_MAX_MD_SIZE];
	int n = EVP_MD_get_size(client->md);
	g_auto(GStrv) fields = g_strsplit(server_first, ",", 3);
	GString *salt = decode(fields[1] + 2);
	g_autofree char *without = g_strdup_printf("c=%s,%s", binding64, fields[0]);
	g_autofree char *message = g_strjoin(",", bare, server_first, without, NULL);
	g_autofree char *proof = NULL;

	PKCS5_PBKDF2_HMAC(client->password, (int) strlen(client->password),
	                  (const unsigned char *) salt->str, (int) salt->len,
	                  (int) g_ascii_strtoll(fields[2] + 2, NULL, 10), client->md, n, salted);
	g_string_free(salt, TRUE);
	keyed(client, salted, n, PH_SLICE_LITERAL("Client Key"), key);
	EVP_Digest(key, (size_t) n, stored, NULL, client->md, NULL);
	keyed(client, stored, n, ph_slice(message), signature);
	for (int i = 0; i < n; i++)
		key[i] ^= signature[i];
	proof = g_base64_encode(key, (gsize) n);
	return g_strdup_printf("%s,p=%s", without, proof);
}

/* --- the fixture --- */

typedef struct {
	Client client;
	void *instance;
	Person person;
	char *stored;
	Talk talk;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	const ScramKind *kind = data != NULL ? data : &sha256;

	fixture->client.md = EVP_get_digestbyname(kind->digest);
	fixture->client.password = "pencil";
	fixture->stored = store(&fixture->client,
	                        kind == &sha1 ? "QSXCR+Q6sek8bf92" : "W22ZaJ0SNY7soEsUEjb6gQ==");
	fixture->person =
		(Person){ .user = "user", .scheme = kind->scheme, .stored = fixture->stored };
	g_assert_true(scram_create(kind, &settings, &fixture->instance, NULL));
	talk_begin(&fixture->talk, &mechanism, fixture->instance, &fixture->person);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	talk_end(&fixture->talk);
	scram_destroy(fixture->instance);
	g_free(fixture->stored);
	scram_fixed_nonce = NULL;
}

static void
begin_again(Fixture *fixture)
{
	talk_end(&fixture->talk);
	talk_begin(&fixture->talk, &mechanism, fixture->instance, &fixture->person);
}

/* A whole exchange of a client that does everything right. */
static PhStep
log_in(Fixture *fixture, const char *header, const char *user, const char *binding64)
{
	Talk *talk = &fixture->talk;
	g_autofree char *bare = g_strdup_printf("n=%s,r=abcdefgh", user);
	g_autofree char *first = g_strconcat(header, bare, NULL);
	g_autofree char *answer = NULL;
	g_autofree char *final = NULL;
	PhStep step = talk_say(talk, first);

	if (step != PH_STEP_CHALLENGE)
		return step;
	answer = talk_challenge(talk);
	final = finish(&fixture->client, bare, answer, binding64);
	step = talk_say(talk, final);
	return step == PH_STEP_CHALLENGE ? talk_say(talk, "") : step;
}

/* --- the examples --- */

static void
the_example_of_rfc_5802_is_spoken(Fixture *fixture, gconstpointer data)
{
	g_autofree char *first = NULL;
	g_autofree char *final = NULL;

	scram_fixed_nonce = "3rfcNHYJY1ZVvWVs7j";
	g_assert_cmpint(talk_say(&fixture->talk, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"), ==,
	                PH_STEP_CHALLENGE);
	first = talk_challenge(&fixture->talk);
	g_assert_cmpstr(first, ==,
	                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
	g_assert_cmpint(talk_say(&fixture->talk,
	                         "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	                         "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="),
	                ==, PH_STEP_CHALLENGE);
	final = talk_challenge(&fixture->talk);
	g_assert_cmpstr(final, ==, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
	g_assert_cmpint(talk_say(&fixture->talk, ""), ==, PH_STEP_DONE);
	g_assert_cmpstr(ph_identity_address(fixture->talk.exchange.identity), ==, "user");
}

static void
the_example_of_rfc_7677_is_spoken(Fixture *fixture, gconstpointer data)
{
	g_autofree char *first = NULL;
	g_autofree char *final = NULL;

	scram_fixed_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	g_assert_cmpint(talk_say(&fixture->talk, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), ==,
	                PH_STEP_CHALLENGE);
	first = talk_challenge(&fixture->talk);
	g_assert_cmpstr(first, ==,
	                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	                "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	g_assert_cmpint(talk_say(&fixture->talk,
	                         "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	                         "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
	                ==, PH_STEP_CHALLENGE);
	final = talk_challenge(&fixture->talk);
	g_assert_cmpstr(final, ==, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	g_assert_cmpint(talk_say(&fixture->talk, ""), ==, PH_STEP_DONE);
}

/* --- secrets --- */

static void
a_plain_secret_is_enough(Fixture *fixture, gconstpointer data)
{
	fixture->person.stored = NULL;
	fixture->person.plain = "pencil";
	g_assert_cmpint(log_in(fixture, "n,,", "user", "biws"), ==, PH_STEP_DONE);
	begin_again(fixture);
	fixture->client.password = "pen";
	g_assert_cmpint(log_in(fixture, "n,,", "user", "biws"), ==, PH_STEP_FAILED);
}

static void
names_are_decoded_and_prepared(Fixture *fixture, gconstpointer data)
{
	fixture->person.user = "a,b=c";
	g_assert_cmpint(log_in(fixture, "n,,", "a=2Cb=3Dc", "biws"), ==, PH_STEP_DONE);
	begin_again(fixture);
	fixture->person.user = "IX"; /* U+2168 in normal form KC, RFC 4013 section 3 */
	g_assert_cmpint(log_in(fixture, "n,,", "\xe2\x85\xa8", "biws"), ==, PH_STEP_DONE);
}

/* The server's first message for @user, without the nonce. Returns: (owned). */
static char *
shown_to(Fixture *fixture, const char *user)
{
	g_autofree char *first = g_strdup_printf("n,,n=%s,r=abcdefgh", user);
	g_autofree char *answer = NULL;

	begin_again(fixture);
	g_assert_cmpint(talk_say(&fixture->talk, first), ==, PH_STEP_CHALLENGE);
	answer = talk_challenge(&fixture->talk);
	return g_strdup(strchr(answer, ','));
}

static void
an_unknown_user_has_a_salt_of_its_own_that_stays(Fixture *fixture, gconstpointer data)
{
	g_autofree char *known = shown_to(fixture, "user");
	g_autofree char *one = shown_to(fixture, "one");
	g_autofree char *again = shown_to(fixture, "one");
	g_autofree char *other = shown_to(fixture, "other");

	g_assert_cmpstr(one, ==, again);
	g_assert_cmpstr(one, !=, other);
	g_assert_cmpuint(strlen(one), ==, strlen(known));
	begin_again(fixture);
	g_assert_cmpint(log_in(fixture, "n,,", "one", "biws"), ==, PH_STEP_FAILED);
	begin_again(fixture);
	fixture->client.password = "invented";
	g_assert_cmpint(log_in(fixture, "n,,", "one", "biws"), ==, PH_STEP_FAILED);
}

static void
known_and_unknown_users_cost_the_same_questions(Fixture *fixture, gconstpointer data)
{
	unsigned known;
	g_autofree char *first = shown_to(fixture, "user");
	g_autofree char *second = NULL;

	known = fixture->person.n_secrets;
	second = shown_to(fixture, "nobody");
	g_assert_cmpuint(fixture->person.n_secrets, ==, 2 * known);
}

/* A whole exchange with a proof that does not fit. */
static Work
work_for(Fixture *fixture, const char *user)
{
	g_autofree char *first = g_strdup_printf("n,,n=%s,r=abcdefgh", user);
	g_autofree char *answer = NULL;
	g_autofree char *final = NULL;
	g_auto(GStrv) fields = NULL;

	begin_again(fixture);
	work = (Work){ 0 };
	(void) talk_say(&fixture->talk, first);
	answer = talk_challenge(&fixture->talk);
	fields = g_strsplit(answer, ",", 3);
	final = g_strdup_printf("c=biws,%s,p=%s", fields[0],
	                        strcmp(fixture->person.scheme, "SCRAM-SHA-1") == 0
	                                ? "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
	                                : "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	g_assert_cmpint(talk_say(&fixture->talk, final), ==, PH_STEP_FAILED);
	return work;
}

/* Counted, not timed: with stored keys, a plain password, and both. */
static void
known_and_unknown_users_cost_the_same_digests(Fixture *fixture, gconstpointer data)
{
	/* As long a salt as is invented. */
	g_free(fixture->stored);
	fixture->stored = store(&fixture->client, "W22ZaJ0SNY7soEsUEjb6gQ==");
	for (unsigned kind = 0; kind < 3; kind++) {
		Work known;
		Work unknown;

		fixture->person.plain = kind > 0 ? "pencil" : NULL;
		fixture->person.stored = kind != 1 ? fixture->stored : NULL;
		fixture->person.without_plain = kind == 0;
		known = work_for(fixture, "user");
		unknown = work_for(fixture, "usex");
		g_assert_cmpuint(known.digests, ==, unknown.digests);
		g_assert_cmpuint(known.hashes, ==, unknown.hashes);
		g_assert_cmpuint(known.octets, ==, unknown.octets);
		g_assert_cmpuint(known.digests, >, 4);
	}
}

static void
a_directory_that_is_away_is_told(Fixture *fixture, gconstpointer data)
{
	fixture->person.is_away = true;
	g_assert_cmpint(log_in(fixture, "n,,", "user", "biws"), ==, PH_STEP_ERROR);
	g_assert_error(fixture->talk.error, PH_ERROR, PH_ERROR_TEMPORARY);
}

static void
a_stored_form_that_is_broken_fails_like_a_wrong_password(Fixture *fixture, gconstpointer data)
{
	fixture->person.stored = "4096,AAAA,AAAA,AAAA";
	g_assert_cmpint(log_in(fixture, "n,,", "user", "biws"), ==, PH_STEP_FAILED);
}

/* --- what was tampered with --- */

static void
a_changed_nonce_binding_or_proof_fails(Fixture *fixture, gconstpointer data)
{
	static const struct {
		const char *from;
		const char *to;
	} changes[] = {
		{ ",r=abcdefgh", ",r=abcdefgi" },
		{ "c=biws", "c=eSws" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		Talk *talk = &fixture->talk;
		g_autofree char *answer = NULL;
		g_autofree char *final = NULL;
		g_autofree char *changed = NULL;
		g_auto(GStrv) parts = NULL;

		begin_again(fixture);
		(void) talk_say(talk, "n,,n=user,r=abcdefgh");
		answer = talk_challenge(talk);
		final = finish(&fixture->client, "n=user,r=abcdefgh", answer, "biws");
		parts = g_strsplit(final, changes[i].from, 2);
		g_assert_cmpuint(g_strv_length(parts), ==, 2);
		changed = g_strjoinv(changes[i].to, parts);
		g_assert_cmpint(talk_say(talk, changed), ==, PH_STEP_FAILED);
	}
	begin_again(fixture);
	g_assert_cmpint(log_in(fixture, "n,,", "user", "eSws"), ==, PH_STEP_FAILED);
}

static void
a_downgraded_client_fails(Fixture *fixture, gconstpointer data)
{
	fixture->talk.exchange.offers_plus = true;
	g_assert_cmpint(log_in(fixture, "y,,", "user", "eSws"), ==, PH_STEP_FAILED);
	begin_again(fixture);
	g_assert_cmpint(log_in(fixture, "y,,", "user", "eSws"), ==, PH_STEP_DONE);
	begin_again(fixture);
	fixture->talk.exchange.offers_plus = true;
	g_assert_cmpint(log_in(fixture, "n,,", "user", "biws"), ==, PH_STEP_DONE);
}

static void
binding_belongs_to_plus_and_only_there(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(log_in(fixture, "p=tls-exporter,,", "user", "cD10"), ==, PH_STEP_FAILED);
	begin_again(fixture);
	fixture->talk.exchange.is_plus = true;
	g_assert_cmpint(log_in(fixture, "n,,", "user", "biws"), ==, PH_STEP_FAILED);
	begin_again(fixture);
	fixture->talk.exchange.is_plus = true;
	g_assert_cmpint(log_in(fixture, "p=tls-exporter,,", "user", "cD10"), ==, PH_STEP_FAILED);
}

/* --- with TLS, as the test session says it is --- */

static PhNext
say_nothing(PhSession *session)
{
	return PH_DONE;
}

static PhNext
hear_nothing(PhSession *session, PhSlice line, uint32_t flaws)
{
	return PH_DONE;
}

static void
ignore(PhSession *session)
{
}

static bool
make_nothing(PhSection *section, const void *values, void **instance_out, GError **error)
{
	return true;
}

static void
unmake_nothing(void *instance)
{
}

static const PhProtocol quiet = {
	.size = sizeof quiet,
	.create = make_nothing,
	.destroy = unmake_nothing,
	.opened = say_nothing,
	.line = hear_nothing,
	.closed = ignore,
};

static void
a_bound_client_logs_in_and_a_bound_elsewhere_does_not(Fixture *fixture, gconstpointer data)
{
	static const char *const headers[] = { "p=tls-exporter,,", "p=tls-server-end-point,," };
	const PhTestOptions options = { .size = sizeof options,
		                        .protocol = &quiet,
		                        .start_in_tls = true };
	g_autoptr(PhTestSession) session = ph_test_session_new(&options);

	for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
		g_autofree char *right = g_strconcat(headers[i], "test-channel-binding", NULL);
		g_autofree char *wrong = g_strconcat(headers[i], "test-channel-bindinh", NULL);
		g_autofree char *right64 = g_base64_encode((guchar *) right, strlen(right));
		g_autofree char *wrong64 = g_base64_encode((guchar *) wrong, strlen(wrong));

		begin_again(fixture);
		fixture->talk.exchange.session = ph_test_session_get(session);
		fixture->talk.exchange.is_plus = true;
		g_assert_cmpint(log_in(fixture, headers[i], "user", right64), ==, PH_STEP_DONE);
		begin_again(fixture);
		fixture->talk.exchange.session = ph_test_session_get(session);
		fixture->talk.exchange.is_plus = true;
		g_assert_cmpint(log_in(fixture, headers[i], "user", wrong64), ==, PH_STEP_FAILED);
	}
	begin_again(fixture);
	fixture->talk.exchange.session = ph_test_session_get(session);
	fixture->talk.exchange.is_plus = true;
	g_assert_cmpint(log_in(fixture, "p=tls-unique,,", "user", "cD10"), ==, PH_STEP_FAILED);
}

/* --- what is no message --- */

static void
malformed_first_messages_are_refused(Fixture *fixture, gconstpointer data)
{
	static const PhSlice bad[] = {
		{ "", 0 },
		{ "n", 1 },
		{ "n,", 2 },
		{ "n,,", 3 },
		{ "n,,n=user", 9 },
		{ "n,,n=,r=abc", 11 },
		{ "n,,n=user,r=", 12 },
		{ "x,,n=user,r=abc", 15 },
		{ "p=,,n=user,r=abc", 16 },
		{ "n,a=,n=user,r=abc", 17 },
		{ "n,b=x,n=user,r=abc", 18 },
		{ "n,,m=x,n=user,r=abc", 19 },
		{ "n,,n=us=er,r=abc", 16 },
		{ "n,,n=us=2,r=abc", 15 },
		{ "n,,n=us=2Xer,r=abc", 18 },
		{ "n,,n=us\0er,r=abc", 16 },
		{ "n,,n=user,r=a\tbc", 16 },
		{ "n,,n=us\xff"
		  "er,r=abc",
		  16 },
	};
	g_autofree char *lengthy = g_strnfill(100000, 'a');
	g_autofree char *nonce = g_strconcat("n,,n=user,r=", lengthy, NULL);
	g_autofree char *name = g_strconcat("n,,n=", lengthy, ",r=abc", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		begin_again(fixture);
		g_assert_cmpint(talk_say_octets(&fixture->talk, &bad[i]), ==, PH_STEP_MALFORMED);
	}
	begin_again(fixture);
	g_assert_cmpint(talk_say(&fixture->talk, nonce), ==, PH_STEP_MALFORMED);
	begin_again(fixture);
	g_assert_cmpint(talk_say(&fixture->talk, name), ==, PH_STEP_MALFORMED);
	begin_again(fixture);
	g_assert_cmpint(talk_say(&fixture->talk, NULL), ==, PH_STEP_MALFORMED);
	g_assert_cmpuint(fixture->person.n_secrets, ==, 0);
}

static void
malformed_final_messages_are_refused(Fixture *fixture, gconstpointer data)
{
	static const char *const bad[] = {
		"",
		"c=biws",
		"c=biws,r=abc",
		"c=biws,r=abc,p=",
		"c=biws,r=abc,p=!!!!",
		"c=bi,r=abc,p=AAAA",
		"r=abc,c=biws,p=AAAA",
		"c=biws,p=AAAA",
		"p=AAAA",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		begin_again(fixture);
		g_assert_cmpint(talk_say(&fixture->talk, "n,,n=user,r=abc"), ==, PH_STEP_CHALLENGE);
		g_assert_cmpint(talk_say(&fixture->talk, bad[i]), ==, PH_STEP_MALFORMED);
	}
}

static void
something_behind_the_end_is_malformed(Fixture *fixture, gconstpointer data)
{
	g_autofree char *answer = NULL;
	g_autofree char *final = NULL;

	(void) talk_say(&fixture->talk, "n,,n=user,r=abcdefgh");
	answer = talk_challenge(&fixture->talk);
	final = finish(&fixture->client, "n=user,r=abcdefgh", answer, "biws");
	g_assert_cmpint(talk_say(&fixture->talk, final), ==, PH_STEP_CHALLENGE);
	g_assert_null(fixture->talk.exchange.identity);
	g_assert_cmpint(talk_say(&fixture->talk, final), ==, PH_STEP_MALFORMED);
	g_assert_null(fixture->talk.exchange.identity);
}

static void
nobody_acts_as_somebody_else(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(log_in(fixture, "n,a=ben,", "user", "bixhPWJlbiw="), ==, PH_STEP_FAILED);
	begin_again(fixture);
	g_assert_cmpint(log_in(fixture, "n,a=user,", "user", "bixhPXVzZXIs"), ==, PH_STEP_DONE);
}

static void
nonces_are_long_and_never_twice_the_same(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (int i = 0; i < 100; i++) {
		g_autofree char *answer = NULL;
		char *nonce = NULL;

		begin_again(fixture);
		(void) talk_say(&fixture->talk, "n,,n=user,r=abc");
		answer = talk_challenge(&fixture->talk);
		nonce = g_strndup(answer + 5, strcspn(answer + 5, ","));
		g_assert_cmpuint(strlen(nonce) * 6, >=, 128);
		g_assert_true(g_hash_table_add(seen, nonce));
	}
}

#define ADD(name, func) g_test_add("/scram/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/scram/the-example-of-rfc-5802-is-spoken", Fixture, &sha1, set_up,
	           the_example_of_rfc_5802_is_spoken, tear_down);
	ADD("the-example-of-rfc-7677-is-spoken", the_example_of_rfc_7677_is_spoken);
	ADD("a-plain-secret-is-enough", a_plain_secret_is_enough);
	ADD("names-are-decoded-and-prepared", names_are_decoded_and_prepared);
	ADD("an-unknown-user-has-a-salt-of-its-own-that-stays",
	    an_unknown_user_has_a_salt_of_its_own_that_stays);
	ADD("known-and-unknown-users-cost-the-same-questions",
	    known_and_unknown_users_cost_the_same_questions);
	ADD("known-and-unknown-users-cost-the-same-digests",
	    known_and_unknown_users_cost_the_same_digests);
	g_test_add("/scram/known-and-unknown-users-cost-the-same-digests-of-sha-1", Fixture, &sha1,
	           set_up, known_and_unknown_users_cost_the_same_digests, tear_down);
	ADD("a-directory-that-is-away-is-told", a_directory_that_is_away_is_told);
	ADD("a-stored-form-that-is-broken-fails-like-a-wrong-password",
	    a_stored_form_that_is_broken_fails_like_a_wrong_password);
	ADD("a-changed-nonce-binding-or-proof-fails", a_changed_nonce_binding_or_proof_fails);
	ADD("a-downgraded-client-fails", a_downgraded_client_fails);
	ADD("binding-belongs-to-plus-and-only-there", binding_belongs_to_plus_and_only_there);
	ADD("a-bound-client-logs-in-and-one-bound-elsewhere-does-not",
	    a_bound_client_logs_in_and_a_bound_elsewhere_does_not);
	ADD("malformed-first-messages-are-refused", malformed_first_messages_are_refused);
	ADD("malformed-final-messages-are-refused", malformed_final_messages_are_refused);
	ADD("something-behind-the-end-is-malformed", something_behind_the_end_is_malformed);
	ADD("nobody-acts-as-somebody-else", nobody_acts_as_somebody_else);
	ADD("nonces-are-long-and-never-twice-the-same", nonces_are_long_and_never_twice_the_same);
	return g_test_run();
}

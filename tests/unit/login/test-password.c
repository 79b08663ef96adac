/* test-password.c: stored password forms written by others, and our own
 *
 * The forms were made by Dovecot's doveadm pw for the password below, which is not ASCII.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "login/config-login.h"

#if PH_HAVE_CRYPT
#include <crypt.h>
#endif

static const char right[] = "sécret pass";
static const char wrong[] = "sécret pasS";

static const char *const forms[] = {
	"{PLAIN}sécret pass",
	"{SHA512-CRYPT}$6$LIum5jprWsuSWbKe$hRcuI..grlWIHywi4cqKnpFZNj"
	"ACH9/CVXq9wEyzoXm1EejeU0tT4MQr5KmFzP/oruTpy2Zj6LMQlcbhD5vIn0",
	"{SHA256-CRYPT}$5$kxATFmYyqKE3MIV/$7A4m5UEOkYNDS0wu48FUDnh8aj/gREjjfZps4oD0D92",
	"{BLF-CRYPT}$2y$05$Z6IuWWdZGnbpCm2YCbRoD.ZsFVeVuDoyHKU1xKG26/PNSQOd2.RA.",
	"{MD5-CRYPT}$1$zVjF.u45$bIc6j42FghnPL5RSDVUtw1",
	"{SSHA}4AIPBYUxFPtJjWEk8zNtnEWr3CVQZK4m",
	"{SSHA256}zzOQyVTMJuFjmjRMg5cJPl/v17kRVBauiRwjCTBtl29qrpeT",
	"{SSHA512}JwJw2XnMxiLpXUiv6F3zbxZ5myyoXhl/DfcZ+t1YTzYRKmqnPDN"
	"q0n7smsrrWJejI85s5/Iml75xL4c1P6Eut3H4KT4=",
	"{SHA}70QCi8RF0Slo71PshBP5IXr7vAU=",
	"{SHA256}OPeqtbJGq08eOdqRmPhWOVpoLLmFFmXiVqikiTcDEX4=",
	"{SHA512}C7Td6cJ2THBNFQuKsHz9lAC/3xEKfvBtPX6GLPb49bWCcxCQsI6S"
	"VnN+pLj1dxb8ubQEb0xMMdYQbjg51f7I7Q==",
	"{PBKDF2}$1$2EQ2X6a2jH8fcQ6z$5000$a34957bfa2ca9a36ff3d95b6137b368201b9f168",
	"{SCRAM-SHA-1}4096,dc9MX10VqWqngS7YjeB6qQ==,n3/nP4jEiR4VOShVt"
	"6ohaAQ20F8=,CIYE9JfZHvr8DxeNTMvE+mpMyJY=",
	"{SCRAM-SHA-256}4096,M7smnMMk5+rACRV08wBQew==,KZW/ifaitVR/GyX"
	"amNC2n2sDxv8qyfxKiwS+ymdPDHk=,wt8rre0UvmNCqlBK8JsG9AMeLncv6TRQznFGYIYRBwY=",
	"{PLAIN-MD5}1ecd5b799f5df23bb05049a4b88807bb",
	"{SMD5}7Mgu7kRp3/Mj9OaIlKD7uN23wSc=",
	"{LDAP-MD5}Hs1beZ9d8juwUEmkuIgHuw==",
	"{SHA256.HEX}38f7aab5b246ab4f1e39da9198f856395a682cb9851665e256a8a4893703117e",
	"{SSHA.HEX}e8de85abe4e15e96e2692a80c0a2a1cef01c3495b478baf4",
	"{SHA512.B64}C7Td6cJ2THBNFQuKsHz9lAC/3xEKfvBtPX6GLPb49bWCcxCQ"
	"sI6SVnN+pLj1dxb8ubQEb0xMMdYQbjg51f7I7Q==",
	"{CRYPT}$2y$05$YZ91wMYLAKhqCuD2nJzGP.qeA7WClZCfWqfJ0T0MD3X1SinRP2ht2",
};

static void
understands_what_dovecot_writes(void)
{
	g_autoptr(PhSecret) good = ph_secret_new(ph_slice(right));
	g_autoptr(PhSecret) bad = ph_secret_new(ph_slice(wrong));

	for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
		g_autoptr(GError) error = NULL;
		g_test_message("%s", forms[i]);
		g_assert_true(ph_password_verify(forms[i], good, &error));
		g_assert_no_error(error);
		g_assert_false(ph_password_verify(forms[i], bad, &error));
		g_assert_no_error(error);
	}
}

static void
takes_a_form_without_braces_as_crypt(void)
{
	g_autoptr(PhSecret) good = ph_secret_new(ph_slice(right));

	for (size_t i = 0; i < G_N_ELEMENTS(forms); i++)
		if (g_str_has_prefix(forms[i], "{SHA512-CRYPT}"))
			g_assert_true(ph_password_verify(strchr(forms[i], '}') + 1, good, NULL));
}

#if PH_HAVE_CRYPT
/* Every way of crypt(3) that this system's library has. */
static void
understands_every_crypt_form(void)
{
	static const char *const prefixes[] = { "$y$",  "$gy$", "$7$", "$2b$", "$2y$",
		                                "$2a$", "$6$",  "$5$", "$1$",  "$sha1",
		                                "$md5", "_",    "" };
	g_autoptr(PhSecret) good = ph_secret_new(PH_SLICE_LITERAL("a secret"));
	g_autoptr(PhSecret) bad = ph_secret_new(PH_SLICE_LITERAL("b secret"));
	unsigned n_tried = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
		char salt[CRYPT_GENSALT_OUTPUT_SIZE];
		g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
		g_autofree char *braced = NULL;
		const char *form = NULL;

		if (crypt_gensalt_rn(prefixes[i], 0, NULL, 0, salt, sizeof salt) == NULL)
			continue;
		form = crypt_r("a secret", salt, data);
		if (form == NULL || form[0] == '*')
			continue;
		braced = g_strconcat("{CRYPT}", form, NULL);
		g_test_message("%s", form);
		g_assert_true(ph_password_verify(form, good, NULL));
		g_assert_true(ph_password_verify(braced, good, NULL));
		g_assert_false(ph_password_verify(form, bad, NULL));
		n_tried++;
	}
	g_assert_cmpuint(n_tried, >=, 6);
}
#endif

static void
understands_what_ldap_servers_write(void)
{
	static const char *const others[] = {
		"{ARGON2}$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$",
		"{MD5}Hs1beZ9d8juwUEmkuIgHuw==",
	};
	g_autoptr(PhSecret) good = ph_secret_new(ph_slice(right));
	g_autoptr(PhSecret) bad = ph_secret_new(ph_slice(wrong));
	g_autofree char *own = ph_password_hash("ARGON2ID", good, NULL);

	g_assert_true(ph_password_verify(others[1], good, NULL));
	g_assert_false(ph_password_verify(others[1], bad, NULL));
	if (own == NULL) {
		g_test_message("argon2 is not built in");
		return;
	}
	g_assert_true(ph_password_verify(strchr(own, '$'), good, NULL));
	g_assert_false(ph_password_verify(strchr(own, '$'), bad, NULL));
	own[strlen("{ARGON2")] = '}';
	memmove(own + strlen("{ARGON2}"), strchr(own, '$'), strlen(strchr(own, '$')) + 1);
	g_assert_true(ph_password_verify(own, good, NULL));
	g_assert_false(ph_password_verify(others[0], good, NULL));
}

static void
verifies_what_it_makes(void)
{
	static const char *const schemes[] = { NULL,          "PLAIN",   "SHA512-CRYPT",
		                               "BLF-CRYPT",   "SSHA512", "SCRAM-SHA-256",
		                               "SCRAM-SHA-1", "CRYPT" };
	g_autoptr(PhSecret) good = ph_secret_new(ph_slice(right));
	g_autoptr(PhSecret) bad = ph_secret_new(ph_slice(wrong));

	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *first = ph_password_hash(schemes[i], good, &error);
		g_assert_no_error(error);
		g_autofree char *second = ph_password_hash(schemes[i], good, &error);
		g_assert_true(ph_password_verify(first, good, NULL));
		g_assert_false(ph_password_verify(first, bad, NULL));
		if (g_strcmp0(schemes[i], "PLAIN") != 0)
			g_assert_cmpstr(first, !=, second);
	}
}

static void
says_which_scheme_it_cannot_make(void)
{
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(right));
	g_autoptr(GError) error = NULL;

	g_assert_null(ph_password_hash("ROT13", secret, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED);
	g_assert_nonnull(strstr(error->message, "ROT13"));
}

static void
refuses_forms_that_are_damaged(void)
{
	static const char *const damaged[] = {
		"{NOSUCH}abc",
		"{PLAIN",
		"{SSHA}",
		"{SSHA}AAAA",
		"{SHA256.HEX}zz",
		"{SHA256.HEX}abc",
		"{PBKDF2}$1$salt$0$00",
		"{PBKDF2}$1$salt$99999999999$00",
		"{PBKDF2}$2$salt$1000$00",
		"{SCRAM-SHA-256}4096,AAAA,AAAA",
		"{SCRAM-SHA-256}x,AAAA,AAAA,AAAA",
		"{SHA512-CRYPT}x",
		"*",
	};
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(right));

	for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
		g_autoptr(GError) error = NULL;
		g_test_message("%s", damaged[i]);
		g_assert_false(ph_password_verify(damaged[i], secret, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	}
}

static void
an_unknown_user_fails_without_an_error(void)
{
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(right));
	g_autoptr(GError) error = NULL;

	g_assert_false(ph_password_verify(NULL, secret, &error));
	g_assert_no_error(error);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/login/password/understands-what-dovecot-writes",
	                understands_what_dovecot_writes);
	g_test_add_func("/login/password/takes-a-form-without-braces-as-crypt",
	                takes_a_form_without_braces_as_crypt);
#if PH_HAVE_CRYPT
	g_test_add_func("/login/password/understands-every-crypt-form",
	                understands_every_crypt_form);
#endif
	g_test_add_func("/login/password/understands-what-ldap-servers-write",
	                understands_what_ldap_servers_write);
	g_test_add_func("/login/password/verifies-what-it-makes", verifies_what_it_makes);
	g_test_add_func("/login/password/says-which-scheme-it-cannot-make",
	                says_which_scheme_it_cannot_make);
	g_test_add_func("/login/password/refuses-forms-that-are-damaged",
	                refuses_forms_that_are_damaged);
	g_test_add_func("/login/password/an-unknown-user-fails-without-an-error",
	                an_unknown_user_fails_without_an_error);
	return g_test_run();
}

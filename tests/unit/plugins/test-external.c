/* test-external.c: names in certificates, and lines of fingerprints
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "certificate.h"
#include "mechanism.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

extern const PhPlugin ph_plugin;

/* A certificate with these names. Returns: (owned) DER. */
static GByteArray *
make_certificate(const char *common_name, const char *alternative_names)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);
	GByteArray *out = g_byte_array_new();
	unsigned char *der = NULL;
	int length;

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	if (common_name != NULL)
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
		                           (const unsigned char *) common_name, -1, -1, 0);
	X509_set_issuer_name(certificate, subject);
	X509_set_pubkey(certificate, key);
	if (alternative_names != NULL) {
		X509_EXTENSION *names =
			X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative_names);

		X509_add_ext(certificate, names, -1);
		X509_EXTENSION_free(names);
	}
	X509_sign(certificate, key, EVP_sha256());
	length = i2d_X509(certificate, &der);
	g_byte_array_append(out, der, (guint) length);
	OPENSSL_free(der);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return out;
}

static PhSlice
slice_of(const GByteArray *octets)
{
	return PH_SLICE((const char *) octets->data, octets->len);
}

static void
names_are_read_from_a_certificate(void)
{
	g_autoptr(GByteArray) der =
		make_certificate("Anna", "DNS:x.example.org,email:anna@example.org,"
	                                 "email:a@example.com");
	g_autoptr(GPtrArray) emails = certificate_emails(slice_of(der));
	g_autoptr(GPtrArray) names = certificate_common_names(slice_of(der));

	g_assert_cmpuint(emails->len, ==, 2);
	g_assert_cmpstr(emails->pdata[0], ==, "anna@example.org");
	g_assert_cmpstr(emails->pdata[1], ==, "a@example.com");
	g_assert_cmpuint(names->len, ==, 1);
	g_assert_cmpstr(names->pdata[0], ==, "Anna");
}

static void
a_certificate_without_names_has_none(void)
{
	g_autoptr(GByteArray) der = make_certificate(NULL, NULL);
	g_autoptr(GPtrArray) emails = certificate_emails(slice_of(der));
	g_autoptr(GPtrArray) names = certificate_common_names(slice_of(der));

	g_assert_cmpuint(emails->len + names->len, ==, 0);
}

static void
what_is_no_certificate_has_no_names(void)
{
	g_autoptr(GByteArray) der = make_certificate("Anna", NULL);
	g_autoptr(GPtrArray) cut =
		certificate_common_names(PH_SLICE((const char *) der->data, der->len - 1));
	g_autoptr(GPtrArray) nothing = certificate_emails(PH_SLICE_EMPTY);
	g_autoptr(GPtrArray) text = certificate_emails(PH_SLICE_LITERAL("certificate"));

	g_assert_cmpuint(cut->len + nothing->len + text->len, ==, 0);
}

static void
fingerprints_are_found_however_they_are_written(void)
{
	static const char text[] =
		"# comment\r\n\n"
		"short anna\n"
		"BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:"
		"61:F2:00:15:AD  anna@example.org\r\n"
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ben";
	g_autofree char *abc = certificate_fingerprint(PH_SLICE_LITERAL("abc"));
	g_autofree char *nothing = certificate_fingerprint(PH_SLICE_EMPTY);
	g_autofree char *other = certificate_fingerprint(PH_SLICE_LITERAL("other"));
	g_autofree char *anna = fingerprint_find(ph_slice(text), abc);
	g_autofree char *ben = fingerprint_find(ph_slice(text), nothing);

	g_assert_cmpstr(anna, ==, "anna@example.org");
	g_assert_cmpstr(ben, ==, "ben");
	g_assert_null(fingerprint_find(ph_slice(text), other));
	g_assert_null(fingerprint_find(PH_SLICE_EMPTY, abc));
}

static void
without_a_certificate_nobody_logs_in(void)
{
	const PhMechanism *table = ph_plugin.offers[0].mechanism;
	Person person = { .user = "anna@example.org" };
	Talk talk;

	talk_begin(&talk, table, NULL, &person);
	g_assert_cmpint(talk_say(&talk, ""), ==, PH_STEP_FAILED);
	g_assert_cmpint(talk_say(&talk, "anna@example.org"), ==, PH_STEP_FAILED);
	g_assert_cmpint(talk_say(&talk, NULL), ==, PH_STEP_MALFORMED);
	talk_end(&talk);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/external/names-are-read-from-a-certificate",
	                names_are_read_from_a_certificate);
	g_test_add_func("/external/a-certificate-without-names-has-none",
	                a_certificate_without_names_has_none);
	g_test_add_func("/external/what-is-no-certificate-has-no-names",
	                what_is_no_certificate_has_no_names);
	g_test_add_func("/external/fingerprints-are-found-however-they-are-written",
	                fingerprints_are_found_however_they_are_written);
	g_test_add_func("/external/without-a-certificate-nobody-logs-in",
	                without_a_certificate_nobody_logs_in);
	return g_test_run();
}

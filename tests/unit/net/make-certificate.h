/* make-certificate.h: self-signed certificates for tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TESTS_MAKE_CERTIFICATE_H
#define PH_TESTS_MAKE_CERTIFICATE_H

#include <glib.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

static inline void
add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	g_assert_nonnull(extension);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

/* Writes FOLDER/NAME.pem and FOLDER/NAME.key. @names: "DNS:a.example,DNS:*.b.example,IP:127.0.0.1".
 * @until: seconds from now. */
static inline void
make_certificate_until(const char *folder,
                       const char *name,
                       const char *names,
                       bool rsa,
                       long until)
{
	g_autofree char *certificate_path = g_strdup_printf("%s/%s.pem", folder, name);
	g_autofree char *key_path = g_strdup_printf("%s/%s.key", folder, name);
	EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);
	FILE *file = NULL;

	g_assert_nonnull(key);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long) g_random_int_range(1, 1 << 30));
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), until);
	X509_set_pubkey(certificate, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *) name, -1,
	                           -1, 0);
	X509_set_issuer_name(certificate, subject);
	add_extension(certificate, NID_subject_alt_name, names);
	add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
	g_assert_cmpint(X509_sign(certificate, key, EVP_sha256()), >, 0);
	file = fopen(certificate_path, "w");
	g_assert_cmpint(PEM_write_X509(file, certificate), ==, 1);
	g_assert_cmpint(fclose(file), ==, 0);
	file = fopen(key_path, "w");
	g_assert_cmpint(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), ==, 1);
	g_assert_cmpint(fclose(file), ==, 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static inline void
make_certificate(const char *folder, const char *name, const char *names, bool rsa)
{
	make_certificate_until(folder, name, names, rsa, 86400);
}

#endif

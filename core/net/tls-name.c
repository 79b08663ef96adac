/* tls-name.c: whose certificate it is, as text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/net.h"

#include <openssl/bio.h>
#include <openssl/x509.h>

/* RFC 4514 (it took the place of RFC 2253), in ASCII. */
static char *
print_name(const X509_NAME *name)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	char *octets = NULL;
	long length = 0;

	if (out == NULL)
		return NULL;
	if (X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0) {
		length = BIO_get_mem_data(out, &octets);
		text = g_strndup(octets, (gsize) MAX(length, 0));
	}
	BIO_free(out);
	return text;
}

void
ph_tls_certificate_names(PhSlice der, char **subject_out, char **issuer_out)
{
	const unsigned char *at = (const unsigned char *) der.data;
	X509 *certificate = d2i_X509(NULL, &at, (long) der.length);

	if (certificate == NULL)
		return;
	*subject_out = print_name(X509_get_subject_name(certificate));
	*issuer_out = print_name(X509_get_issuer_name(certificate));
	X509_free(certificate);
}

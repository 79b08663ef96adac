/* certificate.c: names in a client's certificate
 *
 * RFC 5280 section 4.2.1.6 (rfc822Name). That somebody we trust vouches for them was checked by TLS.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "certificate.h"

#include <posthorn/slice.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

static X509 *
parse(PhSlice der)
{
	const unsigned char *at = (const unsigned char *) der.data;
	X509 *certificate = d2i_X509(NULL, &at, (long) der.length);

	if (certificate != NULL && (const char *) at == der.data + der.length)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static void
add_name(GPtrArray *names, PhSlice name)
{
	if (name.length > 0 && names->len < CERTIFICATE_NAMES_MAX && ph_slice_is_utf8(name))
		g_ptr_array_add(names, ph_slice_dup(name));
}

GPtrArray *
certificate_emails(PhSlice der)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	X509 *certificate = parse(der);
	GENERAL_NAMES *all =
		certificate != NULL
			? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
			: NULL;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type != GEN_EMAIL)
			continue;
		add_name(names, PH_SLICE((const char *) ASN1_STRING_get0_data(name->d.rfc822Name),
		                         (size_t) ASN1_STRING_length(name->d.rfc822Name)));
	}
	GENERAL_NAMES_free(all);
	X509_free(certificate);
	return names;
}

GPtrArray *
certificate_common_names(PhSlice der)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	X509 *certificate = parse(der);
	X509_NAME *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
	int at = -1;

	while (subject != NULL
	       && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0) {
		unsigned char *text = NULL;
		int length = ASN1_STRING_to_UTF8(
			&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));

		if (length > 0)
			add_name(names, PH_SLICE((const char *) text, (size_t) length));
		OPENSSL_free(text);
	}
	X509_free(certificate);
	return names;
}

char *
certificate_fingerprint(PhSlice der)
{
	return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) der.data,
	                                   der.length);
}

/* Is @word that fingerprint? */
static bool
is_fingerprint(PhSlice word, const char *fingerprint)
{
	size_t at = 0;

	for (size_t i = 0; i < word.length; i++) {
		if (word.data[i] == ':')
			continue;
		if (at == FINGERPRINT_HEX || g_ascii_tolower(word.data[i]) != fingerprint[at])
			return false;
		at++;
	}
	return at == FINGERPRINT_HEX;
}

char *
fingerprint_find(PhSlice text, const char *fingerprint)
{
	while (text.length > 0) {
		PhSlice line = ph_slice_split(&text, '\n');
		PhSlice user = PH_SLICE_EMPTY;
		PhSlice word = PH_SLICE_EMPTY;

		if (line.length > 0 && line.data[line.length - 1] == '\r')
			line.length--;
		line = ph_slice_trim(line);
		if (line.length == 0 || line.data[0] == '#')
			continue;
		user = line;
		word = ph_slice_split(&user, ' ');
		user = ph_slice_trim(user);
		if (user.length > 0 && ph_slice_is_utf8(user) && is_fingerprint(word, fingerprint))
			return ph_slice_dup(user);
	}
	return NULL;
}

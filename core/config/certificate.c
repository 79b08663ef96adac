/* certificate.c: will this certificate and key work, and for how long?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)

enum {
	SOON_DAYS = 14
};

static int
no_pass_phrase(char *buffer, int size, int writing, void *asked)
{
	*(bool *) asked = true;
	return -1;
}

static FILE *
open_file(const char *path, const char *key, char **fault_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	FILE *file = NULL;
	struct stat info;

	if (fd >= 0 && fstat(fd, &info) == 0 && !S_ISREG(info.st_mode))
		*fault_out = g_strdup_printf(
			"'%s' is not a regular file; name the right file in '%s'", path, key);
	else if (fd >= 0)
		file = fdopen(fd, "r");
	else
		*fault_out = g_strdup_printf("cannot open '%s': %s; name the right file in '%s'",
		                             path, g_strerror(errno), key);
	if (fd >= 0 && file == NULL)
		(void) close(fd);
	return file;
}

static char *
date_of(const ASN1_TIME *when)
{
	struct tm parts = { 0 };

	if (ASN1_TIME_to_tm(when, &parts) != 1)
		return g_strdup("an unknown date");
	return g_strdup_printf("%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1,
	                       parts.tm_mday);
}

static void
check_dates(X509 *certificate, const char *path, PhTime now, PhCertificateFaults *faults)
{
	const ASN1_TIME *begin = X509_get0_notBefore(certificate);
	const ASN1_TIME *end = X509_get0_notAfter(certificate);
	time_t seconds = (time_t) (now / 1000000);
	time_t soon = seconds + (time_t) SOON_DAYS * 86400;

	if (X509_cmp_time(begin, &seconds) > 0) {
		g_autofree char *date = date_of(begin);

		faults->certificate = g_strdup_printf("'%s' is not valid before %s; look at the "
		                                      "machine's clock or get another certificate",
		                                      path, date);
	} else if (X509_cmp_time(end, &seconds) < 0) {
		g_autofree char *date = date_of(end);

		faults->certificate = g_strdup_printf("'%s' expired on %s; renew it", path, date);
	} else if (X509_cmp_time(end, &soon) < 0) {
		g_autofree char *date = date_of(end);

		faults->expires = g_strdup_printf("'%s' expires on %s; renew it", path, date);
	}
}

static X509 *
read_certificate(const char *path, PhCertificateFaults *faults)
{
	FILE *file = open_file(path, "certificate", &faults->certificate);
	X509 *certificate = NULL;

	if (file == NULL)
		return NULL;
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	(void) fclose(file);
	if (certificate == NULL)
		faults->certificate = g_strdup_printf("'%s' holds no certificate in PEM form "
		                                      "(-----BEGIN CERTIFICATE-----)",
		                                      path);
	return certificate;
}

static EVP_PKEY *
read_key(const char *path, PhCertificateFaults *faults)
{
	FILE *file = open_file(path, "key", &faults->key);
	EVP_PKEY *key = NULL;
	bool asked = false;
	struct stat info;

	if (file == NULL)
		return NULL;
	if (fstat(fileno(file), &info) == 0 && (info.st_mode & S_IROTH) != 0)
		faults->key = g_strdup_printf("the private key '%s' can be read by everybody "
		                              "(mode %04o); run: chmod o-r '%s'",
		                              path, (unsigned int) (info.st_mode & 07777), path);
	key = PEM_read_PrivateKey(file, NULL, no_pass_phrase, &asked);
	(void) fclose(file);
	if (key == NULL && faults->key == NULL)
		faults->key = asked ? g_strdup_printf("'%s' is protected by a pass phrase; store "
		                                      "the key without one",
		                                      path)
		                    : g_strdup_printf("'%s' holds no private key in PEM form "
		                                      "(-----BEGIN PRIVATE KEY-----)",
		                                      path);
	return key;
}

PhCertificateFaults
ph_certificate_check(const char *certificate, const char *key, PhTime now)
{
	PhCertificateFaults faults = { NULL, NULL, NULL };
	g_autoptr(X509) x509 = read_certificate(certificate, &faults);
	g_autoptr(EVP_PKEY) pkey = read_key(key, &faults);

	if (x509 != NULL)
		check_dates(x509, certificate, now, &faults);
	if (x509 != NULL && pkey != NULL && faults.key == NULL
	    && X509_check_private_key(x509, pkey) != 1)
		faults.key = g_strdup_printf("the private key '%s' does not belong to the "
		                             "certificate '%s'; name the pair that was made "
		                             "together",
		                             key, certificate);
	ERR_clear_error();
	return faults;
}

void
ph_certificate_faults_clear(PhCertificateFaults *faults)
{
	g_clear_pointer(&faults->certificate, g_free);
	g_clear_pointer(&faults->expires, g_free);
	g_clear_pointer(&faults->key, g_free);
}

/* certificate.h: will this certificate and key work, and for how long?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_CERTIFICATE_H
#define POSTHORN_CONFIG_CERTIFICATE_H

#include <posthorn/types.h>

/* PhCertificateFaults: sentences that begin with the file: (owned, nullable) each. */
typedef struct {
	char *certificate; /* missing, unreadable, no certificate in it, expired, not yet valid */
	char *expires;     /* a warning: it ends within 14 days */
	char *key; /* missing, unreadable, no key, encrypted, readable by all, not matching */
} PhCertificateFaults;

/* ph_certificate_check: @now: the wall clock. Blocks: on the disk. */
PhCertificateFaults ph_certificate_check(const char *certificate, const char *key, PhTime now);
void ph_certificate_faults_clear(PhCertificateFaults *faults);

#endif

/* certificate.h: names in a client's certificate
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef EXTERNAL_CERTIFICATE_H
#define EXTERNAL_CERTIFICATE_H

#include <posthorn/types.h>

enum {
	CERTIFICATE_NAMES_MAX = 64,
	FINGERPRINT_HEX = 64, /* digits of a SHA-256 */
};

/* certificate_emails: addresses (rfc822Name) of the alternative names. certificate_common_names: of
 * the subject. @der: the certificate. Names with NUL, and those that are no UTF-8, are left out.
 * Returns: (owned) strings; empty when there are none or it is no certificate. Pure. */
GPtrArray *certificate_emails(PhSlice der);
GPtrArray *certificate_common_names(PhSlice der);

/* certificate_fingerprint: SHA-256 of the certificate in lower-case hexadecimal digits. (owned) */
char *certificate_fingerprint(PhSlice der);

/* fingerprint_find: the user of a line "fingerprint user" in @text; digits may be parted by ':' and
 * be of any case; '#' begins a comment. Returns: (owned, nullable). Pure. */
char *fingerprint_find(PhSlice text, const char *fingerprint);

#endif

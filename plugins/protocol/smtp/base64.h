/* base64.h: strict base64 for the AUTH exchange
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_BASE64_H
#define POSTHORN_SMTP_BASE64_H

#include <posthorn/types.h>

#include <sys/types.h>

/* base64_decode: canonical base64 only (RFC 4648 section 3.5: padding there, unused bits zero, no
 * other octets). @out: room for 3 octets for each 4 of @text. -1 when it is not base64. */
ssize_t base64_decode(PhSlice text, char *out);

#endif

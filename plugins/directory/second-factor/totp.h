/* totp.h: time-based one-time passwords (RFC 6238) of six digits, SHA-1, 30 s: what all apps do
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SECOND_FACTOR_TOTP_H
#define SECOND_FACTOR_TOTP_H

#include <posthorn/types.h>

enum {
	TOTP_DIGITS = 6,
	TOTP_SECONDS = 30,
	TOTP_KEY_MAX = 64,
};

/* totp_key: base32 (RFC 4648; case, blanks and '=' do not matter). Returns: octets of the key, 0 when it
 * is none of 10 to 64 octets. */
size_t totp_key(const char *text, uint8_t key[TOTP_KEY_MAX]);

/* totp_code: HOTP (RFC 4226) for one step of time. @digits: 6 to 8. */
uint32_t totp_code(const uint8_t *key, size_t length, uint64_t step, unsigned digits);

/* totp_find: the step around @now, at most @window away, whose code it is; 0 when there is none. Every
 * step of the window is looked at, whichever fits. */
uint64_t totp_find(const uint8_t *key, size_t length, uint32_t code, uint64_t now, unsigned window);

#endif

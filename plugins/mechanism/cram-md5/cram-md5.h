/* cram-md5.h: the digest of CRAM-MD5, and what tests turn
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef CRAM_MD5_H
#define CRAM_MD5_H

#include <posthorn/types.h>

enum {
	CRAM_MD5_HEX = 32,
};

/* cram_md5_digest: CRAM_MD5_HEX digits to @hex, no NUL. False when OpenSSL has no MD5. */
bool cram_md5_digest(PhSlice password, PhSlice challenge, char *hex);

/* For tests: the challenge instead of a random one. NULL: random. */
extern const char *cram_md5_fixed_challenge;

#endif

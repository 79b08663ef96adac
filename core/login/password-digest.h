/* password-digest.h: password forms that are digests: salted or plain, PBKDF2, SCRAM
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LOGIN_PASSWORD_DIGEST_H
#define LOGIN_PASSWORD_DIGEST_H

#include <posthorn/secret.h>

/* PhEncoding: how the octets behind a {SCHEME} are written. AUTO: hex when the length is exactly
 * that of the bare digest in hex, else base64. */
typedef enum {
	PH_ENCODING_AUTO = 0,
	PH_ENCODING_BASE64 = 1,
	PH_ENCODING_HEX = 2,
} PhEncoding;

/* What is checked: @form is what stands behind the braces, @argument belongs to the scheme's row
 * (the digest's OpenSSL name). Each returns PH_DIGEST_MATCH, or why not. */
typedef enum {
	PH_DIGEST_MATCH = 1,
	PH_DIGEST_WRONG = 2,
	PH_DIGEST_MALFORMED = 3, /* the stored form cannot be understood */
} PhDigestResult;

typedef struct {
	const char *form;
	PhSlice secret;
	const char *argument;
	PhEncoding encoding;
} PhDigestQuestion;

PhDigestResult ph_digest_plain(const PhDigestQuestion *question);
PhDigestResult ph_digest_salted(const PhDigestQuestion *question); /* digest(secret + salt), salt */
PhDigestResult ph_digest_pbkdf2(const PhDigestQuestion *question); /* $1$salt$rounds$hex (SHA-1) */
PhDigestResult ph_digest_scram(const PhDigestQuestion *question);  /* RFC 5803 fields by ',' */

/* ph_digest_derive: PBKDF2 with HMAC. False when the digest is not known. */
bool ph_digest_derive(const char *digest,
                      PhSlice secret,
                      PhSlice salt,
                      uint32_t rounds,
                      uint8_t *key,
                      size_t length);

/* ph_hash_slot_enter, ph_hash_slot_leave: around work that is as slow as a password hash: only so many
 * run at once as there are processors. Blocks: until there is room. */
void ph_hash_slot_enter(void);
void ph_hash_slot_leave(void);

/* ph_digest_make_scram: "iterations,salt,stored-key,server-key". Returns: (owned). */
char *ph_digest_make_scram(const char *digest, PhSlice secret);

/* ph_digest_make_salted: base64 of digest(secret + salt), salt. Returns: (owned). */
char *ph_digest_make_salted(const char *digest, PhSlice secret);

#endif

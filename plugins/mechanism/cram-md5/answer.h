/* answer.h: "name digest" over a challenge, as CRAM-MD5 and APOP have it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef CRAM_MD5_ANSWER_H
#define CRAM_MD5_ANSWER_H

#include <posthorn/mechanism.h>

enum {
	ANSWER_HEX = 32, /* digits of a digest */
	ANSWER_MAX = 1024,
};

/* AnswerDigest: ANSWER_HEX digits to @hex, no NUL. False when OpenSSL has no MD5. */
typedef bool (*AnswerDigest)(PhSlice password, PhSlice challenge, char *hex);

/* cram_md5_digest: HMAC-MD5 with the password as the key (RFC 2195).
 * apop_digest: MD5 of the challenge with the password behind it (RFC 1939 section 7). */
bool cram_md5_digest(PhSlice password, PhSlice challenge, char *hex);
bool apop_digest(PhSlice password, PhSlice challenge, char *hex);

/* The members of PhMechanism; a state is the challenge. */
void *answer_begin(void *instance, PhExchange *exchange);
void answer_end(void *instance, void *state);

/* answer_step: makes the challenge, then checks the answer with @digest. */
PhStep answer_step(GString *challenge,
                   PhExchange *exchange,
                   const PhSlice *response,
                   AnswerDigest digest,
                   GError **error);

/* answer_split: cuts at the last blank. Pure. False when it is not "name digest". */
bool answer_split(PhSlice answer, PhSlice *user, PhSlice *digest);

/* For tests: the challenge instead of a random one. NULL: random. */
extern const char *answer_fixed_challenge;

#endif

/* kit-mechanism.h: what the rules of a mechanism have in common: exchanges, and who answers in them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFORM_KIT_MECHANISM_H
#define POSTHORN_CONFORM_KIT_MECHANISM_H

#include "conform/kit.h"

enum {
	PH_KIT_STEPS_MAX = 64,
};

/* ph_kit_mechanism: the mechanism under test. */
extern PhConformMechanism ph_kit_mechanism;

/* ph_kit_say: one response (NULL for none), and what must hold after any: the answer is one that
 * the header knows, and its other half is there. */
void ph_kit_say(void *exchange, const PhSlice *response, PhConformStep *out);

/* PhKitVoice: what a client says: fixed responses, or those of a program. */
typedef struct PhKitVoice PhKitVoice;

/* ph_kit_voice: (owned) the rule is skipped when nobody was named who could speak. */
PhKitVoice *ph_kit_voice(void);
void ph_kit_voice_free(PhKitVoice *voice);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhKitVoice, ph_kit_voice_free)

/* ph_kit_voice_is_fixed: are the responses the same whatever the server says? */
bool ph_kit_voice_is_fixed(void);

/* ph_kit_voice_answer: (owned, nullable) the response to a challenge, NULL for the first one. */
GByteArray *ph_kit_voice_answer(PhKitVoice *voice, const PhSlice *challenge);

/* PhKitTalk: a whole exchange, written down. */
typedef struct {
	GPtrArray *responses;  /* of GByteArray */
	GPtrArray *challenges; /* of GByteArray */
	PhStep last;
	bool is_user;        /* it ended with who it should be */
	bool asked_password; /* a directory was asked about one */
	char *identity;      /* (nullable) */
} PhKitTalk;

/* ph_kit_talk: (owned) what comes of a client that does everything right. @change: (nullable) is
 * given each response before it is sent. */
PhKitTalk *ph_kit_talk(PhConformPerson person,
                       void (*change)(unsigned place, GByteArray *response, void *user_data),
                       void *user_data);
void ph_kit_talk_free(PhKitTalk *talk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhKitTalk, ph_kit_talk_free)

extern const PhConformRule ph_conform_exchanges[];

#endif

/* speaker.h: a directory that asks somebody in JSON: everything but the way there
 *
 * A question is one JSON object, its answer another (<posthorn/user.h>). The plugins exec and http differ
 * in how they carry them, and in that alone: they give a SpeakerWay and use the members below, whose
 * instance is the Speaker. No thread waits for an answer that a login asks for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef JSON_SPEAKER_H
#define JSON_SPEAKER_H

#include <posthorn/user.h>

typedef struct Speaker Speaker;

/* Talk: one question under way. */
typedef struct Talk Talk;

typedef struct {
	const char *who; /* "program", in sentences */
	/* send: carries talk_question(); talk_answer() follows once, from any thread, maybe before this
	 * returns. Blocks: no. */
	void (*send)(void *carrier, Talk *talk);
	/* free_carrier: what is under way fails first. */
	void (*free_carrier)(void *carrier);
} SpeakerWay;

typedef struct {
	const SpeakerWay *way;
	const char *const
		*abilities;  /* (borrowed for the speaker's life) as the option holds them */
	const char *domain;  /* (nullable) */
	PhDuration time_out; /* of one question */
} SpeakerRules;

/* speaker_check: are there such abilities? */
bool speaker_check(const char *const *abilities, GError **error);

/* speaker_new: @carrier: (owned). Never fails. */
Speaker *speaker_new(const SpeakerRules *rules, void *carrier);

/* --- for the carrier -------------------------------------------------------------------------------- */

/* talk_question: one line without its end; borrowed until it is answered. */
const GString *talk_question(const Talk *talk);

/* talk_patience: what is left of its time; more than 0. */
PhDuration talk_patience(const Talk *talk);

/* talk_answer: @talk: (owned) @error: (owned, nullable) then @answer is not looked at. */
void talk_answer(Talk *talk, PhSlice answer, GError *error);

/* --- the members of PhDirectory ------------------------------------------------------------------- */

void speaker_destroy(void *instance);
void speaker_begin(void *instance, PhQuestion *question);
PhVerify speaker_verify(void *instance,
                        const char *name,
                        const PhSecret *secret,
                        PhIdentity **identity_out,
                        GError **error);
PhVerify speaker_lookup(void *instance,
                        const char *name,
                        PhIdentity **identity_out,
                        GError **error);
PhVerify speaker_secret(void *instance,
                        const char *name,
                        const char *scheme,
                        PhSecret **secret_out,
                        GError **error);
bool speaker_gives(void *instance, const char *scheme);
PhVerify speaker_expand(void *instance,
                        const char *name,
                        PhListFunc func,
                        void *user_data,
                        GError **error);
bool speaker_list(void *instance, PhListFunc func, void *user_data, GError **error);
bool speaker_set(void *instance,
                 const char *address,
                 const char *hash,
                 bool create,
                 GError **error);
bool speaker_remove(void *instance, const char *address, GError **error);

/* What every such plugin's table has but for `create`. */
#define SPEAKER_MEMBERS                                                                 \
	.destroy = speaker_destroy, .verify = speaker_verify, .lookup = speaker_lookup, \
	.secret = speaker_secret, .gives = speaker_gives, .expand = speaker_expand,     \
	.list = speaker_list, .set = speaker_set, .remove = speaker_remove, .begin = speaker_begin

#endif

/* kit-mechanism.c: exchanges with the mechanism under test, and who answers in them
 *
 * A program that answers is started for each exchange with the user and the password as its last
 * words. It reads a line for each challenge, in base64, "-" when it is to begin, and writes a line
 * with its response in base64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit-mechanism.h"

#include <posthorn/header.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

PhConformMechanism ph_kit_mechanism;

/* --- steps --- */

void
ph_kit_say(void *exchange, const PhSlice *response, PhConformStep *out)
{
	ph_kit_mechanism.step(exchange, response, out);
	KIT_CHECK(out->said != PH_STEP_DONE,
	          "a step says DONE by itself: return what verify or accept returned");
	KIT_CHECK(out->said >= PH_STEP_CHALLENGE && out->said <= PH_STEP_ASKED,
	          "a step returns %d, which is no PhStep", (int) out->said);
	KIT_CHECK(out->said != PH_STEP_ASKED || out->has_question,
	          "a step says ASKED and has not called verify or accept");
	KIT_CHECK(out->said != PH_STEP_CHALLENGE || out->has_challenge,
	          "a step says CHALLENGE and has not called ph_exchange_challenge()");
	KIT_CHECK((out->said == PH_STEP_ERROR) <= (out->error != NULL),
	          "a step says ERROR and has not set the error");
	KIT_CHECK(out->said == PH_STEP_ERROR || out->said == PH_STEP_ASKED || out->error == NULL,
	          "a step sets the error and does not say ERROR");
	KIT_CHECK(out->error == NULL || out->error->domain == PH_ERROR,
	          "a step sets an error that is not of PH_ERROR");
}

/* --- who speaks --- */

struct PhKitVoice {
	char **fixed; /* (nullable) */
	unsigned at;
	GPid pid; /* of the program */
	FILE *to;
	FILE *from;
};

bool
ph_kit_voice_is_fixed(void)
{
	return ph_kit_mechanism.client == NULL;
}

static void
start_program(PhKitVoice *voice)
{
	g_autofree char *line = g_strdup_printf("exec %s \"$@\"", ph_kit_mechanism.client);
	const char *const words[] = {
		"/bin/sh", "-c", line, "client", ph_kit_mechanism.user, ph_kit_mechanism.password,
		NULL
	};
	g_autoptr(GError) error = NULL;
	int to = -1;
	int from = -1;

	if (!g_spawn_async_with_pipes(NULL, (char **) (uintptr_t) words, NULL,
	                              G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &voice->pid, &to,
	                              &from, NULL, &error))
		ph_kit_fail("cannot start the client: %s", error->message);
	voice->to = fdopen(to, "we");
	voice->from = fdopen(from, "re");
}

PhKitVoice *
ph_kit_voice(void)
{
	PhKitVoice *voice = NULL;

	if (ph_kit_mechanism.client == NULL && ph_kit_mechanism.responses == NULL)
		ph_kit_skip("nobody was named who can log in: --responses or --client");
	voice = g_new0(PhKitVoice, 1);
	if (ph_kit_mechanism.client != NULL)
		start_program(voice);
	else
		voice->fixed = g_strsplit(ph_kit_mechanism.responses, ",", -1);
	return voice;
}

void
ph_kit_voice_free(PhKitVoice *voice)
{
	int status = 0;

	if (voice == NULL)
		return;
	g_strfreev(voice->fixed);
	if (voice->to != NULL) {
		(void) fclose(voice->to);
		(void) fclose(voice->from);
		(void) waitpid(voice->pid, &status, 0);
	}
	g_free(voice);
}

static GByteArray *
decode(const char *text)
{
	GString *octets = g_string_new(NULL);
	GByteArray *out = g_byte_array_new();

	if (!ph_base64_decode(ph_slice(text), octets))
		ph_kit_fail("the response '%.60s' is not base64", text);
	g_byte_array_append(out, (const guint8 *) octets->str, (guint) octets->len);
	(void) g_string_free(octets, TRUE);
	return out;
}

GByteArray *
ph_kit_voice_answer(PhKitVoice *voice, const PhSlice *challenge)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char line[65536];

	if (voice->fixed != NULL) {
		const char *next = voice->fixed[voice->at];

		voice->at += next != NULL;
		return next != NULL ? decode(next) : NULL;
	}
	if (challenge != NULL)
		ph_base64_append(*challenge, text);
	(void) fprintf(voice->to, "%s\n", challenge != NULL ? text->str : "-");
	(void) fflush(voice->to);
	if (fgets(line, sizeof line, voice->from) == NULL)
		return NULL;
	return decode(g_strchomp(line));
}

/* --- whole exchanges --- */

static GByteArray *
copy_of(PhSlice octets)
{
	GByteArray *copy = g_byte_array_new();

	g_byte_array_append(copy, (const guint8 *) octets.data, (guint) octets.length);
	return copy;
}

static void
free_octets(gpointer octets)
{
	g_byte_array_unref(octets);
}

static void
note_end(PhKitTalk *talk, const PhConformStep *step)
{
	talk->last = step->step;
	talk->asked_password = step->asked_password;
	talk->identity = g_strdup(step->identity);
	talk->is_user = g_strcmp0(step->identity, ph_kit_mechanism.user) == 0;
}

PhKitTalk *
ph_kit_talk(PhConformPerson person,
            void (*change)(unsigned place, GByteArray *response, void *user_data),
            void *user_data)
{
	bool client_first = (ph_kit_mechanism.table->flags & PH_MECHANISM_CLIENT_FIRST) != 0;
	g_autoptr(PhKitVoice) voice = ph_kit_voice();
	PhKitTalk *talk = g_new0(PhKitTalk, 1);
	void *exchange = ph_kit_mechanism.begin(person);
	PhConformStep step = { .step = PH_STEP_CHALLENGE };

	talk->responses = g_ptr_array_new_with_free_func(free_octets);
	talk->challenges = g_ptr_array_new_with_free_func(free_octets);
	if (!client_first) {
		ph_kit_say(exchange, NULL, &step);
		g_ptr_array_add(talk->challenges, copy_of(step.challenge));
	}
	while (step.step == PH_STEP_CHALLENGE && talk->responses->len < PH_KIT_STEPS_MAX) {
		bool begins = client_first && talk->responses->len == 0;
		GByteArray *response = ph_kit_voice_answer(voice, begins ? NULL : &step.challenge);
		PhSlice octets = PH_SLICE_EMPTY;

		if (response == NULL)
			break;
		if (change != NULL)
			change(talk->responses->len, response, user_data);
		g_ptr_array_add(talk->responses, response);
		octets = PH_SLICE((const char *) response->data, response->len);
		ph_kit_say(exchange, &octets, &step);
		if (step.step == PH_STEP_CHALLENGE)
			g_ptr_array_add(talk->challenges, copy_of(step.challenge));
	}
	note_end(talk, &step);
	ph_kit_mechanism.end(exchange);
	return talk;
}

void
ph_kit_talk_free(PhKitTalk *talk)
{
	if (talk == NULL)
		return;
	g_ptr_array_unref(talk->responses);
	g_ptr_array_unref(talk->challenges);
	g_free(talk->identity);
	g_free(talk);
}

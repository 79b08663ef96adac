/* question.c: a question that a directory answers later
 *
 * The thread that asks ends the call when the answer was there before `begin` returned; else the
 * answering thread does, because the asker has given back what a thread holds.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/question.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "config/config.h"

#include <stdatomic.h>

#define LONGEST_US UINT64_C(30000000) /* of a section without a timeout */

struct PhQuestion {
	atomic_uint n_refs;
	PhCall call;
	char *user;
	PhSecret *secret; /* (nullable) */
	uint64_t deadline_us;
	PhLock lock; /* guards what follows */
	bool is_parked;
	bool is_answered;
	PhWake *wake; /* (owned, nullable) */
	PhVerify result;
	PhIdentity *identity;
	GError *error;
};

static void
unref(PhQuestion *question)
{
	if (atomic_fetch_sub(&question->n_refs, 1) > 1)
		return;
	g_free(question->user);
	ph_secret_free(question->secret);
	ph_identity_unref(question->identity);
	g_clear_error(&question->error);
	ph_lock_clear(&question->lock);
	g_free(question);
}

static uint64_t
longest_us(const PhSection *section)
{
	const PhPluginSettings *settings = section->core_settings;

	return settings != NULL && settings->timeout.us > 0 ? settings->timeout.us : LONGEST_US;
}

/* Where the thread stands that asked: has the answer come meanwhile? */
static void
park(PhQuestion *question)
{
	bool answered = false;

	ph_lock_take(&question->lock);
	answered = question->is_answered;
	if (!answered)
		ph_call_park(&question->call);
	question->is_parked = !answered;
	ph_lock_drop(&question->lock);
	if (answered)
		ph_call_end(&question->call, question->result != PH_VERIFY_ERROR);
}

PhQuestion *
ph_question_ask(const PhCall *call, const char *user, const PhSecret *secret)
{
	PhQuestion *question = g_new0(PhQuestion, 1);
	const PhDirectory *table = ph_section_table(call->section);

	atomic_init(&question->n_refs, 2);
	ph_lock_init(&question->lock);
	question->call = *call;
	question->user = g_strdup(user);
	question->secret = secret != NULL ? ph_secret_new(ph_secret_slice(secret)) : NULL;
	question->deadline_us = ph_clock_us() + longest_us(call->section);
	table->begin(ph_section_instance(call->section), question);
	park(question);
	return question;
}

bool
ph_question_take(PhQuestion *question,
                 PhVerify *result_out,
                 PhIdentity **identity_out,
                 GError **error)
{
	bool is_late = ph_clock_us() >= question->deadline_us;
	PH_LOCKED(&question->lock);

	if (!question->is_answered) {
		*result_out = PH_VERIFY_ERROR;
		if (is_late)
			ph_error_set(error, PH_ERROR_TEMPORARY, "it did not answer in time");
		return is_late;
	}
	*result_out = question->result;
	*identity_out = g_steal_pointer(&question->identity);
	if (question->error != NULL)
		g_propagate_error(error, g_steal_pointer(&question->error));
	return true;
}

void
ph_question_wake(PhQuestion *question, PhWake *wake)
{
	PhWake *before = NULL;

	ph_lock_take(&question->lock);
	before = g_steal_pointer(&question->wake);
	if (!question->is_answered)
		question->wake = g_steal_pointer(&wake);
	ph_lock_drop(&question->lock);
	if (before != NULL)
		ph_wake_complete(before);
	if (wake != NULL)
		ph_wake_complete(wake);
}

PhDuration
ph_question_patience(const PhQuestion *question)
{
	uint64_t now_us = ph_clock_us();

	return (PhDuration){ question->deadline_us > now_us ? question->deadline_us - now_us : 1 };
}

void
ph_question_drop(PhQuestion *question)
{
	PhWake *wake = NULL;

	if (question == NULL)
		return;
	ph_lock_take(&question->lock);
	wake = g_steal_pointer(&question->wake);
	ph_lock_drop(&question->lock);
	if (wake != NULL)
		ph_wake_complete(wake);
	unref(question);
}

/* --- the directory's side ------------------------------------------------------------------------- */

const char *
ph_question_user(const PhQuestion *question)
{
	return question->user;
}

const PhSecret *
ph_question_secret(const PhQuestion *question)
{
	return question->secret;
}

int64_t
ph_question_deadline(const PhQuestion *question)
{
	return (int64_t) question->deadline_us;
}

/* What a directory says must fit together, whatever it does. */
static void
settle(PhQuestion *question, PhVerify result, PhIdentity *identity, GError *error)
{
	if (result != PH_VERIFY_OK)
		g_clear_pointer(&identity, ph_identity_unref);
	else if (identity == NULL)
		result = PH_VERIFY_ERROR;
	if (result != PH_VERIFY_ERROR)
		g_clear_error(&error);
	question->identity = identity;
	question->error = error;
	question->result = result;
	if (result == PH_VERIFY_ERROR && error == NULL)
		ph_error_set(&question->error, PH_ERROR_TEMPORARY, "it failed without a reason");
}

void
ph_question_answer(PhQuestion *question, PhVerify result, PhIdentity *identity, GError *error)
{
	PhWake *wake = NULL;
	bool is_parked = false;

	ph_lock_take(&question->lock);
	settle(question, result, identity, error);
	question->is_answered = true;
	is_parked = question->is_parked;
	wake = g_steal_pointer(&question->wake);
	ph_lock_drop(&question->lock);
	if (is_parked)
		ph_call_end(&question->call, question->result != PH_VERIFY_ERROR);
	if (wake != NULL)
		ph_wake_complete(wake);
	unref(question);
}

/* speaker.c: a directory that asks somebody in JSON: everything but the way there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "speaker.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <pthread.h>

struct Speaker {
	SpeakerRules rules;
	PhUserRules *users;
	void *carrier;
};

struct Talk {
	PhUser *user;
	GString *question;
	int64_t deadline_us;
	void (*done)(Talk *talk, void *user_data); /* takes the talk */
	void *user_data;
	PhVerify result;
	GError *error;
};

bool
speaker_check(const char *const *abilities, GError **error)
{
	static const char *const known[] = { "verify", "lookup", "secret", "expand",
		                             "list",   "set",    "remove", NULL };

	for (; abilities != NULL && *abilities != NULL; abilities++) {
		if (g_strv_contains(known, *abilities))
			continue;
		ph_error_set(error, PH_ERROR_INVALID,
		             "there is no ability '%s'; there are verify, lookup, secret, expand, "
		             "list, set, remove",
		             *abilities);
		return false;
	}
	return true;
}

Speaker *
speaker_new(const SpeakerRules *rules, void *carrier)
{
	Speaker *speaker = g_new0(Speaker, 1);

	speaker->rules = *rules;
	speaker->users = ph_user_rules_new(rules->domain);
	speaker->carrier = carrier;
	return speaker;
}

void
speaker_destroy(void *instance)
{
	Speaker *speaker = instance;

	speaker->rules.way->free_carrier(speaker->carrier);
	ph_user_rules_free(speaker->users);
	g_free(speaker);
}

static bool
can(const Speaker *speaker, const char *ability)
{
	return g_strv_contains(speaker->rules.abilities, ability);
}

/* --- one question ----------------------------------------------------------------------------------- */

/* What is asked. @name, @value: (nullable) one more member of the question. */
typedef struct {
	const char *what;
	const char *name;
	PhSlice value;
} Demand;

/* @user: (owned) */
static Talk *
talk_new(const Speaker *speaker, PhUser *user, const Demand *demand)
{
	Talk *talk = g_new0(Talk, 1);

	talk->user = user;
	talk->question = ph_user_question_json(user, demand->what, demand->name, demand->value);
	talk->deadline_us = g_get_monotonic_time() + (int64_t) speaker->rules.time_out.us;
	talk->result = PH_VERIFY_ERROR;
	return talk;
}

static void
talk_free(Talk *talk)
{
	ph_user_free(talk->user);
	ph_user_question_free(talk->question);
	g_clear_error(&talk->error);
	g_free(talk);
}

const GString *
talk_question(const Talk *talk)
{
	return talk->question;
}

PhDuration
talk_patience(const Talk *talk)
{
	int64_t left_us = talk->deadline_us - g_get_monotonic_time();

	return (PhDuration){ left_us > 0 ? (uint64_t) left_us : 1 };
}

void
talk_answer(Talk *talk, PhSlice answer, GError *error)
{
	if (error == NULL)
		talk->result = ph_user_answer_json(talk->user, answer, &talk->error);
	else
		talk->error = error;
	talk->done(talk, talk->user_data);
}

/* --- logins: no thread waits --------------------------------------------------------------------- */

typedef struct {
	PhQuestion *question;
	bool is_login; /* else a lookup */
} Login;

static void
end_login(Talk *talk, void *user_data)
{
	Login *login = user_data;
	PhIdentity *identity = NULL;
	PhVerify result = talk->result;

	if (result == PH_VERIFY_OK)
		result = login->is_login ? ph_user_accept(talk->user, &identity, &talk->error)
		                         : ph_user_lookup(talk->user, &identity, &talk->error);
	ph_question_answer(login->question, result, identity, g_steal_pointer(&talk->error));
	talk_free(talk);
	g_free(login);
}

/* Answers that need no question. JSON has no way to say what is not UTF-8. */
static PhVerify
answer_at_once(const Speaker *speaker, const char *what, const PhSecret *secret)
{
	if (!can(speaker, what))
		return PH_VERIFY_UNKNOWN_USER;
	if (secret != NULL && !ph_slice_is_utf8(ph_secret_slice(secret)))
		return PH_VERIFY_WRONG;
	return 0;
}

static Demand
login_demand(const PhSecret *secret)
{
	if (secret == NULL)
		return (Demand){ .what = "lookup" };
	return (Demand){ "verify", "password", ph_secret_slice(secret) };
}

void
speaker_begin(void *instance, PhQuestion *question)
{
	const Speaker *speaker = instance;
	const PhSecret *secret = ph_question_secret(question);
	const Demand demand = login_demand(secret);
	PhVerify known = answer_at_once(speaker, demand.what, secret);
	Login *login = NULL;
	Talk *talk = NULL;

	if (known != 0) {
		ph_question_answer(question, known, NULL, NULL);
		return;
	}
	login = g_new0(Login, 1);
	login->question = question;
	login->is_login = secret != NULL;
	talk = talk_new(speaker, ph_user_new(speaker->users, ph_question_user(question)), &demand);
	talk->deadline_us = MIN(talk->deadline_us, ph_question_deadline(question));
	talk->done = end_login;
	talk->user_data = login;
	speaker->rules.way->send(speaker->carrier, talk);
}

/* --- the same with a thread -------------------------------------------------------------------------- */

typedef struct {
	pthread_mutex_t lock; /* guards is_done */
	pthread_cond_t done;
	bool is_done;
} Waiter;

static void
wake_waiter(Talk *talk, void *user_data)
{
	Waiter *waiter = user_data;

	(void) pthread_mutex_lock(&waiter->lock);
	waiter->is_done = true;
	(void) pthread_cond_signal(&waiter->done);
	(void) pthread_mutex_unlock(&waiter->lock);
}

/* Returns: (owned) the talk, answered. */
static Talk *
ask(const Speaker *speaker, const char *name, const Demand *demand)
{
	Waiter waiter = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	Talk *talk = talk_new(speaker, ph_user_new(speaker->users, name), demand);

	if (!can(speaker, demand->what)) {
		talk->result = PH_VERIFY_UNKNOWN_USER;
		return talk;
	}
	talk->done = wake_waiter;
	talk->user_data = &waiter;
	speaker->rules.way->send(speaker->carrier, talk);
	(void) pthread_mutex_lock(&waiter.lock);
	while (!waiter.is_done)
		(void) pthread_cond_wait(&waiter.done, &waiter.lock);
	(void) pthread_mutex_unlock(&waiter.lock);
	return talk;
}

/* @talk: (owned) Returns: its result, with its error. */
static PhVerify
end_talk(Talk *talk, PhVerify result, GError **error)
{
	if (talk->error != NULL)
		g_propagate_error(error, g_steal_pointer(&talk->error));
	talk_free(talk);
	return result;
}

PhVerify
speaker_verify(void *instance,
               const char *name,
               const PhSecret *secret,
               PhIdentity **identity_out,
               GError **error)
{
	const Speaker *speaker = instance;
	const Demand demand = login_demand(secret);
	PhVerify result = answer_at_once(speaker, demand.what, secret);
	Talk *talk = NULL;

	if (result != 0)
		return result;
	talk = ask(speaker, name, &demand);
	result = talk->result;
	if (result == PH_VERIFY_OK)
		result = ph_user_accept(talk->user, identity_out, &talk->error);
	return end_talk(talk, result, error);
}

PhVerify
speaker_lookup(void *instance, const char *name, PhIdentity **identity_out, GError **error)
{
	const Demand demand = login_demand(NULL);
	Talk *talk = ask(instance, name, &demand);
	PhVerify result = talk->result;

	if (result == PH_VERIFY_OK)
		result = ph_user_lookup(talk->user, identity_out, &talk->error);
	return end_talk(talk, result, error);
}

PhVerify
speaker_secret(void *instance,
               const char *name,
               const char *scheme,
               PhSecret **secret_out,
               GError **error)
{
	const Demand demand = { "secret", "scheme", ph_slice(scheme) };
	Talk *talk = ask(instance, name, &demand);
	const char *form = ph_user_get(talk->user, "secret");
	PhVerify result = talk->result;

	if (result == PH_VERIFY_OK && form == NULL)
		result = PH_VERIFY_WRONG;
	else if (result == PH_VERIFY_OK)
		*secret_out = ph_secret_new(ph_slice(form));
	return end_talk(talk, result, error);
}

bool
speaker_gives(void *instance, const char *scheme)
{
	return can(instance, "secret");
}

PhVerify
speaker_expand(void *instance, const char *name, PhListFunc func, void *user_data, GError **error)
{
	const Demand demand = { .what = "expand" };
	Talk *talk = ask(instance, name, &demand);
	PhVerify result = talk->result;

	if (result == PH_VERIFY_OK)
		result = ph_user_expand(talk->user, func, user_data);
	return end_talk(talk, result, error);
}

/* --- tools ------------------------------------------------------------------------------------------ */

/* A change, or a question whose answer is OK or nothing. Returns: (owned, nullable) the talk. */
static Talk *
demand_of(const Speaker *speaker, const char *name, const Demand *demand, GError **error)
{
	Talk *talk = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!can(speaker, demand->what)) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "'abilities' does not say that the %s can be asked to %s",
		             speaker->rules.way->who, demand->what);
		return NULL;
	}
	talk = ask(speaker, name, demand);
	result = talk->result;
	if (result == PH_VERIFY_OK)
		return talk;
	if (result == PH_VERIFY_UNKNOWN_USER)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'",
		             ph_user_asked_address(talk->user));
	else if (result != PH_VERIFY_ERROR)
		ph_error_set(error, PH_ERROR_DENIED, "the %s refuses to do it",
		             speaker->rules.way->who);
	(void) end_talk(talk, result, error);
	return NULL;
}

bool
speaker_list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	const Demand demand = { .what = "list" };
	Talk *talk = demand_of(instance, "", &demand, error);

	if (talk == NULL)
		return false;
	(void) ph_user_expand(talk->user, func, user_data);
	talk_free(talk);
	return true;
}

bool
speaker_set(void *instance, const char *address, const char *hash, bool create, GError **error)
{
	const Demand demand = { "set", "hash", ph_slice(hash) };
	g_autoptr(PhIdentity) identity = NULL;
	Talk *talk = NULL;
	PhVerify known = speaker_lookup(instance, address, &identity, error);

	if (known == PH_VERIFY_ERROR)
		return false;
	if (create && known != PH_VERIFY_UNKNOWN_USER) {
		ph_error_set(error, PH_ERROR_EXISTS, "'%s' is already there", address);
		return false;
	}
	if (!create && known == PH_VERIFY_UNKNOWN_USER) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'", address);
		return false;
	}
	talk = demand_of(instance, address, &demand, error);
	if (talk == NULL)
		return false;
	talk_free(talk);
	return true;
}

bool
speaker_remove(void *instance, const char *address, GError **error)
{
	const Demand demand = { .what = "remove" };
	Talk *talk = demand_of(instance, address, &demand, error);

	if (talk == NULL)
		return false;
	talk_free(talk);
	return true;
}

/* strike.c: counts calls, decides which are struck, and strikes
 *
 * With the same seed and the same calls the same ones are struck.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "fault.h"

#include <unistd.h>

enum {
	EXIT_STATUS = 70, /* EX_SOFTWARE */
	PERCENT = 100,
};

static const char *const places[N_PLACES] = {
	[AT_OPEN] = "open",       [AT_MAILBOXES] = "mailboxes", [AT_CHANGES] = "changes",
	[AT_VALUES] = "values",   [AT_UPLOAD] = "upload",       [AT_CONTENT] = "content",
	[AT_READ] = "read",       [AT_COMMIT] = "commit",       [AT_OUTCOME] = "outcome",
	[AT_REFRESH] = "refresh", [AT_SYNC] = "sync",           [AT_VERIFY] = "verify",
	[AT_DEFER] = "defer",
};

static bool
add_place(const char *word, uint32_t *set, GError **error)
{
	for (uint32_t i = 0; i < N_PLACES; i++) {
		if (strcmp(word, places[i]) != 0)
			continue;
		*set |= 1U << i;
		return true;
	}
	ph_error_set(
		error, PH_ERROR_INVALID,
		"'at' has '%s'; it may have open, mailboxes, changes, values, upload, content, "
		"read, commit, outcome, refresh, sync, verify, defer",
		word);
	return false;
}

Faults *
faults_new(const Settings *settings, GError **error)
{
	uint32_t set = 0;
	Faults *faults = NULL;

	for (size_t i = 0; settings->at != NULL && settings->at[i] != NULL; i++)
		if (!add_place(settings->at[i], &set, error))
			return NULL;
	faults = g_new0(Faults, 1);
	faults->n_refs = 1;
	faults->places = set;
	faults->error = settings->error; /* the words are in the order of PhError */
	faults->applied = settings->applied;
	faults->torn = (Torn) settings->torn;
	faults->crash = (Crash) settings->crash;
	faults->delay_us = settings->delay.us;
	faults->every = (uint64_t) settings->every;
	faults->after = (uint64_t) settings->after;
	faults->times = (uint64_t) settings->times;
	faults->probability = (uint64_t) settings->probability;
	faults->seed = (uint64_t) settings->seed;
	faults->only_while = g_strdup(settings->only_while);
	(void) pthread_mutex_init(&faults->lock, NULL);
	return faults;
}

Faults *
faults_ref(Faults *faults)
{
	g_atomic_int_inc(&faults->n_refs);
	return faults;
}

void
faults_unref(Faults *faults)
{
	if (!g_atomic_int_dec_and_test(&faults->n_refs))
		return;
	(void) pthread_mutex_destroy(&faults->lock);
	g_free(faults->only_while);
	g_free(faults);
}

/* A number that looks random and follows from seed and call (splitmix64). */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* With the lock held. */
static bool
decide(Faults *faults)
{
	uint64_t number = ++faults->n_calls;

	if (number <= faults->after || (number - faults->after) % faults->every != 0
	    || (faults->times != 0 && faults->n_struck >= faults->times)
	    || mix(faults->seed ^ mix(number)) % PERCENT >= faults->probability)
		return false;
	faults->n_struck++;
	return true;
}

static bool
hits(Faults *faults, Place place)
{
	bool hit = false;

	if ((faults->places & 1U << place) == 0
	    || (faults->only_while != NULL && access(faults->only_while, F_OK) != 0))
		return false;
	(void) pthread_mutex_lock(&faults->lock);
	hit = decide(faults);
	(void) pthread_mutex_unlock(&faults->lock);
	if (hit)
		ph_log(PH_LOG_NOTICE, "fault", "a fault was made, as the config asks",
		       PH_LOG_TEXT("at", places[place]), PH_LOG_END);
	return hit;
}

static bool
fail(const Faults *faults, GError **error)
{
	ph_error_set(error, faults->error, "made by the fault store");
	return false;
}

bool
faults_begin(Faults *faults, Place place, Strike *strike_out, GError **error)
{
	*strike_out = (Strike){ faults, faults != NULL && hits(faults, place) };
	if (!strike_out->hits)
		return true;
	if (faults->delay_us > 0)
		g_usleep(faults->delay_us);
	if (faults->crash == CRASH_BEFORE)
		_exit(EXIT_STATUS);
	return faults->error == 0 || faults->applied || fail(faults, error);
}

bool
faults_end(const Strike *strike, bool good, GError **error)
{
	if (!strike->hits || !good)
		return good;
	if (strike->faults->crash == CRASH_AFTER)
		_exit(EXIT_STATUS);
	return strike->faults->error == 0 || fail(strike->faults, error);
}

PhContent *
torn_content(const Strike *strike, PhContent *content)
{
	uint64_t length = ph_content_length(content);
	uint64_t middle = length / 2;
	g_autoptr(PhContent) before = NULL;
	g_autoptr(PhContent) changed = NULL;
	g_autoptr(PhContent) behind = NULL;
	char octet = 0;

	if (!strike->hits || strike->faults->torn == TORN_NO || length == 0)
		return ph_content_ref(content);
	before = ph_content_new_range(content, 0, middle);
	if (strike->faults->torn == TORN_CUT)
		return g_steal_pointer(&before);
	if (ph_content_read(content, middle, &octet, 1, NULL) == 1)
		octet = (char) (octet ^ 1);
	changed = ph_content_new_copy(PH_SLICE(&octet, 1));
	behind = ph_content_new_range(content, middle + 1, length);
	return ph_content_new_joined((PhContent *const[]){ before, changed, behind }, 3);
}

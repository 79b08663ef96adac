/* fault.h: the inside of the fault store: when a fault strikes, and what it does
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include <posthorn/below.h>
#include <posthorn/error.h>

#include <pthread.h>

/* Place: a call that can fail; the words of `at` in the same order. */
typedef enum {
	AT_OPEN,
	AT_MAILBOXES,
	AT_CHANGES,
	AT_VALUES,
	AT_UPLOAD,
	AT_CONTENT,
	AT_READ,
	AT_COMMIT,
	AT_OUTCOME,
	AT_REFRESH,
	AT_SYNC,
	AT_VERIFY,
	AT_DEFER,
	N_PLACES,
} Place;

typedef enum {
	CRASH_NO,
	CRASH_BEFORE,
	CRASH_AFTER,
} Crash;

typedef enum {
	TORN_NO,
	TORN_CUT,
	TORN_ALTERED,
} Torn;

/* Settings: as the option rows lay them out. */
typedef struct {
	PhSection *below;
	const char *const *at;
	uint32_t error;
	bool applied;
	uint32_t torn;
	uint32_t crash;
	PhDuration delay;
	int64_t every;
	int64_t after;
	int64_t times;
	int64_t probability;
	int64_t seed;
	const char *user;
	const char *only_while;
	bool outcome;
} Settings;

/* Faults: what a section shares with everything that it handed out. */
typedef struct {
	gint n_refs;
	uint32_t places; /* bit for each Place */
	uint32_t error;  /* PhError, 0: none */
	bool applied;
	Torn torn;
	Crash crash;
	uint64_t delay_us;
	uint64_t every;
	uint64_t after;
	uint64_t times; /* 0: no limit */
	uint64_t probability;
	uint64_t seed;
	char *only_while;     /* (nullable) */
	pthread_mutex_t lock; /* guards what follows */
	uint64_t n_calls;
	uint64_t n_struck;
} Faults;

/* faults_new: Returns: (owned) one reference; NULL with a sentence. */
Faults *faults_new(const Settings *settings, GError **error);
Faults *faults_ref(Faults *faults);
void faults_unref(Faults *faults);

/* Strike: one call. faults_begin: before it; false with @error: it is not to be made.
 * faults_end: after it; false with @error: it was made, and is to be reported as failed. */
typedef struct {
	Faults *faults;
	bool hits;
} Strike;

bool faults_begin(Faults *faults, Place place, Strike *strike_out, GError **error);
bool faults_end(const Strike *strike, bool good, GError **error);

/* torn_content: @content as a torn write leaves it, or a reference to it. */
PhContent *torn_content(const Strike *strike, PhContent *content);

#endif

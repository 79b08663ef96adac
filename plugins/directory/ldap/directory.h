/* directory.h: the inner parts of the ldap directory
 *
 * One thread carries all questions: it sends a request on a connection, waits for all answers at once
 * and sends the next request of each question. Connections are made by the threads that ask, because
 * connecting may block. A connection carries one question at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LDAP_DIRECTORY_H
#define LDAP_DIRECTORY_H

#include <posthorn/plugin.h>
#include <posthorn/user.h>

#include <ldap.h>

typedef enum {
	AUTH_BIND = 0,
	AUTH_COMPARE = 1,
} Auth;

typedef enum {
	CHANGE_AUTO = 0,
	CHANGE_EXTENDED = 1, /* RFC 3062 */
	CHANGE_HASH = 2,
} Change;

typedef struct {
	const char *uri;
	bool starttls;
	const char *ca_file;
	const char *bind_dn;
	const PhSecret *bind_password;
	const char *user_dn;
	const char *base;
	const char *filter;
	uint32_t auth; /* Auth */
	const char *const *attributes;
	const char *group_base;
	const char *group_filter;
	const char *group_attribute;
	const char *list_filter;
	uint32_t password_change; /* Change */
	const char *domain;
	int64_t connections;
	PhDuration answer_timeout;
} Settings;

typedef struct Pool Pool;

/* Field: an LDAP attribute and what it is called in <posthorn/user.h>. */
typedef struct {
	char *field;
	char *attribute;
} Field;

typedef struct {
	PhSection *section;
	const Settings *settings;
	PhUserRules *rules;
	GArray *fields; /* of Field */
	char **wanted;  /* attributes to ask for, NULL-terminated */
	Pool *pool;
} Instance;

/* --- connection.c ----------------------------------------------------------------------------------- */

typedef struct {
	LDAP *ld;
	int fd;
	bool is_service; /* bound as bind-dn (or anonymous without one) */
} Connection;

/* connection_open: connects, with TLS where it is wanted. Blocks: at most the answer-timeout. Errors:
 * TEMPORARY. */
bool connection_open(const Settings *settings, Connection *out, GError **error);
void connection_close(Connection *connection);

/* connection_is_alive: nothing has come unasked. */
bool connection_is_alive(const Connection *connection);

/* fail_ldap: what libldap says. Returns: false. */
bool fail_ldap(const char *what, int code, GError **error);

/* bind_request: sends a simple bind. Returns: the message id, -1 on error. */
int bind_request(LDAP *ld, const char *dn, PhSlice password);

/* --- job.c: the steps of one question ---------------------------------------------------------------- */

typedef enum {
	STEP_START = 0,
	STEP_SERVICE = 1, /* bind as the service */
	STEP_SEARCH = 2,  /* find the user */
	STEP_GROUPS = 3,
	STEP_BIND = 4, /* bind as the user */
	STEP_COMPARE = 5,
	STEP_DONE = 6,
} Step;

typedef struct Job Job;

struct Job {
	Instance *instance;
	PhUser *user;
	const PhSecret *secret; /* (nullable) borrowed until it is done */
	int64_t deadline_us;
	char *dn;        /* (nullable) of the user */
	bool is_unknown; /* nobody was found: the rest is done to take as long ([DIR-1]) */
	Step step;
	int message;           /* that is waited for */
	unsigned n_entries;    /* of the search at hand */
	unsigned n_asides;     /* that came before the answer and are none: references, notes */
	Connection connection; /* ld NULL: none yet */
	PhVerify result;
	PhIdentity *identity;
	GError *error;
	void (*done)(Job *job, void *user_data); /* once, from any thread; takes the job */
	void *user_data;
};

Job *job_new(Instance *instance, const char *name, const PhSecret *secret, int64_t deadline_us);
void job_free(Job *job);

/* job_advance: sends the next request. True: it waits for an answer; false: the job is done. */
bool job_advance(Job *job);

/* job_take: looks for the answer. True: go on with job_advance(); false: not there yet. */
bool job_take(Job *job);

/* job_fail: done, with an error. @error: (owned) */
void job_fail(Job *job, GError *error);

/* --- pool.c: connections, and the thread that carries the questions ---------------------------------- */

Pool *pool_new(Instance *instance);
void pool_free(Pool *pool);

/* pool_run: the job is done later, or before this returns. Blocks: while it connects. @job: (owned) */
void pool_run(Pool *pool, Job *job);

/* --- tools.c ------------------------------------------------------------------------------------------- */

/* The members of PhDirectory of these names. */
bool tools_list(void *instance, PhListFunc func, void *user_data, GError **error);
bool tools_set(void *instance, const char *address, const char *hash, bool create, GError **error);
bool tools_remove(void *instance, const char *address, GError **error);

#endif

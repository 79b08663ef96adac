/* conform.h: the conformance kit: does a plugin keep what its header promises?
 *
 * Every rule runs in a process of its own, so that a store which crashes, hangs or corrupts memory
 * fails one rule and not the kit. The process that coordinates starts them with the caller's words
 * (PhConformPlan) and reads one line of result from each.
 *
 * Everything below this folder talks to the plugin through include/posthorn alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFORM_CONFORM_H
#define POSTHORN_CONFORM_CONFORM_H

#include <posthorn/mechanism.h>
#include <posthorn/store.h>

/* PhConformRule: one promise that is tried. The last row of a table has a NULL name. */
typedef struct {
	const char *name;    /* "flags-replace" */
	const char *promise; /* "STORE-4", or "contract" for what store.h says without a number */
	const char *checks;  /* one line: what is tried */
	void (*run)(void);   /* ends the process at the first failure */
	bool is_speed;       /* figures, not a promise: only when asked for */
} PhConformRule;

/* Tables of rules, one for each file; NULL behind the last. */
extern const PhConformRule *const ph_conform_themes[]; /* of a store */
extern const PhConformRule *const ph_conform_mechanism_themes[];

/* ph_conform_find: NULL when there is no such rule. */
const PhConformRule *ph_conform_find(const PhConformRule *const *themes, const char *name);

typedef enum {
	PH_CONFORM_PASSED = 1,
	PH_CONFORM_FAILED = 2,
	PH_CONFORM_SKIPPED = 3,
} PhConformStatus;

/* PhConformResult: what came of one rule. */
typedef struct {
	PhConformStatus status;
	uint64_t n_checks;
	double seconds;
	char *text; /* why it failed or was skipped; figures; "" for nothing */
} PhConformResult;

/* PhConformPlan: which rules, and how a process is started for one. */
typedef struct {
	const PhConformRule *const *themes;
	char **command;           /* words that start this program once more; the role is added */
	const char *const *rules; /* (nullable) names, NULL-terminated: only these */
	bool speed;               /* the figures too */
	unsigned timeout_seconds; /* for one rule */
	void (*tell)(const PhConformRule *rule, const PhConformResult *result, void *user_data);
	void *user_data;
} PhConformPlan;

/* PhConformTotals. */
typedef struct {
	unsigned n_passed;
	unsigned n_failed;
	unsigned n_skipped;
} PhConformTotals;

/* ph_conform_count: how many rules the plan has. ph_conform_run: tries them one after another.
 * Returns: false with @error when nothing could be tried at all. */
unsigned ph_conform_count(const PhConformPlan *plan);
bool ph_conform_run(const PhConformPlan *plan, PhConformTotals *totals_out, GError **error);

/* PhConformStore: the section under test, as the process of one rule sees it. Copied. */
typedef struct {
	const PhStore *table;
	void *instance;
	double scale;              /* of large counts: 1 is the whole run */
	uint64_t memory_limit;     /* octets that one process may grow by */
	const char *foreign;       /* (nullable) a program that delivers as another program would */
	const char *power_library; /* (nullable) tests/powerloss, for the rules about power */
	const char *ignore_sync;   /* (nullable) KIND:TEXT: syncs that do not count in them */
	const char *data;          /* the data directory of the run */
	const char *run;           /* a word that no other run uses: part of user names */
	char **command;            /* as in the plan */
} PhConformStore;

/* ph_conform_part: what a process started by the kit does. @role: "rule", with the rule's name, or
 * a helper of a rule with its arguments. The result goes to descriptor @report.
 * Returns: an exit status. */
int ph_conform_part(const PhConformStore *store, int report, const char *const *role);

/* PhConformPerson: who is known behind an exchange. */
typedef enum {
	PH_CONFORM_KNOWN = 1,    /* the user, with the password; and another one with the same */
	PH_CONFORM_PASSWORD = 2, /* both, with another password */
	PH_CONFORM_NOBODY = 3,
	PH_CONFORM_AWAY = 4, /* the directory does not answer */
} PhConformPerson;

/* PhConformStep: what came of one response. Borrowed until the next one. */
typedef struct {
	PhStep said;        /* by the mechanism */
	PhStep step;        /* after the directories were asked */
	bool has_question;  /* it called verify or accept */
	bool has_challenge; /* it gave a challenge in this step */
	PhSlice challenge;
	const char *identity; /* (nullable) who it is */
	bool asked_password;  /* a directory was asked about one in this exchange */
	const GError *error;  /* (nullable) */
} PhConformStep;

/* PhConformMechanism: the section under test, and how an exchange is begun, which only the caller
 * knows. Copied. */
typedef struct {
	const PhMechanism *table;
	void *instance;
	const char *user; /* whom the responses or the client want to be */
	const char *password;
	const char *responses; /* (nullable) base64, separated by commas */
	const char *client;    /* (nullable) a program that answers challenges */
	PhSlice certificate;   /* in DER, that the client shows; empty: none */
	void *(*begin)(PhConformPerson person);
	void (*step)(void *exchange, const PhSlice *response, PhConformStep *out);
	void (*end)(void *exchange);
} PhConformMechanism;

/* ph_conform_mechanism_part: like ph_conform_part, for "rule" alone. */
int ph_conform_mechanism_part(const PhConformMechanism *mechanism,
                              int report,
                              const char *const *role);

#endif

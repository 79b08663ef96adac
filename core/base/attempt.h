/* attempt.h: what each thread is about to do that has crashed servers before
 *
 * Before a mailbox is opened and a message is parsed or handed to a plugin, the thread notes it in a
 * table that it shares with the supervisor: a few stores, no call into the kernel. When the process
 * dies by a crash the supervisor reads there what was under way; what was under way at two crashes
 * is held: the next process refuses it instead of dying again. A handler of the fatal signals marks
 * the thread that crashed, so that the others are not suspected; where it cannot run (no stack left)
 * all are. A process that was killed from outside crashed over nothing.
 *
 * Without a table (tools, tests) nothing is noted and nothing refused.
 *
 *	PhAttempt attempt;
 *	if (!ph_attempt_begin(&attempt, PH_ATTEMPT_MESSAGE, key, name, error))
 *		return NULL;
 *	...
 *	ph_attempt_end(&attempt);
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_BASE_ATTEMPT_H
#define PH_BASE_ATTEMPT_H

#include <posthorn/content.h>

enum {
	PH_ATTEMPT_NAME = 104, /* octets, the NUL included; a longer name is cut */
	PH_ATTEMPT_CRASHES = 2 /* so many are enough */
};

typedef enum {
	PH_ATTEMPT_ACCOUNT = 1, /* a user's mail is opened */
	PH_ATTEMPT_MESSAGE = 2, /* a message is parsed */
	PH_ATTEMPT_DELIVERY = 3 /* a message is handed to a transport */
} PhAttemptKind;

/* PhAttemptNote: one thing that was or is attempted. */
typedef struct {
	uint64_t key;
	uint32_t kind; /* PhAttemptKind */
	uint32_t crashes;
	char name[PH_ATTEMPT_NAME]; /* for people */
} PhAttemptNote;

typedef struct {
	bool noted;
} PhAttempt;

/* ph_attempt_begin: @key: the same for the same thing in another process. Returns: false with
 * TEMPORARY when it is held: then end must not be called. Thread: any; ends on the same one. They
 * nest. */
bool ph_attempt_begin(PhAttempt *attempt,
                      PhAttemptKind kind,
                      uint64_t key,
                      const char *name,
                      GError **error);
void ph_attempt_end(PhAttempt *attempt);

/* ph_attempt_key: of a text. */
uint64_t ph_attempt_key(const char *text);

/* ph_attempt_begin_header: as ph_attempt_begin for a message of which only the header is there: its
 * key is that of the whole block, because the ends of many headers are alike. */
bool ph_attempt_begin_header(PhAttempt *attempt, PhSlice block, GError **error);

/* ph_attempt_begin_content: the same for a message: its key is that of its end, at most 4 KiB,
 * because the trace that stands before it differs at each delivery. */
bool ph_attempt_begin_content(PhAttempt *attempt,
                              PhAttemptKind kind,
                              PhContent *content,
                              GError **error);

/* --- the worker process ------------------------------------------------------------------------ */

/* ph_attempt_use_table: maps the table behind @fd (owned) and watches for fatal signals. Thread:
 * load or main. */
bool ph_attempt_use_table(int fd, GError **error);

/* ph_attempt_held: the notes that are held now. Returns: how many of @notes_out were filled. */
size_t ph_attempt_held(PhAttemptNote *notes_out, size_t n);

/* --- the supervisor ----------------------------------------------------------------------------- */

enum {
	PH_ATTEMPT_HELD_MAX = 64
};

/* PhAttemptTable: of one worker process. */
typedef struct PhAttemptTable PhAttemptTable;

/* ph_attempt_table_new: @fd_out: (out, owned) for the worker. */
PhAttemptTable *ph_attempt_table_new(int *fd_out, GError **error);
void ph_attempt_table_free(PhAttemptTable *table);

/* ph_attempt_table_hold: replaces what its worker refuses. */
void ph_attempt_table_hold(PhAttemptTable *table, const PhAttemptNote *notes, size_t n);

/* ph_attempt_table_suspects: what was under way when the worker died by that signal; @notes_out: one
 * of each. Returns: how many. */
size_t ph_attempt_table_suspects(const PhAttemptTable *table,
                                 int fatal_signal,
                                 PhAttemptNote *notes_out,
                                 size_t n);

#endif

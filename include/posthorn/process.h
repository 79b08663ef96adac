/* process.h: child programs with bounded time, output and environment
 *
 * The only way to run a program. The supervisor starts it: without a shell, with an empty
 * environment but for PATH and what is given, descriptors closed, in a process group of its own
 * that is killed as a whole when time is up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_PROCESS_H
#define POSTHORN_PROCESS_H

#include <posthorn/types.h>

G_BEGIN_DECLS

typedef struct {
	size_t size;                    /* sizeof(PhProcessOptions) */
	const char *const *argv;        /* argv[0]: absolute path */
	const char *const *environment; /* (nullable) "NAME=value" */
	PhSlice input;                  /* written to its standard input, then closed */
	PhDuration timeout;             /* then the group is killed; 0: 30 s */
	size_t max_output;              /* of stdout; more kills it; 0: 64 KiB */
	PhContent *content;             /* (nullable) written behind @input */
} PhProcessOptions;

typedef struct {
	int32_t exit_status; /* 0..255, or -signal */
	bool timed_out;
	bool overflowed;
	GBytes *output; /* (owned) what it wrote to stdout */
} PhProcessResult;

/* ph_process_run: runs it and waits. Thread: worker. Blocks: until the program ended or was killed,
 * at most timeout. Errors: NOT_FOUND, DENIED (not allowed by the config), TEMPORARY. A program that
 * ran and failed is no error: look at the result. */
PH_PUBLIC bool ph_process_run(PhSection *section,
                              const PhProcessOptions *options,
                              PhProcessResult *result_out,
                              GError **error);

PH_PUBLIC void ph_process_result_clear(PhProcessResult *result);

/* --- programs that are kept --------------------------------------------------------------------- */

/* PhHelper: a program that answers one line to one line, kept running for the next question; or
 * somebody who does so on a socket. As many copies (or connections) as there are questions at
 * once, up to a limit. One that is late, says too much or dies is ended, and another is started for
 * the next question. Thread: any, for all. */
typedef struct PhHelper PhHelper;

typedef struct {
	size_t size;         /* sizeof(PhHelperOptions) */
	const char *command; /* an absolute path and words, "unix:/path", "tcp:127.0.0.1:9000" */
	uint32_t copies;     /* most at once; 0: 1 */
	uint32_t reserved;
	size_t max_answer; /* octets of a line; 0: 64 KiB */
} PhHelperOptions;

/* ph_helper_new: starts nothing yet. Returns: (owned). Errors: INVALID for a command that is neither.
 * ph_helper_free: questions that were begun fail first. */
PH_PUBLIC PhHelper *ph_helper_new(const PhHelperOptions *options, GError **error);
PH_PUBLIC void ph_helper_free(PhHelper *helper);

/* ph_helper_ask: @question: (borrowed) without a line end in it. @answer: set to the line without its
 * end. Thread: worker. Blocks: at most @timeout. Errors: TEMPORARY, INVALID for a question of several
 * lines, DENIED when the config does not name the program. */
PH_PUBLIC bool ph_helper_ask(PhHelper *helper,
                             PhSlice question,
                             PhDuration timeout,
                             GString *answer,
                             GError **error);

/* PhHelperFunc: @answer: (borrowed) the line without its end. @error: (owned, nullable) then there is no
 * answer. Thread: the helper's own, for all questions: do not block. */
typedef void (*PhHelperFunc)(void *user_data, PhSlice answer, GError *error);

/* ph_helper_begin: the same, and returns at once; @func is called exactly once, maybe before. @question:
 * (borrowed) copied, and the copy wiped. Thread: any. Blocks: no. */
PH_PUBLIC void ph_helper_begin(PhHelper *helper,
                               PhSlice question,
                               PhDuration timeout,
                               PhHelperFunc func,
                               void *user_data);

G_END_DECLS

#endif

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

G_END_DECLS

#endif

/* sandbox.h: what the worker process gives up before it hears its first client
 *
 * The kernel then refuses new programs and processes, tracing, mounting and the like (seccomp), and
 * every file outside the folders that the config names (Landlock; systems and kernels without one
 * of the two have the other). What is given up cannot be taken back: a config that needs more is
 * for a new process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SANDBOX_H
#define PH_SERVER_SANDBOX_H

#include "config/config.h"

typedef struct PhSandbox PhSandbox;

/* ph_sandbox_enter: Thread: load, before any other thread was made, and after all plugins that
 * @config names were opened. @folders: (NULL-terminated) of plugins. Returns: (owned) what may be
 * reached now. Logs how much the kernel could give ("sandbox"). */
PhSandbox *ph_sandbox_enter(const PhConfig *config, const char *const *folders);

/* ph_sandbox_enter_one: the same for a process that runs the plugin of @section and nothing else: of
 * the config only what that section names can be reached. */
PhSandbox *ph_sandbox_enter_one(const PhSection *section, const char *const *folders);

/* ph_sandbox_is_sanitized: is this a build under a sanitizer, which nothing is taken from? */
bool ph_sandbox_is_sanitized(void);

/* ph_sandbox_covers: can another config live in it? @missing_out: (out, owned) the first path that
 * cannot be reached. */
bool ph_sandbox_covers(const PhSandbox *sandbox, const PhConfig *config, char **missing_out);
void ph_sandbox_free(PhSandbox *sandbox);

/* ph_sandbox_folder_of: the folder that everything of a store's section lies below. Returns: (owned,
 * nullable). */
char *ph_sandbox_folder_of(const PhSection *section);

/* --- inside: sandbox-paths.c ------------------------------------------------------------------ */

/* PhGrant: one folder (or file) and what may be done below it. */
typedef struct {
	char *path;
	bool may_write;
} PhGrant;

/* ph_sandbox_grants: what @config names. Returns: (owned) array of PhGrant. */
GArray *ph_sandbox_grants(const PhConfig *config, const char *const *folders);

/* ph_sandbox_grants_one: what one section names, and what every process needs. */
GArray *ph_sandbox_grants_one(const PhSection *section, const char *const *folders);

/* --- inside: sandbox-calls.c ------------------------------------------------------------------ */

/* ph_sandbox_limit_calls: false when seccomp is not there. */
bool ph_sandbox_limit_calls(void);

#endif

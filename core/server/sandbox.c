/* sandbox.c: what the worker process gives up before it hears its first client
 *
 * The supervisor has already dropped root and set no_new_privs; both are repeated here so that a
 * worker that was started by hand is no weaker. Landlock is called directly: the C library has no
 * functions for it. Under a sanitizer nothing is given up, because its runtime needs it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/sandbox.h"

#include <posthorn/log.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What later kernels than that of the headers know. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define MAKING                                                                                    \
	(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG \
	 | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO                            \
	 | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define WRITING                                                        \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR \
	 | LANDLOCK_ACCESS_FS_REMOVE_FILE | MAKING)
#define OF_A_FILE \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

enum {
	VERSION_WITH_REFER = 2, /* without it no file could be moved between folders */
	VERSION_WITH_TRUNCATE = 3
};

struct PhSandbox {
	GArray *grants; /* of PhGrant */
	bool has_landlock;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool is_wanted = false;
#else
static const bool is_wanted = true;
#endif

static int
landlock_version(void)
{
	return (int) syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* The path itself, or the nearest folder above it that is there; -1 when that is the root. */
static int
open_nearest(const char *path)
{
	g_autofree char *at = g_strdup(path);

	while (strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
		int fd = open(at, O_PATH | O_CLOEXEC);
		char *above = NULL;

		if (fd >= 0)
			return fd;
		above = g_path_get_dirname(at);
		g_free(at);
		at = above;
	}
	return -1;
}

static void
add_rule(int ruleset, const PhGrant *grant, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = open_nearest(grant->path) };
	uint64_t rights = READING;

	if (rule.parent_fd < 0)
		return;
	if (grant->may_write)
		rights |= WRITING | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE;
	rule.allowed_access = rights & handled;
	/* What is no folder only takes the rights of a file. */
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
		rule.allowed_access &= OF_A_FILE;
		(void) syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
		               0);
	}
	close(rule.parent_fd);
}

static bool
limit_files(const GArray *grants)
{
	struct landlock_ruleset_attr attributes = {
		.handled_access_fs =
			READING | WRITING | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REFER,
	};
	int version = landlock_version();
	int ruleset = -1;
	bool done = false;

	if (version < VERSION_WITH_REFER)
		return false;
	if (version >= VERSION_WITH_TRUNCATE)
		attributes.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	ruleset = (int) syscall(SYS_landlock_create_ruleset, &attributes,
	                        sizeof attributes.handled_access_fs, 0);
	if (ruleset < 0)
		return false;
	for (guint i = 0; i < grants->len; i++)
		add_rule(ruleset, &g_array_index(grants, PhGrant, i), attributes.handled_access_fs);
	done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return done;
}

/* @grants: (owned). */
static PhSandbox *
enter(GArray *grants)
{
	const struct rlimit none = { 0, 0 };
	PhSandbox *sandbox = g_new0(PhSandbox, 1);
	bool has_seccomp = false;

	sandbox->grants = grants;
	(void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void) setrlimit(RLIMIT_CORE, &none);
	if (!is_wanted)
		return sandbox;
	sandbox->has_landlock = limit_files(sandbox->grants);
	has_seccomp = ph_sandbox_limit_calls();
	ph_log(sandbox->has_landlock && has_seccomp ? PH_LOG_DEBUG : PH_LOG_NOTICE, "sandbox",
	       "rights are given up", PH_LOG_TEXT("files", sandbox->has_landlock ? "yes" : "no"),
	       PH_LOG_TEXT("calls", has_seccomp ? "yes" : "no"), PH_LOG_END);
	return sandbox;
}

PhSandbox *
ph_sandbox_enter(const PhConfig *config, const char *const *folders)
{
	return enter(ph_sandbox_grants(config, folders));
}

PhSandbox *
ph_sandbox_enter_one(const PhSection *section, const char *const *folders)
{
	return enter(ph_sandbox_grants_one(section, folders));
}

bool
ph_sandbox_is_sanitized(void)
{
	return !is_wanted;
}

/* Does a grant of the sandbox contain what is wanted? */
static bool
contains(const PhGrant *have, const PhGrant *want)
{
	size_t length = strlen(have->path);

	while (length > 1 && have->path[length - 1] == '/')
		length--;
	return (have->may_write || !want->may_write) && strncmp(have->path, want->path, length) == 0
	       && (want->path[length] == '/' || want->path[length] == '\0');
}

static bool
is_covered(const PhSandbox *sandbox, const PhGrant *want)
{
	for (guint i = 0; i < sandbox->grants->len; i++)
		if (contains(&g_array_index(sandbox->grants, PhGrant, i), want))
			return true;
	return false;
}

bool
ph_sandbox_covers(const PhSandbox *sandbox, const PhConfig *config, char **missing_out)
{
	g_autoptr(GArray) wanted = NULL;

	if (!sandbox->has_landlock)
		return true;
	wanted = ph_sandbox_grants(config, NULL);
	for (guint i = 0; i < wanted->len; i++) {
		const PhGrant *want = &g_array_index(wanted, PhGrant, i);

		if (is_covered(sandbox, want))
			continue;
		*missing_out = g_strdup(want->path);
		return false;
	}
	return true;
}

void
ph_sandbox_free(PhSandbox *sandbox)
{
	if (sandbox == NULL)
		return;
	g_array_unref(sandbox->grants);
	g_free(sandbox);
}

/* process-spawn.h: starts a program as another user, with few descriptors and no privileges
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_PROCESS_SPAWN_H
#define PH_SERVER_PROCESS_SPAWN_H

#include <posthorn/types.h>

#include <sys/types.h>

enum {
	PH_SPAWN_CHANNEL_FD = 3 /* where the child finds its channel */
};

/* PhAccountIds: who to become; @uid and @gid of 0 in a process that is root mean root. */
typedef struct {
	uid_t uid;
	gid_t gid;
	const char *name; /* for the supplementary groups */
} PhSpawnUser;

typedef struct {
	const char *const *argv;        /* argv[0]: absolute path */
	const char *const *environment; /* (nullable) NULL: this process's */
	const PhSpawnUser *user;        /* (nullable) NULL: as this process */
	int channel;                    /* -1: none */
	int input;                      /* -1: /dev/null */
	int output;                     /* -1: as this process's */
	int errors;                     /* -1: as this process's */
	bool own_group;                 /* a process group of its own */
} PhSpawn;

/* ph_spawn: Returns: the process, which has no_new_privs, no core dumps, no capabilities that a
 * plain user would not have, default signals and closed descriptors; -1 with an error. When the
 * program cannot be executed it ends with status 127 and says so on its standard error.
 * Thread: only in single-threaded processes. */
pid_t ph_spawn(const PhSpawn *spawn, GError **error);

/* ph_process_take_group: files that this process makes belong to that group. Only root needs it
 * and does it. */
bool ph_process_take_group(gid_t gid, GError **error);

/* ph_process_become: root becomes that user and group for good; that user stays. Errors: DENIED for
 * everybody else. */
bool ph_process_become(uid_t uid, gid_t gid, GError **error);

/* ph_spawn_user: looks up [server] user and group. @user: NULL or "" for the present user.
 * @out: name borrowed from @user. NOT_FOUND when there is no such user or group; DENIED when only
 * root could become it. Returns true with @change_out false when nothing has to be changed. */
bool ph_spawn_user(const char *user,
                   const char *group,
                   PhSpawnUser *out,
                   bool *change_out,
                   GError **error);

#endif

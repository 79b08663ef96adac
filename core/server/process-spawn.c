/* process-spawn.c: starts a program as another user, with few descriptors and no privileges
 *
 * Between fork and execve the child only makes system calls. Each step that would leave it with
 * more rights than asked for ends it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/process-spawn.h"

#include <posthorn/error.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	STATUS_NOT_STARTED = 127
};

static G_NORETURN void
give_up(const char *what)
{
	const char *reason = strerrordesc_np(errno);

	(void) !write(STDERR_FILENO, "posthorn: cannot start a process: ", 34);
	(void) !write(STDERR_FILENO, what, strlen(what));
	(void) !write(STDERR_FILENO, ": ", 2);
	(void) !write(STDERR_FILENO, reason, strlen(reason));
	(void) !write(STDERR_FILENO, "\n", 1);
	_exit(STATUS_NOT_STARTED);
}

/* Makes @from the descriptor @to, open across execve; first away from the numbers in use. */
static void
place(int from, int to, const char *what)
{
	if (dup2(from, to) != to)
		give_up(what);
}

static int
lift(int fd)
{
	int lifted = -1;

	if (fd < 0)
		return -1;
	lifted = fcntl(fd, F_DUPFD_CLOEXEC, PH_SPAWN_CHANNEL_FD + 1);
	if (lifted < 0)
		give_up("descriptors");
	return lifted;
}

static void
arrange_descriptors(const PhSpawn *spawn)
{
	int channel = lift(spawn->channel);
	int output = lift(spawn->output);
	int errors = lift(spawn->errors);
	int input = spawn->input >= 0 ? lift(spawn->input)
	                              : lift(open("/dev/null", O_RDONLY | O_CLOEXEC));

	if (input < 0)
		give_up("/dev/null");
	place(input, STDIN_FILENO, "standard input");
	if (output >= 0)
		place(output, STDOUT_FILENO, "standard output");
	if (errors >= 0)
		place(errors, STDERR_FILENO, "standard error");
	if (channel >= 0)
		place(channel, PH_SPAWN_CHANNEL_FD, "channel");
	if (close_range(channel >= 0 ? PH_SPAWN_CHANNEL_FD + 1 : PH_SPAWN_CHANNEL_FD, ~0U,
	                CLOSE_RANGE_CLOEXEC)
	    != 0)
		give_up("closing descriptors");
}

/* Root without capabilities is a user like others: it cannot even take them back by execve. */
static void
drop_capabilities(void)
{
	(void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (geteuid() != 0)
		return;
	for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
			return;
}

static void
drop_privileges(const PhSpawnUser *user)
{
	const struct rlimit none = { 0, 0 };

	drop_capabilities();
	if (user != NULL) {
		if (initgroups(user->name, user->gid) != 0)
			give_up("groups");
		if (setresgid(user->gid, user->gid, user->gid) != 0)
			give_up("group");
		if (setresuid(user->uid, user->uid, user->uid) != 0)
			give_up("user");
		if (user->uid != 0 && setuid(0) == 0)
			give_up("user: root could be taken back");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		give_up("no new privileges");
	(void) setrlimit(RLIMIT_CORE, &none);
}

static void
reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int i = 1; i < NSIG; i++)
		(void) signal(i, SIG_DFL);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static G_NORETURN void
become(const PhSpawn *spawn)
{
	char *const *argv = (char *const *) (uintptr_t) spawn->argv;

	reset_signals();
	if (spawn->own_group)
		(void) setpgid(0, 0);
	arrange_descriptors(spawn);
	drop_privileges(spawn->user);
	if (spawn->environment != NULL)
		(void) execve(argv[0], argv, (char *const *) (uintptr_t) spawn->environment);
	else
		(void) execv(argv[0], argv);
	give_up(argv[0]);
}

pid_t
ph_spawn(const PhSpawn *spawn, GError **error)
{
	pid_t pid = fork();

	if (pid == 0)
		become(spawn);
	if (pid < 0)
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT, "cannot start '%s': %s",
		            spawn->argv[0], g_strerror(errno));
	return pid;
}

bool
ph_process_take_group(gid_t gid, GError **error)
{
	if (geteuid() != 0 || setresgid(gid, gid, gid) == 0)
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_DENIED, "cannot take the server's group: %s",
	            g_strerror(errno));
	return false;
}

bool
ph_process_become(uid_t uid, gid_t gid, GError **error)
{
	if (geteuid() == uid)
		return ph_process_take_group(gid, error);
	if (geteuid() == 0 && setgroups(1, &gid) == 0 && setresgid(gid, gid, gid) == 0
	    && setresuid(uid, uid, uid) == 0)
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_DENIED,
	            "only root and the server's user (%u) may do this", (unsigned int) uid);
	return false;
}

static bool
find_group(const char *name, gid_t *gid_out, GError **error)
{
	const struct group *found = NULL;

	if (name == NULL || name[0] == '\0')
		return true;
	found = getgrnam(name);
	if (found == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND,
		            "there is no group '%s' on this machine", name);
		return false;
	}
	*gid_out = found->gr_gid;
	return true;
}

bool
ph_spawn_user(const char *user,
              const char *group,
              PhSpawnUser *out,
              bool *change_out,
              GError **error)
{
	const struct passwd *found = NULL;

	*change_out = false;
	if (user == NULL || user[0] == '\0')
		return true;
	found = getpwnam(user);
	if (found == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND,
		            "there is no user '%s' on this machine", user);
		return false;
	}
	*out = (PhSpawnUser){ .uid = found->pw_uid, .gid = found->pw_gid, .name = user };
	if (!find_group(group, &out->gid, error))
		return false;
	if (geteuid() != 0 && geteuid() != out->uid) {
		g_set_error(error, PH_ERROR, PH_ERROR_DENIED,
		            "only root can run the server as '%s'", user);
		return false;
	}
	*change_out = geteuid() == 0;
	return true;
}

/* sandbox-calls.c: the system calls that a mail server never makes
 *
 * A list of what is refused, not of what is allowed: plugins and their libraries may need calls
 * that nobody here thought of, but none of them starts a program. A refused call fails with EPERM;
 * clone3 with ENOSYS, so that the C library falls back to clone, whose flags can be looked at.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/config-server.h"
#include "server/sandbox.h"

#if PH_HAVE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>

static const char *const refused[] = {
	/* other programs and processes */
	"execve",
	"execveat",
	"fork",
	"vfork",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"kcmp",
	"pidfd_getfd",
	"process_madvise",
	/* other namespaces, roots and users */
	"unshare",
	"setns",
	"chroot",
	"pivot_root",
	"mount",
	"umount2",
	"mount_setattr",
	"move_mount",
	"open_tree",
	"fsopen",
	"fsmount",
	"fspick",
	"fsconfig",
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"setfsuid",
	"setfsgid",
	"capset",
	"personality",
	/* the machine */
	"reboot",
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"swapon",
	"swapoff",
	"acct",
	"quotactl",
	"sethostname",
	"setdomainname",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"iopl",
	"ioperm",
	"syslog",
	/* corners of the kernel that are attacked and not needed */
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"add_key",
	"request_key",
	"keyctl",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"vmsplice",
	"move_pages",
	"migrate_pages",
	"mbind",
	"set_mempolicy",
	"lookup_dcookie",
	"modify_ldt",
	"uselib",
	"name_to_handle_at",
	"open_by_handle_at",
};

static bool
refuse(scmp_filter_ctx filter, const char *name, uint32_t action)
{
	int number = seccomp_syscall_resolve_name(name);

	/* A call that this kernel's library does not know cannot be named. */
	return number == __NR_SCMP_ERROR || seccomp_rule_add(filter, action, number, 0) == 0;
}

static bool
add_rules(scmp_filter_ctx filter)
{
	/* Threads may be made, processes not. */
	const struct scmp_arg_cmp no_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		if (!refuse(filter, refused[i], SCMP_ACT_ERRNO(EPERM)))
			return false;
	return refuse(filter, "clone3", SCMP_ACT_ERRNO(ENOSYS))
	       && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, no_thread)
	                  == 0;
}

bool
ph_sandbox_limit_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	bool done = false;

	if (filter == NULL)
		return false;
	done = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0
	       && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 && add_rules(filter)
	       && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return done;
}

#else

bool
ph_sandbox_limit_calls(void)
{
	return false;
}

#endif

/* cmd-store.c: `posthorn store check|repair|compact|stats|sync|...`
 *
 * While the server runs it does the work, because it has the accounts open: the command asks it
 * through the control socket and shows what it says. Without a server the command opens the stores
 * itself, as the server's user.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>

#include "cli/commands.h"
#include "cli/store-run.h"
#include "tools/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int
fail(const GError *error)
{
	fprintf(stderr, "posthorn: %s\n", error->message);
	return g_error_matches(error, PH_ERROR, PH_ERROR_TEMPORARY) ? PH_EXIT_TEMPORARY
	                                                            : PH_EXIT_FAILED;
}

static int
usage(const char *sentence)
{
	fprintf(stderr, "posthorn: %s\n", sentence);
	return PH_EXIT_USAGE;
}

static int
run_request(const PhArguments *arguments, const PhJobRequest *request)
{
	g_autoptr(GError) error = NULL;
	int status = ph_store_run(ph_arguments_config(arguments), request, &error);

	return error != NULL ? fail(error) : status;
}

/* SECTION [USER]: of everybody without a user. */
static int
run_each(const PhArguments *arguments, const char *tool, uint32_t flags)
{
	const char *const *rest = ph_arguments_rest(arguments);
	const PhJobRequest request = {
		.tool = tool,
		.section = rest[0],
		.user = rest[1],
		.flags = flags | (rest[1] == NULL ? PH_JOB_ALL : 0),
		.stream = -1,
	};

	if (rest[1] != NULL && ph_arguments_has(arguments, "all"))
		return usage("either a user or --all");
	return run_request(arguments, &request);
}

static int
run_check(const PhArguments *arguments)
{
	return run_each(arguments, "check",
	                ph_arguments_has(arguments, "restored") ? PH_JOB_RESTORED : 0);
}

static int
run_repair(const PhArguments *arguments)
{
	return run_each(arguments, "repair", 0);
}

static int
run_compact(const PhArguments *arguments)
{
	return run_each(arguments, "compact", 0);
}

static int
run_stats(const PhArguments *arguments)
{
	return run_each(arguments, "stats", ph_arguments_has(arguments, "json") ? PH_JOB_JSON : 0);
}

static int
run_sync(const PhArguments *arguments)
{
	return run_each(arguments, "sync", 0);
}

static int
run_retain(const PhArguments *arguments)
{
	return run_each(arguments, "retain", 0);
}

static int
run_convert(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);
	bool all = ph_arguments_has(arguments, "all");
	const PhJobRequest request = {
		.tool = "convert",
		.section = rest[0],
		.to = rest[1],
		.user = rest[2],
		.flags = (all ? PH_JOB_ALL : 0)
		         | (ph_arguments_has(arguments, "copy") ? PH_JOB_COPY : 0),
		.stream = -1,
	};

	if (all == (rest[2] != NULL))
		return usage("name a user, or say --all");
	return run_request(arguments, &request);
}

/* A file that is made anew, or standard output. -1 with @error. */
static int
open_to_write(const char *path, GError **error)
{
	int fd = g_str_equal(path, "-") ? dup(STDOUT_FILENO)
	                                : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		ph_error_set_errno(error, errno, "cannot write '%s'", path);
	return fd;
}

static int
open_to_read(const char *path, GError **error)
{
	int fd = g_str_equal(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		ph_error_set_errno(error, errno, "cannot read '%s'", path);
	return fd;
}

/* Both ways the file is the tool's stream. */
static int
run_with_stream(const PhArguments *arguments, const char *tool, int fd)
{
	const char *const *rest = ph_arguments_rest(arguments);
	const PhJobRequest request = {
		.tool = tool,
		.section = rest[0],
		.user = rest[1],
		.stream = fd,
	};

	return run_request(arguments, &request);
}

static int
export_archive(const PhArguments *arguments, const char *path)
{
	g_autoptr(GError) error = NULL;
	int fd = open_to_write(path, &error);
	int status = 0;

	if (fd < 0)
		return fail(error);
	status = run_with_stream(arguments, "export", fd);
	if (status == PH_EXIT_OK && !g_str_equal(path, "-") && !ph_durable_sync(fd, &error))
		status = fail(error);
	close(fd);
	if (status != PH_EXIT_OK && !g_str_equal(path, "-"))
		(void) unlink(path);
	return status;
}

/* By way of an archive in a file without a name. */
static int
export_foreign(const PhArguments *arguments, const char *path, bool as_maildir)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL;
	int fd = g_file_open_tmp("posthorn-export-XXXXXX", &name, NULL);
	int status = 0;

	if (fd < 0) {
		ph_error_set_errno(&error, errno, "cannot make a temporary file");
		return fail(error);
	}
	(void) unlink(name);
	status = run_with_stream(arguments, "export", fd);
	if (status == PH_EXIT_OK
	    && (lseek(fd, 0, SEEK_SET) != 0 || !ph_foreign_write(fd, path, as_maildir, &error))) {
		status = fail(error);
		if (access(path, F_OK) == 0)
			fprintf(stderr, "posthorn: '%s' is not complete; remove it\n", path);
	}
	close(fd);
	return status;
}

static int
run_export(const PhArguments *arguments)
{
	const char *path = ph_arguments_rest(arguments)[2];
	const char *format = ph_arguments_get(arguments, "format");

	if (format == NULL || g_str_equal(format, "archive"))
		return export_archive(arguments, path);
	if (!g_str_equal(format, "maildir") && !g_str_equal(format, "mbox"))
		return usage("the formats are archive, maildir and mbox");
	if (access(path, F_OK) == 0) {
		fprintf(stderr, "posthorn: '%s' is there already\n", path);
		return PH_EXIT_FAILED;
	}
	return export_foreign(arguments, path, g_str_equal(format, "maildir"));
}

static int
import_archive(const PhArguments *arguments, const char *path)
{
	g_autoptr(GError) error = NULL;
	int fd = open_to_read(path, &error);
	int status = 0;

	if (fd < 0)
		return fail(error);
	status = run_with_stream(arguments, "import", fd);
	close(fd);
	return status;
}

/* What is no archive becomes one in a file without a name. */
static int
import_foreign(const PhArguments *arguments, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL;
	int fd = g_file_open_tmp("posthorn-import-XXXXXX", &name, NULL);
	int status = 0;

	if (fd < 0) {
		ph_error_set_errno(&error, errno, "cannot make a temporary file");
		return fail(error);
	}
	(void) unlink(name);
	if (!ph_foreign_read(path, ph_arguments_get(arguments, "mailbox"), fd, &error)
	    || lseek(fd, 0, SEEK_SET) != 0) {
		close(fd);
		return fail(error);
	}
	status = run_with_stream(arguments, "import", fd);
	close(fd);
	return status;
}

static int
run_import(const PhArguments *arguments)
{
	const char *path = ph_arguments_rest(arguments)[2];

	return ph_foreign_is(path) ? import_foreign(arguments, path)
	                           : import_archive(arguments, path);
}

#define ALL_OPTION                                                                 \
	{                                                                          \
		"all", 'a', NULL, "every user of the directories; as without USER" \
	}

static const PhCommandOption each_options[] = {
	PH_COMMAND_CONFIG,
	ALL_OPTION,
	PH_COMMAND_END,
};
static const PhCommandOption check_options[] = {
	PH_COMMAND_CONFIG,
	ALL_OPTION,
	{ "restored", 0, NULL,
	  "after a backup was put back: raise uids and change numbers by a large step" },
	PH_COMMAND_END,
};
static const PhCommandOption stats_options[] = {
	PH_COMMAND_CONFIG,
	ALL_OPTION,
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};

static const PhCommandOption convert_options[] = {
	PH_COMMAND_CONFIG,
	{ "all", 'a', NULL, "every user of the directories" },
	{ "copy", 0, NULL, "make or bring up to date a copy; the users stay where they are" },
	PH_COMMAND_END,
};

const PhCommand ph_command_store_convert = {
	.name = "store convert",
	.synopsis = "FROM TO [USER]",
	.summary = "Move users from one store to another while they are served",
	.details =
		"Keeps uids, uidvalidity, change numbers, flags, keywords, dates, message ids, "
		"subscriptions,\nspecial use and all other values, and compares a digest of "
		"every message on both sides before\nthe user is switched. Write moves-to = TO "
		"in [store FROM] and reload first: each user is served\nfrom TO as soon as he "
		"is moved. When it is stopped or killed, run it again: it goes on.\nWhen all are "
		"moved, name TO in listeners and routes.",
	.options = convert_options,
	.min_rest = 2,
	.max_rest = 3,
	.run = run_convert,
};

static const PhCommandOption stream_options[] = {
	PH_COMMAND_CONFIG,
	{ "format", 'f', "FORMAT", "archive, maildir or mbox; archive otherwise" },
	PH_COMMAND_END,
};

static const PhCommandOption import_options[] = {
	PH_COMMAND_CONFIG,
	{ "mailbox", 'm', "NAME", "what the mailbox of an mbox file is called; INBOX otherwise" },
	PH_COMMAND_END,
};

const PhCommand ph_command_store_export = {
	.name = "store export",
	.synopsis = "SECTION USER FILE",
	.summary = "Write a user's mail into a file, as it is at one moment",
	.details = "The archive is a tar file of messages and JSON that `posthorn store import` "
		   "restores with\nuids, flags, keywords, dates and subscriptions. The user's mail "
		   "may be used meanwhile. FILE must\nnot be there yet; - is standard output. "
		   "A maildir is one that Dovecot takes over with uids;\nmbox makes a folder of "
		   "mbox files.",
	.options = stream_options,
	.min_rest = 3,
	.max_rest = 3,
	.run = run_export,
};

const PhCommand ph_command_store_import = {
	.name = "store import",
	.synopsis = "SECTION USER FILE",
	.summary = "Read a user's mail from a file",
	.details = "Into an account without messages everything is restored as it was, with uids. "
		   "Into another\none it is added; what is there already is left alone. When it is "
		   "stopped or killed, run it\nagain: it goes on. - is standard input.",
	.options = import_options,
	.min_rest = 3,
	.max_rest = 3,
	.run = run_import,
};

const PhCommand ph_command_store_check = {
	.name = "store check",
	.synopsis = "SECTION [USER]",
	.summary = "Check the mail of a store",
	.details = "One line for each finding and a summary; exit status 1 when something was "
		   "found. An account's\ndeliveries and changes wait while it is checked.\n"
		   "With --restored clients that saw uids or changes newer than the backup are not "
		   "misled:\nthey find everything they know gone or older, and new mail above it.",
	.options = check_options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run_check,
};

const PhCommand ph_command_store_repair = {
	.name = "store repair",
	.synopsis = "SECTION [USER]",
	.summary = "Check the mail of a store and mend what can be mended",
	.details = "One line for each finding; exit status 1 when something was found, mended or "
		   "not: check again.",
	.options = each_options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run_repair,
};

const PhCommand ph_command_store_compact = {
	.name = "store compact",
	.synopsis = "SECTION [USER]",
	.summary = "Give back the space that removed mail has left",
	.options = each_options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run_compact,
};

const PhCommand ph_command_store_stats = {
	.name = "store stats",
	.synopsis = "SECTION [USER]",
	.summary = "Count accounts, mailboxes, messages and octets of a store",
	.details = "The users with most octets come last, at most ten.",
	.options = stats_options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run_stats,
};

const PhCommand ph_command_store_retain = {
	.name = "store retain",
	.synopsis = "SECTION [USER]",
	.summary = "Remove what the store's retention no longer keeps, now",
	.details = "The server does so by itself, every 'retention-interval'. One line for each "
		   "mailbox that\nmessages were removed from.",
	.options = each_options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run_retain,
};

const PhCommand ph_command_store_sync = {
	.name = "store sync",
	.synopsis = "SECTION [USER]",
	.summary = "Make the files of a store complete, before a backup",
	.details = "When it returns, everything that was acknowledged before it began is in the "
		   "store's own files\nand on the disk.",
	.options = each_options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run_sync,
};

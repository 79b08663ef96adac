/* store-run.c: runs a store tool in the server, or here when no server runs
 *
 * In the server: the request goes over the control socket, with the stream's descriptor; lines come
 * back until the exit status (server/jobs.h). Here: the config's instances are created after the
 * process has become the server's user.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/store-run.h"

#include <posthorn/slice.h>

#include "base/spool.h"
#include "cli/control-client.h"
#include "plugin/instance.h"
#include "plugin/registry.h"
#include "server/durability.h"
#include "server/json.h"
#include "server/process-spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LINE_LENGTH_MAX = 1024 * 1024,
	PATIENCE_US = 10 * 1000 * 1000,
	LOOK_US = 50 * 1000,
};

/* --- showing ----------------------------------------------------------------------------------- */

static void
show_progress(const char *text, bool on_terminal)
{
	if (on_terminal)
		fprintf(stderr, "\r\033[K%s", text);
	else
		fprintf(stderr, "%s\n", text);
	(void) fflush(stderr);
}

void
ph_store_run_show(uint32_t channel, const char *text, void *user_data)
{
	static bool was_shown; /* the first line comes at once, whatever becomes of the others */
	bool on_terminal = isatty(STDERR_FILENO) == 1;

	if (channel == PH_JOB_PROGRESS) {
		show_progress(text, on_terminal);
		return;
	}
	if (on_terminal)
		fprintf(stderr, "\r\033[K");
	if (channel == PH_JOB_OUT) {
		printf("%s\n", text);
		if (!was_shown)
			(void) fflush(stdout);
		was_shown = true;
	}
	if (channel != PH_JOB_OUT)
		fprintf(stderr, "%s%s\n", channel == PH_JOB_ERROR ? "posthorn: " : "", text);
}

/* --- in the server ------------------------------------------------------------------------------- */

static char *
make_request(const PhJobRequest *request)
{
	g_autofree char *flags = g_strdup_printf("%u", request->flags);
	GString *out = g_string_new(NULL);

	ph_json_open(out, NULL, '{');
	ph_json_text(out, "command", "store");
	ph_json_text(out, "tool", request->tool);
	ph_json_text(out, "section", request->section);
	if (request->to != NULL)
		ph_json_text(out, "to", request->to);
	if (request->user != NULL)
		ph_json_text(out, "user", request->user);
	ph_json_text(out, "flags", flags);
	ph_json_close(out, '}');
	g_string_append_c(out, '\n');
	return g_string_free(out, FALSE);
}

static bool
send_request(int fd, const char *text, int stream)
{
	union {
		struct cmsghdr header;
		char octets[CMSG_SPACE(sizeof(int))];
	} control = { .octets = { 0 } };
	struct iovec piece = { (char *) (uintptr_t) text, strlen(text) };
	struct msghdr packet = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (stream >= 0) {
		packet.msg_control = &control;
		packet.msg_controllen = sizeof control;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &stream, sizeof(int));
	}
	return sendmsg(fd, &packet, MSG_NOSIGNAL) == (ssize_t) piece.iov_len;
}

static int
parse_status(const char *text)
{
	uint32_t status = 0;

	return ph_slice_to_u32(ph_slice(text), 255, &status) ? (int) status : -1;
}

/* Shows what the server says. Returns: the exit status; -1 when it ended without one. */
static int
listen_to(int fd)
{
	FILE *lines = fdopen(fd, "r");
	g_autofree char *line = NULL;
	size_t size = 0;
	ssize_t n = 0;
	int status = -1;

	while (lines != NULL && status < 0 && (n = getline(&line, &size, lines)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (line[0] == 'x')
			status = parse_status(line + 1);
		else if (line[0] != '\0' && n < LINE_LENGTH_MAX)
			ph_store_run_show((uint8_t) line[0], line + 1, NULL);
	}
	if (lines != NULL)
		(void) fclose(lines);
	else
		close(fd);
	return status;
}

int
ph_store_run_ask(int fd, const char *request, int stream, GError **error)
{
	int status = -1;

	if (!send_request(fd, request, stream)) {
		ph_error_set_errno(error, errno, "cannot ask the server");
		close(fd);
		return -1;
	}
	status = listen_to(fd);
	if (status < 0)
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "the server ended before the work was done; run the command again");
	return status;
}

static int
run_in_server(int fd, const PhJobRequest *request, GError **error)
{
	g_autofree char *text = make_request(request);

	return ph_store_run_ask(fd, text, request->stream, error);
}

/* --- here ---------------------------------------------------------------------------------------- */

static bool
tell_mistakes(PhMistakes *mistakes, GError **error)
{
	g_autofree char *text = ph_mistakes_text(mistakes);

	ph_error_set(error, PH_ERROR_INVALID, "the config has mistakes:\n%s", g_strchomp(text));
	return false;
}

/* With the journal open: it may hold changes that the stores do not have yet. */
static int
run_with_journal(PhConfig *config,
                 PhJournal *journal,
                 const PhJobRequest *request,
                 PhMistakes *mistakes,
                 GError **error)
{
	const PhJobSink sink = { .line = ph_store_run_show };
	int status = -1;

	ph_accounts_configure(&(PhAccountsParams){
		.open_accounts = (size_t) ph_config_server(config)->open_accounts,
		.journal = journal,
	});
	if (!ph_instances_create(config, NULL, mistakes)) {
		(void) tell_mistakes(mistakes, error);
		return -1;
	}
	if (ph_durability_check(journal, config, error)
	    && ph_durability_start(journal, config, error))
		status = ph_job_run(config, request, &sink);
	ph_accounts_forget_section(NULL);
	ph_instances_release(config);
	ph_accounts_stop_replay();
	return status;
}

/* A server that starts or ends has the journal, but no control socket: it is waited for. @fd_out: set
 * instead of @journal_out when it has one by now. */
static bool
open_journal(PhConfig *config, PhJournal **journal_out, int *fd_out, GError **error)
{
	gint64 end_us = g_get_monotonic_time() + PATIENCE_US;

	for (;;) {
		g_autoptr(GError) why = NULL;
		bool is_used = false;

		if (ph_durability_open(config, NULL, NULL, journal_out, &is_used, &why))
			return true;
		if (!is_used || g_get_monotonic_time() >= end_us) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		*fd_out = ph_control_connect_at(ph_config_server(config)->control, NULL);
		if (*fd_out >= 0)
			return true;
		g_usleep(LOOK_US);
	}
}

static int
run_with(PhConfig *config, const PhJobRequest *request, PhMistakes *mistakes, GError **error)
{
	PhJournal *journal = NULL;
	int fd = -1;
	int status = -1;

	if (!ph_config_make_data(config, error)
	    || !ph_process_become(ph_config_user(config), ph_config_group(config), error))
		return -1;
	(void) umask(077);
	ph_spool_set_directory(ph_config_server(config)->data);
	if (!open_journal(config, &journal, &fd, error))
		return -1;
	if (fd >= 0)
		return run_in_server(fd, request, error);
	status = run_with_journal(config, journal, request, mistakes, error);
	ph_durability_end(journal, config);
	return status;
}

PhConfig *
ph_store_run_config(const char *path, PhRegistry *registry, GError **error)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	PhConfig *config = ph_config_load(path, ph_registry_source(registry), mistakes);

	if (config == NULL)
		(void) tell_mistakes(mistakes, error);
	return config;
}

static int
run_here(const char *path, const PhJobRequest *request, GError **error)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	g_autoptr(PhRegistry) registry = ph_registry_new();
	g_autoptr(PhConfig) config = ph_store_run_config(path, registry, error);

	return config != NULL ? run_with(config, request, mistakes, error) : -1;
}

int
ph_store_run(const char *config, const PhJobRequest *request, GError **error)
{
	g_autoptr(GError) why = NULL;
	int fd = ph_control_connect(config, &why);

	if (fd >= 0)
		return run_in_server(fd, request, error);
	if (g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND))
		return run_here(config, request, error);
	g_propagate_error(error, g_steal_pointer(&why));
	return -1;
}

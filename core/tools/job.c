/* job.c: runs one tool: finds its sections, tells what happens, makes an exit status of it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/job.h"

#include "base/clock.h"
#include "journal/journal.h"
#include "mailbox/account.h"

#include <string.h>

enum {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_LATER = 75
};

#define PROGRESS_US UINT64_C(500000)

typedef struct {
	const char *name;
	bool (*run)(PhJob *job, GError **error);
	bool needs_to;
	bool needs_user;
} Tool;

static const Tool tools[] = {
	{ .name = "check", .run = ph_job_check },
	{ .name = "repair", .run = ph_job_repair },
	{ .name = "compact", .run = ph_job_compact },
	{ .name = "stats", .run = ph_job_stats },
	{ .name = "sync", .run = ph_job_sync },
	{ .name = "retain", .run = ph_job_retain },
	{ .name = "convert", .run = ph_job_convert, .needs_to = true },
	{ .name = "export", .run = ph_job_export, .needs_user = true },
	{ .name = "import", .run = ph_job_import, .needs_user = true },
};

void
ph_job_print(PhJob *job, uint32_t channel, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	job->sink->line(channel, text, job->sink->user_data);
}

bool
ph_job_progress(PhJob *job)
{
	uint64_t now_us = ph_clock_us();

	if (now_us - job->progress_us < PROGRESS_US)
		return false;
	job->progress_us = now_us;
	return true;
}

bool
ph_job_go_on(PhJob *job, GError **error)
{
	if (job->sink->is_cancelled == NULL || !job->sink->is_cancelled(job->sink->user_data))
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cancelled");
	return false;
}

static const Tool *
find_tool(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(tools); i++)
		if (g_strcmp0(name, tools[i].name) == 0)
			return &tools[i];
	return NULL;
}

static PhSection *
find_store(PhConfig *config, const char *name, GError **error)
{
	PhSection *section = name != NULL ? ph_config_section(config, "store", name) : NULL;

	if (section == NULL)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no [store %s] in the config",
		             name != NULL ? name : "");
	else if (section->instance == NULL)
		ph_error_set(
			error, PH_ERROR_UNSUPPORTED,
			"nothing uses [store %s], so it is not in use; name it in a listener or "
			"route, or as 'moves-to' in the store that it follows, and reload",
			name);
	return section != NULL && section->instance != NULL ? section : NULL;
}

/* Without the server nobody replays what a journal still has for the store, unless we do. */
static bool
is_journal_idle(const PhJob *job, GError **error)
{
	g_autofree char *folder =
		g_build_filename(ph_config_server(job->config)->data, "journal", NULL);

	return (job->request->flags & PH_JOB_ONLINE) != 0 || ph_accounts_journal() != NULL
	       || ph_journal_lets_pass(folder, error);
}

static bool
prepare(PhJob *job, const Tool *tool, GError **error)
{
	if (tool == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED, "there is no tool '%s'",
		             job->request->tool != NULL ? job->request->tool : "");
		return false;
	}
	job->section = find_store(job->config, job->request->section, error);
	if (job->section == NULL)
		return false;
	if (tool->needs_to)
		job->to = find_store(job->config, job->request->to, error);
	if (tool->needs_to && job->to == NULL)
		return false;
	if (tool->needs_user && job->request->user == NULL) {
		ph_error_set(error, PH_ERROR_INVALID, "a user must be named");
		return false;
	}
	return is_journal_idle(job, error);
}

int
ph_job_run(PhConfig *config, const PhJobRequest *request, const PhJobSink *sink)
{
	PhJob job = { .config = config, .request = request, .sink = sink };
	const Tool *tool = find_tool(request->tool);
	g_autoptr(GError) error = NULL;

	if (!prepare(&job, tool, &error) || !tool->run(&job, &error)) {
		ph_job_print(&job, PH_JOB_ERROR, "%s", error->message);
		return g_error_matches(error, PH_ERROR, PH_ERROR_TEMPORARY) ? STATUS_LATER
		                                                            : STATUS_FAILED;
	}
	return job.n_findings == 0 && job.n_failed == 0 ? STATUS_DONE : STATUS_FAILED;
}

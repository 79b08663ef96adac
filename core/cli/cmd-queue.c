/* cmd-queue.c: `posthorn queue list|show|retry|hold|release|delete|stats`
 *
 * A running server does the work and is asked through its control socket. Without one the command
 * opens the queue itself, as the server's user: to look at it without a lock, to change it alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "cli/commands.h"
#include "cli/control-client.h"
#include "cli/store-run.h"
#include "server/process-spawn.h"
#include "server/queue-tool.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* --- without a server ------------------------------------------------------------------------- */

static bool
only_looks(const PhQueueRequest *request)
{
	return strcmp(request->tool, "list") == 0 || strcmp(request->tool, "show") == 0
	       || strcmp(request->tool, "stats") == 0;
}

static int
run_on_queue(const PhConfig *config, const PhQueueRequest *request, GError **error)
{
	const PhJobSink sink = { .line = ph_store_run_show };
	PhQueueParams params = { .folder = ph_config_queue(config)->path,
		                 .writes = !only_looks(request) };
	PhQueue *queue = NULL;
	int status = 0;

	params.settings.lifetime = ph_config_queue(config)->lifetime;
	params.settings.file_octets = ph_config_queue(config)->segment_size.octets;
	if (!ph_queue_exists(params.folder)) {
		params.writes = false;
		(void) mkdir(params.folder, 0700);
	}
	queue = ph_queue_open(&params, error);
	if (queue == NULL)
		return -1;
	status = ph_queue_tool_run(queue, request, &sink);
	ph_queue_close(queue);
	return status;
}

static int
run_here(const char *path, const PhQueueRequest *request, GError **error)
{
	g_autoptr(PhRegistry) registry = ph_registry_new();
	g_autoptr(PhConfig) config = ph_store_run_config(path, registry, error);

	if (config == NULL
	    || !ph_process_become(ph_config_user(config), ph_config_group(config), error))
		return -1;
	(void) umask(077);
	return run_on_queue(config, request, error);
}

static int
run_request(const char *config, const PhQueueRequest *request)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) why = NULL;
	g_autoptr(GError) error = NULL;
	int status = -1;
	int fd = -1;

	if (!ph_queue_request_write(request, text))
		return usage("a pattern has no quotes, backslashes and control characters");
	fd = ph_control_connect(config, &why);
	if (fd >= 0)
		status = ph_store_run_ask(fd, text->str, -1, &error);
	else if (g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND))
		status = run_here(config, request, &error);
	else
		return fail(why);
	return error != NULL ? fail(error) : status;
}

/* --- commands --------------------------------------------------------------------------------- */

/* Commands with the rows of FILTER_OPTIONS have the filters. */
static PhQueueRequest
read_request(const PhArguments *arguments, const char *tool, bool has_filters)
{
	PhQueueRequest request = {
		.tool = tool,
		.id = ph_arguments_rest(arguments)[0],
		.json = ph_arguments_has(arguments, "json") ? "yes" : NULL,
	};

	if (!has_filters)
		return request;
	request.sender = ph_arguments_get(arguments, "sender");
	request.recipient = ph_arguments_get(arguments, "recipient");
	request.domain = ph_arguments_get(arguments, "domain");
	request.destination = ph_arguments_get(arguments, "destination");
	request.state = ph_arguments_get(arguments, "state");
	request.older = ph_arguments_get(arguments, "older");
	request.younger = ph_arguments_get(arguments, "younger");
	return request;
}

static bool
names_any(const PhQueueRequest *request)
{
	return request->id != NULL || request->sender != NULL || request->recipient != NULL
	       || request->domain != NULL || request->destination != NULL || request->state != NULL
	       || request->older != NULL || request->younger != NULL;
}

static int
run_list(const PhArguments *arguments)
{
	const PhQueueRequest request = read_request(arguments, "list", true);

	return run_request(ph_arguments_config(arguments), &request);
}

static int
run_show(const PhArguments *arguments)
{
	PhQueueRequest request = read_request(arguments, "show", false);

	request.body = ph_arguments_has(arguments, "body") ? "yes" : NULL;
	return run_request(ph_arguments_config(arguments), &request);
}

static int
run_stats(const PhArguments *arguments)
{
	const PhQueueRequest request = read_request(arguments, "stats", false);

	return run_request(ph_arguments_config(arguments), &request);
}

/* All of it only when that is said. */
static int
change(const PhArguments *arguments, const char *tool)
{
	const PhQueueRequest request = read_request(arguments, tool, true);
	bool all = ph_arguments_has(arguments, "all");

	if (all == names_any(&request))
		return usage(all ? "either --all or what is meant"
		                 : "say which mail is meant, or --all");
	return run_request(ph_arguments_config(arguments), &request);
}

static int
run_retry(const PhArguments *arguments)
{
	return change(arguments, "retry");
}

static int
run_hold(const PhArguments *arguments)
{
	return change(arguments, "hold");
}

static int
run_release(const PhArguments *arguments)
{
	return change(arguments, "release");
}

/* On a terminal a person is asked before more than one mail goes. */
static bool
is_sure(const PhArguments *arguments)
{
	char answer[16] = "";

	if (ph_arguments_has(arguments, "yes") || ph_arguments_rest(arguments)[0] != NULL
	    || isatty(STDIN_FILENO) != 1)
		return true;
	fprintf(stderr, "Delete all mail that fits from the queue, without telling its senders? "
	                "(yes/no) ");
	return fgets(answer, sizeof answer, stdin) != NULL && g_str_has_prefix(answer, "yes");
}

static int
run_delete(const PhArguments *arguments)
{
	const PhQueueRequest request = read_request(arguments, "delete", true);

	if (!ph_arguments_has(arguments, "all") && !names_any(&request))
		return usage("say which mail is meant, or --all");
	if (!is_sure(arguments)) {
		fprintf(stderr, "posthorn: nothing was deleted\n");
		return PH_EXIT_FAILED;
	}
	return change(arguments, "delete");
}

#define FILTER_OPTIONS                                                                         \
	{ "sender", 's', "PATTERN", "sent by; * stands for anything" },                        \
		{ "recipient", 'r', "PATTERN", "for this recipient" },                         \
		{ "domain", 'd', "PATTERN", "for a recipient of this domain" },                \
		{ "destination", 0, "PATTERN", "by way of this destination" },                 \
		{ "state", 0, "STATES", "ready, waiting, busy or held; several with commas" }, \
		{ "older", 0, "AGE", "in the queue for at least so long: 4h" },                \
	{                                                                                      \
		"younger", 0, "AGE", "in the queue for at most so long"                        \
	}

static const PhCommandOption list_options[] = {
	PH_COMMAND_CONFIG,
	FILTER_OPTIONS,
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};
static const PhCommandOption show_options[] = {
	PH_COMMAND_CONFIG,
	{ "body", 'b', NULL, "print the message too" },
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};
static const PhCommandOption stats_options[] = {
	PH_COMMAND_CONFIG,
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};
static const PhCommandOption change_options[] = {
	PH_COMMAND_CONFIG, FILTER_OPTIONS, { "all", 'a', NULL, "all mail in the queue" },
	PH_COMMAND_JSON,   PH_COMMAND_END,
};
static const PhCommandOption delete_options[] = {
	PH_COMMAND_CONFIG,
	FILTER_OPTIONS,
	{ "all", 'a', NULL, "all mail in the queue" },
	{ "yes", 'y', NULL, "do not ask" },
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};

const PhCommand ph_command_queue_list = {
	.name = "queue list",
	.synopsis = "[ID]",
	.summary = "Show the mail that waits to be delivered",
	.details = "One line for each mail and one for each recipient that is not done, with the "
		   "reason. Filters that\nare given together must all fit.",
	.options = list_options,
	.max_rest = 1,
	.run = run_list,
};

const PhCommand ph_command_queue_show = {
	.name = "queue show",
	.synopsis = "ID",
	.summary = "Show one mail of the queue",
	.options = show_options,
	.min_rest = 1,
	.max_rest = 1,
	.run = run_show,
};

const PhCommand ph_command_queue_retry = {
	.name = "queue retry",
	.synopsis = "[ID]",
	.summary = "Try at once to deliver what waits",
	.options = change_options,
	.max_rest = 1,
	.run = run_retry,
};

const PhCommand ph_command_queue_hold = {
	.name = "queue hold",
	.synopsis = "[ID]",
	.summary = "Keep mail in the queue until it is released",
	.details = "Mail that is held does not expire.",
	.options = change_options,
	.max_rest = 1,
	.run = run_hold,
};

const PhCommand ph_command_queue_release = {
	.name = "queue release",
	.synopsis = "[ID]",
	.summary = "Let mail that is held go on",
	.options = change_options,
	.max_rest = 1,
	.run = run_release,
};

const PhCommand ph_command_queue_delete = {
	.name = "queue delete",
	.synopsis = "[ID]",
	.summary = "Remove mail from the queue, without telling its sender",
	.details = "On a terminal it asks before it removes what a filter finds.",
	.options = delete_options,
	.max_rest = 1,
	.run = run_delete,
};

const PhCommand ph_command_queue_stats = {
	.name = "queue stats",
	.synopsis = "",
	.summary = "Count the mail in the queue",
	.options = stats_options,
	.run = run_stats,
};

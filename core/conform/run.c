/* run.c: tries rules one after another, each in a process of its own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit-mechanism.h"
#include "conform/kit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	REPORT_MAX = 4096,
	MS = 1000,
};

const PhConformRule *const ph_conform_themes[] = {
	ph_conform_messages,
	ph_conform_flags,
	ph_conform_mailboxes,
	ph_conform_transactions,
	ph_conform_given,
	ph_conform_uids,
	ph_conform_changes,
	ph_conform_values,
	ph_conform_content,
	ph_conform_limits,
	ph_conform_isolation,
	ph_conform_life,
	ph_conform_large,
	ph_conform_together,
	ph_conform_crash,
	ph_conform_power,
	ph_conform_full,
	ph_conform_speed,
	NULL,
};

const PhConformRule *
ph_conform_find(const PhConformRule *const *themes, const char *name)
{
	for (size_t i = 0; themes[i] != NULL; i++)
		for (const PhConformRule *rule = themes[i]; rule->name != NULL; rule++)
			if (strcmp(rule->name, name) == 0)
				return rule;
	return NULL;
}

static bool
is_wanted(const PhConformPlan *plan, const PhConformRule *rule)
{
	if (plan->rules == NULL)
		return plan->speed || !rule->is_speed;
	return g_strv_contains(plan->rules, rule->name);
}

unsigned
ph_conform_count(const PhConformPlan *plan)
{
	unsigned n = 0;

	for (size_t i = 0; plan->themes[i] != NULL; i++)
		for (const PhConformRule *rule = plan->themes[i]; rule->name != NULL; rule++)
			n += is_wanted(plan, rule);
	return n;
}

/* --- one process ----------------------------------------------------------------------------------- */

typedef struct {
	GPid pid;
	int output;
	GString *text;
	bool timed_out;
	int status;
} Part;

static bool
start(const PhConformPlan *plan, const char *name, Part *part, GError **error)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GError) why = NULL;

	for (size_t i = 0; plan->command[i] != NULL; i++)
		g_ptr_array_add(words, plan->command[i]);
	g_ptr_array_add(words, (char *) (uintptr_t) "rule");
	g_ptr_array_add(words, (char *) (uintptr_t) name);
	g_ptr_array_add(words, NULL);
	if (g_spawn_async_with_pipes(NULL, (char **) words->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
	                             NULL, NULL, &part->pid, NULL, &part->output, NULL, &why))
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot start a process: %s", why->message);
	return false;
}

/* Gathers what the process says until it ends or the time is over. */
static void
listen_to(Part *part, unsigned seconds)
{
	uint64_t end = ph_kit_now_us() + (uint64_t) seconds * MS * MS;
	char buffer[REPORT_MAX];
	ssize_t got = 1;

	while (got > 0) {
		uint64_t now = ph_kit_now_us();
		struct pollfd wait = { .fd = part->output, .events = POLLIN };
		int ready = now < end ? poll(&wait, 1, (int) ((end - now) / MS) + 1) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0) {
			part->timed_out = true;
			(void) kill(part->pid, SIGKILL);
			break;
		}
		got = read(part->output, buffer, sizeof buffer);
		if (got > 0 && part->text->len < REPORT_MAX)
			g_string_append_len(part->text, buffer, got);
	}
	(void) close(part->output);
	while (waitpid(part->pid, &part->status, 0) < 0 && errno == EINTR)
		;
}

/* "passed 12 text" */
static bool
parse_report(const char *text, PhConformResult *result)
{
	static const char *const words[] = { [PH_CONFORM_PASSED] = "passed",
		                             [PH_CONFORM_FAILED] = "failed",
		                             [PH_CONFORM_SKIPPED] = "skipped" };
	PhSlice rest = ph_slice(text);
	PhSlice line = ph_slice_split(&rest, '\n');
	PhSlice word = ph_slice_split(&line, ' ');
	PhSlice number = ph_slice_split(&line, ' ');

	if (!ph_slice_to_u64(number, UINT64_MAX, &result->n_checks))
		return false;
	for (uint32_t i = PH_CONFORM_PASSED; i < G_N_ELEMENTS(words); i++) {
		if (!ph_slice_is(word, words[i]))
			continue;
		result->status = i;
		result->text = g_strndup(line.data != NULL ? line.data : "", line.length);
		return true;
	}
	return false;
}

static void
judge(const Part *part, unsigned seconds, PhConformResult *result)
{
	bool told = parse_report(part->text->str, result);

	if (told && WIFEXITED(part->status) && WEXITSTATUS(part->status) == 0 && !part->timed_out)
		return;
	g_free(result->text);
	result->status = PH_CONFORM_FAILED;
	if (part->timed_out)
		result->text = g_strdup_printf("it took longer than %u s", seconds);
	else if (WIFSIGNALED(part->status))
		result->text = g_strdup_printf("the process was killed by signal %d",
		                               WTERMSIG(part->status));
	else
		result->text = g_strdup_printf("the process ended with status %d and %s",
		                               WEXITSTATUS(part->status),
		                               told ? "a result" : "without a result");
}

static bool
try_rule(const PhConformPlan *plan,
         const PhConformRule *rule,
         PhConformTotals *totals,
         GError **error)
{
	Part part = { .text = NULL };
	PhConformResult result = { .status = PH_CONFORM_FAILED };
	uint64_t began = ph_kit_now_us();

	if (!start(plan, rule->name, &part, error))
		return false;
	part.text = g_string_new(NULL);
	listen_to(&part, plan->timeout_seconds);
	judge(&part, plan->timeout_seconds, &result);
	result.seconds = (double) (ph_kit_now_us() - began) / (MS * MS);
	totals->n_passed += result.status == PH_CONFORM_PASSED;
	totals->n_failed += result.status == PH_CONFORM_FAILED;
	totals->n_skipped += result.status == PH_CONFORM_SKIPPED;
	plan->tell(rule, &result, plan->user_data);
	g_free(result.text);
	(void) g_string_free(part.text, TRUE);
	return true;
}

bool
ph_conform_run(const PhConformPlan *plan, PhConformTotals *totals_out, GError **error)
{
	PhConformTotals totals = { 0 };

	for (size_t i = 0; plan->themes[i] != NULL; i++)
		for (const PhConformRule *rule = plan->themes[i]; rule->name != NULL; rule++)
			if (is_wanted(plan, rule) && !try_rule(plan, rule, &totals, error))
				return false;
	*totals_out = totals;
	return true;
}

/* --- inside such a process --------------------------------------------------------------------- */

typedef struct {
	const char *name;
	int (*run)(const char *const *words);
} Role;

static int
run_rule(const PhConformRule *const *themes, const char *const *words)
{
	const PhConformRule *rule = words[0] != NULL ? ph_conform_find(themes, words[0]) : NULL;

	if (rule == NULL)
		ph_kit_fail("there is no such rule");
	ph_kit_rule = rule->name;
	rule->run();
	return ph_kit_finish();
}

/* What a rule starts other processes for. */
static const Role roles[] = {
	{ "write", ph_kit_role_write },       { "fill", ph_kit_role_fill },
	{ "append", ph_kit_role_append },     { "list", ph_kit_role_list },
	{ "prepare", ph_kit_role_prepare },   { "look", ph_kit_role_look },
	{ "unsynced", ph_kit_role_unsynced }, { "unsynced-look", ph_kit_role_unsynced_look },
};

/* @words: the rule's name, the role, its arguments. */
static int
help(const char *const *words)
{
	ph_kit_rule = words[0];
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
		if (words[1] != NULL && strcmp(words[1], roles[i].name) == 0)
			return roles[i].run(words + 2);
	ph_kit_fail("there is no such role");
}

int
ph_conform_part(const PhConformStore *store, int report, const char *const *role)
{
	ph_kit = *store;
	ph_kit_report_to(report, role[0] == NULL || strcmp(role[0], "rule") != 0);
	if (strcmp(role[0], "rule") == 0)
		return run_rule(ph_conform_themes, role + 1);
	if (strcmp(role[0], "help") == 0 && role[1] != NULL)
		return help(role + 1);
	ph_kit_fail("there is no such role");
}

int
ph_conform_mechanism_part(const PhConformMechanism *mechanism, int report, const char *const *role)
{
	ph_kit_mechanism = *mechanism;
	ph_kit_report_to(report, false);
	if (strcmp(role[0], "rule") == 0)
		return run_rule(ph_conform_mechanism_themes, role + 1);
	ph_kit_fail("there is no such role");
}

/* cmd-conform-mechanism.c: `posthorn conform mechanism SECTION`: a mechanism against its contract
 *
 * Each rule runs in a process of its own: `conform-mechanism-part`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "cli/commands.h"
#include "cli/conform-exchange.h"
#include "cli/conform-tool.h"
#include "plugin/instance.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_USER     "anna"
#define DEFAULT_PASSWORD "correct horse"

/* What a client of the two simplest mechanisms says. Returns: (owned, nullable). */
static char *
own_responses(const char *name, const char *user, const char *password)
{
	g_autoptr(GString) octets = g_string_new(NULL);
	g_autoptr(GString) text = g_string_new(NULL);

	if (strcmp(name, "PLAIN") == 0) {
		g_string_append_c(octets, '\0');
		g_string_append(octets, user);
		g_string_append_c(octets, '\0');
		g_string_append(octets, password);
		ph_base64_append(PH_SLICE(octets->str, octets->len), text);
	} else if (strcmp(name, "LOGIN") == 0) {
		ph_base64_append(ph_slice(user), text);
		g_string_append_c(text, ',');
		ph_base64_append(ph_slice(password), text);
	} else {
		return NULL;
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The first certificate of a PEM file, in DER. Empty without a file. */
static bool
read_certificate(const char *path, GString *der, GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GString) base64 = g_string_new(NULL);
	const char *start = NULL;
	const char *end = NULL;

	if (path == NULL)
		return true;
	if (!g_file_get_contents(path, &text, NULL, error))
		return false;
	start = strstr(text, "-----BEGIN CERTIFICATE-----");
	end = start != NULL ? strstr(start, "-----END CERTIFICATE-----") : NULL;
	for (const char *at = start; end != NULL && at < end; at++) {
		if (*at == '\n' && base64->len > 0 && base64->str[base64->len - 1] == '-')
			g_string_truncate(base64, 0);
		else if (!g_ascii_isspace(*at))
			g_string_append_c(base64, *at);
	}
	if (end != NULL && base64->len > 0
	    && ph_base64_decode(PH_SLICE(base64->str, base64->len), der))
		return true;
	ph_error_set(error, PH_ERROR_INVALID, "'%s' holds no certificate in PEM", path);
	return false;
}

static char **
command_for(const PhArguments *arguments)
{
	static const char *const names[] = { "user", "password", "responses", "client",
		                             "certificate" };
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);

	g_strv_builder_add_many(words, program != NULL ? program : "posthorn",
	                        "conform-mechanism-part", "--config",
	                        ph_arguments_config(arguments), NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *option = g_strconcat("--", names[i], NULL);

		if (ph_arguments_get(arguments, names[i]) != NULL)
			g_strv_builder_add_many(words, option,
			                        ph_arguments_get(arguments, names[i]), NULL);
	}
	g_strv_builder_add_many(words, "--", ph_arguments_rest(arguments)[0], NULL);
	return g_strv_builder_end(words);
}

static int
run_mechanism(const PhArguments *arguments)
{
	g_auto(PhConformTool) tool = { .word = "mechanism" };
	g_auto(GStrv) command = NULL;
	g_autoptr(GError) error = NULL;
	const char *name = ph_arguments_rest(arguments)[0];

	if (ph_arguments_has(arguments, "list"))
		return ph_conform_list(ph_conform_mechanism_themes);
	if (name == NULL) {
		fprintf(stderr, "posthorn: name the [mechanism SECTION] to try\n");
		return PH_EXIT_USAGE;
	}
	if (!ph_conform_tool_open(&tool, ph_arguments_config(arguments), NULL, name, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	command = command_for(arguments);
	return ph_conform_try(arguments, ph_conform_mechanism_themes, command, false);
}

static int
run_part(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);
	g_auto(PhConformTool) tool = { .word = "mechanism" };
	g_autofree char *own = NULL;
	g_autoptr(GString) certificate = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	PhConformMechanism mechanism = {
		.user = ph_conform_argument(arguments, "user", DEFAULT_USER),
		.password = ph_conform_argument(arguments, "password", DEFAULT_PASSWORD),
		.responses = ph_arguments_get(arguments, "responses"),
		.client = ph_arguments_get(arguments, "client"),
	};

	if (!ph_conform_tool_open(&tool, ph_arguments_config(arguments), NULL, rest[0], &error)
	    || !ph_instances_create_one(tool.section, &error)
	    || !read_certificate(ph_arguments_get(arguments, "certificate"), certificate, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	(void) signal(SIGPIPE, SIG_IGN);
	mechanism.certificate = PH_SLICE(certificate->str, certificate->len);
	mechanism.table = ph_section_table(tool.section);
	mechanism.instance = ph_section_instance(tool.section);
	own = own_responses(mechanism.table->sasl_name, mechanism.user, mechanism.password);
	if (mechanism.responses == NULL && mechanism.client == NULL)
		mechanism.responses = own;
	ph_conform_exchange_set_up(&mechanism);
	return ph_conform_mechanism_part(&mechanism, STDOUT_FILENO, rest + 1);
}

#define COMMON_OPTIONS                                                                      \
	PH_COMMAND_CONFIG, { "user", 'u', "NAME", "whom the good client is (anna)" },       \
		{ "password", 'p', "TEXT", "its password (correct horse)" },                \
		{ "responses", 0, "LIST", "what it says: base64, separated by commas" },    \
		{ "client", 0, "COMMAND",                                                   \
		  "answers challenges for USER PASSWORD: base64, a line each; '-' first" }, \
	{                                                                                   \
		"certificate", 0, "FILE", "the certificate that it shows, in PEM"           \
	}

static const PhCommandOption mechanism_options[] = {
	COMMON_OPTIONS,
	{ "rule", 'r', "NAMES", "only these rules, separated by commas" },
	{ "timeout", 0, "SECONDS", "for one rule (600)" },
	{ "tap", 't', NULL, "print TAP for test harnesses" },
	{ "list", 'l', NULL, "name the rules and end" },
	PH_COMMAND_END,
};

static const PhCommandOption part_options[] = {
	COMMON_OPTIONS,
	PH_COMMAND_END,
};

const PhCommand ph_command_conform_mechanism = {
	.name = "conform mechanism",
	.synopsis = "[SECTION]",
	.summary = "Try a mechanism against the contract, rule by rule",
	.details =
		"Runs every rule of the mechanism contract against [mechanism SECTION], with a directory\n"
		"of its own that knows one user: one line a rule with what was tried and how many checks\n"
		"were made, then a summary. PLAIN and LOGIN are spoken by the kit; for others name what a\n"
		"good client says, or a program that says it; rules that need one are skipped else. The\n"
		"status is 0 only when no rule failed.",
	.options = mechanism_options,
	.max_rest = 1,
	.run = run_mechanism,
};

const PhCommand ph_command_conform_mechanism_part = {
	.name = "conform-mechanism-part",
	.synopsis = "SECTION ROLE...",
	.summary = "What the conformance kit starts for one rule",
	.options = part_options,
	.min_rest = 2,
	.max_rest = 16,
	.hidden = true,
	.run = run_part,
};

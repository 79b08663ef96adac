/* cmd-explain.c: `posthorn explain`: where mail for an address would go, and why
 *
 * Walks the same way as a recipient of a session, with the same directories and alias files, but
 * delivers nothing and needs no running server. Nothing is looked up in the DNS: the next hop is
 * named as the transport names it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>

#include "base/json.h"
#include "cli/commands.h"
#include "plugin/registry.h"
#include "server/generation.h"
#include "server/process-spawn.h"

#include <stdio.h>
#include <string.h>

enum {
	STEP_WIDTH = 11,
	NAME_OCTETS = 256,
};

/* Explanation: what was found out, as text or JSON. */
typedef struct {
	const PhGeneration *generation;
	const char *address;
	const char *sender;
	GArray *found;
	GString *out;
	bool as_json;
	bool is_first;
} Explanation;

/* PhRcpt as the client would be told. */
typedef struct {
	PhRcpt result;
	const char *word;
	const char *reply;
	const char *text;
} Answer;

static const Answer answers[] = {
	{ PH_RCPT_OK, "taken", "250 2.1.5", "the address is taken" },
	{ PH_RCPT_UNKNOWN, "unknown", "550 5.1.1", "nobody has this address" },
	{ PH_RCPT_NO_ROUTE, "no-route", "550 5.7.1",
	  "we do not take mail for that domain, because no [route] names it" },
	{ PH_RCPT_TEMPORARY, "temporary", "451 4.3.0",
	  "a directory or alias file could not be asked, see above" },
	{ PH_RCPT_TOO_MANY, "too-many", "452 4.5.3", "it stands for too many" },
	{ PH_RCPT_DISABLED, "disabled", "550 5.2.1", "the user is locked" },
	{ PH_RCPT_OVER_QUOTA, "over-quota", "452 4.2.2", "the mailbox is full" },
};

static const Answer *
answer_for(PhRcpt result)
{
	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
		if (answers[i].result == result)
			return &answers[i];
	return &answers[1];
}

/* --- steps ------------------------------------------------------------------------------------ */

static void
add_step(Explanation *explanation, unsigned depth, const char *step, const char *text)
{
	GString *out = explanation->out;

	if (!explanation->as_json) {
		g_string_append_printf(out, "%-*s%*s%s\n", STEP_WIDTH, step, (int) (2 * depth), "",
		                       text);
		return;
	}
	g_string_append_printf(out, "%s{\"depth\":%u,", explanation->is_first ? "" : ",", depth);
	ph_json_member(out, "step", step);
	g_string_append_c(out, ',');
	ph_json_member(out, "text", text);
	g_string_append_c(out, '}');
	explanation->is_first = false;
}

static void tell(Explanation *explanation,
                 unsigned depth,
                 const char *step,
                 const char *format,
                 ...) G_GNUC_PRINTF(4, 5);

static void
tell(Explanation *explanation, unsigned depth, const char *step, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	add_step(explanation, depth, step, text);
}

static char *
names_of(PhSection *const *sections)
{
	GString *names = g_string_new(NULL);

	for (size_t i = 0; sections != NULL && sections[i] != NULL; i++)
		g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
		                       ph_section_name(sections[i]));
	return g_string_free(names, FALSE);
}

static void
tell_filters(Explanation *explanation, unsigned depth, PhSection *const *filters, const char *by)
{
	g_autofree char *names = names_of(filters);

	if (names[0] != '\0')
		tell(explanation, depth, "filters", "%s asks %s", by, names);
}

/* Every listener that takes mail, with what it asks before. */
static void
tell_listeners(Explanation *explanation)
{
	PhSection *const *all =
		ph_config_all_sections(ph_generation_config(explanation->generation));

	for (size_t i = 0; all[i] != NULL; i++) {
		g_autofree char *by = NULL;

		if (!ph_section_is_listener(all[i]) || all[i]->offer == NULL
		    || (all[i]->offer->needs & PH_NEEDS_ROUTES) == 0)
			continue;
		by = g_strdup_printf("[listener %s]", ph_section_name(all[i]));
		tell_filters(explanation, 0, ph_section_listener(all[i])->filters, by);
	}
}

/* --- where it ends ---------------------------------------------------------------------------- */

static void
tell_sender(Explanation *explanation, unsigned depth, const PhResolved *resolved)
{
	const PhDetour *detour = &resolved->detour;
	g_autofree char *sender = NULL;

	if (explanation->sender[0] == '\0')
		return;
	if (detour->sender != NULL)
		sender = g_strdup(detour->sender);
	else
		sender = ph_router_forward_sender(ph_generation_router(explanation->generation),
		                                  detour, explanation->sender);
	if (strcmp(sender, explanation->sender) != 0)
		tell(explanation, depth, "sender", "it goes on from <%s>", sender);
}

static void
tell_place(Explanation *explanation, unsigned depth, const PhResolved *resolved)
{
	const PhRouteParams *params = &resolved->route->params;
	char name[NAME_OCTETS];

	if (params->store != NULL && resolved->identity != NULL) {
		tell(explanation, depth, "store", "[store %s], account %s",
		     ph_section_name(params->store), ph_identity_address(resolved->identity));
		if (resolved->detour.detail != NULL)
			tell(explanation, depth, "mailbox", "%s when the user has it, else INBOX",
			     resolved->detour.detail);
		else
			tell(explanation, depth, "mailbox", "INBOX");
		return;
	}
	if (params->transport->destination == NULL
	    || params->transport->destination(params->instance, resolved->address, name,
	                                      sizeof name)
	               == 0)
		return;
	tell(explanation, depth, "next hop", "%s, for <%s>", name, resolved->address);
}

static void
tell_found(Explanation *explanation, unsigned depth)
{
	const PhResolved *resolved =
		&g_array_index(explanation->found, PhResolved, explanation->found->len - 1);
	const PhRouteParams *params = &resolved->route->params;
	const PhRouteSettings *settings = ph_section_route(params->section);
	bool commits = (params->transport->flags & PH_TRANSPORT_COMMITS) != 0;
	g_autofree char *by = g_strdup_printf("[route %s]", ph_section_name(params->section));

	if (resolved->detour.via != NULL)
		tell(explanation, depth, "forward",
		     "with Delivered-To: %s; refused when the mail has that already",
		     resolved->detour.via);
	tell_sender(explanation, depth, resolved);
	tell_filters(explanation, depth, settings->filters, by);
	tell(explanation, depth, "transport", "%s, %s", settings->transport,
	     commits ? "which commits at once" : "through the queue");
	tell_place(explanation, depth, resolved);
}

static void
note(unsigned depth, const char *step, const char *text, void *user_data)
{
	if (step != NULL)
		add_step(user_data, depth, step, text);
	else
		tell_found(user_data, depth);
}

/* --- the command ------------------------------------------------------------------------------ */

static void
tell_answer(Explanation *explanation, PhRcpt result)
{
	const PhRouter *router = ph_generation_router(explanation->generation);
	bool is_open = ph_router_is_open(router, ph_slice(explanation->address));
	const Answer *answer = answer_for(result);

	if (result == PH_RCPT_OK && !is_open)
		tell(explanation, 0, "only",
		     "from submitters who are logged in or in relay-networks; others get 550 5.7.1, "
		     "because the route's accept-from says so");
	if (!explanation->as_json)
		tell(explanation, 0, result == PH_RCPT_OK ? "yes" : "no", "%s (%s)", answer->text,
		     answer->reply);
}

static PhRcpt
explain(Explanation *explanation)
{
	PhRouter *router = ph_generation_router(explanation->generation);
	PhRcpt result = PH_RCPT_UNKNOWN;

	explanation->found = ph_resolved_array_new();
	tell_listeners(explanation);
	result = ph_router_explain(router, ph_slice(explanation->address), explanation->found, note,
	                           explanation);
	tell_answer(explanation, result);
	g_array_unref(explanation->found);
	return result;
}

/* As a session would have it: a canonical address, or a name alone. */
static char *
read_address(const char *text, bool may_be_empty)
{
	PhAddress address;

	if (text == NULL || (may_be_empty && (text[0] == '\0' || strcmp(text, "<>") == 0)))
		return g_strdup("");
	if (strchr(text, '@') == NULL && !may_be_empty)
		return g_strdup(text);
	if (ph_address_parse_mailbox(ph_slice(text), PH_ADDRESS_ALLOW_UTF8, &address)
	    != PH_ADDRESS_OK)
		return NULL;
	return g_strdup_printf("%s@%s", address.local, address.domain);
}

static void
print(const Explanation *explanation, PhRcpt result)
{
	const Answer *answer = answer_for(result);
	g_autoptr(GString) head = NULL;

	if (!explanation->as_json) {
		printf("%s", explanation->out->str);
		return;
	}
	head = g_string_new("{");
	ph_json_member(head, "address", explanation->address);
	g_string_append_c(head, ',');
	ph_json_member(head, "result", answer->word);
	g_string_append_c(head, ',');
	ph_json_member(head, "reply", answer->reply);
	printf("%s,\"steps\":[%s]}\n", head->str, explanation->out->str);
}

static PhGeneration *
load(const char *path, PhRegistry *registry, PhMistakes *mistakes)
{
	static const PhRuntime runtime = { .reactor = NULL };
	g_autoptr(PhConfig) config = ph_config_load(path, ph_registry_source(registry), mistakes);
	g_autoptr(GError) error = NULL;

	if (config == NULL)
		return NULL;
	if (!ph_process_become(ph_config_user(config), ph_config_group(config), &error)) {
		ph_mistakes_add(mistakes, 0, "%s", error->message);
		return NULL;
	}
	return ph_generation_new(&runtime, config, NULL, mistakes);
}

static int
run(const PhArguments *arguments)
{
	const char *path = ph_arguments_config(arguments);
	g_autofree char *address = read_address(ph_arguments_rest(arguments)[0], false);
	g_autofree char *sender = read_address(ph_arguments_get(arguments, "from"), true);
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	g_autoptr(PhRegistry) registry = ph_registry_new();
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(PhGeneration) generation = NULL;
	Explanation explanation = { .address = address,
		                    .sender = sender,
		                    .out = out,
		                    .as_json = ph_arguments_has(arguments, "json"),
		                    .is_first = true };
	PhRcpt result;

	if (address == NULL || sender == NULL) {
		fprintf(stderr, "posthorn explain: '%s' is no mail address\n",
		        address == NULL ? ph_arguments_rest(arguments)[0]
		                        : ph_arguments_get(arguments, "from"));
		return PH_EXIT_USAGE;
	}
	generation = load(path, registry, mistakes);
	if (generation == NULL) {
		g_autofree char *text = ph_mistakes_text(mistakes);

		fprintf(stderr, "%s", text);
		return PH_EXIT_FAILED;
	}
	explanation.generation = generation;
	result = explain(&explanation);
	print(&explanation, result);
	return result == PH_RCPT_OK ? PH_EXIT_OK : PH_EXIT_FAILED;
}

static const PhCommandOption options[] = {
	PH_COMMAND_CONFIG,
	PH_COMMAND_JSON,
	{ "from", 'f', "SENDER", "the mail's sender; <> for a bounce" },
	PH_COMMAND_END,
};

const PhCommand ph_command_explain = {
	.name = "explain",
	.synopsis = "ADDRESS",
	.summary = "Say where mail for an address would go, and why",
	.details =
		"Prints a line for each step: filters, route, alias, list, user, transport, store\n"
		"and mailbox or next hop. Nothing is sent, and no server need run. The status is 1\n"
		"when the address would be refused.",
	.options = options,
	.min_rest = 1,
	.max_rest = 1,
	.run = run,
};

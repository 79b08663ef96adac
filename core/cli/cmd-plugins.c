/* cmd-plugins.c: `posthorn plugins`: what could be named in a config
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/json.h"
#include "cli/commands.h"
#include "config/sections.h"
#include "plugin/registry.h"

#include <stdio.h>

typedef struct {
	PhTable *table;
	GString *json;
	bool failed;
} Listing;

static void
add_json(Listing *listing, const char *path, const PhOfferInfo *offer)
{
	GString *out = listing->json;

	g_string_append(out, out->len > 1 ? ",\n{" : "\n{");
	ph_json_member(out, "kind", ph_kind_name(offer->kind));
	g_string_append_c(out, ',');
	ph_json_member(out, "name", offer->name);
	g_string_append_c(out, ',');
	ph_json_member(out, "version", offer->version);
	g_string_append_c(out, ',');
	ph_json_member(out, "licence", offer->licence);
	g_string_append_c(out, ',');
	ph_json_member(out, "summary", offer->summary);
	g_string_append_c(out, ',');
	ph_json_member(out, "file", path);
	g_string_append_c(out, '}');
}

static void
add(const char *path, const PhOfferInfo *offer, const GError *error, void *user_data)
{
	Listing *listing = user_data;

	if (offer == NULL) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		listing->failed = true;
		return;
	}
	add_json(listing, path, offer);
	ph_table_row(listing->table, (const char *const[]){ ph_kind_name(offer->kind), offer->name,
	                                                    offer->version, offer->summary, NULL });
}

static int
run(const PhArguments *arguments)
{
	static const char *const headings[] = { "KIND", "NAME", "VERSION", "SUMMARY", NULL };
	g_autoptr(PhTable) table = ph_table_new(headings);
	g_autoptr(GString) json = g_string_new("[");
	g_autoptr(PhRegistry) registry = ph_registry_new();
	Listing listing = { table, json, false };

	ph_registry_each(registry, add, &listing);
	if (ph_arguments_has(arguments, "json"))
		printf("%s\n]\n", json->str);
	else
		ph_table_print(table);
	return listing.failed ? PH_EXIT_FAILED : PH_EXIT_OK;
}

static const PhCommandOption options[] = {
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};

const PhCommand ph_command_plugins = {
	.name = "plugins",
	.synopsis = "",
	.summary = "List the plugins that are installed",
	.details =
		"A plugin that is refused (its owner, its mode, its ABI) is told on standard error.",
	.options = options,
	.run = run,
};

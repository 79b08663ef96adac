/* cmd-plugin.c: `posthorn plugin NAME`: what a plugin or a kind of section can be told
 *
 * The reference manual and the man pages are this command's output.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "cli/commands.h"
#include "config/suggest.h"
#include "plugin/describe.h"
#include "plugin/registry.h"

#include <stdio.h>
#include <string.h>

static PhDescribeFormat
format_of(const PhArguments *arguments)
{
	if (ph_arguments_has(arguments, "json"))
		return PH_DESCRIBE_JSON;
	if (ph_arguments_has(arguments, "markdown"))
		return PH_DESCRIBE_MARKDOWN;
	return ph_arguments_has(arguments, "man") ? PH_DESCRIBE_MAN : PH_DESCRIBE_TEXT;
}

static int
describe_section(const char *word, PhDescribeFormat format)
{
	const PhSectionKind *kind = ph_section_kind_find(word);
	g_autofree char *text = NULL;

	if (kind == NULL) {
		fprintf(stderr, "posthorn: there is no kind of section '%s'\n", word);
		return PH_EXIT_FAILED;
	}
	text = ph_describe_section(kind, format);
	printf("%s", text);
	return PH_EXIT_OK;
}

/* Describes the offers of that name of every kind, or of one. Returns how many. */
static size_t
describe_offers(const PhOfferSource *source,
                const char *name,
                uint32_t only,
                PhDescribeFormat format)
{
	size_t n = 0;

	for (uint32_t kind = PH_KIND_PROTOCOL; kind <= PH_KIND_TRANSPORT; kind++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = NULL;
		const PhOfferInfo *offer = NULL;

		if (only != 0 && kind != only)
			continue;
		offer = source->find(source->user_data, kind, name, &error);
		if (offer == NULL && !g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND)) {
			fprintf(stderr, "posthorn: %s\n", error->message);
			continue;
		}
		if (offer == NULL)
			continue;
		text = ph_describe_offer(offer, format);
		printf("%s%s", n > 0 && format != PH_DESCRIBE_JSON ? "\n" : "", text);
		n++;
	}
	return n;
}

static void
tell_unknown(const PhOfferSource *source, const char *name)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *hint = NULL;

	for (uint32_t kind = PH_KIND_PROTOCOL; kind <= PH_KIND_TRANSPORT; kind++) {
		g_autofree char **names = source->names(source->user_data, kind);

		for (size_t i = 0; names[i] != NULL; i++)
			g_ptr_array_add(all, names[i]);
	}
	g_ptr_array_add(all, NULL);
	hint = ph_suggest_hint(name, (const char *const *) all->pdata);
	fprintf(stderr,
	        "posthorn: there is no plugin '%s'%s\n"
	        "A file that is not installed is named by its path: posthorn plugin KIND "
	        "/path/file.so:NAME\n",
	        name, hint);
}

static int
run(const PhArguments *arguments)
{
	g_autoptr(PhRegistry) registry = ph_registry_new();
	const PhOfferSource *source = ph_registry_source(registry);
	const char *const *names = ph_arguments_rest(arguments);
	PhDescribeFormat format = format_of(arguments);
	uint32_t kind = names[1] != NULL ? ph_kind_from_name(names[0]) : 0;
	const char *name = names[1] != NULL ? names[1] : names[0];

	if (names[1] != NULL && strcmp(names[0], "section") == 0)
		return describe_section(names[1], format);
	if (names[1] != NULL && kind == 0) {
		fprintf(stderr, "posthorn: there is no kind of plugin '%s'\n", names[0]);
		return PH_EXIT_USAGE;
	}
	if (describe_offers(source, name, kind, format) > 0)
		return PH_EXIT_OK;
	tell_unknown(source, name);
	return PH_EXIT_FAILED;
}

static const PhCommandOption options[] = {
	PH_COMMAND_JSON,
	{ "markdown", 0, NULL, "print a page of the reference manual" },
	{ "man", 0, NULL, "print a man page" },
	PH_COMMAND_END,
};

const PhCommand ph_command_plugin = {
	.name = "plugin",
	.synopsis = "[KIND] NAME",
	.summary = "Describe a plugin and every key that its section may have",
	.details =
		"KIND is protocol, mechanism, directory, store, filter or transport, and only needed\n"
		"when plugins of several kinds share a name. `posthorn plugin section server`\n"
		"describes the keys of a section that needs no plugin.",
	.options = options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run,
};

/* order.c: which sections are needed, in which order they are created, and circles among them
 *
 * A depth-first walk from every listener and route along `uses`. A section that is met again while
 * it is still being walked closes a circle. What stands below a store is that one's alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/build.h"

enum {
	NEW = 0,
	OPEN = 1,
	DONE = 2
};

typedef struct {
	PhBuilder *builder;
	GPtrArray *path; /* the open sections from the root down */
	bool is_used;    /* the walk began at a listener or route */
	bool has_circle;
} Walk;

static void
tell_circle(Walk *walk, const PhSection *again)
{
	g_autoptr(GString) names = g_string_new("");
	bool inside = false;
	const PhSection *last = walk->path->pdata[walk->path->len - 1];

	walk->has_circle = true;
	for (guint i = 0; i < walk->path->len; i++) {
		const PhSection *section = walk->path->pdata[i];

		inside = inside || section == again;
		if (inside)
			g_string_append_printf(names, "[%s %s] -> ", section->word, section->name);
	}
	ph_mistakes_add(walk->builder->mistakes, last->line,
	                "sections name each other in a circle: %s[%s %s]; remove one of the names",
	                names->str, again->word, again->name);
}

static void
visit(Walk *walk, PhSection *section)
{
	if (section->mark == OPEN)
		tell_circle(walk, section);
	if (section->mark != NEW)
		return;
	section->mark = OPEN;
	section->is_used = walk->is_used;
	g_ptr_array_add(walk->path, section);
	for (guint i = 0; i < section->uses->len; i++)
		visit(walk, section->uses->pdata[i]);
	g_ptr_array_set_size(walk->path, (gint) walk->path->len - 1);
	section->mark = DONE;
	/* a [transport NAME] only lends its settings to routes */
	if (walk->is_used && strcmp(section->word, "transport") != 0)
		g_ptr_array_add(walk->builder->config->ordered, section);
}

static bool
names(const PhSection *user, const PhSection *store)
{
	return g_ptr_array_find(user->uses, store, NULL);
}

static bool
moves_to(const PhSection *user, const PhSection *store)
{
	const PhPluginSettings *settings = user->core_settings;

	return settings != NULL && settings->moves_to == store;
}

/* A store that stands below another is that one's alone: who else used it would see, and write, what
 * the other makes of mail, and neither would know of the other's changes. */
static void
check_one_owner(PhBuilder *builder, const PhSection *section)
{
	const GPtrArray *sections = builder->config->sections;
	const PhSection *above = NULL;

	for (guint i = 0; i < sections->len; i++) {
		const PhSection *user = sections->pdata[i];

		if (user->kind == PH_KIND_STORE && user->is_used && names(user, section))
			above = user;
	}
	for (guint i = 0; above != NULL && i < sections->len; i++) {
		const PhSection *user = sections->pdata[i];

		if (user->kind != PH_KIND_STORE && names(user, section))
			ph_mistakes_add(builder->mistakes, ph_section_key_line(user, "store"),
			                moves_to(above, section)
			                        ? "[%s %s] names [store %s], to which [store %s] "
			                          "moves its users; name [store %s] here until all "
			                          "are moved, then the other everywhere"
			                        : "[%s %s] names [store %s], in which [store %s] "
			                          "keeps its mail; a store has one owner: name "
			                          "[store %s] here",
			                user->word, user->name, section->name, above->name,
			                above->name);
	}
}

void
ph_check_order(PhBuilder *builder)
{
	g_autoptr(GPtrArray) path = g_ptr_array_new();
	Walk walk = { builder, path, true, false };
	const GPtrArray *sections = builder->config->sections;

	for (guint i = 0; i < sections->len; i++) {
		PhSection *section = sections->pdata[i];

		if (ph_section_is_listener(section) || ph_section_is_route(section))
			visit(&walk, section);
	} /* circles among sections that nothing needs are mistakes too */
	walk.is_used = false;
	for (guint i = 0; i < sections->len; i++)
		visit(&walk, sections->pdata[i]);
	for (guint i = 0; i < sections->len && !walk.has_circle; i++) {
		const PhSection *section = sections->pdata[i];

		if (section->kind == PH_KIND_STORE)
			check_one_owner(builder, section);
	}
}

/* order.c: which sections are needed, in which order they are created, and circles among them
 *
 * A depth-first walk from every listener and route along `uses`. A section that is met again while
 * it is still being walked closes a circle.
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
} Walk;

static void
tell_circle(Walk *walk, const PhSection *again)
{
	g_autoptr(GString) names = g_string_new("");
	bool inside = false;
	const PhSection *last = walk->path->pdata[walk->path->len - 1];

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

void
ph_check_order(PhBuilder *builder)
{
	g_autoptr(GPtrArray) path = g_ptr_array_new();
	Walk walk = { builder, path, true };
	const GPtrArray *sections = builder->config->sections;

	for (guint i = 0; i < sections->len; i++) {
		PhSection *section = sections->pdata[i];

		if (ph_section_is_listener(section) || ph_section_is_route(section))
			visit(&walk, section);
	} /* circles among sections that nothing needs are mistakes too */
	walk.is_used = false;
	for (guint i = 0; i < sections->len; i++)
		visit(&walk, sections->pdata[i]);
}

/* figures.c: what plugins count for `posthorn status`
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/figures.h"

#include "base/lock.h"
#include "plugin/instance.h"

#include <string.h>

enum {
	FIGURES_MAX = 16, /* of a section */
};

typedef struct {
	PhSection *section; /* the origin */
	char *name;
	int64_t value;
} Figure;

static struct {
	PhLock lock;
	GArray *all; /* (nullable) of Figure */
} figures = { .lock = PH_LOCK_INIT };

static void
clear_figure(void *data)
{
	g_free(((Figure *) data)->name);
}

/* With the lock held. NULL when there are too many. */
static Figure *
find(PhSection *section, const char *name)
{
	Figure added = { .section = section };
	unsigned n = 0;

	if (figures.all == NULL) {
		figures.all = g_array_new(FALSE, FALSE, sizeof(Figure));
		g_array_set_clear_func(figures.all, clear_figure);
	}
	for (guint i = 0; i < figures.all->len; i++) {
		Figure *figure = &g_array_index(figures.all, Figure, i);

		if (figure->section != section)
			continue;
		if (strcmp(figure->name, name) == 0)
			return figure;
		n++;
	}
	if (n >= FIGURES_MAX)
		return NULL;
	added.name = g_strdup(name);
	(void) g_array_append_val(figures.all, added);
	return &g_array_index(figures.all, Figure, figures.all->len - 1);
}

void
ph_section_count(PhSection *section, const char *name, int64_t change)
{
	Figure *figure = NULL;

	PH_LOCKED(&figures.lock);
	figure = find(ph_section_origin(section), name);
	if (figure != NULL)
		figure->value += change;
}

void
ph_figures_each(PhSection *section, PhFigureFunc func, void *user_data)
{
	PhSection *origin = ph_section_origin(section);

	PH_LOCKED(&figures.lock);
	for (guint i = 0; figures.all != NULL && i < figures.all->len; i++) {
		const Figure *figure = &g_array_index(figures.all, Figure, i);

		if (figure->section == origin)
			func(figure->name, figure->value, user_data);
	}
}

void
ph_figures_forget(PhSection *origin)
{
	PH_LOCKED(&figures.lock);
	for (guint i = figures.all != NULL ? figures.all->len : 0; i-- > 0;)
		if (g_array_index(figures.all, Figure, i).section == origin)
			(void) g_array_remove_index(figures.all, i);
}

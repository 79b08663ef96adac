/* figures.h: what plugins count for `posthorn status`
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_PLUGIN_FIGURES_H
#define POSTHORN_PLUGIN_FIGURES_H

#include <posthorn/plugin.h>

typedef void (*PhFigureFunc)(const char *name, int64_t value, void *user_data);

/* ph_figures_each: a section's, in the order in which they were first counted; @func calls nothing here.
 * Thread: any. */
void ph_figures_each(PhSection *section, PhFigureFunc func, void *user_data);

/* ph_figures_forget: the instance that was created for @origin is gone. */
void ph_figures_forget(PhSection *origin);

#endif

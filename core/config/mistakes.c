/* mistakes.c: everything that is wrong with a config, in the order of its lines
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/mistakes.h"

#include "base/limits.h"

struct PhMistakes {
	char *file;
	GArray *rows; /* of PhMistake; texts are owned */
	size_t n_errors;
	size_t n_warnings;
	bool is_sorted;
};

static void
clear_row(gpointer row)
{
	g_free((char *) (uintptr_t) ((PhMistake *) row)->text);
}

PhMistakes *
ph_mistakes_new(const char *file)
{
	PhMistakes *mistakes = g_new0(PhMistakes, 1);

	mistakes->file = g_strdup(file);
	mistakes->rows = g_array_new(FALSE, FALSE, sizeof(PhMistake));
	g_array_set_clear_func(mistakes->rows, clear_row);
	return mistakes;
}

void
ph_mistakes_free(PhMistakes *mistakes)
{
	if (mistakes == NULL)
		return;
	g_array_unref(mistakes->rows);
	g_free(mistakes->file);
	g_free(mistakes);
}

static void
add_row(PhMistakes *mistakes, PhMistake row)
{
	/* the same thing may be found on two ways */
	for (guint i = 0; i < mistakes->rows->len; i++) {
		const PhMistake *old = &g_array_index(mistakes->rows, PhMistake, i);

		if (old->line == row.line && g_strcmp0(old->text, row.text) == 0) {
			clear_row(&row);
			return;
		}
	}
	if (row.is_warning)
		mistakes->n_warnings++;
	else
		mistakes->n_errors++;
	if (mistakes->rows->len >= PH_LIMIT_CONFIG_MISTAKES) {
		clear_row(&row);
		return;
	}
	g_array_append_val(mistakes->rows, row);
	mistakes->is_sorted = false;
}

void
ph_mistakes_add(PhMistakes *mistakes, unsigned int line, const char *format, ...)
{
	PhMistake row = { .line = line };
	va_list args;

	va_start(args, format);
	row.text = g_strdup_vprintf(format, args);
	va_end(args);
	add_row(mistakes, row);
}

void
ph_mistakes_warn(PhMistakes *mistakes, unsigned int line, const char *format, ...)
{
	PhMistake row = { .line = line, .is_warning = true };
	va_list args;

	va_start(args, format);
	row.text = g_strdup_vprintf(format, args);
	va_end(args);
	add_row(mistakes, row);
}

const char *
ph_mistakes_file(const PhMistakes *mistakes)
{
	return mistakes->file;
}

size_t
ph_mistakes_n_errors(const PhMistakes *mistakes)
{
	return mistakes->n_errors;
}

size_t
ph_mistakes_n_warnings(const PhMistakes *mistakes)
{
	return mistakes->n_warnings;
}

static int
compare(gconstpointer a, gconstpointer b)
{
	const PhMistake *left = a;
	const PhMistake *right = b;

	if (left->line != right->line)
		return left->line < right->line ? -1 : 1;
	return g_strcmp0(left->text, right->text);
}

const PhMistake *
ph_mistakes_get(PhMistakes *mistakes, size_t index)
{
	if (!mistakes->is_sorted)
		g_array_sort(mistakes->rows, compare);
	mistakes->is_sorted = true;
	if (index >= mistakes->rows->len)
		return NULL;
	return &g_array_index(mistakes->rows, PhMistake, index);
}

char *
ph_mistakes_text(PhMistakes *mistakes)
{
	GString *out = g_string_new("");
	const PhMistake *row = NULL;

	for (size_t i = 0; (row = ph_mistakes_get(mistakes, i)) != NULL; i++) {
		g_string_append(out, mistakes->file);
		if (row->line > 0)
			g_string_append_printf(out, ":%u", row->line);
		g_string_append_printf(out, ": %s%s\n", row->is_warning ? "warning: " : "",
		                       row->text);
	}
	return g_string_free(out, FALSE);
}

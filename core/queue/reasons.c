/* reasons.c: sentences that many recipients share, each kept once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/reasons.h"

#include <posthorn/slice.h>

typedef struct {
	char *text; /* NULL: free */
	uint32_t n_uses;
	uint32_t next; /* free: the next free one */
} Row;

struct PhReasons {
	GArray *rows;      /* of Row; number 0 is none */
	GHashTable *known; /* text to number */
	uint32_t free;
};

PhReasons *
ph_reasons_new(void)
{
	PhReasons *reasons = g_new0(PhReasons, 1);

	reasons->rows = g_array_new(FALSE, TRUE, sizeof(Row));
	g_array_set_size(reasons->rows, 1);
	reasons->known = g_hash_table_new(ph_str_hash, g_str_equal);
	return reasons;
}

void
ph_reasons_free(PhReasons *reasons)
{
	if (reasons == NULL)
		return;
	g_hash_table_unref(reasons->known);
	for (guint i = 0; i < reasons->rows->len; i++)
		g_free(g_array_index(reasons->rows, Row, i).text);
	g_array_unref(reasons->rows);
	g_free(reasons);
}

static uint32_t
new_row(PhReasons *reasons)
{
	uint32_t number = reasons->free;

	if (number != 0)
		reasons->free = g_array_index(reasons->rows, Row, number).next;
	else if (reasons->rows->len <= PH_REASONS_MAX) {
		number = reasons->rows->len;
		g_array_set_size(reasons->rows, number + 1);
	}
	return number;
}

/* What peers say is kept as one line of UTF-8. */
static char *
clean(PhSlice text)
{
	char *made = g_utf8_make_valid(text.data, (gssize) MIN(text.length, PH_REASON_OCTETS));

	for (char *c = made; *c != '\0'; c++)
		if (g_ascii_iscntrl(*c))
			*c = ' ';
	return g_strstrip(made);
}

uint32_t
ph_reasons_use(PhReasons *reasons, PhSlice text)
{
	g_autofree char *line = text.length > 0 ? clean(text) : g_strdup("");
	uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(reasons->known, line));
	Row *row = NULL;

	if (line[0] == '\0')
		return 0;
	if (number == 0) {
		number = new_row(reasons);
		if (number == 0)
			return 0;
		row = &g_array_index(reasons->rows, Row, number);
		*row = (Row){ .text = g_steal_pointer(&line) };
		(void) g_hash_table_insert(reasons->known, row->text, GUINT_TO_POINTER(number));
	}
	g_array_index(reasons->rows, Row, number).n_uses++;
	return number;
}

void
ph_reasons_drop(PhReasons *reasons, uint32_t number)
{
	Row *row = &g_array_index(reasons->rows, Row, number);

	if (number == 0 || --row->n_uses > 0)
		return;
	(void) g_hash_table_remove(reasons->known, row->text);
	g_clear_pointer(&row->text, g_free);
	row->next = reasons->free;
	reasons->free = number;
}

const char *
ph_reasons_text(const PhReasons *reasons, uint32_t number)
{
	return number != 0 ? g_array_index(reasons->rows, Row, number).text : NULL;
}

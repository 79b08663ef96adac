/* query.c: named parameters of a query, :user, :local and :domain, as libpq wants them: $1, $2
 *
 * A name is a colon and letters; what stands in quotes or comments, and casts (::type), are left as they
 * are. Nobody's name is ever part of the text. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "postgresql.h"

#include <string.h>

static const struct {
	const char *text;
	QueryName name;
} known[] = {
	{ "user", NAME_USER },     { "address", NAME_USER }, { "local", NAME_LOCAL },
	{ "domain", NAME_DOMAIN }, { "hash", NAME_HASH },
};

/* How long a quoted text or a comment at @text is; 0 when none begins here. */
static size_t
quoted_length(const char *text)
{
	const char *end = NULL;

	if (text[0] == '\'' || text[0] == '"')
		end = strchr(text + 1, text[0]);
	else if (g_str_has_prefix(text, "--"))
		end = strchr(text, '\n');
	else if (g_str_has_prefix(text, "/*"))
		end = strstr(text, "*/");
	else
		return 0;
	return end != NULL ? (size_t) (end - text) + 1 : strlen(text);
}

/* The name behind a colon. Returns: its length, 0 for none that is known. */
static size_t
find_name(const char *text, QueryName *out)
{
	size_t length = 0;

	while (g_ascii_isalnum(text[length]) || text[length] == '_')
		length++;
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		if (!ph_slice_is(PH_SLICE(text, length), known[i].text))
			continue;
		*out = known[i].name;
		return length;
	}
	return 0;
}

/* Appends what stands at @text. Returns: how many octets of it. */
static size_t
take_piece(const char *text, GString *out, Query *query)
{
	size_t length = quoted_length(text);
	QueryName name = NAME_USER;

	if (length == 0 && g_str_has_prefix(text, "::"))
		length = 2;
	if (length == 0 && text[0] == ':' && query->n < G_N_ELEMENTS(query->names))
		length = find_name(text + 1, &name);
	else if (length > 0) {
		g_string_append_len(out, text, (gssize) length);
		return length;
	}
	if (length == 0) {
		g_string_append_c(out, text[0]);
		return 1;
	}
	query->names[query->n++] = name;
	g_string_append_printf(out, "$%u", query->n);
	return length + 1;
}

bool
query_parse(const char *text, Query *out, GError **error)
{
	GString *result = g_string_new(NULL);

	*out = (Query){ .text = NULL };
	while (*text != '\0')
		text += take_piece(text, result, out);
	out->text = g_string_free(result, FALSE);
	if (out->n < G_N_ELEMENTS(out->names))
		return true;
	query_clear(out);
	ph_error_set(error, PH_ERROR_INVALID, "a query has at most %u names",
	             (unsigned) G_N_ELEMENTS(out->names) - 1);
	return false;
}

void
query_clear(Query *query)
{
	g_clear_pointer(&query->text, g_free);
}

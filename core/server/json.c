/* json.c: writes JSON, one call a token; commas come by themselves
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/json.h"

#include <posthorn/slice.h>

#include "server/json.h"

#include <string.h>

static void
begin_value(GString *out, const char *key)
{
	char last = out->len > 0 ? out->str[out->len - 1] : '{';

	if (strchr("{[:\n", last) == NULL)
		g_string_append_c(out, ',');
	if (key == NULL)
		return;
	ph_json_string(out, ph_slice(key));
	g_string_append_c(out, ':');
}

void
ph_json_open(GString *out, const char *key, char bracket)
{
	begin_value(out, key);
	g_string_append_c(out, bracket);
}

void
ph_json_close(GString *out, char bracket)
{
	g_string_append_c(out, bracket);
}

void
ph_json_text(GString *out, const char *key, const char *text)
{
	begin_value(out, key);
	ph_json_string(out, ph_slice(text));
}

void
ph_json_number(GString *out, const char *key, int64_t number)
{
	begin_value(out, key);
	g_string_append_printf(out, "%" G_GINT64_FORMAT, (gint64) number);
}

void
ph_json_boolean(GString *out, const char *key, bool value)
{
	begin_value(out, key);
	g_string_append(out, value ? "true" : "false");
}

/* Takes a quoted text without escapes off the front. */
static bool
take_quoted(PhSlice *rest, PhSlice *text_out)
{
	ssize_t end = 0;

	*rest = ph_slice_trim(*rest);
	if (rest->length < 2 || rest->data[0] != '"')
		return false;
	*rest = ph_slice_from(*rest, 1);
	end = ph_slice_find(*rest, '"');
	if (end < 0)
		return false;
	*text_out = PH_SLICE(rest->data, (size_t) end);
	*rest = ph_slice_trim(ph_slice_from(*rest, (size_t) end + 1));
	return ph_slice_find(*text_out, '\\') < 0;
}

static bool
take_mark(PhSlice *rest, char mark)
{
	*rest = ph_slice_trim(*rest);
	if (rest->length == 0 || rest->data[0] != mark)
		return false;
	*rest = ph_slice_from(*rest, 1);
	return true;
}

char *
ph_json_lookup(PhSlice object, const char *key)
{
	PhSlice rest = object;
	PhSlice name;
	PhSlice value;

	if (!take_mark(&rest, '{'))
		return NULL;
	do {
		if (!take_quoted(&rest, &name) || !take_mark(&rest, ':')
		    || !take_quoted(&rest, &value))
			return NULL;
		if (ph_slice_is(name, key))
			return ph_slice_dup(value);
	} while (take_mark(&rest, ','));
	return NULL;
}

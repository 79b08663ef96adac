/* json.c: text as a JSON string (RFC 8259 section 7)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/json.h"

#include <posthorn/slice.h>

void
ph_json_string(GString *out, PhSlice text)
{
	g_autofree char *valid =
		g_utf8_make_valid(text.data != NULL ? text.data : "", (gssize) text.length);

	g_string_append_c(out, '"');
	for (const char *at = valid; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			g_string_append_c(out, '\\');
		if ((unsigned char) *at < 0x20 || *at == 0x7f)
			g_string_append_printf(out, "\\u%04x", (unsigned int) *at);
		else
			g_string_append_c(out, *at);
	}
	g_string_append_c(out, '"');
}

void
ph_json_member(GString *out, const char *name, const char *text)
{
	g_string_append_printf(out, "\"%s\":", name);
	if (text != NULL)
		ph_json_string(out, ph_slice(text));
	else
		g_string_append(out, "null");
}

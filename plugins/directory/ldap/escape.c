/* escape.c: names put into search filters and distinguished names
 *
 * Every octet that could mean something is written as a backslash and two hexadecimal digits, which both
 * forms understand. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "escape.h"

#include <string.h>

static bool
is_special(const char *text, size_t i, Escape escape)
{
	static const char in_dn[] = ",+\"\\<>;=#";
	static const char in_filter[] = "*()\\";
	unsigned char c = (unsigned char) text[i];

	if (c < ' ' || c == 0x7f)
		return true;
	if (escape == ESCAPE_FILTER)
		return strchr(in_filter, c) != NULL;
	return strchr(in_dn, c) != NULL || (c == ' ' && (i == 0 || text[i + 1] == '\0'));
}

static void
append(GString *out, const char *text, Escape escape)
{
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (is_special(text, i, escape))
			g_string_append_printf(out, "\\%02x", (unsigned char) text[i]);
		else
			g_string_append_c(out, text[i]);
	}
}

char *
escape_fill(const char *text, const PhUser *user, const char *dn, Escape escape)
{
	const struct {
		const char *name;
		const char *value;
	} values[] = {
		{ "{user}", ph_user_asked_address(user) },
		{ "{address}", ph_user_asked_address(user) },
		{ "{local}", ph_user_asked_local(user) },
		{ "{domain}", ph_user_asked_domain(user) },
		{ "{dn}", dn != NULL ? dn : "" },
	};

	GString *out = g_string_new(NULL);

	while (*text != '\0') {
		size_t i = 0;

		while (i < G_N_ELEMENTS(values) && !g_str_has_prefix(text, values[i].name))
			i++;
		if (i < G_N_ELEMENTS(values)) {
			append(out, values[i].value, escape);
			text += strlen(values[i].name);
		} else {
			g_string_append_c(out, *text++);
		}
	}
	return g_string_free(out, FALSE);
}

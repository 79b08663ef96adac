/* expand.c: {data} and {hostname} in values, {user} and its like in templates
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/expand.h"

#include <posthorn/slice.h>

#include "config/suggest.h"

static const char *const path_words[] = { "data", "hostname", NULL };
static const char *const template_words[] = { "data",    "hostname", "user", "domain",
	                                      "address", "home",     NULL };

/* The word in "{word}" at @at; empty when it is no such thing. */
static PhSlice
word_at(const char *at)
{
	size_t n = 0;

	while (g_ascii_islower(at[1 + n]) || at[1 + n] == '-')
		n++;
	if (n == 0 || at[1 + n] != '}')
		return PH_SLICE_EMPTY;
	return PH_SLICE(at + 1, n);
}

static bool
is_template_word(PhSlice word)
{
	for (size_t i = 2; template_words[i] != NULL; i++)
		if (ph_slice_is(word, template_words[i]))
			return true;
	return false;
}

static void
tell_unknown(PhSlice word, PhExpandMode mode, GString *problem)
{
	g_autofree char *name = ph_slice_dup(word);
	g_autofree char *hint =
		ph_suggest_hint(name, mode == PH_EXPAND_TEMPLATE ? template_words : path_words);

	g_string_append_printf(problem, "names {%s}, which is not known here%s", name, hint);
}

char *
ph_expand_fixed(const char *text,
                const char *data,
                const char *hostname,
                PhExpandMode mode,
                GString *problem)
{
	g_autoptr(GString) out = g_string_new("");

	while (*text != '\0') {
		PhSlice word = *text == '{' ? word_at(text) : PH_SLICE_EMPTY;
		bool stays = mode == PH_EXPAND_LOOSE
		             || (mode == PH_EXPAND_TEMPLATE && is_template_word(word));

		if (word.length == 0 && *text == '{' && mode != PH_EXPAND_LOOSE) {
			g_string_append(problem, "has a '{' that begins no word; write such as "
			                         "{data}, and no other '{'");
			return NULL;
		}
		if (word.length == 0) {
			g_string_append_c(out, *text++);
			continue;
		}
		if (ph_slice_is(word, "data") && data != NULL) {
			g_string_append(out, data);
		} else if (ph_slice_is(word, "hostname") && hostname != NULL) {
			g_string_append(out, hostname);
		} else if (ph_slice_is(word, "data") || ph_slice_is(word, "hostname")) {
			return NULL; /* that [server] lacks it has been told */
		} else if (stays) {
			g_string_append_len(out, text, (gssize) word.length + 2);
		} else {
			tell_unknown(word, mode, problem);
			return NULL;
		}
		text += word.length + 2;
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}

void
ph_expand_component(const char *value, GString *out)
{
	if (value[0] == '\0')
		g_string_append_c(out, '%');
	for (size_t i = 0; value[i] != '\0'; i++) {
		unsigned char c = (unsigned char) value[i];

		if (c == '/' || c == '%' || c < 0x20 || c == 0x7f || (c == '.' && i == 0))
			g_string_append_printf(out, "%%%02X", (unsigned int) c);
		else
			g_string_append_c(out, value[i]);
	}
}

/* A home is a path of its own: its components are made safe one by one. */
static void
append_home(const PhIdentity *identity, GString *out)
{
	const char *home = ph_identity_home(identity);
	g_auto(GStrv) components = NULL;
	const char *separator = "";

	if (home == NULL || home[0] == '\0') {
		ph_expand_component(ph_identity_address(identity), out);
		return;
	}
	if (home[0] == '/' && out->len == 0)
		separator = "/";
	components = g_strsplit(home, "/", -1);
	for (size_t i = 0; components[i] != NULL; i++) {
		if (components[i][0] == '\0')
			continue;
		g_string_append(out, separator);
		/* a dot file in a home is the directory's wish; "." and ".." are nobody's */
		if (strcmp(components[i], ".") == 0 || strcmp(components[i], "..") == 0)
			ph_expand_component(components[i], out);
		else
			g_string_append(out, components[i]);
		separator = "/";
	}
}

char *
ph_expand_template(const char *path_template, const PhIdentity *identity)
{
	GString *out = g_string_new("");

	while (*path_template != '\0') {
		PhSlice word = *path_template == '{' ? word_at(path_template) : PH_SLICE_EMPTY;

		if (ph_slice_is(word, "user")) {
			ph_expand_component(ph_identity_user(identity), out);
		} else if (ph_slice_is(word, "domain")) {
			ph_expand_component(ph_identity_domain(identity), out);
		} else if (ph_slice_is(word, "address")) {
			ph_expand_component(ph_identity_address(identity), out);
		} else if (ph_slice_is(word, "home")) {
			append_home(identity, out);
		} else {
			g_string_append_c(out, *path_template++);
			continue;
		}
		path_template += word.length + 2;
	}
	return g_string_free(out, FALSE);
}

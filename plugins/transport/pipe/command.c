/* command.c: the words of a command, and what a program's end means
 *
 * No shell ever sees a word: a placeholder's value is put into its word as it is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "command.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <string.h>
#include <sysexits.h>

enum {
	TEXT_MAX = 200,
	STATUS_MAX = 11,
};

static const char *const names[] = { "{recipient}", "{sender}", "{user}",
	                             "{detail}",    "{domain}", "{id}" };

static size_t
find_name(const char *at)
{
	size_t i = 0;

	while (i < G_N_ELEMENTS(names) && !g_str_has_prefix(at, names[i]))
		i++;
	return i;
}

static bool
is_known(const char *word)
{
	for (const char *at = strchr(word, '{'); at != NULL; at = strchr(at + 1, '{'))
		if (find_name(at) == G_N_ELEMENTS(names))
			return false;
	return true;
}

char **
command_split(const char *text, GError **error)
{
	g_auto(GStrv) all = g_strsplit_set(text, " \t", -1);
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	bool good = true;

	for (size_t i = 0; all[i] != NULL; i++) {
		if (all[i][0] == '\0')
			continue;
		good = good && is_known(all[i]);
		g_ptr_array_add(words, g_strdup(all[i]));
	}
	good = good && words->len > 0 && ((const char *) words->pdata[0])[0] == '/'
	       && strchr(words->pdata[0], '{') == NULL;
	g_ptr_array_add(words, NULL);
	if (good)
		return (char **) g_ptr_array_free(words, FALSE);
	g_ptr_array_unref(words);
	ph_error_set(error, PH_ERROR_INVALID,
	             "'command' must be an absolute path and words, with {recipient}, {sender}, "
	             "{user}, {detail}, {domain} and {id} alone in braces");
	return NULL;
}

static char *
fill_word(const char *word, const CommandValues *values)
{
	const char *const with[] = { values->recipient, values->sender, values->user,
		                     values->detail,    values->domain, values->id };
	GString *out = g_string_new(NULL);

	while (*word != '\0') {
		size_t i = *word == '{' ? find_name(word) : G_N_ELEMENTS(names);

		if (i < G_N_ELEMENTS(names)) {
			g_string_append(out, with[i]);
			word += strlen(names[i]);
		} else {
			g_string_append_c(out, *word++);
		}
	}
	return g_string_free(out, FALSE);
}

char **
command_fill(char *const *words, const CommandValues *values)
{
	GPtrArray *out = g_ptr_array_new();

	for (size_t i = 0; words[i] != NULL; i++)
		g_ptr_array_add(out, fill_word(words[i], values));
	g_ptr_array_add(out, NULL);
	return (char **) g_ptr_array_free(out, FALSE);
}

static const struct {
	int exit_status;
	unsigned code;
	const char *status;
} meanings[] = {
	{ EX_OK, 250, "2.0.0" },
	{ EX_USAGE, 554, "5.3.5" },
	{ EX_DATAERR, 554, "5.6.0" },
	{ EX_NOINPUT, 554, "5.3.0" },
	{ EX_NOUSER, 550, "5.1.1" },
	{ EX_NOHOST, 550, "5.1.2" },
	{ EX_UNAVAILABLE, 554, "5.3.0" },
	{ EX_SOFTWARE, 554, "5.3.0" },
	{ EX_OSERR, 451, "4.3.0" },
	{ EX_OSFILE, 451, "4.3.5" },
	{ EX_CANTCREAT, 554, "5.2.0" },
	{ EX_IOERR, 451, "4.3.0" },
	{ EX_TEMPFAIL, 451, "4.3.0" },
	{ EX_PROTOCOL, 554, "5.5.0" },
	{ EX_NOPERM, 550, "5.7.0" },
	{ EX_CONFIG, 451, "4.3.5" },
	{ 126, 451, "4.3.5" }, /* what the one that starts it says: not to be run, not there */
	{ 127, 451, "4.3.5" },
};

/* "4.2.0 text" or "5.1.1 text": the length of the status, or 0. */
static size_t
status_length(PhSlice output)
{
	size_t n = 0;
	unsigned dots = 0;

	while (n < output.length && n < STATUS_MAX
	       && (g_ascii_isdigit(output.data[n]) || output.data[n] == '.'))
		dots += output.data[n++] == '.';
	if (dots != 2 || n < strlen("4.0.0") || output.data[1] != '.' || output.data[n - 1] == '.'
	    || (output.data[0] != '4' && output.data[0] != '5'))
		return 0;
	return n < output.length && g_ascii_isspace(output.data[n]) ? n : 0;
}

unsigned
command_judge(int exit_status, PhSlice output, char status_out[12])
{
	size_t n = status_length(output);
	unsigned code = exit_status < 0 ? 451 : 554;
	const char *status = exit_status < 0 ? "4.3.0" : "5.3.0";

	for (size_t i = 0; i < G_N_ELEMENTS(meanings); i++)
		if (meanings[i].exit_status == exit_status) {
			code = meanings[i].code;
			status = meanings[i].status;
		}
	g_strlcpy(status_out, status, STATUS_MAX + 1);
	if (exit_status <= 0 || n == 0)
		return code;
	memcpy(status_out, output.data, n);
	status_out[n] = '\0';
	return output.data[0] == '4' ? 451 : 554;
}

void
command_text(PhSlice output, GString *out)
{
	size_t n = status_length(output);

	output = ph_slice_trim(ph_slice_from(output, n));
	for (size_t i = 0; i < output.length && i < TEXT_MAX; i++) {
		if (output.data[i] == '\n' || output.data[i] == '\r')
			break;
		g_string_append_c(out, g_ascii_isprint(output.data[i]) ? output.data[i] : '?');
	}
}

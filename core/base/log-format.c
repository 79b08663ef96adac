/* log-format.c: one event as text, as JSON or in journald's native form
 *
 * Every value is capped and escaped: C0, DEL, C1 and octets that are not UTF-8 become \xNN in text
 * and \u00NN in JSON, so that nothing a peer sends can forge a line or drive a terminal.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <inttypes.h>

/* Octets of the character at @at that may be written as they are; 0 when it must be escaped. */
static size_t
clean_length(const char *at, size_t left)
{
	unsigned char c = (unsigned char) at[0];
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f ? 1 : 0;
	if (n > left || !ph_slice_is_utf8(PH_SLICE(at, n)))
		return 0;
	if (c == 0xc2 && (unsigned char) at[1] < 0xa0)
		return 0; /* C1 */
	/* line and paragraph separators end a line for some readers */
	if (c == 0xe2 && (unsigned char) at[1] == 0x80 && ((unsigned char) at[2] & 0xfe) == 0xa8)
		return 0;
	return n;
}

/* Octets at @at that are printable ASCII and none of @special: most of what is ever written. */
static size_t
plain_length(const char *at, size_t left, const char *special)
{
	char one = special[0];
	char two = one != '\0' ? special[1] : '\0';
	char three = two != '\0' ? special[2] : '\0';
	size_t n = 0;

	while (n < left && at[n] >= 0x20 && at[n] < 0x7f && at[n] != one && at[n] != two
	       && at[n] != three)
		n++;
	return n;
}

/* @special: at most three characters that get a backslash. */
static void
append_escaped(GString *out, PhSlice value, const char *special, const char *prefix)
{
	size_t n = MIN(value.length, (size_t) PH_LIMIT_LOG_VALUE);

	for (size_t i = 0; i < n;) {
		size_t plain = plain_length(value.data + i, n - i, special);
		size_t clean = 0;

		if (plain > 0) {
			g_string_append_len(out, value.data + i, (gssize) plain);
			i += plain;
			continue;
		}
		clean = clean_length(value.data + i, n - i);
		if (clean == 0) {
			g_string_append_printf(out, "%s%02x", prefix,
			                       (unsigned int) (unsigned char) value.data[i]);
			i++;
			continue;
		}
		if (clean == 1 && strchr(special, value.data[i]) != NULL)
			g_string_append_c(out, '\\');
		g_string_append_len(out, value.data + i, (gssize) clean);
		i += clean;
	}
	if (n < value.length)
		g_string_append(out, "...");
}

static bool
needs_quotes(PhSlice value)
{
	if (value.length == 0)
		return true;
	for (size_t i = 0; i < value.length; i++)
		if (strchr(" \"=\\[]", value.data[i]) != NULL)
			return true;
	return false;
}

static void
append_text_field(GString *out, const char *name, PhSlice value)
{
	bool quotes = needs_quotes(value);

	g_string_append_printf(out, quotes ? " %s=\"" : " %s=", name);
	append_escaped(out, value, "\"\\", "\\x");
	if (quotes)
		g_string_append_c(out, '"');
}

void
ph_log_format_text(const PhLogEvent *event, GString *out)
{
	char when[PH_CLOCK_TEXT];

	ph_clock_text(event->time, when);
	g_string_append_printf(out, "%s %s %s: ", when, ph_log_level_name(event->level),
	                       event->event);
	append_escaped(out, ph_slice(event->sentence), "", "\\x");
	for (size_t i = 0; event->fields[i].name != NULL && i < PH_LIMIT_LOG_FIELDS; i++) {
		const PhLogField *field = &event->fields[i];

		if (field->text == NULL)
			g_string_append_printf(out, " %s=%" PRId64, field->name, field->number);
		else
			append_text_field(out, field->name, PH_SLICE(field->text, field->length));
	}
	if (event->section != NULL)
		append_text_field(out, "section", ph_slice(event->section));
	if (event->session != NULL)
		append_text_field(out, "session", ph_slice(event->session));
	if (event->peer != NULL) {
		g_string_append(out, " [");
		append_escaped(out, ph_slice(event->peer), "[]\\", "\\x");
		g_string_append_c(out, ']');
	}
	g_string_append_c(out, '\n');
}

static void
append_json_field(GString *out, const char *name, PhSlice value)
{
	g_string_append_printf(out, ",\"%s\":\"", name);
	append_escaped(out, value, "\"\\", "\\u00");
	g_string_append_c(out, '"');
}

void
ph_log_format_json(const PhLogEvent *event, GString *out)
{
	char when[PH_CLOCK_TEXT];

	ph_clock_text(event->time, when);
	g_string_append_printf(out, "{\"time\":\"%s\",\"level\":\"%s\"", when,
	                       ph_log_level_name(event->level));
	append_json_field(out, "event", ph_slice(event->event));
	append_json_field(out, "message", ph_slice(event->sentence));
	for (size_t i = 0; event->fields[i].name != NULL && i < PH_LIMIT_LOG_FIELDS; i++) {
		const PhLogField *field = &event->fields[i];

		if (field->text == NULL)
			g_string_append_printf(out, ",\"%s\":%" PRId64, field->name, field->number);
		else
			append_json_field(out, field->name, PH_SLICE(field->text, field->length));
	}
	if (event->section != NULL)
		append_json_field(out, "section", ph_slice(event->section));
	if (event->session != NULL)
		append_json_field(out, "session", ph_slice(event->session));
	if (event->peer != NULL)
		append_json_field(out, "peer", ph_slice(event->peer));
	g_string_append(out, "}\n");
}

/* journald takes upper-case letters, digits and '_' in names. */
static void
append_journal_name(GString *out, const char *name)
{
	for (; *name != '\0'; name++)
		g_string_append_c(out, g_ascii_isalnum(*name) ? g_ascii_toupper(*name) : '_');
	g_string_append_c(out, '=');
}

static void
append_journal_field(GString *out, const char *name, PhSlice value)
{
	append_journal_name(out, name);
	append_escaped(out, value, "", "\\x");
	g_string_append_c(out, '\n');
}

void
ph_log_format_journal(const PhLogEvent *event, GString *out)
{
	g_string_append(out, "MESSAGE=");
	append_escaped(out, ph_slice(event->event), "", "\\x");
	g_string_append(out, ": ");
	append_escaped(out, ph_slice(event->sentence), "", "\\x");
	for (size_t i = 0; event->fields[i].name != NULL && i < PH_LIMIT_LOG_FIELDS; i++) {
		const PhLogField *field = &event->fields[i];

		if (field->text == NULL)
			g_string_append_printf(out, " %s=%" PRId64, field->name, field->number);
		else
			append_text_field(out, field->name, PH_SLICE(field->text, field->length));
	}
	if (event->peer != NULL)
		g_string_append_printf(out, " [%s]", event->peer);
	g_string_append_printf(out, "\nPRIORITY=%u\nSYSLOG_IDENTIFIER=posthorn\n", event->level);
	append_journal_field(out, "event", ph_slice(event->event));
	for (size_t i = 0; event->fields[i].name != NULL && i < PH_LIMIT_LOG_FIELDS; i++) {
		const PhLogField *field = &event->fields[i];

		if (field->text != NULL) {
			append_journal_field(out, field->name,
			                     PH_SLICE(field->text, field->length));
			continue;
		}
		append_journal_name(out, field->name);
		g_string_append_printf(out, "%" PRId64 "\n", field->number);
	}
	if (event->section != NULL)
		append_journal_field(out, "section", ph_slice(event->section));
	if (event->session != NULL)
		append_journal_field(out, "session", ph_slice(event->session));
	if (event->peer != NULL)
		append_journal_field(out, "peer", ph_slice(event->peer));
}

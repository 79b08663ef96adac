/* describe.c: an offer and its options as text, JSON, markdown and man page, from its rows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/describe.h"

#include <posthorn/slice.h>

#include "base/json.h"
#include "config/options.h"

#include <inttypes.h>

/* "duration, default 60s", "integer from 1 to 9, required". Returns: (owned). */
static char *
type_of(const PhOption *row)
{
	GString *out = g_string_new(ph_option_type_name(row->type));

	if (row->type == PH_OPTION_TYPE_INTEGER) {
		g_string_append_printf(out, " from %" PRId64 " to %" PRId64, row->minimum,
		                       row->maximum);
	} else if (row->type == PH_OPTION_TYPE_CHOICE) {
		g_autofree char *words = g_strjoinv(", ", (char **) (uintptr_t) row->choices);

		g_string_append_printf(out, " of %s", words);
	} else if (row->type == PH_OPTION_TYPE_SECTION || row->type == PH_OPTION_TYPE_SECTIONS) {
		g_string_printf(out, "%s%s", ph_kind_name(row->kind),
		                row->type == PH_OPTION_TYPE_SECTIONS ? ", or several" : "");
	}
	if (ph_option_is_required(row))
		g_string_append(out, ", required");
	else if (row->default_text != NULL)
		g_string_append_printf(out, ", default %s", row->default_text);
	return g_string_free(out, FALSE);
}

static bool
is_shown(const PhOption *row)
{
	return (row->flags & (PH_OPTION_IS_ALIAS | PH_OPTION_IS_REMOVED)) == 0;
}

static void
append_rows_text(GString *out, const PhOption *rows)
{
	for (; rows->key != NULL; rows++) {
		g_autofree char *key = ph_option_key(rows);
		g_autofree char *type = type_of(rows);

		if (is_shown(rows))
			g_string_append_printf(out, "  %s\n      %s\n      (%s)\n", key, rows->help,
			                       type);
	}
}

static void
append_row_json(GString *out, const PhOption *row)
{
	g_autofree char *key = ph_option_key(row);
	bool required = ph_option_is_required(row);

	g_string_append_c(out, '{');
	ph_json_member(out, "key", key);
	g_string_append_c(out, ',');
	ph_json_member(out, "type", ph_option_type_name(row->type));
	g_string_append_printf(out, ",\"required\":%s,", required ? "true" : "false");
	ph_json_member(out, "default", required ? NULL : row->default_text);
	if (row->type == PH_OPTION_TYPE_INTEGER)
		g_string_append_printf(out, ",\"minimum\":%" PRId64 ",\"maximum\":%" PRId64,
		                       row->minimum, row->maximum);
	if (row->type == PH_OPTION_TYPE_CHOICE) {
		g_string_append(out, ",\"choices\":[");
		for (size_t i = 0; row->choices[i] != NULL; i++) {
			g_string_append(out, i > 0 ? "," : "");
			ph_json_string(out, ph_slice(row->choices[i]));
		}
		g_string_append_c(out, ']');
	}
	g_string_append_c(out, ',');
	ph_json_member(out, "help", row->help);
	g_string_append_c(out, '}');
}

static void
append_rows_json(GString *out, const PhOption *rows)
{
	const char *separator = "";

	g_string_append_c(out, '[');
	for (; rows->key != NULL; rows++) {
		if (!is_shown(rows))
			continue;
		g_string_append(out, separator);
		append_row_json(out, rows);
		separator = ",";
	}
	g_string_append_c(out, ']');
}

static void
append_cell(GString *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("|*_\\<", *text) != NULL)
			g_string_append_c(out, '\\');
		g_string_append_c(out, *text);
	}
}

static void
append_rows_markdown(GString *out, const PhOption *rows)
{
	g_string_append(out, "| key | value | meaning |\n|---|---|---|\n");
	for (; rows->key != NULL; rows++) {
		g_autofree char *key = ph_option_key(rows);
		g_autofree char *type = type_of(rows);

		if (!is_shown(rows))
			continue;
		g_string_append_printf(out, "| `%s` | ", key);
		append_cell(out, type);
		g_string_append(out, " | ");
		append_cell(out, rows->help);
		g_string_append(out, " |\n");
	}
}

/* roff: a backslash and a leading dot or quote mean something, and '-' is a hyphen. */
static void
append_roff(GString *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		g_string_append(out, "\\&");
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			g_string_append(out, "\\e");
		else if (*text == '-')
			g_string_append(out, "\\-");
		else
			g_string_append_c(out, *text);
	}
}

static void
append_rows_man(GString *out, const PhOption *rows)
{
	for (; rows->key != NULL; rows++) {
		g_autofree char *key = ph_option_key(rows);
		g_autofree char *type = type_of(rows);

		if (!is_shown(rows))
			continue;
		g_string_append(out, ".TP\n.B ");
		append_roff(out, key);
		g_string_append_c(out, '\n');
		append_roff(out, rows->help);
		g_string_append(out, "\n.br\n(");
		append_roff(out, type);
		g_string_append(out, ")\n");
	}
}

typedef void (*RowsFunc)(GString *out, const PhOption *rows);

static const RowsFunc rows_funcs[] = {
	[PH_DESCRIBE_TEXT] = append_rows_text,
	[PH_DESCRIBE_JSON] = append_rows_json,
	[PH_DESCRIBE_MARKDOWN] = append_rows_markdown,
	[PH_DESCRIBE_MAN] = append_rows_man,
};

static const PhSectionKind *
kind_of(const PhOfferInfo *offer)
{
	for (const PhSectionKind *row = ph_section_kinds; row->word != NULL; row++)
		if (row->kind == offer->kind && row->file_kind != NULL)
			return row;
	return ph_section_kinds;
}

static void
append_offer_json(GString *out, const PhOfferInfo *offer, const PhSectionKind *kind)
{
	g_string_append_c(out, '{');
	ph_json_member(out, "kind", ph_kind_name(offer->kind));
	g_string_append_c(out, ',');
	ph_json_member(out, "name", offer->name);
	g_string_append_c(out, ',');
	ph_json_member(out, "plugin", offer->plugin_name);
	g_string_append_c(out, ',');
	ph_json_member(out, "version", offer->version);
	g_string_append_c(out, ',');
	ph_json_member(out, "licence", offer->licence);
	g_string_append_c(out, ',');
	ph_json_member(out, "summary", offer->summary);
	g_string_append(out, ",\"options\":");
	append_rows_json(out, offer->options);
	g_string_append(out, ",\"section-options\":");
	append_rows_json(out, kind->rows);
	g_string_append(out, "}\n");
}

/* The head of an offer's description, up to its own keys; %s: the format's marks. */
static void
append_head(GString *out, const PhOfferInfo *offer, PhDescribeFormat format)
{
	const char *kind = ph_kind_name(offer->kind);

	if (format == PH_DESCRIBE_MARKDOWN) {
		g_string_append_printf(out, "# %s `%s`\n\n", kind, offer->name);
		append_cell(out, offer->summary);
		g_string_append_printf(out, " (version %s, %s).\n\n## Keys\n\n", offer->version,
		                       offer->licence);
	} else if (format == PH_DESCRIBE_MAN) {
		g_string_append_printf(out,
		                       ".TH POSTHORN\\-%s\\-%s 5 \"\" \"posthorn\"\n.SH NAME\n",
		                       kind, offer->name);
		g_string_append_printf(out, "posthorn\\-%s\\-%s \\- ", kind, offer->name);
		append_roff(out, offer->summary);
		g_string_append(out, "\n.SH KEYS\n");
	} else {
		g_string_append_printf(out, "%s %s: %s\nversion %s, %s, %s\n\nKeys:\n", kind,
		                       offer->name, offer->summary, offer->version, offer->licence,
		                       offer->path);
	}
}

static void
append_core_head(GString *out, const char *title, PhDescribeFormat format)
{
	if (format == PH_DESCRIBE_MARKDOWN)
		g_string_append_printf(out, "\n## Keys of every %s\n\n", title);
	else if (format == PH_DESCRIBE_MAN)
		g_string_append_printf(out, ".SH KEYS OF EVERY %s\n", title);
	else
		g_string_append_printf(out, "\nKeys of every %s:\n", title);
}

char *
ph_describe_offer(const PhOfferInfo *offer, PhDescribeFormat format)
{
	const PhSectionKind *kind = kind_of(offer);
	g_autofree char *title = g_strdup_printf("[%s NAME]", kind->word);
	GString *out = g_string_new("");

	if (format == PH_DESCRIBE_JSON) {
		append_offer_json(out, offer, kind);
		return g_string_free(out, FALSE);
	}
	append_head(out, offer, format);
	if (offer->options->key == NULL)
		g_string_append(out, "  none of its own\n");
	else
		rows_funcs[format](out, offer->options);
	append_core_head(out, title, format);
	rows_funcs[format](out, kind->rows);
	return g_string_free(out, FALSE);
}

char *
ph_describe_section(const PhSectionKind *kind, PhDescribeFormat format)
{
	GString *out = g_string_new("");
	const char *name = kind->needs_name ? " NAME" : "";

	if (format == PH_DESCRIBE_JSON) {
		g_string_append_c(out, '{');
		ph_json_member(out, "section", kind->word);
		g_string_append_c(out, ',');
		ph_json_member(out, "help", kind->help);
		g_string_append(out, ",\"options\":");
		append_rows_json(out, kind->rows);
		g_string_append(out, "}\n");
		return g_string_free(out, FALSE);
	}
	if (format == PH_DESCRIBE_MARKDOWN)
		g_string_append_printf(out, "## `[%s%s]`: %s\n\n", kind->word, name, kind->help);
	else if (format == PH_DESCRIBE_MAN)
		g_string_append_printf(out, ".SS [%s%s]: %s\n", kind->word, name, kind->help);
	else
		g_string_append_printf(out, "[%s%s]: %s\n", kind->word, name, kind->help);
	rows_funcs[format](out, kind->rows);
	return g_string_free(out, FALSE);
}

/* folder-name.c: where a mailbox lies, and what a folder is called
 *
 * Maildir++: ".A.B" beside the inbox's cur, new and tmp. Hierarchical: "A/B". Components are in
 * modified UTF-7 (RFC 3501 5.1.3) or UTF-8; what a layout cannot hold is written as "\2e", as
 * Dovecot's listescape plugin does.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "maildir.h"

#include <limits.h>
#include <string.h>

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* --- modified UTF-7 ------------------------------------------------------------------------------- */

typedef struct {
	uint32_t bits;
	unsigned n;
} Bits;

static void
put_bits(GString *out, Bits *bits, uint32_t value, unsigned n)
{
	bits->bits = bits->bits << n | value;
	bits->n += n;
	while (bits->n >= 6) {
		bits->n -= 6;
		g_string_append_c(out, base64[bits->bits >> bits->n & 63]);
	}
}

static void
end_bits(GString *out, Bits *bits)
{
	if (bits->n > 0)
		g_string_append_c(out, base64[bits->bits << (6 - bits->n) & 63]);
	g_string_append_c(out, '-');
	*bits = (Bits){ 0, 0 };
}

static void
encode_utf7(GString *out, const char *text)
{
	Bits bits = { 0, 0 };
	bool shifted = false;

	for (const char *at = text; *at != '\0'; at += g_utf8_skip[*(const unsigned char *) at]) {
		gunichar c = g_utf8_get_char(at);
		bool plain = c >= 0x20 && c < 0x7f;

		if (plain && shifted)
			end_bits(out, &bits);
		if (!plain && !shifted)
			g_string_append_c(out, '&');
		shifted = !plain;
		if (plain) {
			g_string_append_c(out, (char) c);
			if (c == '&')
				g_string_append_c(out, '-');
		} else if (c < 0x10000) {
			put_bits(out, &bits, c, 16);
		} else {
			put_bits(out, &bits, 0xd800 + ((c - 0x10000) >> 10), 16);
			put_bits(out, &bits, 0xdc00 + ((c - 0x10000) & 0x3ff), 16);
		}
	}
	if (shifted)
		end_bits(out, &bits);
}

typedef struct {
	GString *out;
	uint32_t bits;
	unsigned n;
	uint32_t high; /* a surrogate that waits for its second half */
} Decoder;

static bool
take_unit(Decoder *decoder, uint32_t unit)
{
	bool is_low = unit >= 0xdc00 && unit < 0xe000;

	if ((decoder->high != 0) != is_low)
		return false;
	if (unit >= 0xd800 && unit < 0xdc00) {
		decoder->high = unit;
		return true;
	}
	if (is_low)
		unit = 0x10000 + ((decoder->high - 0xd800) << 10) + (unit - 0xdc00);
	decoder->high = 0;
	g_string_append_unichar(decoder->out, unit);
	return unit != 0;
}

/* What stands between '&' and '-'. Returns: where it ends; NULL: malformed. */
static const char *
decode_shifted(GString *out, const char *at)
{
	Decoder decoder = { .out = out };

	for (; *at != '-'; at++) {
		const char *found = *at != '\0' ? strchr(base64, *at) : NULL;

		if (found == NULL)
			return NULL;
		decoder.bits = decoder.bits << 6 | (uint32_t) (found - base64);
		decoder.n += 6;
		if (decoder.n < 16)
			continue;
		decoder.n -= 16;
		if (!take_unit(&decoder, decoder.bits >> decoder.n & 0xffff))
			return NULL;
	}
	return decoder.high == 0 ? at : NULL;
}

static char *
decode_utf7(const char *text)
{
	g_autoptr(GString) out = g_string_new("");

	for (const char *at = text; *at != '\0'; at++) {
		if ((unsigned char) *at >= 0x80)
			return NULL;
		if (*at != '&') {
			g_string_append_c(out, *at);
		} else if (at[1] == '-') {
			g_string_append_c(out, '&');
			at++;
		} else {
			at = decode_shifted(out, at + 1);
			if (at == NULL)
				return NULL;
		}
	}
	return g_strdup(out->str);
}

/* --- escapes -------------------------------------------------------------------------------------- */

static bool
is_escape(const char *at)
{
	return at[0] == '\\' && g_ascii_isxdigit(at[1]) && g_ascii_isxdigit(at[2]);
}

/* Would a folder of this name be taken for something else? */
static bool
is_reserved(const char *component)
{
	static const char *const names[] = { "cur",      "new",           "tmp",
		                             "posthorn", "subscriptions", "maildirfolder" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (g_str_equal(component, names[i]))
			return true;
	return g_str_has_prefix(component, "dovecot");
}

static void
append_component(GString *out, const Settings *settings, const char *component)
{
	g_autoptr(GString) encoded = g_string_new("");
	bool is_flat = settings->layout == LAYOUT_MAILDIRPP;

	if (settings->names == NAMES_UTF7)
		encode_utf7(encoded, component);
	else
		g_string_append(encoded, component);
	for (const char *at = encoded->str; *at != '\0'; at++) {
		bool first = at == encoded->str;
		bool escape = is_escape(at) || (*at == '.' && (is_flat || first))
		              || (first && !is_flat && is_reserved(encoded->str));

		if (escape)
			g_string_append_printf(out, "\\%02x", (unsigned char) *at);
		else
			g_string_append_c(out, *at);
	}
}

static char *
read_component(const Settings *settings, const char *text)
{
	g_autoptr(GString) plain = g_string_new("");
	g_autofree char *decoded = NULL;

	for (const char *at = text; *at != '\0'; at++) {
		if (is_escape(at)) {
			g_string_append_c(plain, (char) (g_ascii_xdigit_value(at[1]) * 16
			                                 + g_ascii_xdigit_value(at[2])));
			at += 2;
		} else {
			g_string_append_c(plain, *at);
		}
	}
	decoded = settings->names == NAMES_UTF7 ? decode_utf7(plain->str) : NULL;
	return decoded != NULL ? g_steal_pointer(&decoded) : g_strdup(plain->str);
}

/* --- names and paths ----------------------------------------------------------------------------- */

static bool
has_long_component(const char *path)
{
	g_auto(GStrv) components = g_strsplit(path, "/", -1);

	for (size_t i = 0; components[i] != NULL; i++)
		if (strlen(components[i]) > NAME_MAX)
			return true;
	return strlen(path) > PATH_MAX / 2;
}

char *
folder_path(const Settings *settings, const char *name, GError **error)
{
	g_auto(GStrv) components = g_strsplit(name, "/", -1);
	g_autoptr(GString) path = g_string_new("");

	if (g_str_equal(name, "INBOX"))
		return g_strdup("");
	for (size_t i = 0; components[i] != NULL; i++) {
		if (components[i][0] == '\0' || g_str_equal(components[i], ".")
		    || g_str_equal(components[i], "..")) {
			ph_error_set(error, PH_ERROR_INVALID, "a mailbox cannot have this name");
			return NULL;
		}
		if (settings->layout == LAYOUT_MAILDIRPP)
			g_string_append_c(path, '.');
		else if (i > 0)
			g_string_append_c(path, '/');
		append_component(path, settings, components[i]);
	}
	if (!has_long_component(path->str))
		return g_strdup(path->str);
	ph_error_set(error, PH_ERROR_LIMIT, "the mailbox name is too long for a folder's");
	return NULL;
}

/* Must pass the core's rules: it never sees a name that it would refuse. */
static bool
is_good_name(const char *name)
{
	g_auto(GStrv) components = g_strsplit(name, "/", -1);

	if (!ph_slice_is_utf8(ph_slice(name)) || strlen(name) > 1000 || name[0] == '~'
	    || g_ascii_strcasecmp(name, "INBOX") == 0)
		return false;
	for (const char *at = name; *at != '\0'; at++)
		if ((unsigned char) *at < 0x20 || *at == 0x7f)
			return false;
	for (size_t i = 0; components[i] != NULL; i++)
		if (components[i][0] == '\0' || g_str_equal(components[i], ".")
		    || g_str_equal(components[i], "..") || i >= 200)
			return false;
	return true;
}

char *
folder_name(const Settings *settings, const char *path)
{
	bool is_flat = settings->layout == LAYOUT_MAILDIRPP;
	g_autoptr(GString) name = g_string_new("");
	g_auto(GStrv) components = NULL;

	if (path[0] == '\0')
		return g_strdup("INBOX");
	components = g_strsplit(is_flat ? path + 1 : path, is_flat ? "." : "/", -1);
	for (size_t i = 0; components[i] != NULL; i++) {
		g_autofree char *component = read_component(settings, components[i]);

		if (strchr(component, '/') != NULL)
			return NULL;
		if (i > 0)
			g_string_append_c(name, '/');
		g_string_append(name, component);
	}
	return is_good_name(name->str) ? g_strdup(name->str) : NULL;
}

/* prepare.c: user names and passwords as they are compared
 *
 * ASCII, which is nearly all there is, passes without a copy of its own form. RFC 4013 (SASLprep)
 * for the rest: non-ASCII spaces become spaces, what is not seen (soft hyphens, joiners, variation
 * selectors) is left out, the result is in normal form KC, control and unassigned characters are
 * refused. There is no rule about directions, as in RFC 8265 section 4.2.2 (OpaqueString): an address
 * has a part in one script and a domain in another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/prepare.h"

#include <posthorn/slice.h>

static bool
has_ascii_control(PhSlice text)
{
	for (size_t i = 0; i < text.length; i++)
		if ((unsigned char) text.data[i] < ' ' || text.data[i] == '\x7f')
			return true;
	return false;
}

/* RFC 3454 table C.1.2. */
static bool
is_other_space(gunichar c)
{
	return g_unichar_type(c) == G_UNICODE_SPACE_SEPARATOR || c == 0x200b;
}

/* RFC 3454 table B.1: commonly mapped to nothing. */
static bool
is_nothing(gunichar c)
{
	return c == 0xad || c == 0x34f || c == 0x1806 || (c >= 0x180b && c <= 0x180d) || c == 0x200c
	       || c == 0x200d || c == 0x2060 || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff;
}

/* Returns: (owned) valid UTF-8 with both mapped. */
static GString *
map_characters(PhSlice text)
{
	GString *mapped = g_string_sized_new(text.length);
	size_t at = 0;

	while (at < text.length) {
		gunichar c = g_utf8_get_char(text.data + at);

		at += (size_t) g_unichar_to_utf8(c, NULL);

		if (is_other_space(c))
			g_string_append_c(mapped, ' ');
		else if (!is_nothing(c))
			g_string_append_unichar(mapped, c);
	}
	return mapped;
}

static bool
is_allowed(gunichar c)
{
	/* RFC 3454 tables C.6 and C.7. */
	if (c == 0xfffc || c == 0xfffd || (c >= 0x2ff0 && c <= 0x2ffb))
		return false;
	switch ((int) g_unichar_type(c)) {
	case G_UNICODE_CONTROL:
	case G_UNICODE_FORMAT:
	case G_UNICODE_UNASSIGNED:
	case G_UNICODE_PRIVATE_USE:
	case G_UNICODE_SURROGATE:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
		return false;
	default:
		return true;
	}
}

/* Normal form KC of valid UTF-8, or NULL when it holds what RFC 4013 section 2.3 prohibits. */
static char *
normalise(PhSlice text)
{
	GString *mapped = map_characters(text);
	g_autofree char *normal =
		g_utf8_normalize(mapped->str, (gssize) mapped->len, G_NORMALIZE_NFKC);

	ph_secret_wipe(mapped->str, mapped->allocated_len);
	(void) g_string_free(mapped, TRUE);
	if (normal == NULL || normal[0] == '\0')
		return NULL;

	for (char *p = normal; *p != '\0'; p = g_utf8_next_char(p))
		if (!is_allowed(g_utf8_get_char(p)))
			return NULL;
	return g_steal_pointer(&normal);
}

char *
ph_prepare_name(PhSlice name)
{
	if (name.length == 0 || name.length > PH_MAX_LOGIN_NAME || has_ascii_control(name))
		return NULL;
	if (ph_slice_is_ascii(name))
		return ph_slice_dup(name);
	if (!ph_slice_is_utf8(name))
		return NULL;

	g_autofree char *normal = normalise(name);
	if (normal == NULL || strlen(normal) > PH_MAX_LOGIN_NAME)
		return NULL;
	return g_steal_pointer(&normal);
}

PhSecret *
ph_prepare_secret(PhSlice secret)
{
	if (secret.length == 0 || secret.length > PH_MAX_LOGIN_SECRET
	    || memchr(secret.data, '\0', secret.length) != NULL)
		return NULL;
	if (ph_slice_is_ascii(secret) || !ph_slice_is_utf8(secret))
		return ph_secret_new(secret);

	char *normal = normalise(secret);
	PhSlice prepared = normal != NULL ? ph_slice(normal) : secret;
	PhSecret *result = ph_secret_new(prepared);
	if (normal != NULL)
		ph_secret_wipe(normal, strlen(normal));
	g_free(normal);
	return result;
}

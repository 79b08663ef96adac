/* prepare.c: user names and passwords as they are compared
 *
 * ASCII, which is nearly all there is, passes without a copy of its own form. RFC 4013 (SASLprep)
 * for the rest: non-ASCII spaces become spaces, the result is in normal form KC, control and
 * unassigned characters are refused.
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

static bool
is_allowed(gunichar c)
{
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
	g_autofree char *normal =
		g_utf8_normalize(text.data, (gssize) text.length, G_NORMALIZE_NFKC);
	if (normal == NULL)
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

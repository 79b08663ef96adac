/* message.c: what clients send: OAUTHBEARER (RFC 7628) and XOAUTH2
 *
 *	OAUTHBEARER: gs2-header ^A *(key "=" value ^A) ^A      gs2-header = "n,a=" saslname ","
 *	XOAUTH2:     "user=" name ^A "auth=Bearer " token ^A ^A
 *
 * In a saslname "=2C" stands for a comma and "=3D" for "=". There is no channel binding: RFC 7628
 * section 3.1 leaves it to another mechanism, so "p=" is refused.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message.h"

static const char separator = '\001';

/* RFC 6750 section 2.1: b64token. */
static bool
is_token(PhSlice token)
{
	for (size_t i = 0; i < token.length; i++)
		if (!g_ascii_isalnum(token.data[i]) && strchr("-._~+/=", token.data[i]) == NULL)
			return false;
	return token.length > 0 && token.length <= OAUTH_TOKEN_MAX;
}

static bool
take_auth(PhSlice value, OauthMessage *out)
{
	static const char scheme[] = "Bearer ";

	if (out->token.length > 0 || !ph_slice_starts_nocase(value, scheme))
		return false;
	out->token = ph_slice_trim(ph_slice_from(value, strlen(scheme)));
	return is_token(out->token);
}

static bool
is_key(PhSlice key)
{
	for (size_t i = 0; i < key.length; i++)
		if (!g_ascii_isalpha(key.data[i]))
			return false;
	return key.length > 0;
}

/* Pairs up to an empty one, which must be the end. */
static bool
take_pairs(PhSlice rest, OauthMessage *out)
{
	while (rest.length > 0) {
		if (ph_slice_find(rest, separator) < 0)
			return false;
		PhSlice value = ph_slice_split(&rest, separator);
		if (value.length == 0)
			return rest.length == 0 && out->token.length > 0;

		bool has_value = ph_slice_find(value, '=') >= 0;
		PhSlice key = ph_slice_split(&value, '=');
		if (!has_value || !is_key(key))
			return false;
		if (ph_slice_is_nocase(key, "auth") && !take_auth(value, out))
			return false;
	}
	return false;
}

/* Returns: (owned) NULL when it is empty, too long, or has a stray '='. */
static char *
decode_name(PhSlice text)
{
	g_autoptr(GString) name = g_string_new(NULL);

	if (text.length == 0 || text.length > OAUTH_NAME_MAX || !ph_slice_is_utf8(text))
		return NULL;
	while (text.length > 0) {
		size_t taken = 1;

		if (text.data[0] != '=') {
			g_string_append_c(name, text.data[0]);
		} else if (ph_slice_starts_nocase(text, "=2c")) {
			g_string_append_c(name, ',');
			taken = 3;
		} else if (ph_slice_starts_nocase(text, "=3d")) {
			g_string_append_c(name, '=');
			taken = 3;
		} else {
			return NULL;
		}
		text = ph_slice_from(text, taken);
	}
	return g_string_free(g_steal_pointer(&name), FALSE);
}

static bool
is_sound(PhSlice message, OauthMessage *out)
{
	*out = (OauthMessage){ .user = NULL };
	return message.length <= OAUTH_MESSAGE_MAX && ph_slice_find(message, '\0') < 0;
}

bool
oauthbearer_parse(PhSlice message, OauthMessage *out)
{
	PhSlice rest = message;
	if (!is_sound(message, out) || ph_slice_find(rest, separator) < 0)
		return false;

	PhSlice header = ph_slice_split(&rest, separator);
	PhSlice flag = ph_slice_split(&header, ',');
	if (!ph_slice_is(flag, "n") && !ph_slice_is(flag, "y"))
		return false;
	if (header.length == 0 || header.data[header.length - 1] != ',')
		return false;
	header.length--;
	if (header.length == 0)
		out->user = g_strdup("");
	else if (ph_slice_starts_nocase(header, "a=") && ph_slice_find(header, ',') < 0)
		out->user = decode_name(ph_slice_from(header, 2));
	return out->user != NULL && take_pairs(rest, out);
}

bool
xoauth2_parse(PhSlice message, OauthMessage *out)
{
	static const char key[] = "user=";
	PhSlice rest = message;
	if (!is_sound(message, out) || !ph_slice_starts_nocase(message, key)
	    || ph_slice_find(rest, separator) < 0)
		return false;

	PhSlice name = ph_slice_from(ph_slice_split(&rest, separator), strlen(key));
	if (name.length > OAUTH_NAME_MAX || !ph_slice_is_utf8(name))
		return false;
	out->user = ph_slice_dup(name);
	return take_pairs(rest, out);
}

void
oauth_message_clear(OauthMessage *message)
{
	g_clear_pointer(&message->user, g_free);
}

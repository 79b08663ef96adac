/* message.c: the messages of SCRAM as they stand on the wire
 *
 * RFC 5802 section 7:
 *
 *	gs2-header = ("p=" cb-name / "n" / "y") "," ["a=" saslname] ","
 *	client-first-message = gs2-header ["m=" ... ","] "n=" saslname "," "r=" nonce ["," extensions]
 *	client-final-message = "c=" base64 "," "r=" nonce ["," extensions] "," "p=" base64
 *
 * In names "=2C" stands for a comma and "=3D" for "="; any other "=" is a mistake.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message.h"

#include <posthorn/header.h>
#include <posthorn/secret.h>

/* --- pieces --- */

/* Cuts "x=value," or, at the end, "x=value"; false when something else stands there. */
static bool
take_attribute(PhSlice *rest, char name, PhSlice *value_out)
{
	if (rest->length < 2 || rest->data[0] != name || rest->data[1] != '=')
		return false;
	*rest = ph_slice_from(*rest, 2);
	*value_out = ph_slice_split(rest, ',');
	return true;
}

/* Returns: (owned) NULL when it is empty, too long, or has a stray '='. */
static char *
decode_name(PhSlice text)
{
	if (text.length == 0 || text.length > SCRAM_NAME_MAX || !ph_slice_is_utf8(text))
		return NULL;

	g_autoptr(GString) name = g_string_sized_new(text.length);
	for (size_t i = 0; i < text.length; i++) {
		PhSlice at = ph_slice_from(text, i);

		if (text.data[i] != '=') {
			g_string_append_c(name, text.data[i]);
			continue;
		}
		if (at.length < 3 || at.data[1] < '2' || at.data[1] > '3')
			return NULL;
		if (at.data[1] == '2' && (at.data[2] == 'C' || at.data[2] == 'c'))
			g_string_append_c(name, ',');
		else if (at.data[1] == '3' && (at.data[2] == 'D' || at.data[2] == 'd'))
			g_string_append_c(name, '=');
		else
			return NULL;
		i += 2;
	}
	return g_string_free(g_steal_pointer(&name), FALSE);
}

static bool
is_nonce(PhSlice nonce, size_t longest)
{
	for (size_t i = 0; i < nonce.length; i++)
		if (nonce.data[i] < '!' || nonce.data[i] > '~' || nonce.data[i] == ',')
			return false;
	return nonce.length > 0 && nonce.length <= longest;
}

static bool
is_binding_name(PhSlice name)
{
	for (size_t i = 0; i < name.length; i++)
		if (!g_ascii_isalnum(name.data[i]) && name.data[i] != '.' && name.data[i] != '-')
			return false;
	return name.length > 0 && name.length <= 64;
}

/* Returns: (owned) NULL when it is no base64 or empty. */
static GString *
decode_base64(PhSlice text)
{
	GString *octets = g_string_sized_new(text.length + 1);

	if (text.length > 0 && ph_base64_decode(text, octets))
		return octets;
	g_string_free(octets, TRUE);
	return NULL;
}

static void
clear_octets(GString **octets)
{
	if (*octets == NULL)
		return;
	ph_secret_wipe((*octets)->str, (*octets)->allocated_len);
	g_string_free(g_steal_pointer(octets), TRUE);
}

/* --- the client's first message --- */

static bool
take_flag(PhSlice *rest, ScramFirst *first)
{
	PhSlice word = ph_slice_split(rest, ',');

	if (word.length == 1 && (word.data[0] == 'n' || word.data[0] == 'y')) {
		first->flag = word.data[0];
		return true;
	}
	if (word.length < 2 || word.data[0] != 'p' || word.data[1] != '=')
		return false;
	first->flag = 'p';
	first->binding_name = ph_slice_from(word, 2);
	return is_binding_name(first->binding_name);
}

static bool
take_header(PhSlice message, ScramFirst *first)
{
	PhSlice rest = message;
	PhSlice name = PH_SLICE_EMPTY;

	if (!take_flag(&rest, first) || rest.length == 0)
		return false;
	if (rest.data[0] == ',') {
		rest = ph_slice_from(rest, 1);
		first->authzid = g_strdup("");
	} else {
		first->authzid = take_attribute(&rest, 'a', &name) ? decode_name(name) : NULL;
	}
	if (first->authzid == NULL || rest.length == 0)
		return false;
	first->header = PH_SLICE(message.data, message.length - rest.length);
	first->bare = rest;
	return true;
}

bool
scram_first_parse(PhSlice message, ScramFirst *first)
{
	PhSlice name = PH_SLICE_EMPTY;

	*first = (ScramFirst){ .flag = '\0' };
	if (message.length > SCRAM_MESSAGE_MAX || ph_slice_find(message, '\0') >= 0
	    || !take_header(message, first))
		return false;

	PhSlice rest = first->bare;
	if (!take_attribute(&rest, 'n', &name) || !take_attribute(&rest, 'r', &first->nonce)
	    || !is_nonce(first->nonce, SCRAM_NONCE_MAX))
		return false;
	first->user = decode_name(name);
	return first->user != NULL;
}

void
scram_first_clear(ScramFirst *first)
{
	g_clear_pointer(&first->authzid, g_free);
	g_clear_pointer(&first->user, g_free);
}

/* --- the client's final message --- */

/* Where the last ",p=" stands; -1 when nowhere. */
static ssize_t
find_proof(PhSlice message)
{
	for (size_t i = message.length; i >= 3; i--)
		if (memcmp(message.data + i - 3, ",p=", 3) == 0)
			return (ssize_t) (i - 3);
	return -1;
}

bool
scram_final_parse(PhSlice message, ScramFinal *final)
{
	PhSlice binding = PH_SLICE_EMPTY;

	*final = (ScramFinal){ .binding = NULL };
	ssize_t at = message.length <= SCRAM_MESSAGE_MAX && ph_slice_find(message, '\0') < 0
	                     ? find_proof(message)
	                     : -1;
	if (at < 0)
		return false;
	final->without_proof = PH_SLICE(message.data, (size_t) at);

	PhSlice rest = final->without_proof;
	if (!take_attribute(&rest, 'c', &binding) || !take_attribute(&rest, 'r', &final->nonce)
	    || !is_nonce(final->nonce, 2 * SCRAM_NONCE_MAX))
		return false;
	final->binding = decode_base64(binding);
	final->proof = decode_base64(ph_slice_from(message, (size_t) at + 3));
	return final->binding != NULL && final->proof != NULL;
}

void
scram_final_clear(ScramFinal *final)
{
	clear_octets(&final->binding);
	clear_octets(&final->proof);
}

/* --- what directories keep --- */

bool
scram_stored_parse(PhSlice text, size_t key_length, ScramStored *stored)
{
	enum {
		MOST_ITERATIONS = 10000000,
		LONGEST_SALT = 256,
	};

	PhSlice rest = text;
	*stored = (ScramStored){ .iterations = 0 };
	if (!ph_slice_to_u32(ph_slice_split(&rest, ','), MOST_ITERATIONS, &stored->iterations)
	    || stored->iterations == 0)
		return false;
	stored->salt = decode_base64(ph_slice_split(&rest, ','));
	stored->stored_key = decode_base64(ph_slice_split(&rest, ','));
	stored->server_key = decode_base64(rest);
	return stored->salt != NULL && stored->salt->len <= LONGEST_SALT
	       && stored->stored_key != NULL && stored->stored_key->len == key_length
	       && stored->server_key != NULL && stored->server_key->len == key_length;
}

void
scram_stored_clear(ScramStored *stored)
{
	clear_octets(&stored->salt);
	clear_octets(&stored->stored_key);
	clear_octets(&stored->server_key);
}

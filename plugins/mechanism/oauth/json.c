/* json.c: JSON of strangers: bounded in size and depth
 *
 * json-glib goes down once for each bracket, so brackets are counted first; and a string of its ends
 * at an escaped NUL, so there must be none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "json.h"

#include <posthorn/header.h>
#include <posthorn/slice.h>

#include <math.h>

static bool
is_sound(PhSlice text)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (ph_slice_starts_nocase(ph_slice_from(text, i), "\\u0000"))
			return false;
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > JSON_DEPTH_MAX)
			return false;
	}
	return true;
}

JsonObject *
json_object_parse(PhSlice text)
{
	if (text.length == 0 || text.length > JSON_TEXT_MAX || !ph_slice_is_utf8(text)
	    || !is_sound(text))
		return NULL;

	g_autoptr(JsonParser) parser = json_parser_new();
	if (!json_parser_load_from_data(parser, text.data, (gssize) text.length, NULL))
		return NULL;
	JsonNode *root = json_parser_get_root(parser);
	if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root))
		return NULL;
	return json_object_ref(json_node_get_object(root));
}

const char *
json_text(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);
	const char *text = NULL;

	if (node == NULL || !JSON_NODE_HOLDS_VALUE(node)
	    || json_node_get_value_type(node) != G_TYPE_STRING)
		return NULL;
	text = json_node_get_string(node);
	return text != NULL && text[0] != '\0' ? text : NULL;
}

bool
json_number(JsonObject *object, const char *name, int64_t *value_out)
{
	const double largest = 1e15;
	JsonNode *node = json_object_get_member(object, name);
	double value = 0;

	if (node == NULL || !JSON_NODE_HOLDS_VALUE(node)
	    || (json_node_get_value_type(node) != G_TYPE_INT64
	        && json_node_get_value_type(node) != G_TYPE_DOUBLE))
		return false;
	value = json_node_get_double(node);
	if (!isfinite(value) || fabs(value) > largest)
		return false;
	*value_out = (int64_t) floor(value);
	return true;
}

JsonArray *
json_array(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

const char *
json_array_text(JsonArray *array, unsigned index)
{
	JsonNode *node = json_array_get_element(array, index);

	if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
		return NULL;
	return json_node_get_string(node);
}

GByteArray *
base64url_decode(PhSlice text)
{
	g_autoptr(GString) plain = g_string_sized_new(text.length + 4);
	g_autoptr(GString) octets = g_string_sized_new(text.length);
	GByteArray *out = NULL;

	if (text.length == 0 || text.length % 4 == 1)
		return NULL;
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (!g_ascii_isalnum(c) && c != '-' && c != '_')
			return NULL;
		g_string_append_c(plain, c == '-' ? '+' : c == '_' ? '/' : c);
	}
	while (plain->len % 4 != 0)
		g_string_append_c(plain, '=');
	if (!ph_base64_decode(PH_SLICE(plain->str, plain->len), octets))
		return NULL;
	out = g_byte_array_sized_new((guint) octets->len);
	g_byte_array_append(out, (const guint8 *) octets->str, (guint) octets->len);
	return out;
}

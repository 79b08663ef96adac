/* user-json.c: a user from a JSON object, as programs and web services answer
 *
 * What answers may be broken or hostile: size and depth are bounded before the parser sees it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

#include "base/json.h"

#include <json-glib/json-glib.h>

enum {
	MAX_OCTETS = 65536,
	MAX_DEPTH = 16,
};

/* Brackets outside of texts, at most MAX_DEPTH open at once. */
static bool
is_shallow(PhSlice text)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			depth++;
		else if (!quoted && depth > 0 && (c == '}' || c == ']'))
			depth--;
		if (depth > MAX_DEPTH)
			return false;
	}
	return true;
}

static bool
set_value(PhUser *user, const char *field, JsonNode *node, GError **error)
{
	g_autofree char *number = NULL;
	GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;

	if (type == G_TYPE_STRING)
		return ph_user_set(user, field, json_node_get_string(node), error);
	if (type == G_TYPE_BOOLEAN)
		return ph_user_set(user, field, json_node_get_boolean(node) ? "yes" : "no", error);
	if (type != G_TYPE_INT64)
		return true;
	number = g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
	return ph_user_set(user, field, number, error);
}

static bool
set_member(PhUser *user, const char *field, JsonNode *node, GError **error)
{
	JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
	guint n = array != NULL ? json_array_get_length(array) : 0;

	for (guint i = 0; i < n; i++)
		if (!set_value(user, field, json_array_get_element(array, i), error))
			return false;
	return array != NULL || set_value(user, field, node, error);
}

bool
ph_user_set_json(PhUser *user, PhSlice text, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new_immutable();
	JsonNode *root = NULL;
	JsonObjectIter iter;
	const char *field = NULL;
	JsonNode *node = NULL;

	if (text.length == 0 || text.length > MAX_OCTETS || !is_shallow(text)
	    || !json_parser_load_from_data(parser, text.data, (gssize) text.length, NULL)) {
		ph_error_set(error, PH_ERROR_INVALID, "the answer is no JSON object of 64 KiB");
		return false;
	}
	root = json_parser_get_root(parser);
	if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
		ph_error_set(error, PH_ERROR_INVALID, "the answer is no JSON object");
		return false;
	}
	json_object_iter_init(&iter, json_node_get_object(root));
	while (json_object_iter_next(&iter, &field, &node))
		if (!set_member(user, field, node, error))
			return false;
	return true;
}

/* --- questions and answers ------------------------------------------------------------------------ */

GString *
ph_user_question_json(const PhUser *user, const char *ask, const char *name, PhSlice value)
{
	/* room for all, so that growing leaves no copy of a password behind */
	const size_t head = 4096;
	const size_t most = 6; /* octets of one in JSON */
	GString *out = g_string_sized_new(head + most * value.length);

	g_string_append_c(out, '{');
	ph_json_member(out, "ask", ask);
	g_string_append_c(out, ',');
	ph_json_member(out, "user", ph_user_asked_address(user));
	g_string_append_c(out, ',');
	ph_json_member(out, "local", ph_user_asked_local(user));
	g_string_append_c(out, ',');
	ph_json_member(out, "domain", ph_user_asked_domain(user));
	if (name != NULL) {
		g_string_append_printf(out, ",\"%s\":", name);
		ph_json_string(out, value);
	}
	g_string_append_c(out, '}');
	return out;
}

void
ph_user_question_free(GString *question)
{
	if (question == NULL)
		return;
	ph_secret_wipe(question->str, question->allocated_len);
	(void) g_string_free(question, TRUE);
}

PhVerify
ph_user_answer_json(PhUser *user, PhSlice text, GError **error)
{
	static const struct {
		const char *word;
		PhVerify result;
	} results[] = {
		{ "ok", PH_VERIFY_OK },
		{ "wrong", PH_VERIFY_WRONG },
		{ "unknown", PH_VERIFY_UNKNOWN_USER },
		{ "disabled", PH_VERIFY_DISABLED },
	};

	const char *word = NULL;
	const char *reason = NULL;

	if (!ph_user_set_json(user, text, error))
		return PH_VERIFY_ERROR;
	word = ph_user_get(user, "result");
	for (size_t i = 0; word != NULL && i < G_N_ELEMENTS(results); i++)
		if (strcmp(word, results[i].word) == 0)
			return results[i].result;
	reason = ph_user_get(user, "error");
	ph_error_set(error, PH_ERROR_TEMPORARY, "it says: %.200s",
	             reason != NULL ? reason : "no result that is known");
	return PH_VERIFY_ERROR;
}

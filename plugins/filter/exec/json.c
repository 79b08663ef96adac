/* json.c: questions and answers of the exec filter as lines of JSON
 *
 * What is not UTF-8 is shown with U+FFFD in its place; the whole message goes as base64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "json.h"

#include <posthorn/error.h>
#include <posthorn/header.h>

#include <json-glib/json-glib.h>
#include <string.h>

enum {
	DEPTH_MAX = 8
};

struct Answer {
	JsonNode *root;
	PhVerdict verdict;
};

typedef struct {
	const char *word;
	uint32_t value;
} Word;

static const Word stages[] = {
	{ "connect", PH_STAGE_CONNECT }, { "helo", PH_STAGE_HELO },
	{ "sender", PH_STAGE_SENDER },   { "recipient", PH_STAGE_RECIPIENT },
	{ "data", PH_STAGE_DATA },       { "message", PH_STAGE_MESSAGE },
	{ "header", PH_STAGE_HEADER },   { "delivery", PH_STAGE_DELIVERY },
};

static const Word verdicts[] = {
	{ "none", PH_VERDICT_NONE },       { "accept", PH_VERDICT_ACCEPT },
	{ "reject", PH_VERDICT_REJECT },   { "temporary", PH_VERDICT_TEMPORARY },
	{ "discard", PH_VERDICT_DISCARD }, { "quarantine", PH_VERDICT_QUARANTINE },
	{ "drop", PH_VERDICT_DROP },       { "redirect", PH_VERDICT_REDIRECT },
};

const char *
json_stage(uint32_t stage)
{
	for (size_t i = 0; i < G_N_ELEMENTS(stages); i++)
		if (stages[i].value == stage)
			return stages[i].word;
	return NULL;
}

uint32_t
json_stage_find(const char *word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(stages); i++)
		if (strcmp(stages[i].word, word) == 0)
			return stages[i].value;
	return 0;
}

/* --- the question ----------------------------------------------------------------------------- */

static void
add_text(JsonObject *object, const char *name, PhSlice value)
{
	g_autofree char *text = NULL;

	if (value.data == NULL)
		return;
	text = g_utf8_make_valid(value.data, (gssize) value.length);
	json_object_set_string_member(object, name, text);
}

static void
add_fact(JsonObject *object, const char *name, const PhMail *mail, const char *fact)
{
	const char *value = ph_mail_fact(mail, fact);

	if (value != NULL)
		add_text(object, name, ph_slice(value));
}

static void
add_recipients(JsonObject *object, const PhFilterQuestion *question)
{
	const PhMail *mail = question->mail;
	JsonArray *array = json_array_new();

	for (size_t i = 0; i < ph_mail_n_recipients(mail); i++)
		if ((ph_mail_recipient_flags(mail, i) & PH_RECIPIENT_REMOVED) == 0)
			json_array_add_string_element(array, ph_mail_recipient(mail, i));
	json_object_set_array_member(object, "recipients", array);
	if (question->stage == PH_STAGE_RECIPIENT)
		json_object_set_string_member(object, "recipient",
		                              ph_mail_recipient(mail, question->recipient));
}

static bool
add_header(JsonObject *object, PhMail *mail, GError **error)
{
	JsonArray *fields = NULL;
	PhHeaderField field;
	PhSlice rest;
	size_t offset = 0;

	if (!ph_mail_header(mail, &rest, error))
		return false;
	fields = json_array_new();
	while (ph_header_next(&rest, &offset, &field)) {
		JsonArray *pair = json_array_new();
		g_autofree char *name = g_utf8_make_valid(
			field.name.data != NULL ? field.name.data : "", (gssize) field.name.length);
		g_autofree char *value =
			g_utf8_make_valid(field.value.data, (gssize) field.value.length);

		json_array_add_string_element(pair, name);
		json_array_add_string_element(pair, value);
		json_array_add_array_element(fields, pair);
	}
	json_object_set_array_member(object, "header", fields);
	return true;
}

static bool
add_whole(JsonObject *object, const PhMail *mail, GError **error)
{
	g_autoptr(PhContent) message = ph_mail_message(mail);
	size_t length = (size_t) ph_content_length(message);
	g_autofree char *octets = g_malloc(length + 1);
	g_autofree char *text = NULL;
	ssize_t n = ph_content_read(message, 0, octets, length, error);

	if (n < 0)
		return false;
	text = g_base64_encode((const guchar *) octets, (gsize) n);
	json_object_set_string_member(object, "message", text);
	return true;
}

static bool
add_content(JsonObject *object,
            const PhFilterQuestion *question,
            Show show,
            uint64_t most,
            GError **error)
{
	PhMail *mail = question->mail;
	uint32_t stage = question->stage;
	const PhContent *content = ph_mail_content(mail);

	if (content == NULL)
		return stage != PH_STAGE_HEADER || show == SHOW_NOTHING
		       || add_header(object, mail, error);
	json_object_set_int_member(object, "size", (gint64) ph_content_length(content));
	if (show == SHOW_NOTHING)
		return true;
	if (!add_header(object, mail, error))
		return false;
	return show != SHOW_WHOLE || ph_content_length(content) > most
	       || add_whole(object, mail, error);
}

static void
add_envelope(JsonObject *object, const PhFilterQuestion *question)
{
	const PhMail *mail = question->mail;
	const PhIdentity *user = ph_mail_user(mail);

	json_object_set_string_member(object, "id", ph_mail_id(mail));
	add_fact(object, "client", mail, "client-address");
	add_fact(object, "port", mail, "client-port");
	add_fact(object, "name", mail, "client-name");
	add_fact(object, "local", mail, "local-address");
	add_fact(object, "helo", mail, "helo");
	add_fact(object, "tls", mail, "tls");
	add_fact(object, "listener", mail, "listener");
	if (user != NULL)
		json_object_set_string_member(object, "user", ph_identity_address(user));
	if (question->stage == PH_STAGE_CONNECT || question->stage == PH_STAGE_HELO)
		return;
	add_text(object, "sender", ph_slice(ph_mail_sender(mail)));
	add_recipients(object, question);
}

char *
json_question(const PhFilterQuestion *question, Show show, uint64_t most, GError **error)
{
	g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
	g_autoptr(JsonObject) object = json_object_new();

	json_node_set_object(root, object);
	json_object_set_string_member(object, "ask", json_stage(question->stage));
	add_envelope(object, question);
	if (!add_content(object, question, show, most, error))
		return NULL;
	return json_to_string(root, FALSE);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool
complain(GError **error, const char *what)
{
	ph_error_set(error, PH_ERROR_INVALID, "the answer %s", what);
	return false;
}

/* A member that must be of that type when it is there. */
static bool
find(JsonObject *object, const char *name, GType type, JsonNode **node_out)
{
	*node_out = json_object_get_member(object, name);
	return *node_out == NULL
	       || (JSON_NODE_HOLDS_VALUE(*node_out) && json_node_get_value_type(*node_out) == type);
}

static bool
take_text(JsonObject *object, const char *name, char *out, size_t size, GError **error)
{
	JsonNode *node = NULL;

	if (!find(object, name, G_TYPE_STRING, &node))
		return complain(error, "has a member of another type than text");
	if (node != NULL)
		g_strlcpy(out, json_node_get_string(node), size);
	return true;
}

static bool
take_result(JsonObject *object, PhVerdict *verdict, GError **error)
{
	char word[16] = "none";

	if (!take_text(object, "verdict", word, sizeof word, error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(verdicts); i++)
		if (strcmp(verdicts[i].word, word) == 0) {
			verdict->result = verdicts[i].value;
			return true;
		}
	return complain(error, "has an unknown verdict");
}

static bool
take_numbers(JsonObject *object, PhVerdict *verdict, GError **error)
{
	const gint64 code_max = 599;
	const double longest_s = 3600;
	JsonNode *node = NULL;
	double seconds = 0;

	if (!find(object, "code", G_TYPE_INT64, &node))
		return complain(error, "has a code that is no number");
	if (node != NULL && (json_node_get_int(node) < 400 || json_node_get_int(node) > code_max))
		return complain(error, "has a code that is not from 400 to 599");
	if (node != NULL)
		verdict->smtp_code = (uint32_t) json_node_get_int(node);
	node = json_object_get_member(object, "delay");
	if (node == NULL)
		return true;
	seconds = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_double(node) : -1;
	if (!(seconds >= 0 && seconds <= longest_s))
		return complain(error, "has a delay that is not from 0 to 3600 seconds");
	verdict->delay.us = (uint64_t) (seconds * G_USEC_PER_SEC);
	return true;
}

static bool
take_verdict(JsonObject *object, PhVerdict *verdict, GError **error)
{
	return take_result(object, verdict, error) && take_numbers(object, verdict, error)
	       && take_text(object, "status", verdict->status, sizeof verdict->status, error)
	       && take_text(object, "text", verdict->text, sizeof verdict->text, error)
	       && (verdict->result != PH_VERDICT_REDIRECT
	           || take_text(object, "to", verdict->text, sizeof verdict->text, error));
}

/* The parser calls itself for each bracket: what is deeper than any answer is not given to it. */
static bool
is_shallow(PhSlice line)
{
	bool in_text = false;
	unsigned depth = 0;

	for (size_t i = 0; i < line.length; i++) {
		char c = line.data[i];

		if (c == '\\' && in_text)
			i++;
		else if (c == '"')
			in_text = !in_text;
		else if (!in_text && (c == '[' || c == '{') && ++depth > DEPTH_MAX)
			return false;
		else if (!in_text && (c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return true;
}

Answer *
json_answer(PhSlice line, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autoptr(GError) why = NULL;
	JsonNode *root = NULL;
	JsonNode *edits = NULL;
	Answer *answer = NULL;

	if (!is_shallow(line) || !ph_slice_is_utf8(line)
	    || !json_parser_load_from_data(parser, line.data, (gssize) line.length, &why)) {
		complain(error, "is no JSON");
		return NULL;
	}
	root = json_parser_get_root(parser);
	if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
		complain(error, "is no JSON object");
		return NULL;
	}
	edits = json_object_get_member(json_node_get_object(root), "edits");
	if (edits != NULL && !JSON_NODE_HOLDS_ARRAY(edits)) {
		complain(error, "has edits that are no array");
		return NULL;
	}
	answer = g_new0(Answer, 1);
	answer->root = json_node_copy(root);
	if (take_verdict(json_node_get_object(root), &answer->verdict, error))
		return answer;
	json_answer_free(answer);
	return NULL;
}

void
json_answer_free(Answer *answer)
{
	if (answer == NULL)
		return;
	json_node_free(answer->root);
	g_free(answer);
}

const PhVerdict *
json_answer_verdict(const Answer *answer)
{
	return &answer->verdict;
}

/* --- edits ------------------------------------------------------------------------------------ */

/* Edit: ["add-header", "X-Seen", "yes"] */
typedef struct {
	const char *name;
	const char *form; /* of what follows: s text, i number */
	bool (*apply)(PhMail *mail, JsonArray *words, GError **error);
} Edit;

static PhSlice
text_at(JsonArray *words, guint index)
{
	return ph_slice(json_array_get_string_element(words, index));
}

static bool
edit_add_header(PhMail *mail, JsonArray *words, GError **error)
{
	return ph_mail_header_add(mail, json_array_get_string_element(words, 1), text_at(words, 2),
	                          error);
}

static bool
edit_insert_header(PhMail *mail, JsonArray *words, GError **error)
{
	gint64 index = CLAMP(json_array_get_int_element(words, 1), 0, G_MAXINT32);

	return ph_mail_header_insert(mail, (size_t) index, json_array_get_string_element(words, 2),
	                             text_at(words, 3), error);
}

static uint32_t
nth_at(JsonArray *words, guint index)
{
	return (uint32_t) CLAMP(json_array_get_int_element(words, index), 1, G_MAXINT32);
}

static bool
edit_replace_header(PhMail *mail, JsonArray *words, GError **error)
{
	return ph_mail_header_replace(mail, json_array_get_string_element(words, 1),
	                              nth_at(words, 2), text_at(words, 3), error);
}

static bool
edit_delete_header(PhMail *mail, JsonArray *words, GError **error)
{
	return ph_mail_header_delete(mail, json_array_get_string_element(words, 1),
	                             nth_at(words, 2), error);
}

static bool
edit_add_recipient(PhMail *mail, JsonArray *words, GError **error)
{
	if (ph_mail_add_recipient(mail, text_at(words, 1)) == PH_RCPT_OK)
		return true;
	return complain(error, "adds a recipient that no mail is taken for");
}

static bool
edit_remove_recipient(PhMail *mail, JsonArray *words, GError **error)
{
	ssize_t index = ph_mail_find_recipient(mail, text_at(words, 1));

	if (index >= 0)
		ph_mail_remove_recipient(mail, (size_t) index);
	return true;
}

static bool
edit_sender(PhMail *mail, JsonArray *words, GError **error)
{
	ph_mail_set_sender(mail, text_at(words, 1));
	return true;
}

/* Base64: a body may be any octets. */
static bool
edit_body(PhMail *mail, JsonArray *words, GError **error)
{
	g_autoptr(GString) octets = g_string_new(NULL);
	g_autoptr(PhContent) body = NULL;

	if (!ph_base64_decode(text_at(words, 1), octets))
		return complain(error, "has a body that is no base64");
	body = ph_content_new_copy(PH_SLICE(octets->str, octets->len));
	return ph_mail_replace_body(mail, body, error);
}

static const Edit edits[] = {
	{ "add-header", "ss", edit_add_header },
	{ "insert-header", "iss", edit_insert_header },
	{ "replace-header", "sis", edit_replace_header },
	{ "delete-header", "si", edit_delete_header },
	{ "add-recipient", "s", edit_add_recipient },
	{ "remove-recipient", "s", edit_remove_recipient },
	{ "sender", "s", edit_sender },
	{ "body", "s", edit_body },
};

static bool
has_form(JsonArray *words, const char *form)
{
	if (json_array_get_length(words) != strlen(form) + 1)
		return false;
	for (guint i = 0; form[i] != '\0'; i++) {
		JsonNode *node = json_array_get_element(words, i + 1);
		GType wanted = form[i] == 's' ? G_TYPE_STRING : G_TYPE_INT64;

		if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != wanted)
			return false;
	}
	return true;
}

static bool
apply_one(PhMail *mail, JsonNode *node, GError **error)
{
	JsonArray *words = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
	JsonNode *first = NULL;

	if (words == NULL || json_array_get_length(words) == 0)
		return complain(error, "has an edit that is no array");
	first = json_array_get_element(words, 0);
	if (!JSON_NODE_HOLDS_VALUE(first) || json_node_get_value_type(first) != G_TYPE_STRING)
		return complain(error, "has an edit without a name");
	for (size_t i = 0; i < G_N_ELEMENTS(edits); i++)
		if (strcmp(edits[i].name, json_node_get_string(first)) == 0)
			return has_form(words, edits[i].form) ? edits[i].apply(mail, words, error)
			                                      : complain(error, "has an edit that "
			                                                        "lacks words");
	return complain(error, "has an unknown edit");
}

bool
json_answer_apply(const Answer *answer, PhMail *mail, GError **error)
{
	JsonNode *node = json_object_get_member(json_node_get_object(answer->root), "edits");
	JsonArray *array = node != NULL ? json_node_get_array(node) : NULL;

	for (guint i = 0; array != NULL && i < json_array_get_length(array); i++)
		if (!apply_one(mail, json_array_get_element(array, i), error))
			return false;
	return true;
}

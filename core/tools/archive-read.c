/* archive-read.c: an account as a file: what is read, every octet of it in doubt
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "tools/archive.h"
#include "tools/tar.h"

#include <json-glib/json-glib.h>
#include <string.h>

enum {
	JSON_MAX = 16 * 1024 * 1024,
	JSON_DEPTH = 8,
	WORD_MAX = 255, /* octets of a keyword */
	WORDS_MAX = 64, /* keywords of a message */
	VALUE_MAX = 65536,
	KEY_MAX = 1024,
	PIECE = 65536
};

/* Reading: one archive. */
typedef struct {
	PhTarReader tar;
	const PhArchiveEvents *events;
	uint64_t largest;
	JsonNode *piece; /* (nullable) the present messages-N.json */
	JsonArray *records;
	guint next; /* of the records */
	uint32_t mailbox;
	bool has_begun;
} Reading;

static bool
refuse(const Reading *reading, GError **error, const char *sentence)
{
	ph_error_set(error, PH_ERROR_INVALID, "archive, entry '%s': %s", reading->tar.name,
	             sentence);
	return false;
}

/* --- JSON ------------------------------------------------------------------------------------------- */

/* How deep arrays and objects are nested, without a parser that trusts its stack. */
static bool
is_shallow(const GString *text)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < text->len; i++) {
		char c = text->str[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']'))
			depth--;
		if (depth > JSON_DEPTH)
			return false;
	}
	return true;
}

/* The present entry. Returns: (owned) an object's node. */
static JsonNode *
read_json(Reading *reading, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *buffer = g_malloc(PIECE);
	JsonNode *node = NULL;
	ssize_t n = 0;

	if (reading->tar.size > JSON_MAX) {
		(void) refuse(reading, error, "larger than such an entry may be");
		return NULL;
	}
	while ((n = ph_tar_read(&reading->tar, buffer, PIECE, error)) > 0)
		g_string_append_len(text, buffer, n);
	if (n < 0)
		return NULL;
	if (is_shallow(text) && g_utf8_validate(text->str, (gssize) text->len, NULL))
		node = json_from_string(text->str, NULL);
	if (node != NULL && JSON_NODE_HOLDS_OBJECT(node))
		return node;
	if (node != NULL)
		json_node_unref(node);
	(void) refuse(reading, error, "not the JSON that it should be");
	return NULL;
}

static int64_t
number_of(JsonObject *object, const char *name, int64_t low, int64_t high)
{
	JsonNode *node = json_object_get_member(object, name);
	int64_t number = node != NULL && json_node_get_value_type(node) == G_TYPE_INT64
	                         ? json_node_get_int(node)
	                         : low;

	return CLAMP(number, low, high);
}

static const char *
text_of(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node != NULL && json_node_get_value_type(node) == G_TYPE_STRING
	               ? json_node_get_string(node)
	               : NULL;
}

static JsonArray *
array_of(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

static const char *
word_at(JsonArray *array, guint index)
{
	JsonNode *node = json_array_get_element(array, index);

	return json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

static uint32_t
bits_of(JsonObject *object, const char *name, const char *const *words, size_t n_words)
{
	JsonArray *array = array_of(object, name);
	guint n = array != NULL ? MIN(json_array_get_length(array), WORDS_MAX) : 0;
	uint32_t bits = 0;

	for (guint i = 0; i < n; i++)
		for (size_t j = 0; j < n_words; j++)
			if (g_strcmp0(word_at(array, i), words[j]) == 0)
				bits |= 1U << j;
	return bits;
}

static bool
hex_of(JsonObject *object, const char *name, uint8_t *octets, size_t length)
{
	const char *text = text_of(object, name);

	if (text == NULL || strlen(text) != 2 * length)
		return false;
	for (size_t i = 0; i < length; i++) {
		int high = g_ascii_xdigit_value(text[2 * i]);
		int low = g_ascii_xdigit_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		octets[i] = (uint8_t) (high << 4 | low);
	}
	return true;
}

static GHashTable *
values_of(JsonObject *object)
{
	GHashTable *values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
	                                           (GDestroyNotify) g_bytes_unref);
	JsonNode *node = json_object_get_member(object, "values");
	JsonObjectIter iter;
	const char *key = NULL;
	JsonNode *member = NULL;

	if (node == NULL || !JSON_NODE_HOLDS_OBJECT(node))
		return values;
	json_object_iter_init(&iter, json_node_get_object(node));
	while (json_object_iter_next(&iter, &key, &member)) {
		gsize length = 0;
		guchar *data = NULL;

		if (json_node_get_value_type(member) != G_TYPE_STRING || strlen(key) > KEY_MAX
		    || strlen(json_node_get_string(member)) > 2 * (size_t) VALUE_MAX)
			continue;
		data = g_base64_decode(json_node_get_string(member), &length);
		if (length > 0 && length <= VALUE_MAX)
			(void) g_hash_table_insert(values, g_strdup(key),
			                           g_bytes_new(data, length));
		g_free(data);
	}
	return values;
}

/* --- entries ----------------------------------------------------------------------------------------- */

static bool
take_head(Reading *reading, GError **error)
{
	g_autoptr(JsonNode) node = read_json(reading, error);
	g_autoptr(GHashTable) values = NULL;
	JsonObject *object = NULL;
	const char *id = NULL;

	if (node == NULL)
		return false;
	object = json_node_get_object(node);
	id = text_of(object, "id");
	if (reading->has_begun || g_strcmp0(text_of(object, "format"), "posthorn-archive") != 0)
		return refuse(reading, error, "this is no archive of mail");
	if (number_of(object, "version", 0, INT64_MAX) != 1)
		return refuse(reading, error, "an archive of a later version");
	if (id == NULL || strlen(id) > WORD_MAX || id[0] == '\0')
		return refuse(reading, error, "the archive has no id");
	values = values_of(object);
	reading->has_begun = true;
	return reading->events->begin(id, values, reading->events->user_data, error);
}

static bool
take_mailbox(Reading *reading, GError **error)
{
	static const char *const uses[] = { "\\All",  "\\Archive", "\\Drafts", "\\Flagged",
		                            "\\Junk", "\\Sent",    "\\Trash" };
	g_autoptr(JsonNode) node = read_json(reading, error);
	PhArchiveMailbox mailbox = { .name = NULL };
	JsonObject *object = NULL;
	bool good = false;

	if (node == NULL)
		return false;
	object = json_node_get_object(node);
	if (reading->records != NULL && reading->next < json_array_get_length(reading->records))
		return refuse(reading, error, "messages are missing before it");
	if (text_of(object, "name") == NULL)
		return refuse(reading, error, "the mailbox has no name");
	mailbox.name = g_strdup(text_of(object, "name"));
	mailbox.uidvalidity = (uint32_t) number_of(object, "uidvalidity", 0, UINT32_MAX);
	mailbox.uidnext = (uint32_t) number_of(object, "uidnext", 0, UINT32_MAX - 1);
	mailbox.change = (uint64_t) number_of(object, "change", 0, INT64_MAX / 2);
	mailbox.special_use = bits_of(object, "special_use", uses, G_N_ELEMENTS(uses));
	mailbox.has_id = hex_of(object, "id", mailbox.id.octets, sizeof mailbox.id.octets);
	mailbox.values = values_of(object);
	reading->mailbox++;
	good = reading->events->mailbox(&mailbox, reading->events->user_data, error);
	ph_archive_mailbox_clear(&mailbox);
	return good;
}

static bool
take_piece(Reading *reading, GError **error)
{
	JsonNode *node = read_json(reading, error);

	if (node == NULL)
		return false;
	if (reading->records != NULL && reading->next < json_array_get_length(reading->records)) {
		json_node_unref(node);
		return refuse(reading, error, "messages are missing before it");
	}
	g_clear_pointer(&reading->piece, json_node_unref);
	reading->piece = node;
	reading->records = array_of(json_node_get_object(node), "messages");
	reading->next = 0;
	return reading->records != NULL || refuse(reading, error, "it lists no messages");
}

/* The record of the next message. @keywords: (owned by the caller) room for WORDS_MAX + 1. */
static bool
next_record(Reading *reading, PhRecord *record, const char **keywords, GError **error)
{
	static const char *const flags[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
		                             "\\Draft" };
	JsonNode *node = NULL;
	JsonObject *object = NULL;
	JsonArray *words = NULL;
	guint n = 0;

	if (reading->records == NULL || reading->next >= json_array_get_length(reading->records))
		return refuse(reading, error, "no record stands for it");
	node = json_array_get_element(reading->records, reading->next++);
	if (!JSON_NODE_HOLDS_OBJECT(node))
		return refuse(reading, error, "its record is no object");
	object = json_node_get_object(node);
	words = array_of(object, "keywords");
	for (guint i = 0; words != NULL && i < json_array_get_length(words) && n < WORDS_MAX; i++) {
		const char *word = word_at(words, i);

		if (word != NULL && word[0] != '\0' && strlen(word) <= WORD_MAX)
			keywords[n++] = word;
	}
	*record = (PhRecord){
		.uid = (uint32_t) number_of(object, "uid", 0, UINT32_MAX - 1),
		.change = (uint64_t) number_of(object, "change", 0, INT64_MAX / 2),
		.flags = bits_of(object, "flags", flags, G_N_ELEMENTS(flags)),
		.internal_date = number_of(object, "internal_date", INT64_MIN, INT64_MAX),
		.internal_zone = (int32_t) number_of(object, "zone", -1440, 1440),
		.save_date = number_of(object, "save_date", INT64_MIN, INT64_MAX),
		.octets = reading->tar.size,
		.keywords = keywords,
	};
	(void) hex_of(object, "message_id", record->message_id, sizeof record->message_id);
	return true;
}

static PhContent *
read_content(Reading *reading, GError **error)
{
	g_autoptr(PhSpool) spool = ph_spool_new();
	g_autofree char *buffer = g_malloc(PIECE);
	ssize_t n = 0;

	while ((n = ph_tar_read(&reading->tar, buffer, PIECE, error)) > 0)
		if (!ph_spool_write(spool, PH_SLICE(buffer, (size_t) n), error))
			return NULL;
	return n < 0 ? NULL : ph_spool_finish(g_steal_pointer(&spool), error);
}

static bool
take_message(Reading *reading, GError **error)
{
	const char *keywords[WORDS_MAX + 1] = { NULL };
	const PhArchiveEvents *events = reading->events;
	g_autoptr(PhContent) content = NULL;
	PhRecord record;

	if (!next_record(reading, &record, keywords, error))
		return false;
	if (reading->tar.size > reading->largest || reading->tar.size == 0)
		return refuse(reading, error, "empty, or larger than a message may be");
	if (events->wanted != NULL && !events->wanted(&record, events->user_data))
		return true;
	content = read_content(reading, error);
	return content != NULL && events->message(&record, content, events->user_data, error);
}

static bool
take_entry(Reading *reading, GError **error)
{
	const char *name = reading->tar.name;

	if (g_str_equal(name, "posthorn.json"))
		return take_head(reading, error);
	if (!reading->has_begun)
		return refuse(reading, error, "this is no archive of mail");
	if (g_str_has_suffix(name, "/mailbox.json"))
		return take_mailbox(reading, error);
	if (reading->mailbox == 0)
		return refuse(reading, error, "no mailbox stands before it");
	if (g_str_has_suffix(name, ".json"))
		return take_piece(reading, error);
	return take_message(reading, error);
}

bool
ph_archive_read(int fd, uint64_t largest, const PhArchiveEvents *events, GError **error)
{
	Reading reading = { .tar = { .fd = fd }, .events = events, .largest = largest };
	bool found = true;
	bool good = true;

	while (good && found) {
		good = ph_tar_next(&reading.tar, &found, error);
		if (good && found)
			good = take_entry(&reading, error);
	}
	if (good && !reading.has_begun)
		good = refuse(&reading, error, "this is no archive of mail");
	if (good && reading.records != NULL
	    && reading.next < json_array_get_length(reading.records))
		good = refuse(&reading, error, "the last messages are missing");
	g_clear_pointer(&reading.piece, json_node_unref);
	return good;
}

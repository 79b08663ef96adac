/* json.h: JSON of strangers: bounded in size and depth
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_JSON_H
#define OAUTH_JSON_H

#include <posthorn/types.h>

#include <json-glib/json-glib.h>

enum {
	JSON_TEXT_MAX = 1 << 20,
	JSON_DEPTH_MAX = 16,
};

/* json_object_parse: (owned) the object that is the whole of @text; NULL when it is none, is no
 * UTF-8, or is too large or too deep. Pure. */
JsonObject *json_object_parse(PhSlice text);

/* json_text: (borrowed, nullable) a member that is a string, not empty. json_number: a member that is a
 * number, rounded down; false when there is none or it is no date in seconds. */
const char *json_text(JsonObject *object, const char *name);
bool json_number(JsonObject *object, const char *name, int64_t *value_out);

/* json_array: (borrowed, nullable) a member that is an array. */
JsonArray *json_array(JsonObject *object, const char *name);

/* json_array_text: (borrowed, nullable) an element that is a string. */
const char *json_array_text(JsonArray *array, unsigned index);

/* base64url_decode: (owned) strict, without padding (RFC 7515 section 2); NULL when it is not that. */
GByteArray *base64url_decode(PhSlice text);

#endif

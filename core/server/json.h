/* json.h: writes JSON, one call a token; commas come by themselves
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_JSON_H
#define PH_SERVER_JSON_H

#include <posthorn/types.h>

/* ph_json_open, _close: '{' or '['. @key: (nullable) inside an object. */
void ph_json_open(GString *out, const char *key, char bracket);
void ph_json_close(GString *out, char bracket);

/* Members of an object (@key given) or elements of an array (@key NULL). Text that is not UTF-8 is
 * written with replacement characters. */
void ph_json_text(GString *out, const char *key, const char *text);
void ph_json_number(GString *out, const char *key, int64_t number);
void ph_json_boolean(GString *out, const char *key, bool value);

/* ph_json_lookup: the text of a member of a flat object of texts without escapes, as the control
 * socket is asked with. Returns: (owned) NULL when it is not there. */
char *ph_json_lookup(PhSlice object, const char *key);

#endif

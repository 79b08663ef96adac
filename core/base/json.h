/* json.h: text as a JSON string
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_JSON_H
#define POSTHORN_BASE_JSON_H

#include <posthorn/types.h>

/* ph_json_string: appends @text with quotes; octets that are not UTF-8 become U+FFFD. */
void ph_json_string(GString *out, PhSlice text);

/* ph_json_member: appends `"name":"text"`, or `"name":null` for NULL. */
void ph_json_member(GString *out, const char *name, const char *text);

#endif

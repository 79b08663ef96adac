/* expand.h: {data} and {hostname} in values, {user} and its like in templates
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_EXPAND_H
#define POSTHORN_CONFIG_EXPAND_H

#include <posthorn/identity.h>

typedef enum {
	PH_EXPAND_LOOSE = 0,    /* other {words} stay as they are: strings, lists */
	PH_EXPAND_PATH = 1,     /* other {words} are wrong */
	PH_EXPAND_TEMPLATE = 2, /* {user} {domain} {address} {home} stay, others are wrong */
} PhExpandMode;

/* ph_expand_fixed: replaces {data} and {hostname}. Returns: (owned), or NULL with what is wrong
 * appended to @problem; nothing is appended when @data or @hostname is NULL and needed, because that
 * is a mistake of its own. */
char *ph_expand_fixed(const char *text,
                      const char *data,
                      const char *hostname,
                      PhExpandMode mode,
                      GString *problem);

/* ph_expand_component: appends @value as one path component: '/', '%', control characters and a
 * leading dot become %XX; an empty value becomes "%". Different values stay different. */
void ph_expand_component(const char *value, GString *out);

/* ph_expand_template: fills in one identity's values; see ph_section_expand() in plugin.h. */
char *ph_expand_template(const char *path_template, const PhIdentity *identity);

#endif

/* options.h: the text of one value to the member of a settings struct, one parser a type
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_OPTIONS_H
#define POSTHORN_CONFIG_OPTIONS_H

#include <posthorn/options.h>

/* PhOptionContext: what values may refer to. Borrowed. */
typedef struct {
	const char *folder;   /* of the config file, absolute: for relative paths */
	const char *data;     /* (nullable) */
	const char *hostname; /* (nullable) */
	/* resolve: a section by name; NULL with what is wrong appended to @problem. */
	PhSection *(*resolve)(void *user_data, uint32_t kind, const char *name, GString *problem);
	void *user_data;
} PhOptionContext;

/* ph_option_parse: @member: points into a zeroed settings struct. Returns: false with what is wrong
 * appended to @problem, as the end of a sentence that begins with the key: "must be ..."; nothing when
 * it is told elsewhere. */
bool ph_option_parse(const PhOption *row,
                     const char *text,
                     const PhOptionContext *context,
                     void *member,
                     GString *problem);

/* ph_option_clear: frees what the member owns. */
void ph_option_clear(const PhOption *row, void *member);

/* ph_option_key: "max-connections" for "max_connections". Returns: (owned). */
char *ph_option_key(const PhOption *row);

/* ph_option_type_name: "duration". */
const char *ph_option_type_name(uint32_t type);

/* ph_option_member_size: what sizeof the member must be; 0 for an unknown type. */
size_t ph_option_member_size(uint32_t type);

/* ph_option_shows: may the value be shown, in status and errors? Not that of a secret. */
bool ph_option_shows(const PhOption *row);

/* ph_size_format, ph_duration_format: as they would be written in a file: "50M", "10min". Returns:
 * (owned). */
char *ph_size_format(uint64_t octets);
char *ph_duration_format(uint64_t us);

/* ph_size_parse, ph_duration_parse: false when malformed or too large. */
bool ph_size_parse(PhSlice text, uint64_t *octets_out);
bool ph_duration_parse(PhSlice text, uint64_t *us_out);

#endif

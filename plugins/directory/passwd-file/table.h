/* table.h: the users of one passwd-style file, parsed, immutable, counted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PASSWD_FILE_TABLE_H
#define PASSWD_FILE_TABLE_H

#include <posthorn/slice.h>

/* User: one line. Strings belong to the table. */
typedef struct {
	const char *name;   /* as written, with "@domain" when the file has it */
	const char *stored; /* password form; "" when the field is empty: nobody can log in */
	const char *full_name;
	const char *home;
	const char *const *groups;  /* (nullable) */
	const char *const *senders; /* (nullable) */
	const char *const *aliases; /* (nullable) */
	uint64_t quota_octets;
	uint64_t quota_messages;
	bool disabled;
} User;

typedef struct Table Table;

/* MistakeFunc: a line that is passed over; @line counts from 1. */
typedef void (*MistakeFunc)(unsigned line, const char *sentence, void *user_data);

/* table_parse: pure. @text: (borrowed). Returns: (owned). */
Table *table_parse(PhSlice text, MistakeFunc mistake, void *user_data);
Table *table_ref(Table *table);
void table_unref(Table *table);

/* table_find: ASCII case does not matter. Borrowed from the table; NULL when not there. */
const User *table_find(const Table *table, PhSlice name);

/* table_gives: has any user a form in that scheme ("PLAIN" is {CLEARTEXT} too)? */
bool table_gives(const Table *table, const char *scheme);

/* table_any: some user (nullable): its hash stands in for that of an unknown one. */
const User *table_any(const Table *table);

/* table_each: in the file's order. False of @func stops. */
void table_each(const Table *table,
                bool (*func)(const User *user, void *user_data),
                void *user_data);

/* line_user: the name that a line of the file is about; empty for comments and blank lines. Pure. */
PhSlice line_user(PhSlice line);

#endif

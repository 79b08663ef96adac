/* command.h: the words of a command, and what a program's end means
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <posthorn/types.h>

/* CommandValues: what stands in the place of {recipient} and so on. Borrowed; none is NULL. */
typedef struct {
	const char *recipient;
	const char *sender;
	const char *user;   /* the local part without the detail */
	const char *detail; /* "" without */
	const char *domain;
	const char *id;
} CommandValues;

/* command_split: the words between blanks. Returns: (owned, g_strfreev) NULL with INVALID when the
 * first one is no absolute path, or one holds an unknown {word}. Pure. */
char **command_split(const char *text, GError **error);

/* command_fill: @words with the values; each stays one word, whatever is in them. Returns: (owned,
 * g_strfreev). Pure. */
char **command_fill(char *const *words, const CommandValues *values);

/* command_judge: the SMTP code and status of an exit status (sysexits.h); 250 for success. @output:
 * (borrowed) what it wrote; when that begins with a status such as 4.2.0 or 5.1.1 that one holds. */
unsigned command_judge(int exit_status, PhSlice output, char status_out[12]);

/* command_text: the first line of what it wrote, printable, at most 200 octets. */
void command_text(PhSlice output, GString *out);

#endif

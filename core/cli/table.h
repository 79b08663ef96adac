/* table.h: the commands of the posthorn program, one row each
 *
 * A command's file defines its row as a constant `ph_command_NAME`; main.c lists them. The help,
 * the shell completion and the man page come from the rows.
 *
 * Exit statuses, the same for all: 0 done; 1 it failed, the reason is on standard error; 2 the
 * command line is wrong; 75 a temporary failure, try again later.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CLI_TABLE_H
#define POSTHORN_CLI_TABLE_H

#include <posthorn/types.h>

enum {
	PH_EXIT_OK = 0,
	PH_EXIT_FAILED = 1,
	PH_EXIT_USAGE = 2,
	PH_EXIT_TEMPORARY = 75,
};

/* PhCommandOption: a row of a command's options; the last has a NULL name. */
typedef struct {
	const char *name;     /* "config": given as --config */
	char letter;          /* 'c': given as -c; 0 for none */
	const char *argument; /* "FILE": takes one; NULL for a switch */
	const char *help;     /* one line */
} PhCommandOption;

/* PhArguments: what was given. Strings are borrowed from argv. */
typedef struct PhArguments PhArguments;

typedef struct {
	const char *name;     /* "check"; two words for "user add" */
	const char *synopsis; /* what follows the options: "NAME", "" for nothing */
	const char *summary;  /* one line */
	const char *details;  /* (nullable) paragraphs for --help and the man page */
	const PhCommandOption *options;
	unsigned int min_rest; /* how many other arguments it takes */
	unsigned int max_rest;
	bool hidden; /* internal: not listed */
	int (*run)(const PhArguments *arguments);
} PhCommand;

/* ph_arguments_has: was the switch given? ph_arguments_get: the option's argument, NULL when it
 * was not given (the last one counts). ph_arguments_rest: the other arguments, NULL behind the
 * last. */
bool ph_arguments_has(const PhArguments *arguments, const char *name);
const char *ph_arguments_get(const PhArguments *arguments, const char *name);
const char *const *ph_arguments_rest(const PhArguments *arguments);

/* ph_arguments_config: --config, or the default path of the installation. */
const char *ph_arguments_config(const PhArguments *arguments);

/* The rows that most commands share. */
#define PH_COMMAND_CONFIG                                       \
	{                                                       \
		"config", 'c', "FILE", "the config file to use" \
	}
#define PH_COMMAND_JSON                         \
	{                                       \
		"json", 'j', NULL, "print JSON" \
	}
#define PH_COMMAND_END              \
	{                           \
		NULL, 0, NULL, NULL \
	}

/* ph_command_main: parses the command line with @commands (NULL behind the last) and runs it. */
int ph_command_main(const PhCommand *const *commands, int argc, char **argv);

/* PhTable: columns of text on a terminal or in a pipe. */
typedef struct PhTable PhTable;

/* ph_table_new: @headings: NULL behind the last; a leading '>' aligns the column to the right. */
PhTable *ph_table_new(const char *const *headings);
void ph_table_row(PhTable *table, const char *const *cells);
void ph_table_print(const PhTable *table);
void ph_table_free(PhTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhTable, ph_table_free)

#endif

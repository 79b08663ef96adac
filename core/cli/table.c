/* table.c: parses a command line by the command's rows; prints help and columns
 *
 * Long options are --name, --name VALUE or --name=VALUE; short ones -x or -x VALUE; "--" ends
 * them. --help works for the program and for every command, --version for the program.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/table.h"

#include "config/suggest.h"

#include <stdio.h>
#include <string.h>

enum {
	OPTIONS_MAX = 32
};

struct PhArguments {
	const PhCommand *command;
	const char *values[OPTIONS_MAX]; /* by row; NULL: not given */
	GPtrArray *rest;
};

static const PhCommandOption no_options[] = { PH_COMMAND_END };

static const PhCommandOption *
rows_of(const PhCommand *command)
{
	return command->options != NULL ? command->options : no_options;
}

static ssize_t
find_option(const PhCommand *command, const char *name)
{
	const PhCommandOption *rows = rows_of(command);

	for (size_t i = 0; rows[i].name != NULL && i < OPTIONS_MAX; i++)
		if (strcmp(rows[i].name, name) == 0)
			return (ssize_t) i;
	return -1;
}

static ssize_t
find_letter(const PhCommand *command, char letter)
{
	const PhCommandOption *rows = rows_of(command);

	for (size_t i = 0; rows[i].name != NULL && i < OPTIONS_MAX; i++)
		if (rows[i].letter == letter)
			return (ssize_t) i;
	return -1;
}

bool
ph_arguments_has(const PhArguments *arguments, const char *name)
{
	return ph_arguments_get(arguments, name) != NULL;
}

const char *
ph_arguments_get(const PhArguments *arguments, const char *name)
{
	ssize_t at = find_option(arguments->command, name);

	g_assert(at >= 0);
	return arguments->values[at];
}

const char *const *
ph_arguments_rest(const PhArguments *arguments)
{
	return (const char *const *) arguments->rest->pdata;
}

const char *
ph_arguments_config(const PhArguments *arguments)
{
	const char *given = ph_arguments_get(arguments, "config");

	return given != NULL ? given : PH_SYSCONF_DIR "/posthorn/posthorn.conf";
}

/* Is "user" the first word of @command's two, "user add"? */
static bool
is_of_group(const PhCommand *command, const char *group)
{
	size_t n = strlen(group);

	return !command->hidden && strncmp(command->name, group, n) == 0 && command->name[n] == ' ';
}

/* @group: (nullable) only commands that begin with this word. Returns: how many. */
static size_t
print_commands(FILE *out, const PhCommand *const *commands, const char *group)
{
	size_t n_printed = 0;
	int width = 0;

	for (size_t i = 0; commands[i] != NULL; i++)
		if (!commands[i]->hidden)
			width = MAX(width, (int) strlen(commands[i]->name));
	for (size_t i = 0; commands[i] != NULL; i++) {
		if (commands[i]->hidden || (group != NULL && !is_of_group(commands[i], group)))
			continue;
		fprintf(out, "  %-*s  %s\n", width, commands[i]->name, commands[i]->summary);
		n_printed++;
	}
	return n_printed;
}

static void
print_program_help(const PhCommand *const *commands)
{
	printf("Usage: posthorn COMMAND [OPTIONS]\n\nCommands:\n");
	(void) print_commands(stdout, commands, NULL);
	printf("\nOptions:\n"
	       "  --help       show this help; `posthorn COMMAND --help` shows a command's\n"
	       "  --version    show the version\n"
	       "\nExit status: 0 done; 1 it failed; 2 the command line is wrong; "
	       "75 try again later.\n");
}

static void
print_command_help(const PhCommand *command)
{
	const PhCommandOption *rows = rows_of(command);

	printf("Usage: posthorn %s [OPTIONS]%s%s\n\n%s.\n", command->name,
	       command->synopsis[0] != '\0' ? " " : "", command->synopsis, command->summary);
	if (command->details != NULL)
		printf("\n%s\n", command->details);
	printf("\nOptions:\n");
	for (size_t i = 0; rows[i].name != NULL; i++) {
		g_autofree char *left = g_strdup_printf(
			"%s--%s%s%s",
			rows[i].letter != 0 ? (char[]){ '-', rows[i].letter, ',', ' ', '\0' }
					    : "    ",
			rows[i].name, rows[i].argument != NULL ? " " : "",
			rows[i].argument != NULL ? rows[i].argument : "");

		printf("  %-24s %s\n", left, rows[i].help);
	}
	printf("  %-24s %s\n", "    --help", "show this help");
}

static int
usage_error(const PhCommand *command, const char *what, const char *word)
{
	fprintf(stderr, "posthorn: %s '%s'\n", what, word);
	fprintf(stderr, "Try 'posthorn %s%s--help'.\n", command != NULL ? command->name : "",
	        command != NULL ? " " : "");
	return PH_EXIT_USAGE;
}

/* Takes the option at argv[*at]. Returns 0, or an exit status. */
static int
take_option(PhArguments *arguments, int argc, char **argv, int *at)
{
	const PhCommand *command = arguments->command;
	const char *word = argv[*at];
	const char *equals = NULL;
	bool is_long = word[1] == '-';
	ssize_t row = -1;

	if (is_long) {
		g_autofree char *name = NULL;

		equals = strchr(word, '=');
		name = equals != NULL ? g_strndup(word + 2, (size_t) (equals - word) - 2)
		                      : g_strdup(word + 2);
		row = find_option(command, name);
	} else if (word[2] == '\0') {
		row = find_letter(command, word[1]);
	}
	if (row < 0)
		return usage_error(command, "unknown option", word);
	if (rows_of(command)[row].argument == NULL) {
		if (equals != NULL)
			return usage_error(command, "this option takes no value:", word);
		arguments->values[row] = "";
		return PH_EXIT_OK;
	}
	if (equals != NULL) {
		arguments->values[row] = equals + 1;
		return PH_EXIT_OK;
	}
	if (*at + 1 >= argc)
		return usage_error(command, "a value is missing after", word);
	arguments->values[row] = argv[++*at];
	return PH_EXIT_OK;
}

static int
run_command(const PhCommand *command, int argc, char **argv)
{
	g_autoptr(GPtrArray) rest = g_ptr_array_new();
	PhArguments arguments = { .command = command, .rest = rest };
	bool options_end = false;

	for (int i = 0; i < argc; i++) {
		bool is_option = !options_end && argv[i][0] == '-' && argv[i][1] != '\0';
		int status = PH_EXIT_OK;

		if (is_option && strcmp(argv[i], "--") == 0) {
			options_end = true;
		} else if (is_option && strcmp(argv[i], "--help") == 0) {
			print_command_help(command);
			return PH_EXIT_OK;
		} else if (is_option) {
			status = take_option(&arguments, argc, argv, &i);
		} else {
			g_ptr_array_add(rest, argv[i]);
		}
		if (status != PH_EXIT_OK)
			return status;
	}
	if (rest->len > command->max_rest)
		return usage_error(command, "too many arguments:", rest->pdata[command->max_rest]);
	if (rest->len < command->min_rest)
		return usage_error(command, "an argument is missing:", command->synopsis);
	g_ptr_array_add(rest, NULL);
	return command->run(&arguments);
}

/* How many words of argv name the command: 0, 1 or 2. */
static int
words_matched(const PhCommand *command, int argc, char **argv)
{
	const char *blank = strchr(command->name, ' ');

	if (blank == NULL)
		return argc >= 1 && strcmp(argv[0], command->name) == 0 ? 1 : 0;
	if (argc < 2 || strncmp(argv[0], command->name, (size_t) (blank - command->name)) != 0
	    || argv[0][blank - command->name] != '\0')
		return 0;
	return strcmp(argv[1], blank + 1) == 0 ? 2 : 0;
}

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* `posthorn user`, `posthorn user --help`, `posthorn user ad`. Returns: -1 when there are no such
 * commands. */
static int
try_group(const PhCommand *const *commands, int argc, char **argv)
{
	bool wants_help = argc > 1 && is_help(argv[1]);
	size_t n_of_group = 0;

	for (size_t i = 0; commands[i] != NULL; i++)
		n_of_group += is_of_group(commands[i], argv[0]) ? 1 : 0;
	if (n_of_group == 0)
		return -1;
	if (!wants_help && argc > 1)
		fprintf(stderr, "posthorn: unknown command '%s %s'; these begin with '%s':\n",
		        argv[0], argv[1], argv[0]);
	else if (!wants_help)
		fprintf(stderr, "posthorn: '%s' is only the first word of a command:\n", argv[0]);
	(void) print_commands(wants_help ? stdout : stderr, commands, argv[0]);
	return wants_help ? PH_EXIT_OK : PH_EXIT_USAGE;
}

static int
tell_unknown(const PhCommand *const *commands, const char *word)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	const char *nearest = NULL;

	for (size_t i = 0; commands[i] != NULL; i++)
		if (!commands[i]->hidden)
			g_ptr_array_add(names, (gpointer) (uintptr_t) commands[i]->name);
	g_ptr_array_add(names, NULL);
	nearest = ph_suggest_nearest(word, (const char *const *) names->pdata);
	if (nearest == NULL)
		return usage_error(NULL, "unknown command", word);
	fprintf(stderr, "posthorn: unknown command '%s'; did you mean '%s'?\n", word, nearest);
	return PH_EXIT_USAGE;
}

int
ph_command_main(const PhCommand *const *commands, int argc, char **argv)
{
	int status = PH_EXIT_USAGE;

	if (argc < 2) {
		print_program_help(commands);
		return PH_EXIT_USAGE;
	}
	if (is_help(argv[1])) {
		print_program_help(commands);
		return PH_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("posthorn " PH_VERSION "\n");
		return PH_EXIT_OK;
	}
	for (size_t i = 0; commands[i] != NULL; i++) {
		int words = words_matched(commands[i], argc - 1, argv + 1);

		if (words > 0)
			return run_command(commands[i], argc - 1 - words, argv + 1 + words);
	}
	status = try_group(commands, argc - 1, argv + 1);
	return status >= 0 ? status : tell_unknown(commands, argv[1]);
}

struct PhTable {
	GPtrArray *rows; /* of GStrv; the first holds the headings */
	size_t n_columns;
};

PhTable *
ph_table_new(const char *const *headings)
{
	PhTable *table = g_new0(PhTable, 1);

	table->rows = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
	while (headings[table->n_columns] != NULL)
		table->n_columns++;
	ph_table_row(table, headings);
	return table;
}

void
ph_table_row(PhTable *table, const char *const *cells)
{
	char **copy = g_new0(char *, table->n_columns + 1);

	for (size_t i = 0; i < table->n_columns; i++)
		copy[i] = g_strdup(cells[i] != NULL ? cells[i] : "");
	g_ptr_array_add(table->rows, copy);
}

static size_t
column_width(const PhTable *table, size_t column)
{
	size_t width = 0;

	for (guint i = 0; i < table->rows->len; i++) {
		const char *cell = ((char **) table->rows->pdata[i])[column];
		size_t n = (size_t) g_utf8_strlen(cell, -1);

		if (i == 0 && cell[0] == '>')
			n--;
		width = MAX(width, n);
	}
	return width;
}

static void
print_cell(const char *cell, size_t width, bool right, bool last)
{
	int pad = (int) (width - MIN(width, (size_t) g_utf8_strlen(cell, -1)));

	if (right)
		printf("%*s%s", pad, "", cell);
	else if (last)
		printf("%s", cell);
	else
		printf("%s%*s", cell, pad, "");
	printf("%s", last ? "\n" : "  ");
}

void
ph_table_print(const PhTable *table)
{
	char **headings = table->rows->pdata[0];

	for (guint i = 0; i < table->rows->len; i++) {
		char **row = table->rows->pdata[i];

		for (size_t c = 0; c < table->n_columns; c++) {
			bool right = headings[c][0] == '>';
			const char *cell = i == 0 && right ? row[c] + 1 : row[c];

			print_cell(cell, column_width(table, c), right, c + 1 == table->n_columns);
		}
	}
}

void
ph_table_free(PhTable *table)
{
	if (table == NULL)
		return;
	g_ptr_array_unref(table->rows);
	g_free(table);
}

/* cmd-describe.c: manual pages and shell completion, written from the tables of rows
 *
 * The build runs it; nobody else needs to. posthorn(1) comes from the commands, posthorn.conf(5)
 * from the sections' option rows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/commands.h"
#include "config/options.h"
#include "config/sections.h"

#include <stdio.h>
#include <string.h>

/* --- troff ---------------------------------------------------------------------------------- */

/* Text for troff: hyphens and backslashes as they are, no line taken for a request. */
static void
print_text(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\\')
			printf("\\e");
		else if (*p == '-')
			printf("\\-");
		else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
			printf("\\&%c", *p);
		else
			printf("%c", *p);
	}
}

static void
print_head(const char *title, const char *section, const char *name, const char *summary)
{
	printf(".TH %s %s \"\" \"posthorn " PH_VERSION "\" \"Posthorn\"\n.SH NAME\n", title,
	       section);
	print_text(name);
	printf(" \\- ");
	print_text(summary);
	printf("\n");
}

static void
print_options(const PhCommandOption *rows)
{
	for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++) {
		printf(".TP\n.B ");
		if (rows[i].letter != 0)
			printf("\\-%c, ", rows[i].letter);
		printf("\\-\\-");
		print_text(rows[i].name);
		if (rows[i].argument != NULL)
			printf(" \\fI%s\\fR", rows[i].argument);
		printf("\n");
		print_text(rows[i].help);
		printf("\n");
	}
}

static void
print_command(const PhCommand *command)
{
	printf(".SS \"posthorn %s [OPTIONS]%s%s\"\n", command->name,
	       command->synopsis[0] != '\0' ? " " : "", command->synopsis);
	print_text(command->summary);
	printf(".\n");
	if (command->details != NULL) {
		printf(".PP\n");
		print_text(command->details);
		printf("\n");
	}
	print_options(command->options);
}

static int
print_program_page(const PhCommand *const *commands)
{
	print_head("POSTHORN", "1", "posthorn", "a mail server put together from plugins");
	printf(".SH SYNOPSIS\n.B posthorn\n.I COMMAND\n[OPTIONS]\n.SH COMMANDS\n");
	for (size_t i = 0; commands[i] != NULL; i++)
		if (!commands[i]->hidden)
			print_command(commands[i]);
	printf(".SH EXIT STATUS\n0 done; 1 it failed, the reason is on standard error; 2 the "
	       "command line is wrong; 75 try again later.\n"
	       ".SH FILES\n.TP\n.I " PH_SYSCONF_DIR "/posthorn/posthorn.conf\n"
	       "The config that is used without \\-\\-config.\n"
	       ".SH SEE ALSO\n.BR posthorn.conf (5)\n");
	return PH_EXIT_OK;
}

static void
print_default(const PhOption *row)
{
	if (ph_option_is_required(row))
		printf(" Required.");
	else if (row->default_text == NULL || row->default_text[0] == '\0')
		return;
	else {
		printf(" Default: ");
		print_text(row->default_text);
		printf(".");
	}
}

static void
print_row(const PhOption *row)
{
	g_autofree char *key = ph_option_key(row);

	if ((row->flags & (PH_OPTION_IS_ALIAS | PH_OPTION_IS_REMOVED)) != 0)
		return;
	printf(".TP\n.B ");
	print_text(key);
	printf(" \\fR= \\fI%s\\fR\n", ph_option_type_name(row->type));
	print_text(row->help);
	printf(".");
	if (row->choices != NULL) {
		g_autofree char *words = g_strjoinv(", ", (char **) (uintptr_t) row->choices);

		printf(" One of: %s.", words);
	}
	print_default(row);
	printf("\n");
}

static int
print_config_page(void)
{
	print_head("POSTHORN.CONF", "5", "posthorn.conf", "the configuration of posthorn(1)");
	printf(".SH DESCRIPTION\nSections are\n.B [kind name]\nand hold lines\n.B key = value\n"
	       "and comments that begin with #. A section's plugin has further keys:\n"
	       ".B posthorn plugin NAME\nlists them.\n.B posthorn check\n"
	       "finds every mistake.\n");
	for (const PhSectionKind *kind = ph_section_kinds; kind->word != NULL; kind++) {
		printf(".SH [%s%s]\n", kind->word, kind->needs_name ? " NAME" : "");
		print_text(kind->help);
		printf(".\n");
		for (const PhOption *row = kind->rows; row->key != NULL; row++)
			print_row(row);
	}
	printf(".SH SEE ALSO\n.BR posthorn (1)\n");
	return PH_EXIT_OK;
}

/* --- completion ----------------------------------------------------------------------------- */

static void
print_words(const PhCommand *command)
{
	const PhCommandOption *rows = command->options;

	printf("\t\"%s\") words=\"--help", command->name);
	for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++)
		printf(" --%s", rows[i].name);
	printf("\" ;;\n");
}

static int
print_completion(const PhCommand *const *commands)
{
	printf("# bash completion for posthorn(1); written by the build\n"
	       "_posthorn() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words\n"
	       "\tif [[ $prev == -c || $prev == --config ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -f -- \"$cur\")); return\n\tfi\n"
	       "\tcase \"${COMP_WORDS[1]}${COMP_WORDS[2]:+ ${COMP_WORDS[2]}}\" in\n");
	for (size_t i = 0; commands[i] != NULL; i++)
		if (!commands[i]->hidden && strchr(commands[i]->name, ' ') != NULL)
			print_words(commands[i]);
	printf("\t*) case \"${COMP_WORDS[1]}\" in\n");
	for (size_t i = 0; commands[i] != NULL; i++)
		if (!commands[i]->hidden && strchr(commands[i]->name, ' ') == NULL)
			print_words(commands[i]);
	printf("\t\"user\") words=\"add remove list\" ;;\n\t*) words=\"--help --version");
	for (size_t i = 0; commands[i] != NULL; i++)
		if (!commands[i]->hidden && strchr(commands[i]->name, ' ') == NULL)
			printf(" %s", commands[i]->name);
	printf(" user\" ;;\n\tesac ;;\n\tesac\n"
	       "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
	       "complete -F _posthorn posthorn\n");
	return PH_EXIT_OK;
}

static int
run(const PhArguments *arguments)
{
	const char *what = ph_arguments_rest(arguments)[0];

	if (strcmp(what, "posthorn.1") == 0)
		return print_program_page(ph_commands);
	if (strcmp(what, "posthorn.conf.5") == 0)
		return print_config_page();
	if (strcmp(what, "bash") == 0)
		return print_completion(ph_commands);
	fprintf(stderr, "posthorn: describe posthorn.1, posthorn.conf.5 or bash\n");
	return PH_EXIT_USAGE;
}

const PhCommand ph_command_describe = {
	.name = "describe",
	.synopsis = "posthorn.1|posthorn.conf.5|bash",
	.summary = "Write a manual page or the shell completion",
	.min_rest = 1,
	.max_rest = 1,
	.hidden = true,
	.run = run,
};

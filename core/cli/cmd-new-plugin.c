/* cmd-new-plugin.c: `posthorn new-plugin KIND NAME`: a folder to begin a plugin in
 *
 * The files are those of an example that is built and tried with this version, with its name
 * replaced. They are installed under share/posthorn/new-plugin.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	NAME_MAX_LENGTH = 32, /* of a plugin's name: plugin.h */
};

/* Kind: what a new plugin of it is made from. */
typedef struct {
	const char *name;
	const char *example;      /* the name that the files have, to be replaced */
	const char *works;        /* what it does before a line is changed */
	const char *const *files; /* NULL behind the last; the source has the plugin's name */
} Kind;

#define FILES(source)                                                                       \
	(const char *const[])                                                               \
	{                                                                                   \
		"README.md", "meson.build", "meson_options.txt", source, "example.conf.in", \
			"test.py", NULL                                                     \
	}

static const char *const store_files[] = {
	"README.md",      "meson.build",  "meson_options.txt",
	"store-memory.c", "test.conf.in", "example.conf.in",
	"users",          NULL,
};

static const Kind kinds[] = {
	{ "directory", "list", "knows the users of its example config", FILES("directory-list.c") },
	{ "filter", "words", "refuses mail by words in its subject", FILES("filter-words.c") },
	{ "mechanism", "token", "takes signed tokens", FILES("mechanism-token.c") },
	{ "protocol", "clock", "tells the time", FILES("protocol-clock.c") },
	{ "store", "memory", "keeps mail in memory", store_files },
	{ "transport", "folder", "makes files of mail", FILES("transport-folder.c") },
};

/* How the example's name is written in its files: a word before it, a mark behind it; %s is the
 * kind. */
static const char *const marks[][2] = {
	{ "%s-", "" },     { "\"", "\"" }, { "plugin = ", "\n" }, { "transport = ", "\n" },
	{ "# %s ", "\n" },
};

static const Kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static bool
is_good_name(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= NAME_MAX_LENGTH && g_ascii_islower(name[0])
	       && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* Every mark with the example's name becomes one with @name. */
static char *
renamed(const char *text, const Kind *kind, const char *name)
{
	g_autoptr(GString) out = g_string_new(text);

	for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
		g_autoptr(GString) before = g_string_new(marks[i][0]);
		g_autofree char *from = NULL;
		g_autofree char *to = NULL;

		(void) g_string_replace(before, "%s", kind->name, 0);
		from = g_strconcat(before->str, kind->example, marks[i][1], NULL);
		to = g_strconcat(before->str, name, marks[i][1], NULL);

		(void) g_string_replace(out, from, to, 0);
	}
	return g_strdup(out->str);
}

/* Where the files of a kind are: beside this program as it was installed, or where it was built to
 * be. Returns: (owned). */
static char *
find_templates(const Kind *kind)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *bin = program != NULL ? g_path_get_dirname(program) : NULL;
	g_autofree char *beside = bin != NULL ? g_build_filename(bin, "..", "share", "posthorn",
	                                                         "new-plugin", kind->name, NULL)
	                                      : NULL;

	if (beside != NULL && g_file_test(beside, G_FILE_TEST_IS_DIR))
		return g_steal_pointer(&beside);
	return g_build_filename(PH_DATA_DIR, "posthorn", "new-plugin", kind->name, NULL);
}

static bool
write_file(const Kind *kind,
           const char *templates,
           const char *folder,
           const char *file,
           const char *name,
           GError **error)
{
	g_autofree char *from = g_build_filename(templates, file, NULL);
	g_autofree char *to_name = renamed(file, kind, name);
	g_autofree char *to = g_build_filename(folder, to_name, NULL);
	g_autofree char *text = NULL;
	g_autofree char *out = NULL;

	if (!g_file_get_contents(from, &text, NULL, error))
		return false;
	out = renamed(text, kind, name);
	return g_file_set_contents_full(to, out, -1, G_FILE_SET_CONTENTS_NONE,
	                                strcmp(file, "users") == 0 ? 0600 : 0644, error);
}

static int
make(const Kind *kind, const char *name, const char *folder)
{
	g_autofree char *templates = find_templates(kind);

	if (mkdir(folder, 0755) < 0) {
		fprintf(stderr, "posthorn: cannot make the folder '%s': %s\n", folder,
		        g_strerror(errno));
		return PH_EXIT_FAILED;
	}
	for (size_t i = 0; kind->files[i] != NULL; i++) {
		g_autoptr(GError) error = NULL;

		if (write_file(kind, templates, folder, kind->files[i], name, &error))
			continue;
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	printf("Made %s. It %s already:\n"
	       "  cd %s && meson setup build && meson test -C build\n"
	       "README.md says how to go on.\n",
	       folder, kind->works, folder);
	return PH_EXIT_OK;
}

static int
run(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);
	const Kind *kind = find_kind(rest[0]);
	g_autofree char *usual = g_strdup_printf("%s-%s", rest[0], rest[1]);

	if (kind == NULL) {
		fprintf(stderr,
		        "posthorn: '%s' is no kind of plugin; there are directory, filter, "
		        "mechanism, protocol, store and transport\n",
		        rest[0]);
		return PH_EXIT_USAGE;
	}
	if (!is_good_name(rest[1])) {
		fprintf(stderr,
		        "posthorn: a plugin's name has 1 to %d lower-case letters, digits and "
		        "'-', a letter first\n",
		        NAME_MAX_LENGTH);
		return PH_EXIT_USAGE;
	}
	return make(kind, rest[1], rest[2] != NULL ? rest[2] : usual);
}

const PhCommand ph_command_new_plugin = {
	.name = "new-plugin",
	.synopsis = "KIND NAME [FOLDER]",
	.summary = "Make a folder to begin a plugin in",
	.details =
		"KIND is directory, filter, mechanism, protocol, store or transport. Writes a plugin that\n"
		"builds against the installed headers with meson, a test, an example config and a README\n"
		"into FOLDER (KIND-NAME), which must not be there. It works before a line is changed.",
	.min_rest = 2,
	.max_rest = 3,
	.run = run,
};

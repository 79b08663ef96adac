/* runner.c: runs transcripts against real plugins through the session interface, without sockets
 *
 *	test-wire FILE...
 *
 * Each transcript gets a server of its own: the real generation of a configuration, with a data
 * folder that is removed afterwards, and the listeners that it speaks to. A file's name begins
 * with the listener that it is about ("smtp-data.txt"). In addition to the format of
 * <posthorn/testing.h>:
 *
 *	#+ key = value   goes into that listener's section; "#+ [route x]" begins another one
 *	@ smtp.two       a connection to the listener smtp; what follows the dot only tells it apart
 *	@ smtp-tls.x     the same, and STARTTLS is offered (it is pretended)
 *	@ smtp-far.x     the same from another machine: no password without TLS
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "net/testing.h"
#include "plugin/registry.h"
#include "server/generation.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
	char *file;
	char *name; /* of the listener that the file is about */
	char *folder;
	PhRuntime runtime;
	PhRegistry *registry;
	PhGeneration *generation;
} Wire;

static const char users[] = "alice@example.org:{PLAIN}secret::::::\n"
			    "bob@example.org:{PLAIN}secret::::::\n"
			    "carol@example.org:{PLAIN}secret:::Carol Smith:::\n"
			    "small@example.org:{PLAIN}secret::::::quota=4K messages=2\n"
			    "locked@example.org:{PLAIN}secret::::::disabled\n";

static const char aliases[] = "team@example.org: alice@example.org, bob@example.org\n"
			      "loop@example.org: loop@example.org\n";

static const char base[] = "[server]\n"
			   "hostname = mail.example.org\n"
			   "data = %s\n"
			   "plugin-path = %s\n"
			   "[directory people]\n"
			   "plugin = passwd-file\n"
			   "path = users\n"
			   "aliases = aliases\n"
			   "[store mail]\n"
			   "plugin = sqlite\n"
			   "path = {data}/mail/{user}\n"
			   "[route local]\n"
			   "domains = example.org, example.net\n"
			   "transport = store\n"
			   "store = mail\n"
			   "directory = people\n"
			   "separators = +\n"
			   "postmaster = alice\n";

static void
append_listener(GString *config, const char *plugins, const char *name)
{
	g_autofree char *file = g_strdup_printf("protocol-%s.so", name);
	g_autofree char *path = g_build_filename(plugins, file, NULL);

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return;
	g_string_append_printf(config,
	                       "[listener %s]\nplugin = %s\naddress = 127.0.0.1:0\n"
	                       "directory = people\nmechanisms = plain, login\n",
	                       name, name);
	if (strcmp(name, "smtp") != 0)
		g_string_append(config, "store = mail\n");
}

/* The listener that the transcript is about comes last: its "#+" lines continue its section. */
static char *
make_config(const Wire *wire, const char *transcript)
{
	static const char *const listeners[] = { "smtp", "pop3", "imap" };
	g_autofree char *plugins =
		g_build_filename(g_getenv("POSTHORN_BUILD_DIR"), "plugins", NULL);
	g_auto(GStrv) lines = g_strsplit(transcript, "\n", -1);
	GString *config = g_string_new(NULL);

	g_string_append_printf(config, base, wire->folder, plugins);
	for (size_t i = 0; i < G_N_ELEMENTS(listeners); i++)
		if (strcmp(listeners[i], wire->name) != 0)
			append_listener(config, plugins, listeners[i]);
	append_listener(config, plugins, wire->name);
	for (char **line = lines; *line != NULL; line++)
		if (g_str_has_prefix(*line, "#+ "))
			g_string_append_printf(config, "%s\n", *line + 3);
	return g_string_free(config, FALSE);
}

static void
write_file(const Wire *wire, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(wire->folder, name, NULL);
	g_autoptr(GError) error = NULL;

	g_file_set_contents(path, text, -1, &error);
	g_assert_no_error(error);
	g_assert_cmpint(g_chmod(path, 0600), ==, 0);
}

static void
start(Wire *wire, const char *transcript)
{
	const PhDuration nothing = { 1 };
	g_autofree char *text = make_config(wire, transcript);
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(wire->folder, "posthorn.conf", NULL);
	PhMistakes *mistakes = ph_mistakes_new(path);
	g_autoptr(PhConfig) config = NULL;

	write_file(wire, "users", users);
	write_file(wire, "aliases", aliases);
	write_file(wire, "posthorn.conf", text);
	wire->registry = ph_registry_new();
	wire->runtime.backoff = ph_backoff_new(nothing, nothing, nothing);
	wire->runtime.partial = ph_partial_open(wire->folder, &error);
	g_assert_no_error(error);
	config = ph_config_load(path, ph_registry_source(wire->registry), mistakes);
	if (config != NULL)
		wire->generation = ph_generation_new(&wire->runtime, config, NULL, mistakes);
	if (wire->generation == NULL) {
		g_autofree char *told = ph_mistakes_text(mistakes);

		g_test_message("%s%s", text, told);
		g_test_fail();
	}
	ph_mistakes_free(mistakes);
}

static void
stop(Wire *wire)
{
	g_clear_pointer(&wire->generation, ph_generation_unref);
	g_clear_pointer(&wire->runtime.partial, ph_partial_free);
	g_clear_pointer(&wire->runtime.backoff, ph_backoff_free);
	g_clear_pointer(&wire->registry, ph_registry_free);
}

static PhTestSession *
connect_to(const char *name, void *user_data, GError **error)
{
	const Wire *wire = user_data;
	g_auto(GStrv) words = g_strsplit(name[0] != '\0' ? name : wire->name, ".", 2);
	PhListenerParams params;
	bool is_far = g_str_has_suffix(words[0], "-far");
	bool is_tls = g_str_has_suffix(words[0], "-tls");

	if (is_far || is_tls)
		words[0][strlen(words[0]) - strlen("-tls")] = '\0';
	if (!ph_generation_listener(wire->generation, words[0], &params)) {
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND, "there is no listener '%s'",
		            words[0]);
		return NULL;
	}
	params.tls_mode = is_tls ? PH_TLS_STARTTLS : PH_TLS_NONE;
	return ph_test_session_new_listener(&params, is_far ? "192.0.2.1" : "127.0.0.1");
}

static void
remove_tree(const char *path)
{
	GDir *folder = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
		g_autofree char *below = g_build_filename(path, name, NULL);

		remove_tree(below);
	}
	if (folder != NULL)
		g_dir_close(folder);
	g_remove(path);
}

static void
run(gconstpointer data)
{
	Wire wire = { .file = g_path_get_basename(data) };
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gsize length = 0;

	wire.name = g_strndup(wire.file, strcspn(wire.file, "-."));
	wire.folder = g_dir_make_tmp("wire-XXXXXX", &error);
	g_assert_no_error(error);
	g_file_get_contents(data, &text, &length, &error);
	g_assert_no_error(error);
	start(&wire, text);
	if (wire.generation != NULL
	    && !ph_test_transcript_run(wire.file, PH_SLICE(text, length), connect_to, &wire,
	                               &error)) {
		g_test_message("%s", error->message);
		g_test_fail();
	}
	stop(&wire);
	remove_tree(wire.folder);
	g_free(wire.folder);
	g_free(wire.name);
	g_free(wire.file);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (int i = 1; i < argc; i++) {
		g_autofree char *file = g_path_get_basename(argv[i]);
		g_autofree char *path =
			g_strdup_printf("/wire/%.*s", (int) strcspn(file, "."), file);

		g_test_add_data_func(path, argv[i], run);
	}
	return g_test_run();
}

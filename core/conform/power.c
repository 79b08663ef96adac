/* power.c: the rules about power that goes, and syncs that fail
 *
 * The writer of crash.c runs with tests/powerloss/powerloss.c loaded, which writes down what it does to
 * the files below the data directory and what it syncs. After it was killed the directory is made
 * what a disk could hold after the power went, and a new process looks. Nobody else may have
 * anything open meanwhile, so this process never opens the account.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/crash.h"
#include "conform/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	ROUNDS = 200,
	LEAST_ROUNDS = 6,
	FAILING = 5, /* appends while syncs fail */
};

/* Traced: where a writer's doings are written down. Both lie beside the data. */
typedef struct {
	char *root; /* the data directory, without links */
	char *trace;
	char *model;
	char *fail; /* while this file is there syncs fail */
} Traced;

static void
traced_clear(Traced *traced)
{
	(void) unlink(traced->trace);
	(void) unlink(traced->model);
	(void) unlink(traced->fail);
	g_free(traced->root);
	g_free(traced->trace);
	g_free(traced->model);
	g_free(traced->fail);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Traced, traced_clear)

static void
traced_init(Traced *traced)
{
	char *real = realpath(ph_kit.data, NULL);

	if (ph_kit_is(PH_STORE_VOLATILE))
		ph_kit_skip("the store says that it forgets with the process");
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
	ph_kit_skip("the library that watches cannot be loaded before a sanitizer's");
#endif
	if (ph_kit.power_library == NULL)
		ph_kit_skip("libpowerloss.so was not found: name it with --power-library");
	if (real == NULL)
		ph_kit_fail("no folder '%s'", ph_kit.data);
	traced->root = g_strdup(real);
	free(real);
	traced->trace = g_strconcat(traced->root, ".trace", NULL);
	traced->model = g_strconcat(traced->root, ".model", NULL);
	traced->fail = g_strconcat(traced->root, ".fail", NULL);
}

/* --- processes --- */

/* The environment of a process that is watched. */
static char **
watched(const Traced *traced)
{
	const char *loaded = g_getenv("LD_PRELOAD");
	g_autofree char *libraries = g_strjoin(" ", ph_kit.power_library, loaded, NULL);
	char **environment = g_get_environ();

	environment = g_environ_setenv(environment, "LD_PRELOAD", libraries, TRUE);
	environment = g_environ_setenv(environment, "POWERLOSS_ROOT", traced->root, TRUE);
	environment = g_environ_setenv(environment, "POWERLOSS_TRACE", traced->trace, TRUE);
	environment = g_environ_setenv(environment, "POWERLOSS_FAIL", traced->fail, TRUE);
	if (ph_kit.ignore_sync != NULL)
		environment =
			g_environ_setenv(environment, "POWERLOSS_IGNORE", ph_kit.ignore_sync, TRUE);
	return environment;
}

/* What a helper said until its end; a rule that failed there fails here. */
static char *
hear_all(GPid pid, int output)
{
	GString *heard = g_string_new(NULL);
	char buffer[4096];
	ssize_t got = 0;

	while ((got = read(output, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
		g_string_append_len(heard, buffer, MAX(got, 0));
	(void) close(output);
	if (!ph_kit_end(pid)) {
		PhSlice rest = PH_SLICE(heard->str, heard->len);
		PhSlice word = ph_slice_split(&rest, ' ');

		if (ph_slice_is(word, "failed") || ph_slice_is(word, "skipped"))
			(void) ph_slice_split(&rest, ' ');
		ph_kit_fail("%.*s", (int) rest.length, rest.data != NULL ? rest.data : "");
	}
	return g_string_free(heard, FALSE);
}

static char *
run_helper(const char *role, const char *word, char **environment)
{
	const char *const words[] = { role, word, NULL };
	int output = -1;
	GPid pid = ph_kit_start_in(words, environment, &output);

	return hear_all(pid, output);
}

int
ph_kit_role_prepare(const char *const *words)
{
	ph_crash_prepare();
	return 0;
}

/* Compares with the model in the file, and tells what it is now. */
int
ph_kit_role_look(const char *const *words)
{
	g_autofree char *text = NULL;
	g_autofree char *after = NULL;
	g_autoptr(PhCrashModel) model = NULL;

	if (!g_file_get_contents(words[0], &text, NULL, NULL))
		ph_kit_fail("cannot read '%s'", words[0]);
	model = ph_crash_parse(text);
	ph_crash_check(model, true);
	after = ph_crash_text(model);
	(void) dprintf(STDOUT_FILENO, "%s", after);
	return 0;
}

/* --- power loss --- */

/* The writer runs and is killed. */
static void
write_for_a_while(const Traced *traced, PhCrashModel *model)
{
	g_autofree char *next = g_strdup_printf("%" G_GUINT64_FORMAT, model->next);
	const char *const words[] = { "write", "crash", next, NULL };
	g_auto(GStrv) environment = watched(traced);
	int output = -1;
	GPid pid = 0;

	(void) unlink(traced->trace);
	pid = ph_kit_start_in(words, environment, &output);
	ph_crash_hear(model, pid, output);
}

/* The data directory becomes what a disk could hold. */
static void
cut_power(const Traced *traced, PhDisk *disk, double survival, PhDiskEvents *events)
{
	g_autofree char *trace = NULL;
	g_autoptr(GError) error = NULL;
	gsize length = 0;

	if (!g_file_get_contents(traced->trace, &trace, &length, &error)
	    || !ph_disk_play(disk, PH_SLICE(trace, length), events, &error))
		ph_kit_fail("what the writer did was not written down: %s", error->message);
	ph_disk_lose_power(disk, survival, g_random_int());
	if (!ph_disk_write(disk, &error))
		ph_kit_fail("%s", error->message);
}

static PhCrashModel *
look(const Traced *traced, const PhCrashModel *model)
{
	g_autofree char *before = ph_crash_text(model);
	g_autofree char *after = NULL;

	if (!g_file_set_contents(traced->model, before, -1, NULL))
		ph_kit_fail("cannot write '%s'", traced->model);
	after = run_helper("look", traced->model, NULL);
	ph_kit_count();
	return ph_crash_parse(after);
}

static PhCrashModel *
power_round(const Traced *traced, PhCrashModel *model, double survival, PhDiskEvents *sum)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhDisk) disk = ph_disk_read(traced->root, &error);
	PhCrashModel *after = NULL;
	PhDiskEvents events = { 0 };

	if (disk == NULL)
		ph_kit_fail("%s", error->message);
	write_for_a_while(traced, model);
	cut_power(traced, disk, survival, &events);
	sum->n_syncs += events.n_syncs;
	sum->n_writes += events.n_writes;
	after = look(traced, model);
	ph_crash_model_free(model);
	return after;
}

static void
power_loss(void)
{
	static const double survival[] = { 0, 0.5, 0, 0.1, 0, 0.9 };
	g_autoptr(PhCrashModel) model = ph_crash_model_new();
	g_auto(Traced) traced = { .root = NULL };
	uint32_t rounds = ph_kit_scaled(ROUNDS, LEAST_ROUNDS);
	PhDiskEvents sum = { 0 };

	traced_init(&traced);
	g_free(run_helper("prepare", "", NULL));
	for (uint32_t i = 0; i < rounds; i++)
		model = power_round(&traced, model, survival[i % G_N_ELEMENTS(survival)], &sum);
	if (sum.n_writes == 0)
		ph_kit_skip("the store writes no files below the data directory");
	ph_kit_note("%u rounds, %" G_GUINT64_FORMAT " messages, %" G_GUINT64_FORMAT " syncs",
	            rounds, model->next - 1, sum.n_syncs);
}

/* --- failing syncs --- */

static bool
is_acknowledged(PhKitAccount *a, uint64_t number)
{
	g_autoptr(PhContent) content = ph_kit_generated(number, ph_crash_length(number));
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	PhTransaction *batch[] = { &tx->public };
	PhOp *op = ph_kit_add(tx, PH_OP_APPEND, &a->inbox);

	op->octets = ph_crash_length(number);
	memcpy(op->message_id, &number, sizeof number);
	return ph_kit.table->upload(a->handle, content, false, &op->blob, NULL)
	       && ph_kit.table->commit(a->handle, batch, 1, NULL) && tx->public.done;
}

/* Syncs work, fail, and work again; @words: the file that makes them fail. Tells what happened. */
int
ph_kit_role_unsynced(const char *const *words)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t number = 1;

	ph_kit_open(&a, "crash");
	KIT_CHECK(is_acknowledged(&a, number), "an append before any sync failed");
	if (!g_file_set_contents(words[0], "", 0, NULL))
		ph_kit_fail("cannot write '%s'", words[0]);
	for (int i = 0; i < FAILING; i++)
		KIT_CHECK(!is_acknowledged(&a, ++number),
		          "an append was acknowledged although no sync succeeded");
	(void) unlink(words[0]);
	ph_kit_reopen(&a);
	KIT_CHECK(is_acknowledged(&a, ++number),
	          "an append fails when syncs work again and the account was opened anew");
	ph_kit_check_counts(&a);
	return 0;
}

/* After the power went what was acknowledged is there, before and after the failures. */
int
ph_kit_role_unsynced_look(const char *const *words)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitReading) all = NULL;
	bool first = false;
	bool last = false;

	ph_kit_open(&a, "crash");
	all = ph_kit_read(&a, &a.inbox, 0, NULL, PH_FIELD_IDS);
	for (guint i = 0; i < all->records->len; i++) {
		const PhRecord *record = &g_array_index(all->records, PhKitRecord, i).record;
		g_autoptr(PhContent) content = ph_kit_content(&a, &a.inbox, record->uid);
		uint64_t number = 0;

		memcpy(&number, record->message_id, sizeof number);
		ph_kit_check_generated(content, number, ph_crash_length(number));
		first = first || number == 1;
		last = last || number == FAILING + 2;
	}
	KIT_CHECK(first, "a message from before the failing syncs was lost with the power");
	KIT_CHECK(last, "a message from after the failing syncs was lost with the power");
	return 0;
}

static void
failing_syncs(void)
{
	g_auto(Traced) traced = { .root = NULL };
	g_auto(GStrv) environment = NULL;
	g_autoptr(PhDisk) disk = NULL;
	g_autoptr(GError) error = NULL;
	PhDiskEvents events = { 0 };

	traced_init(&traced);
	g_free(run_helper("prepare", "", NULL));
	disk = ph_disk_read(traced.root, &error);
	if (disk == NULL)
		ph_kit_fail("%s", error->message);
	environment = watched(&traced);
	g_free(run_helper("unsynced", traced.fail, environment));
	cut_power(&traced, disk, 0, &events);
	g_free(run_helper("unsynced-look", "", NULL));
	ph_kit_count();
	ph_kit_note("%" G_GUINT64_FORMAT " syncs", events.n_syncs);
}

const PhConformRule ph_conform_power[] = {
	{ "power-loss", "STORE-2",
	  "a writer's power cut at any moment: what was acknowledged is there", power_loss },
	{ "failing-syncs", "STORE-2",
	  "while syncs fail nothing is acknowledged; afterwards it goes on", failing_syncs },
	{ NULL },
};

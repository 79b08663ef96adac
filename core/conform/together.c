/* together.c: rules about several threads and processes at one account
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
	READERS = 3,
	WINDOW = 20, /* messages that are there at any moment */
	PROCESSES = 3,
};

typedef struct {
	PhKitAccount *a;
	atomic_bool done;
	atomic_uint n_reads;
} Shared;

static GThread *
start(const char *name, GThreadFunc func, void *data)
{
	return g_thread_new(name, func, data);
}

/* --- snapshots --------------------------------------------------------------------------------- */

/* At every moment there are WINDOW messages, all seen or none. */
static void *
read_snapshots(void *data)
{
	Shared *shared = data;

	while (!atomic_load(&shared->done)) {
		g_autoptr(PhKitReading) reading =
			ph_kit_read(shared->a, &shared->a->inbox, 0, NULL, PH_FIELD_FLAGS);
		uint32_t n_seen = 0;

		for (guint i = 0; i < reading->records->len; i++)
			n_seen += g_array_index(reading->records, PhKitRecord, i).record.flags
			          == PH_FLAG_SEEN;
		ph_kit_same("messages seen by a reader beside commits", reading->records->len,
		            WINDOW);
		KIT_CHECK(n_seen == 0 || n_seen == WINDOW,
		          "a reader beside commits saw half of a transaction: %u of %u flags",
		          n_seen, WINDOW);
		(void) atomic_fetch_add(&shared->n_reads, 1);
	}
	return NULL;
}

/* One comes, one goes, and the flag of all others turns. */
static void
turn_window(PhKitAccount *a, uint32_t i)
{
	PhKitTx *tx = ph_kit_tx();
	g_autofree char *first = g_strdup_printf("%u", i + 1);
	bool seen = i % 2 == 0;

	ph_kit_add_append(tx, a, &a->inbox, PH_SLICE_EMPTY)->flags = seen ? PH_FLAG_SEEN : 0;
	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &a->inbox, first);
	ph_kit_add_flags(tx, &a->inbox, "1:4294967295", PH_FLAGS_REPLACE)->flags =
		seen ? PH_FLAG_SEEN : 0;
	(void) ph_kit_must(a, tx, "a transaction beside readers");
}

static void
snapshots(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	Shared shared = { .a = &a };
	GThread *threads[READERS] = { NULL };
	uint32_t n = ph_kit_scaled(5000, 150);

	ph_kit_open(&a, "snapshots");
	ph_kit_fill(&a, &a.inbox, WINDOW);
	for (size_t i = 0; i < READERS; i++)
		threads[i] = start("reader", read_snapshots, &shared);
	for (uint32_t i = 0; i < n || atomic_load(&shared.n_reads) < READERS; i++)
		turn_window(&a, i);
	atomic_store(&shared.done, true);
	for (size_t i = 0; i < READERS; i++)
		(void) g_thread_join(threads[i]);
	ph_kit_check_counts(&a);
	ph_kit_note("%u commits beside %u readings", n, atomic_load(&shared.n_reads));
}

/* --- following ------------------------------------------------------------------------------------ */

/* Follows the mailbox by change number, as a session does. */
static void *
follow(void *data)
{
	Shared *shared = data;
	g_autoptr(PhUidSet) known = ph_uid_set_new();
	uint64_t at = 0;
	bool last = false;

	while (!last) {
		g_autoptr(PhKitReading) reading = NULL;

		last = atomic_load(&shared->done);
		reading = ph_kit_read(shared->a, &shared->a->inbox, at, NULL, PH_FIELD_FLAGS);
		KIT_CHECK(reading->result.complete_to >= at, "complete_to went back");
		at = reading->result.complete_to;
		if (reading->result.full)
			ph_uid_set_clear(known);
		for (guint i = 0; i < reading->records->len; i++)
			ph_uid_set_add(known,
			               g_array_index(reading->records, PhKitRecord, i).record.uid);
		ph_uid_set_remove_set(known, reading->expunged);
		(void) atomic_fetch_add(&shared->n_reads, 1);
	}
	return ph_kit_set(known);
}

static void
following(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	Shared shared = { .a = &a };
	GThread *threads[READERS] = { NULL };
	uint32_t n = ph_kit_scaled(5000, 150);
	g_autoptr(PhKitReading) all = NULL;
	g_autoptr(PhUidSet) there = ph_uid_set_new();
	g_autofree char *expected = NULL;

	ph_kit_open(&a, "following");
	ph_kit_fill(&a, &a.inbox, WINDOW);
	for (size_t i = 0; i < READERS; i++)
		threads[i] = start("follower", follow, &shared);
	for (uint32_t i = 0; i < n || atomic_load(&shared.n_reads) < READERS; i++)
		turn_window(&a, i);
	atomic_store(&shared.done, true);
	all = ph_kit_read(&a, &a.inbox, 0, NULL, 0);
	for (guint i = 0; i < all->records->len; i++)
		ph_uid_set_add(there, g_array_index(all->records, PhKitRecord, i).record.uid);
	expected = ph_kit_set(there);
	for (size_t i = 0; i < READERS; i++) {
		g_autofree char *known = g_thread_join(threads[i]);

		ph_kit_same_text("uids known to who followed the changes", known, expected);
	}
}

/* --- octets beside commits ------------------------------------------------------------------------- */

static void *
read_octets(void *data)
{
	Shared *shared = data;

	while (!atomic_load(&shared->done)) {
		g_autoptr(PhContent) content = ph_kit_generated(8, 300000);
		g_autoptr(GError) error = NULL;
		PhBlobId blob;

		ph_kit_check_octets(shared->a, &shared->a->inbox, 1, ph_kit_small());
		if (!ph_kit.table->upload(shared->a->handle, content, false, &blob, &error))
			ph_kit_fail("upload beside commits: %s", error->message);
		ph_kit.table->abandon(shared->a->handle, &blob);
		g_free(ph_kit_values(shared->a, NULL, ""));
		(void) atomic_fetch_add(&shared->n_reads, 1);
	}
	return NULL;
}

static void
octets_beside(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	Shared shared = { .a = &a };
	GThread *threads[READERS] = { NULL };
	uint32_t n = ph_kit_scaled(3000, 80);
	uint32_t i = 0;

	ph_kit_open(&a, "beside");
	ph_kit_fill(&a, &a.inbox, 1);
	for (size_t t = 0; t < READERS; t++)
		threads[t] = start("reader", read_octets, &shared);
	for (; i < n || atomic_load(&shared.n_reads) < READERS; i++)
		(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	atomic_store(&shared.done, true);
	for (size_t t = 0; t < READERS; t++)
		(void) g_thread_join(threads[t]);
	ph_kit_same("messages", ph_kit_must_info(&a, &a.inbox).n_messages, i + 1);
	ph_kit_check_counts(&a);
}

/* --- compact beside commits --- */

static void *
compact_again(void *data)
{
	Shared *shared = data;
	g_autoptr(GError) error = NULL;

	while (!atomic_load(&shared->done)) {
		if (!ph_kit.table->compact(shared->a->handle, &error))
			ph_kit_fail("compact beside commits: %s", error->message);
		(void) atomic_fetch_add(&shared->n_reads, 1);
	}
	return NULL;
}

static void
compact_beside(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	Shared shared = { .a = &a };
	uint32_t n = ph_kit_scaled(1000, 40);
	uint32_t i = 0;
	GThread *thread = NULL;

	if (!ph_kit_is(PH_STORE_COMPACTS_BESIDE))
		ph_kit_skip("the store does not say that it compacts beside commits");
	ph_kit_open(&a, "compacted");
	ph_kit_fill(&a, &a.inbox, n);
	thread = start("compact", compact_again, &shared);
	for (; i < n || atomic_load(&shared.n_reads) < 2; i++) {
		uint32_t uid = ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
		g_autofree char *old = g_strdup_printf("%u", uid - n);

		(void) ph_kit_expunge(&a, &a.inbox, old);
	}
	atomic_store(&shared.done, true);
	(void) g_thread_join(thread);
	ph_kit_same("messages", ph_kit_must_info(&a, &a.inbox).n_messages, n);
	ph_kit_check_counts(&a);
}

/* --- accounts beside each other -------------------------------------------------------------------- */

static void *
fill_own(void *data)
{
	const char *who = data;
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, who);
	for (int i = 0; i < 40; i++)
		(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	ph_kit_same("messages", ph_kit_must_info(&a, &a.inbox).n_messages, 40);
	return NULL;
}

static void
accounts_beside(void)
{
	GThread *threads[8] = { NULL };
	char *names[8] = { NULL };

	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
		names[i] = g_strdup_printf("beside%u", (unsigned) i);
		threads[i] = start("account", fill_own, names[i]);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
		(void) g_thread_join(threads[i]);
		g_free(names[i]);
	}
}

/* --- processes --------------------------------------------------------------------------------------- */

int
ph_kit_role_append(const char *const *words)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t n = 0;

	(void) ph_slice_to_u64(ph_slice(words[1]), 1000000, &n);
	ph_kit_open(&a, words[0]);
	for (uint64_t i = 0; i < n; i++) {
		uint32_t uid = ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);

		(void) dprintf(STDOUT_FILENO, "%u\n", uid);
	}
	return 0;
}

/* Adds the uids that a process told; none may have been given before. */
static void
gather(int output, PhUidSet *uids)
{
	g_autoptr(GString) all = g_string_new(NULL);
	g_auto(GStrv) lines = NULL;
	char buffer[4096];
	ssize_t got = 0;

	while ((got = read(output, buffer, sizeof buffer)) > 0)
		g_string_append_len(all, buffer, got);
	(void) close(output);
	lines = g_strsplit(all->str, "\n", -1);
	for (size_t i = 0; lines[i] != NULL && lines[i][0] != '\0'; i++) {
		uint32_t uid = 0;

		KIT_CHECK(ph_slice_to_u32(ph_slice(lines[i]), UINT32_MAX, &uid),
		          "a writing process said: %s", lines[i]);
		KIT_CHECK(!ph_uid_set_contains(uids, uid), "two processes were given uid %u", uid);
		ph_uid_set_add(uids, uid);
	}
}

static void
processes(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	g_autofree char *n = g_strdup_printf("%u", ph_kit_scaled(2000, 40));
	const char *const words[] = { "append", "processes", n, NULL };
	GPid pids[PROCESSES] = { 0 };
	int outputs[PROCESSES] = { 0 };
	g_autoptr(PhKitReading) reading = NULL;

	if (!ph_kit_is(PH_STORE_SHARED_PROCESSES))
		ph_kit_skip("the store does not say that processes may share an account");
	ph_kit_open(&a, "processes");
	for (size_t i = 0; i < PROCESSES; i++)
		pids[i] = ph_kit_start(words, &outputs[i]);
	for (int i = 0; i < 20; i++)
		ph_uid_set_add(uids, ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY));
	for (size_t i = 0; i < PROCESSES; i++) {
		gather(outputs[i], uids);
		KIT_CHECK(ph_kit_end(pids[i]), "a writing process failed");
	}
	reading = ph_kit_read(&a, &a.inbox, 0, NULL, 0);
	ph_kit_same("messages of several processes", reading->records->len, ph_uid_set_count(uids));
	ph_kit_check_counts(&a);
}

const PhConformRule ph_conform_together[] = {
	{ "snapshots", "STORE-1", "readers beside commits see each transaction whole or not at all",
	  snapshots },
	{ "following", "STORE-4", "who follows by change number beside commits misses nothing",
	  following },
	{ "octets-beside", "contract", "upload, content and values beside commits", octets_beside },
	{ "compact-beside", "STORE-1", "compact beside commits: nothing fails, nothing is lost",
	  compact_beside },
	{ "accounts-beside", "contract", "eight accounts used by eight threads", accounts_beside },
	{ "processes", "STORE-3", "processes on one account: uids ascend, none twice, none lost",
	  processes },
	{ NULL },
};

/* bench-index.c: how fast is PhIndex with one large mailbox?
 *
 * bench-index FOLDER [MESSAGES]: fills a mailbox, opens it as a view does, alters, copies and
 * expunges all of it in steps as the account layer does. Figures go to standard output, one a line.
 * Not part of the suites: run it by hand on a quiet machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "index-fixture.h"
#include "mailbox/state.h"

#include <sys/resource.h>

enum {
	STEP = 10000,
	BATCH = 1000,
	STRUCTURE = 1100,
};

typedef struct {
	uint64_t us;
	uint64_t cpu_us;
} Moment;

static Moment
now(void)
{
	struct rusage usage;
	Moment moment = { ph_clock_us(), 0 };

	(void) getrusage(RUSAGE_SELF, &usage);
	moment.cpu_us = (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000
	                + (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	return moment;
}

static void
report(const char *what, Moment since)
{
	Moment moment = now();

	g_print("%-24s %10.3f ms   %10.3f ms CPU\n", what, (double) (moment.us - since.us) / 1e3,
	        (double) (moment.cpu_us - since.cpu_us) / 1e3);
}

/* Resident memory of the process, in KiB. */
static uint64_t
resident(void)
{
	g_autofree char *text = NULL;
	const char *at = NULL;

	if (g_file_get_contents("/proc/self/status", &text, NULL, NULL))
		at = strstr(text, "VmRSS:");
	return at != NULL ? g_ascii_strtoull(at + 6, NULL, 10) : 0;
}

static void
fill(Fixture *f, uint32_t n)
{
	Tx *tx = g_new0(Tx, BATCH);
	PhTransaction **batch = g_new0(PhTransaction *, BATCH);
	g_autofree char *structure = g_strnfill(STRUCTURE, 's');

	for (uint32_t i = 0; i < n; i += BATCH) {
		for (uint32_t j = 0; j < BATCH; j++) {
			tx_init(&tx[j], f, PH_OP_APPEND);
			tx[j].op.octets = 1000 + (i + j) * 7919 % 50000;
			tx[j].op.structure = PH_SLICE(structure, STRUCTURE);
			batch[j] = &tx[j].transaction;
		}
		g_assert_true(ph_index_commit(f->index, batch, BATCH, NULL));
		for (uint32_t j = 0; j < BATCH; j++)
			tx_clear(&tx[j]);
	}
	g_free(batch);
	g_free(tx);
}

static bool
take(const PhMessageState *states, size_t n, const char *const *keywords, void *user_data)
{
	ph_state_builder_add(user_data, states, n);
	return true;
}

static PhState *
load(Fixture *f)
{
	PhStateBuilder *builder = ph_state_builder_new();
	PhChangesResult result;
	PhChangesQuery query = { .fields = PH_FIELD_FLAGS, .states = take, .states_data = builder };

	g_assert_true(ph_index_changes(f->index, &f->inbox, &query, &result, NULL));
	return ph_state_builder_finish(builder, result.complete_to);
}

static void
in_steps(Fixture *f, uint32_t kind, const PhMailboxId *to, uint32_t n)
{
	for (uint32_t first = 1; first <= n; first += STEP) {
		g_auto(Tx) tx = { 0 };
		g_autoptr(PhUidSet) uids = ph_uid_set_new_range(first, first + STEP - 1);

		tx_init(&tx, f, kind);
		tx.op.uids = uids;
		tx.op.to = *to;
		tx.op.flags_mode = PH_FLAGS_ADD;
		tx.op.flags = PH_FLAG_SEEN;
		g_assert_true(run(f->index, &tx));
	}
}

int
main(int argc, char **argv)
{
	Fixture f = { .folder = NULL };
	PhMailboxId other;
	uint32_t n = 100000;
	Moment since;

	(void) g_setenv("TMPDIR", argc > 1 ? argv[1] : "/tmp", TRUE);
	if (argc > 2)
		g_assert_true(ph_slice_to_u32(ph_slice(argv[2]), 10000000, &n));
	set_up(&f, NULL);
	create(&f, "other", &other);
	since = now();
	fill(&f, n);
	report("append", since);
	for (int i = 0; i < 3; i++) {
		uint64_t memory = resident();
		PhState *state = NULL;

		since = now();
		state = load(&f);
		report("open", since);
		g_print("%-24s %10.1f MB\n", "memory of a view",
		        (double) (resident() - memory) / 1024);
		ph_state_unref(state);
	}
	since = now();
	in_steps(&f, PH_OP_FLAGS, &other, n);
	report("flags of all", since);
	since = now();
	in_steps(&f, PH_OP_COPY, &other, n);
	report("copy all", since);
	since = now();
	in_steps(&f, PH_OP_EXPUNGE, &other, n);
	report("expunge all", since);
	tear_down(&f, NULL);
	return 0;
}

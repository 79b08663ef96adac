/* full.c: the rule about a disk that takes no more
 *
 * A process whose files may not grow beyond a limit fills an account and tells each message that was
 * acknowledged; then exactly those must be there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	FILE_LIMIT = 2 * 1024 * 1024, /* octets of one file */
	FILLING = 40,                 /* messages */
	ENOUGH_FAILED = 5,
	LARGE = 150000,
};

/* Was it acknowledged? */
static bool
try_append(PhKitAccount *a, uint64_t number)
{
	g_autoptr(PhContent) content = ph_kit_generated(number, LARGE);
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	PhTransaction *batch[] = { &tx->public };
	PhOp *op = ph_kit_add(tx, PH_OP_APPEND, &a->inbox);

	op->octets = LARGE;
	memcpy(op->message_id, &number, sizeof number);
	if (!ph_kit.table->upload(a->handle, content, false, &op->blob, NULL)
	    || !ph_kit.table->commit(a->handle, batch, 1, NULL) || !tx->public.done)
		return false;
	(void) dprintf(STDOUT_FILENO, "%u:%" G_GUINT64_FORMAT " ", op->uid, number);
	return true;
}

int
ph_kit_role_fill(const char *const *words)
{
	struct rlimit limit = { FILE_LIMIT, FILE_LIMIT };
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t n_failed = 0;

	ph_kit_open(&a, words[0]);
	(void) signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return 1;
	for (uint64_t number = 1; number <= FILLING && n_failed < ENOUGH_FAILED; number++)
		n_failed += !try_append(&a, number);
	return 0;
}

/* "uid:number uid:number ": what the process said. */
static char *
hear(int output)
{
	GString *heard = g_string_new(NULL);
	char buffer[4096];
	ssize_t got = 0;

	while ((got = read(output, buffer, sizeof buffer)) > 0)
		g_string_append_len(heard, buffer, got);
	(void) close(output);
	return g_string_free(heard, FALSE);
}

/* The same of what is there; the octets are looked at on the way. */
static char *
look(PhKitAccount *a)
{
	g_autoptr(PhKitReading) all = ph_kit_read(a, &a->inbox, 0, NULL, PH_FIELD_IDS);
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < all->records->len; i++) {
		const PhRecord *record = &g_array_index(all->records, PhKitRecord, i).record;
		g_autoptr(PhContent) content = ph_kit_content(a, &a->inbox, record->uid);
		uint64_t number = 0;

		memcpy(&number, record->message_id, sizeof number);
		ph_kit_check_generated(content, number, LARGE);
		g_string_append_printf(out, "%u:%" G_GUINT64_FORMAT " ", record->uid, number);
	}
	return g_string_free(out, FALSE);
}

static void
disk_full(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	const char *const words[] = { "fill", "full", NULL };
	g_autofree char *told = NULL;
	g_autofree char *there = NULL;
	int output = -1;
	GPid pid = 0;

	if (ph_kit_is(PH_STORE_VOLATILE))
		ph_kit_skip("the store says that it forgets with the process");
	pid = ph_kit_start(words, &output);
	told = hear(output);
	KIT_CHECK(ph_kit_end(pid), "the filling process did not end well: %.200s", told);
	ph_kit_open(&a, "full");
	there = look(&a);
	ph_kit_same_text("uid:message of what was acknowledged", there, told);
	(void) ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
	ph_kit_check_counts(&a);
	ph_kit_note("%u of %d acknowledged", ph_kit_must_info(&a, &a.inbox).n_messages - 1,
	            FILLING);
}

const PhConformRule ph_conform_full[] = {
	{ "disk-full", "STORE-1",
	  "files that may not grow: what fails leaves nothing, the rest is there", disk_full },
	{ NULL },
};

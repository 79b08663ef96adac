/* large.c: rules about a mailbox of a million records
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	MILLION = 1000000,
	LEAST = 3000,
	MIB = 1024 * 1024,
	ALLOWED_GROWTH_MIB = 48, /* while a mailbox of a million is read and changed */
	FEW = 100,
};

typedef struct {
	uint32_t n;
	uint32_t last;
	uint32_t stop;
	uint64_t flags;
} Scan;

static bool
count_record(const PhRecord *record, void *user_data)
{
	Scan *scan = user_data;

	if (record->uid <= scan->last)
		ph_kit_fail("changes: uid %u after uid %u", record->uid, scan->last);
	scan->last = record->uid;
	scan->flags += (record->flags & PH_FLAG_SEEN) != 0;
	scan->n++;
	return scan->stop == 0 || scan->n < scan->stop;
}

static Scan
scan_all(PhKitAccount *a, uint64_t since, uint32_t stop)
{
	Scan scan = { .stop = stop };
	PhChangesQuery query = { .since = since,
		                 .fields = PH_FIELD_FLAGS,
		                 .record = count_record,
		                 .user_data = &scan };
	PhChangesResult result = { 0 };
	g_autoptr(GError) error = NULL;

	if (!ph_kit.table->changes(a->handle, &a->inbox, &query, &result, &error))
		ph_kit_fail("changes: %s", error != NULL ? error->message : "no error given");
	return scan;
}

static void
check_growth(uint64_t before, const char *doing)
{
	uint64_t now = ph_kit_peak();
	uint64_t grown = now > before ? (now - before) / MIB : 0;
	uint64_t limit = ph_kit.memory_limit != 0 ? ph_kit.memory_limit / MIB
	                                          : (uint64_t) ALLOWED_GROWTH_MIB;

	if (!ph_kit_is(PH_STORE_VOLATILE))
		KIT_CHECK(grown <= limit,
		          "memory grew by %" G_GUINT64_FORMAT
		          " MiB while %s, allowed are %" G_GUINT64_FORMAT,
		          grown, doing, limit);
}

/* In steps of ten thousand, as the core does. */
static void
flag_all(PhKitAccount *a, uint32_t n)
{
	for (uint32_t first = 1; first <= n; first += 10000) {
		g_autofree char *uids = g_strdup_printf("%u:%u", first, first + 9999);

		(void) ph_kit_set_flags(a, &a->inbox, uids, PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
	}
}

static void
million(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t n = ph_kit_scaled(MILLION, LEAST);
	uint64_t before = 0;
	uint64_t change = 0;
	uint64_t began = 0;
	g_autofree char *half = g_strdup_printf("1:%u", n / 2);
	Scan scan;

	ph_kit_open(&a, "million");
	ph_kit_fill(&a, &a.inbox, LEAST / 3);
	ph_kit_reopen(&a);
	before = ph_kit_peak();
	ph_kit_fill(&a, &a.inbox, n - LEAST / 3);
	check_growth(before, "a million messages were appended");
	scan = scan_all(&a, 0, 0);
	ph_kit_same("records", scan.n, n);
	check_growth(before, "a million records were read");
	change = ph_kit_must_info(&a, &a.inbox).change;
	flag_all(&a, n);
	ph_kit_same("records with the flag", scan_all(&a, change, 0).flags, n);
	check_growth(before, "a million flags were changed");
	began = ph_kit_now_us();
	ph_kit_same("records read before stopping", scan_all(&a, 0, FEW).n, FEW);
	ph_kit_note("%u records; the first hundred in %.1f ms", n,
	            (double) (ph_kit_now_us() - began) / 1000);
	(void) ph_kit_expunge(&a, &a.inbox, half);
	ph_kit_reopen(&a);
	ph_kit_same("records after an expunge of half", scan_all(&a, 0, 0).n, n - n / 2);
	ph_kit_same("messages listed", ph_kit_must_info(&a, &a.inbox).n_messages, n - n / 2);
	check_growth(before, "half of a million was expunged");
}

const PhConformRule ph_conform_large[] = {
	{ "million", "STORE-8",
	  "a million records times scale: append, read, flag, expunge in bounded memory", million },
	{ NULL },
};

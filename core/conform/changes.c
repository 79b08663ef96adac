/* changes.c: rules about what `changes` and `mailboxes` say
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

static void
changes_since(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t points[5] = { 0 };
	static const char *const expected[] = {
		"1:- 2:F 4:- 5:- gone 3",
		"2:F 4:- 5:- gone 3",
		"2:F 5:- gone 3",
		"5:- gone 3",
		"5:- gone ",
	};

	ph_kit_open(&a, "since");
	points[0] = ph_kit_must_info(&a, &a.inbox).change;
	ph_kit_fill(&a, &a.inbox, 1);
	points[1] = ph_kit_must_info(&a, &a.inbox).change;
	ph_kit_fill(&a, &a.inbox, 3);
	points[2] = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_set_flags(&a, &a.inbox, "2", PH_FLAGS_ADD, PH_FLAG_FLAGGED, NULL);
	points[3] = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_expunge(&a, &a.inbox, "3");
	points[4] = ph_kit_must_info(&a, &a.inbox).change;
	ph_kit_fill(&a, &a.inbox, 1);
	for (size_t i = 1; i < G_N_ELEMENTS(points); i++) {
		g_autofree char *what = g_strdup_printf("changes since point %u", (unsigned) i);
		g_autofree char *text = ph_kit_changed(&a, &a.inbox, points[i], 5);

		ph_kit_same_text(what, text, expected[i]);
	}
	ph_kit_reopen(&a);
	for (size_t i = 1; i < G_N_ELEMENTS(points); i++) {
		g_autofree char *what =
			g_strdup_printf("changes since point %u, reopened", (unsigned) i);
		g_autofree char *text = ph_kit_changed(&a, &a.inbox, points[i], 5);

		ph_kit_same_text(what, text, expected[i]);
	}
}

static void
changes_complete(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t at = 0;

	ph_kit_open(&a, "complete");
	for (int i = 0; i < 12; i++) {
		g_autoptr(PhKitReading) reading = NULL;
		PhMailboxInfo info;

		if (i % 4 == 3)
			(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, 1U << (i / 4),
			                        NULL);
		else
			ph_kit_fill(&a, &a.inbox, 1);
		info = ph_kit_must_info(&a, &a.inbox);
		reading = ph_kit_read(&a, &a.inbox, at, NULL, 0);
		KIT_CHECK(reading->result.complete_to >= info.change,
		          "changes is complete to %" G_GUINT64_FORMAT
		          ", and the mailbox is at %" G_GUINT64_FORMAT,
		          reading->result.complete_to, info.change);
		ph_kit_same("records since the last look", reading->records->len, 1);
		at = reading->result.complete_to;
	}
}

static void
changes_of_set(void)
{
	static const char *const sets[] = { "2", "1:3,5", "4:4294967295", "9:12", "1,3,5,7" };
	static const char *const expected[] = { "2:-", "1:- 2:- 3:- 5:-", "4:- 5:- 6:-", "",
		                                "1:- 3:- 5:-" };
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t before = 0;

	ph_kit_open(&a, "sets");
	ph_kit_fill(&a, &a.inbox, 6);
	for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
		g_autoptr(PhKitReading) reading =
			ph_kit_read(&a, &a.inbox, 0, sets[i], PH_FIELD_FLAGS);
		g_autoptr(GString) uids = g_string_new(NULL);

		for (guint j = 0; j < reading->records->len; j++)
			g_string_append_printf(
				uids, "%s%u:-", j > 0 ? " " : "",
				g_array_index(reading->records, PhKitRecord, j).record.uid);
		ph_kit_same_text(sets[i], uids->str, expected[i]);
	}
	before = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_set_flags(&a, &a.inbox, "2:3", PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
	{
		g_autoptr(PhKitReading) reading =
			ph_kit_read(&a, &a.inbox, before, "3:6", PH_FIELD_FLAGS);

		ph_kit_same("records since a change and of a set", reading->records->len, 1);
		ph_kit_same("flags", ph_kit_record(reading, 3)->flags, PH_FLAG_SEEN);
	}
}

/* Each field alone is the same as with all others. */
static void
changes_fields(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitReading) all = NULL;

	ph_kit_open(&a, "fields");
	ph_kit_fill(&a, &a.inbox, 2);
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, PH_FLAG_SEEN, "word");
	all = ph_kit_read(&a, &a.inbox, 0, NULL, KIT_ALL_FIELDS);
	for (uint32_t field = 1; field <= PH_FIELD_STRUCTURE; field <<= 1) {
		g_autoptr(PhKitReading) one = ph_kit_read(&a, &a.inbox, 0, NULL, field);
		const PhKitRecord *x = ph_kit_record_full(all, 1);
		const PhKitRecord *y = ph_kit_record_full(one, 1);

		ph_kit_same("records", one->records->len, 2);
		ph_kit_same("change", y->record.change, x->record.change);
		if (field == PH_FIELD_FLAGS) {
			ph_kit_same("flags", y->record.flags, PH_FLAG_SEEN);
			ph_kit_same_text("keywords", y->keywords, "word");
		}
		if (field == PH_FIELD_DATES)
			KIT_CHECK(x->record.internal_date == y->record.internal_date
			                  && x->record.save_date == y->record.save_date
			                  && y->record.internal_date != 0,
			          "dates alone are other dates");
		if (field == PH_FIELD_OCTETS)
			ph_kit_same("octets", y->record.octets, ph_kit_small().length);
		if (field == PH_FIELD_BLOB)
			KIT_CHECK(x->record.blob.length == y->record.blob.length
			                  && memcmp(x->record.blob.octets, y->record.blob.octets,
			                            x->record.blob.length)
			                             == 0,
			          "the blob alone is another one");
		if (field == PH_FIELD_IDS)
			KIT_CHECK(memcmp(x->record.message_id, y->record.message_id,
			                 sizeof x->record.message_id)
			                  == 0,
			          "the message id alone is another one");
		if (field == PH_FIELD_STRUCTURE)
			ph_kit_same_text("structure", y->structure, "kit");
	}
}

static void
changes_stop(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitReading) reading = g_new0(PhKitReading, 1);
	g_autoptr(GError) error = NULL;

	ph_kit_open(&a, "stop");
	ph_kit_fill(&a, &a.inbox, 20);
	reading->stop_after = 7;
	KIT_CHECK(ph_kit_try_read(&a, &a.inbox, reading, PH_FIELD_FLAGS, &error),
	          "stopping the reading is an error: %s", error->message);
	ph_kit_same("records after stopping at the seventh", reading->records->len, 7);
	ph_kit_same_messages(&a, &a.inbox,
	                     "1:- 2:- 3:- 4:- 5:- 6:- 7:- 8:- 9:- 10:- 11:- 12:- 13:- 14:- 15:- "
	                     "16:- 17:- 18:- 19:- 20:-");
}

/* Either every expunge since is told, or the answer says that all records were told instead. */
static void
changes_expunged(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId target;
	uint64_t before = 0;
	uint64_t between = 0;

	ph_kit_open(&a, "expunged");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 10);
	before = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_expunge(&a, &a.inbox, "2:3,5");
	between = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_transfer(&a, PH_OP_MOVE, &a.inbox, "7", &target);
	for (int i = 0; i < 2; i++) {
		g_autofree char *all = ph_kit_changed(&a, &a.inbox, before, 10);
		g_autofree char *some = ph_kit_changed(&a, &a.inbox, between, 10);

		ph_kit_same_text("expunged since before", all, "gone 2:3,5,7");
		ph_kit_same_text("expunged since between", some, "gone 7");
		ph_kit_reopen(&a);
	}
}

/* A history that was trimmed is admitted: `full`, with every record. */
static void
changes_trimmed(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitReading) reading = NULL;
	uint32_t n = ph_kit_scaled(20000, 200);
	uint64_t before = 0;

	ph_kit_open(&a, "trimmed");
	ph_kit_fill(&a, &a.inbox, n);
	before = ph_kit_must_info(&a, &a.inbox).change;
	for (uint32_t uid = 2; uid < n; uid += 2) {
		g_autofree char *text = g_strdup_printf("%u", uid);

		(void) ph_kit_expunge(&a, &a.inbox, text);
		if (uid > 400 && uid % 1000 != 0)
			uid += 100;
	}
	(void) ph_kit.table->compact(a.handle, NULL);
	reading = ph_kit_read(&a, &a.inbox, before, NULL, PH_FIELD_FLAGS);
	if (!reading->result.full) {
		KIT_CHECK(ph_uid_set_contains(reading->expunged, 2), "an expunge is missing");
		ph_kit_note("the history was not trimmed");
		return;
	}
	ph_kit_same("records of a full answer", reading->records->len,
	            ph_kit_must_info(&a, &a.inbox).n_messages);
}

static void
counters(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId target;
	uint32_t n = ph_kit_scaled(2000, 60);

	ph_kit_open(&a, "counters");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 20);
	for (uint32_t i = 0; i < n; i++) {
		PhMailboxId *from = (ph_kit_random() & 1) != 0 ? &a.inbox : &target;
		PhMailboxId *to = from == &target ? &a.inbox : &target;
		uint32_t first = (uint32_t) (ph_kit_random() % (10 + i)) + 1;
		g_autofree char *uids = g_strdup_printf("%u:%u", first, first + 2);

		switch (ph_kit_random() % 6) {
		case 0:
			(void) ph_kit_append(&a, from, PH_SLICE_EMPTY);
			break;
		case 1:
			(void) ph_kit_expunge(&a, from, uids);
			break;
		case 2:
			(void) ph_kit_transfer(&a, PH_OP_COPY, from, uids, to);
			break;
		case 3:
			(void) ph_kit_transfer(&a, PH_OP_MOVE, from, uids, to);
			break;
		default:
			(void) ph_kit_set_flags(&a, from, uids,
			                        (uint32_t) (ph_kit_random() % 3) + 1,
			                        (uint32_t) (ph_kit_random() % 32), NULL);
		}
		if (i % 10 == 0)
			ph_kit_check_counts(&a);
	}
	ph_kit_reopen(&a);
	ph_kit_check_counts(&a);
}

const PhConformRule ph_conform_changes[] = {
	{ "changes-since", "STORE-4", "exactly what was altered since, and what was expunged since",
	  changes_since },
	{ "changes-complete", "STORE-4", "reading on from complete_to finds each change once",
	  changes_complete },
	{ "changes-set", "contract", "only the uids asked for, alone and with since",
	  changes_of_set },
	{ "changes-fields", "contract", "each field alone is what it is among all",
	  changes_fields },
	{ "changes-stop", "contract", "a callback that stops the reading is no error",
	  changes_stop },
	{ "changes-expunged", "STORE-4",
	  "expunged and moved uids since a change, also after reopening", changes_expunged },
	{ "changes-trimmed", "STORE-4", "a trimmed history is admitted and all records are told",
	  changes_trimmed },
	{ "counters", "contract", "the list's counters are those of a scan after any commit",
	  counters },
	{ NULL },
};

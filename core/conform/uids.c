/* uids.c: rules about uids and uidvalidity
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

/* An append that is undone: its uid may be lost, but never given twice. */
static void
fail_once(PhKitAccount *a)
{
	PhKitTx *tx = ph_kit_tx();

	(void) ph_kit_add_append(tx, a, &a->inbox, PH_SLICE_EMPTY);
	ph_kit_add_flags(tx, &a->inbox, "4000000000", PH_FLAGS_ADD)->must_exist = true;
	ph_kit_must_fail(a, tx, PH_ERROR_NOT_FOUND, "a transaction that must fail");
}

static void
uids_ascend(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t last = 0;

	ph_kit_open(&a, "ascend");
	for (int i = 0; i < 30; i++) {
		uint32_t uid = 0;

		if (i % 7 == 6)
			(void) ph_kit_transfer(&a, PH_OP_COPY, &a.inbox, "1:2", &a.inbox);
		if (i % 5 == 4)
			fail_once(&a);
		uid = ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY);
		KIT_CHECK(uid > last, "uid %u after uid %u", uid, last);
		KIT_CHECK(ph_kit_must_info(&a, &a.inbox).uidnext > uid,
		          "uidnext is not above uid %u", uid);
		last = uid;
	}
}

static void
check_not_reused(PhKitAccount *a, uint32_t highest, const char *when)
{
	PhMailboxInfo info = ph_kit_must_info(a, &a->inbox);
	uint32_t uid = 0;

	KIT_CHECK(info.uidnext > highest, "uidnext is %u %s, and uid %u was used", info.uidnext,
	          when, highest);
	uid = ph_kit_append(a, &a->inbox, PH_SLICE_EMPTY);
	KIT_CHECK(uid > highest, "uid %u was given %s, and uid %u was used before", uid, when,
	          highest);
}

static void
uids_after_expunge(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId target;

	ph_kit_open(&a, "after");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 5);
	(void) ph_kit_expunge(&a, &a.inbox, "4:5");
	check_not_reused(&a, 5, "after an expunge");
	(void) ph_kit_transfer(&a, PH_OP_MOVE, &a.inbox, "6", &target);
	check_not_reused(&a, 6, "after a move");
	(void) ph_kit_expunge(&a, &a.inbox, "1:100");
	check_not_reused(&a, 7, "after everything was expunged");
	(void) ph_kit_expunge(&a, &a.inbox, "1:100");
	ph_kit_reopen(&a);
	check_not_reused(&a, 8, "after everything was expunged and the account reopened");
}

static void
uidvalidity_stays(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxInfo before;
	PhMailboxInfo after;

	ph_kit_open(&a, "stays");
	ph_kit_fill(&a, &a.inbox, 3);
	before = ph_kit_must_info(&a, &a.inbox);
	ph_kit_reopen(&a);
	after = ph_kit_must_info(&a, &a.inbox);
	ph_kit_same("uidvalidity after reopening", after.uidvalidity, before.uidvalidity);
	ph_kit_same("uidnext after reopening", after.uidnext, before.uidnext);
	ph_kit_same("change after reopening", after.change, before.change);
	ph_kit_same("messages after reopening", after.n_messages, before.n_messages);
}

static void
uidvalidity_rises(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint32_t last = 0;

	ph_kit_open(&a, "rises");
	last = ph_kit_must_info(&a, &a.inbox).uidvalidity;
	for (int i = 0; i < 6; i++) {
		PhMailboxId id;
		uint32_t now = 0;

		ph_kit_create(&a, "again", &id);
		now = ph_kit_must_info(&a, &id).uidvalidity;
		KIT_CHECK(now > last,
		          "a mailbox that was made again has uidvalidity %u, and %u was given out "
		          "before",
		          now, last);
		last = now;
		(void) ph_kit_append(&a, &id, PH_SLICE_EMPTY);
		ph_kit_remove(&a, &id);
		if (i == 2)
			ph_kit_reopen(&a);
	}
}

static void
changes_rise(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t last = 0;
	PhMailboxId target;

	ph_kit_open(&a, "modseq");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 8);
	for (uint32_t i = 1; i <= 6; i++) {
		g_autofree char *uid = g_strdup_printf("%u", i);
		uint64_t now = 0;

		if (i == 3)
			ph_kit_reopen(&a);
		if (i % 3 == 0)
			(void) ph_kit_expunge(&a, &a.inbox, uid);
		else if (i % 3 == 1)
			(void) ph_kit_set_flags(&a, &a.inbox, uid, PH_FLAGS_ADD, PH_FLAG_SEEN,
			                        NULL);
		else
			(void) ph_kit_transfer(&a, PH_OP_MOVE, &a.inbox, uid, &target);
		now = ph_kit_must_info(&a, &a.inbox).change;
		KIT_CHECK(now > last,
		          "the mailbox's change is %" G_GUINT64_FORMAT
		          " after a commit that altered it, and was %" G_GUINT64_FORMAT,
		          now, last);
		last = now;
	}
}

const PhConformRule ph_conform_uids[] = {
	{ "uids-ascend", "STORE-3", "appends, copies and failures: each new uid is higher",
	  uids_ascend },
	{ "uids-never-reused", "STORE-3",
	  "the highest uid expunged or moved, also reopened: not given again", uids_after_expunge },
	{ "uidvalidity-stays", "STORE-3",
	  "uidvalidity, uidnext, change and counts outlive reopening", uidvalidity_stays },
	{ "uidvalidity-rises", "STORE-3", "a name removed and made again has a higher uidvalidity",
	  uidvalidity_rises },
	{ "changes-rise", "STORE-4", "every commit that alters a mailbox raises its change number",
	  changes_rise },
	{ NULL },
};

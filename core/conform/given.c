/* given.c: rules about results that were decided elsewhere
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

static void
given_append(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	uint64_t change = 0;

	ph_kit_open(&a, "append");
	ph_kit_fill(&a, &a.inbox, 2);
	change = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	tx->op->has_given = true;
	tx->op->given_uid = 50;
	tx->op->given_change = change + 1000;
	ph_kit_same("change of a commit whose change was given",
	            ph_kit_must(&a, tx, "an append with a given uid"), change + 1000);
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 50:-");
	ph_kit_same("uidnext after a given uid", ph_kit_must_info(&a, &a.inbox).uidnext, 51);
	tx = ph_kit_tx();
	(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	tx->op->has_given = true;
	tx->op->given_uid = 7;
	ph_kit_must_fail(&a, tx, PH_ERROR_INVALID, "a given uid below uidnext");
	tx = ph_kit_tx();
	(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	tx->op->has_given = true;
	tx->op->given_change = 1;
	KIT_CHECK(ph_kit_must(&a, tx, "an append with a low given change") > change + 1000,
	          "a given change lowered the change number");
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 50:- 51:-");
	ph_kit_check_counts(&a);
}

static void
given_create(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	PhMailboxInfo info;
	PhMailboxId id;
	PhMailboxId later;

	ph_kit_open(&a, "create");
	(void) ph_kit_add_create(tx, "given", &id);
	tx->op->has_given = true;
	tx->op->given_uidvalidity = 4000000000U;
	tx->op->given_uid = 700;
	KIT_CHECK(ph_kit_commit(&a, tx), "create with given results failed: %s",
	          tx->public.error->message);
	ph_kit_same("uidvalidity of the result", tx->op->uidvalidity, 4000000000U);
	info = ph_kit_must_info(&a, &id);
	ph_kit_same("given uidvalidity", info.uidvalidity, 4000000000U);
	ph_kit_same("given first uidnext", info.uidnext, 700);
	ph_kit_same("uid after a given uidnext", ph_kit_append(&a, &id, PH_SLICE_EMPTY), 700);
	ph_kit_create(&a, "later", &later);
	KIT_CHECK(ph_kit_must_info(&a, &later).uidvalidity > 4000000000U,
	          "a later uidvalidity is not above one that was given");
}

/* Pairs that do not follow the order of the source. */
static void
given_pairs(uint32_t kind, const char *who)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId target;

	ph_kit_open(&a, who);
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 4);
	(void) ph_kit_set_flags(&a, &a.inbox, "3", PH_FLAGS_ADD, PH_FLAG_SEEN, "word");
	(void) ph_kit_add_transfer(tx, kind, &a.inbox, "1,3", &target);
	tx->op->has_given = true;
	ph_uid_set_add_range(tx->op->from_uids, 1, 1);
	ph_uid_set_add_range(tx->op->from_uids, 3, 3);
	ph_uid_set_add_range(tx->op->to_uids, 10, 10);
	ph_uid_set_add_range(tx->op->to_uids, 20, 20);
	(void) ph_kit_must(&a, tx, "a transfer with given pairs");
	ph_kit_same_messages(&a, &target, "10:- 20:S+word");
	ph_kit_same("uidnext after given pairs", ph_kit_must_info(&a, &target).uidnext, 21);
	ph_kit_same_messages(&a, &a.inbox, kind == PH_OP_MOVE ? "2:- 4:-" : "1:- 2:- 3:S+word 4:-");
	ph_kit_check_octets(&a, &target, 20, ph_kit_small());
	tx = ph_kit_tx();
	(void) ph_kit_add_transfer(tx, kind, &a.inbox, "2", &target);
	tx->op->has_given = true;
	ph_uid_set_add(tx->op->from_uids, 2);
	ph_uid_set_add(tx->op->to_uids, 15);
	ph_kit_must_fail(&a, tx, PH_ERROR_INVALID, "a given pair below uidnext");
	ph_kit_check_counts(&a);
}

static void
given_copy(void)
{
	given_pairs(PH_OP_COPY, "copy");
}

static void
given_move(void)
{
	given_pairs(PH_OP_MOVE, "move");
}

static void
raise_raises(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	uint64_t change = 0;

	ph_kit_open(&a, "raise");
	ph_kit_fill(&a, &a.inbox, 3);
	change = ph_kit_must_info(&a, &a.inbox).change + 500;
	for (int round = 0; round < 2; round++) {
		PhKitTx *tx = ph_kit_tx();

		(void) ph_kit_add(tx, PH_OP_RAISE, &a.inbox);
		tx->op->has_given = true;
		tx->op->given_uid = round == 0 ? 1000 : 5;
		tx->op->given_change = round == 0 ? change : 1;
		(void) ph_kit_must(&a, tx, "raise");
		ph_kit_same("uidnext after raise", ph_kit_must_info(&a, &a.inbox).uidnext, 1000);
		KIT_CHECK(ph_kit_must_info(&a, &a.inbox).change >= change,
		          "raise left the change number below what was given");
		ph_kit_reopen(&a);
	}
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 3:-");
	ph_kit_same("uid after raise", ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY), 1000);
	ph_kit_check_counts(&a);
}

const PhConformRule ph_conform_given[] = {
	{ "given-append", "STORE-3", "a given uid and change are taken; they never lower anything",
	  given_append },
	{ "given-create", "STORE-3", "a given uidvalidity and first uidnext", given_create },
	{ "given-copy", "STORE-3", "a copy with given pairs", given_copy },
	{ "given-move", "STORE-3", "a move with given pairs", given_move },
	{ "raise", "STORE-3", "uidnext and change are raised, and never lowered", raise_raises },
	{ NULL },
};

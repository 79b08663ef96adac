/* flags.c: rules about changing flags and keywords
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

static void
mode(const char *who, uint32_t flags_mode, const char *expected)
{
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, who);
	ph_kit_fill(&a, &a.inbox, 3);
	(void) ph_kit_set_flags(&a, &a.inbox, "1:2", PH_FLAGS_ADD, PH_FLAG_SEEN | PH_FLAG_DRAFT,
	                        "alpha beta");
	(void) ph_kit_set_flags(&a, &a.inbox, "2:3", flags_mode, PH_FLAG_SEEN | PH_FLAG_FLAGGED,
	                        "beta gamma");
	ph_kit_same_messages(&a, &a.inbox, expected);
	ph_kit_check_counts(&a);
	ph_kit_reopen(&a);
	ph_kit_same_messages(&a, &a.inbox, expected);
}

static void
flags_add(void)
{
	mode("add", PH_FLAGS_ADD, "1:SD+alpha beta 2:SFD+alpha beta gamma 3:SF+beta gamma");
}

static void
flags_remove(void)
{
	mode("remove", PH_FLAGS_REMOVE, "1:SD+alpha beta 2:D+alpha 3:-");
}

static void
flags_replace(void)
{
	mode("replace", PH_FLAGS_REPLACE, "1:SD+alpha beta 2:SF+beta gamma 3:SF+beta gamma");
}

static void
flags_each(void)
{
	static const char letters[] = "SAFTD";
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, "each");
	ph_kit_fill(&a, &a.inbox, 1);
	for (size_t i = 0; letters[i] != '\0'; i++) {
		g_autofree char *expected = g_strdup_printf("1:%c", letters[i]);

		(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_REPLACE, 1U << i, NULL);
		ph_kit_same_messages(&a, &a.inbox, expected);
		ph_kit_check_counts(&a);
	}
}

static void
flags_nothing(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *changed = NULL;
	uint64_t before = 0;

	ph_kit_open(&a, "nothing");
	ph_kit_fill(&a, &a.inbox, 2);
	(void) ph_kit_set_flags(&a, &a.inbox, "1:2", PH_FLAGS_ADD, PH_FLAG_SEEN, "word");
	before = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_set_flags(&a, &a.inbox, "1:2", PH_FLAGS_ADD, PH_FLAG_SEEN, "word");
	(void) ph_kit_set_flags(&a, &a.inbox, "1:2", PH_FLAGS_REMOVE, PH_FLAG_DRAFT, "other");
	(void) ph_kit_set_flags(&a, &a.inbox, "1:2", PH_FLAGS_REPLACE, PH_FLAG_SEEN, "word");
	ph_kit_same("change of the mailbox", ph_kit_must_info(&a, &a.inbox).change, before);
	changed = ph_kit_changed(&a, &a.inbox, before, 2);
	ph_kit_same_text("changes", changed, "gone ");
}

/* Those that are altered take a new change, those that are not keep theirs. */
static void
flags_some(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *changed = NULL;
	uint64_t before = 0;

	ph_kit_open(&a, "some");
	ph_kit_fill(&a, &a.inbox, 3);
	(void) ph_kit_set_flags(&a, &a.inbox, "2", PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
	before = ph_kit_must_info(&a, &a.inbox).change;
	(void) ph_kit_set_flags(&a, &a.inbox, "1:3", PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
	changed = ph_kit_changed(&a, &a.inbox, before, 3);
	ph_kit_same_text("changes", changed, "1:S 3:S gone ");
}

static void
check_conditional(PhKitAccount *a, const char *uids, uint64_t since, const char *refused)
{
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autofree char *text = NULL;

	ph_kit_add_flags(tx, &a->inbox, uids, PH_FLAGS_ADD)->flags = PH_FLAG_ANSWERED;
	tx->op->has_unchanged_since = true;
	tx->op->unchanged_since = since;
	KIT_CHECK(ph_kit_commit(a, tx), "a flag change failed: %s", tx->public.error->message);
	text = ph_kit_set(tx->op->refused);
	ph_kit_same_text("refused uids", text, refused);
}

static void
flags_unchanged_since(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitReading) reading = NULL;

	ph_kit_open(&a, "unchanged");
	ph_kit_fill(&a, &a.inbox, 3);
	(void) ph_kit_set_flags(&a, &a.inbox, "2", PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
	check_conditional(&a, "1:3", 0, "1:3");
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:S 3:-");
	reading = ph_kit_read(&a, &a.inbox, 0, NULL, 0);
	check_conditional(&a, "1:3", ph_kit_record(reading, 2)->change - 1, "2");
	ph_kit_same_messages(&a, &a.inbox, "1:A 2:S 3:A");
	check_conditional(&a, "2", ph_kit_record(reading, 2)->change, "");
	ph_kit_same_messages(&a, &a.inbox, "1:A 2:SA 3:A");
}

static void
flags_missing(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autofree char *missing = NULL;

	ph_kit_open(&a, "missing");
	ph_kit_fill(&a, &a.inbox, 4);
	(void) ph_kit_expunge(&a, &a.inbox, "2");
	ph_kit_add_flags(tx, &a.inbox, "1:3,8", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	KIT_CHECK(ph_kit_commit(&a, tx), "a flag change failed: %s", tx->public.error->message);
	missing = ph_kit_set(tx->op->missing);
	ph_kit_same_text("missing uids", missing, "2,8");
	ph_kit_same_messages(&a, &a.inbox, "1:S 3:S 4:-");
}

static void
must_exist(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId target;

	ph_kit_open(&a, "must");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 3);
	(void) ph_kit_expunge(&a, &a.inbox, "2");
	ph_kit_add_flags(tx, &a.inbox, "1:3", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	tx->op->must_exist = true;
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "flags of a missing uid that must exist");
	tx = ph_kit_tx();
	ph_kit_add_transfer(tx, PH_OP_COPY, &a.inbox, "1:3", &target)->must_exist = true;
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "copy of a missing uid that must exist");
	tx = ph_kit_tx();
	ph_kit_add_transfer(tx, PH_OP_MOVE, &a.inbox, "3:4", &target)->must_exist = true;
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "move of a missing uid that must exist");
	ph_kit_same_messages(&a, &a.inbox, "1:- 3:-");
	ph_kit_same_messages(&a, &target, "");
	tx = ph_kit_tx();
	ph_kit_add_transfer(tx, PH_OP_MOVE, &a.inbox, "1,3", &target)->must_exist = true;
	(void) ph_kit_must(&a, tx, "a move of what is there");
	ph_kit_same_messages(&a, &target, "1:- 2:-");
}

static void
keywords_any_case(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };

	ph_kit_open(&a, "case");
	ph_kit_fill(&a, &a.inbox, 1);
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, 0, "Urgent");
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, 0, "URGENT");
	ph_kit_same_messages(&a, &a.inbox, "1:+urgent");
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_REMOVE, 0, "urgent");
	ph_kit_same_messages(&a, &a.inbox, "1:-");
}

const PhConformRule ph_conform_flags[] = {
	{ "flags-add", "contract",
	  "flags and keywords are added, others stay; also after reopening", flags_add },
	{ "flags-remove", "contract", "flags and keywords are removed, others stay", flags_remove },
	{ "flags-replace", "contract", "flags and keywords are replaced", flags_replace },
	{ "flags-each", "contract", "each of the five flags is kept and counted", flags_each },
	{ "flags-nothing", "STORE-4", "a flag change that alters nothing takes no change number",
	  flags_nothing },
	{ "flags-some", "STORE-4", "only what is altered takes a new change number", flags_some },
	{ "flags-unchanged-since", "contract",
	  "0 is a value; what changed since is refused, the rest done", flags_unchanged_since },
	{ "flags-missing", "contract", "missing uids are reported, the others are changed",
	  flags_missing },
	{ "must-exist", "STORE-1", "a missing uid that must exist fails the whole transaction",
	  must_exist },
	{ "keywords-case", "contract", "keywords are the same in any case", keywords_any_case },
	{ NULL },
};

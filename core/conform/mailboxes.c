/* mailboxes.c: rules about creating, naming, removing and listing mailboxes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

enum {
	NAME_OCTETS = 200, /* of a long component: fits a file name when nothing is escaped */
};

static void
check_names(PhKitAccount *a, const char *expected)
{
	g_autofree char *names = ph_kit_names(a, NULL);

	ph_kit_same_text("mailboxes", names, expected);
}

static void
create_lists(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	PhMailboxInfo info;
	PhMailboxId id;

	ph_kit_open(&a, "create");
	(void) ph_kit_add_create(tx, "work", &id);
	tx->op->special_use = PH_USE_ARCHIVE;
	KIT_CHECK(ph_kit_commit(&a, tx), "create failed: %s", tx->public.error->message);
	check_names(&a, "INBOX work");
	info = ph_kit_must_info(&a, &id);
	ph_kit_same("special use", info.special_use, PH_USE_ARCHIVE);
	ph_kit_same("uidvalidity of the result", tx->op->uidvalidity, info.uidvalidity);
	KIT_CHECK(info.uidvalidity > 0, "uidvalidity is 0");
	ph_kit_same("uidnext of a new mailbox", info.uidnext, 1);
	ph_kit_same("messages of a new mailbox", info.n_messages, 0);
	ph_kit_same_messages(&a, &id, "");
	ph_kit_reopen(&a);
	check_names(&a, "INBOX work");
	ph_kit_same("special use after reopening", ph_kit_must_info(&a, &id).special_use,
	            PH_USE_ARCHIVE);
}

static void
create_exists(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId id;
	PhMailboxId other;

	ph_kit_open(&a, "exists");
	ph_kit_create(&a, "work", &id);
	(void) ph_kit_add_create(tx, "work", &other);
	ph_kit_must_fail(&a, tx, PH_ERROR_EXISTS, "creating a name that is taken");
	tx = ph_kit_tx();
	(void) ph_kit_add_rename(tx, &id, "INBOX");
	ph_kit_must_fail(&a, tx, PH_ERROR_EXISTS, "renaming to a name that is taken");
	check_names(&a, "INBOX work");
}

static void
rename_keeps(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxInfo before;
	PhMailboxInfo after;
	PhMailboxId id;

	ph_kit_open(&a, "rename");
	ph_kit_create(&a, "old", &id);
	ph_kit_fill(&a, &id, 2);
	(void) ph_kit_set_flags(&a, &id, "2", PH_FLAGS_ADD, PH_FLAG_SEEN, "word");
	before = ph_kit_must_info(&a, &id);
	(void) ph_kit_add_rename(tx, &id, "new");
	(void) ph_kit_must(&a, tx, "rename");
	tx = ph_kit_tx();
	ph_kit_add_rename(tx, &id, "new")->special_use = PH_USE_ARCHIVE;
	(void) ph_kit_must(&a, tx, "rename to the name that it has, for a special use");
	check_names(&a, "INBOX new");
	after = ph_kit_must_info(&a, &id);
	ph_kit_same("special use after the rename", after.special_use, PH_USE_ARCHIVE);
	ph_kit_same("uidvalidity after the rename", after.uidvalidity, before.uidvalidity);
	ph_kit_same("uidnext after the rename", after.uidnext, before.uidnext);
	ph_kit_same_messages(&a, &id, "1:- 2:S+word");
	ph_kit_check_octets(&a, &id, 1, ph_kit_small());
	ph_kit_reopen(&a);
	check_names(&a, "INBOX new");
	ph_kit_same_messages(&a, &id, "1:- 2:S+word");
	ph_kit_check_octets(&a, &id, 2, ph_kit_small());
	(void) ph_kit_append(&a, &id, PH_SLICE_EMPTY);
	ph_kit_create(&a, "old", &id);
	check_names(&a, "INBOX new old");
	ph_kit_same_messages(&a, &id, "");
}

/* The core names children itself, in the same transaction. */
static void
rename_tree(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId ids[3];

	ph_kit_open(&a, "tree");
	ph_kit_create(&a, "a", &ids[0]);
	ph_kit_create(&a, "a/b", &ids[1]);
	ph_kit_create(&a, "a/b/c", &ids[2]);
	ph_kit_fill(&a, &ids[2], 1);
	(void) ph_kit_add_rename(tx, &ids[0], "x");
	(void) ph_kit_add_rename(tx, &ids[1], "x/b");
	(void) ph_kit_add_rename(tx, &ids[2], "x/b/c");
	(void) ph_kit_must(&a, tx, "rename of a tree");
	check_names(&a, "INBOX x x/b x/b/c");
	ph_kit_check_octets(&a, &ids[2], 1, ph_kit_small());
	ph_kit_remove(&a, &ids[1]);
	check_names(&a, "INBOX x x/b/c");
	ph_kit_check_octets(&a, &ids[2], 1, ph_kit_small());
}

static void
remove_removes(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	g_autoptr(PhKitReading) reading = g_new0(PhKitReading, 1);
	g_autoptr(GError) error = NULL;
	PhMailboxInfo info;
	PhMailboxId id;

	ph_kit_open(&a, "remove");
	ph_kit_create(&a, "work", &id);
	ph_kit_fill(&a, &id, 3);
	ph_kit_remove(&a, &id);
	check_names(&a, "INBOX");
	KIT_CHECK(!ph_kit_info(&a, &id, &info), "a removed mailbox is listed");
	(void) ph_kit_add_append(tx, &a, &id, PH_SLICE_EMPTY);
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "append to a removed mailbox");
	tx = ph_kit_tx();
	(void) ph_kit_add(tx, PH_OP_REMOVE, &id);
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "removing a mailbox twice");
	tx = ph_kit_tx();
	(void) ph_kit_add_rename(tx, &id, "again");
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "renaming a removed mailbox");
	KIT_CHECK(!ph_kit_try_read(&a, &id, reading, 0, &error),
	          "changes of a removed mailbox were told");
	KIT_CHECK(g_error_matches(error, PH_ERROR, PH_ERROR_GONE),
	          "changes of a removed mailbox: class %d, expected GONE", error->code);
}

static void
list_change_rises(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId id;
	uint64_t changes[5] = { 0 };
	PhKitTx *tx = NULL;

	ph_kit_open(&a, "list");
	g_free(ph_kit_names(&a, &changes[0]));
	ph_kit_create(&a, "one", &id);
	g_free(ph_kit_names(&a, &changes[1]));
	tx = ph_kit_tx();
	(void) ph_kit_add_rename(tx, &id, "two");
	(void) ph_kit_must(&a, tx, "rename");
	g_free(ph_kit_names(&a, &changes[2]));
	ph_kit_remove(&a, &id);
	g_free(ph_kit_names(&a, &changes[3]));
	for (size_t i = 1; i < 4; i++)
		KIT_CHECK(
			changes[i] > changes[i - 1],
			"the list's change number did not rise with step %u of create, rename, remove",
			(unsigned) i);
	ph_kit_reopen(&a);
	g_free(ph_kit_names(&a, &changes[4]));
	ph_kit_same("the list's change number after reopening", changes[4], changes[3]);
}

/* What the core lets through: no empty component, no "." or "..", no control character. */
static const char *const odd_names[] = {
	"a b",
	" lead",
	"trail ",
	"dot.in.name",
	".hidden",
	"...",
	"INBOX/below",
	"inboxes",
	"100%",
	"%2e%2e",
	"a\\b",
	"quote\"s'",
	"$(touch x)",
	"`id`",
	"*?[a-z]",
	"-rf",
	"#hash",
	"&-",
	"&AOQ-",
	"cur",
	"new",
	"tmp",
	"cur/new/tmp",
	"dovecot-uidlist",
	"subscriptions",
	"mail.sqlite",
	"\xc3\xa4\xc3\xb6\xc3\xbc", /* composed */
	"a\xcc\x88",                /* decomposed: another name */
	"\xe2\x80\xae"
	"evil", /* right-to-left override */
	"\xf0\x9f\x93\xa7/\xe6\x97\xa5\xe6\x9c\xac",
	"a:2,S",
	"semi;colon|pipe&and",
};

static void
hostile_names(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *longest = g_strnfill(NAME_OCTETS, 'x');
	PhMailboxId ids[G_N_ELEMENTS(odd_names)];
	PhMailboxId long_id;

	ph_kit_open(&a, "names");
	for (size_t i = 0; i < G_N_ELEMENTS(odd_names); i++) {
		g_autofree char *text = g_strdup_printf("%u\r\n", (unsigned) i);

		ph_kit_create(&a, odd_names[i], &ids[i]);
		ph_kit_same("uid", ph_kit_append(&a, &ids[i], ph_slice(text)), 1);
	}
	ph_kit_create(&a, longest, &long_id);
	ph_kit_reopen(&a);
	for (size_t i = 0; i < G_N_ELEMENTS(odd_names); i++) {
		g_autofree char *text = g_strdup_printf("%u\r\n", (unsigned) i);
		g_autofree char *padded = g_strdup_printf(" %s ", odd_names[i]);
		g_autofree char *names = ph_kit_names(&a, NULL);
		g_autofree char *all = g_strdup_printf(" %s ", names);

		KIT_CHECK(strstr(all, padded) != NULL, "mailbox '%s' is not listed by its name",
		          odd_names[i]);
		ph_kit_check_octets(&a, &ids[i], 1, ph_slice(text));
	}
	for (size_t i = 0; i < G_N_ELEMENTS(odd_names); i++)
		ph_kit_remove(&a, &ids[i]);
}

static void
deep_names(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(GString) name = g_string_new("d");
	g_autofree char *names = NULL;
	PhMailboxId id;

	ph_kit_open(&a, "deep");
	for (int i = 0; i < 99; i++)
		g_string_append(name, "/d");
	ph_kit_create(&a, name->str, &id);
	(void) ph_kit_append(&a, &id, PH_SLICE_EMPTY);
	ph_kit_reopen(&a);
	names = ph_kit_names(&a, NULL);
	KIT_CHECK(strstr(names, name->str) != NULL, "a mailbox 100 levels deep is not listed");
	ph_kit_same_messages(&a, &id, "1:-");
}

static void
names_by_case(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId ids[2];

	ph_kit_open(&a, "bycase");
	ph_kit_create(&a, "Work", &ids[0]);
	ph_kit_create(&a, "work", &ids[1]);
	(void) ph_kit_append(&a, &ids[0], PH_SLICE_EMPTY);
	ph_kit_same_messages(&a, &ids[1], "");
	check_names(&a, "INBOX Work work");
}

const PhConformRule ph_conform_mailboxes[] = {
	{ "create", "contract", "a new mailbox is listed with use, uidvalidity, uidnext 1",
	  create_lists },
	{ "create-exists", "contract", "a name that is taken is EXISTS, for create and rename",
	  create_exists },
	{ "rename", "contract", "id, uids, flags and octets stay; the old name is free",
	  rename_keeps },
	{ "rename-tree", "contract", "children named in the same transaction; a parent may go",
	  rename_tree },
	{ "remove", "contract", "a removed mailbox is NOT_FOUND for commits, GONE for changes",
	  remove_removes },
	{ "list-change", "contract", "the list's change number rises with create, rename, remove",
	  list_change_rises },
	{ "hostile-names", "STORE-7", "odd names that the core lets through are names like others",
	  hostile_names },
	{ "deep-names", "contract", "a name of a hundred levels", deep_names },
	{ "names-case", "contract", "names that differ in case are different", names_by_case },
	{ NULL },
};

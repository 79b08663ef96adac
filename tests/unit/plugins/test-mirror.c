/* test-mirror.c: the second store follows the first, catches up, and differences are told
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "stacks-read.h"

#define ONE    "[store one]\nplugin = sqlite\npath = {data}/one/{user}.sqlite\n"
#define TWO    "[store two]\nplugin = sqlite\npath = {data}/two/{user}.sqlite\n"
#define MIRROR "[store mail]\nplugin = mirror\nfirst = one\nsecond = two\nretry = 1us\n"
/* the second, or the first, fails while the file `away` is there */
#define FAULTY(name, below, at)                                         \
	"[store " name "]\nplugin = fault\nbelow = " below "\nat = " at \
	"\nerror = temporary\nonly-while = away\n"
#define OVER(first, second) \
	"[store mail]\nplugin = mirror\nretry = 1us\nfirst = " first "\nsecond = " second "\n"
#define ALL "open, mailboxes, changes, values, upload, content, commit"

static void
set_away(Stack *stack, bool away)
{
	g_autofree char *path = g_build_filename(stack->folder, "away", NULL);

	if (away)
		stack_write(stack, "away", "");
	else
		(void) g_remove(path);
}

static bool
run(Stack *stack, PhOp *op)
{
	PhOp *ops[] = { op };

	op->keywords = op->keywords != NULL ? op->keywords : stack_no_keywords;
	return stack_commit(stack, ops, 1, NULL);
}

static void
set_flags(Stack *stack, uint32_t uid, uint32_t flags)
{
	static const char *const keywords[] = { "$Junk", "other", NULL };
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	g_autoptr(PhUidSet) refused = ph_uid_set_new();
	g_autoptr(PhUidSet) missing = ph_uid_set_new();
	PhOp op = {
		.kind = PH_OP_FLAGS,
		.mailbox = stack->inbox,
		.uids = uids,
		.flags_mode = PH_FLAGS_ADD,
		.flags = flags,
		.keywords = keywords,
		.refused = refused,
		.missing = missing,
	};

	g_assert_true(run(stack, &op));
}

static void
transfer(Stack *stack, uint32_t kind, uint32_t uid, const PhMailboxId *to)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	g_autoptr(PhUidSet) missing = ph_uid_set_new();
	g_autoptr(PhUidSet) from_uids = ph_uid_set_new();
	g_autoptr(PhUidSet) to_uids = ph_uid_set_new();
	PhOp op = {
		.kind = kind,
		.mailbox = stack->inbox,
		.uids = uids,
		.missing = missing,
		.from_uids = from_uids,
		.to_uids = to_uids,
		.save_date = 5,
	};

	if (to != NULL)
		op.to = *to;
	g_assert_true(run(stack, &op));
}

static void
put(Stack *stack, const char *key, const char *value)
{
	PhOp op = {
		.kind = PH_OP_PUT,
		.is_account_value = true,
		.key = key,
		.value = ph_slice(value),
	};

	g_assert_true(run(stack, &op));
}

/* Some of everything. */
static void
live(Stack *stack, const char *named)
{
	PhMailboxId folder = stack_create(stack, "Folder");
	PhMailboxId gone = stack_create(stack, "Gone");
	PhOp name = { .kind = PH_OP_RENAME, .mailbox = folder, .name = named };
	PhOp away = { .kind = PH_OP_REMOVE, .mailbox = gone };
	uint32_t uids[6];

	for (uint32_t i = 0; i < 6; i++) {
		g_autofree char *text = g_strnfill(1000 + 70000 * (gsize) i, (char) ('a' + i));

		uids[i] = stack_append(stack, ph_slice(text));
	}
	set_flags(stack, uids[0], PH_FLAG_SEEN | PH_FLAG_FLAGGED);
	set_flags(stack, uids[1], PH_FLAG_DELETED);
	transfer(stack, PH_OP_COPY, uids[2], &folder);
	transfer(stack, PH_OP_MOVE, uids[3], &folder);
	transfer(stack, PH_OP_EXPUNGE, uids[1], NULL);
	g_assert_true(run(stack, &name));
	g_assert_true(run(stack, &away));
	put(stack, "subscription/INBOX", "1");
}

static void
tear_second(Stack *stack)
{
	g_autofree char *folder = g_build_filename(stack->folder, "data", "two", NULL);

	stack_remove_tree(folder);
}

static bool
find_change(const PhMailboxInfo *info, void *user_data)
{
	*(uint64_t *) user_data = MAX(*(uint64_t *) user_data, info->change);
	return true;
}

/* The highest change number of an account in one of the stores. */
static uint64_t
highest_change(Stack *stack, const char *name)
{
	uint64_t change = 0;
	uint64_t list_change = 0;

	stack_detach(stack);
	g_assert_true(stack_attach(stack, name, "ann", NULL));
	g_assert_true(
		stack->store->mailboxes(stack->account, find_change, &change, &list_change, NULL));
	return change;
}

static void
test_follows(void)
{
	Stack stack;
	uint64_t one = 0;

	stack_init(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	live(&stack, "Renamed");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	one = highest_change(&stack, "one");
	g_assert_cmpuint(one, ==, highest_change(&stack, "two"));
	stack_clear(&stack);
}

/* A store that is in use gets a second, which is empty. */
static void
test_empty_second(void)
{
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, ONE, "one");
	live(&stack, "Renamed");
	stack_close(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	live(&stack, "Another");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

/* Commits go on while the second is away; afterwards it holds everything. */
static void
test_second_away(void)
{
	static const char sections[] = ONE TWO FAULTY("faulty", "two", ALL) OVER("one", "faulty");
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	(void) stack_append(&stack, ph_slice("before"));
	set_away(&stack, true);
	live(&stack, "Renamed");
	set_away(&stack, false);
	(void) stack_append(&stack, ph_slice("after"));
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	/* from the beginning of a session to its end */
	set_away(&stack, true);
	stack_close(&stack);
	stack_open(&stack, sections, "mail");
	stack_assert_octets(&stack, 1, ph_slice("before"));
	set_flags(&stack, 1, PH_FLAG_ANSWERED);
	(void) stack_append(&stack, ph_slice("more"));
	stack_close(&stack);
	set_away(&stack, false);
	stack_open(&stack, sections, "mail");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

/* A maildir counts changes of its own when it folds in what other programs did: its numbers do not tell
 * how far it has followed. */
static void
test_second_counts(void)
{
	static const char sections[] =
		ONE "[store two]\nplugin = maildir\npath = {data}/two/{user}\n" FAULTY(
			"faulty", "two", ALL) OVER("one", "faulty");
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	for (int i = 0; i < 5; i++)
		(void) stack_append(&stack, ph_slice("before"));
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	set_away(&stack, true);
	for (int i = 0; i < 5; i++)
		(void) stack_append(&stack, ph_slice("meanwhile"));
	set_away(&stack, false);
	(void) stack_append(&stack, ph_slice("after"));
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_close(&stack);
	stack_open(&stack, sections, "mail");
	set_flags(&stack, 7, PH_FLAG_ANSWERED);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

/* A little at a time, over several openings. */
static void
test_slices(void)
{
	static const char sections[] = ONE TWO MIRROR "catch-up = 1us\ncompare = off\n";
	Stack stack;
	unsigned findings = 1;
	unsigned openings = 0;

	stack_init(&stack);
	stack_open(&stack, ONE, "one");
	for (int i = 0; i < 200; i++)
		(void) stack_append(&stack, ph_slice("one of many"));
	live(&stack, "Renamed");
	stack_close(&stack);
	for (; findings > 0 && openings < 40; openings++) {
		stack_open(&stack, sections, "mail");
		if (openings == 2)
			set_flags(&stack, 1, PH_FLAG_DRAFT);
		findings = stack_verify(&stack, false);
		stack_close(&stack);
	}
	g_test_message("%u openings", openings);
	g_assert_cmpuint(openings, >, 1);
	g_assert_cmpuint(findings, ==, 0);
	stack_clear(&stack);
}

/* Two messages get keywords while the second is away, the higher uid first: what is copied first has the
 * last change. Catching up ends in an error after so many commits, and goes on with the next opening. */
static void
test_stopped_at(unsigned after)
{
	g_autofree char *stopped =
		g_strdup_printf(ONE TWO "[store faulty]\nplugin = fault\nbelow = two\nat = commit\n"
	                                "error = temporary\nafter = %u\n" OVER("one", "faulty"),
	                        after);
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, ONE, "one");
	for (int i = 0; i < 6; i++)
		(void) stack_append(&stack, ph_slice("some"));
	stack_close(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_close(&stack);
	stack_open(&stack, ONE, "one");
	set_flags(&stack, 5, 0);
	set_flags(&stack, 3, 0);
	stack_close(&stack);
	stack_open(&stack, stopped, "mail");
	stack_assert_octets(&stack, 1, ph_slice("some"));
	stack_close(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

static void
test_stopped(void)
{
	for (unsigned after = 0; after < 8; after++)
		test_stopped_at(after);
}

/* Somebody did something to the second: it is told, and repaired. */
static void
test_differences(void)
{
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	live(&stack, "Renamed");
	stack_close(&stack);
	stack_open(&stack, ONE TWO MIRROR, "two");
	transfer(&stack, PH_OP_EXPUNGE, 1, NULL);
	(void) stack_append(&stack, ph_slice("not of the first"));
	set_flags(&stack, 3, PH_FLAG_DRAFT);
	(void) stack_create(&stack, "Surplus");
	stack_close(&stack);
	stack_open(&stack, ONE TWO MIRROR "compare = off\ncatch-up = 1us\n", "mail");
	g_assert_cmpuint(stack_verify(&stack, true), >=, 2);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	(void) stack_append(&stack, ph_slice("and on"));
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

static void
test_second_lost(void)
{
	Stack stack;

	stack_init(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	live(&stack, "Renamed");
	stack_close(&stack);
	tear_second(&stack);
	stack_open(&stack, ONE TWO MIRROR, "mail");
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_clear(&stack);
}

/* What the first cannot read, the second does. */
static void
test_second_answers(void)
{
	static const char sections[] =
		ONE TWO FAULTY("faulty", "one", "mailboxes, changes, content")
			OVER("faulty", "two");
	Stack stack;
	g_autoptr(GError) error = NULL;
	uint64_t change = 0;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	(void) stack_append(&stack, ph_slice("in both"));
	set_away(&stack, true);
	stack_assert_octets(&stack, 1, ph_slice("in both"));
	g_assert_true(
		stack.store->mailboxes(stack.account, stack_find_inbox, &stack, &change, &error));
	stack_clear(&stack);
}

/* require = both: unknown until the second has it too, and then once. */
static void
test_both(void)
{
	static const char sections[] =
		ONE TWO FAULTY("faulty", "two", "commit") OVER("one", "faulty") "require = both\n";
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("wanted in both"));
	g_autoptr(GError) error = NULL;
	Stack stack;
	PhOp op = { .kind = PH_OP_APPEND, .keywords = stack_no_keywords, .octets = 14 };
	PhOp *ops[] = { &op };
	PhTransaction transaction = { .id = { 7 }, .ops = ops, .n_ops = 1 };
	PhTransaction *batch[] = { &transaction };

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	op.mailbox = stack.inbox;
	g_assert_true(stack.store->upload(stack.account, content, false, &op.blob, &error));
	set_away(&stack, true);
	g_assert_false(stack.store->commit(stack.account, batch, 1, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN);
	g_clear_error(&error);
	set_away(&stack, false);
	g_assert_true(stack.store->commit(stack.account, batch, 1, &error));
	g_assert_true(transaction.done);
	g_assert_cmpuint(op.uid, ==, 1);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	g_assert_cmpuint(stack_append(&stack, ph_slice("next")), ==, 2);
	stack_clear(&stack);
}

static void
replace_folder(Stack *stack, const char *from, const char *to)
{
	g_autofree char *source = g_build_filename(stack->folder, "data", from, NULL);
	g_autofree char *target = g_build_filename(stack->folder, "data", to, NULL);
	const char *argv[] = { "cp", "-a", source, target, NULL };

	stack_remove_tree(target);
	g_assert_true(g_spawn_sync(NULL, (char **) (uintptr_t) argv, NULL, G_SPAWN_SEARCH_PATH,
	                           NULL, NULL, NULL, NULL, NULL, NULL));
}

/* An append as the journal would make it again. */
static void
append_given(Stack *stack, PhOp *op, PhTransaction *transaction)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("in the journal"));
	g_autoptr(GError) error = NULL;
	PhTransaction *batch[] = { transaction };

	op->mailbox = stack->inbox;
	transaction->done = false;
	g_assert_true(stack->store->upload(stack->account, content, false, &op->blob, &error));
	(void) stack->store->commit(stack->account, batch, 1, &error);
	g_assert_no_error(error);
	g_assert_true(transaction->done);
	stack->store->abandon(stack->account, &op->blob);
}

/* With the power the first forgets its last commit, and the second does not: nothing is taken from the
 * second before the journal was replayed. (It could not get it back: it takes no uploads.) */
static void
test_replay(void)
{
	static const char sections[] = ONE TWO FAULTY("faulty", "two", "upload")
		OVER("one", "faulty") "compare = content\n";
	g_autoptr(GError) error = NULL;
	Stack stack;
	PhOp op = { .kind = PH_OP_APPEND, .keywords = stack_no_keywords, .octets = 14 };
	PhOp *ops[] = { &op };
	PhTransaction transaction = { .id = { 9 }, .ops = ops, .n_ops = 1 };
	int fd = -1;

	stack_init(&stack);
	stack_open(&stack, sections, "mail");
	(void) stack_append(&stack, ph_slice("from before"));
	stack_detach(&stack);
	replace_folder(&stack, "one", "before");
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	append_given(&stack, &op, &transaction);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_detach(&stack);
	replace_folder(&stack, "before", "one");
	set_away(&stack, true);
	g_assert_true(stack_attach(&stack, "mail", "ann", &error));
	g_assert_nonnull(stack.store->defer);
	g_assert_true(stack.store->defer(stack.account, &fd, &error));
	g_assert_true(g_close(fd, NULL));
	op.has_given = true;
	op.given_uid = op.uid;
	op.given_change = transaction.change;
	append_given(&stack, &op, &transaction);
	g_assert_cmpuint(stack_verify(&stack, false), ==, 0);
	stack_assert_octets(&stack, op.uid, ph_slice("in the journal"));
	stack_detach(&stack);
	g_assert_true(stack_attach(&stack, "two", "ann", &error));
	stack_assert_octets(&stack, op.uid, ph_slice("in the journal"));
	stack_clear(&stack);
}

static void
test_two_stores(void)
{
	g_autoptr(GError) error = NULL;
	Stack stack;

	stack_init(&stack);
	g_assert_false(stack_serve(&stack, ONE OVER("one", "one"), "mail", &error));
	g_assert_nonnull(strstr(error->message, "name two stores"));
	stack_clear(&stack);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mirror/the-second-follows", test_follows);
	g_test_add_func("/mirror/an-empty-second-is-filled", test_empty_second);
	g_test_add_func("/mirror/a-second-that-was-away-catches-up", test_second_away);
	g_test_add_func("/mirror/a-second-that-counts-itself-catches-up", test_second_counts);
	g_test_add_func("/mirror/catching-up-goes-on-in-slices", test_slices);
	g_test_add_func("/mirror/catching-up-that-was-stopped-goes-on", test_stopped);
	g_test_add_func("/mirror/differences-are-told-and-repaired", test_differences);
	g_test_add_func("/mirror/a-lost-second-is-made-again", test_second_lost);
	g_test_add_func("/mirror/the-second-answers-for-the-first", test_second_answers);
	g_test_add_func("/mirror/both-have-it-when-both-must", test_both);
	g_test_add_func("/mirror/a-replay-comes-before-the-second-is-looked-at", test_replay);
	g_test_add_func("/mirror/two-stores-are-wanted", test_two_stores);
	return g_test_run();
}

/* test-thread-references.c: threads by references, written as THREAD answers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/thread-tree.h"

#include <string.h>

/* Row: one message; they are numbered from 1 in the order of the rows, and sent in that order
 * unless a time is given. */
typedef struct {
	const char *id;
	const char *references;
	const char *subject;
	bool is_reply;
	PhTime sent;
} Row;

static char *
thread(const Row *rows, size_t n)
{
	PhThreadTree tree;
	GString *out = g_string_new(NULL);

	ph_thread_tree_init(&tree);
	for (size_t i = 0; i < n; i++) {
		PhThreadNode *node = ph_thread_tree_node(&tree, ph_thread_tree_add(&tree));
		node->number = (uint32_t) i + 1;
		node->uid = (uint32_t) i + 101;
		node->message_id = rows[i].id;
		node->references = rows[i].references;
		node->subject = rows[i].subject != NULL ? rows[i].subject : "";
		node->is_reply = rows[i].is_reply;
		node->sent = rows[i].sent != 0 ? rows[i].sent : (PhTime) i + 1;
	}
	ph_thread_references(&tree);
	ph_thread_tree_append(&tree, false, out);
	ph_thread_tree_clear(&tree);
	return g_string_free(out, FALSE);
}

static void
assert_thread(const Row *rows, size_t n, const char *expected)
{
	g_autofree char *text = thread(rows, n);

	g_assert_cmpstr(text, ==, expected);
}

static void
a_chain_is_written_in_one_list(void)
{
	const Row rows[] = {
		{ "<a>", NULL, NULL },
		{ "<b>", "<a>", NULL },
		{ "<c>", "<a> <b>", NULL },
		{ "<x>", NULL, NULL },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "(1 2 3)(4)");
}

static void
branches_are_nested(void)
{
	const Row rows[] = {
		{ "<a>", NULL, NULL },      { "<b>", "<a>", NULL }, { "<c>", "<a> <b>", NULL },
		{ "<d>", "<a> <b>", NULL }, { "<e>", "<a>", NULL },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "(1 (2 (3)(4))(5))");
}

static void
a_missing_parent_joins_its_children(void)
{
	const Row rows[] = {
		{ "<b>", "<gone>", NULL },
		{ "<c>", "<gone>", NULL },
		{ "<d>", "<lost>", NULL },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "((1)(2))(3)");
}

static void
a_missing_link_is_bridged(void)
{
	const Row rows[] = {
		{ "<a>", NULL, NULL },
		{ "<c>", "<a> <gone>", NULL },
		{ "<d>", "<a> <gone>", NULL },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "(1 (2)(3))");
}

static void
loops_and_double_ids_are_survived(void)
{
	const Row rows[] = {
		{ "<a>", "<b>", NULL }, { "<b>", "<a>", NULL }, { "<a>", NULL, NULL },
		{ "<s>", "<s>", NULL }, { NULL, NULL, NULL },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "(2 1)(3)(4)(5)");
}

static void
one_subject_is_one_thread(void)
{
	const Row rows[] = {
		{ "<a>", NULL, "LUNCH" }, { "<b>", NULL, "LUNCH", true },
		{ "<c>", NULL, "OTHER" }, { "<d>", NULL, "LUNCH" },
		{ "<e>", NULL, "" },      { "<f>", NULL, "" },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "((1 2)(4))(3)(5)(6)");
}

static void
siblings_come_in_the_order_they_were_sent(void)
{
	const Row rows[] = {
		{ "<a>", NULL, NULL, false, 50 },
		{ "<b>", "<a>", NULL, false, 90 },
		{ "<c>", "<a>", NULL, false, 60 },
		{ "<d>", NULL, NULL, false, 10 },
	};

	assert_thread(rows, G_N_ELEMENTS(rows), "(4)(1 (3)(2))");
}

static void
a_very_long_chain_does_not_recurse(void)
{
	enum {
		N = 20000,
	};

	g_autofree Row *rows = g_new0(Row, N);
	g_autoptr(GStringChunk) chunk = g_string_chunk_new(4096);

	for (unsigned i = 0; i < N; i++) {
		g_autofree char *id = g_strdup_printf("<%u>", i);
		rows[i].id = g_string_chunk_insert(chunk, id);
		rows[i].references = i > 0 ? rows[i - 1].id : NULL;
	}
	g_autofree char *text = thread(rows, N);
	g_assert_true(g_str_has_prefix(text, "(1 2 3 4 "));
	g_assert_nonnull(strstr(text, " 20000)"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/thread/a-chain-is-written-in-one-list",
	                a_chain_is_written_in_one_list);
	g_test_add_func("/mailbox/thread/branches-are-nested", branches_are_nested);
	g_test_add_func("/mailbox/thread/a-missing-parent-joins-its-children",
	                a_missing_parent_joins_its_children);
	g_test_add_func("/mailbox/thread/a-missing-link-is-bridged", a_missing_link_is_bridged);
	g_test_add_func("/mailbox/thread/loops-and-double-ids-are-survived",
	                loops_and_double_ids_are_survived);
	g_test_add_func("/mailbox/thread/one-subject-is-one-thread", one_subject_is_one_thread);
	g_test_add_func("/mailbox/thread/siblings-come-in-the-order-they-were-sent",
	                siblings_come_in_the_order_they_were_sent);
	g_test_add_func("/mailbox/thread/a-very-long-chain-does-not-recurse",
	                a_very_long_chain_does_not_recurse);
	return g_test_run();
}

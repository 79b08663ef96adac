/* thread-tree.c: messages in trees, and the answer that shows them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/thread-tree.h"

enum {
	MAX_LEVELS_UP = 1000,
};

void
ph_thread_tree_init(PhThreadTree *tree)
{
	const size_t chunk_octets = 16384;

	tree->nodes = g_array_new(FALSE, FALSE, sizeof(PhThreadNode));
	tree->chunk = g_string_chunk_new(chunk_octets);
	(void) ph_thread_tree_add(tree);
}

void
ph_thread_tree_clear(PhThreadTree *tree)
{
	g_array_unref(tree->nodes);
	g_string_chunk_free(tree->chunk);
}

uint32_t
ph_thread_tree_add(PhThreadTree *tree)
{
	const PhThreadNode node = {
		.parent = PH_NODE_NONE,
		.first_child = PH_NODE_NONE,
		.last_child = PH_NODE_NONE,
		.previous = PH_NODE_NONE,
		.next = PH_NODE_NONE,
		.subject = "",
	};

	g_array_append_val(tree->nodes, node);
	return tree->nodes->len - 1;
}

void
ph_thread_tree_attach(PhThreadTree *tree, uint32_t parent, uint32_t child)
{
	PhThreadNode *above = ph_thread_tree_node(tree, parent);
	PhThreadNode *node = ph_thread_tree_node(tree, child);

	node->parent = parent;
	node->previous = above->last_child;
	node->next = PH_NODE_NONE;
	if (above->last_child != PH_NODE_NONE)
		ph_thread_tree_node(tree, above->last_child)->next = child;
	else
		above->first_child = child;
	above->last_child = child;
}

void
ph_thread_tree_detach(PhThreadTree *tree, uint32_t child)
{
	PhThreadNode *node = ph_thread_tree_node(tree, child);
	if (node->parent == PH_NODE_NONE)
		return;

	PhThreadNode *above = ph_thread_tree_node(tree, node->parent);
	if (node->previous != PH_NODE_NONE)
		ph_thread_tree_node(tree, node->previous)->next = node->next;
	else
		above->first_child = node->next;
	if (node->next != PH_NODE_NONE)
		ph_thread_tree_node(tree, node->next)->previous = node->previous;
	else
		above->last_child = node->previous;
	node->parent = node->previous = node->next = PH_NODE_NONE;
}

bool
ph_thread_tree_is_above(const PhThreadTree *tree, uint32_t above, uint32_t node)
{
	for (unsigned level = 0; node != PH_NODE_NONE; level++) {
		if (node == above || level >= MAX_LEVELS_UP)
			return true;
		node = ph_thread_tree_node(tree, node)->parent;
	}
	return false;
}

/* --- order ----------------------------------------------------------------------------------------- */

/* The message that stands for a node: itself, or its first child when it has none. */
static const PhThreadNode *
stand_in(const PhThreadTree *tree, uint32_t index)
{
	const PhThreadNode *node = ph_thread_tree_node(tree, index);

	while (node->number == 0 && node->first_child != PH_NODE_NONE)
		node = ph_thread_tree_node(tree, node->first_child);
	return node;
}

static int
compare_nodes(gconstpointer first, gconstpointer second, gpointer user_data)
{
	const PhThreadTree *tree = user_data;
	const PhThreadNode *a = stand_in(tree, *(const uint32_t *) first);
	const PhThreadNode *b = stand_in(tree, *(const uint32_t *) second);

	if (a->sent != b->sent)
		return a->sent < b->sent ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

static void
sort_children(PhThreadTree *tree, uint32_t parent, GArray *scratch)
{
	PhThreadNode *above = ph_thread_tree_node(tree, parent);
	if (above->first_child == above->last_child)
		return;

	g_array_set_size(scratch, 0);
	for (uint32_t child = above->first_child; child != PH_NODE_NONE;
	     child = ph_thread_tree_node(tree, child)->next)
		g_array_append_val(scratch, child);
	g_array_sort_with_data(scratch, compare_nodes, tree);

	above->first_child = above->last_child = PH_NODE_NONE;
	for (guint i = 0; i < scratch->len; i++)
		ph_thread_tree_attach(tree, parent, g_array_index(scratch, uint32_t, i));
}

void
ph_thread_tree_sort(PhThreadTree *tree)
{
	g_autoptr(GArray) scratch = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	/* Only nodes directly below the root lack a message once a tree is pruned, and their
	 * children are sorted before the root's, which is last. */
	for (uint32_t i = tree->nodes->len; i > 0; i--)
		sort_children(tree, i - 1, scratch);
}

/* --- text ------------------------------------------------------------------------------------------- */

static void
append_number(const PhThreadNode *node, bool uids, GString *out)
{
	g_string_append_printf(out, "%u", uids ? node->uid : node->number);
}

/* Writes a node and goes down while there is exactly one child. Returns: the node whose children
 * branch, or PH_NODE_NONE when the chain ended. */
static uint32_t
append_chain(const PhThreadTree *tree, uint32_t index, bool uids, GString *out)
{
	bool first = true;

	for (;;) {
		const PhThreadNode *node = ph_thread_tree_node(tree, index);
		if (node->number != 0) {
			if (!first)
				g_string_append_c(out, ' ');
			append_number(node, uids, out);
			first = false;
		}
		if (node->first_child == PH_NODE_NONE)
			return PH_NODE_NONE;
		if (node->first_child != node->last_child) {
			if (!first)
				g_string_append_c(out, ' ');
			return index;
		}
		index = node->first_child;
	}
}

void
ph_thread_tree_append(const PhThreadTree *tree, bool uids, GString *out)
{
	g_autoptr(GArray) open = g_array_new(FALSE, FALSE, sizeof(uint32_t)); /* siblings to come */
	uint32_t next = ph_thread_tree_node(tree, 0)->first_child;

	while (next != PH_NODE_NONE || open->len > 0) {
		if (next == PH_NODE_NONE) {
			g_string_append_c(out, ')');
			next = g_array_index(open, uint32_t, open->len - 1);
			g_array_set_size(open, open->len - 1);
			continue;
		}
		g_string_append_c(out, '(');
		uint32_t branch = append_chain(tree, next, uids, out);
		uint32_t sibling = ph_thread_tree_node(tree, next)->next;
		if (branch == PH_NODE_NONE) {
			g_string_append_c(out, ')');
			next = sibling;
			continue;
		}
		g_array_append_val(open, sibling);
		next = ph_thread_tree_node(tree, branch)->first_child;
	}
}

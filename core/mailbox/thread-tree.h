/* thread-tree.h: messages in trees, and the answer that shows them
 *
 * Nodes are kept in one array and named by index, so that trees may be as deep as a mailbox is
 * long: nothing here recurses.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_THREAD_TREE_H
#define PH_MAILBOX_THREAD_TREE_H

#include <posthorn/types.h>

#define PH_NODE_NONE UINT32_MAX

/* PhThreadNode: number 0 is a message that is only known by references to it. Node 0 of a tree is
 * the root above all threads. Strings live in the tree's chunk. */
typedef struct {
	uint32_t number;
	uint32_t uid;
	uint32_t parent;
	uint32_t first_child;
	uint32_t last_child;
	uint32_t previous;
	uint32_t next;
	bool is_reply;
	PhTime sent;
	const char *subject;    /* base subject, upper case; "" for none */
	const char *message_id; /* (nullable) */
	const char *references; /* (nullable) ids with one blank between */
} PhThreadNode;

typedef struct {
	GArray *nodes; /* of PhThreadNode */
	GStringChunk *chunk;
} PhThreadTree;

void ph_thread_tree_init(PhThreadTree *tree);
void ph_thread_tree_clear(PhThreadTree *tree);

/* ph_thread_tree_add: a node without parent. Returns: its index. */
uint32_t ph_thread_tree_add(PhThreadTree *tree);

static inline PhThreadNode *
ph_thread_tree_node(const PhThreadTree *tree, uint32_t index)
{
	return &g_array_index(tree->nodes, PhThreadNode, index);
}

/* ph_thread_tree_attach: makes @child the last child of @parent; it must have no parent. */
void ph_thread_tree_attach(PhThreadTree *tree, uint32_t parent, uint32_t child);
void ph_thread_tree_detach(PhThreadTree *tree, uint32_t child);

/* ph_thread_tree_is_above: is @above on the way from @node to the root, or @node itself? Looks at
 * most 1,000 levels up and says yes beyond: a chain that long is not made longer. */
bool ph_thread_tree_is_above(const PhThreadTree *tree, uint32_t above, uint32_t node);

/* ph_thread_tree_sort: orders every node's children by date, then number; a node without a message
 * counts as its first child. */
void ph_thread_tree_sort(PhThreadTree *tree);

/* ph_thread_tree_append: the answer's text. RFC 5256 section 4, grammar of thread-list. */
void ph_thread_tree_append(const PhThreadTree *tree, bool uids, GString *out);

/* ph_thread_references: threads by references (RFC 5256 section 3, REFERENCES): the nodes 1 to n
 * are the messages. */
void ph_thread_references(PhThreadTree *tree);

/* ph_thread_ordered_subject: threads by base subject. */
void ph_thread_ordered_subject(PhThreadTree *tree);

#endif

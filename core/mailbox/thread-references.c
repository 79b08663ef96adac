/* thread-references.c: threads by references (RFC 5256 section 3, "REFERENCES")
 *
 * The algorithm of the RFC in its six steps: link messages by their references, gather the roots,
 * prune what has no message, sort, join threads of one subject, sort again. Linear but for the
 * sorting and for a bounded look upwards at each link.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/thread-tree.h"

/* --- step 1: link ------------------------------------------------------------------------------------ */

typedef struct {
	PhThreadTree *tree;
	GHashTable *ids; /* message id to index */
} Linking;

static uint32_t
node_of_id(Linking *linking, const char *id)
{
	gpointer found;
	if (g_hash_table_lookup_extended(linking->ids, id, NULL, &found))
		return GPOINTER_TO_UINT(found);

	uint32_t index = ph_thread_tree_add(linking->tree);
	char *kept = g_string_chunk_insert(linking->tree->chunk, id);
	g_hash_table_insert(linking->ids, kept, GUINT_TO_POINTER(index));
	return index;
}

/* Claims ids for the messages that have them; the first one wins, a later one with the same id is
 * as if it had none. */
static void
claim_ids(Linking *linking, uint32_t n_messages)
{
	for (uint32_t i = 1; i <= n_messages; i++) {
		const char *id = ph_thread_tree_node(linking->tree, i)->message_id;
		if (id != NULL && !g_hash_table_contains(linking->ids, id))
			g_hash_table_insert(linking->ids, (gpointer) (uintptr_t) id,
			                    GUINT_TO_POINTER(i));
	}
}

static void
link_references(Linking *linking, uint32_t message)
{
	PhSlice rest = ph_slice(ph_thread_tree_node(linking->tree, message)->references);
	uint32_t above = PH_NODE_NONE;

	while (rest.length > 0) {
		g_autofree char *id = ph_slice_dup(ph_slice_split(&rest, ' '));
		uint32_t node = node_of_id(linking, id);
		if (above != PH_NODE_NONE
		    && ph_thread_tree_node(linking->tree, node)->parent == PH_NODE_NONE
		    && !ph_thread_tree_is_above(linking->tree, node, above))
			ph_thread_tree_attach(linking->tree, above, node);
		above = node;
	}
	if (above == PH_NODE_NONE || ph_thread_tree_is_above(linking->tree, message, above))
		return;
	ph_thread_tree_detach(linking->tree, message);
	ph_thread_tree_attach(linking->tree, above, message);
}

static void
link_messages(PhThreadTree *tree)
{
	uint32_t n_messages = tree->nodes->len - 1;
	Linking linking = { tree, g_hash_table_new(ph_str_hash, g_str_equal) };

	claim_ids(&linking, n_messages);
	for (uint32_t i = 1; i <= n_messages; i++)
		if (ph_thread_tree_node(tree, i)->references != NULL)
			link_references(&linking, i);
	g_hash_table_unref(linking.ids);
}

/* --- steps 2 and 3: gather the roots, prune ------------------------------------------------------------ */

static void
gather_roots(PhThreadTree *tree)
{
	for (uint32_t i = 1; i < tree->nodes->len; i++)
		if (ph_thread_tree_node(tree, i)->parent == PH_NODE_NONE)
			ph_thread_tree_attach(tree, 0, i);
}

/* Hands the children of a node to its parent, and takes the node out. */
static void
dissolve(PhThreadTree *tree, uint32_t index)
{
	uint32_t parent = ph_thread_tree_node(tree, index)->parent;

	for (uint32_t child = ph_thread_tree_node(tree, index)->first_child;
	     child != PH_NODE_NONE;) {
		uint32_t next = ph_thread_tree_node(tree, child)->next;
		ph_thread_tree_detach(tree, child);
		ph_thread_tree_attach(tree, parent, child);
		child = next;
	}
	ph_thread_tree_detach(tree, index);
}

/* A node without a message goes, unless it holds several children together directly below the
 * root. All but those at the root are dissolved first, so that a root then sees its real children. */
static void
prune(PhThreadTree *tree)
{
	for (uint32_t i = 1; i < tree->nodes->len; i++) {
		const PhThreadNode *node = ph_thread_tree_node(tree, i);
		if (node->number == 0 && node->parent != 0)
			dissolve(tree, i);
	}
	for (uint32_t i = 1; i < tree->nodes->len; i++) {
		const PhThreadNode *node = ph_thread_tree_node(tree, i);
		if (node->number == 0 && node->parent == 0 && node->first_child == node->last_child)
			dissolve(tree, i);
	}
}

/* --- step 5: join threads of one subject ----------------------------------------------------------------- */

/* The node whose subject is the thread's: the root's, or its first child's when it has none. */
static const PhThreadNode *
subject_node(const PhThreadTree *tree, uint32_t root)
{
	const PhThreadNode *node = ph_thread_tree_node(tree, root);

	return node->number != 0 ? node : ph_thread_tree_node(tree, node->first_child);
}

/* Is @candidate the better root for its subject: one without a message, or no reply where the other
 * is one? */
static bool
is_better(const PhThreadTree *tree, uint32_t candidate, uint32_t present)
{
	const PhThreadNode *mine = ph_thread_tree_node(tree, candidate);
	const PhThreadNode *other = ph_thread_tree_node(tree, present);

	if (mine->number == 0 || other->number == 0)
		return mine->number == 0 && other->number != 0;
	return other->is_reply && !mine->is_reply;
}

static GHashTable *
best_roots(PhThreadTree *tree)
{
	GHashTable *subjects = g_hash_table_new(ph_str_hash, g_str_equal);

	for (uint32_t root = ph_thread_tree_node(tree, 0)->first_child; root != PH_NODE_NONE;
	     root = ph_thread_tree_node(tree, root)->next) {
		const char *subject = subject_node(tree, root)->subject;
		gpointer present;
		if (subject[0] == '\0')
			continue;
		if (!g_hash_table_lookup_extended(subjects, subject, NULL, &present)
		    || is_better(tree, root, GPOINTER_TO_UINT(present)))
			g_hash_table_replace(subjects, (gpointer) (uintptr_t) subject,
			                     GUINT_TO_POINTER(root));
	}
	return subjects;
}

static void
move_below(PhThreadTree *tree, uint32_t parent, uint32_t child)
{
	ph_thread_tree_detach(tree, child);
	ph_thread_tree_attach(tree, parent, child);
}

/* Two messages of one subject, neither a reply to the other: siblings below a new root. Returns:
 * that root. */
static uint32_t
join_as_siblings(PhThreadTree *tree, uint32_t best, uint32_t root)
{
	uint32_t joint = ph_thread_tree_add(tree);

	ph_thread_tree_attach(tree, 0, joint);
	move_below(tree, joint, best);
	move_below(tree, joint, root);
	return joint;
}

static uint32_t
join(PhThreadTree *tree, uint32_t best, uint32_t root)
{
	const PhThreadNode *top = ph_thread_tree_node(tree, best);
	const PhThreadNode *node = ph_thread_tree_node(tree, root);

	if (top->number == 0 && node->number == 0) {
		move_below(tree, best, root);
		dissolve(tree, root);
		return best;
	}
	if (top->number == 0 || (node->is_reply && !top->is_reply)) {
		move_below(tree, best, root);
		return best;
	}
	return join_as_siblings(tree, best, root);
}

static void
join_subjects(PhThreadTree *tree)
{
	GHashTable *subjects = best_roots(tree);

	for (uint32_t root = ph_thread_tree_node(tree, 0)->first_child; root != PH_NODE_NONE;) {
		uint32_t next = ph_thread_tree_node(tree, root)->next;
		const char *subject = subject_node(tree, root)->subject;
		gpointer best;
		if (subject[0] != '\0'
		    && g_hash_table_lookup_extended(subjects, subject, NULL, &best)
		    && GPOINTER_TO_UINT(best) != root) {
			uint32_t joint = join(tree, GPOINTER_TO_UINT(best), root);
			g_hash_table_replace(subjects, (gpointer) (uintptr_t) subject,
			                     GUINT_TO_POINTER(joint));
		}
		root = next;
	}
	g_hash_table_unref(subjects);
}

void
ph_thread_references(PhThreadTree *tree)
{
	link_messages(tree);
	gather_roots(tree);
	prune(tree);
	ph_thread_tree_sort(tree);
	join_subjects(tree);
	ph_thread_tree_sort(tree);
}

/* thread.c: THREAD (RFC 5256): gathers messages, builds the trees, writes the answer
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/search.h>
#include <posthorn/slice.h>

#include "mailbox/gather.h"
#include "mailbox/thread-tree.h"

struct PhThreads {
	uint32_t method; /* PhThreadMethod */
	PhGather *gather;
	PhThreadTree tree;
};

static const char *
keep(PhThreadTree *tree, PhSlice text)
{
	if (text.length == 0)
		return NULL;
	return g_string_chunk_insert_len(tree->chunk, text.data, (gssize) text.length);
}

static void
take(uint32_t number, const PhRecord *record, const PhStructure *structure, void *user_data)
{
	PhThreads *threads = user_data;
	const PhMessageInfo *info = ph_structure_info(structure);
	PhThreadNode *node =
		ph_thread_tree_node(&threads->tree, ph_thread_tree_add(&threads->tree));
	bool is_reply = false;
	g_autofree char *subject = ph_base_subject(structure, &is_reply);

	node->number = number;
	node->uid = record->uid;
	node->sent = ph_sent_time(record, structure);
	node->is_reply = is_reply;
	node->subject = g_string_chunk_insert_const(threads->tree.chunk, subject);
	if (threads->method != PH_THREAD_REFERENCES)
		return;
	node->message_id = keep(&threads->tree, info->message_id);
	node->references = keep(&threads->tree, info->references);
}

PhThreads *
ph_threads_new(PhView *view, const PhUidSet *numbers, uint32_t method)
{
	PhThreads *threads = g_new0(PhThreads, 1);

	threads->method = method;
	ph_thread_tree_init(&threads->tree);
	threads->gather = ph_gather_new(
		view, numbers, PH_FIELD_DATES | PH_FIELD_STRUCTURE | PH_FIELD_BLOB, take, threads);
	return threads;
}

void
ph_threads_free(PhThreads *threads)
{
	if (threads == NULL)
		return;
	ph_gather_free(threads->gather);
	ph_thread_tree_clear(&threads->tree);
	g_free(threads);
}

/* --- ORDEREDSUBJECT -------------------------------------------------------------------------------- */

/* The first message of a subject by date is the root, the others are its children. */
void
ph_thread_ordered_subject(PhThreadTree *tree)
{
	GHashTable *roots = g_hash_table_new(ph_str_hash, g_str_equal);
	g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (uint32_t i = 1; i < tree->nodes->len; i++)
		ph_thread_tree_attach(tree, 0, i);
	ph_thread_tree_sort(tree);
	for (uint32_t i = ph_thread_tree_node(tree, 0)->first_child; i != PH_NODE_NONE;
	     i = ph_thread_tree_node(tree, i)->next)
		g_array_append_val(order, i);

	for (guint i = 0; i < order->len; i++) {
		uint32_t index = g_array_index(order, uint32_t, i);
		const char *subject = ph_thread_tree_node(tree, index)->subject;
		gpointer root;
		if (!g_hash_table_lookup_extended(roots, subject, NULL, &root)) {
			g_hash_table_insert(roots, (gpointer) (uintptr_t) subject,
			                    GUINT_TO_POINTER(index));
			continue;
		}
		ph_thread_tree_detach(tree, index);
		ph_thread_tree_attach(tree, GPOINTER_TO_UINT(root), index);
	}
	g_hash_table_unref(roots);
}

bool
ph_threads_step(PhThreads *threads, PhSession *session, bool *failed_out, GError **error)
{
	if (!ph_gather_step(threads->gather, session, failed_out, error))
		return false;
	if (*failed_out)
		return true;

	if (threads->method == PH_THREAD_REFERENCES)
		ph_thread_references(&threads->tree);
	else
		ph_thread_ordered_subject(&threads->tree);
	return true;
}

void
ph_threads_append(const PhThreads *threads, bool uids, GString *out)
{
	ph_thread_tree_append(&threads->tree, uids, out);
}

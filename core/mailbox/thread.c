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
	GArray *found;     /* of PhThreadNode, in no order */
	GPtrArray *chunks; /* of GStringChunk: their strings */
	PhThreadTree tree;
};

/* Hand: what one thread has gathered. */
typedef struct {
	GArray *nodes; /* of PhThreadNode */
	GStringChunk *chunk;
} Hand;

static void *
begin(void *user_data)
{
	const size_t chunk_octets = 16384;
	Hand *hand = g_new0(Hand, 1);

	hand->nodes = g_array_new(FALSE, FALSE, sizeof(PhThreadNode));
	hand->chunk = g_string_chunk_new(chunk_octets);
	return hand;
}

static const char *
keep(const Hand *hand, PhSlice text)
{
	if (text.length == 0)
		return NULL;
	return g_string_chunk_insert_len(hand->chunk, text.data, (gssize) text.length);
}

static void
take(void *user_data,
     void *gathered,
     uint32_t number,
     const PhRecord *record,
     const PhMessageInfo *info)
{
	const PhThreads *threads = user_data;
	const Hand *hand = gathered;
	PhThreadNode node = {
		.number = number,
		.uid = record->uid,
		.sent = ph_sent_time(record, info),
	};
	g_autofree char *subject = ph_base_subject(info, &node.is_reply);

	node.subject = g_string_chunk_insert_const(hand->chunk, subject);
	if (threads->method == PH_THREAD_REFERENCES) {
		node.message_id = keep(hand, info->message_id);
		node.references = keep(hand, info->references);
	}
	g_array_append_val(hand->nodes, node);
}

static void
merge(void *user_data, void *gathered)
{
	PhThreads *threads = user_data;
	Hand *hand = gathered;

	g_array_append_vals(threads->found, hand->nodes->data, hand->nodes->len);
	g_ptr_array_add(threads->chunks, hand->chunk);
	g_array_unref(hand->nodes);
	g_free(hand);
}

static void
free_chunk(void *chunk)
{
	g_string_chunk_free(chunk);
}

PhThreads *
ph_threads_new(PhView *view, const PhUidSet *numbers, uint32_t method)
{
	static const PhGatherWork work = { begin, take, merge };
	PhThreads *threads = g_new0(PhThreads, 1);

	threads->method = method;
	threads->found = g_array_new(FALSE, FALSE, sizeof(PhThreadNode));
	threads->chunks = g_ptr_array_new_with_free_func(free_chunk);
	ph_thread_tree_init(&threads->tree);
	threads->gather = ph_gather_new(
		view, numbers, PH_FIELD_DATES | PH_FIELD_STRUCTURE | PH_FIELD_BLOB, &work, threads);
	return threads;
}

void
ph_threads_free(PhThreads *threads)
{
	if (threads == NULL)
		return;
	ph_gather_free(threads->gather);
	ph_thread_tree_clear(&threads->tree);
	g_array_unref(threads->found);
	g_ptr_array_unref(threads->chunks);
	g_free(threads);
}

static int
compare_numbers(gconstpointer first, gconstpointer second)
{
	const PhThreadNode *a = first;
	const PhThreadNode *b = second;

	return (a->number > b->number) - (a->number < b->number);
}

/* Of messages with one id the first counts: they enter the tree in order. */
static void
fill_tree(PhThreads *threads)
{
	g_array_sort(threads->found, compare_numbers);
	for (guint i = 0; i < threads->found->len; i++) {
		const PhThreadNode *found = &g_array_index(threads->found, PhThreadNode, i);
		PhThreadNode *node =
			ph_thread_tree_node(&threads->tree, ph_thread_tree_add(&threads->tree));

		node->number = found->number;
		node->uid = found->uid;
		node->sent = found->sent;
		node->is_reply = found->is_reply;
		node->subject = found->subject;
		node->message_id = found->message_id;
		node->references = found->references;
	}
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

	fill_tree(threads);
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

/* search-eval.c: one search tree against one message, in rounds of rising cost
 *
 * Three-valued logic: a key that needs more than the round may use is unknown, and AND and OR are
 * decided without it where they can be. So a message whose flags exclude it is never read. One row
 * a kind of key. RFC 3501 section 6.4.4, RFC 5032, RFC 7162.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/search-eval.h"

#include <posthorn/slice.h>

enum {
	SECOND_US = 1000000,
};

/* Node: a key of the tree with its needle. */
typedef struct Node Node;

struct Node {
	const PhSearchKey *key;
	PhNeedle *needle;
	Node **children;
	uint32_t n_children;
};

struct PhSearchPlan {
	Node *root;
	PhTime now;
	uint32_t fields;
};

typedef struct {
	const PhSearchPlan *plan;
	PhSubject *subject;
	PhCost cost;
	GError **error;
} Question;

typedef PhTruth (*Judge)(const Node *node, const Question *question);

static PhTruth ask(const Node *node, const Question *question);

static PhTruth
truth(bool value)
{
	return value ? PH_TRUTH_YES : PH_TRUTH_NO;
}

/* --- logic --------------------------------------------------------------------------------------- */

static PhTruth
judge_all(const Node *node, const Question *question)
{
	return PH_TRUTH_YES;
}

/* AND (decisive: no) and OR (decisive: yes): the first decisive answer ends it. */
static PhTruth
judge_list(const Node *node, const Question *question, PhTruth decisive, PhTruth otherwise)
{
	PhTruth result = otherwise;

	for (uint32_t i = 0; i < node->n_children; i++) {
		PhTruth one = ask(node->children[i], question);
		if (one == decisive || one == PH_TRUTH_ERROR)
			return one;
		if (one == PH_TRUTH_UNKNOWN)
			result = PH_TRUTH_UNKNOWN;
	}
	return result;
}

static PhTruth
judge_and(const Node *node, const Question *question)
{
	return judge_list(node, question, PH_TRUTH_NO, PH_TRUTH_YES);
}

static PhTruth
judge_or(const Node *node, const Question *question)
{
	return judge_list(node, question, PH_TRUTH_YES, PH_TRUTH_NO);
}

static PhTruth
judge_not(const Node *node, const Question *question)
{
	PhTruth inner = ask(node->children[0], question);

	if (inner == PH_TRUTH_YES)
		return PH_TRUTH_NO;
	return inner == PH_TRUTH_NO ? PH_TRUTH_YES : inner;
}

/* --- what the view knows -------------------------------------------------------------------------- */

static PhTruth
judge_numbers(const Node *node, const Question *question)
{
	return truth(ph_uid_set_contains(node->key->set, question->subject->number));
}

static PhTruth
judge_uids(const Node *node, const Question *question)
{
	return truth(ph_uid_set_contains(node->key->set, question->subject->uid));
}

static PhTruth
judge_flags(const Node *node, const Question *question)
{
	const PhSubject *subject = question->subject;
	uint32_t flags = ph_view_flags(subject->view, subject->number);

	return truth((flags & node->key->bits) == node->key->bits);
}

static PhTruth
judge_recent(const Node *node, const Question *question)
{
	return truth(ph_view_is_recent(question->subject->view, question->subject->number));
}

static PhTruth
judge_keyword(const Node *node, const Question *question)
{
	const PhSubject *subject = question->subject;

	return truth(
		ph_view_has_keyword(subject->view, subject->number, ph_slice(node->key->text)));
}

static PhTruth
judge_modseq(const Node *node, const Question *question)
{
	const PhSubject *subject = question->subject;

	return truth(ph_view_message_change(subject->view, subject->number) >= node->key->number);
}

/* --- what the record knows -------------------------------------------------------------------------- */

static int
compare_day(const PhSearchKey *key, PhDate date)
{
	const PhDay wanted = { key->year, key->month, key->day };

	return ph_day_compare(ph_date_day(date), wanted);
}

static PhTruth
compare_kind(const PhSearchKey *key, int order)
{
	switch (key->kind) {
	case PH_SEARCH_BEFORE:
	case PH_SEARCH_SENT_BEFORE:
		return truth(order < 0);
	case PH_SEARCH_ON:
	case PH_SEARCH_SENT_ON:
		return truth(order == 0);
	default:
		return truth(order >= 0);
	}
}

static PhTruth
judge_internal_date(const Node *node, const Question *question)
{
	const PhRecord *record = question->subject->record;
	const PhDate date = { record->internal_date, record->internal_zone };

	return compare_kind(node->key, compare_day(node->key, date));
}

static PhTruth
judge_sent_date(const Node *node, const Question *question)
{
	PhStructure *structure = ph_subject_structure(question->subject, question->error);
	if (structure == NULL)
		return PH_TRUTH_ERROR;

	const PhMessageInfo *info = ph_structure_info(structure);
	if (!info->has_date)
		return PH_TRUTH_NO;
	return compare_kind(node->key, compare_day(node->key, info->date));
}

static PhTruth
judge_larger(const Node *node, const Question *question)
{
	return truth(question->subject->record->octets > node->key->number);
}

static PhTruth
judge_smaller(const Node *node, const Question *question)
{
	return truth(question->subject->record->octets < node->key->number);
}

static PhTruth
judge_age(const Node *node, const Question *question)
{
	PhTime age_us = question->plan->now - question->subject->record->internal_date;
	bool is_younger = age_us < 0 || (uint64_t) age_us / SECOND_US <= node->key->number;

	if (node->key->kind == PH_SEARCH_YOUNGER)
		return truth(is_younger);
	return truth(age_us >= 0 && (uint64_t) age_us / SECOND_US >= node->key->number);
}

/* --- what only the octets know ------------------------------------------------------------------------ */

static PhTruth
judge_header(const Node *node, const Question *question)
{
	return ph_search_in_header(question->subject, node->key->name, node->needle,
	                           question->error);
}

static PhTruth
judge_body(const Node *node, const Question *question)
{
	return ph_search_in_body(question->subject, node->needle, question->error);
}

static PhTruth
judge_text(const Node *node, const Question *question)
{
	return ph_search_in_text(question->subject, node->needle, question->error);
}

/* Row: how a kind of key is decided. */
typedef struct {
	Judge judge;
	PhCost cost;
	uint32_t fields; /* PH_FIELD_* of the record */
} Row;

static const Row rows[] = {
	[PH_SEARCH_ALL] = { judge_all, PH_COST_VIEW, 0 },
	[PH_SEARCH_AND] = { judge_and, PH_COST_VIEW, 0 },
	[PH_SEARCH_OR] = { judge_or, PH_COST_VIEW, 0 },
	[PH_SEARCH_NOT] = { judge_not, PH_COST_VIEW, 0 },
	[PH_SEARCH_NUMBERS] = { judge_numbers, PH_COST_VIEW, 0 },
	[PH_SEARCH_UIDS] = { judge_uids, PH_COST_VIEW, 0 },
	[PH_SEARCH_FLAGS] = { judge_flags, PH_COST_VIEW, 0 },
	[PH_SEARCH_RECENT] = { judge_recent, PH_COST_VIEW, 0 },
	[PH_SEARCH_KEYWORD] = { judge_keyword, PH_COST_VIEW, 0 },
	[PH_SEARCH_MODSEQ] = { judge_modseq, PH_COST_VIEW, 0 },
	[PH_SEARCH_BEFORE] = { judge_internal_date, PH_COST_RECORD, PH_FIELD_DATES },
	[PH_SEARCH_ON] = { judge_internal_date, PH_COST_RECORD, PH_FIELD_DATES },
	[PH_SEARCH_SINCE] = { judge_internal_date, PH_COST_RECORD, PH_FIELD_DATES },
	[PH_SEARCH_SENT_BEFORE] = { judge_sent_date, PH_COST_RECORD,
	                            PH_FIELD_STRUCTURE | PH_FIELD_BLOB },
	[PH_SEARCH_SENT_ON] = { judge_sent_date, PH_COST_RECORD,
	                        PH_FIELD_STRUCTURE | PH_FIELD_BLOB },
	[PH_SEARCH_SENT_SINCE] = { judge_sent_date, PH_COST_RECORD,
	                           PH_FIELD_STRUCTURE | PH_FIELD_BLOB },
	[PH_SEARCH_LARGER] = { judge_larger, PH_COST_RECORD, PH_FIELD_OCTETS },
	[PH_SEARCH_SMALLER] = { judge_smaller, PH_COST_RECORD, PH_FIELD_OCTETS },
	[PH_SEARCH_YOUNGER] = { judge_age, PH_COST_RECORD, PH_FIELD_DATES },
	[PH_SEARCH_OLDER] = { judge_age, PH_COST_RECORD, PH_FIELD_DATES },
	[PH_SEARCH_HEADER] = { judge_header, PH_COST_OCTETS, PH_FIELD_STRUCTURE | PH_FIELD_BLOB },
	[PH_SEARCH_BODY] = { judge_body, PH_COST_OCTETS, PH_FIELD_STRUCTURE | PH_FIELD_BLOB },
	[PH_SEARCH_TEXT] = { judge_text, PH_COST_OCTETS, PH_FIELD_STRUCTURE | PH_FIELD_BLOB },
};

static PhTruth
ask(const Node *node, const Question *question)
{
	const Row *row = &rows[node->key->kind];

	if (row->cost > question->cost)
		return PH_TRUTH_UNKNOWN;
	return row->judge(node, question);
}

/* --- what an index of trigrams knows ----------------------------------------------------------------- */

/* Asked: the index, at one moment. */
typedef struct {
	PhFulltext *index;
	const PhFulltextBox *box;
	bool failed;
	GError **error;
} Asked;

static PhUidSet *candidates_of(const Node *node, Asked *asked);

/* What every message with the needle holds. In a header the blanks may be others: the longest word. */
static PhSlice
asked_text(const Node *node)
{
	PhSlice rest = ph_needle_folded(node->needle);
	PhSlice longest = PH_SLICE_EMPTY;

	if (node->key->kind == PH_SEARCH_BODY || !ph_needle_has_blank(node->needle))
		return rest;
	while (rest.length > 0) {
		PhSlice word = ph_slice_split(&rest, ' ');

		longest = word.length > longest.length ? word : longest;
	}
	return longest;
}

static bool
is_askable(const Node *node)
{
	return node->needle != NULL && ph_fulltext_can_ask(asked_text(node));
}

static PhUidSet *
candidates_of_text(const Node *node, Asked *asked)
{
	PhUidSet *uids = NULL;

	if (!is_askable(node))
		return NULL;
	uids = ph_fulltext_ask(asked->index, asked->box, asked_text(node), asked->error);
	asked->failed = asked->failed || uids == NULL;
	return uids;
}

static PhUidSet *
common(PhUidSet *a, PhUidSet *b)
{
	g_autoptr(PhUidSet) others = ph_uid_set_copy(a);

	ph_uid_set_remove_set(others, b);
	ph_uid_set_remove_set(a, others);
	ph_uid_set_free(b);
	return a;
}

/* Of all children that the index knows something of. */
static PhUidSet *
candidates_of_and(const Node *node, Asked *asked)
{
	PhUidSet *all = NULL;

	for (uint32_t i = 0; i < node->n_children && !asked->failed; i++) {
		PhUidSet *one = candidates_of(node->children[i], asked);

		if (one != NULL)
			all = all == NULL ? one : common(all, one);
	}
	return all;
}

/* Of every child, or nothing is known. */
static PhUidSet *
candidates_of_or(const Node *node, Asked *asked)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new();

	for (uint32_t i = 0; i < node->n_children; i++) {
		g_autoptr(PhUidSet) one = candidates_of(node->children[i], asked);

		if (one == NULL)
			return NULL;
		ph_uid_set_add_set(all, one);
	}
	return g_steal_pointer(&all);
}

static PhUidSet *
candidates_of(const Node *node, Asked *asked)
{
	switch (node->key->kind) {
	case PH_SEARCH_AND:
		return candidates_of_and(node, asked);
	case PH_SEARCH_OR:
		return candidates_of_or(node, asked);
	case PH_SEARCH_HEADER:
	case PH_SEARCH_BODY:
	case PH_SEARCH_TEXT:
		return candidates_of_text(node, asked);
	default:
		return NULL;
	}
}

PhUidSet *
ph_search_plan_candidates(const PhSearchPlan *plan,
                          PhFulltext *index,
                          const PhFulltextBox *box,
                          bool *failed_out,
                          GError **error)
{
	Asked asked = { .index = index, .box = box, .error = error };
	g_autoptr(PhUidSet) uids = candidates_of(plan->root, &asked);

	*failed_out = asked.failed;
	return asked.failed ? NULL : g_steal_pointer(&uids);
}

static bool
has_text(const Node *node)
{
	if (is_askable(node))
		return true;
	for (uint32_t i = 0; i < node->n_children; i++)
		if (has_text(node->children[i]))
			return true;
	return false;
}

bool
ph_search_plan_has_text(const PhSearchPlan *plan)
{
	return has_text(plan->root);
}

/* --- the plan --------------------------------------------------------------------------------------- */

static Node *
new_node(const PhSearchKey *key, uint32_t *fields)
{
	Node *node = g_new0(Node, 1);

	g_assert(key->kind < G_N_ELEMENTS(rows) && rows[key->kind].judge != NULL);
	*fields |= rows[key->kind].fields;
	node->key = key;
	if (rows[key->kind].cost == PH_COST_OCTETS)
		node->needle = ph_needle_new(ph_slice(key->text != NULL ? key->text : ""));
	node->n_children = key->n_children;
	node->children = g_new0(Node *, key->n_children);
	for (uint32_t i = 0; i < key->n_children; i++)
		node->children[i] = new_node(key->children[i], fields);
	return node;
}

static void
free_node(Node *node)
{
	for (uint32_t i = 0; i < node->n_children; i++)
		free_node(node->children[i]);
	g_free(node->children);
	ph_needle_free(node->needle);
	g_free(node);
}

PhSearchPlan *
ph_search_plan_new(const PhSearchKey *key, PhTime now)
{
	PhSearchPlan *plan = g_new0(PhSearchPlan, 1);

	plan->root = new_node(key, &plan->fields);
	plan->now = now;
	return plan;
}

void
ph_search_plan_free(PhSearchPlan *plan)
{
	if (plan == NULL)
		return;
	free_node(plan->root);
	g_free(plan);
}

uint32_t
ph_search_plan_fields(const PhSearchPlan *plan)
{
	return plan->fields;
}

PhTruth
ph_search_plan_ask(const PhSearchPlan *plan, PhSubject *subject, PhCost cost, GError **error)
{
	const Question question = { plan, subject, cost, error };

	return ask(plan->root, &question);
}

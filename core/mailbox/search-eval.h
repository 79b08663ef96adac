/* search-eval.h: one search tree against one message, in rounds of rising cost
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_SEARCH_EVAL_H
#define PH_MAILBOX_SEARCH_EVAL_H

#include <posthorn/search.h>

#include "mailbox/fulltext.h"
#include "mailbox/text-find.h"

/* PhCost: what a key needs to be decided; a round may use everything up to its own. */
typedef enum {
	PH_COST_VIEW = 0,   /* numbers, flags: in memory */
	PH_COST_RECORD = 1, /* dates, sizes, structure: from the store's records */
	PH_COST_OCTETS = 2, /* the message itself */
} PhCost;

typedef enum {
	PH_TRUTH_NO = 0,
	PH_TRUTH_YES = 1,
	PH_TRUTH_UNKNOWN = 2, /* not with what this round may use */
	PH_TRUTH_ERROR = 3,   /* the octets could not be read; @error is set */
} PhTruth;

/* PhSearchPlan: a tree with its strings prepared. */
typedef struct PhSearchPlan PhSearchPlan;
PhSearchPlan *ph_search_plan_new(const PhSearchKey *key, PhTime now);
void ph_search_plan_free(PhSearchPlan *plan);

/* ph_search_plan_fields: PH_FIELD_* that the record must have for cost RECORD and above. */
uint32_t ph_search_plan_fields(const PhSearchPlan *plan);

/* PhSubject: one message under the question; what it needs is loaded once. */
typedef struct {
	PhView *view;
	uint32_t number;
	uint32_t uid;
	const PhRecord *record; /* from cost RECORD on */
	PhStructure *structure; /* loaded when first needed */
	PhContent *content;     /* the same */
	GString *header;        /* the message's header block, the same */
} PhSubject;

PhTruth ph_search_plan_ask(const PhSearchPlan *plan,
                           PhSubject *subject,
                           PhCost cost,
                           GError **error);

/* ph_search_plan_candidates: the messages up to box->upto that can match, by the index; a superset. NULL:
 * the tree asks for nothing that the index knows, or *failed_out with @error. Returns: (owned). */
PhUidSet *ph_search_plan_candidates(const PhSearchPlan *plan,
                                    PhFulltext *index,
                                    const PhFulltextBox *box,
                                    bool *failed_out,
                                    GError **error);

/* ph_search_plan_has_text: is there a string that an index could be asked for? */
bool ph_search_plan_has_text(const PhSearchPlan *plan);

/* ph_subject_clear: drops what was loaded, before the next message. */
void ph_subject_clear(PhSubject *subject);

/* ph_subject_structure, ph_subject_content, ph_subject_header: load once. NULL with @error. */
PhStructure *ph_subject_structure(PhSubject *subject, GError **error);
PhContent *ph_subject_content(PhSubject *subject, GError **error);
GString *ph_subject_header(PhSubject *subject, GError **error);

/* ph_subject_part_header: the header block of one part, as octets. Returns: (owned). */
GString *ph_subject_part_header(PhSubject *subject, const PhPart *part, GError **error);

/* --- search-text.c: the keys that look into octets ------------------------------------------- */

PhTruth ph_search_in_header(PhSubject *subject,
                            const char *name,
                            const PhNeedle *needle,
                            GError **error);
PhTruth ph_search_in_body(PhSubject *subject, const PhNeedle *needle, GError **error);
PhTruth ph_search_in_text(PhSubject *subject, const PhNeedle *needle, GError **error);

/* ph_part_is_searchable: is it text, or an attached message? ph_part_is_identity: do its octets need no
 * decoding? ph_part_is_ascii_superset: is every ASCII octet of its text the character itself? */
bool ph_part_is_searchable(const PhPart *part);
bool ph_part_is_identity(const PhPart *part);
bool ph_part_is_ascii_superset(const PhPart *part);

/* ph_search_gather: everything that these keys look at, to @out, at most @most octets.
 * *is_whole_out: false: there is more. */
bool ph_search_gather(PhSubject *subject,
                      size_t most,
                      GString *out,
                      bool *is_whole_out,
                      GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSearchPlan, ph_search_plan_free)

#endif

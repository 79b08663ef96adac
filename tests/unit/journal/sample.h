/* sample.h: a transaction with something of everything, for tests of the journal
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_JOURNAL_SAMPLE_H
#define TEST_JOURNAL_SAMPLE_H

#include <posthorn/slice.h>

#include "journal/entry.h"

typedef struct {
	PhOp ops[3];
	PhOp *list[3];
	PhTransaction transaction;
	PhIdentity *identity;
	PhContent *content; /* of the APPEND */
} Sample;

static const char *const sample_keywords[] = { "$Junk", "work", NULL };
static const char *const sample_none[] = { NULL };

static inline void
sample_init(Sample *sample, const char *user, uint8_t number)
{
	PhIdentityValues values = { .size = sizeof values, .user = user, .domain = "a.example" };

	memset(sample, 0, sizeof *sample);
	sample->identity = ph_identity_new(&values, NULL);
	memset(sample->transaction.id, number, sizeof sample->transaction.id);
	sample->ops[0] = (PhOp){
		.kind = PH_OP_APPEND,
		.flags = PH_FLAG_SEEN,
		.keywords = sample_keywords,
		.octets = 5,
		.uid = number,
		.uidvalidity = 77,
		.structure = PH_SLICE_LITERAL("structure"),
		.blob = { .length = 2, .octets = "U" },
	};
	sample->ops[1] = (PhOp){
		.kind = PH_OP_COPY,
		.keywords = sample_none,
		.uids = ph_uid_set_new_range(1, 100),
		.from_uids = ph_uid_set_new_range(3, 5),
		.to_uids = ph_uid_set_new_range(13, 15),
	};
	sample->ops[2] = (PhOp){
		.kind = PH_OP_PUT,
		.keywords = sample_none,
		.is_account_value = true,
		.key = "k",
		.value = PH_SLICE_LITERAL("v"),
	};
	for (size_t i = 0; i < G_N_ELEMENTS(sample->ops); i++)
		sample->list[i] = &sample->ops[i];
	sample->transaction.ops = sample->list;
	sample->transaction.n_ops = G_N_ELEMENTS(sample->ops);
	sample->transaction.done = true;
	sample->transaction.change = 1000U + number;
	sample->content = ph_content_new_copy(PH_SLICE_LITERAL("hello"));
}

static inline void
sample_clear(Sample *sample)
{
	ph_uid_set_free((PhUidSet *) (uintptr_t) sample->ops[1].uids);
	ph_uid_set_free(sample->ops[1].from_uids);
	ph_uid_set_free(sample->ops[1].to_uids);
	ph_identity_unref(sample->identity);
	ph_content_unref(sample->content);
}

#endif

/* state.h: the messages of a mailbox at one moment, immutable and shared
 *
 * A state is a list of pages of messages in uid order. A new state shares every page that did not
 * change, so that a delivery into a large mailbox costs one page, and two states are compared by
 * their pages first. 24 octets a message.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_STATE_H
#define PH_MAILBOX_STATE_H

#include <posthorn/store.h>

/* PH_MESSAGE_EXPUNGED: in a view's own state: gone, but the client was not told yet. */
#define PH_MESSAGE_EXPUNGED (1U << 31)

/* PhMessage: flags may have PH_MESSAGE_EXPUNGED; keywords are places in the open mailbox's list. */
typedef PhMessageState PhMessage;

typedef struct PhState PhState;

/* Thread: any; a state never changes. Numbers run from 1. */

/* ph_state_new: @messages: in uid order (borrowed). Returns: (owned) a reference. */
PhState *ph_state_new(const PhMessage *messages, size_t n, uint64_t change);
/* PhStateBuilder: the same from pieces, page by page, so that no second copy of a large mailbox is
 * ever in memory. ph_state_builder_add: (borrowed) in uid order over all calls. */
typedef struct PhStateBuilder PhStateBuilder;
PhStateBuilder *ph_state_builder_new(void);
void ph_state_builder_add(PhStateBuilder *builder, const PhMessage *messages, size_t n);
/* ph_state_builder_finish: (owned) the state; @builder is gone. */
PhState *ph_state_builder_finish(PhStateBuilder *builder, uint64_t change);
void ph_state_builder_free(PhStateBuilder *builder);

PhState *ph_state_ref(PhState *state);
void ph_state_unref(PhState *state);

uint32_t ph_state_count(const PhState *state);
uint64_t ph_state_change(const PhState *state);

/* ph_state_at: (borrowed from the state) @number must be within 1 and the count. */
const PhMessage *ph_state_at(const PhState *state, uint32_t number);

/* ph_state_find: the number of a uid; 0: not there. */
uint32_t ph_state_find(const PhState *state, uint32_t uid);

/* ph_state_lower_bound: the number of the first message with this uid or a higher one; count + 1
 * when there is none. */
uint32_t ph_state_lower_bound(const PhState *state, uint32_t uid);

/* ph_state_last_uid: 0 when empty. */
uint32_t ph_state_last_uid(const PhState *state);

/* ph_state_apply: the state after @changed (in uid order; replace or add) and @expunged (nullable).
 * Returns: (owned). */
PhState *ph_state_apply(const PhState *old,
                        const PhMessage *changed,
                        size_t n_changed,
                        const PhUidSet *expunged,
                        uint64_t change);

/* PhStateDiff: what differs between two states, in uid order. */
typedef struct {
	GArray *removed; /* of uint32_t: numbers in the old state */
	GArray *added;   /* of PhMessage */
	GArray *changed; /* of PhMessage: flags, keywords or change differ; as in the new state */
} PhStateDiff;

void ph_state_diff(const PhState *old, const PhState *new_state, PhStateDiff *diff_out);
void ph_state_diff_clear(PhStateDiff *diff);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhState, ph_state_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhStateBuilder, ph_state_builder_free)

#endif

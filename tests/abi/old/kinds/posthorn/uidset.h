/* uidset.h: a set of message numbers or uids, kept as ascending ranges
 *
 * Used for uids (1 to 2^32-1) and for sequence numbers alike. Adding in ascending order is O(1);
 * in any order O(log n) to find plus the move. Bounded by ph_uid_set_parse's @max_ranges.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_UIDSET_H
#define POSTHORN_UIDSET_H

#include <posthorn/types.h>

G_BEGIN_DECLS

typedef struct {
	uint32_t first; /* both included, first <= last */
	uint32_t last;
} PhUidRange;

typedef struct PhUidSet PhUidSet;

/* Thread: any; one set is used by one thread at a time unless nobody changes it. */
PH_PUBLIC PhUidSet *ph_uid_set_new(void);
PH_PUBLIC PhUidSet *ph_uid_set_new_range(uint32_t first, uint32_t last);
PH_PUBLIC PhUidSet *ph_uid_set_copy(const PhUidSet *set);
PH_PUBLIC void ph_uid_set_free(PhUidSet *set);

/* ph_uid_set_parse: a sequence-set of RFC 3501 ("1:4,7,9:*"); '*' stands for @star (0: '*' is an
 * error). NULL when malformed, 0 is named, or there are more than @max_ranges. Returns: (owned). */
PH_PUBLIC PhUidSet *ph_uid_set_parse(PhSlice text, uint32_t star, size_t max_ranges);

PH_PUBLIC void ph_uid_set_add(PhUidSet *set, uint32_t uid);
PH_PUBLIC void ph_uid_set_add_range(PhUidSet *set, uint32_t first, uint32_t last);
PH_PUBLIC void ph_uid_set_add_set(PhUidSet *set, const PhUidSet *other);

/* ph_uid_set_remove_set: takes the members of @other out of @set. */
PH_PUBLIC void ph_uid_set_remove_set(PhUidSet *set, const PhUidSet *other);

PH_PUBLIC void ph_uid_set_clear(PhUidSet *set);
PH_PUBLIC bool ph_uid_set_contains(const PhUidSet *set, uint32_t uid);
PH_PUBLIC bool ph_uid_set_is_empty(const PhUidSet *set);

/* ph_uid_set_count: members. ph_uid_set_ranges: (borrowed) ascending, merged. */
PH_PUBLIC uint64_t ph_uid_set_count(const PhUidSet *set);
PH_PUBLIC const PhUidRange *ph_uid_set_ranges(const PhUidSet *set, size_t *n_out);

/* ph_uid_set_next: the lowest member above @uid (0: the lowest of all); 0 when there is none:
 *
 *	for (uid = ph_uid_set_next(set, 0); uid != 0; uid = ph_uid_set_next(set, uid)) */
PH_PUBLIC uint32_t ph_uid_set_next(const PhUidSet *set, uint32_t uid);

/* ph_uid_set_append_text: "1:4,7" to @out; nothing for an empty set. */
PH_PUBLIC void ph_uid_set_append_text(const PhUidSet *set, GString *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhUidSet, ph_uid_set_free)

G_END_DECLS

#endif

/* gather.h: collects what SORT and THREAD compare, message by message, in slices
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_GATHER_H
#define PH_MAILBOX_GATHER_H

#include <posthorn/search.h>

/* PhGatherFunc: one message. @structure: (borrowed, nullable) NULL when none was asked for. */
typedef void (*PhGatherFunc)(uint32_t number,
                             const PhRecord *record,
                             const PhStructure *structure,
                             void *user_data);

typedef struct PhGather PhGather;

/* ph_gather_new: over the messages of @numbers, in uid order. */
PhGather *ph_gather_new(PhView *view,
                        const PhUidSet *numbers,
                        uint32_t fields,
                        PhGatherFunc func,
                        void *user_data);

/* ph_gather_step: Returns: true when all were seen, or failed (then *failed_out and @error). */
bool ph_gather_step(PhGather *gather, PhSession *session, bool *failed_out, GError **error);
void ph_gather_free(PhGather *gather);

/* ph_sent_time: when a message was sent: its Date, else when it arrived (RFC 5256 section 2.2). */
PhTime ph_sent_time(const PhRecord *record, const PhStructure *structure);

/* ph_base_subject: the base subject in upper case of all letters, for comparing (owned). */
char *ph_base_subject(const PhStructure *structure, bool *is_reply_out);

#endif

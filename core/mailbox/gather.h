/* gather.h: collects what SORT and THREAD compare, message by message, in slices
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_GATHER_H
#define PH_MAILBOX_GATHER_H

#include "mailbox/crew.h"

/* PhGatherWork: what is kept of each message: as PhCrewWork. */
typedef struct {
	void *(*begin)(void *user_data);

	/* take: @info: (borrowed) zero when no structure was asked for. */
	void (*take)(void *user_data,
	             void *gathered,
	             uint32_t number,
	             const PhRecord *record,
	             const PhMessageInfo *info);
	void (*merge)(void *user_data, void *gathered);
} PhGatherWork;

typedef struct PhGather PhGather;

/* ph_gather_new: over the messages of @numbers. */
PhGather *ph_gather_new(PhView *view,
                        const PhUidSet *numbers,
                        uint32_t fields,
                        const PhGatherWork *work,
                        void *user_data);

/* ph_gather_step: Returns: true when all were seen, or failed (then *failed_out and @error). */
bool ph_gather_step(PhGather *gather, PhSession *session, bool *failed_out, GError **error);
void ph_gather_free(PhGather *gather);

/* ph_sent_time: when a message was sent: its Date, else when it arrived (RFC 5256 section 2.2). */
PhTime ph_sent_time(const PhRecord *record, const PhMessageInfo *info);

/* ph_upper: in upper case of all letters, for comparing (owned). ph_base_subject: that of the base
 * subject. */
char *ph_upper(PhSlice text);
char *ph_base_subject(const PhMessageInfo *info, bool *is_reply_out);

#endif

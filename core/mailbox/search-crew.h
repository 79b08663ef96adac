/* search-crew.h: the part of a search that reads messages, by more than one processor
 *
 * The messages are dealt out in hands of some hundred. The session's own thread takes hands in its
 * turns; when there are many messages, and processors, a thread of the process's crew takes others
 * meanwhile. Crew threads are as few as there are further processors, whatever the number of
 * searches: a second search waits for its helper and goes on without.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_SEARCH_CREW_H
#define PH_MAILBOX_SEARCH_CREW_H

#include "mailbox/search-eval.h"

typedef struct PhSearchCrew PhSearchCrew;

/* ph_search_crew_new: @view, @plan: (borrowed) alive and unchanged until ph_search_crew_free.
 * @uids: (owned) the messages to look at. */
PhSearchCrew *ph_search_crew_new(PhView *view, const PhSearchPlan *plan, PhUidSet *uids);

/* ph_search_crew_step: goes on until all messages were looked at, or ph_session_should_yield(@session)
 * (nullable). Returns: over; then *failed_out with @error, or what was found. Blocks: yes. */
bool ph_search_crew_step(PhSearchCrew *crew, PhSession *session, bool *failed_out, GError **error);

/* ph_search_crew_found: sequence numbers (borrowed), when it is over. */
const PhUidSet *ph_search_crew_found(const PhSearchCrew *crew);

/* ph_search_crew_free: waits until nobody looks at a message of it. */
void ph_search_crew_free(PhSearchCrew *crew);

#endif

/* crew.h: looks at many messages of a view with more than one processor
 *
 * The messages are dealt out in hands of some hundred. The session's own thread takes hands in its
 * turns; when there are many messages, and processors, a thread of the process's crew takes others
 * meanwhile. Crew threads are as few as there are further processors, however many sessions ask:
 * who gets no help goes on alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_CREW_H
#define PH_MAILBOX_CREW_H

#include <posthorn/mailbox.h>

/* PhCrewWork: what is done with each message. Hands are looked through by several threads at once,
 * each with what it gathers; they are put together by one thread at a time, in any order. */
typedef struct {
	/* begin: an empty gathering. */
	void *(*begin)(void *user_data);

	/* look: @number: of the record in the view. false with @error ends it all. */
	bool (*look)(void *user_data,
	             void *gathered,
	             uint32_t number,
	             const PhRecord *record,
	             GError **error);

	/* merge: @gathered: (owned). */
	void (*merge)(void *user_data, void *gathered);
} PhCrewWork;

typedef struct PhCrew PhCrew;

/* ph_crew_new: @view, @work, @user_data: (borrowed) alive until ph_crew_free, the view unchanged.
 * @uids: (owned) the messages. @fields: PH_FIELD_* of their records. */
PhCrew *ph_crew_new(PhView *view,
                    PhUidSet *uids,
                    uint32_t fields,
                    const PhCrewWork *work,
                    void *user_data);

/* ph_crew_step: goes on until all messages were looked at, or ph_session_should_yield(@session)
 * (nullable). Returns: it is over; then all is merged, or *failed_out with @error. Blocks: yes. */
bool ph_crew_step(PhCrew *crew, PhSession *session, bool *failed_out, GError **error);

/* ph_crew_free: waits until nobody looks at a message of it. */
void ph_crew_free(PhCrew *crew);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhCrew, ph_crew_free)

#endif

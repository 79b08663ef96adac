/* question.h: a question that a directory answers later, from the asker's side
 *
 * Two hold it: the walk that asks and the directory that answers. The call into the section lasts
 * until the answer.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_QUESTION_H
#define PH_LOGIN_QUESTION_H

#include <posthorn/directory.h>

#include "plugin/call.h"

/* ph_question_ask: begins it. @call: (borrowed) entered by this thread; the question's from now on.
 * @secret: (nullable). Returns: (owned). Thread: worker. Blocks: as `begin` does. */
PhQuestion *ph_question_ask(const PhCall *call, const char *user, const PhSecret *secret);

/* ph_question_take: true: it was answered, or its time is over, which is an ERROR. Outputs are set as
 * by `verify`. */
bool ph_question_take(PhQuestion *question,
                      PhVerify *result_out,
                      PhIdentity **identity_out,
                      GError **error);

/* ph_question_wake: @wake: (owned) completed by the answer; at once when that has come. */
void ph_question_wake(PhQuestion *question, PhWake *wake);

PhDuration ph_question_patience(const PhQuestion *question);

/* ph_question_drop: nobody waits for the answer any more. @question: (owned, nullable) */
void ph_question_drop(PhQuestion *question);

#endif

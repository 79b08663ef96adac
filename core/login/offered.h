/* offered.h: may a mechanism be offered, given the connection and the directories?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_OFFERED_H
#define PH_LOGIN_OFFERED_H

#include "login/service.h"

typedef struct {
	PhLoginConnection connection;
	bool can_give_secret; /* a directory keeps what this mechanism needs */
} PhOfferedQuestion;

/* ph_offered_judge, ph_offered_judge_plus: by its name, and as NAME-PLUS. Pure. */
PhOffered ph_offered_judge(const PhMechanism *table, const PhOfferedQuestion *question);
PhOffered ph_offered_judge_plus(const PhMechanism *table, const PhOfferedQuestion *question);

#endif

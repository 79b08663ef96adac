/* offered.h: may a mechanism be offered, given the connection and the directories?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_OFFERED_H
#define PH_LOGIN_OFFERED_H

#include "login/service.h"

typedef struct {
	bool tls;
	bool plaintext_ok;    /* a password may be shown */
	bool can_give_secret; /* a directory keeps what challenge mechanisms need */
	bool certificate;     /* the client showed a certificate */
} PhOfferedQuestion;

/* ph_offered_judge: pure. */
PhOffered ph_offered_judge(const PhMechanism *table, const PhOfferedQuestion *question);

#endif

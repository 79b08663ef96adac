/* offered.c: may a mechanism be offered, given the connection and the directories?
 *
 * One row a need. What the directories cannot answer is not offered at all; what only TLS is
 * missing for says so, because the client can do something about it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/offered.h"

PhOffered
ph_offered_judge(const PhMechanism *table, const PhOfferedQuestion *question)
{
	const struct {
		uint32_t flag;
		bool met;
		PhOffered otherwise;
	} needs[] = {
		{ PH_MECHANISM_NEEDS_SECRET, question->can_give_secret, PH_OFFERED_NO },
		{ PH_MECHANISM_NEEDS_CERTIFICATE, question->certificate, PH_OFFERED_NO },
		{ PH_MECHANISM_NEEDS_BINDING, question->tls, PH_OFFERED_NEEDS_TLS },
		{ PH_MECHANISM_SHOWS_PASSWORD, question->tls || question->plaintext_ok,
		  PH_OFFERED_NEEDS_TLS },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
		if ((table->flags & needs[i].flag) != 0 && !needs[i].met)
			return needs[i].otherwise;
	return PH_OFFERED_YES;
}

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
		{ PH_MECHANISM_NEEDS_CERTIFICATE, question->connection.certificate, PH_OFFERED_NO },
		{ PH_MECHANISM_NEEDS_BINDING, question->connection.tls, PH_OFFERED_NEEDS_TLS },
		{ PH_MECHANISM_NEEDS_BINDING, question->connection.binding, PH_OFFERED_NO },
		{ PH_MECHANISM_SHOWS_PASSWORD,
		  question->connection.tls || question->connection.plaintext_ok,
		  PH_OFFERED_NEEDS_TLS },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
		if ((table->flags & needs[i].flag) != 0 && !needs[i].met)
			return needs[i].otherwise;
	return PH_OFFERED_YES;
}

PhOffered
ph_offered_judge_plus(const PhMechanism *table, const PhOfferedQuestion *question)
{
	PhOffered offered = ph_offered_judge(table, question);

	if ((table->flags & PH_MECHANISM_HAS_PLUS) == 0 || offered != PH_OFFERED_YES)
		return PH_OFFERED_NO;
	if (!question->connection.tls)
		return PH_OFFERED_NEEDS_TLS;
	return question->connection.binding ? PH_OFFERED_YES : PH_OFFERED_NO;
}

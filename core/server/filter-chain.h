/* filter-chain.h: the filters that a listener or a route names, and what they are asked with
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_FILTER_CHAIN_H
#define PH_SERVER_FILTER_CHAIN_H

#include <posthorn/filter.h>

#include "config/section.h"
#include "net/services.h"

/* PhFilterRow: one of them; all borrowed from its section. */
typedef struct {
	PhSection *section;
	const PhFilter *table; /* completed */
	void *instance;
	uint64_t timeout_us;    /* of one call, never 0 */
	uint32_t on_failure;    /* PhOnFailure */
	const char *quarantine; /* mailbox */
} PhFilterRow;

struct PhFilterChain {
	uint32_t stages; /* bits 1 << PhStage that one of them wants */
	size_t n;
	/* hold, release: of what the sections belong to; @owner: theirs. */
	void *(*hold)(void *owner);
	void (*release)(void *owner);
	void *owner;
	PhFilterRow rows[];
};

/* ph_filter_chain_new: @sections: (nullable) NULL-terminated. Thread: load. */
PhFilterChain *ph_filter_chain_new(PhSection *const *sections);
void ph_filter_chain_free(PhFilterChain *chain);

/* ph_filters_open: for mail that no session brings; NULL for no chain. Returns: (owned). */
PhFilters *ph_filters_open(const PhFilterChain *chain);

/* ph_verdict_of_failure: what @row says when the filter has failed. */
void ph_verdict_of_failure(const PhFilterRow *row, PhVerdict *verdict_out);

/* ph_verdict_apply: does what can be done at once, on a mail at a stage: REDIRECT and QUARANTINE
 * change the mail and become NONE or, when that cannot be, TEMPORARY or REJECT; nonsense becomes the
 * failure's verdict. @recipient: that is asked about. Thread: worker. Blocks: yes (directory). */
void ph_verdict_apply(const PhFilterRow *row,
                      uint32_t stage,
                      PhMail *mail,
                      size_t recipient,
                      PhVerdict *verdict);

#endif

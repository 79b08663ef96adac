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
	uint32_t stages;        /* bits 1 << PhStage where it is asked */
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

/* What a mail that is held says before the filter's name, and before its reason. */
#define PH_QUARANTINED "quarantined by the filter "

/* ph_quarantine_settle: decides where a quarantined mail goes, now that all is known of it: into a
 * mailbox, where all its recipients have a store; else it waits in the queue for a person (mail->hold
 * says why). Returns: false: neither can be. */
bool ph_quarantine_settle(PhMail *mail);

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

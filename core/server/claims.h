/* claims.h: which journal holds changes of a store's section
 *
 * A section whose commits go through a journal is used by one server alone: in its folder lies a file
 * that names the journal, and is locked while that is open. It stays after a crash, until the journal
 * was replayed and closed cleanly.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_CLAIMS_H
#define PH_SERVER_CLAIMS_H

#include "config/config.h"

typedef struct PhClaims PhClaims;

PhClaims *ph_claims_new(void);

/* ph_claims_check: none of the config's sections is another journal's. @id: 0: there is no journal.
 * ph_claims_take: and they are ours from now on. Errors: TEMPORARY. Blocks: on the disk. */
bool ph_claims_check(const PhConfig *config, uint64_t id, GError **error);
bool ph_claims_take(PhClaims *claims,
                    const PhConfig *config,
                    uint64_t id,
                    const char *journal,
                    GError **error);

/* ph_claims_free: @is_clean: nothing of them is in the journal any more: the files go.
 * @claims: (nullable). */
void ph_claims_free(PhClaims *claims, bool is_clean);

#endif

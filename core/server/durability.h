/* durability.h: [server] durability: the journal of this data directory, from start to stop
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_DURABILITY_H
#define PH_SERVER_DURABILITY_H

#include "config/config.h"
#include "journal/journal.h"

/* ph_durability_open: the journal that the config wants, or one that an earlier config has left with
 * changes in it. @journal_out: (owned, nullable) NULL: none is needed. @failed: see journal.h.
 * @used_out: (nullable) set when it fails because another process has the journal.
 * Thread: main. Blocks: on the disk; up to 10 s while another process lets go of it. */
bool ph_durability_open(const PhConfig *config,
                        void (*failed)(void *user_data),
                        void *user_data,
                        PhJournal **journal_out,
                        bool *used_out,
                        GError **error);

/* ph_durability_check: what waits in the journal must find its sections, and no section may be another
 * server's (claims.h). ph_durability_start: changes may be entered, if the config wants it; again for
 * another config with more sections. @journal: (nullable). */
bool ph_durability_check(PhJournal *journal, PhConfig *config, GError **error);
bool ph_durability_start(PhJournal *journal, const PhConfig *config, GError **error);

/* ph_durability_end: when no account is open any more. A journal that the config does not want
 * goes, once nothing waits in it. @journal: (nullable, owned). */
void ph_durability_end(PhJournal *journal, const PhConfig *config);

/* ph_durability_yield: ends the journal, for another process; it is still to be freed. */
void ph_durability_yield(PhJournal *journal);

/* ph_durability_is_same: can a process that runs with @old go on with @next? */
bool ph_durability_is_same(const PhConfig *old, const PhConfig *next);

#endif

/* tally.h: the inside of tallies, for their tests
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_TALLY_H
#define PH_SERVER_TALLY_H

#include <posthorn/tally.h>

/* ph_tally_new: one that nobody shares. @folder: (nullable) where it is kept. */
PhTally *ph_tally_new(const char *folder, const char *name, size_t most, PhTime now);

/* ph_tally_charge_at: @now: of the wall clock. */
size_t ph_tally_charge_at(PhTally *tally,
                          const PhTallyCharge *charges,
                          size_t n,
                          PhTime now,
                          uint64_t *wait_us_out);

size_t ph_tally_count(PhTally *tally);

/* ph_tally_text: what is written at @now. ph_tally_parse: adds it; lines that are none are left out. */
GString *ph_tally_text(PhTally *tally, PhTime now);
void ph_tally_parse(PhTally *tally, PhSlice text, PhTime now);

/* ph_tally_save: takes in what others have written to the file, and writes it. */
void ph_tally_save(PhTally *tally, PhTime now);

/* ph_tally_free: not written. */
void ph_tally_free(PhTally *tally);

#endif

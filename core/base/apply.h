/* apply.h: ids of applied transactions, as ph_apply_batch uses them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_APPLY_H
#define POSTHORN_BASE_APPLY_H

#include <posthorn/apply.h>

/* ph_applied_give: the first results, when the id is known. ph_applied_note: it is from now on. */
bool ph_applied_give(const PhApplied *applied, PhTransaction *transaction);
void ph_applied_note(PhApplied *applied, const PhTransaction *transaction);

#endif

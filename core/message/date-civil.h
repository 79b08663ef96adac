/* message/date-civil.h: calendar days as numbers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_DATE_CIVIL_H
#define MESSAGE_DATE_CIVIL_H

#include <posthorn/date.h>

#define PH_DAY_SECONDS 86400

bool ph_day_is_valid(PhDay day);

/* ph_day_number: days since 1970-01-01, and back. */
int64_t ph_day_number(PhDay day);
PhDay ph_day_from_number(int64_t number);

#endif

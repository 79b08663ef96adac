/* fold.h: header fields with lines that are too long
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef FOLD_H
#define FOLD_H

#include <posthorn/types.h>

/* fold_field: appends @field, which ends in a line end, with its lines cut at blanks so that they have
 * at most 998 octets (RFC 5322 sections 2.1.1 and 2.2.3). Where there is no blank a line stays as it
 * is: cutting would change its value. Pure. */
void fold_field(PhSlice field, GString *out);

#endif

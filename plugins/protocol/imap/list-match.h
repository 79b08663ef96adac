/* list-match.h: does a mailbox name match a pattern of LIST?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_LIST_MATCH_H
#define IMAP_LIST_MATCH_H

#include <posthorn/types.h>

/* imap_list_match: '*' stands for any octets, '%' for any but '/'. Time is the product of the two
 * lengths at most, whatever the pattern. */
bool imap_list_match(PhSlice pattern, PhSlice name);

#endif

/* finder.h: which message has a file's name, without a table of all names
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_FINDER_H
#define STORE_MAILDIR_FINDER_H

#include "scan.h"

typedef struct Finder Finder;

/* finder_uid: @finder: made when it is needed and brought up to date; @scan: has a connection and the
 * mailbox's counts. *uid_out: 0: no message has the name. finder_begin: a new scan begins. */
bool finder_uid(Finder **finder, const Scan *scan, PhSlice base, uint32_t *uid_out, GError **error);
void finder_begin(Finder *finder); /* (nullable) */
void finder_free(Finder *finder);  /* (nullable) */

#endif

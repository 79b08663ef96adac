/* reserve.h: space that is kept so that mail can be removed when the disk is full
 *
 * A file in the data directory that holds nothing. When a change that frees space or alters flags
 * finds no room, a part of the file is given up and the change is tried again. As long as the file
 * is not whole nothing that grows is taken: it would use up what was given up for others. It is
 * made whole again when the disk has room, which is tried at most once a second.
 *
 * It helps the stores on the file system of the data directory.
 *
 * Thread: any, but for open.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_BASE_RESERVE_H
#define PH_BASE_RESERVE_H

#include <posthorn/types.h>

/* ph_reserve_open: makes or finds the file in @folder. A full disk is no error. Thread: load. */
bool ph_reserve_open(const char *folder, GError **error);

/* ph_reserve_close: the file stays. */
void ph_reserve_close(void);

/* ph_reserve_spend: gives up half of what is left, if the disk is full. Returns: true when it is
 * worth to try again. */
bool ph_reserve_spend(void);

/* ph_reserve_may_grow: may a change that needs space be tried? TEMPORARY if not. */
bool ph_reserve_may_grow(GError **error);

#endif

/* nothing.c: a shared object that is no plugin
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/types.h>

PH_EXPORT const int nothing;
PH_EXPORT const int nothing = 1;

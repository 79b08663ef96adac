/* error.h: classes of errors that only the core itself makes
 *
 * They stand behind those of <posthorn/error.h>, and ph_error_reply() knows them too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_BASE_ERROR_H
#define PH_BASE_ERROR_H

#include <posthorn/error.h>

enum {
	PH_ERROR_LOOP = 100, /* 554 5.4.6: the mail was here before and would go round for ever */
};

#endif

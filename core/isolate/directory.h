/* directory.h: what is asked of an isolated directory (both ends)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_DIRECTORY_H
#define PH_ISOLATE_DIRECTORY_H

typedef enum {
	PH_ASK_VERIFY = 1,
	PH_ASK_LOOKUP = 2,
	PH_ASK_SECRET = 3,
	PH_ASK_EXPAND = 4,
	PH_ASK_LIST = 5,
	PH_ASK_SET = 6,
	PH_ASK_REMOVE = 7,
	PH_ASK_VERSION = 8,
	PH_ASK_GIVES = 9,
} PhAskDirectory;

#endif

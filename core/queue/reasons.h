/* reasons.h: sentences that many recipients share, each kept once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_REASONS_H
#define PH_QUEUE_REASONS_H

#include <posthorn/types.h>

enum {
	PH_REASONS_MAX = 20000, /* different ones; further ones are not kept */
	PH_REASON_OCTETS = 200,
};

typedef struct PhReasons PhReasons;

PhReasons *ph_reasons_new(void);
void ph_reasons_free(PhReasons *reasons);

/* ph_reasons_use: its number, 0 for none, counted. ph_reasons_drop: one use less. */
uint32_t ph_reasons_use(PhReasons *reasons, PhSlice text);
void ph_reasons_drop(PhReasons *reasons, uint32_t number);

/* ph_reasons_text: (borrowed, nullable) NULL for 0. */
const char *ph_reasons_text(const PhReasons *reasons, uint32_t number);

#endif

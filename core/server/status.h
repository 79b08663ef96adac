/* status.h: what `posthorn status` shows, as text for people or as one JSON object
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_STATUS_H
#define PH_SERVER_STATUS_H

#include "server/generation.h"

/* PhStatusListener: one open address. */
typedef struct {
	char *name;
	char *address; /* where it really listens */
	uint16_t port;
	uint32_t sessions;
} PhStatusListener;

typedef struct {
	PhGeneration *generation;
	GArray *listeners; /* of PhStatusListener */
	const PhRuntime *runtime;
	uint64_t started_us;
} PhStatusInput;

/* ph_status_write: appends it, with a newline at the end. Thread: main. */
void ph_status_write(const PhStatusInput *input, bool as_text, GString *out);

#endif

/* generation.h: everything that one configuration brings to life
 *
 * Instances of plugins, TLS contexts, the router, and what each listener's sessions use. Counted:
 * the server holds the present one, each listener and each session that began with it hold it too,
 * so an old generation goes on until its last session has ended.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_GENERATION_H
#define PH_SERVER_GENERATION_H

#include "config/config.h"
#include "login/backoff.h"
#include "net/net.h"
#include "server/partial.h"
#include "server/queue-run.h"
#include "server/router.h"

/* PhRuntime: what outlives generations; one for the process. */
typedef struct {
	PhReactor *reactor; /* (nullable) for tests without sockets */
	PhBackoff *backoff;
	PhPartial *partial; /* (nullable) */
	PhQueueRun *queue;  /* (nullable) */
	bool has_main_loop; /* the last reference may go on any thread: destroy on the main loop */
} PhRuntime;

typedef struct PhGeneration PhGeneration;

/* ph_generation_new: @config: referenced. @previous: (nullable) whose instances may go on. What
 * fails becomes a mistake with its line. Thread: main. Blocks: on the disk. */
PhGeneration *ph_generation_new(const PhRuntime *runtime,
                                PhConfig *config,
                                PhGeneration *previous,
                                PhMistakes *mistakes);

PhGeneration *ph_generation_ref(PhGeneration *generation);
void ph_generation_unref(PhGeneration *generation);

PhConfig *ph_generation_config(const PhGeneration *generation);
PhRouter *ph_generation_router(const PhGeneration *generation); /* borrowed */
uint64_t ph_generation_number(const PhGeneration *generation);

/* ph_generation_listener: what a listener's section brings; false when there is no such section.
 * With the parameters goes a reference, which their `release` gives back. */
bool ph_generation_listener(PhGeneration *generation,
                            const char *name,
                            PhListenerParams *params_out);

/* ph_generation_queue: (owned, nullable).
 * ph_generation_use_queue: from now on the queue's tasks use this generation. */
PhQueue *ph_generation_queue(const PhGeneration *generation);
void ph_generation_use_queue(PhGeneration *generation);

/* ph_generation_tls: (borrowed, nullable) the context of its certificates. */
PhTlsContext *ph_generation_tls(const PhGeneration *generation);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhGeneration, ph_generation_unref)

#endif

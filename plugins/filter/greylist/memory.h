/* memory.h: who tried to send what to whom, in a database that survives a restart
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef GREYLIST_MEMORY_H
#define GREYLIST_MEMORY_H

#include <posthorn/types.h>

/* MemoryRules: times in seconds. */
typedef struct {
	const char *path; /* borrowed for the memory's life */
	int64_t delay;    /* until a first try may be repeated */
	int64_t window;   /* in which it must be */
	int64_t lifetime; /* that a success is remembered */
	int64_t allow;    /* successes after which a client is not asked any more; 0: never */
	int64_t limit;    /* rows that are kept */
} MemoryRules;

/* Triplet: one attempt. Strings are borrowed. */
typedef struct {
	const char *network; /* of the client */
	const char *sender;
	const char *recipient;
} Triplet;

typedef struct Memory Memory;

/* memory_new: nothing is opened before the first question. */
Memory *memory_new(const MemoryRules *rules);
void memory_free(Memory *memory);

/* memory_ask: may this attempt of @now (seconds since 1970) pass? @wait_out: seconds to wait, 0 when
 * it may. Thread: any. Blocks: on the disk. Errors: TEMPORARY. */
bool memory_ask(Memory *memory,
                const Triplet *triplet,
                int64_t now,
                int64_t *wait_out,
                GError **error);

/* memory_network: the network that an address counts as: its /24, or /64 for IPv6; other text as it
 * is. */
void memory_network(const char *address, GString *out);

#endif

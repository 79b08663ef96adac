/* pool.h: the children of one section, as the process that serves clients sees them
 *
 * A child does one call at a time. Whoever takes a link has it alone until giving it back; a link
 * that failed is given back as bad: its child is killed, and another comes in its place.
 *
 * Thread: any, for all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_POOL_H
#define PH_ISOLATE_POOL_H

#include "config/section.h"
#include "isolate/link.h"

typedef struct PhPool PhPool;
struct PhCarrier;

/* PhPoolLink: the connection to one child, from its start to its end. */
typedef struct {
	uint64_t serial; /* never used twice in a process */
	int64_t pid;
	int fd;
	uint32_t index;
	bool is_busy;
	bool is_known;   /* something came from the child: it greets no more */
	bool is_gone;    /* to be freed when it is given back */
	PhPacket packet; /* for who holds it */
	GArray *ended;   /* of uint64_t: states of the child that nobody needs any more */
} PhPoolLink;

/* ph_pool_new: @id: of the whole process. @n: how many children there are to be. */
PhPool *ph_pool_new(PhSection *section, uint64_t id, uint32_t n);
void ph_pool_free(PhPool *pool);

uint64_t ph_pool_id(const PhPool *pool);
PhSection *ph_pool_section(const PhPool *pool);

/* ph_pool_add: a child was started in place @index. @fd: (owned). */
void ph_pool_add(PhPool *pool, uint32_t index, int64_t pid, int fd);

/* ph_pool_awaited: places where no child ever was. */
uint32_t ph_pool_awaited(PhPool *pool);

/* ph_pool_take: a free link, with the head of a request in its packet; @serial: that one, 0 for any.
 * NULL with TEMPORARY when none was free until @deadline_us, or that one is gone. */
PhPoolLink *ph_pool_take(PhPool *pool, uint64_t serial, uint64_t deadline_us, GError **error);

/* ph_pool_try: the same without waiting, NULL when none is free. @is_first: that of the first place only,
 * because what children number differs. */
PhPoolLink *ph_pool_try(PhPool *pool, bool is_first);

/* The calls that no thread waits for: told when a process is free, freed with the pool. @carrier: (owned) */
void ph_pool_set_carrier(PhPool *pool, struct PhCarrier *carrier);
struct PhCarrier *ph_pool_carrier(const PhPool *pool);

/* What children have said not long ago, by name. keep: now. find: when it is not older than @age_us. */
void ph_pool_keep_number(PhPool *pool, const char *name, uint64_t value);
bool ph_pool_find_number(PhPool *pool, const char *name, uint64_t age_us, uint64_t *value_out);

/* ph_pool_give: back; what its packet held is wiped. @good: false closes it. */
void ph_pool_give(PhPool *pool, PhPoolLink *link, bool good);

/* ph_pool_end_state: the child with that link is told with its next call that a state is over. */
void ph_pool_end_state(PhPool *pool, uint64_t serial, uint64_t state);

/* PhPoolChild: one place, for `posthorn status`. */
typedef struct {
	int64_t pid; /* 0: none at this moment */
	uint64_t calls;
	uint64_t restarts;
	bool is_busy;
} PhPoolChild;

/* ph_pool_child: place @index; false behind the last. */
bool ph_pool_child(PhPool *pool, uint32_t index, PhPoolChild *child_out);

#endif

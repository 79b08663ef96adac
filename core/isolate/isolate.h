/* isolate.h: plugins that run in processes of their own, behind the same tables
 *
 * A section with `isolate = N` gets an instance and a table of proxies in the place of the plugin's:
 * each call is packed, sent to one of N children, and its answer unpacked, with the section's
 * `timeout` as its deadline. Whoever can start processes (the supervisor, asked by the worker)
 * provides PhIsolateControl. Without it plugins run in process, as in tools.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_ISOLATE_H
#define PH_ISOLATE_ISOLATE_H

#include "isolate/pool.h"

/* PhIsolateOrder: children that are wanted. */
typedef struct {
	uint64_t id;
	PhSection *section;
	uint32_t n;
} PhIsolateOrder;

/* PhIsolateControl: Thread: start on main or load, kill on any, end on main. */
typedef struct {
	/* start: each child that comes is told with ph_isolate_told(). */
	bool (*start)(const PhIsolateOrder *order, GError **error);
	/* kill: that child does not do what it should. */
	void (*kill)(uint64_t id, int64_t pid);
	/* end: the children are needed no more. */
	void (*end)(uint64_t id);
} PhIsolateControl;

/* ph_isolate_open: from now on sections with `isolate` are isolated. @control: (borrowed, for
 * ever). Thread: load. */
void ph_isolate_open(const PhIsolateControl *control);

/* ph_isolate_told: a child is there in place @index. @fd: (owned) the link to it. */
void ph_isolate_told(uint64_t id, uint32_t index, int64_t pid, int fd);

/* ph_isolate_awaited: places of all sections where no child ever was. */
uint32_t ph_isolate_awaited(void);

/* ph_isolate_child: number @index of the children that serve @section (or its origin); false
 * behind the last. */
bool ph_isolate_child(PhSection *section, uint32_t index, PhPoolChild *child_out);

/* ph_isolate_set_filter: @table: makes the table of proxies of a filter, as those below; filters need
 * what stands above. Thread: load. */
void ph_isolate_set_filter(void *(*table)(const void *real));

/* --- for the kinds of plugins ----------------------------------------------------------------- */

/* PhIsolateCall: one call. Between begin and end the link is the caller's. */
typedef struct {
	PhPool *pool;
	PhPoolLink *link;
	uint64_t deadline_us;
	PhPacketReader reply;
	int pass;     /* (owned) goes with the next packet; -1: none */
	int passed;   /* came with the last one; -1: none */
	bool is_good; /* the child may go on */
} PhIsolateCall;

/* ph_isolate_begin: takes a link and writes the head of the request. @serial: 0 for any link.
 * @operation: the kind's own number. */
bool ph_isolate_begin(PhIsolateCall *call,
                      PhPool *pool,
                      uint64_t serial,
                      uint64_t operation,
                      GError **error);

/* ph_isolate_try: the same without waiting: false when no process is free. ph_isolate_try_first: the
 * process in the first place, for what is a process's own. */
bool ph_isolate_try(PhIsolateCall *call, PhPool *pool, uint64_t operation, uint64_t deadline_us);
bool ph_isolate_try_first(PhIsolateCall *call,
                          PhPool *pool,
                          uint64_t operation,
                          uint64_t deadline_us);

/* ph_isolate_ask: sends what was written into call->link->packet and waits. Returns: what came, a
 * PhReply other than HELLO, to be read from call->reply; 0 with TEMPORARY. */
uint64_t ph_isolate_ask(PhIsolateCall *call, GError **error);

/* ph_isolate_send, ph_isolate_take: the two halves of ph_isolate_ask. take: does not wait. True: *@reply_out
 * is as there, or @error is set because there will be none. */
bool ph_isolate_send(PhIsolateCall *call, GError **error);
bool ph_isolate_take(PhIsolateCall *call, uint64_t *reply_out, GError **error);

/* ph_isolate_deadline: of a call that begins now. */
uint64_t ph_isolate_deadline(PhPool *pool);

/* ph_isolate_nonsense: the reply is not what it should be: TEMPORARY, and the child is killed. */
void ph_isolate_nonsense(PhIsolateCall *call, GError **error);

/* ph_isolate_end: gives the link back, and the child up if something went wrong. */
void ph_isolate_end(PhIsolateCall *call);

/* The proxies' tables. @real: the plugin's, adopted. Returns: (owned) a table of the same kind,
 * whose instance is a PhPool. */
void *ph_isolate_directory_table(const void *real);
void *ph_isolate_mechanism_table(const void *real);

#endif

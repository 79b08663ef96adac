/* slot.h: the place of a session that outlives it: its state word, its turn, its due time
 *
 * Slots are never given back to the system, so that whoever holds a slot number and a generation
 * may always look: the generation in the state word says whether the session is still the same.
 *
 * The word: generation (32 bits), number of the park under way (12 bits), and PH_BIT_* (20 bits).
 * A session is run by whoever changes it to PH_BIT_RUNNING; everybody else leaves bits in the word,
 * and the first to do so puts the slot into its home's queue. So a callback never runs twice at
 * once, wake-ups become one, and session state needs no lock.
 *
 * Thread: any, for all, unless said otherwise.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_SLOT_H
#define PH_NET_SLOT_H

#include <posthorn/session.h>

#include <stdatomic.h>

enum {
	PH_BIT_RUNNING = 1U << 0, /* a thread is in it */
	PH_BIT_QUEUED = 1U << 1,  /* it is in its home's queue, or the runner will put it there */
	PH_BIT_POLLED = 1U << 2,  /* the reactor has reported it: it is not armed any more */
	PH_BIT_IN = 1U << 3,
	PH_BIT_OUT = 1U << 4,
	PH_BIT_HALF = 1U << 5, /* the peer has ended its side */
	PH_BIT_GONE = 1U << 6, /* the connection is dead in both directions */
	PH_BIT_WAKE = 1U << 7,
	PH_BIT_NOTIFY = 1U << 8,
	PH_BIT_DUE = 1U << 9, /* the due time has come */
	PH_BIT_DRAIN = 1U << 10,
	PH_BIT_GO = 1U << 11, /* it yielded and has its next turn */
	PH_BIT_ABORT = 1U << 12,
	PH_BIT_HORIZON = 1U << 13, /* what it shows is durable now */
	PH_BITS_MASK = (1U << 20) - 1,
};

typedef struct PhHome PhHome;
typedef struct PhScratch PhScratch;
typedef struct PhSlot PhSlot;

/* PhReady: one entry of a queue of work. */
typedef struct PhReady PhReady;

struct PhReady {
	PhReady *next;
	int64_t since_us;
	void (*run)(PhReady *ready, PhScratch *scratch);
};

/* PhHome: where sessions live: the reactor, or a test. */
struct PhHome {
	/* ready: queues it; its `run` is called once, in turn. */
	void (*ready)(PhHome *home, PhReady *ready);
	/* arm: report these EPOLL* events once. Thread: session. */
	bool (*arm)(PhHome *home, PhSession *session, uint32_t events);
	/* due: the slot's due_us became earlier than it was. Thread: session. */
	void (*due)(PhHome *home, PhSlot *slot, int64_t due_us);
	/* gone: the session ends; it is freed when this returns. Thread: session. */
	void (*gone)(PhHome *home, PhSession *session);
};

struct PhSlot {
	PhReady ready; /* first */
	_Atomic uint64_t word;
	_Atomic int64_t due_us;   /* 0: never */
	_Atomic int64_t wheel_us; /* where the wheel has it; 0: nowhere */
	PhSlot *wheel_next;       /* under the wheel's lock */
	PhSlot **wheel_link;
	PhSession *session; /* of the runner */
	_Atomic(PhHome *) home;
	_Atomic(const void *) owner; /* compared only: which generation it belongs to */
	uint32_t index;
	PhSlot *free_next; /* under the table's lock */
};

/* ph_slot_new: a slot for @session, in state running: the caller runs it. NULL: no slot left. */
PhSlot *ph_slot_new(PhSession *session, PhHome *home, const void *owner);

/* ph_slot_free: from its runner: the generation ends here. */
void ph_slot_free(PhSlot *slot);

PhSlot *ph_slot_at(uint32_t index);
uint32_t ph_slot_generation(const PhSlot *slot);

/* ph_slot_post: leaves @bits for the session of that generation, if it is still there. */
void ph_slot_post(PhSlot *slot, uint32_t generation, uint32_t bits);

/* ph_slot_claim: leaves @bits; true when the caller now runs the session: then @bits_out holds
 * all bits that were left. */
bool ph_slot_claim(PhSlot *slot, uint32_t generation, uint32_t bits, uint32_t *bits_out);

/* ph_slot_wake: like post with PH_BIT_WAKE, if the session still is in that park. */
void ph_slot_wake(PhSlot *slot, uint32_t generation, uint32_t park);

/* For the runner. begin: from queued to running. take: the bits left meanwhile. finish: no more
 * running: false when bits were left again; then it still runs. park: a new park number. */
uint32_t ph_slot_begin(PhSlot *slot);
uint32_t ph_slot_take(PhSlot *slot);
bool ph_slot_finish(PhSlot *slot);
uint32_t ph_slot_park(PhSlot *slot);

/* ph_slot_requeue: the runner gives the session its next turn at the end of the queue. */
void ph_slot_requeue(PhSlot *slot, uint32_t bits);

/* ph_slot_peek: the bits that wait now. */
uint32_t ph_slot_peek(const PhSlot *slot);

/* ph_slot_each: every slot in use whose home is @home, and whose owner is @owner unless that is
 * NULL, gets @bits. */
void ph_slot_post_all(const PhHome *home, const void *owner, uint32_t bits);

#endif

/* asks.h: what is asked of directories while an address is resolved
 *
 * All questions go along the chain of login/, so that kept answers are used and the limits of a section
 * hold. Resolving begins anew when an answer that it had to wait for has come; what was answered so is
 * remembered, and it gets as far as the next question.
 *
 * Thread: worker, one at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ASKS_H
#define PH_SERVER_ASKS_H

#include <posthorn/directory.h>
#include <posthorn/wake.h>

/* PhAsks: the questions of one address. */
typedef struct PhAsks PhAsks;

enum {
	PH_ASKS_LATER =
		0, /* instead of a PhVerify: ph_asks_wake(), and resolve anew when it is completed */
};

PhAsks *ph_asks_new(void);
void ph_asks_free(PhAsks *asks);

/* ph_asks_clear: for the next address. */
void ph_asks_clear(PhAsks *asks);

/* ph_asks_user, ph_asks_members: asks this directory alone; its failure is logged. @asks: (nullable)
 * NULL: the thread waits. @members_out: (out, owned) must not be changed. Outputs are set for OK. Returns:
 * a PhVerify, or PH_ASKS_LATER. */
uint32_t ph_asks_user(PhAsks *asks,
                      PhSection *directory,
                      const char *address,
                      PhIdentity **identity_out);
uint32_t ph_asks_members(PhAsks *asks,
                         PhSection *directory,
                         const char *address,
                         GPtrArray **members_out);

/* ph_asks_wake: @wake: (owned) completed when it is worth to resolve on; ph_asks_patience: when it is
 * over, that is worth it even without. */
void ph_asks_wake(PhAsks *asks, PhWake *wake);
PhDuration ph_asks_patience(const PhAsks *asks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhAsks, ph_asks_free)

#endif

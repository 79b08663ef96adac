/* chain.h: asks directories in order until one knows the user
 *
 * A chain is a NULL-terminated array of directory sections. Every call into a directory is counted
 * and timed under its section's name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_CHAIN_H
#define PH_LOGIN_CHAIN_H

#include <posthorn/directory.h>

#include "plugin/call.h"

typedef PhSection *const *PhChain;

/* PhChainWalk: one question on its way along a chain. Must not move while it waits. */
typedef struct {
	PhChain at; /* the directory to ask next */
	PhTicket ticket;
	PhQuestion *question; /* (owned, nullable) that the directory at hand answers later */
	uint64_t version;     /* of the directory at hand, before it was asked */
	GError *failure;      /* (owned, nullable) of a directory that was passed over */
	bool is_wrong;        /* one knew the user */
} PhChainWalk;

/* ph_chain_walk: asks on; with a @secret whether it is the user's, without it who @user is. Returns:
 * false while the directory at hand is at its limit or has not answered: ph_chain_walk_wake() and the
 * same call again. true: *@result_out as below. Thread: worker. Blocks: yes, in the directories. */
bool ph_chain_walk(PhChainWalk *walk,
                   const char *user,
                   const PhSecret *secret,
                   PhIdentity **identity_out,
                   PhVerify *result_out,
                   GError **error);

/* ph_chain_walk_members: the same for what an alias or list stands for. */
bool ph_chain_walk_members(PhChainWalk *walk,
                           const char *address,
                           GPtrArray **members_out,
                           PhVerify *result_out,
                           GError **error);
void ph_chain_walk_clear(PhChainWalk *walk);

/* ph_chain_walk_wake: @wake: (owned) completed when it is worth to ask on. ph_chain_walk_patience: when
 * it is over the walk is asked again even without a wake. */
void ph_chain_walk_wake(PhChainWalk *walk, PhWake *wake);
PhDuration ph_chain_walk_patience(const PhChainWalk *walk);

/* ph_chain_stops: has this section the last word with such an answer? */
bool ph_chain_stops(PhSection *section, PhVerify result);

/* Each returns the first answer that is not UNKNOWN_USER; ERROR stops the chain with @error, its
 * message beginning with the directory's name. Outputs are set only for OK.
 * Thread: worker. Blocks: yes. */
PhVerify ph_chain_lookup(PhChain chain,
                         const char *address,
                         PhIdentity **identity_out,
                         GError **error);
PhVerify ph_chain_secret(PhChain chain,
                         const char *user,
                         const char *scheme,
                         PhSecret **secret_out,
                         GError **error);

/* ph_chain_expand: what an alias or list stands for. @members_out: (out, owned) addresses, one more
 * than PH_ROUTE_MEMBERS_MAX at most; must not be changed. */
PhVerify ph_chain_expand(PhChain chain,
                         const char *address,
                         GPtrArray **members_out,
                         GError **error);

/* ph_chain_gives: may any directory have stored forms in @scheme? */
bool ph_chain_gives(PhChain chain, const char *scheme);

#endif

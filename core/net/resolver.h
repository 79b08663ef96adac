/* resolver.h: the server's side of the resolver
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_RESOLVER_H
#define PH_NET_RESOLVER_H

#include <posthorn/resolver.h>

/* PhResolverParams: borrowed for the call. */
typedef struct {
	const char *const *servers; /* (nullable) "192.0.2.1", "192.0.2.1:53", "[2001:db8::1]:53" */
	const char *trust_anchor;   /* (nullable) file */
	const char *hosts;          /* (nullable) file */
	PhDuration timeout;         /* 0: 10 s */
	uint32_t max_questions;     /* under way; 0: 1000 */
} PhResolverParams;

/* ph_resolver_configure: how questions are asked from now on; those under way go on as they were.
 * Nothing is opened before the first question. Before the first call the defaults hold.
 * Thread: main. */
void ph_resolver_configure(const PhResolverParams *params);

/* ph_resolver_stop: what is under way is answered now: it failed. Later questions begin anew.
 * Thread: main. Blocks: briefly. */
void ph_resolver_stop(void);

/* --- inside: resolver-record.c ---------------------------------------------------------------- */

/* ph_dns_record_decode: @data: what stands behind the type and class of one record, without
 * compression. @text: its text is appended, and a NUL; the record's slice counts from where it
 * began and is set by the caller. Pure. Returns: false when it is malformed. */
bool ph_dns_record_decode(uint32_t type, PhSlice data, PhDnsRecord *record_out, GString *text);

/* ph_dns_name_is_valid: can it be asked for at all? */
bool ph_dns_name_is_valid(const char *name);

#endif

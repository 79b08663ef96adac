/* resolver.h: questions to the DNS that hold no thread
 *
 * One resolver serves the process: it caches, validates DNSSEC when [resolver] names a trust
 * anchor, and asks the servers that the section names, else those of /etc/resolv.conf. What comes
 * back is hostile until proven secure, so everything is bounded: questions under way, records of an
 * answer, octets of a record, time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_RESOLVER_H
#define POSTHORN_RESOLVER_H

#include <posthorn/types.h>

G_BEGIN_DECLS

#define PH_RESOLVER_RECORDS_MAX 100 /* of one answer: what lies beyond is left out */

/* PhDnsType: the types that are decoded; any other number may be asked for. */
typedef enum {
	PH_DNS_A = 1,
	PH_DNS_NS = 2,
	PH_DNS_CNAME = 5,
	PH_DNS_PTR = 12,
	PH_DNS_MX = 15,
	PH_DNS_TXT = 16,
	PH_DNS_AAAA = 28,
	PH_DNS_SRV = 33,
	PH_DNS_TLSA = 52,
} PhDnsType;

/* PhResolverStatus: what came of a question. */
typedef enum {
	PH_RESOLVER_OK = 1,      /* at least one record */
	PH_RESOLVER_NO_DATA = 2, /* the name is there, but has no such record */
	PH_RESOLVER_NO_NAME = 3, /* there is no such name */
	PH_RESOLVER_INVALID =
		4,              /* what was asked for is no name: empty, too long, an empty label */
	PH_RESOLVER_FAILED = 5, /* no server answered usefully: try later */
	PH_RESOLVER_TIMEOUT = 6, /* no answer in time: try later */
	PH_RESOLVER_LIMIT = 7,   /* too many questions are under way: try later */
	PH_RESOLVER_BOGUS = 8,   /* validation failed: somebody lies; try later */
} PhResolverStatus;

/* PhDnsRecord: @text is what people read: an address of A and AAAA; the name of NS, CNAME, PTR, MX
 * and SRV, in lower case without its last dot ("" for the root, as a null MX has it); the joined
 * strings of TXT. Empty for the other types, and a NUL stands behind it. A record that is not what
 * its type wants is left out. */
typedef struct {
	PhSlice data; /* as it came, names uncompressed */
	PhSlice text;
	uint16_t preference; /* of MX; of SRV its priority */
	uint16_t weight;     /* of SRV */
	uint16_t port;       /* of SRV */
} PhDnsRecord;

/* PhResolverAnswer: borrowed for the call. */
typedef struct {
	size_t size;      /* sizeof(PhResolverAnswer) */
	uint32_t status;  /* PhResolverStatus */
	uint32_t rcode;   /* of the DNS */
	uint32_t ttl;     /* seconds */
	bool is_secure;   /* validated from the trust anchor on: the absence of a record too */
	bool is_cut;      /* there were more records than PH_RESOLVER_RECORDS_MAX */
	const char *name; /* where the records are, behind aliases; never NULL */
	const PhDnsRecord *records;
	size_t n_records;
	const char *why; /* (nullable) a sentence for the log when there is no answer */
} PhResolverAnswer;

/* PhResolverFunc: called exactly once for each question, never from inside ph_resolver_ask().
 * Thread: any; many questions share it, so it must be short and must not block. */
typedef void (*PhResolverFunc)(const PhResolverAnswer *answer, void *user_data);

/* ph_resolver_ask: asks for the records of @type at @name (with or without its last dot). A name of
 * /etc/hosts has the addresses that stand there. @section: (nullable) who asks, for the log.
 * Thread: any. Never blocks. */
PH_PUBLIC void ph_resolver_ask(PhSection *section,
                               const char *name,
                               uint32_t type,
                               PhResolverFunc func,
                               void *user_data);

/* ph_resolver_reverse_name: where the facts about an address stand: "1.2.0.192" and @zone
 * ("in-addr.arpa" and "ip6.arpa" when it is NULL), nibbles for IPv6. False: no address.
 * Thread: any. */
PH_PUBLIC bool ph_resolver_reverse_name(const char *address, const char *zone, GString *out);

G_END_DECLS

#endif

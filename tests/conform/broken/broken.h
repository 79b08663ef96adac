/* broken.h: a store that keeps every promise but one
 *
 * It passes everything to the store below and lets one row of faults.c spoil what passes. Each row
 * has the name of the rule of the conformance kit that must find it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_BROKEN_H
#define STORE_BROKEN_H

#include <posthorn/apply.h>
#include <posthorn/content.h>
#include <posthorn/error.h>
#include <posthorn/store.h>

#include <stdatomic.h>
#include <string.h>

typedef struct Fault Fault;

typedef struct {
	PhSection *below;
	const char *fault;
} Settings;

typedef struct {
	const Settings *settings;
	const PhStore *table; /* below */
	const Fault *fault;
	GMutex lock;       /* guards blobs */
	GHashTable *blobs; /* blob id as text -> PhContent: of whichever account came first */
} Instance;

typedef struct {
	Instance *instance;
	const PhStore *table;
	const Fault *fault;
	void *handle;
	GHashTable *results; /* id as GBytes -> packed results */
	GHashTable *failed;  /* ids as GBytes */
	PhMailboxId mailbox; /* of the last append */
	uint32_t uid;
	unsigned n_flags; /* FLAGS operations so far */
	unsigned n_opened;
	bool expunged;
	bool renamed;
	bool abandoned;
	atomic_bool committing;
} Account;

/* What a fault does to whole batches. */
enum {
	SPLIT = 1U << 0,         /* every operation is a transaction of its own */
	REVERSE = 1U << 1,       /* the batch is applied from its end */
	NEW_IDS = 1U << 2,       /* ids are not known again */
	NEW_IDS_BATCH = 1U << 3, /* the same, in batches */
	ALL_FAIL = 1U << 4,      /* one fails, all fail */
	KEEP_FAILED = 1U << 5,   /* an id that failed fails for ever */
	TWICE = 1U << 6,         /* a flag change is undone and done again */
	RAISES = 1U << 7,        /* a flag change always takes a change number */
	KNOWS_ALL = 1U << 8,     /* outcome says yes */
	FINDS = 1U << 9,         /* verify always finds something */
	LOSES = 1U << 10,        /* compact loses a message */
	SYNC_FAILS = 1U << 11,
	STOP_FAILS = 1U << 12,     /* stopping a reading is an error */
	LIST_STANDS = 1U << 13,    /* the list's change number never moves */
	MIXES_BLOBS = 1U << 14,    /* a blob id gives any account's octets */
	BUSY = 1U << 15,           /* no upload beside a commit */
	NO_PREFIX = 1U << 16,      /* values takes no notice of the prefix */
	ONE_VALUES = 1U << 17,     /* values are all the account's */
	COUNTS_UPLOADS = 1U << 18, /* verify reports uploads */
	FOREIGN = 1U << 19,        /* pretends to have foreign writers */
	SHARED = 1U << 20,         /* pretends to share accounts between processes */
	LIES = 1U << 22,           /* a commit that failed is done all the same */
	NOT_GONE = 1U << 21,       /* a removed mailbox is a temporary failure */
};

struct Fault {
	const char *name; /* the rule that finds it */
	uint32_t flags;
	uint32_t from_code; /* an error class that becomes another one */
	uint32_t to_code;
	void (*op)(Account *account, PhOp *op, uint32_t i);
	void (*done)(Account *account, PhTransaction *transaction);
	bool (*record)(const PhChangesQuery *query, PhRecord *record); /* false: hidden */
	void (*query)(PhChangesQuery *query);
	void (*result)(const PhChangesQuery *query, PhChangesResult *result);
	void (*info)(Account *account, PhMailboxInfo *info);
	PhContent *(*upload)(PhContent *content);
	PhContent *(*content)(Account *account, PhContent *content); /* NULL: GONE */
	void (*identity)(PhIdentityValues *values, char **text);
};

/* faults: a row for each rule; the last has no name. */
extern const Fault faults[];

#endif

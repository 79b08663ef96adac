/* record.h: what a store says about mailboxes and messages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_RECORD_H
#define POSTHORN_RECORD_H

#include <posthorn/uidset.h>

G_BEGIN_DECLS

typedef struct {
	uint8_t octets[16];
} PhMailboxId;

/* PhBlobId: how a store names octets; opaque, at most 64. */
typedef struct {
	uint8_t length;
	uint8_t octets[64];
} PhBlobId;

/* PhFlag: system flags. \Recent is not stored. */
enum {
	PH_FLAG_SEEN = 1U << 0,
	PH_FLAG_ANSWERED = 1U << 1,
	PH_FLAG_FLAGGED = 1U << 2,
	PH_FLAG_DELETED = 1U << 3,
	PH_FLAG_DRAFT = 1U << 4,
};

/* PhSpecialUse: RFC 6154. */
enum {
	PH_USE_ALL = 1U << 0,
	PH_USE_ARCHIVE = 1U << 1,
	PH_USE_DRAFTS = 1U << 2,
	PH_USE_FLAGGED = 1U << 3,
	PH_USE_JUNK = 1U << 4,
	PH_USE_SENT = 1U << 5,
	PH_USE_TRASH = 1U << 6,
};

/* PhMailboxInfo: one row of a mailbox list; never needs a scan of messages. */
typedef struct {
	PhMailboxId id;
	const char *name;     /* UTF-8, '/' between components; "INBOX" for the inbox */
	uint32_t special_use; /* PH_USE_* */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t n_messages;
	uint32_t n_unseen;
	uint32_t n_deleted;
	uint64_t octets; /* sum of the messages' sizes on the wire */
	uint64_t change; /* the highest change number */
} PhMailboxInfo;

/* PhFields: what a reader of records wants; the rest of a PhRecord may be left zero. */
enum {
	PH_FIELD_FLAGS = 1U << 0, /* flags and keywords */
	PH_FIELD_DATES = 1U << 1, /* internal and save date */
	PH_FIELD_OCTETS = 1U << 2,
	PH_FIELD_BLOB = 1U << 3,
	PH_FIELD_IDS = 1U << 4,       /* message id, thread id */
	PH_FIELD_STRUCTURE = 1U << 5, /* the serialised PhStructure (message.h) */
};

/* PhRecord: one message. uid and change are always set. Borrowed for the callback. */
typedef struct {
	uint32_t uid;
	uint32_t flags; /* PH_FLAG_* */
	uint64_t change;
	const char *const *keywords; /* NULL-terminated, never NULL with PH_FIELD_FLAGS */
	PhTime internal_date;
	int32_t internal_zone; /* minutes east of UTC */
	int32_t reserved;
	PhTime save_date;
	uint64_t octets; /* on the wire */
	PhBlobId blob;
	uint8_t message_id[16]; /* OBJECTID (RFC 8474): kept by copies inside the server */
	PhSlice structure;
} PhRecord;

/* PhMessageState: what a view keeps of a message. */
typedef struct {
	uint32_t uid;
	uint32_t flags;    /* PH_FLAG_* */
	uint64_t keywords; /* bits: places in a list of keywords */
	uint64_t change;
} PhMessageState;

/* PhChangesQuery: which records. */
typedef struct {
	uint64_t since;       /* records altered after it; 0: all */
	const PhUidSet *uids; /* (nullable) only these */
	uint32_t fields;      /* PH_FIELD_* */
	uint32_t reserved;
	/* record: called in uid order; false stops the reading (no error). Never waits for a client. */
	bool (*record)(const PhRecord *record, void *user_data);
	/* expunged: uids removed after @since, ascending ranges; called only when since > 0. Ranges
	 * may hold numbers that were never used. (nullable) */
	void (*expunged)(uint32_t first, uint32_t last, void *user_data);
	void *user_data;
	/* states: (nullable) when @fields is PH_FIELD_FLAGS and nothing else, a store may call it,
	 * with states_data, instead of `record`: with many messages at a time, in uid order.
	 * @keywords: 64 names, borrowed for the call, NULL where a bit means nothing. */
	bool (*states)(const PhMessageState *states,
	               size_t n,
	               const char *const *keywords,
	               void *states_data);
	void *states_data;
} PhChangesQuery;

/* PhChangesResult. */
typedef struct {
	uint64_t complete_to; /* nothing up to this change is missing from what was reported */
	bool full;            /* expunge history was trimmed: all records were reported instead, and
	                       * every uid that was not is gone */
} PhChangesResult;

G_END_DECLS

#endif

/* index-op.h: what the operations of PhIndex share: pages, owners, keywords, walks over uid sets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_INDEX_OP_H
#define PH_MAILBOX_INDEX_OP_H

#include "mailbox/index.h"

/* index-pages.c: the pages of one mailbox, read one after another. Its newest messages, up to one
 * page of them, stand in the mailbox's row, so that an append writes no other row than the record. */
typedef struct {
	PhIndexConnection *connection;
	PhIndexMailbox *mailbox;
	uint32_t columns;  /* to be unpacked */
	bool writes;       /* pages are saved: no statement stays open */
	bool is_tail;      /* the present page */
	bool is_walking;   /* a statement is open */
	PhIndexPage *page; /* the present one; NULL: none yet */
	PhIndexPage *own;  /* (owned) room for those of the table */
	int64_t key;       /* of the present one in the table */
	uint32_t from;     /* it was looked for with this uid */
} PhIndexPages;

/* ph_index_pages_find: the page with the first message whose uid is not below @uid.
 * @page_out: (out, borrowed until the next find) NULL: there is none. */
bool ph_index_pages_find(PhIndexPages *pages, uint32_t uid, PhIndexPage **page_out, GError **error);
/* ph_index_pages_save: writes the present page, or removes an empty one. */
bool ph_index_pages_save(PhIndexPages *pages, GError **error);
/* ph_index_pages_end: gives back what it holds. */
void ph_index_pages_end(PhIndexPages *pages);
/* ph_index_tail: the newest messages, unpacked until the mailbox is saved. */
PhIndexPage *ph_index_tail(PhIndexMailbox *mailbox, GError **error);
/* ph_index_push: one more message at the end of a mailbox. */
bool ph_index_push(PhIndexConnection *connection,
                   PhIndexMailbox *mailbox,
                   const uint64_t message[PH_COLUMNS],
                   GError **error);
/* ph_index_pack_tail: from `page` to `tail`, when it was changed; `page` goes. */
void ph_index_pack_tail(PhIndexMailbox *mailbox);

/* index-owner.c: how many messages have a record. One that has a row has one owner and as many more
 * as are noted for ranges of records; one that lost its last owner waits in `dropped`. */
bool ph_index_share(PhIndexRun *run, uint64_t first, uint64_t last, GError **error);
bool ph_index_release(PhIndexRun *run, uint64_t first, uint64_t last, GError **error);
/* ph_index_tend_records: removes some records without owners. Returns: are there more? */
bool ph_index_tend_records(PhIndex *index, PhIndexConnection *connection, PhTime now);

/* ph_index_record_blob: what a record names. Errors: CORRUPT when there is no such record. */
bool ph_index_record_blob(PhIndexConnection *connection,
                          uint64_t no,
                          PhBlobId *blob_out,
                          GError **error);

/* ph_index_removes: does the index count owners for the store, which only removes? */
static inline bool
ph_index_removes(const PhIndex *index)
{
	return index->hooks->size > offsetof(PhIndexHooks, remove) && index->hooks->remove != NULL;
}

/* index-keyword.c: the bits of names; one that is not known is added, or skipped without @add. */
bool ph_index_keyword_bits(PhIndexRun *run,
                           PhIndexMailbox *mailbox,
                           const char *const *names,
                           uint64_t *bits_out,
                           GError **error);
bool ph_index_known_keyword_bits(PhIndexRun *run,
                                 PhIndexMailbox *mailbox,
                                 const char *const *names,
                                 uint64_t *bits_out,
                                 GError **error);

/* PhIndexWalk: an operation over the messages of a uid set, page by page. */
typedef struct PhIndexWalk PhIndexWalk;

struct PhIndexWalk {
	PhIndexRun *run;
	PhOp *op;
	PhIndexMailbox *mailbox;
	const PhUidSet *uids;
	PhIndexPages pages;
	PhIndexPage *page;  /* the present one */
	uint32_t page_last; /* its highest uid, as it was read */
	uint32_t place;     /* in it: what lies before was gone through */
	bool changed;       /* it is */
	bool removed;       /* uids of messages to take out were set to 0 */
	/* message: place @i of the page is in the set. page_done: (nullable) the page was gone through
	 * and saved. */
	bool (*message)(PhIndexWalk *walk, uint32_t i);
	bool (*page_done)(PhIndexWalk *walk);
	void *user_data;
	uint64_t keywords;   /* flags: bits wanted */
	uint32_t gone_first; /* expunge, move: the range being gathered; 0: none */
	uint32_t gone_last;
	uint32_t gone_at;       /* place of gone_last; a page of its own: PH_PAGE_MESSAGES */
	uint64_t records_first; /* records shared or released; 0: none */
	uint64_t records_last;
	GError **error;
};

/* index-message.c */
bool ph_index_walk(PhIndexWalk *walk);
/* ph_index_walk_remove: message @i is taken out of the page, counters and history. Its record
 * stays. ph_index_note_gone: at the end. */
bool ph_index_walk_remove(PhIndexWalk *walk, uint32_t i);
bool ph_index_note_gone(PhIndexWalk *walk);
void ph_index_count(PhIndex *index,
                    PhIndexMailbox *mailbox,
                    uint32_t flags,
                    uint64_t octets,
                    bool add);
bool ph_index_has_room(PhIndex *index, uint64_t octets, GError **error);
/* ph_index_take_uid: the next one, or @given (0: none) when that is not below it. */
bool ph_index_take_uid(PhIndexMailbox *mailbox, uint32_t given, uint32_t *uid_out, GError **error);

/* index-message.c, index-transfer.c, index-names.c: one operation. */
bool ph_index_op_append(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_flags(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_expunge(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_transfer(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_create(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_rename(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_remove(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_put(PhIndexRun *run, PhOp *op, GError **error);
bool ph_index_op_raise(PhIndexRun *run, PhOp *op, GError **error);
/* ph_index_drop_all: removes every message of a mailbox that goes away. */
bool ph_index_drop_all(PhIndexRun *run, PhIndexMailbox *mailbox, GError **error);

/* index-migrate.c: from version 1, one row a message. Inside a transaction. */
bool ph_index_migrate_1(PhIndex *index, PhIndexConnection *connection, GError **error);

#endif

/* index-message.c: the operations on messages: append, flags, expunge; the walk over uid sets
 *
 * A uid set is walked page by page up to the highest uid that was given out when the operation
 * began; a page that was altered is written once, when the walk leaves it. No mailbox is ever held
 * in memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/index-op.h"

/* --- counters and limits --------------------------------------------------------------------- */

void
ph_index_count(PhIndex *index, PhIndexMailbox *mailbox, uint32_t flags, uint64_t octets, bool add)
{
	uint32_t unseen = (flags & PH_FLAG_SEEN) == 0;
	uint32_t deleted = (flags & PH_FLAG_DELETED) != 0;

	mailbox->n_messages += add ? 1U : UINT32_MAX;
	mailbox->n_unseen += add ? unseen : 0 - unseen;
	mailbox->n_deleted += add ? deleted : 0 - deleted;
	mailbox->octets += add ? octets : 0 - octets;
	index->messages += add ? 1U : UINT64_MAX;
	index->octets += add ? octets : 0 - octets;
}

bool
ph_index_has_room(PhIndex *index, uint64_t octets, GError **error)
{
	bool full = (index->quota_messages != 0 && index->messages >= index->quota_messages)
	            || (index->quota_octets != 0
	                && (octets > index->quota_octets
	                    || index->octets > index->quota_octets - octets));

	if (full)
		ph_error_set(error, PH_ERROR_OVER_QUOTA, "the account's quota would be exceeded");
	return !full;
}

bool
ph_index_take_uid(PhIndexMailbox *mailbox, uint32_t given, uint32_t *uid_out, GError **error)
{
	if (given != 0 && given < mailbox->uidnext) {
		ph_error_set(error, PH_ERROR_INVALID, "uid %u is below the next one, %u", given,
		             mailbox->uidnext);
		return false;
	}
	mailbox->uidnext = MAX(mailbox->uidnext, given);
	if (mailbox->uidnext == UINT32_MAX) {
		ph_error_set(error, PH_ERROR_LIMIT, "the mailbox has used all uids");
		return false;
	}
	*uid_out = mailbox->uidnext++;
	return true;
}

/* --- append ------------------------------------------------------------------------------------ */

static bool
add_record(PhIndexRun *run, const PhOp *op, const PhBlobId *blob, uint64_t no, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_RECORD_ADD, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, (int64_t) no);
	(void) sqlite3_bind_int64(row, 2, op->internal_date);
	(void) sqlite3_bind_int64(row, 3, op->internal_zone);
	(void) sqlite3_bind_int64(row, 4, op->save_date);
	(void) sqlite3_bind_int64(row, 5, (int64_t) op->octets);
	(void) sqlite3_bind_blob(row, 6, blob->octets, blob->length, SQLITE_STATIC);
	(void) sqlite3_bind_blob(row, 7, op->message_id, sizeof op->message_id, SQLITE_STATIC);
	(void) sqlite3_bind_blob64(row, 8, op->structure.data, op->structure.length, SQLITE_STATIC);
	return ph_index_done(run->connection, row, "add a record", error);
}

bool
ph_index_op_append(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndex *index = run->index;
	PhIndexMailbox *mailbox = ph_index_mailbox(index, run->connection, &op->mailbox, error);
	uint64_t message
		[PH_COLUMNS] = { [PH_COLUMN_FLAGS] = op->flags, [PH_COLUMN_OCTETS] = op->octets };
	PhBlobId blob = op->blob;

	if (mailbox == NULL || (!op->has_given && !ph_index_has_room(index, op->octets, error))
	    || !ph_index_keyword_bits(run, mailbox, op->keywords, &message[PH_COLUMN_KEYWORDS],
	                              error)
	    || !ph_index_take_uid(mailbox, op->has_given ? op->given_uid : 0, &op->uid, error))
		return false;
	op->uidvalidity = mailbox->uidvalidity;
	if (index->hooks->add != NULL
	    && !index->hooks->add(index->user_data, run->connection, op, &blob, error))
		return false;
	message[PH_COLUMN_UID] = op->uid;
	message[PH_COLUMN_RECORD] = index->next_record++;
	message[PH_COLUMN_CHANGE] = ph_index_next_change(run, mailbox);
	if (!add_record(run, op, &blob, message[PH_COLUMN_RECORD], error)
	    || !ph_index_push(run->connection, mailbox, message, error))
		return false;
	ph_index_count(index, mailbox, op->flags, op->octets, true);
	return true;
}

/* --- walking over uid sets --------------------------------------------------------------------- */

static void
note_missing(PhIndexWalk *walk, uint32_t first, uint32_t last)
{
	if (walk->op->missing != NULL && first <= last)
		ph_uid_set_add_range(walk->op->missing, first, last);
}

/* Leaves the present page: what was altered is written. */
static bool
leave_page(PhIndexWalk *walk)
{
	if (walk->page == NULL)
		return true;
	if (walk->removed)
		ph_page_squeeze(walk->page);
	if ((walk->removed || walk->changed) && !ph_index_pages_save(&walk->pages, walk->error))
		return false;
	walk->page = NULL;
	walk->removed = false;
	walk->changed = false;
	return walk->page_done == NULL || walk->page_done(walk);
}

/* Makes the page with @uid, or with the first message after it, the present one. */
static bool
enter_page(PhIndexWalk *walk, uint32_t uid)
{
	if (walk->page != NULL && uid <= walk->page_last)
		return true;
	if (!leave_page(walk) || !ph_index_pages_find(&walk->pages, uid, &walk->page, walk->error))
		return false;
	walk->place = 0;
	walk->gone_at = PH_PAGE_MESSAGES;
	if (walk->page != NULL)
		walk->page_last = ph_page_uid(walk->page, walk->page->n - 1);
	return true;
}

/* The messages of the present page that are in the range. @next: (inout) the first uid that was not
 * accounted for. */
static bool
walk_page(PhIndexWalk *walk, PhUidRange range, uint32_t *next)
{
	PhIndexPage *page = walk->page;
	uint32_t i = ph_page_lower_bound(page, walk->place, *next);

	for (; i < page->n && ph_page_uid(page, i) <= range.last; i++) {
		uint32_t uid = ph_page_uid(page, i);

		if (uid > *next)
			note_missing(walk, *next, uid - 1);
		*next = uid + 1;
		if (!walk->message(walk, i))
			return false;
	}
	walk->place = i;
	return true;
}

static bool
walk_range(PhIndexWalk *walk, PhUidRange range)
{
	uint32_t next = range.first;
	uint32_t seek = range.first;

	while (seek <= range.last) {
		if (!enter_page(walk, seek))
			return false;
		if (walk->page == NULL)
			break;
		if (!walk_page(walk, range, &next))
			return false;
		if (walk->page_last >= range.last)
			break;
		seek = walk->page_last + 1;
	}
	note_missing(walk, next, range.last);
	return true;
}

bool
ph_index_walk(PhIndexWalk *walk)
{
	uint32_t highest = walk->mailbox->uidnext - 1;
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(walk->uids, &n);
	bool good = true;

	walk->pages.connection = walk->run->connection;
	walk->pages.mailbox = walk->mailbox;
	walk->pages.writes = true;
	for (size_t i = 0; good && i < n; i++) {
		PhUidRange range = { ranges[i].first, MIN(ranges[i].last, highest) };

		if (range.first <= range.last)
			good = walk_range(walk, range);
		if (ranges[i].last > highest)
			note_missing(walk, MAX(ranges[i].first, highest + 1), ranges[i].last);
	}
	good = good && leave_page(walk);
	ph_index_pages_end(&walk->pages);
	if (good && walk->op->must_exist && walk->op->missing != NULL
	    && !ph_uid_set_is_empty(walk->op->missing)) {
		ph_error_set(walk->error, PH_ERROR_NOT_FOUND, "a message is not there");
		return false;
	}
	return good;
}

/* --- flags -------------------------------------------------------------------------------------- */

static bool
flags_message(PhIndexWalk *walk, uint32_t i)
{
	const PhOp *op = walk->op;
	PhIndexPage *page = walk->page;
	uint64_t was = page->at[PH_COLUMN_FLAGS][i];
	uint64_t had = page->at[PH_COLUMN_KEYWORDS][i];
	uint64_t change = page->at[PH_COLUMN_CHANGE][i];
	uint64_t flags = op->flags;
	uint64_t keywords = walk->keywords;

	if (op->has_unchanged_since && change > op->unchanged_since
	    && change != walk->run->change) {
		if (op->refused != NULL)
			ph_uid_set_add(op->refused, ph_page_uid(page, i));
		return true;
	}
	if (op->flags_mode == PH_FLAGS_ADD) {
		flags |= was;
		keywords |= had;
	} else if (op->flags_mode == PH_FLAGS_REMOVE) {
		flags = was & ~flags;
		keywords = had & ~keywords;
	}
	if (flags == was && keywords == had)
		return true;
	page->at[PH_COLUMN_FLAGS][i] = flags;
	page->at[PH_COLUMN_KEYWORDS][i] = keywords;
	page->at[PH_COLUMN_CHANGE][i] = ph_index_next_change(walk->run, walk->mailbox);
	ph_index_count(walk->run->index, walk->mailbox, (uint32_t) was, 0, false);
	ph_index_count(walk->run->index, walk->mailbox, (uint32_t) flags, 0, true);
	walk->changed = true;
	return true;
}

bool
ph_index_op_flags(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndexWalk walk = {
		.run = run,
		.op = op,
		.uids = op->uids,
		.pages.columns =
			1U << PH_COLUMN_CHANGE | 1U << PH_COLUMN_FLAGS | 1U << PH_COLUMN_KEYWORDS,
		.message = flags_message,
		.error = error,
	};

	walk.mailbox = ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	if (walk.mailbox == NULL)
		return false;
	if (op->flags_mode == PH_FLAGS_REMOVE)
		return ph_index_known_keyword_bits(run, walk.mailbox, op->keywords, &walk.keywords,
		                                   error)
		       && ph_index_walk(&walk);
	return ph_index_keyword_bits(run, walk.mailbox, op->keywords, &walk.keywords, error)
	       && ph_index_walk(&walk);
}

/* --- expunge --------------------------------------------------------------------------------- */

bool
ph_index_note_gone(PhIndexWalk *walk)
{
	PhIndexConnection *connection = walk->run->connection;
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_EXPUNGED_ADD, walk->error);

	if (walk->gone_first == 0)
		return true;
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, walk->mailbox->no);
	(void) sqlite3_bind_int64(row, 2, (int64_t) walk->run->change);
	(void) sqlite3_bind_int64(row, 3, walk->gone_first);
	(void) sqlite3_bind_int64(row, 4, walk->gone_last);
	(void) sqlite3_bind_int64(row, 5, walk->run->now);
	walk->gone_first = 0;
	return ph_index_done(connection, row, "note an expunge", walk->error);
}

bool
ph_index_walk_remove(PhIndexWalk *walk, uint32_t i)
{
	PhIndexPage *page = walk->page;
	uint32_t uid = ph_page_uid(page, i);
	bool follows = uid == walk->gone_last + 1 || i - walk->gone_at == 1;

	(void) ph_index_next_change(walk->run, walk->mailbox);
	ph_index_count(walk->run->index, walk->mailbox, (uint32_t) page->at[PH_COLUMN_FLAGS][i],
	               page->at[PH_COLUMN_OCTETS][i], false);
	if (walk->gone_first != 0 && !follows && !ph_index_note_gone(walk))
		return false;
	if (walk->gone_first == 0)
		walk->gone_first = uid;
	walk->gone_last = uid;
	walk->gone_at = i;
	page->at[PH_COLUMN_UID][i] = 0;
	walk->removed = true;
	return true;
}

static bool
release_records(PhIndexWalk *walk)
{
	uint64_t first = walk->records_first;

	walk->records_first = 0;
	return first == 0 || ph_index_release(walk->run, first, walk->records_last, walk->error);
}

/* A store that counts owners itself is told of each. */
static bool
drop_octets(PhIndexWalk *walk, uint64_t record)
{
	PhIndex *index = walk->run->index;
	PhBlobId blob = { .length = 0 };

	if (ph_index_removes(index) || index->hooks->drop == NULL)
		return true;
	return ph_index_record_blob(walk->run->connection, record, &blob, walk->error)
	       && index->hooks->drop(index->user_data, walk->run->connection, &blob, walk->error);
}

static bool
drop_record(PhIndexWalk *walk, uint64_t record)
{
	if (!drop_octets(walk, record))
		return false;
	if (walk->records_first != 0 && record == walk->records_last + 1) {
		walk->records_last = record;
		return true;
	}
	if (!release_records(walk))
		return false;
	walk->records_first = walk->records_last = record;
	return true;
}

static bool
expunge_message(PhIndexWalk *walk, uint32_t i)
{
	return drop_record(walk, walk->page->at[PH_COLUMN_RECORD][i])
	       && ph_index_walk_remove(walk, i);
}

static const uint32_t expunge_columns =
	1U << PH_COLUMN_RECORD | 1U << PH_COLUMN_FLAGS | 1U << PH_COLUMN_OCTETS;

bool
ph_index_op_expunge(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndexWalk walk = {
		.run = run,
		.op = op,
		.uids = op->uids,
		.pages.columns = expunge_columns,
		.message = expunge_message,
		.error = error,
	};

	walk.mailbox = ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	return walk.mailbox != NULL && ph_index_walk(&walk) && release_records(&walk)
	       && ph_index_note_gone(&walk);
}

static bool
drop_message(PhIndexWalk *walk, uint32_t i)
{
	const PhIndexPage *page = walk->page;

	ph_index_count(walk->run->index, walk->mailbox, (uint32_t) page->at[PH_COLUMN_FLAGS][i],
	               page->at[PH_COLUMN_OCTETS][i], false);
	return drop_record(walk, page->at[PH_COLUMN_RECORD][i]);
}

bool
ph_index_drop_all(PhIndexRun *run, PhIndexMailbox *mailbox, GError **error)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	PhOp op = { .kind = PH_OP_EXPUNGE };
	PhIndexWalk walk = {
		.run = run,
		.op = &op,
		.mailbox = mailbox,
		.uids = all,
		.pages.columns = expunge_columns,
		.message = drop_message,
		.error = error,
	};
	sqlite3_stmt *statement = ph_index_sql(run->connection, PH_SQL_PAGES_REMOVE, error);

	if (statement == NULL || !ph_index_walk(&walk) || !release_records(&walk))
		return false;
	(void) sqlite3_bind_int64(statement, 1, ph_index_key(mailbox->no, 0));
	(void) sqlite3_bind_int64(statement, 2, ph_index_key(mailbox->no, UINT32_MAX));
	return ph_index_done(run->connection, statement, "remove messages", error);
}

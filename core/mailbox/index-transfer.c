/* index-transfer.c: copy and move
 *
 * Copies share the record of their source: a page of messages is read, and written as messages of
 * the target. Owners are noted by ranges of records. A store whose `copy` hook gives a copy octets
 * of its own gets a record of its own for each.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/index-op.h"

/* Place: where a reader of a set stands who goes through it from the beginning. */
typedef struct {
	const PhUidRange *range;
	const PhUidRange *end;
	uint64_t before; /* members before the range */
} Place;

typedef struct {
	PhIndexMailbox *to;
	bool is_move;
	Place from;                      /* with given pairs */
	Place given;                     /* the target's uids of those */
	uint64_t map[PH_INDEX_KEYWORDS]; /* bit there for each bit here; 0: not yet */
	uint32_t n_picked;               /* from the present page */
	uint64_t picked[PH_PAGE_MESSAGES][PH_COLUMNS];
} Transfer;

/* --- keywords ---------------------------------------------------------------------------------- */

/* The bit that stands in the target for one of the source. */
static bool
map_keyword(PhIndexWalk *walk, Transfer *transfer, uint32_t bit)
{
	const char *names[] = { NULL, NULL };

	if (transfer->map[bit] != 0)
		return true;
	if (!ph_index_load_keywords(walk->run->connection, walk->mailbox, walk->error))
		return false;
	names[0] = walk->mailbox->keywords[bit];
	return ph_index_keyword_bits(walk->run, transfer->to, names, &transfer->map[bit],
	                             walk->error);
}

static bool
map_keywords(PhIndexWalk *walk, Transfer *transfer, uint64_t from, uint64_t *to_out)
{
	uint64_t to = 0;

	for (; from != 0; from &= from - 1) {
		uint32_t bit = (uint32_t) __builtin_ctzll(from);

		if (!map_keyword(walk, transfer, bit))
			return false;
		to |= transfer->map[bit];
	}
	*to_out = to;
	return true;
}

/* --- given pairs ------------------------------------------------------------------------------- */

static Place
place_in(const PhUidSet *set)
{
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(set, &n);

	return (Place){ ranges, ranges + n, 0 };
}

static uint64_t
size_of(const PhUidRange *range)
{
	return (uint64_t) range->last - range->first + 1;
}

/* How many members come before this one of the set. */
static uint64_t
rank_of(Place *place, uint32_t uid)
{
	for (; place->range->last < uid; place->range++)
		place->before += size_of(place->range);
	return place->before + (uid - place->range->first);
}

static uint32_t
member_at(Place *place, uint64_t rank)
{
	for (; rank - place->before >= size_of(place->range); place->range++)
		place->before += size_of(place->range);
	return place->range->first + (uint32_t) (rank - place->before);
}

static bool
begin_given(const PhOp *op, Transfer *transfer, GError **error)
{
	if (op->from_uids == NULL || op->to_uids == NULL
	    || ph_uid_set_count(op->from_uids) != ph_uid_set_count(op->to_uids)) {
		ph_error_set(error, PH_ERROR_INVALID, "given uids do not come in pairs");
		return false;
	}
	transfer->from = place_in(op->from_uids);
	transfer->given = place_in(op->to_uids);
	return true;
}

/* --- one message ------------------------------------------------------------------------------- */

/* The uid in the target: the next one, or the one that was given. */
static bool
target_uid(PhIndexWalk *walk, Transfer *transfer, uint32_t from, uint32_t *uid_out)
{
	PhOp *op = walk->op;
	uint32_t given = 0;

	if (op->has_given)
		given = member_at(&transfer->given, rank_of(&transfer->from, from));
	if (!ph_index_take_uid(transfer->to, given, uid_out, walk->error))
		return false;
	if (op->from_uids != NULL && !op->has_given)
		ph_uid_set_add(op->from_uids, from);
	if (op->to_uids != NULL && !op->has_given)
		ph_uid_set_add(op->to_uids, *uid_out);
	return true;
}

static bool
share_records(PhIndexWalk *walk)
{
	uint64_t first = walk->records_first;

	walk->records_first = 0;
	return first == 0 || ph_index_share(walk->run, first, walk->records_last, walk->error);
}

static bool
share_record(PhIndexWalk *walk, uint64_t record)
{
	if (walk->records_first != 0 && record == walk->records_last + 1) {
		walk->records_last = record;
		return true;
	}
	if (!share_records(walk))
		return false;
	walk->records_first = walk->records_last = record;
	return true;
}

/* A record like another one, but for its octets. */
static bool
copy_record(PhIndexWalk *walk, const PhBlobId *blob, uint64_t *record)
{
	PhIndexRun *run = walk->run;
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_RECORD_COPY, walk->error);
	uint64_t no = run->index->next_record++;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, (int64_t) no);
	(void) sqlite3_bind_blob(row, 2, blob->octets, blob->length, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 3, (int64_t) *record);
	*record = no;
	return ph_index_done(run->connection, row, "copy a record", walk->error);
}

/* The record of a copy. */
static bool
record_of_copy(PhIndexWalk *walk, uint64_t *record)
{
	PhIndex *index = walk->run->index;
	PhBlobId was = { .length = 0 };
	PhBlobId blob = { .length = 0 };

	if (ph_index_removes(index) || index->hooks->copy == NULL)
		return share_record(walk, *record);
	if (!ph_index_record_blob(walk->run->connection, *record, &was, walk->error))
		return false;
	blob = was;
	if (!index->hooks->copy(index->user_data, walk->run->connection, &blob, walk->error))
		return false;
	if (blob.length == was.length && memcmp(blob.octets, was.octets, was.length) == 0)
		return share_record(walk, *record);
	return copy_record(walk, &blob, record);
}

static bool
transfer_message(PhIndexWalk *walk, uint32_t i)
{
	Transfer *transfer = walk->user_data;
	PhIndex *index = walk->run->index;
	const PhIndexPage *page = walk->page;
	uint32_t flags = (uint32_t) page->at[PH_COLUMN_FLAGS][i];
	uint64_t octets = page->at[PH_COLUMN_OCTETS][i];
	uint64_t *picked = transfer->picked[transfer->n_picked++];
	uint32_t uid = 0;

	if (!transfer->is_move && !walk->op->has_given
	    && !ph_index_has_room(index, octets, walk->error))
		return false;
	picked[PH_COLUMN_RECORD] = page->at[PH_COLUMN_RECORD][i];
	picked[PH_COLUMN_FLAGS] = flags;
	picked[PH_COLUMN_OCTETS] = octets;
	picked[PH_COLUMN_SAVED] = (uint64_t) walk->op->save_date;
	if (!map_keywords(walk, transfer, page->at[PH_COLUMN_KEYWORDS][i],
	                  &picked[PH_COLUMN_KEYWORDS])
	    || (!transfer->is_move && !record_of_copy(walk, &picked[PH_COLUMN_RECORD]))
	    || !target_uid(walk, transfer, ph_page_uid(page, i), &uid))
		return false;
	picked[PH_COLUMN_UID] = uid;
	picked[PH_COLUMN_CHANGE] = ph_index_next_change(walk->run, transfer->to);
	ph_index_count(index, transfer->to, flags, octets, true);
	return !transfer->is_move || ph_index_walk_remove(walk, i);
}

/* The page was gone through, and saved: source and target may be one mailbox. */
static bool
push_picked(PhIndexWalk *walk)
{
	Transfer *transfer = walk->user_data;
	uint32_t n = transfer->n_picked;

	transfer->n_picked = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!ph_index_push(walk->run->connection, transfer->to, transfer->picked[i],
		                   walk->error))
			return false;
	return true;
}

bool
ph_index_op_transfer(PhIndexRun *run, PhOp *op, GError **error)
{
	g_autofree Transfer *transfer = g_new0(Transfer, 1);
	PhIndexWalk walk = {
		.run = run,
		.op = op,
		.uids = op->has_given ? op->from_uids : op->uids,
		.pages.columns = 1U << PH_COLUMN_RECORD | 1U << PH_COLUMN_FLAGS
		                 | 1U << PH_COLUMN_KEYWORDS | 1U << PH_COLUMN_OCTETS,
		.message = transfer_message,
		.page_done = push_picked,
		.user_data = transfer,
		.error = error,
	};

	walk.mailbox = ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	if (walk.mailbox == NULL)
		return false;
	transfer->to = ph_index_mailbox(run->index, run->connection, &op->to, error);
	if (transfer->to == NULL || (op->has_given && !begin_given(op, transfer, error)))
		return false;
	transfer->is_move = op->kind == PH_OP_MOVE;
	op->uidvalidity = transfer->to->uidvalidity;
	return ph_index_walk(&walk) && share_records(&walk) && ph_index_note_gone(&walk);
}

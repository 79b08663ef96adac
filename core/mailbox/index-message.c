/* index-message.c: the operations on messages: append, flags, expunge, copy and move
 *
 * Rows are looked at in chunks and changed afterwards, so that no statement walks over what it
 * changes and no mailbox is ever held in memory. A uid set is walked range by range up to the
 * highest uid that was given out when the operation began: copies into the same mailbox are not
 * copied again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/index.h"

/* Row: what an operation must know of a message. */
typedef struct {
	int64_t key;
	uint64_t change;
	uint32_t flags;
	uint64_t keywords;
	uint64_t octets;
	PhBlobId blob;
} Row;

/* Place: where a reader of a set stands who goes through it from the beginning. */
typedef struct {
	const PhUidRange *range;
	const PhUidRange *end;
	uint64_t before; /* members before the range */
} Place;

/* Walk: an operation over the messages of a uid set. */
typedef struct {
	PhIndexRun *run;
	PhOp *op;
	PhIndexMailbox *mailbox;
	PhIndexMailbox *to;              /* copy, move */
	uint64_t keywords;               /* flags: bits wanted */
	uint64_t map[PH_INDEX_KEYWORDS]; /* copy, move: bit there for each bit here; 0: not yet */
	Place from;                      /* copy, move with given pairs */
	Place given;                     /* the target's uids of those */
	uint32_t gone_first;             /* expunge, move: the range being gathered */
	uint32_t gone_last;
	GError **error;
} Walk;

typedef bool (*RowFunc)(Walk *walk, const Row *row);

/* --- keywords ---------------------------------------------------------------------------------- */

static bool
add_keyword(Walk *walk, PhIndexMailbox *mailbox, const char *name, uint32_t *bit_out)
{
	PhIndexConnection *connection = walk->run->connection;
	sqlite3_stmt *row = NULL;

	if (mailbox->n_keywords >= walk->run->index->max_keywords) {
		ph_error_set(walk->error, PH_ERROR_LIMIT, "a mailbox holds at most %u keywords",
		             walk->run->index->max_keywords);
		return false;
	}
	if (name[0] == '\0' || strlen(name) > PH_INDEX_KEYWORD_LENGTH) {
		ph_error_set(walk->error, PH_ERROR_LIMIT, "a keyword has 1 to %d octets",
		             PH_INDEX_KEYWORD_LENGTH);
		return false;
	}
	row = ph_index_sql(connection, PH_SQL_KEYWORD_ADD, walk->error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	(void) sqlite3_bind_int64(row, 2, mailbox->n_keywords);
	(void) sqlite3_bind_text(row, 3, name, -1, SQLITE_STATIC);
	if (!ph_index_done(connection, row, "add a keyword", walk->error))
		return false;
	mailbox->keywords[mailbox->n_keywords] = g_strdup(name);
	*bit_out = mailbox->n_keywords++;
	return true;
}

/* The bits of these names; a name that is not known is added, or skipped without @add. */
static bool
keyword_bits(Walk *walk,
             PhIndexMailbox *mailbox,
             const char *const *names,
             bool add,
             uint64_t *bits_out)
{
	*bits_out = 0;
	if (names == NULL || names[0] == NULL)
		return true;
	if (!ph_index_load_keywords(walk->run->connection, mailbox, walk->error))
		return false;
	for (; *names != NULL; names++) {
		uint32_t bit = 0;

		while (bit < mailbox->n_keywords
		       && (mailbox->keywords[bit] == NULL
		           || g_ascii_strcasecmp(mailbox->keywords[bit], *names) != 0))
			bit++;
		if (bit == mailbox->n_keywords && !add)
			continue;
		if (bit == mailbox->n_keywords && !add_keyword(walk, mailbox, *names, &bit))
			return false;
		*bits_out |= UINT64_C(1) << bit;
	}
	return true;
}

/* --- counters and limits --------------------------------------------------------------------- */

static void
count(PhIndex *index, PhIndexMailbox *mailbox, uint32_t flags, uint64_t octets, bool add)
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

static bool
has_room(PhIndex *index, uint64_t octets, GError **error)
{
	bool full = (index->quota_messages != 0 && index->messages >= index->quota_messages)
	            || (index->quota_octets != 0
	                && (octets > index->quota_octets
	                    || index->octets > index->quota_octets - octets));

	if (full)
		ph_error_set(error, PH_ERROR_OVER_QUOTA, "the account's quota would be exceeded");
	return !full;
}

static bool
take_uid(PhIndexMailbox *mailbox, uint32_t *uid_out, GError **error)
{
	if (mailbox->uidnext == UINT32_MAX) {
		ph_error_set(error, PH_ERROR_LIMIT, "the mailbox has used all uids");
		return false;
	}
	*uid_out = mailbox->uidnext++;
	return true;
}

/* --- append ------------------------------------------------------------------------------------ */

static bool
insert_message(Walk *walk, const PhBlobId *blob, uint64_t change)
{
	PhIndexConnection *connection = walk->run->connection;
	const PhOp *op = walk->op;
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_APPEND, walk->error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, ph_index_key(walk->mailbox->no, op->uid));
	(void) sqlite3_bind_int64(row, 2, (int64_t) change);
	if (op->has_given)
		(void) sqlite3_bind_int64(row, 3, (int64_t) change);
	else
		(void) sqlite3_bind_null(row, 3);
	(void) sqlite3_bind_int64(row, 4, op->flags);
	(void) sqlite3_bind_int64(row, 5, (int64_t) walk->keywords);
	(void) sqlite3_bind_int64(row, 6, op->internal_date);
	(void) sqlite3_bind_int64(row, 7, op->internal_zone);
	(void) sqlite3_bind_int64(row, 8, op->save_date);
	(void) sqlite3_bind_int64(row, 9, (int64_t) op->octets);
	(void) sqlite3_bind_blob(row, 10, blob->octets, blob->length, SQLITE_STATIC);
	(void) sqlite3_bind_blob(row, 11, op->message_id, sizeof op->message_id, SQLITE_STATIC);
	(void) sqlite3_bind_blob64(row, 12, op->structure.data, op->structure.length,
	                           SQLITE_STATIC);
	return ph_index_done(connection, row, "add a message", walk->error);
}

/* A uid that was decided elsewhere: it only ever raises the next one. 0: none was. */
static bool
give_uid(PhIndexMailbox *mailbox, uint32_t uid, GError **error)
{
	if (uid != 0 && uid < mailbox->uidnext) {
		ph_error_set(error, PH_ERROR_INVALID, "uid %u is below the next one, %u", uid,
		             mailbox->uidnext);
		return false;
	}
	mailbox->uidnext = MAX(mailbox->uidnext, uid);
	return true;
}

bool
ph_index_op_append(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndex *index = run->index;
	Walk walk = { .run = run, .op = op, .error = error };
	PhBlobId blob = op->blob;

	walk.mailbox = ph_index_mailbox(index, run->connection, &op->mailbox, error);
	if (walk.mailbox == NULL || (!op->has_given && !has_room(index, op->octets, error))
	    || (op->has_given && !give_uid(walk.mailbox, op->given_uid, error))
	    || !keyword_bits(&walk, walk.mailbox, op->keywords, true, &walk.keywords)
	    || !take_uid(walk.mailbox, &op->uid, error))
		return false;
	op->uidvalidity = walk.mailbox->uidvalidity;
	if (index->hooks->add != NULL
	    && !index->hooks->add(index->user_data, run->connection, op, &blob, error))
		return false;
	if (!insert_message(&walk, &blob, ph_index_next_change(run, walk.mailbox)))
		return false;
	count(index, walk.mailbox, op->flags, op->octets, true);
	return true;
}

/* --- walking over uid sets --------------------------------------------------------------------- */

static void
read_row(sqlite3_stmt *statement, Row *row)
{
	size_t length = (size_t) sqlite3_column_bytes(statement, 5);

	row->key = sqlite3_column_int64(statement, 0);
	row->change = (uint64_t) sqlite3_column_int64(statement, 1);
	row->flags = (uint32_t) sqlite3_column_int64(statement, 2);
	row->keywords = (uint64_t) sqlite3_column_int64(statement, 3);
	row->octets = (uint64_t) sqlite3_column_int64(statement, 4);
	row->blob.length = (uint8_t) MIN(length, sizeof row->blob.octets);
	if (row->blob.length > 0)
		memcpy(row->blob.octets, sqlite3_column_blob(statement, 5), row->blob.length);
}

static bool
read_chunk(Walk *walk, PhUidRange range, GArray *rows)
{
	PhIndexConnection *connection = walk->run->connection;
	sqlite3_stmt *statement = ph_index_sql(connection, PH_SQL_SOME, walk->error);
	int status = SQLITE_DONE;

	g_array_set_size(rows, 0);
	if (statement == NULL)
		return false;
	(void) sqlite3_bind_int64(statement, 1, ph_index_key(walk->mailbox->no, range.first));
	(void) sqlite3_bind_int64(statement, 2, ph_index_key(walk->mailbox->no, range.last));
	(void) sqlite3_bind_int64(statement, 3, PH_INDEX_CHUNK);
	while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
		g_array_set_size(rows, rows->len + 1);
		read_row(statement, &g_array_index(rows, Row, rows->len - 1));
	}
	(void) sqlite3_reset(statement);
	return status == SQLITE_DONE || ph_index_fail(connection, "read messages", walk->error);
}

/* The messages that the operation is about. */
static const PhUidSet *
wanted(const PhOp *op)
{
	bool is_given = op->has_given && (op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE);

	return is_given ? op->from_uids : op->uids;
}

static void
note_missing(Walk *walk, uint32_t first, uint32_t last)
{
	if (walk->op->missing != NULL && first <= last)
		ph_uid_set_add_range(walk->op->missing, first, last);
}

/* Calls @func for each message of the range; what is not there is noted. */
static bool
walk_range(Walk *walk, PhUidRange range, GArray *rows, RowFunc func)
{
	uint32_t next = range.first;
	bool more = true;

	while (more) {
		if (!read_chunk(walk, (PhUidRange){ next, range.last }, rows))
			return false;
		for (guint i = 0; i < rows->len; i++) {
			const Row *row = &g_array_index(rows, Row, i);
			uint32_t uid = (uint32_t) row->key;

			if (uid > next)
				note_missing(walk, next, uid - 1);
			next = uid + 1;
			if (!func(walk, row))
				return false;
		}
		more = rows->len == PH_INDEX_CHUNK && next != 0 && next <= range.last;
	}
	if (next != 0)
		note_missing(walk, next, range.last);
	return true;
}

static bool
walk_set(Walk *walk, RowFunc func)
{
	g_autoptr(GArray) rows = g_array_sized_new(FALSE, FALSE, sizeof(Row), 64);
	uint32_t highest = walk->mailbox->uidnext - 1;
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(wanted(walk->op), &n);

	for (size_t i = 0; i < n; i++) {
		PhUidRange range = { ranges[i].first, MIN(ranges[i].last, highest) };

		if (range.first <= range.last && !walk_range(walk, range, rows, func))
			return false;
		if (ranges[i].last > highest)
			note_missing(walk, MAX(ranges[i].first, highest + 1), ranges[i].last);
	}
	if (walk->op->must_exist && walk->op->missing != NULL
	    && !ph_uid_set_is_empty(walk->op->missing)) {
		ph_error_set(walk->error, PH_ERROR_NOT_FOUND, "a message is not there");
		return false;
	}
	return true;
}

/* --- flags -------------------------------------------------------------------------------------- */

static bool
set_flags(Walk *walk, const Row *row, uint32_t flags, uint64_t keywords)
{
	PhIndexConnection *connection = walk->run->connection;
	sqlite3_stmt *statement = ph_index_sql(connection, PH_SQL_FLAGS_SET, walk->error);

	if (statement == NULL)
		return false;
	(void) sqlite3_bind_int64(statement, 1, row->key);
	(void) sqlite3_bind_int64(statement, 2,
	                          (int64_t) ph_index_next_change(walk->run, walk->mailbox));
	(void) sqlite3_bind_int64(statement, 3, flags);
	(void) sqlite3_bind_int64(statement, 4, (int64_t) keywords);
	if (!ph_index_done(connection, statement, "change flags", walk->error))
		return false;
	count(walk->run->index, walk->mailbox, row->flags, 0, false);
	count(walk->run->index, walk->mailbox, flags, 0, true);
	return true;
}

static bool
flags_row(Walk *walk, const Row *row)
{
	const PhOp *op = walk->op;
	uint32_t flags = op->flags;
	uint64_t keywords = walk->keywords;

	if (op->has_unchanged_since && row->change > op->unchanged_since
	    && row->change != walk->run->change) {
		if (op->refused != NULL)
			ph_uid_set_add(op->refused, (uint32_t) row->key);
		return true;
	}
	if (op->flags_mode == PH_FLAGS_ADD) {
		flags |= row->flags;
		keywords |= row->keywords;
	} else if (op->flags_mode == PH_FLAGS_REMOVE) {
		flags = row->flags & ~flags;
		keywords = row->keywords & ~keywords;
	}
	return (flags == row->flags && keywords == row->keywords)
	       || set_flags(walk, row, flags, keywords);
}

bool
ph_index_op_flags(PhIndexRun *run, PhOp *op, GError **error)
{
	Walk walk = { .run = run, .op = op, .error = error };

	walk.mailbox = ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	return walk.mailbox != NULL
	       && keyword_bits(&walk, walk.mailbox, op->keywords, op->flags_mode != PH_FLAGS_REMOVE,
	                       &walk.keywords)
	       && walk_set(&walk, flags_row);
}

/* --- expunge --------------------------------------------------------------------------------- */

static bool
note_gone(Walk *walk)
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

static bool
remove_row(Walk *walk, const Row *row)
{
	PhIndexConnection *connection = walk->run->connection;
	sqlite3_stmt *statement = ph_index_sql(connection, PH_SQL_DELETE, walk->error);
	uint32_t uid = (uint32_t) row->key;

	if (statement == NULL)
		return false;
	(void) sqlite3_bind_int64(statement, 1, row->key);
	if (!ph_index_done(connection, statement, "remove a message", walk->error))
		return false;
	(void) ph_index_next_change(walk->run, walk->mailbox);
	count(walk->run->index, walk->mailbox, row->flags, row->octets, false);
	if (walk->gone_first != 0 && uid != walk->gone_last + 1 && !note_gone(walk))
		return false;
	if (walk->gone_first == 0)
		walk->gone_first = uid;
	walk->gone_last = uid;
	return true;
}

static bool
drop(Walk *walk, const PhBlobId *blob)
{
	PhIndex *index = walk->run->index;

	return index->hooks->drop == NULL
	       || index->hooks->drop(index->user_data, walk->run->connection, blob, walk->error);
}

static bool
expunge_row(Walk *walk, const Row *row)
{
	return drop(walk, &row->blob) && remove_row(walk, row);
}

bool
ph_index_op_expunge(PhIndexRun *run, PhOp *op, GError **error)
{
	Walk walk = { .run = run, .op = op, .error = error };

	walk.mailbox = ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	return walk.mailbox != NULL && walk_set(&walk, expunge_row) && note_gone(&walk);
}

static bool
drop_row(Walk *walk, const Row *row)
{
	count(walk->run->index, walk->mailbox, row->flags, row->octets, false);
	return drop(walk, &row->blob);
}

bool
ph_index_drop_all(PhIndexRun *run, PhIndexMailbox *mailbox, GError **error)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	PhOp op = { .uids = all };
	Walk walk = { .run = run, .op = &op, .mailbox = mailbox, .error = error };
	sqlite3_stmt *statement = ph_index_sql(run->connection, PH_SQL_DELETE_ALL, error);

	if (statement == NULL || !walk_set(&walk, drop_row))
		return false;
	(void) sqlite3_bind_int64(statement, 1, ph_index_key(mailbox->no, 0));
	(void) sqlite3_bind_int64(statement, 2, ph_index_key(mailbox->no, UINT32_MAX));
	return ph_index_done(run->connection, statement, "remove messages", error);
}

/* --- copy and move ----------------------------------------------------------------------------- */

/* The bit that stands in the target for one of the source. */
static bool
map_keyword(Walk *walk, uint32_t bit)
{
	const char *names[] = { NULL, NULL };

	if (walk->map[bit] != 0)
		return true;
	if (!ph_index_load_keywords(walk->run->connection, walk->mailbox, walk->error))
		return false;
	names[0] = walk->mailbox->keywords[bit];
	return keyword_bits(walk, walk->to, names, true, &walk->map[bit]);
}

static bool
map_keywords(Walk *walk, uint64_t from, uint64_t *to_out)
{
	uint64_t to = 0;

	for (uint32_t bit = 0; from != 0 && bit < PH_INDEX_KEYWORDS; bit++) {
		if ((from >> bit & 1) == 0)
			continue;
		if (!map_keyword(walk, bit))
			return false;
		to |= walk->map[bit];
	}
	*to_out = to;
	return true;
}

static bool
insert_copy(Walk *walk, const Row *row, uint32_t uid, const PhBlobId *blob)
{
	PhIndexConnection *connection = walk->run->connection;
	sqlite3_stmt *statement = ph_index_sql(connection, PH_SQL_COPY, walk->error);
	uint64_t keywords = 0;

	if (statement == NULL || !map_keywords(walk, row->keywords, &keywords))
		return false;
	(void) sqlite3_bind_int64(statement, 1, ph_index_key(walk->to->no, uid));
	(void) sqlite3_bind_int64(statement, 2,
	                          (int64_t) ph_index_next_change(walk->run, walk->to));
	(void) sqlite3_bind_int64(statement, 3, (int64_t) keywords);
	(void) sqlite3_bind_int64(statement, 4, walk->op->save_date);
	(void) sqlite3_bind_blob(statement, 5, blob->octets, blob->length, SQLITE_STATIC);
	(void) sqlite3_bind_int64(statement, 6, row->key);
	return ph_index_done(connection, statement, "copy a message", walk->error);
}

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
begin_given(Walk *walk)
{
	const PhOp *op = walk->op;

	if (op->from_uids == NULL || op->to_uids == NULL
	    || ph_uid_set_count(op->from_uids) != ph_uid_set_count(op->to_uids)) {
		ph_error_set(walk->error, PH_ERROR_INVALID, "given uids do not come in pairs");
		return false;
	}
	walk->from = place_in(op->from_uids);
	walk->given = place_in(op->to_uids);
	return true;
}

/* The uid in the target: the next one, or the one that was given. */
static bool
target_uid(Walk *walk, uint32_t from, uint32_t *uid_out)
{
	PhOp *op = walk->op;
	uint32_t given = 0;

	if (op->has_given)
		given = member_at(&walk->given, rank_of(&walk->from, from));
	if (!give_uid(walk->to, given, walk->error) || !take_uid(walk->to, uid_out, walk->error))
		return false;
	if (op->from_uids != NULL && !op->has_given)
		ph_uid_set_add(op->from_uids, from);
	if (op->to_uids != NULL && !op->has_given)
		ph_uid_set_add(op->to_uids, *uid_out);
	return true;
}

static bool
transfer_row(Walk *walk, const Row *row)
{
	PhIndex *index = walk->run->index;
	bool is_move = walk->op->kind == PH_OP_MOVE;
	PhBlobId blob = row->blob;
	uint32_t uid = 0;

	if (!is_move && !walk->op->has_given && !has_room(index, row->octets, walk->error))
		return false;
	if (!is_move && index->hooks->copy != NULL
	    && !index->hooks->copy(index->user_data, walk->run->connection, &blob, walk->error))
		return false;
	if (!target_uid(walk, (uint32_t) row->key, &uid) || !insert_copy(walk, row, uid, &blob))
		return false;
	count(index, walk->to, row->flags, row->octets, true);
	return !is_move || remove_row(walk, row);
}

bool
ph_index_op_transfer(PhIndexRun *run, PhOp *op, GError **error)
{
	Walk walk = { .run = run, .op = op, .error = error };

	walk.mailbox = ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	if (walk.mailbox == NULL)
		return false;
	walk.to = ph_index_mailbox(run->index, run->connection, &op->to, error);
	if (walk.to == NULL)
		return false;
	op->uidvalidity = walk.to->uidvalidity;
	return (!op->has_given || begin_given(&walk)) && walk_set(&walk, transfer_row)
	       && note_gone(&walk);
}

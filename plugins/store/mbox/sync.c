/* sync.c: folds what other programs did to a mailbox file into the index
 *
 * The file is scanned from where it is known to be as it was: from its end when it only grew, else
 * from the beginning. A message is known by its X-UID, when the uidvalidity beside it is ours and
 * its octets are what they were; one without X-UID by its octets. What is not known is new and gets
 * a uid; what is known and not found was expunged by somebody. Flags: what differs from what the
 * file held last time was changed by somebody and is done to the index too.
 *
 * Many messages are worked off in chunks, each a transaction; the row of the box is written last, so
 * that a crash in between only means another scan.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "fields.h"
#include "mbox.h"

enum {
	CHUNK = 500,    /* new messages of one transaction */
	LONG = 5000,    /* messages that are looked at in one transaction */
	FLAG_SETS = 32, /* of the five system flags */
	KEYWORD_OCTETS = 100,
	KEYWORDS_MAX = 30,
};

/* Fresh: a message that is new to the index. */
typedef struct {
	PhOp op;
	char **words;
} Fresh;

typedef struct {
	Account *account;
	Box *box;
	File *file;
	PhIndexConnection *connection; /* a transaction of ours */
	Scan scan;
	bool whole;
	PhUidSet *live; /* what the index has; only when whole */
	PhUidSet *seen;
	GPtrArray *fresh;
	PhUidSet *set[FLAG_SETS];   /* nullable: messages that get these flags */
	PhUidSet *clear[FLAG_SETS]; /* nullable: and lose these */
	GPtrArray *changes;         /* of Fresh: keywords and whatever else is to be done */
	uint32_t next;              /* the lowest uid that can still be given */
	uint32_t last_uid;
	unsigned n_seen;
	bool last_is_fresh;
	bool is_altered; /* the index got something to know */
	bool must_write;
} Sync;

static void
fresh_free(void *data)
{
	Fresh *fresh = data;

	g_strfreev(fresh->words);
	ph_uid_set_free((PhUidSet *) (uintptr_t) fresh->op.uids);
	g_free(fresh);
}

static Fresh *
fresh_new(const Sync *sync, uint32_t kind)
{
	static const char *const none[] = { NULL };
	Fresh *fresh = g_new0(Fresh, 1);

	fresh->op.kind = kind;
	fresh->op.mailbox = sync->box->id;
	fresh->op.keywords = none;
	return fresh;
}

void
sync_place(const Message *message, uint32_t uid, Place *place)
{
	*place = (Place){
		.uid = uid,
		.marks = message->marks,
		.offset = message->offset,
		.length = message->length,
		.octets = message->octets,
		.digest = message->digest,
		.flags = message->flags,
		.keywords_hash = message->keywords_hash,
		.metadata = message->metadata,
		.from = message->from,
	};
}

bool
sync_is_known(const Message *message, const Place *place)
{
	return message->octets == place->octets && message->digest == place->digest;
}

/* --- which message is it? ------------------------------------------------------------------------ */

static bool
take_octets(const PhRecord *record, void *user_data)
{
	PhRecord *out = user_data;

	out->uid = record->uid;
	out->octets = record->octets;
	return true;
}

/* The index's record of that uid; uid 0: none. */
static bool
find_record(const Sync *sync, uint32_t uid, PhRecord *record, GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	const PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_OCTETS,
		.record = take_octets,
		.user_data = record,
	};
	PhChangesResult result = { 0 };

	*record = (PhRecord){ .uid = 0 };
	return ph_index_changes(sync->account->index, &sync->box->id, &query, &result, error);
}

/* Is X-UID a uid of this mailbox? */
static bool
is_believed(const Sync *sync, const Message *message)
{
	uint32_t base = sync->whole ? sync->scan.base : sync->box->base;

	if (message->uid == 0)
		return false;
	return (message->validity != 0 ? message->validity : base) == sync->box->uidvalidity;
}

/* A uid that the index knows but whose place is not noted: a crash came between the two. */
static bool
match_record(const Sync *sync, const Message *message, Place *place, GError **error)
{
	PhRecord record;

	if (!find_record(sync, message->uid, &record, error))
		return false;
	if (record.uid == 0 || record.octets != message->octets)
		return true;
	sync_place(message, record.uid, place);
	place->length = 0; /* differs, so it is written */
	return true;
}

static bool
match(const Sync *sync, const Message *message, Place *place, GError **error)
{
	*place = (Place){ .uid = 0 };
	if (!is_believed(sync, message))
		return place_find_unnamed(sync->connection, sync->box->no, message, sync->seen,
		                          place, error);
	if (ph_uid_set_contains(sync->seen, message->uid))
		return true;
	if (!place_get(sync->connection, sync->box->no, message->uid, place, error))
		return false;
	if (place->uid == 0)
		return message->uid >= sync->box->uidnext
		       || match_record(sync, message, place, error);
	if (!sync_is_known(message, place))
		place->uid = 0;
	return true;
}

/* --- what changed ------------------------------------------------------------------------------- */

static void
note(PhUidSet **sets, uint32_t flags, uint32_t uid)
{
	if (flags == 0 || flags >= FLAG_SETS)
		return;
	if (sets[flags] == NULL)
		sets[flags] = ph_uid_set_new();
	ph_uid_set_add(sets[flags], uid);
}

static char **
split_words(const char *text)
{
	g_auto(GStrv) all = g_strsplit(text, " ", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	for (char **word = all; *word != NULL; word++) {
		size_t length = strlen(*word);

		if (length > 0 && length <= KEYWORD_OCTETS && words->len < KEYWORDS_MAX
		    && ph_slice_is_ascii(PH_SLICE(*word, length)))
			g_ptr_array_add(words, g_strdup(*word));
	}
	g_ptr_array_add(words, NULL);
	return (char **) g_ptr_array_steal(words, NULL);
}

static bool
take_words(const PhRecord *record, void *user_data)
{
	char ***words = user_data;

	g_strfreev(*words);
	*words = g_strdupv((char **) (uintptr_t) record->keywords);
	return true;
}

static void
change_words(Sync *sync, uint32_t uid, uint32_t mode, char **words)
{
	Fresh *change = fresh_new(sync, PH_OP_FLAGS);

	change->op.flags_mode = mode;
	change->op.uids = ph_uid_set_new_range(uid, uid);
	change->words = words;
	change->op.keywords = (const char *const *) words;
	g_ptr_array_add(sync->changes, change);
}

/* Other keywords in the file: these are the message's now. */
static bool
note_words(Sync *sync, uint32_t uid, const Message *message, GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	char **old = g_new0(char *, 1);
	const PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS,
		.record = take_words,
		.user_data = &old,
	};
	PhChangesResult result = { 0 };

	if (!ph_index_changes(sync->account->index, &sync->box->id, &query, &result, error)) {
		g_strfreev(old);
		return false;
	}
	change_words(sync, uid, PH_FLAGS_REMOVE, old);
	change_words(sync, uid, PH_FLAGS_ADD, split_words(message->keywords));
	return true;
}

static bool
is_live(const Sync *sync, uint32_t uid, bool *live_out, GError **error)
{
	PhRecord record;

	if (sync->whole) {
		*live_out = ph_uid_set_contains(sync->live, uid);
		return true;
	}
	if (!find_record(sync, uid, &record, error))
		return false;
	*live_out = record.uid != 0;
	return true;
}

static bool
take_known(Sync *sync, const Message *message, const Place *place, GError **error)
{
	Place now;
	bool live = false;

	sync_place(message, place->uid, &now);
	if (is_believed(sync, message) && message->uid == place->uid)
		now.marks |= MARK_UID;
	ph_uid_set_add(sync->seen, place->uid);
	sync->last_uid = place->uid;
	sync->last_is_fresh = false;
	if (memcmp(&now, place, sizeof now) != 0) {
		sync->is_altered = true;
		if (!place_put(sync->connection, sync->box->no, &now, error))
			return false;
	}
	if (!is_live(sync, place->uid, &live, error))
		return false;
	sync->must_write = sync->must_write || !live;
	if (!live || place->length == 0)
		return true;
	note(sync->set, message->flags & ~place->flags, place->uid);
	note(sync->clear, place->flags & ~message->flags, place->uid);
	return message->keywords_hash == place->keywords_hash
	       || note_words(sync, place->uid, message, error);
}

static void
take_fresh(Sync *sync, const Message *message)
{
	Fresh *fresh = fresh_new(sync, PH_OP_APPEND);
	Planned *planned = run_plan(sync->account, &fresh->op);
	bool believed = is_believed(sync, message) && message->uid >= sync->next;

	fresh->op.flags = message->flags;
	fresh->op.octets = message->octets;
	fresh->op.internal_date = message->date.time;
	fresh->op.internal_zone = message->date.zone_minutes;
	fresh->op.save_date = g_get_real_time();
	fresh->op.has_given = true; /* it is there already: no quota refuses it */
	fresh->op.given_uid = believed ? message->uid : 0;
	fresh->op.blob = (PhBlobId){ .length = 1, .octets = { KIND_PLACE } };
	ph_secret_random(fresh->op.message_id, sizeof fresh->op.message_id);
	fresh->words = split_words(message->keywords);
	fresh->op.keywords = (const char *const *) fresh->words;
	planned->no = sync->box->no;
	planned->may_move = true;
	sync_place(message, message->uid, &planned->place);
	if (believed)
		planned->place.marks |= MARK_UID;
	sync->must_write = sync->must_write || !believed;
	sync->next = MAX(sync->next, fresh->op.given_uid) + 1;
	sync->last_is_fresh = true;
	sync->is_altered = true;
	g_ptr_array_add(sync->fresh, fresh);
}

/* --- transactions -------------------------------------------------------------------------------- */

static bool
begin(Sync *sync, GError **error)
{
	sync->connection = ph_index_begin_write(sync->account->index, error);
	return sync->connection != NULL;
}

static bool
end(Sync *sync, bool commit, GError **error)
{
	PhIndexConnection *connection = g_steal_pointer(&sync->connection);

	return connection == NULL
	       || ph_index_end_write(sync->account->index, connection, commit, error);
}

static bool
run_list(Sync *sync, GPtrArray *list, GError **error)
{
	g_autoptr(GPtrArray) ops = g_ptr_array_new();
	bool good = false;

	for (guint i = 0; i < list->len; i++)
		g_ptr_array_add(ops, &((Fresh *) g_ptr_array_index(list, i))->op);
	good = run_ops(sync->account, (PhOp *const *) ops->pdata, ops->len, error);
	return good;
}

/* What was found new becomes visible. */
static bool
run_fresh(Sync *sync, GError **error)
{
	bool good = run_list(sync, sync->fresh, error);

	for (guint i = 0; i < sync->fresh->len; i++) {
		const Fresh *fresh = g_ptr_array_index(sync->fresh, i);

		if (good) {
			ph_uid_set_add(sync->seen, fresh->op.uid);
			sync->last_uid = sync->last_is_fresh ? fresh->op.uid : sync->last_uid;
		}
	}
	g_hash_table_remove_all(sync->account->plan);
	g_ptr_array_set_size(sync->fresh, 0);
	return good;
}

static bool
turn(Sync *sync, GError **error)
{
	return end(sync, true, error) && run_fresh(sync, error) && begin(sync, error);
}

static bool
take_message(Sync *sync, const Message *message, GError **error)
{
	Place place;

	if (!match(sync, message, &place, error))
		return false;
	if (place.uid == 0)
		take_fresh(sync, message);
	else if (!take_known(sync, message, &place, error))
		return false;
	sync->n_seen++;
	if (sync->fresh->len < CHUNK && sync->n_seen % LONG != 0)
		return true;
	return turn(sync, error);
}

/* --- at the end ----------------------------------------------------------------------------------- */

typedef struct {
	const Sync *sync;
	GArray *lost;
} Lost;

static bool
take_lost(const Place *place, void *user_data, GError **error)
{
	const Lost *lost = user_data;

	if (!ph_uid_set_contains(lost->sync->seen, place->uid))
		(void) g_array_append_val(lost->lost, place->uid);
	return true;
}

/* Places of messages that are not in the file any more. */
static bool
forget_lost(Sync *sync, GError **error)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	Lost lost = { sync, uids };
	bool good = place_each(sync->account, sync->box->no, take_lost, &lost, error);

	if (!good || uids->len == 0)
		return good;
	sync->is_altered = true;
	if (!begin(sync, error))
		return false;
	for (guint i = 0; good && i < uids->len; i++)
		good = place_remove(sync->connection, sync->box->no,
		                    g_array_index(uids, uint32_t, i), error);
	return end(sync, good, error) && good;
}

static void
add_expunge(Sync *sync)
{
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(sync->live, &n);
	g_autoptr(PhUidSet) missing = ph_uid_set_new();
	Fresh *change = NULL;

	for (size_t i = 0; i < n; i++)
		for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++)
			if (!ph_uid_set_contains(sync->seen, (uint32_t) uid))
				ph_uid_set_add(missing, (uint32_t) uid);
	if (ph_uid_set_is_empty(missing))
		return;
	change = fresh_new(sync, PH_OP_EXPUNGE);
	change->op.uids = g_steal_pointer(&missing);
	g_ptr_array_add(sync->changes, change);
}

static void
add_flags(Sync *sync, PhUidSet **sets, uint32_t mode)
{
	for (uint32_t flags = 1; flags < FLAG_SETS; flags++) {
		Fresh *change = NULL;

		if (sets[flags] == NULL)
			continue;
		change = fresh_new(sync, PH_OP_FLAGS);
		change->op.flags_mode = mode;
		change->op.flags = flags;
		change->op.uids = g_steal_pointer(&sets[flags]);
		g_ptr_array_add(sync->changes, change);
	}
}

static void
add_raise(Sync *sync)
{
	Fresh *change = NULL;

	if (!sync->whole || sync->scan.base != sync->box->uidvalidity
	    || sync->scan.base_last < sync->box->uidnext)
		return;
	change = fresh_new(sync, PH_OP_RAISE);
	change->op.given_uid = sync->scan.base_last + 1;
	g_ptr_array_add(sync->changes, change);
}

static void
tell_damage(Sync *sync)
{
	Account *account = sync->account;
	uint64_t size = (uint64_t) sync->file->status.st_size;
	uint64_t first = MIN(sync->scan.first, size);

	if (!sync->whole || first == 0 || size == 0
	    || !g_hash_table_add(account->told, g_strdup(sync->box->name)))
		return;
	ph_log_section(account->section, PH_LOG_ERROR, "mbox-damaged",
	               "an mbox does not begin with a message; what follows is served, nothing is "
	               "removed",
	               PH_LOG_TEXT("folder", account->folders),
	               PH_LOG_TEXT("mailbox", sync->box->name),
	               PH_LOG_NUMBER("octets-before", first), PH_LOG_END);
}

static void
note_look(Sync *sync)
{
	Box *box = sync->box;

	box->look = file_look(&sync->file->status);
	box->folder = sync->file->folder;
	(void) g_strlcpy(box->path, box->name, sizeof box->path);
	box->last_uid = sync->last_uid;
	if (sync->whole)
		box->base = sync->scan.base;
}

/* The row of the box. When only that is new, it need not succeed: on a full disk the file is read
 * again next time. */
static bool
save_box(Sync *sync, GError **error)
{
	bool must = sync->is_altered || sync->changes->len > 0;
	GError **why = must ? error : NULL;
	bool good = begin(sync, why) && place_save_box(sync->connection, sync->box, why);

	return (end(sync, good, why) && good) || !must;
}

static bool
finish(Sync *sync, GError **error)
{
	guint n = sync->fresh->len;
	bool is_short = false;

	add_flags(sync, sync->set, PH_FLAGS_ADD);
	add_flags(sync, sync->clear, PH_FLAGS_REMOVE);
	note_look(sync);
	is_short = !sync->whole && sync->last_is_fresh && n > 0 && sync->changes->len == 0;
	if (is_short) {
		Fresh *last = g_ptr_array_index(sync->fresh, n - 1);
		Planned *planned = g_hash_table_lookup(sync->account->plan, &last->op);

		planned->box = sync->box;
	}
	if (!end(sync, true, error) || !run_fresh(sync, error))
		return false;
	if (is_short)
		return true;
	if (sync->whole) {
		add_expunge(sync);
		add_raise(sync);
		if (!forget_lost(sync, error))
			return false;
	}
	sync->box->last_uid = sync->last_uid;
	return run_list(sync, sync->changes, error) && save_box(sync, error);
}

/* --- from where ----------------------------------------------------------------------------------- */

static bool
take_live(const PhRecord *record, void *user_data)
{
	ph_uid_set_add(user_data, record->uid);
	return true;
}

static bool
load_live(Sync *sync, GError **error)
{
	const PhChangesQuery query = { .record = take_live, .user_data = sync->live };
	PhChangesResult result = { 0 };

	return ph_index_changes(sync->account->index, &sync->box->id, &query, &result, error);
}

/* Has the file only grown since? Then the scan stands behind the last message that is known. */
static bool
only_grew(Sync *sync, GError **error)
{
	const Box *box = sync->box;
	Look look = file_look(&sync->file->status);
	Place place;
	Message message;
	bool found = false;

	if (box->last_uid == 0 || look.inode != box->look.inode || look.device != box->look.device
	    || look.size <= box->look.size || !begin(sync, error))
		return false;
	found = place_get(sync->connection, box->no, box->last_uid, &place, NULL) && place.uid != 0;
	(void) end(sync, true, NULL);
	if (!found || place.offset + place.length != box->look.size)
		return false;
	scan_init(&sync->scan, &sync->file->source, (Variant) sync->account->settings.variant,
	          place.offset, look.size);
	/* not the first of the file: its X-IMAPbase would mean nothing */
	sync->scan.first = 0;
	if (scan_next(&sync->scan, &message, &found, NULL) && found
	    && message.offset == place.offset && message.length == place.length
	    && message.flags == place.flags && sync_is_known(&message, &place))
		return true;
	scan_clear(&sync->scan);
	return false;
}

static bool
scan_all(Sync *sync, GError **error)
{
	Message message;
	bool found = true;

	if (!begin(sync, error))
		return false;
	while (found) {
		if (!scan_next(&sync->scan, &message, &found, error)
		    || (found && !take_message(sync, &message, error))) {
			(void) end(sync, false, NULL);
			return false;
		}
	}
	tell_damage(sync);
	return finish(sync, error);
}

static bool
number_box(Account *account, Box *box, GError **error)
{
	PhIndexConnection *connection = NULL;
	bool good = false;

	if (box->no != 0)
		return true;
	connection = ph_index_begin_write(account->index, error);
	if (connection == NULL)
		return false;
	(void) g_strlcpy(box->path, box->name, sizeof box->path);
	good = place_save_box(connection, box, error);
	return ph_index_end_write(account->index, connection, good, error) && good;
}

/* The file is not there. Programs remove a mailbox that has become empty; a file system that is
 * not mounted is another matter. */
static bool
judge_missing(const Box *box, const File *file, GError **error)
{
	if (box->n_messages == 0 || (box->folder != 0 && box->folder == file->folder))
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "the file of mailbox '%s' is not there", box->name);
	return false;
}

static void
sync_clear(Sync *sync)
{
	(void) end(sync, false, NULL);
	g_hash_table_remove_all(sync->account->plan);
	scan_clear(&sync->scan);
	g_ptr_array_unref(sync->fresh);
	g_ptr_array_unref(sync->changes);
	ph_uid_set_free(sync->live);
	ph_uid_set_free(sync->seen);
	for (size_t i = 0; i < FLAG_SETS; i++) {
		ph_uid_set_free(sync->set[i]);
		ph_uid_set_free(sync->clear[i]);
	}
}

static bool
sync_now(Sync *sync, SyncDepth depth, GError **error)
{
	sync->whole = depth == SYNC_WHOLE || !only_grew(sync, error);
	if (!sync->whole)
		return scan_all(sync, error);
	if (error != NULL && *error != NULL)
		return false;
	scan_init(&sync->scan, &sync->file->source, (Variant) sync->account->settings.variant, 0,
	          (uint64_t) sync->file->status.st_size);
	return load_live(sync, error) && scan_all(sync, error);
}

bool
sync_box(Account *account, Box *box, File *file, SyncDepth depth, GError **error)
{
	Look look = file_look(&file->status);
	Sync sync = { .account = account, .box = box, .file = file, .next = box->uidnext };
	PhMailboxId id = box->id;
	g_autoptr(GError) why = NULL;
	bool good = false;

	if (file->fd < 0 && !judge_missing(box, file, error))
		return false;
	if (depth == SYNC_USUAL && box->no != 0 && file_same_look(&look, &box->look))
		return true;
	if (!number_box(account, box, error))
		return false;
	sync.live = ph_uid_set_new();
	sync.seen = ph_uid_set_new();
	sync.fresh = g_ptr_array_new_with_free_func(fresh_free);
	sync.changes = g_ptr_array_new_with_free_func(fresh_free);
	good = sync_now(&sync, depth, &why);
	if (good && sync.must_write)
		rewrite_mark(account, &box->id);
	sync_clear(&sync);
	if (!good)
		g_propagate_error(error, g_steal_pointer(&why));
	return good && place_load_box(account, &id, box, error);
}

/* append.c: writes messages to the ends of mbox files and commits them
 *
 * For each file of a batch: lock, fold in what others did, write all messages, sync once. What was
 * written is then scanned like any other mail, and must come out as it went in; only then the
 * index learns of it, in the transaction that makes it visible. Whatever fails, the files are cut
 * to what they were, under the same lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>
#include <posthorn/slice.h>

#include "encode.h"
#include "fields.h"
#include "mbox.h"
#include "transcribe.h"

enum {
	BUFFER = 1024 * 1024,
	FILES_MAX = 32, /* of one batch */
};

/* Item: a message that is being appended. */
typedef struct {
	PhTransaction *transaction;
	PhOp *op;
	Planned *planned; /* (nullable) an append: the account's plan has it */
	Place place;
	uint64_t octets; /* that it must have */
	uint32_t from;   /* a copy: uid of its source */
} Item;

/* Target: a file that is appended to. */
typedef struct {
	Box box;
	File file;
	uint64_t before; /* the file's size before anything */
	uint64_t start;  /* where the first of our messages begins */
	uint64_t at;     /* where the next octet is written, buffer included */
	GString *buffer;
	GArray *items; /* of Item */
	uint32_t next; /* uid */
} Target;

typedef struct {
	Account *account;
	GPtrArray *targets;
	PhTransaction *const *batch;
	size_t n;
} Append;

static void
target_free(void *data)
{
	Target *target = data;

	file_close(&target->file);
	(void) g_string_free(target->buffer, TRUE);
	(void) g_array_free(target->items, TRUE);
	g_free(target);
}

/* --- writing -------------------------------------------------------------------------------------- */

static bool
flush(Target *target, GError **error)
{
	uint64_t offset = target->at - target->buffer->len;
	bool good = file_write(&target->file, offset,
	                       PH_SLICE(target->buffer->str, target->buffer->len), error);

	(void) g_string_truncate(target->buffer, 0);
	return good;
}

static bool
write_octets(PhSlice octets, void *user_data, GError **error)
{
	Target *target = user_data;

	(void) g_string_append_len(target->buffer, octets.data, (gssize) octets.length);
	target->at += octets.length;
	return target->buffer->len < BUFFER || flush(target, error);
}

/* The last message may end without the line that separates it from the next. */
static bool
write_separator(Target *target, GError **error)
{
	char end[2] = "\n\n";
	uint64_t size = target->before;
	size_t n = (size_t) MIN(size, 2);

	if (n > 0 && file_read(&target->file, size - n, end + 2 - n, n, error) < 0)
		return false;
	if (size > 0 && end[1] != '\n')
		return write_octets(PH_SLICE_LITERAL("\n\n"), target, error);
	return size == 0 || end[0] == '\n' || write_octets(PH_SLICE_LITERAL("\n"), target, error);
}

static Target *
find_target(const Append *append, const PhMailboxId *id)
{
	for (guint i = 0; i < append->targets->len; i++) {
		Target *target = g_ptr_array_index(append->targets, i);

		if (memcmp(&target->box.id, id, sizeof *id) == 0)
			return target;
	}
	return NULL;
}

/* The operation of the batch that makes this mailbox; NULL: none. */
static const PhOp *
find_create(const Append *append, const PhMailboxId *id)
{
	for (size_t i = 0; i < append->n; i++) {
		for (uint32_t j = 0; j < append->batch[i]->n_ops; j++) {
			const PhOp *op = append->batch[i]->ops[j];

			if (op->kind == PH_OP_CREATE && memcmp(&op->mailbox, id, sizeof *id) == 0)
				return op;
		}
	}
	return NULL;
}

/* A mailbox that the same transaction makes. The index has not chosen its uidvalidity yet: uids
 * are written without, and once more with it later. */
static bool
open_new(Append *append, const PhOp *create, Target *target, GError **error)
{
	Box *box = &target->box;
	PhIndexConnection *connection = NULL;
	bool good = false;

	*box = (Box){ .id = create->mailbox };
	box->uidnext = create->has_given && create->given_uid > 1 ? create->given_uid : 1;
	(void) g_strlcpy(box->name, create->name, sizeof box->name);
	(void) g_strlcpy(box->path, create->name, sizeof box->path);
	connection = ph_index_begin_write(append->account->index, error);
	if (connection == NULL)
		return false;
	good = place_save_box(connection, box, error);
	if (!ph_index_end_write(append->account->index, connection, good, error) || !good
	    || !file_open(append->account, box->name, FILE_APPEND, &target->file, error))
		return false;
	if (target->file.status.st_size == 0)
		return true;
	ph_error_set(error, PH_ERROR_EXISTS, "'%s' has a file already", box->name);
	return false;
}

static Target *
get_target(Append *append, const PhMailboxId *id, GError **error)
{
	const PhOp *create = NULL;
	Target *target = find_target(append, id);

	if (target != NULL)
		return target;
	if (append->targets->len >= FILES_MAX) {
		ph_error_set(error, PH_ERROR_LIMIT, "too many mailboxes at once");
		return NULL;
	}
	target = g_new0(Target, 1);
	target->buffer = g_string_new(NULL);
	target->items = g_array_new(FALSE, TRUE, sizeof(Item));
	target->file = (File){ .fd = -1, .folder_fd = -1 };
	g_ptr_array_add(append->targets, target);
	create = find_create(append, id);
	if (!(create != NULL ? open_new(append, create, target, error)
	                     : open_box(append->account, id, FILE_APPEND, &target->box,
	                                &target->file, error)))
		return NULL;
	target->before = target->at = (uint64_t) target->file.status.st_size;
	target->next = target->box.uidnext;
	if (!write_separator(target, error))
		return NULL;
	target->start = target->at;
	return target;
}

static uint32_t
give_uid(Target *target, uint32_t given)
{
	uint32_t uid = given >= target->next ? given : target->next;

	target->next = uid + 1;
	return uid;
}

static Item *
add_item(Target *target, PhTransaction *transaction, PhOp *op, uint32_t uid)
{
	Item *item = NULL;

	g_array_set_size(target->items, target->items->len + 1);
	item = &g_array_index(target->items, Item, target->items->len - 1);
	item->transaction = transaction;
	item->op = op;
	item->place.uid = uid;
	return item;
}

static Metadata
metadata_of(const Target *target, uint32_t uid, uint32_t flags, const char *keywords)
{
	return (Metadata){
		.uid = uid,
		.flags = flags,
		.validity = target->box.uidvalidity,
		.keywords = keywords,
		.base = target->at == 0 ? target->box.uidvalidity : 0,
		.base_last = uid,
		.base_keywords = keywords,
	};
}

/* --- messages that come from outside --------------------------------------------------------------- */

static ssize_t
read_content(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	return ph_content_read(handle, offset, buffer, length, error);
}

static bool
write_message(Target *target, PhContent *content, const PhOp *op, uint32_t uid, GError **error)
{
	const Source source = { read_content, content };
	uint64_t length = ph_content_length(content);
	g_autofree char *keywords = g_strjoinv(" ", (char **) (uintptr_t) op->keywords);
	Metadata metadata = metadata_of(target, uid, op->flags, keywords);
	g_autoptr(GString) head = g_string_new(NULL);
	Survey survey;

	if (!encode_survey(&source, length, &survey, error))
		return false;
	metadata.marks = survey.marks;
	from_append(ph_slice(survey.sender), op->internal_date, head);
	fields_append(&metadata, 0, head);
	return write_octets(PH_SLICE(head->str, head->len), target, error)
	       && encode_message(&source, length, survey.marks, write_octets, target, error);
}

static bool
append_one(Append *append, PhTransaction *transaction, PhOp *op, GError **error)
{
	Target *target = get_target(append, &op->mailbox, error);
	g_autoptr(PhContent) content = NULL;
	uint32_t uid = 0;
	Item *item = NULL;

	if (target == NULL)
		return false;
	content = octets_uploaded(append->account, &op->blob, NULL);
	if (content == NULL)
		return true; /* the index knows whether it was applied before */
	uid = give_uid(target, op->has_given ? op->given_uid : 0);
	item = add_item(target, transaction, op, uid);
	item->octets = op->octets;
	item->planned = run_plan(append->account, op);
	return write_message(target, content, op, uid, error);
}

/* --- copies --------------------------------------------------------------------------------------- */

/* Found: what the index says of a message that is copied. */
typedef struct {
	uint32_t uid;
	uint32_t flags;
	uint64_t octets;
	char *keywords; /* (owned) */
} Found;

static void
found_clear(void *data)
{
	g_free(((Found *) data)->keywords);
}

static bool
take_found(const PhRecord *record, void *user_data)
{
	Found found = {
		.uid = record->uid,
		.flags = record->flags,
		.octets = record->octets,
		.keywords = g_strjoinv(" ", (char **) (uintptr_t) record->keywords),
	};

	(void) g_array_append_val((GArray *) user_data, found);
	return true;
}

static GArray *
find_messages(Account *account, const PhMailboxId *mailbox, const PhUidSet *uids, GError **error)
{
	GArray *all = g_array_new(FALSE, TRUE, sizeof(Found));
	const PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS | PH_FIELD_OCTETS,
		.record = take_found,
		.user_data = all,
	};
	PhChangesResult result = { 0 };

	g_array_set_clear_func(all, found_clear);
	if (ph_index_changes(account->index, mailbox, &query, &result, error))
		return all;
	(void) g_array_free(all, TRUE);
	return NULL;
}

static bool
find_place(Account *account, const Box *box, uint32_t uid, Place *place, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = place_get(connection, box->no, uid, place, error);
	ph_index_end_read(account->index, connection);
	if (good && place->uid == 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "message %u of '%s' was not found", uid,
		             box->name);
		return false;
	}
	return good;
}

/* The uid that a copy gets when pairs are given. */
static uint32_t
given_uid(const PhOp *op, uint32_t from)
{
	size_t n = 0;
	size_t m = 0;
	uint64_t rank = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(op->from_uids, &n);
	const PhUidRange *to = ph_uid_set_ranges(op->to_uids, &m);

	for (size_t i = 0; i < n && ranges[i].first <= from; i++)
		rank += (uint64_t) MIN(ranges[i].last, from) - ranges[i].first + 1;
	for (size_t i = 0; i < m && rank > 0; i++) {
		uint64_t length = (uint64_t) to[i].last - to[i].first + 1;

		if (rank <= length)
			return (uint32_t) (to[i].first + rank - 1);
		rank -= length;
	}
	return 0;
}

typedef struct {
	Append *append;
	PhTransaction *transaction;
	PhOp *op;
	Target *target;
	const Box *box;     /* the source */
	const File *source; /* and its file */
} Copy;

static bool
copy_one(const Copy *copy, const Found *found, GError **error)
{
	Place place;
	uint32_t given = copy->op->has_given ? given_uid(copy->op, found->uid) : 0;
	uint32_t uid = give_uid(copy->target, given);
	Metadata metadata = metadata_of(copy->target, uid, found->flags, found->keywords);
	Item *item = NULL;
	Span span = { .source = &copy->source->source };

	if (!find_place(copy->append->account, copy->box, found->uid, &place, error))
		return false;
	item = add_item(copy->target, copy->transaction, copy->op, uid);
	item->octets = found->octets;
	item->from = found->uid;
	metadata.marks = place.marks;
	span.offset = place.offset;
	span.end = place.offset + place.length;
	return transcribe(&span, &metadata, write_octets, copy->target, error);
}

/* A source that is a target too is read through the target's file. */
static bool
copy_all(Copy *copy, GError **error)
{
	Target *same = find_target(copy->append, &copy->op->mailbox);
	const PhUidSet *uids = copy->op->has_given ? copy->op->from_uids : copy->op->uids;
	Box box;
	File file = { .fd = -1, .folder_fd = -1 };
	g_autoptr(GArray) all = NULL;
	bool good = true;

	if (same == NULL
	    && !open_box(copy->append->account, &copy->op->mailbox, FILE_WRITE, &box, &file, error))
		return false;
	copy->box = same != NULL ? &same->box : &box;
	copy->source = same != NULL ? &same->file : &file;
	all = find_messages(copy->append->account, &copy->op->mailbox, uids, error);
	good = all != NULL;
	for (guint i = 0; good && i < all->len; i++)
		good = copy_one(copy, &g_array_index(all, Found, i), error);
	if (same == NULL)
		file_close(&file);
	return good;
}

static bool
copy_messages(Append *append, PhTransaction *transaction, PhOp *op, GError **error)
{
	Copy copy = { .append = append, .transaction = transaction, .op = op };

	copy.target = get_target(append, &op->to, error);
	return copy.target != NULL && copy_all(&copy, error);
}

/* --- from octets to a commit ------------------------------------------------------------------------ */

static bool
write_op(Append *append, PhTransaction *transaction, PhOp *op, GError **error)
{
	switch (op->kind) {
	case PH_OP_APPEND:
		return append_one(append, transaction, op, error);
	case PH_OP_COPY:
	case PH_OP_MOVE:
		return copy_messages(append, transaction, op, error);
	default:
		return true;
	}
}

static bool
write_all(Append *append, PhTransaction *const *batch, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			if (!write_op(append, batch[i], batch[i]->ops[j], error))
				return false;
	return true;
}

/* The files are opened, and the intent is written, before the first octet goes out. */
static bool
open_all(Append *append, PhTransaction *const *batch, size_t n, GError **error)
{
	Intent intents[FILES_MAX];

	for (size_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j < batch[i]->n_ops; j++) {
			const PhOp *op = batch[i]->ops[j];
			bool copies = op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE;

			if ((copies || op->kind == PH_OP_APPEND)
			    && get_target(append, copies ? &op->to : &op->mailbox, error) == NULL)
				return false;
		}
	}
	for (guint i = 0; i < append->targets->len; i++) {
		const Target *target = g_ptr_array_index(append->targets, i);

		intents[i] = (Intent){
			.no = target->box.no,
			.start = target->start,
			.first_uid = target->box.uidnext,
			.n = UINT32_MAX,
		};
	}
	intent_write(append->account, intents, append->targets->len);
	return true;
}

/* What was written is what will be read. */
static bool
check_target(Account *account, Target *target, GError **error)
{
	Scan scan;
	Message message;
	bool found = true;
	bool good = true;

	scan_init(&scan, &target->file.source, (Variant) account->settings.variant, target->start,
	          target->at);
	for (guint i = 0; good && i < target->items->len; i++) {
		Item *item = &g_array_index(target->items, Item, i);

		good = scan_next(&scan, &message, &found, error);
		if (good && found && message.octets == item->octets
		    && message.uid == item->place.uid) {
			sync_place(&message, item->place.uid, &item->place);
			if (target->box.uidvalidity != 0)
				item->place.marks |= MARK_UID;
			else
				rewrite_mark(account, &target->box.id);
			continue;
		}
		if (good)
			ph_error_set(error, PH_ERROR_PERMANENT,
			             "a message does not come out of the mbox as it went in");
		good = false;
	}
	scan_clear(&scan);
	return good;
}

static bool
settle_target(Account *account, Target *target, GError **error)
{
	if (!flush(target, error) || !file_sync(&target->file, error)
	    || !check_target(account, target, error))
		return false;
	target->box.look = file_look(&target->file.status);
	target->box.folder = target->file.folder;
	(void) g_strlcpy(target->box.path, target->box.name, sizeof target->box.path);
	if (target->before == 0)
		target->box.base = target->box.uidvalidity;
	for (guint i = 0; i < target->items->len; i++) {
		Item *item = &g_array_index(target->items, Item, i);

		if (item->planned == NULL)
			continue;
		item->planned->no = target->box.no;
		item->planned->place = item->place;
		item->planned->box = &target->box;
	}
	return true;
}

static bool
settle(Append *append, GError **error)
{
	for (guint i = 0; i < append->targets->len; i++)
		if (!settle_target(append->account, g_ptr_array_index(append->targets, i), error))
			return false;
	return true;
}

/* --- afterwards ------------------------------------------------------------------------------------ */

/* Did the index take the message from where it was written? */
static bool
was_taken(const Item *item)
{
	if (!item->transaction->done)
		return false;
	if (item->planned != NULL)
		return item->planned->is_named && item->op->uid == item->place.uid;
	return ph_uid_set_contains(item->op->to_uids, item->place.uid);
}

static bool
note_copies(Append *append, Target *target, guint n, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(append->account->index, error);
	bool good = connection != NULL;

	if (!good)
		return false;
	for (guint i = 0; good && i < n; i++) {
		const Item *item = &g_array_index(target->items, Item, i);

		good = place_put(connection, target->box.no, &item->place, error);
		target->box.last_uid = item->place.uid;
	}
	target->box.look = file_look(&target->file.status);
	good = good && place_save_box(connection, &target->box, error);
	return ph_index_end_write(append->account->index, connection, good, error) && good;
}

/* Cuts off what the index did not take; a place that could not be noted is found by a scan. */
static void
finish_target(Append *append, Target *target)
{
	guint n = 0;
	uint64_t end = target->before;
	bool copies = false;

	while (n < target->items->len) {
		const Item *item = &g_array_index(target->items, Item, n);

		if (!was_taken(item))
			break;
		copies = copies || item->planned == NULL;
		end = item->place.offset + item->place.length;
		n++;
	}
	if (target->file.fd < 0)
		return;
	if (end < target->at && (uint64_t) target->file.status.st_size >= end)
		(void) file_cut(&target->file, end, NULL);
	if (copies || n < target->items->len)
		(void) note_copies(append, target, n, NULL);
}

bool
append_batch(Account *account,
             PhTransaction *const *batch,
             size_t n,
             bool *again_out,
             GError **error)
{
	g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(target_free);
	Append append = { account, targets, batch, n };
	GError *why = NULL;
	bool good = open_all(&append, batch, n, &why) && write_all(&append, batch, n, &why)
	            && settle(&append, &why);

	*again_out = !good && n > 1;
	good = good && ph_index_commit(account->index, batch, n, &why);
	for (size_t i = 0; !good && i < n; i++)
		batch[i]->done = false;
	for (guint i = 0; i < targets->len; i++)
		finish_target(&append, g_ptr_array_index(targets, i));
	g_hash_table_remove_all(account->plan);
	if (good)
		return true;
	*again_out = *again_out || (n > 1 && g_error_matches(why, PH_ERROR, PH_ERROR_TEMPORARY));
	g_propagate_error(error, why);
	return false;
}

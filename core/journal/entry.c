/* entry.c: a transaction and its results as the payload of a record, and back
 *
 * Numbers are little-endian, texts and sets have their count first. The reader takes nothing for
 * granted: every count is compared with what is left before anything is allocated for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "journal/entry.h"

#include <posthorn/slice.h>

#include "base/op.h"

#include <string.h>

enum {
	FLAG_UNCHANGED_SINCE = 1U << 0,
	FLAG_MUST_EXIST = 1U << 1,
	FLAG_ACCOUNT_VALUE = 1U << 2,
	FLAG_HAS_NAME = 1U << 3,
	FLAG_HAS_KEY = 1U << 4,
	OP_LEAST = 120, /* octets that every operation takes */
	KEYWORDS_MAX = 1000,
};

/* --- writing ----------------------------------------------------------------------------------- */

static void
put_raw(GByteArray *out, const void *data, size_t length)
{
	if (length > 0)
		(void) g_byte_array_append(out, data, (guint) length);
}

static void
put32(GByteArray *out, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	put_raw(out, &value, sizeof value);
}

static void
put64(GByteArray *out, uint64_t value)
{
	value = GUINT64_TO_LE(value);
	put_raw(out, &value, sizeof value);
}

static void
put_slice(GByteArray *out, PhSlice slice)
{
	put32(out, (uint32_t) slice.length);
	put_raw(out, slice.data, slice.length);
}

static void
put_text(GByteArray *out, const char *text)
{
	put_slice(out, text != NULL ? ph_slice(text) : PH_SLICE_EMPTY);
}

static void
put_set(GByteArray *out, const PhUidSet *set)
{
	size_t n = 0;
	const PhUidRange *ranges = set != NULL ? ph_uid_set_ranges(set, &n) : NULL;

	put32(out, (uint32_t) n);
	for (size_t i = 0; i < n; i++) {
		put32(out, ranges[i].first);
		put32(out, ranges[i].last);
	}
}

static void
put_keywords(GByteArray *out, const char *const *keywords)
{
	uint32_t n = keywords != NULL ? g_strv_length((char **) (uintptr_t) keywords) : 0;

	put32(out, n);
	for (uint32_t i = 0; i < n; i++)
		put_text(out, keywords[i]);
}

static void
put_identity(GByteArray *out, const PhIdentity *identity)
{
	put_text(out, ph_identity_user(identity));
	put_text(out, ph_identity_domain(identity));
	put_text(out, ph_identity_home(identity));
	put64(out, ph_identity_quota_octets(identity));
	put64(out, ph_identity_quota_messages(identity));
}

static uint32_t
flags_of(const PhOp *op)
{
	return (op->has_unchanged_since ? FLAG_UNCHANGED_SINCE : 0)
	       | (op->must_exist ? FLAG_MUST_EXIST : 0)
	       | (op->is_account_value ? FLAG_ACCOUNT_VALUE : 0)
	       | (op->name != NULL ? FLAG_HAS_NAME : 0) | (op->key != NULL ? FLAG_HAS_KEY : 0);
}

static void
put_op(GByteArray *out, const PhOp *op, const PhJournalOctets *octets, bool is_hidden)
{
	put32(out, op->kind);
	put32(out, flags_of(op));
	put32(out, op->flags);
	put32(out, op->flags_mode);
	put_raw(out, op->mailbox.octets, sizeof op->mailbox.octets);
	put_raw(out, op->to.octets, sizeof op->to.octets);
	put64(out, op->unchanged_since);
	put64(out, op->octets);
	put64(out, (uint64_t) op->internal_date);
	put64(out, (uint64_t) op->save_date);
	put32(out, (uint32_t) op->internal_zone);
	put32(out, op->special_use);
	put_raw(out, op->message_id, sizeof op->message_id);
	put32(out, op->kind == PH_OP_RAISE ? op->given_uid : op->uid);
	put32(out, op->uidvalidity);
	put_slice(out, PH_SLICE((const char *) op->blob.octets, op->blob.length));
	put64(out, octets->position);
	put64(out, octets->length);
	put_slice(out, is_hidden ? PH_SLICE_EMPTY : op->structure);
	put_slice(out, op->value);
	put_text(out, op->name);
	put_text(out, op->key);
	put_keywords(out, op->keywords);
	put_set(out, op->uids);
	put_set(out, op->from_uids);
	put_set(out, op->to_uids);
}

void
ph_journal_entry_append(GByteArray *out,
                        const char *section,
                        const PhIdentity *identity,
                        const PhTransaction *transaction,
                        const PhJournalOctets *octets,
                        bool is_hidden)
{
	put_text(out, section);
	put_identity(out, identity);
	put_raw(out, transaction->id, sizeof transaction->id);
	put64(out, transaction->change);
	put32(out, transaction->n_ops);
	for (uint32_t i = 0; i < transaction->n_ops; i++)
		put_op(out, transaction->ops[i], &octets[i], is_hidden);
}

/* --- reading ----------------------------------------------------------------------------------- */

/* Reader: once something was missing, everything that follows reads as zero. */
typedef struct {
	PhSlice rest;
	bool bad;
} Reader;

static bool
get_raw(Reader *reader, void *to, size_t length)
{
	if (reader->bad || reader->rest.length < length) {
		reader->bad = true;
		memset(to, 0, length);
		return false;
	}
	memcpy(to, reader->rest.data, length);
	reader->rest = ph_slice_from(reader->rest, length);
	return true;
}

static uint32_t
get32(Reader *reader)
{
	uint32_t value = 0;

	(void) get_raw(reader, &value, sizeof value);
	return GUINT32_FROM_LE(value);
}

static uint64_t
get64(Reader *reader)
{
	uint64_t value = 0;

	(void) get_raw(reader, &value, sizeof value);
	return GUINT64_FROM_LE(value);
}

static PhSlice
get_slice(Reader *reader)
{
	size_t length = get32(reader);
	PhSlice slice = PH_SLICE_EMPTY;

	if (reader->bad || length > reader->rest.length) {
		reader->bad = true;
		return slice;
	}
	slice = PH_SLICE(reader->rest.data, length);
	reader->rest = ph_slice_from(reader->rest, length);
	return slice;
}

/* Returns: (owned). A text has no NUL. */
static char *
get_text(Reader *reader)
{
	PhSlice slice = get_slice(reader);

	if (slice.length > 0 && memchr(slice.data, '\0', slice.length) != NULL)
		reader->bad = true;
	return ph_slice_dup(slice);
}

static PhUidSet *
get_set(Reader *reader)
{
	uint32_t n = get32(reader);
	PhUidSet *set = ph_uid_set_new();
	uint64_t end = 0;

	if (n > reader->rest.length / 8)
		reader->bad = true;
	for (uint32_t i = 0; i < n && !reader->bad; i++) {
		uint32_t first = get32(reader);
		uint32_t last = get32(reader);

		if (first <= end || first > last)
			reader->bad = true;
		else
			ph_uid_set_add_range(set, first, last);
		end = last;
	}
	return set;
}

static const char *const *
get_keywords(Reader *reader)
{
	uint32_t n = get32(reader);
	char **keywords = NULL;

	if (n > KEYWORDS_MAX || n > reader->rest.length / 4) {
		reader->bad = true;
		n = 0;
	}
	keywords = g_new0(char *, n + 1);
	for (uint32_t i = 0; i < n; i++)
		keywords[i] = get_text(reader);
	return (const char *const *) keywords;
}

static PhIdentity *
get_identity(Reader *reader)
{
	g_autofree char *user = get_text(reader);
	g_autofree char *domain = get_text(reader);
	g_autofree char *home = get_text(reader);
	PhIdentityValues values = {
		.size = sizeof values,
		.user = user,
		.domain = domain,
		.home = home[0] != '\0' ? home : NULL,
		.quota_octets = get64(reader),
		.quota_messages = get64(reader),
	};
	PhIdentity *identity = reader->bad ? NULL : ph_identity_new(&values, NULL);

	reader->bad = identity == NULL;
	return identity;
}

static void
op_free(void *data)
{
	PhOp *op = data;

	ph_op_clear(op);
	g_free(op);
}

static PhSlice
get_copy(Reader *reader)
{
	PhSlice slice = get_slice(reader);

	return slice.length > 0 ? PH_SLICE(g_memdup2(slice.data, slice.length), slice.length)
	                        : PH_SLICE_EMPTY;
}

static void
get_blob(Reader *reader, PhBlobId *blob)
{
	PhSlice slice = get_slice(reader);

	if (slice.length > sizeof blob->octets) {
		reader->bad = true;
		return;
	}
	blob->length = (uint8_t) slice.length;
	if (slice.length > 0)
		memcpy(blob->octets, slice.data, slice.length);
}

static void
get_strings(Reader *reader, PhOp *op, uint32_t flags)
{
	g_autofree char *name = NULL;
	g_autofree char *key = NULL;

	op->structure = get_copy(reader);
	op->value = get_copy(reader);
	name = get_text(reader);
	key = get_text(reader);
	op->name = (flags & FLAG_HAS_NAME) != 0 ? g_steal_pointer(&name) : NULL;
	op->key = (flags & FLAG_HAS_KEY) != 0 ? g_steal_pointer(&key) : NULL;
	op->keywords = get_keywords(reader);
	op->uids = get_set(reader);
	op->from_uids = get_set(reader);
	op->to_uids = get_set(reader);
	op->refused = ph_uid_set_new();
	op->missing = ph_uid_set_new();
}

static bool
is_sound(const PhOp *op)
{
	bool is_transfer = op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE;
	bool needs_name = op->kind == PH_OP_CREATE || op->kind == PH_OP_RENAME;

	if (op->kind < PH_OP_APPEND || op->kind > PH_OP_RAISE)
		return false;
	if (is_transfer && ph_uid_set_count(op->from_uids) != ph_uid_set_count(op->to_uids))
		return false;
	return (!needs_name || op->name != NULL) && (op->kind != PH_OP_PUT || op->key != NULL);
}

static PhOp *
get_op(Reader *reader, uint64_t change, PhJournalOctets *octets)
{
	PhOp *op = g_new0(PhOp, 1);
	uint32_t flags = 0;

	op->kind = get32(reader);
	flags = get32(reader);
	op->flags = get32(reader);
	op->flags_mode = get32(reader);
	(void) get_raw(reader, op->mailbox.octets, sizeof op->mailbox.octets);
	(void) get_raw(reader, op->to.octets, sizeof op->to.octets);
	op->unchanged_since = get64(reader);
	op->octets = get64(reader);
	op->internal_date = (PhTime) get64(reader);
	op->save_date = (PhTime) get64(reader);
	op->internal_zone = (int32_t) get32(reader);
	op->special_use = get32(reader);
	(void) get_raw(reader, op->message_id, sizeof op->message_id);
	op->given_uid = get32(reader);
	op->given_uidvalidity = get32(reader);
	get_blob(reader, &op->blob);
	octets->position = get64(reader);
	octets->length = get64(reader);
	get_strings(reader, op, flags);
	op->has_unchanged_since = (flags & FLAG_UNCHANGED_SINCE) != 0;
	op->must_exist = (flags & FLAG_MUST_EXIST) != 0;
	op->is_account_value = (flags & FLAG_ACCOUNT_VALUE) != 0;
	op->has_given = true;
	op->given_change = change;
	if (!reader->bad && !is_sound(op))
		reader->bad = true;
	return op;
}

static bool
get_ops(Reader *reader, PhJournalEntry *entry)
{
	uint32_t n = get32(reader);
	uint64_t change = entry->transaction.change;

	entry->ops = g_ptr_array_new_with_free_func(op_free);
	if (reader->bad || n > reader->rest.length / OP_LEAST)
		return false;
	entry->octets = g_new0(PhJournalOctets, n + 1);
	for (uint32_t i = 0; i < n && !reader->bad; i++)
		g_ptr_array_add(entry->ops, get_op(reader, change, &entry->octets[i]));
	entry->transaction.ops = (PhOp *const *) entry->ops->pdata;
	entry->transaction.n_ops = entry->ops->len;
	return !reader->bad && reader->rest.length == 0;
}

PhJournalEntry *
ph_journal_entry_parse(PhSlice payload)
{
	g_autoptr(PhJournalEntry) entry = g_new0(PhJournalEntry, 1);
	Reader reader = { .rest = payload };

	entry->section = get_text(&reader);
	entry->identity = get_identity(&reader);
	(void) get_raw(&reader, entry->transaction.id, sizeof entry->transaction.id);
	entry->transaction.change = get64(&reader);
	return get_ops(&reader, entry) ? g_steal_pointer(&entry) : NULL;
}

bool
ph_journal_entry_peek_account(PhSlice payload, char **section_out, PhIdentity **identity_out)
{
	Reader reader = { .rest = payload };
	g_autofree char *section = get_text(&reader);

	*identity_out = get_identity(&reader);
	if (*identity_out == NULL)
		return false;
	*section_out = g_steal_pointer(&section);
	return true;
}

void
ph_journal_entry_free(PhJournalEntry *entry)
{
	if (entry == NULL)
		return;
	g_free(entry->section);
	ph_identity_unref(entry->identity);
	if (entry->ops != NULL)
		g_ptr_array_unref(entry->ops);
	g_free(entry->octets);
	g_clear_error(&entry->transaction.error);
	g_free(entry);
}

/* apply-result.c: results of transactions: cleared, packed, kept with the id, given again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/apply.h>
#include <posthorn/error.h>

#include "base/apply.h"
#include "base/clock.h"

enum {
	ID_LENGTH = 16,
};

/* --- results ------------------------------------------------------------------------------------- */

static bool
is_transfer(const PhOp *op)
{
	return op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE;
}

static void
clear_set(PhUidSet *set)
{
	if (set != NULL)
		ph_uid_set_clear(set);
}

void
ph_transaction_clear(PhTransaction *transaction)
{
	transaction->done = false;
	transaction->change = 0;
	g_clear_error(&transaction->error);
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		PhOp *op = transaction->ops[i];

		op->uid = 0;
		op->uidvalidity = 0;
		clear_set(op->refused);
		clear_set(op->missing);
		if (is_transfer(op) && op->has_given)
			continue;
		clear_set(op->from_uids);
		clear_set(op->to_uids);
	}
}

static void
pack_set(GByteArray *out, const PhUidSet *set)
{
	size_t n = 0;
	const PhUidRange *ranges = set != NULL ? ph_uid_set_ranges(set, &n) : NULL;
	uint64_t count = n;

	(void) g_byte_array_append(out, (const guint8 *) &count, sizeof count);
	if (n > 0)
		(void) g_byte_array_append(out, (const guint8 *) ranges,
		                           (guint) (n * sizeof *ranges));
}

/* In the order of this machine: it does not leave the process that packed it. */
GBytes *
ph_transaction_pack(const PhTransaction *transaction)
{
	GByteArray *out = g_byte_array_new();

	(void) g_byte_array_append(out, (const guint8 *) &transaction->change,
	                           sizeof transaction->change);
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];
		const PhUidSet *sets[] = { op->refused, op->missing, op->from_uids, op->to_uids };
		uint32_t head[] = { op->kind, op->uid, op->uidvalidity };

		(void) g_byte_array_append(out, (const guint8 *) head, sizeof head);
		for (size_t j = 0; j < G_N_ELEMENTS(sets); j++)
			pack_set(out, sets[j]);
	}
	return g_byte_array_free_to_bytes(out);
}

static bool
unpack(PhSlice *packed, void *to, size_t length)
{
	if (packed->length < length)
		return false;
	memcpy(to, packed->data, length);
	*packed = PH_SLICE(packed->data + length, packed->length - length);
	return true;
}

static bool
unpack_set(PhSlice *packed, PhUidSet *set)
{
	uint64_t n = 0;
	PhUidRange range = { 0, 0 };

	if (!unpack(packed, &n, sizeof n))
		return false;
	clear_set(set);
	for (uint64_t i = 0; i < n; i++) {
		if (!unpack(packed, &range, sizeof range) || range.first == 0
		    || range.first > range.last)
			return false;
		if (set != NULL)
			ph_uid_set_add_range(set, range.first, range.last);
	}
	return true;
}

bool
ph_transaction_unpack(PhTransaction *transaction, PhSlice packed)
{
	if (!unpack(&packed, &transaction->change, sizeof transaction->change))
		return false;
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		PhOp *op = transaction->ops[i];
		PhUidSet *sets[] = { op->refused, op->missing, op->from_uids, op->to_uids };
		uint32_t head[3] = { 0 };

		if (!unpack(&packed, head, sizeof head) || head[0] != op->kind)
			return false;
		op->uid = head[1];
		op->uidvalidity = head[2];
		for (size_t j = 0; j < G_N_ELEMENTS(sets); j++)
			if (!unpack_set(&packed, sets[j]))
				return false;
	}
	return packed.length == 0;
}

/* --- ids that were applied -------------------------------------------------------------------------- */

typedef struct {
	uint8_t id[ID_LENGTH]; /* first: the key */
	PhTime time;
	GBytes *results;
} Entry;

struct PhApplied {
	GHashTable *entries; /* Entry, by id */
	GQueue order;        /* the same, oldest first */
};

static guint
hash_id(gconstpointer key)
{
	guint hash = 0;

	memcpy(&hash, key, sizeof hash);
	return hash;
}

static gboolean
equal_ids(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, ID_LENGTH) == 0;
}

static void
free_entry(void *data)
{
	Entry *entry = data;

	g_bytes_unref(entry->results);
	g_free(entry);
}

PhApplied *
ph_applied_new(void)
{
	PhApplied *applied = g_new0(PhApplied, 1);

	applied->entries = g_hash_table_new_full(hash_id, equal_ids, NULL, free_entry);
	g_queue_init(&applied->order);
	return applied;
}

void
ph_applied_free(PhApplied *applied)
{
	if (applied == NULL)
		return;
	g_queue_clear(&applied->order);
	g_hash_table_destroy(applied->entries);
	g_free(applied);
}

void
ph_applied_forget(PhApplied *applied, PhTime before)
{
	Entry *entry = g_queue_peek_head(&applied->order);

	while (entry != NULL && entry->time < before) {
		(void) g_queue_pop_head(&applied->order);
		(void) g_hash_table_remove(applied->entries, entry->id);
		entry = g_queue_peek_head(&applied->order);
	}
}

void
ph_applied_note(PhApplied *applied, const PhTransaction *transaction)
{
	Entry *entry = g_new0(Entry, 1);

	memcpy(entry->id, transaction->id, sizeof entry->id);
	entry->time = ph_clock_wall_us();
	entry->results = ph_transaction_pack(transaction);
	(void) g_hash_table_insert(applied->entries, entry->id, entry);
	g_queue_push_tail(&applied->order, entry);
}

bool
ph_applied_give(const PhApplied *applied, PhTransaction *transaction)
{
	const Entry *entry = g_hash_table_lookup(applied->entries, transaction->id);
	gsize length = 0;
	const char *data = NULL;

	if (entry == NULL)
		return false;
	data = g_bytes_get_data(entry->results, &length);
	transaction->done = ph_transaction_unpack(transaction, PH_SLICE(data, length));
	if (!transaction->done)
		ph_error_set(&transaction->error, PH_ERROR_INVALID,
		             "the transaction's id was used by another one");
	return true;
}

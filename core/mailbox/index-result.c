/* index-result.c: what a transaction gave, packed, to give it again when its id comes again
 *
 * For each operation: uid, uidvalidity, and for those that have uid sets the four sets, each a
 * count and its ranges. Numbers are 32 bits, little-endian.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index.h"

static void
pack_number(GByteArray *out, uint32_t number)
{
	uint32_t little = GUINT32_TO_LE(number);

	(void) g_byte_array_append(out, (const guint8 *) &little, sizeof little);
}

static void
pack_set(GByteArray *out, const PhUidSet *set)
{
	size_t n = 0;
	const PhUidRange *ranges = set != NULL ? ph_uid_set_ranges(set, &n) : NULL;

	pack_number(out, (uint32_t) n);
	for (size_t i = 0; i < n; i++) {
		pack_number(out, ranges[i].first);
		pack_number(out, ranges[i].last);
	}
}

static bool
has_sets(const PhOp *op)
{
	return op->kind == PH_OP_FLAGS || op->kind == PH_OP_EXPUNGE || op->kind == PH_OP_COPY
	       || op->kind == PH_OP_MOVE;
}

GByteArray *
ph_index_pack_results(const PhTransaction *transaction)
{
	GByteArray *out = g_byte_array_new();

	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];

		pack_number(out, op->uid);
		pack_number(out, op->uidvalidity);
		if (!has_sets(op))
			continue;
		pack_set(out, op->refused);
		pack_set(out, op->missing);
		pack_set(out, op->from_uids);
		pack_set(out, op->to_uids);
	}
	return out;
}

static bool
unpack_number(PhSlice *packed, uint32_t *number_out)
{
	uint32_t little = 0;

	if (packed->length < sizeof little)
		return false;
	memcpy(&little, packed->data, sizeof little);
	*packed = PH_SLICE(packed->data + sizeof little, packed->length - sizeof little);
	*number_out = GUINT32_FROM_LE(little);
	return true;
}

static bool
unpack_set(PhSlice *packed, PhUidSet *set)
{
	uint32_t n = 0;
	uint32_t first = 0;
	uint32_t last = 0;

	if (!unpack_number(packed, &n))
		return false;
	if (set != NULL)
		ph_uid_set_clear(set);
	for (uint32_t i = 0; i < n; i++) {
		if (!unpack_number(packed, &first) || !unpack_number(packed, &last) || first == 0
		    || first > last)
			return false;
		if (set != NULL)
			ph_uid_set_add_range(set, first, last);
	}
	return true;
}

bool
ph_index_unpack_results(PhTransaction *transaction, PhSlice packed)
{
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		PhOp *op = transaction->ops[i];

		if (!unpack_number(&packed, &op->uid) || !unpack_number(&packed, &op->uidvalidity))
			return false;
		if (!has_sets(op))
			continue;
		if (!unpack_set(&packed, op->refused) || !unpack_set(&packed, op->missing)
		    || !unpack_set(&packed, op->from_uids) || !unpack_set(&packed, op->to_uids))
			return false;
	}
	return packed.length == 0;
}

/* finder.c: which message has a file's name, without a table of all names
 *
 * Four octets a message: a slot says in which CHUNK of uids a name may be, and holds eight bits of its
 * hash. The records of that chunk are read to be certain. A uid's name never changes, and names of
 * messages that are gone are found in no record, so only what was added has to be learned. The
 * newest messages are looked at first: most questions are about those, and need no table.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "finder.h"

#include <string.h>

enum {
	MARK_BITS = 8,
	RECENT = 256, /* uids that are looked at first */
	LEAST = 4096,
};

struct Finder {
	uint32_t *slots; /* (nullable) 0: empty */
	uint64_t n_slots;
	uint64_t n;
	uint32_t highest; /* uid that is in it */
	Known *recent;    /* (nullable) */
};

void
finder_free(Finder *finder)
{
	if (finder == NULL)
		return;
	g_clear_pointer(&finder->recent, known_free);
	g_free(finder->slots);
	g_free(finder);
}

void
finder_begin(Finder *finder)
{
	if (finder != NULL)
		g_clear_pointer(&finder->recent, known_free);
}

/* --- slots ---------------------------------------------------------------------------------------- */

static uint64_t
first_place(const Finder *finder, uint64_t hash)
{
	return (uint64_t) ((__uint128_t) hash * finder->n_slots >> 64);
}

static uint32_t
mark_of(uint64_t hash)
{
	uint32_t mark = (uint32_t) hash & ((1U << MARK_BITS) - 1);

	return mark != 0 ? mark : 1;
}

static void
add_slot(Finder *finder, uint64_t hash, uint32_t uid)
{
	uint64_t i = first_place(finder, hash);

	while (finder->slots[i] != 0)
		i = i + 1 < finder->n_slots ? i + 1 : 0;
	finder->slots[i] = uid / CHUNK << MARK_BITS | mark_of(hash);
	finder->n++;
}

/* --- reading records ------------------------------------------------------------------------------ */

/* Asking: a walk over records. */
typedef struct {
	const Scan *scan;
	Finder *finder;
	Known *known; /* (nullable) to be filled; else the finder's slots */
	PhSlice base; /* or one to be found */
	uint32_t uid;
	bool is_full;
} Asking;

static bool
take_record(const PhRecord *record, void *user_data)
{
	Asking *asking = user_data;
	Finder *finder = asking->finder;
	uint64_t hash = 0;
	File file;

	if (!file_unpack(&record->blob, asking->scan->connection, &file))
		return true;
	if (asking->base.length > 0) {
		if (ph_slice_is(asking->base, file.base))
			asking->uid = record->uid;
		return asking->uid == 0;
	}
	hash = known_hash(ph_slice(file.base));
	if (asking->known != NULL) {
		asking->is_full = known_is_full(asking->known);
		if (!asking->is_full)
			known_add(asking->known, hash, record->uid);
		return !asking->is_full;
	}
	asking->is_full = finder->n + 1 >= finder->n_slots - finder->n_slots / 8;
	if (asking->is_full)
		return false;
	add_slot(finder, hash, record->uid);
	finder->highest = record->uid;
	return true;
}

static bool
walk(Asking *asking, uint32_t first, uint32_t last, GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(first, last);
	PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_BLOB,
		.record = take_record,
		.user_data = asking,
	};
	PhChangesResult result = { 0 };

	return ph_index_changes(asking->scan->account->index, &asking->scan->folder->id, &query,
	                        &result, error);
}

/* Room for an eighth more than there are, and a quarter of empty slots. */
static void
make_room(Finder *finder, uint32_t n)
{
	g_free(finder->slots);
	finder->n_slots = (uint64_t) n + n / 2 + LEAST;
	finder->slots = g_new0(uint32_t, finder->n_slots);
	finder->n = 0;
	finder->highest = 0;
}

static bool
learn(Asking *asking, GError **error)
{
	Finder *finder = asking->finder;

	if (finder->slots == NULL)
		make_room(finder, asking->scan->n_messages);
	if (finder->highest + 1 >= asking->scan->uidnext)
		return true;
	if (!walk(asking, finder->highest + 1, UINT32_MAX, error))
		return false;
	if (!asking->is_full)
		return true;
	make_room(finder, asking->scan->n_messages);
	asking->is_full = false;
	if (!walk(asking, 1, UINT32_MAX, error))
		return false;
	if (asking->is_full)
		ph_error_set(error, PH_ERROR_CORRUPT, "the index counts messages wrongly");
	return !asking->is_full;
}

/* --- questions ------------------------------------------------------------------------------------ */

static bool
ask_recent(Asking *asking, GError **error)
{
	Finder *finder = asking->finder;
	uint32_t uidnext = asking->scan->uidnext;
	PhSlice base = asking->base;
	bool good = true;

	if (finder->recent == NULL) {
		finder->recent = asking->known = known_new(RECENT + 1);
		asking->base = PH_SLICE_EMPTY;
		good = walk(asking, uidnext > RECENT ? uidnext - RECENT : 1, UINT32_MAX, error);
		asking->base = base;
		asking->known = NULL;
		asking->is_full = false;
	}
	asking->uid = good ? known_find(finder->recent, known_hash(base)) : 0;
	return good;
}

static bool
ask_chunks(Asking *asking, GError **error)
{
	const Finder *finder = asking->finder;
	uint64_t hash = known_hash(asking->base);
	uint64_t i = first_place(finder, hash);

	for (; finder->slots[i] != 0 && asking->uid == 0; i = i + 1 < finder->n_slots ? i + 1 : 0) {
		uint32_t first = finder->slots[i] >> MARK_BITS << MARK_BITS;

		if ((finder->slots[i] & ((1U << MARK_BITS) - 1)) == mark_of(hash)
		    && !walk(asking, MAX(first, 1), first + (CHUNK - 1), error))
			return false;
	}
	return true;
}

bool
finder_uid(Finder **finder, const Scan *scan, PhSlice base, uint32_t *uid_out, GError **error)
{
	Asking asking = { .scan = scan };
	bool good = false;

	G_STATIC_ASSERT(1U << MARK_BITS == CHUNK);
	if (*finder == NULL)
		*finder = g_new0(Finder, 1);
	asking.finder = *finder;
	asking.base = base;
	good = ask_recent(&asking, error);
	if (good && asking.uid == 0) {
		asking.base = PH_SLICE_EMPTY;
		good = learn(&asking, error);
		asking.base = base;
		good = good && ask_chunks(&asking, error);
	}
	*uid_out = asking.uid;
	return good;
}

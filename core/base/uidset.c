/* uidset.c: ascending, merged ranges of uids or message numbers, and their IMAP text
 *
 * One array of ranges that never touch. Text from a peer is gathered unsorted and sorted once, so
 * that a hostile order costs no more than a friendly one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/uidset.h>

struct PhUidSet {
	PhUidRange *ranges;
	size_t n;
	size_t size;
};

PhUidSet *
ph_uid_set_new(void)
{
	return g_new0(PhUidSet, 1);
}

PhUidSet *
ph_uid_set_new_range(uint32_t first, uint32_t last)
{
	PhUidSet *set = ph_uid_set_new();

	ph_uid_set_add_range(set, first, last);
	return set;
}

PhUidSet *
ph_uid_set_copy(const PhUidSet *set)
{
	PhUidSet *copy = ph_uid_set_new();

	if (set->n > 0) {
		copy->ranges = g_memdup2(set->ranges, set->n * sizeof *set->ranges);
		copy->n = set->n;
		copy->size = set->n;
	}
	return copy;
}

void
ph_uid_set_free(PhUidSet *set)
{
	if (set == NULL)
		return;
	g_free(set->ranges);
	g_free(set);
}

static void
reserve(PhUidSet *set, size_t n)
{
	if (n <= set->size)
		return;
	set->size = MAX(n, set->size * 2);
	set->ranges = g_renew(PhUidRange, set->ranges, set->size);
}

/* Index of the first range whose end is not below @uid. */
static size_t
first_not_below(const PhUidSet *set, uint32_t uid)
{
	size_t low = 0;
	size_t high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
ph_uid_set_add(PhUidSet *set, uint32_t uid)
{
	ph_uid_set_add_range(set, uid, uid);
}

void
ph_uid_set_add_range(PhUidSet *set, uint32_t first, uint32_t last)
{
	PhUidRange *end = set->n > 0 ? &set->ranges[set->n - 1] : NULL;
	size_t from = 0;
	size_t to = 0;

	g_return_if_fail(first > 0 && first <= last);
	if (end == NULL || (first > end->last && first - 1 > end->last)) {
		reserve(set, set->n + 1);
		set->ranges[set->n++] = (PhUidRange){ first, last };
		return;
	}
	if (first >= end->first) {
		end->last = MAX(end->last, last);
		return;
	}
	from = first_not_below(set, first - 1);
	to = from;
	while (to < set->n && (last == UINT32_MAX || set->ranges[to].first <= last + 1))
		to++;
	if (to == from) {
		reserve(set, set->n + 1);
		memmove(&set->ranges[from + 1], &set->ranges[from],
		        (set->n - from) * sizeof *set->ranges);
		set->ranges[from] = (PhUidRange){ first, last };
		set->n++;
		return;
	}
	set->ranges[from].first = MIN(set->ranges[from].first, first);
	set->ranges[from].last = MAX(set->ranges[to - 1].last, last);
	memmove(&set->ranges[from + 1], &set->ranges[to], (set->n - to) * sizeof *set->ranges);
	set->n -= to - from - 1;
}

static int
compare_ranges(const void *a, const void *b)
{
	uint32_t x = ((const PhUidRange *) a)->first;
	uint32_t y = ((const PhUidRange *) b)->first;

	return x < y ? -1 : x > y;
}

/* Sorts and merges ranges that were gathered in any order. */
static void
normalise(PhUidSet *set)
{
	size_t n = set->n;

	if (n > 1)
		qsort(set->ranges, n, sizeof *set->ranges, compare_ranges);
	set->n = 0;
	for (size_t i = 0; i < n; i++) {
		PhUidRange range = set->ranges[i];

		ph_uid_set_add_range(set, range.first, range.last);
	}
}

void
ph_uid_set_add_set(PhUidSet *set, const PhUidSet *other)
{
	if (other->n == 0)
		return;
	reserve(set, set->n + other->n);
	memcpy(&set->ranges[set->n], other->ranges, other->n * sizeof *other->ranges);
	set->n += other->n;
	normalise(set);
}

void
ph_uid_set_remove_set(PhUidSet *set, const PhUidSet *other)
{
	g_autofree PhUidRange *old = set->ranges;
	size_t n = set->n;
	size_t j = 0;

	*set = (PhUidSet){ .ranges = NULL };
	reserve(set, n + other->n);
	for (size_t i = 0; i < n; i++) {
		uint64_t first = old[i].first;

		while (j < other->n && other->ranges[j].last < first)
			j++;
		for (; j < other->n && other->ranges[j].first <= old[i].last; j++) {
			if (other->ranges[j].first > first)
				set->ranges[set->n++] = (PhUidRange){ (uint32_t) first,
					                              other->ranges[j].first - 1 };
			first = (uint64_t) other->ranges[j].last + 1;
			if (first > old[i].last)
				break;
		}
		if (first <= old[i].last)
			set->ranges[set->n++] = (PhUidRange){ (uint32_t) first, old[i].last };
	}
}

uint32_t
ph_uid_set_next(const PhUidSet *set, uint32_t uid)
{
	size_t at = uid < UINT32_MAX ? first_not_below(set, uid + 1) : set->n;

	return at < set->n ? MAX(set->ranges[at].first, uid + 1) : 0;
}

void
ph_uid_set_clear(PhUidSet *set)
{
	set->n = 0;
}

bool
ph_uid_set_contains(const PhUidSet *set, uint32_t uid)
{
	size_t at = first_not_below(set, uid);

	return at < set->n && set->ranges[at].first <= uid;
}

bool
ph_uid_set_is_empty(const PhUidSet *set)
{
	return set->n == 0;
}

uint64_t
ph_uid_set_count(const PhUidSet *set)
{
	uint64_t count = 0;

	for (size_t i = 0; i < set->n; i++)
		count += (uint64_t) set->ranges[i].last - set->ranges[i].first + 1;
	return count;
}

const PhUidRange *
ph_uid_set_ranges(const PhUidSet *set, size_t *n_out)
{
	*n_out = set->n;
	return set->ranges;
}

static void
append_number(GString *out, uint32_t number)
{
	char digits[10];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char) ('0' + number % 10);
		number /= 10;
	} while (number > 0);
	g_string_append_len(out, digits + at, (gssize) (sizeof digits - at));
}

void
ph_uid_set_append_text(const PhUidSet *set, GString *out)
{
	for (size_t i = 0; i < set->n; i++) {
		if (i > 0)
			g_string_append_c(out, ',');
		append_number(out, set->ranges[i].first);
		if (set->ranges[i].last == set->ranges[i].first)
			continue;
		g_string_append_c(out, ':');
		append_number(out, set->ranges[i].last);
	}
}

/* seq-number of RFC 3501 section 9: a number that is not 0, or '*'. */
static bool
parse_number(PhSlice text, uint32_t star, uint32_t *number_out)
{
	if (ph_slice_is(text, "*")) {
		*number_out = star;
		return star > 0;
	}
	return text.length > 0 && text.data[0] != '0'
	       && ph_slice_to_u32(text, UINT32_MAX, number_out);
}

static bool
parse_range(PhSlice text, uint32_t star, PhUidRange *range_out)
{
	bool is_pair = ph_slice_find(text, ':') >= 0;
	PhSlice second = text;
	PhSlice first = ph_slice_split(&second, ':');
	uint32_t a = 0;
	uint32_t b = 0;

	if (!parse_number(first, star, &a))
		return false;
	b = a;
	if (is_pair && !parse_number(second, star, &b))
		return false;
	*range_out = (PhUidRange){ MIN(a, b), MAX(a, b) };
	return true;
}

PhUidSet *
ph_uid_set_parse(PhSlice text, uint32_t star, size_t max_ranges)
{
	g_autoptr(PhUidSet) set = ph_uid_set_new();
	bool more = true;

	while (more) {
		PhUidRange range = { 0, 0 };

		more = ph_slice_find(text, ',') >= 0;
		if (set->n >= max_ranges || !parse_range(ph_slice_split(&text, ','), star, &range))
			return NULL;
		reserve(set, set->n + 1);
		set->ranges[set->n++] = range;
	}
	normalise(set);
	return g_steal_pointer(&set);
}

/* state.c: the messages of a mailbox at one moment, immutable and shared
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/state.h"

#include <malloc.h>
#include <stdatomic.h>
#include <string.h>

enum {
	PAGE_MESSAGES = 512,
	MANY_PAGES = 256, /* what so many took goes back to the system at once */
};

typedef struct {
	gatomicrefcount references;
	uint32_t n;
	PhMessage messages[];
} Page;

struct PhState {
	gatomicrefcount references;
	uint32_t n_pages;
	uint32_t n_messages;
	uint64_t change;
	Page **pages;
	uint32_t *starts; /* messages before each page */
	/* The page that was asked for last: who goes from message to message finds it at once. Only
	 * a guess, so that no order among threads matters. */
	_Atomic uint32_t guess;
};

/* --- pages ----------------------------------------------------------------------------------------- */

static Page *
new_page(const PhMessage *messages, uint32_t n)
{
	Page *page = g_malloc(sizeof *page + n * sizeof *messages);

	g_atomic_ref_count_init(&page->references);
	page->n = n;
	memcpy(page->messages, messages, n * sizeof *messages);
	return page;
}

static Page *
ref_page(Page *page)
{
	g_atomic_ref_count_inc(&page->references);
	return page;
}

/* Returns: it was the last reference. */
static bool
drop_page(Page *page)
{
	bool last = g_atomic_ref_count_dec(&page->references);

	if (last)
		g_free(page);
	return last;
}

static void
unref_page(void *data)
{
	(void) drop_page(data);
}

static uint32_t
first_uid(const Page *page)
{
	return page->messages[0].uid;
}

static uint32_t
last_uid(const Page *page)
{
	return page->messages[page->n - 1].uid;
}

/* Adds pages for messages in order. */
static void
add_messages(GPtrArray *pages, const PhMessage *messages, size_t n)
{
	while (n > 0) {
		uint32_t part = (uint32_t) MIN(n, (size_t) PAGE_MESSAGES);
		g_ptr_array_add(pages, new_page(messages, part));
		messages += part;
		n -= part;
	}
}

/* --- states ---------------------------------------------------------------------------------------- */

/* @pages: (owned). */
static PhState *
take_pages(GPtrArray *pages, uint64_t change)
{
	PhState *state = g_new0(PhState, 1);

	g_atomic_ref_count_init(&state->references);
	state->change = change;
	state->n_pages = pages->len;
	state->starts = g_new(uint32_t, pages->len);
	for (guint i = 0; i < pages->len; i++) {
		state->starts[i] = state->n_messages;
		state->n_messages += ((const Page *) g_ptr_array_index(pages, i))->n;
	}
	state->pages = g_new(Page *, pages->len);
	if (pages->len > 0)
		memcpy(state->pages, pages->pdata, pages->len * sizeof *state->pages);
	g_ptr_array_unref(pages);
	return state;
}

PhState *
ph_state_new(const PhMessage *messages, size_t n, uint64_t change)
{
	GPtrArray *pages = g_ptr_array_new();

	add_messages(pages, messages, n);
	return take_pages(pages, change);
}

struct PhStateBuilder {
	GPtrArray *pages;
	uint32_t n; /* in open */
	PhMessage open[PAGE_MESSAGES];
};

PhStateBuilder *
ph_state_builder_new(void)
{
	PhStateBuilder *builder = g_malloc(sizeof *builder);

	builder->pages = g_ptr_array_new();
	builder->n = 0;
	return builder;
}

static void
close_page(PhStateBuilder *builder)
{
	add_messages(builder->pages, builder->open, builder->n);
	builder->n = 0;
}

void
ph_state_builder_add(PhStateBuilder *builder, const PhMessage *messages, size_t n)
{
	while (n > 0) {
		uint32_t part = (uint32_t) MIN(n, (size_t) PAGE_MESSAGES - builder->n);

		memcpy(builder->open + builder->n, messages, part * sizeof *messages);
		builder->n += part;
		messages += part;
		n -= part;
		if (builder->n == PAGE_MESSAGES)
			close_page(builder);
	}
}

PhState *
ph_state_builder_finish(PhStateBuilder *builder, uint64_t change)
{
	GPtrArray *pages = NULL;

	close_page(builder);
	pages = g_steal_pointer(&builder->pages);
	g_free(builder);
	return take_pages(pages, change);
}

void
ph_state_builder_free(PhStateBuilder *builder)
{
	if (builder == NULL)
		return;
	g_ptr_array_set_free_func(builder->pages, unref_page);
	g_ptr_array_unref(builder->pages);
	g_free(builder);
}

PhState *
ph_state_ref(PhState *state)
{
	g_atomic_ref_count_inc(&state->references);
	return state;
}

void
ph_state_unref(PhState *state)
{
	uint32_t n_freed = 0;

	if (state == NULL || !g_atomic_ref_count_dec(&state->references))
		return;
	for (uint32_t i = 0; i < state->n_pages; i++)
		n_freed += drop_page(state->pages[i]);
	g_free(state->pages);
	g_free(state->starts);
	g_free(state);
	if (n_freed >= MANY_PAGES)
		(void) malloc_trim(0);
}

uint32_t
ph_state_count(const PhState *state)
{
	return state->n_messages;
}

uint64_t
ph_state_change(const PhState *state)
{
	return state->change;
}

static uint32_t
load_guess(const PhState *state)
{
	return atomic_load_explicit(&state->guess, memory_order_relaxed);
}

static void
store_guess(const PhState *state, uint32_t page)
{
	PhState *mutable_state = (PhState *) (uintptr_t) state;

	atomic_store_explicit(&mutable_state->guess, page, memory_order_relaxed);
}

/* Does message @number stand in that page? */
static bool
holds_number(const PhState *state, uint32_t page, uint32_t number)
{
	return page < state->n_pages && state->starts[page] < number
	       && number - state->starts[page] <= state->pages[page]->n;
}

static uint32_t
page_of(const PhState *state, uint32_t number)
{
	uint32_t low = load_guess(state);
	uint32_t high = state->n_pages;

	if (holds_number(state, low, number))
		return low;
	if (holds_number(state, low + 1, number)) {
		store_guess(state, low + 1);
		return low + 1;
	}
	for (low = 0; high - low > 1;) {
		uint32_t middle = low + (high - low) / 2;
		if (state->starts[middle] < number)
			low = middle;
		else
			high = middle;
	}
	store_guess(state, low);
	return low;
}

const PhMessage *
ph_state_at(const PhState *state, uint32_t number)
{
	g_assert(number >= 1 && number <= state->n_messages);

	uint32_t page = page_of(state, number);
	return &state->pages[page]->messages[number - 1 - state->starts[page]];
}

/* Is it the first page whose last uid is not below @uid? */
static bool
holds_uid(const PhState *state, uint32_t page, uint32_t uid)
{
	return page < state->n_pages && last_uid(state->pages[page]) >= uid
	       && (page == 0 || last_uid(state->pages[page - 1]) < uid);
}

/* The first page whose last uid is not below @uid; n_pages when there is none. */
static uint32_t
find_page(const PhState *state, uint32_t uid)
{
	uint32_t low = load_guess(state);
	uint32_t high = state->n_pages;

	if (holds_uid(state, low, uid))
		return low;
	if (holds_uid(state, low + 1, uid)) {
		store_guess(state, low + 1);
		return low + 1;
	}
	for (low = 0; low < high;) {
		uint32_t middle = low + (high - low) / 2;
		if (last_uid(state->pages[middle]) < uid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < state->n_pages)
		store_guess(state, low);
	return low;
}

uint32_t
ph_state_lower_bound(const PhState *state, uint32_t uid)
{
	uint32_t index = find_page(state, uid);
	if (index == state->n_pages)
		return state->n_messages + 1;

	const Page *page = state->pages[index];
	uint32_t low = 0;
	uint32_t high = page->n;
	uint32_t dense = uid - first_uid(page);

	/* without gaps it stands as far from the first one as its uid is */
	if (uid >= first_uid(page) && dense < page->n && page->messages[dense].uid == uid)
		return state->starts[index] + dense + 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (page->messages[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return state->starts[index] + low + 1;
}

uint32_t
ph_state_find(const PhState *state, uint32_t uid)
{
	uint32_t number = ph_state_lower_bound(state, uid);

	if (number > state->n_messages || ph_state_at(state, number)->uid != uid)
		return 0;
	return number;
}

uint32_t
ph_state_last_uid(const PhState *state)
{
	return state->n_pages > 0 ? last_uid(state->pages[state->n_pages - 1]) : 0;
}

/* --- a new state from an old one ---------------------------------------------------------------------- */

typedef struct {
	const PhMessage *changed; /* what is left of it */
	size_t n_changed;
	const PhUidRange *ranges; /* expunged: what is left of them */
	size_t n_ranges;
	GPtrArray *pages;
	GArray *scratch; /* of PhMessage */
} Applying;

static bool
is_expunged(Applying *applying, uint32_t uid)
{
	while (applying->n_ranges > 0 && applying->ranges[0].last < uid) {
		applying->ranges++;
		applying->n_ranges--;
	}
	return applying->n_ranges > 0 && applying->ranges[0].first <= uid;
}

static void
take_changed(Applying *applying)
{
	if (!is_expunged(applying, applying->changed[0].uid))
		g_array_append_val(applying->scratch, applying->changed[0]);
	applying->changed++;
	applying->n_changed--;
}

static bool
page_is_touched(Applying *applying, const Page *page)
{
	if (applying->n_changed > 0 && applying->changed[0].uid <= last_uid(page))
		return true;
	(void) is_expunged(applying, first_uid(page)); /* drops the ranges before the page */
	return applying->n_ranges > 0 && applying->ranges[0].first <= last_uid(page);
}

static void
merge_page(Applying *applying, const Page *page)
{
	g_array_set_size(applying->scratch, 0);
	for (uint32_t i = 0; i < page->n; i++) {
		const PhMessage *message = &page->messages[i];
		while (applying->n_changed > 0 && applying->changed[0].uid < message->uid)
			take_changed(applying);
		if (applying->n_changed > 0 && applying->changed[0].uid == message->uid)
			take_changed(applying);
		else if (!is_expunged(applying, message->uid))
			g_array_append_val(applying->scratch, *message);
	}
	add_messages(applying->pages, (const PhMessage *) (void *) applying->scratch->data,
	             applying->scratch->len);
}

/* What is newer than every page fills the last one up before it makes more. */
static void
append_rest(Applying *applying)
{
	if (applying->n_changed == 0)
		return;

	g_array_set_size(applying->scratch, 0);
	GPtrArray *pages = applying->pages;
	if (pages->len > 0) {
		Page *last = g_ptr_array_index(pages, pages->len - 1);
		if (last->n < PAGE_MESSAGES) {
			g_array_append_vals(applying->scratch, last->messages, last->n);
			g_ptr_array_set_size(pages, (gint) pages->len - 1);
			unref_page(last);
		}
	}
	while (applying->n_changed > 0)
		take_changed(applying);
	add_messages(pages, (const PhMessage *) (void *) applying->scratch->data,
	             applying->scratch->len);
}

PhState *
ph_state_apply(const PhState *old,
               const PhMessage *changed,
               size_t n_changed,
               const PhUidSet *expunged,
               uint64_t change)
{
	g_autoptr(GArray) scratch = g_array_new(FALSE, FALSE, sizeof(PhMessage));
	Applying applying = {
		.changed = changed,
		.n_changed = n_changed,
		.pages = g_ptr_array_new(),
		.scratch = scratch,
	};
	if (expunged != NULL)
		applying.ranges = ph_uid_set_ranges(expunged, &applying.n_ranges);

	for (uint32_t i = 0; i < old->n_pages; i++) {
		Page *page = old->pages[i];
		if (page_is_touched(&applying, page))
			merge_page(&applying, page);
		else
			g_ptr_array_add(applying.pages, ref_page(page));
	}
	append_rest(&applying);
	return take_pages(applying.pages, change);
}

/* --- what differs --------------------------------------------------------------------------------------- */

/* Walk: a place in a state; number is that of the message it stands at. */
typedef struct {
	const PhState *state;
	uint32_t page;
	uint32_t in_page;
	uint32_t number;
} Walk;

static const PhMessage *
here(const Walk *walk)
{
	if (walk->page == walk->state->n_pages)
		return NULL;
	return &walk->state->pages[walk->page]->messages[walk->in_page];
}

static void
step(Walk *walk)
{
	walk->number++;
	walk->in_page++;
	if (walk->in_page == walk->state->pages[walk->page]->n) {
		walk->page++;
		walk->in_page = 0;
	}
}

static bool
skip_shared_page(Walk *a, Walk *b)
{
	if (a->in_page != 0 || b->in_page != 0 || a->page == a->state->n_pages
	    || b->page == b->state->n_pages || a->state->pages[a->page] != b->state->pages[b->page])
		return false;
	a->number += a->state->pages[a->page]->n;
	b->number += b->state->pages[b->page]->n;
	a->page++;
	b->page++;
	return true;
}

static bool
is_same(const PhMessage *a, const PhMessage *b)
{
	return a->flags == b->flags && a->keywords == b->keywords && a->change == b->change;
}

void
ph_state_diff(const PhState *old, const PhState *new_state, PhStateDiff *diff_out)
{
	Walk a = { .state = old, .number = 1 };
	Walk b = { .state = new_state, .number = 1 };
	diff_out->removed = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	diff_out->added = g_array_new(FALSE, FALSE, sizeof(PhMessage));
	diff_out->changed = g_array_new(FALSE, FALSE, sizeof(PhMessage));

	for (;;) {
		if (skip_shared_page(&a, &b))
			continue;
		const PhMessage *was = here(&a);
		const PhMessage *is = here(&b);
		if (was == NULL && is == NULL)
			return;
		if (is == NULL || (was != NULL && was->uid < is->uid)) {
			g_array_append_val(diff_out->removed, a.number);
			step(&a);
		} else if (was == NULL || is->uid < was->uid) {
			g_array_append_val(diff_out->added, *is);
			step(&b);
		} else {
			if (!is_same(was, is))
				g_array_append_val(diff_out->changed, *is);
			step(&a);
			step(&b);
		}
	}
}

void
ph_state_diff_clear(PhStateDiff *diff)
{
	g_array_unref(diff->removed);
	g_array_unref(diff->added);
	g_array_unref(diff->changed);
}

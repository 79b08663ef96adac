/* test-index-page.c: pages of messages come back as they were written, and damage is noticed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-page.h"

#include <string.h>

static uint64_t
random_number(int bits)
{
	uint64_t number = (uint64_t) g_test_rand_int() << 32 | (uint32_t) g_test_rand_int();

	return bits == 0 ? 0 : number >> (64 - bits);
}

/* Numbers of all kinds: equal, in steps, small, large. */
static void
fill(PhIndexPage *page, uint32_t n)
{
	uint64_t message[PH_COLUMNS] = { 0 };
	uint64_t base = random_number(63);
	int bits[PH_COLUMNS] = { 0 };
	int steps = g_test_rand_int_range(0, 2);

	for (int i = 0; i < PH_COLUMNS; i++)
		bits[i] = g_test_rand_int_range(0, 65);
	ph_page_begin(page);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t gap = g_test_rand_int_range(0, 10) == 0 ? 1 + random_number(12) : 1;

		message[PH_COLUMN_UID] += bits[0] < 32 ? 1 : gap;
		for (int j = 1; j < PH_COLUMNS; j++)
			message[j] = base + (steps ? i : 0) + random_number(bits[j]);
		ph_page_push(page, message);
	}
}

static void
assert_same(const PhIndexPage *a, const PhIndexPage *b, uint32_t columns)
{
	g_assert_cmpuint(a->n, ==, b->n);
	for (int i = 0; i < PH_COLUMNS; i++)
		if ((columns >> i & 1) != 0)
			g_assert_cmpmem(a->at[i], a->n * sizeof(uint64_t), b->at[i],
			                b->n * sizeof(uint64_t));
}

static void
test_round_trip(void)
{
	g_autofree PhIndexPage *page = g_new(PhIndexPage, 1);
	g_autofree PhIndexPage *back = g_new(PhIndexPage, 1);
	uint8_t packed[PH_PAGE_OCTETS];

	for (int round = 0; round < 500; round++) {
		uint32_t columns = 1 | (uint32_t) random_number(PH_COLUMNS);
		size_t length = 0;

		fill(page, (uint32_t) g_test_rand_int_range(1, PH_PAGE_MESSAGES + 1));
		length = ph_page_write(page, packed);
		g_assert_cmpuint(length, <=, sizeof packed);
		g_assert_true(ph_page_read(back, PH_SLICE((char *) packed, length), columns));
		assert_same(page, back, columns);
		/* what was not unpacked is written as it was */
		length = ph_page_write(back, packed);
		g_assert_true(ph_page_read(back, PH_SLICE((char *) packed, length), 0));
		ph_page_need(back, PH_PAGE_ALL);
		assert_same(page, back, PH_PAGE_ALL);
	}
}

static void
test_small(void)
{
	g_autofree PhIndexPage *page = g_new(PhIndexPage, 1);
	uint8_t packed[PH_PAGE_OCTETS];

	ph_page_begin(page);
	for (uint32_t i = 1; i <= PH_PAGE_MESSAGES; i++) {
		uint64_t message[PH_COLUMNS] = { i, 1000 + i, 77 + i, 1, 0, 5000 + i * 97, 0 };

		ph_page_push(page, message);
	}
	g_assert_cmpuint(ph_page_write(page, packed), <, 700);
}

static void
test_squeeze(void)
{
	g_autofree PhIndexPage *page = g_new(PhIndexPage, 1);

	fill(page, 100);
	for (int i = 0; i < 100; i++)
		page->at[PH_COLUMN_CHANGE][i] = (uint64_t) i;
	for (int i = 0; i < 100; i += 3)
		page->at[PH_COLUMN_UID][i] = 0;
	ph_page_squeeze(page);
	g_assert_cmpuint(page->n, ==, 66);
	for (uint32_t i = 0; i < 66; i++)
		g_assert_cmpuint(page->at[PH_COLUMN_CHANGE][i], ==, i + i / 2 + 1);
	g_assert_cmpuint(ph_page_lower_bound(page, 0, ph_page_uid(page, 30)), ==, 30);
	g_assert_cmpuint(ph_page_lower_bound(page, 31, ph_page_uid(page, 30)), ==, 31);
	g_assert_cmpuint(ph_page_lower_bound(page, 0, UINT32_MAX), ==, 66);
}

/* Whatever stands there is either refused or a page whose uids ascend. */
static void
test_damage(void)
{
	g_autofree PhIndexPage *page = g_new(PhIndexPage, 1);
	uint8_t packed[PH_PAGE_OCTETS];
	unsigned n_refused = 0;

	for (int round = 0; round < 5000; round++) {
		size_t length = 0;
		g_autofree char *copy = NULL;

		fill(page, (uint32_t) g_test_rand_int_range(1, 20));
		length = ph_page_write(page, packed);
		for (int i = g_test_rand_int_range(1, 4); i > 0; i--)
			packed[g_test_rand_int_range(0, (gint32) length)] =
				(uint8_t) g_test_rand_int_range(0, 256);
		if (g_test_rand_int_range(0, 4) == 0)
			length = (size_t) g_test_rand_int_range(1, (gint32) length);
		copy = g_memdup2(packed, length);
		if (!ph_page_read(page, PH_SLICE(copy, length), PH_PAGE_ALL)) {
			n_refused++;
			continue;
		}
		for (uint32_t i = 1; i < page->n; i++)
			g_assert_cmpuint(ph_page_uid(page, i - 1), <, ph_page_uid(page, i));
	}
	g_assert_cmpuint(n_refused, >, 1000);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/index-page/comes-back", test_round_trip);
	g_test_add_func("/mailbox/index-page/is-small", test_small);
	g_test_add_func("/mailbox/index-page/is-squeezed-and-searched", test_squeeze);
	g_test_add_func("/mailbox/index-page/damage-is-refused", test_damage);
	return g_test_run();
}

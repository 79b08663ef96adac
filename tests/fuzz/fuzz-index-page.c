/* fuzz-index-page.c: a page of an index, damaged or made up
 *
 * What is read has uids that ascend, and is the same when it was written and read again, unpacked at
 * once or column by column.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/index-page.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(const PhIndexPage *a, const PhIndexPage *b)
{
	g_assert_cmpuint(a->n, ==, b->n);
	for (uint32_t i = 0; i < PH_COLUMNS; i++)
		g_assert_true(memcmp(a->at[i], b->at[i], a->n * sizeof a->at[i][0]) == 0);
}

/* As a commit does: some are changed, some go. */
static void
change(PhIndexPage *page, uint8_t how)
{
	uint32_t n = page->n;

	for (uint32_t i = how % 7; i < page->n; i += 3U + how % 5) {
		page->at[PH_COLUMN_FLAGS][i] ^= how;
		if ((how & 1) != 0) {
			page->at[PH_COLUMN_UID][i] = 0;
			n--;
		}
	}
	ph_page_squeeze(page);
	g_assert_cmpuint(page->n, ==, n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree PhIndexPage *page = g_new0(PhIndexPage, 1);
	g_autofree PhIndexPage *other = g_new0(PhIndexPage, 1);
	g_autofree uint8_t *packed = g_malloc0(PH_PAGE_OCTETS);
	uint32_t columns = size > 0 ? data[0] : 0;

	if (size == 0
	    || !ph_page_read(page, PH_SLICE((const char *) data + 1, size - 1),
	                     columns & PH_PAGE_ALL))
		return 0;
	for (uint32_t i = 1; i < page->n; i++)
		g_assert_cmpuint(ph_page_uid(page, i - 1), <, ph_page_uid(page, i));
	size = ph_page_write(page, packed); /* with columns as they came */
	g_assert_true(ph_page_read(other, PH_SLICE((const char *) packed, size), PH_PAGE_ALL));
	ph_page_need(page, PH_PAGE_ALL);
	check_same(page, other);
	(void) ph_page_change(page);
	(void) ph_page_lower_bound(page, 0, columns * 1000);
	change(page, (uint8_t) columns);
	size = ph_page_write(page, packed);
	g_assert_cmpuint(size, <=, PH_PAGE_OCTETS);
	g_assert_true(ph_page_read(other, PH_SLICE((const char *) packed, size), 0));
	ph_page_need(other, PH_PAGE_ALL);
	check_same(page, other);
	return 0;
}

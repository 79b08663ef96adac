/* index-page.c: packs and unpacks pages of messages
 *
 * A page: version (1 octet), messages (2), for each column a mark (width and slope) and a base (8),
 * then the columns' numbers. All little-endian. Number i of a column is base + slope * i + what
 * stands there, modulo 2^64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-page.h"

#include <string.h>

enum {
	VERSION = 1,
	SLOPE = 0x10, /* of a mark; below it the width */
};

/* Coding: how one column is written. */
typedef struct {
	uint8_t width; /* octets of a number: 0, 1, 2, 4, 8 */
	uint8_t slope; /* 0 or 1 */
	uint64_t base;
} Coding;

static uint64_t
get_number(const uint8_t *in)
{
	uint64_t little = 0;

	memcpy(&little, in, sizeof little);
	return GUINT64_FROM_LE(little);
}

static void
put_number(uint8_t *out, uint64_t number)
{
	uint64_t little = GUINT64_TO_LE(number);

	memcpy(out, &little, sizeof little);
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool
read_mark(const uint8_t *in, Coding *coding)
{
	uint8_t width = in[0] & (SLOPE - 1);

	coding->width = width;
	coding->slope = (in[0] & SLOPE) != 0;
	coding->base = get_number(in + 1);
	return (in[0] & ~(SLOPE | 15)) == 0
	       && (width == 0 || width == 1 || width == 2 || width == 4 || width == 8);
}

static void
unpack(const Coding *coding, const uint8_t *in, uint32_t n, uint64_t *out)
{
	uint64_t slope = coding->slope;
	uint64_t base = coding->base;

	for (uint32_t i = 0; i < n; i++)
		out[i] = base + slope * i;
	if (coding->width == 1) {
		for (uint32_t i = 0; i < n; i++)
			out[i] += in[i];
	} else if (coding->width == 2) {
		for (uint32_t i = 0; i < n; i++)
			out[i] += (uint64_t) in[2 * i] | (uint64_t) in[2 * i + 1] << 8;
	} else if (coding->width == 4) {
		for (uint32_t i = 0; i < n; i++) {
			uint32_t little = 0;

			memcpy(&little, in + (size_t) 4 * i, sizeof little);
			out[i] += GUINT32_FROM_LE(little);
		}
	} else if (coding->width == 8) {
		for (uint32_t i = 0; i < n; i++)
			out[i] += get_number(in + (size_t) 8 * i);
	}
}

void
ph_page_need(PhIndexPage *page, uint32_t columns)
{
	const uint8_t *in = page->raw + PH_PAGE_HEADER + PH_COLUMNS * PH_PAGE_COLUMN;

	columns &= ~page->unpacked;
	for (uint32_t i = 0; i < PH_COLUMNS && columns != 0; i++) {
		Coding coding = { 0, 0, 0 };

		(void) read_mark(page->raw + PH_PAGE_HEADER + (size_t) i * PH_PAGE_COLUMN, &coding);
		if ((columns >> i & 1) != 0) {
			unpack(&coding, in, page->n, page->at[i]);
			columns &= ~(1U << i);
			page->unpacked |= 1U << i;
		}
		in += (size_t) coding.width * page->n;
	}
}

static bool
uids_ascend(const PhIndexPage *page)
{
	const uint64_t *uids = page->at[PH_COLUMN_UID];
	bool bad = uids[0] == 0 || uids[page->n - 1] > UINT32_MAX;

	for (uint32_t i = 1; i < page->n; i++)
		bad |= uids[i] <= uids[i - 1];
	return !bad;
}

bool
ph_page_read(PhIndexPage *page, PhSlice packed, uint32_t columns)
{
	const uint8_t *in = (const uint8_t *) packed.data;
	size_t length = PH_PAGE_HEADER + (size_t) PH_COLUMNS * PH_PAGE_COLUMN;
	Coding coding = { 0, 0, 0 };

	ph_page_begin(page);
	if (packed.length == 0)
		return true;
	if (packed.length < length || packed.length > sizeof page->raw || in[0] != VERSION)
		return false;
	page->n = (uint32_t) in[1] | (uint32_t) in[2] << 8;
	for (uint32_t i = 0; i < PH_COLUMNS; i++) {
		if (!read_mark(in + PH_PAGE_HEADER + (size_t) i * PH_PAGE_COLUMN, &coding))
			return false;
		length += (size_t) coding.width * page->n;
	}
	if (page->n == 0 || page->n > PH_PAGE_MESSAGES || packed.length != length)
		return false;
	memcpy(page->raw, in, length);
	page->raw_length = length;
	page->unpacked = 0;
	ph_page_need(page, columns | 1U << PH_COLUMN_UID);
	return uids_ascend(page);
}

/* --- writing ------------------------------------------------------------------------------------ */

static uint8_t
width_of(uint64_t range)
{
	if (range == 0)
		return 0;
	if (range <= UINT8_MAX)
		return 1;
	if (range <= UINT16_MAX)
		return 2;
	return range <= UINT32_MAX ? 4 : 8;
}

static Coding
choose(const uint64_t *numbers, uint32_t n)
{
	uint64_t low[2] = { numbers[0], numbers[0] };
	uint64_t high[2] = { numbers[0], numbers[0] };
	Coding flat = { 0, 0, 0 };
	Coding steep = { 0, 1, 0 };

	for (uint32_t i = 1; i < n; i++) {
		uint64_t rest = numbers[i] - i;

		low[0] = MIN(low[0], numbers[i]);
		high[0] = MAX(high[0], numbers[i]);
		low[1] = MIN(low[1], rest);
		high[1] = MAX(high[1], rest);
	}
	flat.base = low[0];
	flat.width = width_of(high[0] - low[0]);
	steep.base = low[1];
	steep.width = width_of(high[1] - low[1]);
	return steep.width < flat.width ? steep : flat;
}

static size_t
pack(const Coding *coding, const uint64_t *numbers, uint32_t n, uint8_t *out)
{
	uint64_t base = coding->base;
	uint64_t slope = coding->slope;

	if (coding->width == 1) {
		for (uint32_t i = 0; i < n; i++)
			out[i] = (uint8_t) (numbers[i] - base - slope * i);
	} else if (coding->width == 2) {
		for (uint32_t i = 0; i < n; i++) {
			uint64_t rest = numbers[i] - base - slope * i;

			out[2 * i] = (uint8_t) rest;
			out[2 * i + 1] = (uint8_t) (rest >> 8);
		}
	} else if (coding->width == 4) {
		for (uint32_t i = 0; i < n; i++) {
			uint32_t little = GUINT32_TO_LE((uint32_t) (numbers[i] - base - slope * i));

			memcpy(out + (size_t) 4 * i, &little, sizeof little);
		}
	} else if (coding->width == 8) {
		for (uint32_t i = 0; i < n; i++)
			put_number(out + (size_t) 8 * i, numbers[i] - base - slope * i);
	}
	return (size_t) coding->width * n;
}

size_t
ph_page_write(const PhIndexPage *page, uint8_t *out)
{
	uint8_t *mark = out + PH_PAGE_HEADER;
	uint8_t *rest = mark + (size_t) PH_COLUMNS * PH_PAGE_COLUMN;
	const uint8_t *was = page->raw + PH_PAGE_HEADER;
	const uint8_t *was_rest = was + (size_t) PH_COLUMNS * PH_PAGE_COLUMN;

	if (page->n == 0)
		return 0;
	out[0] = VERSION;
	out[1] = (uint8_t) page->n;
	out[2] = (uint8_t) (page->n >> 8);
	for (uint32_t i = 0; i < PH_COLUMNS; i++) {
		Coding coding = { 0, 0, 0 };

		if ((page->unpacked >> i & 1) != 0) {
			coding = choose(page->at[i], page->n);
			mark[0] = coding.width | (coding.slope != 0 ? SLOPE : 0);
			put_number(mark + 1, coding.base);
			rest += pack(&coding, page->at[i], page->n, rest);
		} else {
			(void) read_mark(was, &coding);
			memcpy(mark, was, PH_PAGE_COLUMN);
			memcpy(rest, was_rest, (size_t) coding.width * page->n);
			rest += (size_t) coding.width * page->n;
		}
		if (page->raw_length > 0) {
			(void) read_mark(was, &coding);
			was_rest += (size_t) coding.width * page->n;
		}
		mark += PH_PAGE_COLUMN;
		was += PH_PAGE_COLUMN;
	}
	return (size_t) (rest - out);
}

/* --- changing ----------------------------------------------------------------------------------- */

void
ph_page_begin(PhIndexPage *page)
{
	page->n = 0;
	page->unpacked = PH_PAGE_ALL;
	page->raw_length = 0;
}

void
ph_page_push(PhIndexPage *page, const uint64_t message[PH_COLUMNS])
{
	g_assert(page->n < PH_PAGE_MESSAGES);
	ph_page_need(page, PH_PAGE_ALL);
	for (uint32_t i = 0; i < PH_COLUMNS; i++)
		page->at[i][page->n] = message[i];
	page->n++;
	page->raw_length = 0;
}

void
ph_page_squeeze(PhIndexPage *page)
{
	uint32_t n = 0;

	ph_page_need(page, PH_PAGE_ALL);
	for (uint32_t i = 0; i < page->n; i++) {
		if (page->at[PH_COLUMN_UID][i] == 0)
			continue;
		for (uint32_t j = 0; j < PH_COLUMNS; j++)
			page->at[j][n] = page->at[j][i];
		n++;
	}
	page->n = n;
	page->raw_length = 0;
}

uint32_t
ph_page_lower_bound(const PhIndexPage *page, uint32_t from, uint32_t uid)
{
	uint32_t high = page->n;

	if (from < high && ph_page_uid(page, from) >= uid)
		return from;
	while (from < high) {
		uint32_t middle = from + (high - from) / 2;

		if (ph_page_uid(page, middle) < uid)
			from = middle + 1;
		else
			high = middle;
	}
	return from;
}

uint64_t
ph_page_change(const PhIndexPage *page)
{
	uint64_t change = 0;

	for (uint32_t i = 0; i < page->n; i++)
		change = MAX(change, page->at[PH_COLUMN_CHANGE][i]);
	return change;
}

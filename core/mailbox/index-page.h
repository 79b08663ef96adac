/* index-page.h: what changes about some messages, packed into one row
 *
 * A page holds up to PH_PAGE_MESSAGES messages of a mailbox in uid order as columns of numbers.
 * Each column is written as a base, a slope of 0 or 1 and what is left in 0, 1, 2, 4 or 8 octets a
 * message: uids without gaps, changes of one commit or of one commit a message, and equal flags
 * take nothing. A message costs about six octets. Columns that nobody asked for are not unpacked,
 * and are written again as they were read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_INDEX_PAGE_H
#define PH_MAILBOX_INDEX_PAGE_H

#include <posthorn/types.h>

typedef enum {
	PH_COLUMN_UID,
	PH_COLUMN_RECORD, /* number of its record: what never changes */
	PH_COLUMN_CHANGE,
	PH_COLUMN_FLAGS,
	PH_COLUMN_KEYWORDS,
	PH_COLUMN_OCTETS,
	PH_COLUMN_SAVED, /* save date of a copy; 0: the record's */
	PH_COLUMNS,
} PhColumn;

enum {
	PH_PAGE_MESSAGES = 256,
	PH_PAGE_HEADER = 3,
	PH_PAGE_COLUMN = 9, /* of each column, before its numbers */
	PH_PAGE_OCTETS = PH_PAGE_HEADER + PH_COLUMNS * (PH_PAGE_COLUMN + 8 * PH_PAGE_MESSAGES),
	PH_PAGE_ALL = (1 << PH_COLUMNS) - 1,
};

typedef struct {
	uint32_t n;
	uint32_t unpacked; /* bits 1 << PhColumn: these are valid below */
	size_t raw_length;
	uint8_t raw[PH_PAGE_OCTETS]; /* as it was read */
	uint64_t at[PH_COLUMNS][PH_PAGE_MESSAGES];
} PhIndexPage;

/* ph_page_read: @packed: (borrowed) empty for no message. @columns: bits; uids come always.
 * False: it is damaged. */
bool ph_page_read(PhIndexPage *page, PhSlice packed, uint32_t columns);

/* ph_page_need: unpacks further columns. */
void ph_page_need(PhIndexPage *page, uint32_t columns);

/* ph_page_write: @out: room for PH_PAGE_OCTETS. Returns: octets used. */
size_t ph_page_write(const PhIndexPage *page, uint8_t *out);

/* ph_page_begin: empties it. ph_page_push: one more message; there must be room. */
void ph_page_begin(PhIndexPage *page);
void ph_page_push(PhIndexPage *page, const uint64_t message[PH_COLUMNS]);

/* ph_page_squeeze: takes out the messages whose uid was set to 0. */
void ph_page_squeeze(PhIndexPage *page);

/* ph_page_lower_bound: place of the first message from place @from on whose uid is not below @uid;
 * n when there is none. */
uint32_t ph_page_lower_bound(const PhIndexPage *page, uint32_t from, uint32_t uid);

static inline uint32_t
ph_page_uid(const PhIndexPage *page, uint32_t i)
{
	return (uint32_t) page->at[PH_COLUMN_UID][i];
}

/* ph_page_change: the highest; the column must be unpacked. */
uint64_t ph_page_change(const PhIndexPage *page);

#endif

/* record.h: how one mail lies in a file of the queue, and how the file's index tells of it
 *
 * A mail is a head, its envelope and its octets, padded with zeros to eight octets:
 *
 *	0  magic           4     8  octets     8    24  id's key           8    40  zero      16
 *	4  envelope length 4    16  position   8    32  checksum of octets 8    56  checksum   8
 *
 * The checksum at the end covers the head before it and the envelope, with a seed that each file
 * has for itself: what an earlier use of the file left behind is no record. The index is a list of
 * rows that say what has become of each mail; it only spares reading the mails themselves. All
 * numbers are little-endian. Pure; what is read may be damaged or hostile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_RECORD_H
#define PH_QUEUE_RECORD_H

#include <posthorn/types.h>

enum {
	PH_QUEUE_HEAD = 64, /* of a mail, and of the file */
	PH_QUEUE_REASON_MAX = 255,
};

/* PhQueueRecord: one mail. */
typedef struct {
	uint32_t envelope_length;
	uint64_t octets;
	uint64_t position;
	uint64_t key;
	uint64_t octets_sum;
} PhQueueRecord;

/* ph_queue_record_size: what it takes, padding included. */
uint64_t ph_queue_record_size(const PhQueueRecord *record);

/* ph_queue_record_seal: writes the head into the first PH_QUEUE_HEAD octets of @octets, behind which
 * the envelope stands. */
void ph_queue_record_seal(const PhQueueRecord *record, uint8_t *octets, uint64_t seed);

/* ph_queue_record_head: what stands there, unchecked but for magic and position; false when it is
 * none. ph_queue_record_check: head and envelope are what was written. @octets: both of them. */
bool ph_queue_record_head(PhSlice octets, uint64_t position, PhQueueRecord *record_out);
bool ph_queue_record_check(PhSlice octets, uint64_t seed);

/* ph_queue_checksum: of anything. */
uint64_t ph_queue_checksum(PhSlice octets, uint64_t seed);

/* --- the index -------------------------------------------------------------------------------- */

typedef enum {
	PH_QUEUE_ROW_MAIL = 1,        /* it is there */
	PH_QUEUE_ROW_DESTINATION = 2, /* what a number in later rows stands for */
	PH_QUEUE_ROW_STATE = 3,       /* of one recipient */
	PH_QUEUE_ROW_GONE = 4,        /* the mail is done */
	PH_QUEUE_ROW_END = 5,         /* nothing before this position needs to be looked for */
} PhQueueRowKind;

/* PhQueueRow: one row; which members count depends on the kind. Texts are borrowed. */
typedef struct {
	uint32_t kind;
	uint64_t position; /* MAIL, STATE, GONE: of the mail; END */
	/* MAIL */
	uint64_t size; /* of the whole record */
	uint64_t key;
	PhTime arrived;
	PhTime not_before;
	PhTime by;
	int32_t priority;
	uint32_t bucket;
	const uint8_t
		*destinations; /* n_recipients numbers of four octets: ph_queue_row_destination() */
	uint32_t n_recipients;
	/* DESTINATION */
	uint32_t number;
	PhSlice route;
	PhSlice key_text;
	/* STATE */
	uint32_t recipient;
	uint32_t state; /* PhQueueState */
	uint32_t attempts;
	bool is_warned;
	bool is_released;
	PhTime due;
	PhSlice reason;
} PhQueueRow;

/* ph_queue_row_append: @row->destinations of MAIL are numbers as they lie there. */
void ph_queue_row_append(GByteArray *out, const PhQueueRow *row, uint64_t seed);

/* ph_queue_row_parse: cuts the first row off @rest; false at the end and where there is none that is
 * whole; then @rest stays. */
bool ph_queue_row_parse(PhSlice *rest, uint64_t seed, PhQueueRow *row_out);
uint32_t ph_queue_row_destination(const PhQueueRow *row, uint32_t recipient);

#endif

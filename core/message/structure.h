/* message/structure.h: the structure in memory, and the layout of its blob
 *
 * A blob is
 *
 *	octet 0xB5, octet version, 2 octets 0
 *	u32 octets of the blob, u32 of the envelope, u32 of the body structure, u32 of the other strings
 *	envelope, body structure, other strings           (these three are "the text")
 *	numbers
 *
 * with u32 little-endian. Numbers are unsigned LEB128; strings among them are an offset and a length
 * in the text, so that what an answer holds anyway is not stored twice. Numbers are, in this order:
 * size, lines, flags, date (zigzag), zone (zigzag), the strings of PhSummaryString, the number of
 * parts, and for each part: what write_part() in structure-build.c writes.
 *
 * Version 2 ends with the header fields of the message that are kept as they stand, and then a u32
 * with their octets. Version 1 is written when they are too long or were not all seen.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_STRUCTURE_H
#define MESSAGE_STRUCTURE_H

#include <posthorn/message.h>

#define PH_BLOB_MAGIC        0xb5
#define PH_BLOB_VERSION      1
#define PH_BLOB_WITH_FIELDS  2 /* the version that has them */
#define PH_BLOB_FIELDS_MAX   16384
#define PH_BLOB_HEADER       20
#define PH_BLOB_AT_TOTAL     4
#define PH_BLOB_AT_ENVELOPE  8
#define PH_BLOB_AT_STRUCTURE 12
#define PH_BLOB_AT_OTHER     16

/* Bits of the message's flags. */
enum {
	PH_BLOB_HAS_DATE = 1,
	PH_BLOB_IS_CUT = 2,
};

/* PhPartRecord: a part and what only this folder needs of it. */
typedef struct {
	PhPart part;
	PhSlice more; /* its extension data in the body structure */
} PhPartRecord;

struct PhStructure {
	gint references;
	uint32_t envelope_length;
	uint32_t structure_length;
	size_t blob_length;
	char *blob; /* behind the records, in the same piece of memory */
	PhMessageInfo info;
	PhPartRecord parts[];
};

#endif

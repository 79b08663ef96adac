/* message/field-id.h: the header fields that the structure scan looks at
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_FIELD_ID_H
#define MESSAGE_FIELD_ID_H

#include <posthorn/types.h>

/* PhFieldId: those of the envelope stand first, in the order of ENVELOPE. */
typedef enum {
	PH_FIELD_DATE = 0,
	PH_FIELD_SUBJECT,
	PH_FIELD_FROM,
	PH_FIELD_SENDER,
	PH_FIELD_REPLY_TO,
	PH_FIELD_TO,
	PH_FIELD_CC,
	PH_FIELD_BCC,
	PH_FIELD_IN_REPLY_TO,
	PH_FIELD_MESSAGE_ID,
	PH_FIELD_REFERENCES,
	PH_FIELD_CONTENT_TYPE,
	PH_FIELD_CONTENT_ID,
	PH_FIELD_CONTENT_DESCRIPTION,
	PH_FIELD_CONTENT_TRANSFER_ENCODING,
	PH_FIELD_CONTENT_MD5,
	PH_FIELD_CONTENT_DISPOSITION,
	PH_FIELD_CONTENT_LANGUAGE,
	PH_FIELD_CONTENT_LOCATION,
	PH_FIELD_OTHER,
} PhFieldId;

#define PH_FIELDS_OF_ENVELOPE (PH_FIELD_MESSAGE_ID + 1)

PhFieldId ph_field_id(PhSlice name);

static inline bool
ph_field_is_address(PhFieldId id)
{
	return id >= PH_FIELD_FROM && id <= PH_FIELD_BCC;
}

#endif

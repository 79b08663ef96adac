/* field-id.c: names of header fields to small numbers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/field-id.h"

#include <posthorn/slice.h>

#define ROW(id, text)                                 \
	{                                             \
		PH_FIELD_##id, sizeof(text) - 1, text \
	}

static const struct {
	PhFieldId id;
	size_t length;
	const char *name;
} rows[] = {
	ROW(DATE, "date"),
	ROW(SUBJECT, "subject"),
	ROW(FROM, "from"),
	ROW(SENDER, "sender"),
	ROW(REPLY_TO, "reply-to"),
	ROW(TO, "to"),
	ROW(CC, "cc"),
	ROW(BCC, "bcc"),
	ROW(IN_REPLY_TO, "in-reply-to"),
	ROW(MESSAGE_ID, "message-id"),
	ROW(REFERENCES, "references"),
	ROW(CONTENT_TYPE, "content-type"),
	ROW(CONTENT_ID, "content-id"),
	ROW(CONTENT_DESCRIPTION, "content-description"),
	ROW(CONTENT_TRANSFER_ENCODING, "content-transfer-encoding"),
	ROW(CONTENT_MD5, "content-md5"),
	ROW(CONTENT_DISPOSITION, "content-disposition"),
	ROW(CONTENT_LANGUAGE, "content-language"),
	ROW(CONTENT_LOCATION, "content-location"),
};

PhFieldId
ph_field_id(PhSlice name)
{
	if (name.length < 2 || name.data[0] == 'X' || name.data[0] == 'x')
		return PH_FIELD_OTHER;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (name.length == rows[i].length && (name.data[0] | 0x20) == rows[i].name[0]
		    && ph_slice_equal_nocase(name, PH_SLICE(rows[i].name, rows[i].length)))
			return rows[i].id;
	return PH_FIELD_OTHER;
}

/* encode.h: from a message to its octets in the file (mboxrd)
 *
 * Lines end with LF; a line of '>'s before "From " gets one more. What an mbox cannot express (a
 * last line without end, bare LF, no empty line behind the header) is found first and told by the
 * marks of X-Posthorn.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_ENCODE_H
#define STORE_MBOX_ENCODE_H

#include "lines.h"

enum {
	QUOTE_MAX = 999, /* so many '>' are looked behind */
};

/* quote_depth: how many '>' stand before "From " (at most QUOTE_MAX + 1 are counted, whatever is
 * behind those); 0: it is not quoted. */
size_t quote_depth(PhSlice text);

/* quote_is_needed: does a line of a message that begins so get a '>'? */
bool quote_is_needed(PhSlice text);

typedef struct {
	uint32_t marks;   /* MARK_* */
	char sender[321]; /* of Return-Path; empty: not known */
} Survey;

/* encode_survey: what the message needs. @length: its octets. */
bool encode_survey(const Source *source, uint64_t length, Survey *survey_out, GError **error);

typedef bool (*EncodeFunc)(PhSlice octets, void *user_data, GError **error);

/* encode_message: the octets behind the metadata, the separating line included. */
bool encode_message(const Source *source,
                    uint64_t length,
                    uint32_t marks,
                    EncodeFunc func,
                    void *user_data,
                    GError **error);

#endif

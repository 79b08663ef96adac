/* transcribe.h: a message of an mbox once more, with other metadata
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_TRANSCRIBE_H
#define STORE_MBOX_TRANSCRIBE_H

#include "encode.h"
#include "fields.h"

/* Span: a range of a source. */
typedef struct {
	const Source *source;
	uint64_t offset;
	uint64_t end;
} Span;

/* transcribe: the octets of @span, the From_ line first. Metadata that stand in its
 * header are left out, @metadata come behind the From_ line. It ends with an empty line. */
bool transcribe(const Span *span,
                const Metadata *metadata,
                EncodeFunc func,
                void *user_data,
                GError **error);

/* transcribe_header: the same for the header alone, without From_ line: what replaces the octets
 * between the From_ line and @header_out (offset of the first line that stays as it is).
 * False without @error: the header is too long. */
bool transcribe_header(const Span *span,
                       const Metadata *metadata,
                       GString *out,
                       uint64_t *header_out,
                       GError **error);

#endif

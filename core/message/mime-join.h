/* message/mime-join.h: the pieces of a long parameter as one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_MIME_JOIN_H
#define MESSAGE_MIME_JOIN_H

#include "message/mime-value.h"

/* ph_mime_join: appends the first @count parameters of @rest as IMAP strings, those that RFC 2231
 * divides as one: "name" "value" "name" "value". @scratch is overwritten. */
void ph_mime_join(PhSlice rest, uint32_t count, GString *scratch, GString *out);

#endif

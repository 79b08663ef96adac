/* utf7.h: mailbox names between IMAP's modified UTF-7 and UTF-8
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_UTF7_H
#define IMAP_UTF7_H

#include <posthorn/types.h>

/* imap_utf7_decode: appends the name as UTF-8. False, with @out as it was, when the name is not the
 * one canonical form that imap_utf7_encode() gives. */
bool imap_utf7_decode(PhSlice name, GString *out);

/* imap_utf7_encode: appends well-formed UTF-8 @name as modified UTF-7. */
void imap_utf7_encode(PhSlice name, GString *out);

#endif

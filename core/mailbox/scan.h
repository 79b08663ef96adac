/* scan.h: a message's structure from its octets (inside core/mailbox)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_SCAN_H
#define PH_MAILBOX_SCAN_H

#include <posthorn/content.h>
#include <posthorn/message.h>

/* ph_mailbox_scan: reads @content once, in pieces. Returns: (owned); NULL with @error when a read
 * failed, or when the server crashed over this message before. Blocks: on the content. */
PhStructure *ph_mailbox_scan(PhContent *content, GError **error);

#endif

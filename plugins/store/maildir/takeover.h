/* takeover.h: what other programs do, and what a Dovecot server left
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_TAKEOVER_H
#define STORE_MAILDIR_TAKEOVER_H

#include "maildir.h"

bool scan_refresh(void *account, const PhMailboxId *mailbox, GError **error);

/* takeover_parse_header, takeover_parse_line: of a dovecot-uidlist. The first returns the version, 0:
 * it is none. */
unsigned takeover_parse_header(PhSlice line, uint32_t *uidvalidity_out, uint32_t *uidnext_out);
bool takeover_parse_line(PhSlice line, unsigned version, uint32_t *uid_out, PhSlice *base_out);
/* takeover_keywords: reads dovecot-keywords when it changed. */
void takeover_keywords(Account *account, Folder *folder);
/* keyword_letter: of a keyword; with @make one is assigned. -1: there is none. */
int keyword_letter(Account *account, Folder *folder, const char *keyword, bool make);

#endif

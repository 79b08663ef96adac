/* scan.c: a message's structure from its octets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/scan.h"

#include "base/attempt.h"

static bool
feed(PhSlice piece, void *user_data, GError **error)
{
	ph_structure_scanner_feed(user_data, piece);
	return true;
}

PhStructure *
ph_mailbox_scan(PhContent *content, GError **error)
{
	g_autoptr(PhScanner) scanner = NULL;
	PhStructure *structure = NULL;
	PhAttempt attempt;

	if (!ph_attempt_begin_content(&attempt, PH_ATTEMPT_MESSAGE, content, error))
		return NULL;
	scanner = ph_structure_scanner_new();
	if (ph_content_each(content, 0, ph_content_length(content), feed, scanner, error))
		structure = ph_structure_scanner_finish(scanner);
	ph_attempt_end(&attempt);
	return structure;
}

/* convert.h: one user's move from a store to another, in passes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TOOLS_CONVERT_H
#define PH_TOOLS_CONVERT_H

#include "tools/job.h"
#include "tools/read.h"

/* The target's value while it only follows: the name of the source's section. */
#define PH_KEY_FOLLOWS PH_KEY_OWN "follows"

/* PhConvert: one user. */
typedef struct {
	PhJob *job;
	const char *address;
	PhAccount *from;
	PhAccount *to;
	GHashTable *verified; /* PhMailboxId -> uid up to which the octets were compared */
	uint64_t n_copied;
} PhConvert;

/* PhConvertKind: in the order in which those of one change are applied. */
typedef enum {
	PH_CONVERT_CREATE,
	PH_CONVERT_APPEND,
	PH_CONVERT_FLAGS,
	PH_CONVERT_EXPUNGE,
} PhConvertKind;

/* PhConvertEvent: one step towards the source's state. */
typedef struct {
	uint64_t change;
	uint32_t uid;
	uint16_t kind; /* PhConvertKind */
	uint16_t reserved;
	uint32_t mailbox; /* index into the source's mailboxes */
} PhConvertEvent;

/* ph_convert_plan: what is to be done for the messages. @from, @to: mailboxes on both sides.
 * Returns: (owned) array of PhConvertEvent in the order to apply. */
GArray *ph_convert_plan(PhConvert *convert, const GArray *from, const GArray *to, GError **error);

/* ph_convert_apply: does it. */
bool ph_convert_apply(PhConvert *convert, const GArray *from, const GArray *events, GError **error);

/* convert-names.c: ph_convert_names: removes and renames mailboxes of the target as in the source,
 * drops what the target had of its own at first. ph_convert_values: puts all values.
 * ph_convert_raise: uidnext and change of each mailbox. */
bool ph_convert_names(PhConvert *convert, const GArray *from, GError **error);
bool ph_convert_values(PhConvert *convert, const GArray *from, GError **error);
bool ph_convert_raise(PhConvert *convert, const GArray *from, GError **error);

/* convert-verify.c: ph_convert_verify_octets: digests of the messages that were not compared yet.
 * ph_convert_verify_all: that, and everything that is known of mailboxes and messages. */
bool ph_convert_verify_octets(PhConvert *convert, GError **error);
bool ph_convert_verify_all(PhConvert *convert, GError **error);

#endif

/* store-rules.h: what the keys `mailboxes` and `retention` of a [store] mean
 *
 * Pure: text to rules, and which rule holds for a mailbox.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_STORE_RULES_H
#define POSTHORN_CONFIG_STORE_RULES_H

#include <posthorn/types.h>

/* PhMailboxRule: "Sent Items \Sent": a mailbox to make. @name points into the text. */
typedef struct {
	PhSlice name;
	uint32_t use; /* PH_USE_* */
} PhMailboxRule;

/* ph_mailbox_rule_parse: false with a static sentence. */
bool ph_mailbox_rule_parse(const char *text, PhMailboxRule *rule_out, const char **reason_out);

/* PhRetentionRule: "Trash 30d" or "Lists/\* 5000": names and how much of them is kept. */
typedef struct {
	PhSlice pattern; /* '*' stands for anything, '/' included */
	uint64_t age_us; /* older ones go; 0: not by age */
	uint32_t count;  /* beyond these the oldest go; 0: not by number */
} PhRetentionRule;

bool ph_retention_rule_parse(const char *text, PhRetentionRule *rule_out, const char **reason_out);

/* ph_retention_rule_covers: is the mailbox one of those that the rule names? INBOX in any case. */
bool ph_retention_rule_covers(const PhRetentionRule *rule, const char *name);

#endif

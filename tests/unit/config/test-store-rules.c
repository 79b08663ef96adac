/* test-store-rules.c: the rules of [store] mailboxes and retention
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/record.h>
#include <posthorn/slice.h>

#include "config/store-rules.h"

static void
test_mailbox(void)
{
	PhMailboxRule rule = { .use = 0 };
	const char *reason = NULL;

	g_assert_true(ph_mailbox_rule_parse("Sent Items \\Sent", &rule, &reason));
	g_assert_true(ph_slice_is(rule.name, "Sent Items"));
	g_assert_cmpuint(rule.use, ==, PH_USE_SENT);
	g_assert_true(ph_mailbox_rule_parse("Junk \\jUNK", &rule, &reason));
	g_assert_cmpuint(rule.use, ==, PH_USE_JUNK);
	g_assert_true(ph_mailbox_rule_parse("My Lists", &rule, &reason));
	g_assert_true(ph_slice_is(rule.name, "My Lists"));
	g_assert_cmpuint(rule.use, ==, 0);
	g_assert_false(ph_mailbox_rule_parse("Spam \\Spam", &rule, &reason));
	g_assert_nonnull(reason);
	g_assert_false(ph_mailbox_rule_parse("\\Sent", &rule, &reason));
}

static void
test_retention(void)
{
	PhRetentionRule rule = { .count = 0 };
	const char *reason = NULL;

	g_assert_true(ph_retention_rule_parse("Old Trash 30d", &rule, &reason));
	g_assert_true(ph_slice_is(rule.pattern, "Old Trash"));
	g_assert_cmpuint(rule.age_us, ==, UINT64_C(30) * 86400 * 1000000);
	g_assert_cmpuint(rule.count, ==, 0);
	g_assert_true(ph_retention_rule_parse("Lists/* 5000", &rule, &reason));
	g_assert_cmpuint(rule.count, ==, 5000);
	g_assert_cmpuint(rule.age_us, ==, 0);
	g_assert_false(ph_retention_rule_parse("Trash", &rule, &reason));
	g_assert_false(ph_retention_rule_parse("Trash 0", &rule, &reason));
	g_assert_false(ph_retention_rule_parse("Trash soon", &rule, &reason));
	g_assert_false(ph_retention_rule_parse("30d", &rule, &reason));
}

static void
test_covers(void)
{
	PhRetentionRule rule = { .count = 0 };

	g_assert_true(ph_retention_rule_parse("Lists/* 1", &rule, NULL));
	g_assert_true(ph_retention_rule_covers(&rule, "Lists/a/b"));
	g_assert_false(ph_retention_rule_covers(&rule, "Lists"));
	g_assert_false(ph_retention_rule_covers(&rule, "OldLists/a"));
	g_assert_true(ph_retention_rule_parse("inbox 1", &rule, NULL));
	g_assert_true(ph_retention_rule_covers(&rule, "INBOX"));
	g_assert_false(ph_retention_rule_covers(&rule, "INBOX/old"));
	g_assert_true(ph_retention_rule_parse("Trash 1", &rule, NULL));
	g_assert_false(ph_retention_rule_covers(&rule, "trash"));
	g_assert_true(ph_retention_rule_parse("What? 1", &rule, NULL));
	g_assert_false(ph_retention_rule_covers(&rule, "Whats"));
	g_assert_true(ph_retention_rule_covers(&rule, "What?"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/store-rules/a-mailbox-may-have-a-use", test_mailbox);
	g_test_add_func("/config/store-rules/what-is-kept-is-an-age-or-a-number", test_retention);
	g_test_add_func("/config/store-rules/a-rule-covers-what-it-names-and-nothing-else",
	                test_covers);
	return g_test_run();
}

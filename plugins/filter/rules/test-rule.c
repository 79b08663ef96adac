/* test-rule.c: rules are read to the letter, and match what they say
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "rule.h"

typedef struct {
	const char *text;
	const char *message; /* what it must say */
} Bad;

static const Bad bad_rules[] = {
	{ "", "'rule-1' ends where 'at' is expected" },
	{ "if size over 1 then drop", "'rule-1' has 'if' where 'at' is expected" },
	{ "at whenever then drop", "'rule-1' has 'whenever' where one of connect, helo, sender, "
	                           "recipient, data, header, message, delivery is expected" },
	{ "at helo", "'rule-1' ends where 'then' is expected" },
	{ "at helo then", "'rule-1' ends where one of accept, reject, temporary, drop, discard, "
	                  "quarantine, redirect, delay, add, delete is expected" },
	{ "at helo then explode", "'rule-1' has 'explode' where one of accept, reject, temporary, "
	                          "drop, discard, quarantine, redirect, delay, add, delete is "
	                          "expected" },
	{ "at helo if helo over 3 then drop",
	  "'rule-1' has 'over' where another comparison for this fact is expected" },
	{ "at message if size over big then drop",
	  "'rule-1' has 'big' where a number such as 10 or, for the size, 10M is expected" },
	{ "at helo if client in 300.1.1.1/8 then drop",
	  "'rule-1' has '300.1.1.1/8' where a network such as 192.0.2.0/24 is expected" },
	{ "at helo with 101% then drop", "'rule-1' has '101%' where at most 100% is expected" },
	{ "at helo every 0 then drop", "'rule-1' has '0' where a number from 1 is expected" },
	{ "at helo then reject 450 no", "'rule-1' has '450' where a code from 500 to 599 is "
	                                "expected" },
	{ "at helo then temporary 5.7.1 no",
	  "'rule-1' has '5.7.1' where a status of class 4 is expected" },
	{ "at helo then delay soon", "'rule-1' has 'soon' where a time such as 2s is expected" },
	{ "at helo then accept now", "'rule-1' has 'now' where the end is expected" },
	{ "at helo then redirect nobody", "'rule-1' has 'nobody' where an address is expected" },
	{ "at message then add header Oops",
	  "'rule-1' ends where a header field such as X-Seen: yes is expected" },
	{ "at sender if recipient is a@b then drop",
	  "'rule-1' asks too early: recipients are known at recipient and later" },
	{ "at sender then add header A: b",
	  "'rule-1' asks too early: a header can be changed at header, message and delivery" },
};

static void
test_complaints(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(bad_rules); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(rule_parse("rule-1", bad_rules[i].text, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
		g_assert_cmpstr(error->message, ==, bad_rules[i].message);
	}
}

static Rule *
parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	Rule *rule = rule_parse("rule-1", text, &error);

	g_assert_no_error(error);
	return rule;
}

static void
test_actions(void)
{
	Rule *rule = parse("at recipient if recipient matches *@slow.example and not client in "
	                   "10.0.0.0/8 with 30% then delay 2s and reject 553 5.1.8 \"go away\"");

	g_assert_cmpuint(rule->stage, ==, PH_STAGE_RECIPIENT);
	g_assert_cmpuint(rule->tests->len, ==, 2);
	g_assert_true(g_array_index(rule->tests, Test, 1).is_not);
	g_assert_cmpuint(rule->percent, ==, 30);
	g_assert_cmpuint(rule->verdict.delay.us, ==, 2000000);
	g_assert_cmpuint(rule->verdict.result, ==, PH_VERDICT_REJECT);
	g_assert_cmpuint(rule->verdict.smtp_code, ==, 553);
	g_assert_cmpstr(rule->verdict.status, ==, "5.1.8");
	g_assert_cmpstr(rule->verdict.text, ==, "go away");
	rule_free(rule);
	rule = parse("at message if header Subject matches \"*big sale*\" then add header "
	             "X-Sale: yes: really");
	g_assert_cmpint(rule->action, ==, ACTION_ADD_HEADER);
	g_assert_cmpstr(g_array_index(rule->tests, Test, 0).word, ==, "*big sale*");
	g_assert_cmpstr(rule->name, ==, "X-Sale");
	g_assert_cmpstr(rule->value, ==, "yes: really");
	rule_free(rule);
}

typedef struct {
	const char *pattern;
	const char *text;
	bool matches;
} Glob;

static const Glob globs[] = {
	{ "*", "", true },
	{ "", "", true },
	{ "", "a", false },
	{ "a?c", "abc", true },
	{ "a?c", "ac", false },
	{ "*@slow.example", "me@SLOW.example", true },
	{ "a*b*c", "aXXbYYc", true },
	{ "a*b*c", "aXXbYY", false },
	{ "*aab", "aaaaaab", true },
	{ "**x**", "axb", true },
};

static void
test_globs(void)
{
	g_autofree char *many = g_strnfill(200000, 'a');

	for (size_t i = 0; i < G_N_ELEMENTS(globs); i++)
		g_assert_true(glob_match(globs[i].pattern, ph_slice(globs[i].text))
		              == globs[i].matches);
	g_assert_false(glob_match("*a*a*a*a*a*a*a*a*ab", ph_slice(many)));
}

static void
test_networks(void)
{
	Network network;

	g_assert_true(network_parse("192.0.2.128/25", &network));
	g_assert_true(network_has(&network, "192.0.2.200"));
	g_assert_false(network_has(&network, "192.0.2.1"));
	g_assert_false(network_has(&network, "unix"));
	g_assert_true(network_parse("2001:db8::/33", &network));
	g_assert_true(network_has(&network, "2001:db8:7fff::1"));
	g_assert_false(network_has(&network, "2001:db8:8000::1"));
	g_assert_false(network_has(&network, "192.0.2.1"));
	g_assert_true(network_parse("0.0.0.0/0", &network));
	g_assert_true(network_has(&network, "203.0.113.9"));
	g_assert_false(network_parse("192.0.2.0/33", &network));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/filter-rules/rule/complaints-say-what-is-expected", test_complaints);
	g_test_add_func("/filter-rules/rule/actions-are-read", test_actions);
	g_test_add_func("/filter-rules/rule/globs-match-in-linear-time", test_globs);
	g_test_add_func("/filter-rules/rule/networks-hold-addresses", test_networks);
	return g_test_run();
}

/* store-rules.c: what the keys `mailboxes` and `retention` of a [store] mean
 *
 * A rule is a name, which may hold blanks, and behind the last blank what is wanted of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/store-rules.h"

#include <posthorn/slice.h>

#include "config/options.h"

#include <string.h>

/* In the order of the bits of PH_USE_*. */
static const char *const uses[] = {
	"All", "Archive", "Drafts", "Flagged", "Junk", "Sent", "Trash"
};

static bool
refuse(const char **reason_out, const char *reason)
{
	if (reason_out != NULL)
		*reason_out = reason;
	return false;
}

/* The last word and what stands before it, without blanks between. */
static void
split(const char *text, PhSlice *name_out, PhSlice *word_out)
{
	PhSlice whole = ph_slice(text);
	size_t at = whole.length;
	size_t end = 0;

	while (at > 0 && whole.data[at - 1] != ' ' && whole.data[at - 1] != '\t')
		at--;
	*word_out = ph_slice_from(whole, at);
	end = at;
	while (end > 0 && (whole.data[end - 1] == ' ' || whole.data[end - 1] == '\t'))
		end--;
	*name_out = PH_SLICE(whole.data, end);
}

bool
ph_mailbox_rule_parse(const char *text, PhMailboxRule *rule_out, const char **reason_out)
{
	PhMailboxRule rule = { .use = 0 };
	PhSlice word;

	split(text, &rule.name, &word);
	if (word.length == 0 || word.data[0] != '\\') {
		rule.name = ph_slice(text);
	} else {
		for (uint32_t i = 0; i < G_N_ELEMENTS(uses); i++)
			if (ph_slice_is_nocase(ph_slice_from(word, 1), uses[i]))
				rule.use = UINT32_C(1) << i;
		if (rule.use == 0)
			return refuse(reason_out, "the uses are \\All, \\Archive, \\Drafts, "
			                          "\\Flagged, \\Junk, \\Sent and \\Trash");
	}
	if (rule.name.length == 0)
		return refuse(reason_out, "a name is missing; write such as Sent \\Sent");
	*rule_out = rule;
	return true;
}

bool
ph_retention_rule_parse(const char *text, PhRetentionRule *rule_out, const char **reason_out)
{
	PhRetentionRule rule = { .age_us = 0 };
	uint64_t number = 0;
	PhSlice word;

	split(text, &rule.pattern, &word);
	if (rule.pattern.length == 0)
		return refuse(reason_out, "write a mailbox and what is kept, such as Trash 30d or "
		                          "Lists 5000");
	if (ph_slice_to_u64(word, UINT64_MAX, &number)) {
		if (number == 0 || number > UINT32_MAX)
			return refuse(reason_out, "a number of messages is at least 1");
		rule.count = (uint32_t) number;
	} else if (!ph_duration_parse(word, &rule.age_us) || rule.age_us == 0) {
		return refuse(reason_out, "what is kept is an age such as 30d or a number of "
		                          "messages such as 5000");
	}
	*rule_out = rule;
	return true;
}

bool
ph_retention_rule_covers(const PhRetentionRule *rule, const char *name)
{
	g_autofree char *pattern = ph_slice_dup(rule->pattern);

	if (g_ascii_strcasecmp(name, "INBOX") == 0 && g_ascii_strcasecmp(pattern, "INBOX") == 0)
		return true;
	return strchr(pattern, '?') != NULL ? strcmp(pattern, name) == 0
	                                    : g_pattern_match_simple(pattern, name);
}

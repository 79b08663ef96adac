/* check-store.c: are the rules of a [store] such that they can be followed?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/mailbox.h>
#include <posthorn/slice.h>

#include "config/build.h"
#include "config/store-rules.h"

static void
tell(PhBuilder *builder,
     const PhSection *section,
     const char *key,
     const char *text,
     const char *reason)
{
	ph_mistakes_add(builder->mistakes, ph_section_key_line(section, key),
	                "'%s' in [store %s] has '%s': %s", key, section->name, text, reason);
}

static void
check_mailboxes(PhBuilder *builder, const PhSection *section, const char *const *texts)
{
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
		const char *reason = NULL;
		PhMailboxRule rule;

		if (!ph_mailbox_rule_parse(texts[i], &rule, &reason)
		    || !ph_mailbox_name_check(rule.name, &reason))
			tell(builder, section, "mailboxes", texts[i], reason);
	}
}

static void
check_retention(PhBuilder *builder, const PhSection *section, const char *const *texts)
{
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
		const char *reason = NULL;
		PhRetentionRule rule;

		if (!ph_retention_rule_parse(texts[i], &rule, &reason))
			tell(builder, section, "retention", texts[i], reason);
	}
}

void
ph_check_store(PhBuilder *builder, const PhSection *section)
{
	const PhPluginSettings *settings = ph_section_plugin(section);
	const uint64_t minute_us = UINT64_C(60) * G_USEC_PER_SEC;

	if (settings == NULL)
		return;
	check_mailboxes(builder, section, settings->mailboxes);
	check_retention(builder, section, settings->retention);
	if (settings->retention_interval.us < minute_us)
		ph_mistakes_add(builder->mistakes,
		                ph_section_key_line(section, "retention-interval"),
		                "'retention-interval' in [store %s] is shorter than a minute",
		                section->name);
}

/* retain.c: removes what the rules of a [store] no longer keep
 *
 * A rule names mailboxes; nothing else is looked at. Age counts from when a message came into the
 * mailbox (its save date). Messages go in small transactions through the account's lane, so that
 * sessions and deliveries have their turn between them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "base/clock.h"
#include "config/store-rules.h"
#include "tools/job.h"
#include "tools/read.h"

enum {
	STEP = 500 /* messages of one transaction */
};

/* Look: one mailbox under one rule. */
typedef struct {
	const PhRetentionRule *rule;
	PhTime before;    /* what was saved earlier goes */
	uint32_t surplus; /* how many of the oldest go in any case */
	PhUidSet *doomed;
} Look;

static bool
note_doomed(const PhRecord *record, void *user_data)
{
	Look *look = user_data;
	bool is_old = look->rule->age_us != 0 && record->save_date < look->before;

	if (is_old || look->surplus > 0)
		ph_uid_set_add(look->doomed, record->uid);
	if (look->surplus > 0)
		look->surplus--;
	return true;
}

static bool
expunge(PhAccount *account, const PhMailboxId *mailbox, const PhUidSet *uids, GError **error)
{
	PhTransaction *transaction = ph_transaction_new(account, NULL);
	bool good = false;

	(void) ph_transaction_expunge(transaction, mailbox, uids);
	good = ph_transaction_run(transaction, error);
	ph_transaction_free(transaction);
	return good;
}

static bool
expunge_in_steps(PhJob *job,
                 PhAccount *account,
                 const PhMailboxId *mailbox,
                 const PhUidSet *uids,
                 GError **error)
{
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);
	g_autoptr(PhUidSet) step = ph_uid_set_new();

	for (size_t i = 0; i < n; i++)
		for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++) {
			ph_uid_set_add(step, (uint32_t) uid);
			if (ph_uid_set_count(step) < STEP)
				continue;
			if (!ph_job_go_on(job, error) || !expunge(account, mailbox, step, error))
				return false;
			ph_uid_set_clear(step);
		}
	return ph_uid_set_is_empty(step) || expunge(account, mailbox, step, error);
}

static void
tell(PhJob *job, PhAccount *account, const PhMailboxInfo *info, uint64_t n)
{
	const char *address = ph_identity_address(ph_account_identity(account));

	ph_job_print(job, PH_JOB_OUT, "%s: '%s': %" G_GUINT64_FORMAT " messages removed", address,
	             info->name, n);
	ph_log_section(job->section, PH_LOG_INFO, "retention", "old messages were removed",
	               PH_LOG_TEXT("user", address), PH_LOG_TEXT("mailbox", info->name),
	               PH_LOG_NUMBER("messages", n), PH_LOG_END);
}

static bool
follow_rule(PhJob *job,
            PhAccount *account,
            const PhMailboxInfo *info,
            const PhRetentionRule *rule,
            GError **error)
{
	g_autoptr(PhUidSet) doomed = ph_uid_set_new();
	Look look = {
		.rule = rule,
		.before = ph_clock_wall_us() - (PhTime) MIN(rule->age_us, INT64_MAX / 2),
		.doomed = doomed,
	};

	if (rule->count != 0 && info->n_messages > rule->count)
		look.surplus = info->n_messages - rule->count;
	if (info->n_messages == 0 || (rule->age_us == 0 && look.surplus == 0))
		return true;
	if (!ph_read_dates(account, &info->id, note_doomed, &look, error))
		return false;
	if (ph_uid_set_is_empty(doomed))
		return true;
	if (!expunge_in_steps(job, account, &info->id, doomed, error))
		return false;
	tell(job, account, info, ph_uid_set_count(doomed));
	return true;
}

static bool
follow_rules(PhJob *job, PhAccount *account, const char *text, GError **error)
{
	g_autoptr(GArray) mailboxes = ph_read_mailboxes(account, error);
	PhRetentionRule rule;

	if (mailboxes == NULL)
		return false;
	if (!ph_retention_rule_parse(text, &rule, NULL))
		return true;
	for (guint i = 0; i < mailboxes->len; i++) {
		const PhMailboxInfo *info = &g_array_index(mailboxes, PhMailboxInfo, i);

		if (ph_retention_rule_covers(&rule, info->name)
		    && !follow_rule(job, account, info, &rule, error))
			return false;
	}
	return true;
}

bool
ph_retain_account(PhJob *job, PhAccount *account, const char *const *rules, GError **error)
{
	for (size_t i = 0; rules[i] != NULL; i++)
		if (!follow_rules(job, account, rules[i], error))
			return false;
	return true;
}

static bool
retain_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	const char *const *rules = ph_section_plugin(job->section)->retention;
	PhLimits limits = ph_account_limits(job->section, identity);
	g_autoptr(PhAccount) account = ph_account_attach(job->section, identity, &limits);
	g_autofree char *moved = NULL;

	if (!ph_account_moved_to(account, &moved, error))
		return false;
	return moved != NULL || ph_retain_account(job, account, rules, error);
}

bool
ph_job_retain(PhJob *job, GError **error)
{
	if (ph_section_plugin(job->section)->retention != NULL)
		return ph_job_each_user(job, retain_user, error);
	ph_error_set(error, PH_ERROR_INVALID, "[store %s] has no 'retention'",
	             ph_section_name(job->section));
	return false;
}

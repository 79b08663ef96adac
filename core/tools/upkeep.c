/* upkeep.c: check, repair, compact, sync: members of the store, one account after the other
 *
 * These overlap with no commit, so the account is held meanwhile: its deliveries and changes wait; but
 * not while a store is compacted that says it can do so beside them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "journal/journal.h"
#include "mailbox/fulltext.h"
#include "tools/job.h"

/* How far `check --restored` raises: more than a client can have seen since the backup. */
enum {
	RAISE_UIDS = 1000000,
	RAISE_CHANGES = 1000000000
};

/* Upkeep: what is being done to one account. */
typedef struct {
	PhJob *job;
	const char *address;
	uint32_t n_findings;
} Upkeep;

static PhAccount *
attach(PhJob *job, const PhIdentity *identity)
{
	PhLimits limits = ph_account_limits(job->section, identity);

	return ph_account_attach(job->section, identity, &limits);
}

static void
report(const char *line, void *user_data)
{
	Upkeep *upkeep = user_data;

	upkeep->n_findings++;
	ph_job_print(upkeep->job, PH_JOB_OUT, "%s: %s", upkeep->address, line);
}

/* --- check and repair ----------------------------------------------------------------------------- */

static bool
verify_held(PhAccount *account, Upkeep *upkeep, bool repair, GError **error)
{
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return false;
	good = call.table->verify(call.engine, repair, report, upkeep, error);
	ph_account_leave(&call, good);
	return good;
}

static bool
raise_mailboxes(PhAccount *account, GError **error)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
	PhNames *names = ph_account_names(account, error);
	uint64_t highest = 0;

	if (names == NULL)
		return false;
	for (uint32_t i = 0; i < names->n; i++)
		highest = MAX(highest, names->infos[i].change);
	for (uint32_t i = 0; i < names->n; i++) {
		const PhMailboxInfo *info = &names->infos[i];
		uint32_t room = UINT32_MAX - 1 - MIN(info->uidnext, UINT32_MAX - 1);

		(void) ph_transaction_raise(transaction, &info->id,
		                            info->uidnext + MIN(room, RAISE_UIDS),
		                            highest + RAISE_CHANGES);
	}
	ph_names_unref(names);
	return transaction->n_ops == 0 || ph_account_commit_held(account, transaction, error);
}

/* The index of text is no part of the store, but of the account. */
static void
verify_search_index(PhAccount *account, Upkeep *upkeep, bool repair)
{
	g_autofree char *path = ph_fulltext_path(account);

	if (path == NULL || ph_fulltext_check(path, report, upkeep) || !repair)
		return;
	ph_fulltext_discard(path);
	ph_job_print(upkeep->job, PH_JOB_OUT,
	             "%s: the search index is removed, and made anew with the "
	             "next search",
	             upkeep->address);
}

static bool
verify_user(PhJob *job, const PhIdentity *identity, bool repair, GError **error)
{
	g_autoptr(PhAccount) account = attach(job, identity);
	Upkeep upkeep = { job, ph_identity_address(identity), 0 };
	bool good = false;

	if (ph_job_progress(job))
		ph_job_print(job, PH_JOB_PROGRESS, "%u: %s", job->n_users, upkeep.address);
	ph_account_hold(account);
	good = verify_held(account, &upkeep, repair, error);
	if (good)
		verify_search_index(account, &upkeep, repair);
	if (good && (job->request->flags & PH_JOB_RESTORED) != 0)
		good = raise_mailboxes(account, error);
	ph_account_let_go(account);
	if (repair && upkeep.n_findings > 0)
		ph_account_touch_all(account);
	job->n_findings += upkeep.n_findings;
	return good;
}

static bool
check_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	return verify_user(job, identity, false, error);
}

static bool
repair_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	return verify_user(job, identity, true, error);
}

static bool
can_verify(PhJob *job, GError **error)
{
	const PhStore *table = ph_section_table(job->section);

	if (table->verify != NULL)
		return true;
	ph_error_set(error, PH_ERROR_UNSUPPORTED, "the store '%s' cannot check itself",
	             ph_section_name(job->section));
	return false;
}

static void
tell_summary(PhJob *job, const char *what)
{
	ph_job_print(job, PH_JOB_OUT, "%u %s %s: %u %s, %u failed", job->n_users,
	             job->n_users == 1 ? "account" : "accounts", what, job->n_findings,
	             job->n_findings == 1 ? "finding" : "findings", job->n_failed);
}

bool
ph_job_check(PhJob *job, GError **error)
{
	if (!can_verify(job, error) || !ph_job_each_user(job, check_user, error))
		return false;
	tell_summary(job, (job->request->flags & PH_JOB_RESTORED) != 0 ? "checked and raised"
	                                                               : "checked");
	return true;
}

bool
ph_job_repair(PhJob *job, GError **error)
{
	if (!can_verify(job, error) || !ph_job_each_user(job, repair_user, error))
		return false;
	tell_summary(job, "repaired");
	return true;
}

/* --- compact and sync ----------------------------------------------------------------------------- */

typedef bool (*Member)(void *account, GError **error);

static bool
run_member(PhJob *job, const PhIdentity *identity, Member member, bool beside, GError **error)
{
	g_autoptr(PhAccount) account = attach(job, identity);
	PhAccountCall call;
	bool good = false;

	if (ph_job_progress(job))
		ph_job_print(job, PH_JOB_PROGRESS, "%u: %s", job->n_users,
		             ph_identity_address(identity));
	if (!beside)
		ph_account_hold(account);
	if (ph_account_enter(account, &call, error)) {
		good = member(call.engine, error);
		ph_account_leave(&call, good);
	}
	if (!beside)
		ph_account_let_go(account);
	return good;
}

static bool
compact_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	const PhStore *table = ph_section_table(job->section);

	return run_member(job, identity, table->compact,
	                  (table->abilities & PH_STORE_COMPACTS_BESIDE) != 0, error);
}

/* A journal makes all stores complete at once. */
static bool
checkpoint_once(PhJob *job, PhJournal *journal, GError **error)
{
	if (job->data != journal && !ph_journal_checkpoint(journal, error))
		return false;
	job->data = journal;
	return true;
}

static bool
sync_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	const PhStore *table = ph_section_table(job->section);
	g_autoptr(PhAccount) account = attach(job, identity);

	if (ph_account_journal(account) != NULL)
		return checkpoint_once(job, ph_account_journal(account), error);
	return run_member(job, identity, table->sync, false, error);
}

bool
ph_job_compact(PhJob *job, GError **error)
{
	if (!ph_job_each_user(job, compact_user, error))
		return false;
	tell_summary(job, "compacted");
	return true;
}

bool
ph_job_sync(PhJob *job, GError **error)
{
	if (!ph_job_each_user(job, sync_user, error))
		return false;
	tell_summary(job, "synced");
	return true;
}

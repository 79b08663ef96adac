/* replay.c: an account's way back to where it was when the power went
 *
 * A handle that was just opened is told to defer, and gets what waits for it in the journal, before
 * anybody else sees it. The results are given, and what the store knows already is no change, so a
 * replay may happen any number of times. Without deferring (the journal is being given up) what was
 * replayed is made durable in the store at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "config/config.h"
#include "journal/journal.h"
#include "mailbox/account.h"
#include "mailbox/scan.h"
#include "plugin/instance.h"

/* Replay: one account's. */
typedef struct {
	PhAccount *account;
	void *engine;
	unsigned n_done;
} Replay;

/* --- one transaction ------------------------------------------------------------------------------ */

static bool
upload(Replay *replay, PhJournal *journal, PhJournalEntry *entry, uint32_t i, GError **error)
{
	PhOp *op = entry->transaction.ops[i];
	g_autoptr(PhContent) content = NULL;

	if (op->kind != PH_OP_APPEND || entry->octets[i].position == 0)
		return true;
	op->blob.length = 0;
	content = ph_journal_octets(journal, &entry->octets[i], error);
	return content != NULL
	       && replay->account->store->upload(replay->engine, content, false, &op->blob, error);
}

static bool
is_hidden(const Replay *replay)
{
	return (replay->account->store->abilities & PH_STORE_HIDES_OCTETS) != 0;
}

/* The journal holds no structure of a message that the store encrypts: it is made again from the
 * octets. Without one the message is scanned when somebody asks. */
static void
restore_structure(const Replay *replay, PhOp *op)
{
	g_autoptr(PhContent) content = NULL;
	g_autoptr(PhStructure) scanned = NULL;
	PhSlice blob = PH_SLICE_EMPTY;

	if (op->kind != PH_OP_APPEND || op->structure.length > 0
	    || !replay->account->store->content(replay->engine, &op->mailbox, op->given_uid,
	                                        &op->blob, &content, NULL))
		return;
	scanned = ph_mailbox_scan(content, NULL);
	if (scanned == NULL)
		return;
	blob = ph_structure_blob(scanned);
	op->structure = PH_SLICE(g_memdup2(blob.data, blob.length), blob.length);
}

static void
abandon(Replay *replay, const PhJournalEntry *entry)
{
	for (uint32_t i = 0; i < entry->transaction.n_ops; i++) {
		const PhOp *op = entry->transaction.ops[i];

		if (entry->octets[i].position != 0 && op->blob.length > 0)
			replay->account->store->abandon(replay->engine, &op->blob);
	}
}

/* It was applied once, in just this state: if it is refused now, the mail itself is damaged. */
static bool
refused(const Replay *replay, const PhTransaction *transaction, GError **error)
{
	const GError *why = transaction->error;
	bool is_temporary = why == NULL || ph_error_is_temporary(why);

	ph_log_section(
		replay->account->section, PH_LOG_ERROR, "replay-refused",
		"a change that was acknowledged could not be made again",
		PH_LOG_TEXT("account", ph_identity_address(ph_account_identity(replay->account))),
		PH_LOG_FAILURE(why), PH_LOG_END);
	if (is_temporary)
		ph_error_set(error, PH_ERROR_TEMPORARY, "the account cannot be replayed now");
	return !is_temporary;
}

static bool
replay_one(PhJournal *journal, PhJournalEntry *entry, void *user_data, GError **error)
{
	Replay *replay = user_data;
	PhTransaction *transaction = &entry->transaction;
	bool good = true;

	for (uint32_t i = 0; i < transaction->n_ops && good; i++)
		good = upload(replay, journal, entry, i, error);
	for (uint32_t i = 0; i < transaction->n_ops && good && is_hidden(replay); i++)
		restore_structure(replay, transaction->ops[i]);
	good = good && replay->account->store->commit(replay->engine, &transaction, 1, error);
	abandon(replay, entry);
	replay->n_done++;
	if (good && !transaction->done)
		return refused(replay, transaction, error);
	return good;
}

/* --- one account ---------------------------------------------------------------------------------- */

static bool
defer(PhAccount *account, void *engine, GError **error)
{
	int fd = -1;

	if (!account->store->defer(engine, &fd, error))
		return false;
	ph_journal_add_system(account->journal, fd);
	return true;
}

bool
ph_account_prepare(PhAccount *account, void *engine, GError **error)
{
	PhJournal *journal = ph_accounts_journal();
	Replay replay = { .account = account, .engine = engine };

	g_atomic_pointer_set(&account->journal, ph_account_journal(account));
	if (account->journal != NULL && !defer(account, engine, error))
		return false;
	if (journal == NULL || !ph_journal_has_pending(journal))
		return true;
	if (!ph_journal_replay(journal, ph_section_name(account->section),
	                       ph_identity_address(ph_account_identity(account)), replay_one,
	                       &replay, error))
		return false;
	return replay.n_done == 0 || account->journal != NULL
	       || account->store->sync(engine, error);
}

/* --- all accounts ---------------------------------------------------------------------------------- */

static GThread *replayer;
static gint is_stopping;

static bool
replay_account(const char *section_name, const PhIdentity *identity, void *config)
{
	PhSection *section = ph_config_section(config, "store", section_name);
	g_autoptr(PhAccount) account = NULL;
	g_autoptr(GError) error = NULL;
	PhLimits limits;

	if (g_atomic_int_get(&is_stopping) || section == NULL)
		return false;
	section = ph_section_origin(section);
	limits = ph_account_limits(section, identity);
	account = ph_account_get(section, identity, &limits);
	if (ph_account_acquire(account, &error) != NULL)
		ph_account_release(account);
	else
		ph_log_section(section, PH_LOG_WARNING, "replay-failed",
		               "an account could not be replayed; it will be when it is used",
		               PH_LOG_TEXT("account", ph_identity_address(identity)),
		               PH_LOG_FAILURE(error), PH_LOG_END);
	return true;
}

static void *
replay_all(void *config)
{
	PhJournal *journal = ph_accounts_journal();

	ph_journal_each_pending(journal, replay_account, config);
	ph_config_unref(config);
	return NULL;
}

void
ph_accounts_replay(PhConfig *config)
{
	PhJournal *journal = ph_accounts_journal();

	g_atomic_int_set(&is_stopping, 0);
	if (journal != NULL && ph_journal_has_pending(journal))
		replayer = g_thread_new("replay", replay_all, ph_config_ref(config));
}

void
ph_accounts_stop_replay(void)
{
	g_atomic_int_set(&is_stopping, 1);
	if (replayer != NULL)
		(void) g_thread_join(g_steal_pointer(&replayer));
}

bool
ph_accounts_sync(PhSection *section, GError **error)
{
	PhJournal *journal = ph_accounts_journal();

	if (journal == NULL || !ph_journal_is_started(journal))
		return true;
	if (ph_journal_has_pending(journal)) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "accounts are still being replayed; try again soon");
		return false;
	}
	return ph_journal_checkpoint(journal, error);
}

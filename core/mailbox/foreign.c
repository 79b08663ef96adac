/* foreign.c: what other programs do to the mail of an account
 *
 * A refresh is a transaction without operations: it waits its turn in the account's lane, so that
 * it never runs beside a commit. The store folds in what it finds; afterwards the mailbox list is
 * read and compared with what was known, and who has a mailbox open that changed is told.
 *
 * Sessions ask when they look at a mailbox (`tick`): then it is refreshed when the store has given a
 * hint since the last time, or when that was more than a moment ago. While a mailbox is open, one
 * thread of the process does the same on every hint, and now and then without one, because hints may
 * be lost. A hint that follows a refresh closely waits as long as that took four times over, so that
 * a busy foreign writer cannot take more than a fifth of a processor.
 *
 * Locks: the poller's, then an account's PhForeign. No call is made with either held.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/foreign.h"

#include <posthorn/log.h>

#include "plugin/call.h"

enum {
	MOMENT_US = 100 * 1000,
	POLL_US = 30 * 1000 * 1000,
	REST = 4, /* times as long as the last refresh took */
	REST_MIN_US = 5 * 1000,
	REST_MAX_US = 2 * 1000 * 1000,
};

/* Entry: one mailbox, or the list. */
typedef struct {
	PhMailboxId id;
	uint64_t refreshed_us; /* when the last one ended; 0: never */
	uint64_t hints_seen;   /* PhForeign.hints when it began */
	unsigned n_watchers;
	bool asked;  /* somebody's tick is under way */
	bool queued; /* the poller's is */
} Entry;

struct PhForeign {
	PhAccount *account; /* (borrowed) */
	PhLock lock;        /* guards until the blank line */
	uint64_t hints;
	GHashTable *entries; /* PhMailboxId -> Entry */
	Entry list;
	unsigned n_watchers;
	bool is_watched; /* the engine's handle gives hints */
	uint64_t rest_us;

	uint64_t due_us; /* guarded by the poller's lock; 0: not in its list */
};

static struct {
	PhLock lock; /* guards all */
	PhSignal more;
	GPtrArray *accounts; /* PhForeign with watchers, whose accounts are kept by their views */
	bool started;
} poller = { .lock = PH_LOCK_INIT };

static uint64_t
now_us(void)
{
	return (uint64_t) g_get_monotonic_time();
}

PhForeign *
ph_foreign_new(PhAccount *account)
{
	PhForeign *foreign = NULL;

	if ((account->store->abilities & PH_STORE_FOREIGN_WRITERS) == 0)
		return NULL;
	foreign = g_new0(PhForeign, 1);
	foreign->account = account;
	foreign->hints = 1;
	foreign->rest_us = REST_MIN_US;
	foreign->entries =
		g_hash_table_new_full(ph_mailbox_id_hash, ph_mailbox_id_equal, NULL, g_free);
	ph_lock_init(&foreign->lock);
	return foreign;
}

void
ph_foreign_free(PhForeign *foreign)
{
	if (foreign == NULL)
		return;
	g_hash_table_destroy(foreign->entries);
	ph_lock_clear(&foreign->lock);
	g_free(foreign);
}

/* With the lock held. @id: (nullable) the list. */
static Entry *
entry_of(PhForeign *foreign, const PhMailboxId *id)
{
	Entry *entry = id != NULL ? g_hash_table_lookup(foreign->entries, id) : &foreign->list;

	if (entry != NULL)
		return entry;
	entry = g_new0(Entry, 1);
	entry->id = *id;
	(void) g_hash_table_insert(foreign->entries, &entry->id, entry);
	return entry;
}

/* --- what has changed ---------------------------------------------------------------------------- */

static bool
is_same_list(const PhNames *a, const PhNames *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!ph_mailbox_id_equal(&a->infos[i].id, &b->infos[i].id)
		    || !g_str_equal(a->infos[i].name, b->infos[i].name))
			return false;
	return true;
}

static void
tell_changed(PhAccount *account, const PhNames *old, const PhNames *fresh)
{
	g_autoptr(GHashTable) known = g_hash_table_new(ph_mailbox_id_hash, ph_mailbox_id_equal);

	for (uint32_t i = 0; i < old->n; i++)
		(void) g_hash_table_insert(known, (void *) (uintptr_t) &old->infos[i].id,
		                           (void *) (uintptr_t) &old->infos[i]);
	for (uint32_t i = 0; i < fresh->n; i++) {
		const PhMailboxInfo *info = &fresh->infos[i];
		const PhMailboxInfo *was = g_hash_table_lookup(known, &info->id);

		if (was == NULL || was->change != info->change)
			ph_account_touched(account, &info->id, info->change);
		(void) g_hash_table_remove(known, &info->id);
	}

	GHashTableIter iter;
	void *gone = NULL;

	g_hash_table_iter_init(&iter, known);
	while (g_hash_table_iter_next(&iter, &gone, NULL))
		ph_account_touched(account, gone, 0);
}

/* The list is read again; what differs from what was known is news. */
static void
note_news(PhAccount *account)
{
	PhNames *old = NULL;
	PhNames *fresh = NULL;

	ph_lock_take(&account->lock);
	old = account->names != NULL ? ph_names_ref(account->names) : NULL;
	account->counts_version++;
	ph_lock_drop(&account->lock);
	fresh = ph_account_names(account, NULL);
	if (old != NULL && fresh != NULL) {
		if (!is_same_list(old, fresh)) {
			ph_lock_take(&account->lock);
			account->list_version++;
			ph_lock_drop(&account->lock);
		}
		tell_changed(account, old, fresh);
	}
	ph_names_unref(old);
	ph_names_unref(fresh);
}

/* --- hints --------------------------------------------------------------------------------------- */

static void
note_hint(void *user_data)
{
	PhForeign *foreign = user_data;
	uint64_t due_us = now_us();

	ph_lock_take(&foreign->lock);
	foreign->hints++;
	due_us += foreign->rest_us;
	ph_lock_drop(&foreign->lock);
	PH_LOCKED(&poller.lock);
	if (foreign->due_us == 0 || foreign->due_us <= due_us)
		return;
	foreign->due_us = due_us;
	ph_signal_one(&poller.more);
}

/* Asks the handle for hints, once. */
static void
ask_for_hints(PhForeign *foreign, const PhAccountCall *call)
{
	bool ask = false;

	ph_lock_take(&foreign->lock);
	ask = foreign->n_watchers > 0 && !foreign->is_watched && call->table->watch != NULL;
	foreign->is_watched = foreign->is_watched || ask;
	ph_lock_drop(&foreign->lock);
	if (ask)
		(void) call->table->watch(call->engine, note_hint, foreign, NULL);
}

void
ph_foreign_closed(PhAccount *account)
{
	if (account->foreign == NULL)
		return;
	PH_LOCKED(&account->foreign->lock);
	account->foreign->is_watched = false;
}

/* --- refreshing ---------------------------------------------------------------------------------- */

static uint64_t
begin_refresh(PhForeign *foreign, const PhMailboxId *id)
{
	PH_LOCKED(&foreign->lock);
	entry_of(foreign, id)->queued = false;
	return foreign->hints;
}

static void
end_refresh(PhForeign *foreign, const PhMailboxId *id, uint64_t hints, uint64_t began_us)
{
	uint64_t ended_us = now_us();

	PH_LOCKED(&foreign->lock);
	Entry *entry = entry_of(foreign, id);

	entry->hints_seen = hints;
	entry->refreshed_us = ended_us;
	foreign->rest_us = CLAMP(REST * (ended_us - began_us), REST_MIN_US, REST_MAX_US);
}

bool
ph_foreign_run(PhTx *tx, GError **error)
{
	PhAccount *account = tx->account;
	const PhMailboxId *id = tx->refreshes_list ? NULL : &tx->refreshed;
	uint64_t began_us = now_us();
	uint64_t hints = begin_refresh(account->foreign, id);
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return false;
	ask_for_hints(account->foreign, &call);
	good = call.table->refresh(call.engine, id, error);
	ph_account_leave(&call, good);
	end_refresh(account->foreign, id, hints, began_us);
	note_news(account);
	return good;
}

static PhTransaction *
make_refresh(PhAccount *account, const PhMailboxId *id)
{
	PhTransaction *transaction = ph_transaction_new(account, NULL);
	PhTx *tx = ph_tx(transaction);

	tx->is_refresh = true;
	tx->refreshes_list = id == NULL;
	if (id != NULL)
		tx->refreshed = *id;
	return transaction;
}

bool
ph_foreign_refresh(PhAccount *account, const PhMailboxId *mailbox, GError **error)
{
	g_autoptr(PhTransaction) transaction = NULL;

	if (account->foreign == NULL)
		return true;
	transaction = make_refresh(account, mailbox);
	return ph_transaction_run(transaction, error);
}

static bool
is_due(PhForeign *foreign, const PhMailboxId *id)
{
	PH_LOCKED(&foreign->lock);
	Entry *entry = entry_of(foreign, id);
	bool due = !entry->asked
	           && (entry->hints_seen != foreign->hints
	               || now_us() - entry->refreshed_us > MOMENT_US);

	entry->asked = entry->asked || due;
	return due;
}

bool
ph_foreign_tick(PhAccount *account, const PhMailboxId *mailbox)
{
	PhForeign *foreign = account->foreign;
	g_autoptr(GError) error = NULL;

	if (foreign == NULL || !is_due(foreign, mailbox))
		return false;
	if (!ph_foreign_refresh(account, mailbox, &error)
	    && !g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND)
	    && !g_error_matches(error, PH_ERROR, PH_ERROR_GONE))
		ph_log_section(
			account->section, PH_LOG_WARNING, "refresh-failed",
			"what other programs did to a mailbox cannot be seen at the moment",
			PH_LOG_TEXT("account", ph_identity_address(ph_account_identity(account))),
			PH_LOG_FAILURE(error), PH_LOG_END);
	PH_LOCKED(&foreign->lock);
	entry_of(foreign, mailbox)->asked = false;
	return true;
}

/* --- while somebody looks -------------------------------------------------------------------- */

/* Has the lane refresh what is watched; nobody waits for it. */
static void
refresh_watched(PhAccount *account)
{
	PhForeign *foreign = account->foreign;
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(PhMailboxId));
	GHashTableIter iter;
	void *value = NULL;

	ph_lock_take(&foreign->lock);
	g_hash_table_iter_init(&iter, foreign->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Entry *entry = value;

		if (entry->n_watchers == 0 || entry->queued)
			continue;
		entry->queued = true;
		(void) g_array_append_val(ids, entry->id);
	}
	ph_lock_drop(&foreign->lock);
	for (guint i = 0; i < ids->len; i++) {
		PhTransaction *transaction =
			make_refresh(account, &g_array_index(ids, PhMailboxId, i));

		ph_tx(transaction)->detached = true;
		ph_transaction_submit(transaction, NULL);
	}
}

/* With the poller's lock held: an account that is due (one reference), or NULL and when one is. */
static PhAccount *
take_due(uint64_t *next_us_out)
{
	uint64_t now = now_us();

	*next_us_out = now + POLL_US;
	for (guint i = 0; i < poller.accounts->len; i++) {
		PhForeign *foreign = g_ptr_array_index(poller.accounts, i);

		if (foreign->due_us <= now) {
			foreign->due_us = now + POLL_US;
			return ph_account_ref(foreign->account);
		}
		*next_us_out = MIN(*next_us_out, foreign->due_us);
	}
	return NULL;
}

static PhAccount *
next_due(void)
{
	PhAccount *account = NULL;

	PH_LOCKED(&poller.lock);
	while (account == NULL) {
		uint64_t next_us = 0;

		account = take_due(&next_us);
		if (account == NULL && poller.accounts->len == 0)
			ph_signal_wait(&poller.more, &poller.lock);
		else if (account == NULL)
			(void) ph_signal_wait_until(&poller.more, &poller.lock, next_us);
	}
	return account;
}

static void *
poll_for_ever(void *data)
{
	for (;;) {
		PhAccount *account = next_due();

		refresh_watched(account);
		ph_account_unref(account);
	}
	return NULL;
}

static void
begin_polling(PhForeign *foreign)
{
	PH_LOCKED(&poller.lock);
	if (!poller.started) {
		poller.started = true;
		poller.accounts = g_ptr_array_new();
		ph_signal_init(&poller.more);
		g_thread_unref(g_thread_new("foreign", poll_for_ever, NULL));
	}
	g_ptr_array_add(poller.accounts, foreign);
	foreign->due_us = now_us() + POLL_US;
	ph_signal_one(&poller.more);
}

static void
end_polling(PhForeign *foreign)
{
	PH_LOCKED(&poller.lock);
	(void) g_ptr_array_remove_fast(poller.accounts, foreign);
	foreign->due_us = 0;
}

void
ph_foreign_watch(PhAccount *account, const PhMailboxId *mailbox)
{
	PhForeign *foreign = account->foreign;
	bool first = false;

	if (foreign == NULL)
		return;
	ph_lock_take(&foreign->lock);
	first = foreign->n_watchers++ == 0;
	entry_of(foreign, mailbox)->n_watchers++;
	ph_lock_drop(&foreign->lock);
	if (first)
		begin_polling(foreign);
}

void
ph_foreign_unwatch(PhAccount *account, const PhMailboxId *mailbox)
{
	PhForeign *foreign = account->foreign;
	bool last = false;

	if (foreign == NULL)
		return;
	ph_lock_take(&foreign->lock);
	last = --foreign->n_watchers == 0;
	entry_of(foreign, mailbox)->n_watchers--;
	ph_lock_drop(&foreign->lock);
	if (last)
		end_polling(foreign);
}

/* lane.c: one commit in flight for each account, on threads of their own
 *
 * Who finds an account's lane at rest puts the account into the pool's queue; a thread takes what
 * waits, up to a batch, commits it, tells who waits, and puts the account back at the end of the
 * queue when more has come meanwhile. What arrives during a commit is the next batch: nobody waits
 * on a timer. The pool grows while all its threads are busy, as far as commits block: a few threads
 * keep a fast disk busy, and more would only cost switches; a slow one wants many.
 *
 * A session has one transaction under way at a time, so first come, first served is fair to
 * sessions; large operations come in steps that queue up again each time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "base/clock.h"
#include "base/horizon.h"
#include "journal/journal.h"
#include "mailbox/foreign.h"
#include "mailbox/transaction.h"
#include "plugin/call.h"

enum {
	UNKNOWN_WAIT_US = 200000,
	UNKNOWN_WAIT_MAX_US = 5000000,
	MIN_THREADS = 4,
	WINDOW = 64,             /* commits whose fastest stands for the disk */
	ROOM_WAIT_US = 30000000, /* for room in the journal; then the client shall try again */
	COMPUTE_US = 150,        /* what a small commit keeps a processor busy */
};

static struct {
	PhLock lock; /* guards all */
	PhSignal work;
	GQueue accounts;       /* PhAccount, one reference each */
	unsigned n_processors; /* asking costs three calls of the system */
	unsigned n_threads;
	unsigned n_idle;
	unsigned n_timed;    /* commits in the present window */
	uint64_t window_us;  /* the fastest of them */
	uint64_t fastest_us; /* of the last whole window: what the disk makes a commit wait */
	bool ready;
} pool = { .lock = PH_LOCK_INIT };

/* --- one batch ---------------------------------------------------------------------------------- */

/* Takes what waits, up to a batch. An empty lane comes to rest. */
static GPtrArray *
take_batch(PhAccount *account)
{
	GPtrArray *batch = g_ptr_array_new();
	uint64_t octets = 0;
	uint32_t ops = 0;

	PH_LOCKED(&account->lock);
	while (!g_queue_is_empty(&account->waiting)) {
		PhTx *tx = g_queue_peek_head(&account->waiting);

		if (batch->len > 0
		    && (tx->is_refresh || ops + tx->public.n_ops > PH_LANE_OPS
		        || octets + tx->octets > PH_LANE_OCTETS))
			break;
		g_ptr_array_add(batch, g_queue_pop_head(&account->waiting));
		ops += tx->public.n_ops;
		octets += tx->octets;
		if (tx->is_refresh)
			break;
	}
	return batch;
}

static bool
commit_once(PhAccount *account, GPtrArray *batch, GError **error)
{
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return false;
	call.is_blind = true;
	good = call.table->commit(call.engine, (PhTransaction *const *) batch->pdata, batch->len,
	                          error);
	ph_account_leave(&call, good);
	return good;
}

/* Asks an engine that can tell. Returns: every transaction of the batch is known to be done. */
static bool
ask_outcome(PhAccount *account, GPtrArray *batch)
{
	PhAccountCall call;
	bool good = true;

	if (account->store->outcome == NULL || !ph_account_enter(account, &call, NULL))
		return false;
	call.is_blind = true;
	for (guint i = 0; i < batch->len && good; i++) {
		PhTransaction *transaction = g_ptr_array_index(batch, i);

		good = call.table->outcome(call.engine, transaction, NULL) && transaction->done;
	}
	ph_account_leave(&call, true);
	return good;
}

static void
wait_for_outcome(PhAccount *account, const GError *why, uint64_t wait_us)
{
	ph_log_section(account->section, PH_LOG_WARNING, "outcome-unknown",
	               "the store cannot say whether a commit happened; the account waits",
	               PH_LOG_TEXT("account", ph_identity_address(ph_account_identity(account))),
	               PH_LOG_FAILURE(why), PH_LOG_END);
	g_usleep(wait_us);
}

/* Once the engine could not say, "not now" is no answer either: the batch may be there. Then the
 * lane stands still until the engine tells, or takes the same ids again. */
static bool
commit(PhAccount *account, GPtrArray *batch, GError **error)
{
	uint64_t wait_us = UNKNOWN_WAIT_US;
	bool is_unknown = false;

	for (;;) {
		g_autoptr(GError) why = NULL;

		if (commit_once(account, batch, &why))
			return true;
		is_unknown = is_unknown || g_error_matches(why, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN);
		if (!is_unknown || !ph_error_is_temporary(why)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		wait_for_outcome(account, why, wait_us);
		wait_us = MIN(wait_us * 2, UNKNOWN_WAIT_MAX_US);
		if (ask_outcome(account, batch))
			return true;
	}
}

static void
note_op(PhAccount *account, const PhOp *op, uint64_t change)
{
	switch (op->kind) {
	case PH_OP_CREATE:
	case PH_OP_RENAME:
	case PH_OP_REMOVE:
		ph_lock_take(&account->lock);
		account->list_version++;
		ph_lock_drop(&account->lock);
		break;
	default:
		break;
	}
	if (op->kind != PH_OP_PUT && op->kind != PH_OP_CREATE)
		ph_account_touched(account, &op->mailbox, change);
	if (op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE)
		ph_account_touched(account, &op->to, change);
}

static bool
is_refresh(const GPtrArray *batch)
{
	return ((const PhTx *) g_ptr_array_index(batch, 0))->is_refresh;
}

/* What others know of the account is old now; a refresh says for itself what is news. */
static void
note_commit(PhAccount *account, GPtrArray *batch)
{
	if (is_refresh(batch))
		return;
	ph_lock_take(&account->lock);
	account->counts_version++;
	ph_lock_drop(&account->lock);
	for (guint i = 0; i < batch->len; i++) {
		const PhTx *tx = g_ptr_array_index(batch, i);

		for (uint32_t j = 0; tx->public.done && j < tx->public.n_ops; j++)
			note_op(account, tx->public.ops[j], tx->public.change);
	}
}

static void
resolve(PhTx *tx, bool committed, const GError *why)
{
	if (!committed) {
		tx->public.done = false;
		g_clear_error(&tx->public.error);
		tx->public.error = g_error_copy(why);
	}
	if (tx->whole == NULL) {
		ph_tx_resolve(tx);
		return;
	}
	tx = ph_tx_take_step(tx);
	if (tx != NULL)
		ph_lane_submit(tx);
}

/* A refresh is a batch of its own. */
static bool
apply(PhAccount *account, GPtrArray *batch, GError **error)
{
	PhTx *tx = g_ptr_array_index(batch, 0);
	uint64_t started_us = ph_clock_us();
	bool good = false;

	if (!is_refresh(batch)) {
		good = commit(account, batch, error);
		ph_tx_note_time(account, batch, ph_clock_us() - started_us);
		return good;
	}
	tx->public.done = ph_foreign_run(tx, error);
	return tx->public.done;
}

static void
resolve_all(GPtrArray *batch, bool good, const GError *error)
{
	for (guint i = 0; i < batch->len; i++)
		resolve(g_ptr_array_index(batch, i), good, error);
}

/* When it is durable, and before the transactions are gone. */
static void
tell_others(GPtrArray *batch)
{
	ph_account_tell_others(((const PhTx *) g_ptr_array_index(batch, 0))->account);
}

/* --- with a journal ------------------------------------------------------------------------------ */

/* Undecided: a batch that is applied and waits until that is durable; the lane goes on. */
typedef struct {
	PhHorizonWait wait; /* first */
	GPtrArray *batch;
} Undecided;

static void
decided(PhHorizonWait *wait, bool durable)
{
	Undecided *undecided = (Undecided *) wait;
	g_autoptr(GError) error = NULL;

	if (durable)
		tell_others(undecided->batch);
	else
		ph_error_set(&error, PH_ERROR_OUTCOME_UNKNOWN, "the journal has failed");
	resolve_all(undecided->batch, durable, error);
	g_ptr_array_unref(undecided->batch);
	g_free(undecided);
}

static void
wait_until_durable(GPtrArray *batch, uint64_t position)
{
	Undecided *undecided = g_new0(Undecided, 1);

	undecided->wait = (PhHorizonWait){ .position = position, .func = decided };
	undecided->batch = g_ptr_array_ref(batch);
	ph_horizon_wait(&undecided->wait);
}

/* What cannot go through the journal is made durable in the store. */
static bool
sync_store(PhAccount *account, GError **error)
{
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return false;
	call.is_blind = true;
	good = call.table->sync(call.engine, error);
	ph_account_leave(&call, good);
	return good;
}

static void
begin_commit(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	account->n_begun++;
}

/* Whoever has seen the commit may now ask for its position. */
static void
end_commit(PhAccount *account, uint64_t position)
{
	PH_LOCKED(&account->lock);
	account->entered = MAX(account->entered, position);
	account->n_entered++;
	ph_signal_all(&account->moved);
}

/* Of what is applied already: a failure leaves open what happened. */
static bool
sync_applied(PhAccount *account, GError **error)
{
	g_autoptr(GError) why = NULL;

	if (sync_store(account, &why))
		return true;
	ph_error_set(error, PH_ERROR_OUTCOME_UNKNOWN, "%s", why->message);
	return false;
}

/* Into the journal, or else into the store for good. */
static bool
enter(PhAccount *account, GPtrArray *batch, uint64_t *position_out, GError **error)
{
	const PhJournalBatch entry = {
		.section = ph_section_name(account->section),
		.identity = ph_account_identity(account),
		.transactions = (PhTransaction *const *) batch->pdata,
		.n = batch->len,
		.content = ph_tx_content,
		.is_hidden = (account->store->abilities & PH_STORE_HIDES_OCTETS) != 0,
	};

	return ph_journal_enter(account->journal, &entry, position_out)
	       || sync_applied(account, error);
}

/* What people wrote into values is no more for the journal than what messages say. */
static bool
puts_hidden(const PhAccount *account, const GPtrArray *batch)
{
	if ((account->store->abilities & PH_STORE_HIDES_OCTETS) == 0)
		return false;
	for (guint i = 0; i < batch->len; i++) {
		const PhTransaction *transaction = g_ptr_array_index(batch, i);

		for (uint32_t j = 0; j < transaction->n_ops; j++)
			if (transaction->ops[j]->kind == PH_OP_PUT)
				return true;
	}
	return false;
}

/* Makes what is applied durable, or sees to it that it becomes so. */
static bool
secure(PhAccount *account, GPtrArray *batch, uint64_t *position_out, GError **error)
{
	if (is_refresh(batch))
		return sync_store(account, error);
	if (puts_hidden(account, batch))
		return sync_applied(account, error);
	return enter(account, batch, position_out, error);
}

static uint64_t
size_of(const GPtrArray *batch)
{
	uint64_t size = 0;

	for (guint i = 0; i < batch->len; i++)
		size += ph_journal_size_of(g_ptr_array_index(batch, i));
	return size;
}

static void
work_deferred(PhAccount *account, GPtrArray *batch)
{
	uint64_t size = size_of(batch);
	uint64_t position = 0;
	g_autoptr(GError) error = NULL;
	bool is_applied = false;
	bool good =
		ph_journal_reserve(account->journal, size, ph_clock_us() + ROOM_WAIT_US, &error);

	if (good) {
		begin_commit(account);
		is_applied = apply(account, batch, &error);
		good = is_applied && secure(account, batch, &position, &error);
		end_commit(account, position);
		ph_journal_unreserve(account->journal, size);
	}
	ph_account_release(account);
	if (is_applied)
		note_commit(account, batch);
	if (good)
		wait_until_durable(batch, position);
	else
		resolve_all(batch, false, error);
}

static void
work_directly(PhAccount *account, GPtrArray *batch)
{
	g_autoptr(GError) error = NULL;
	bool good = apply(account, batch, &error);

	ph_account_release(account);
	if (good) {
		note_commit(account, batch);
		tell_others(batch);
	}
	resolve_all(batch, good, error);
}

/* The handle is kept until the commit is done: with another one the account may defer, or not. */
static void
work(PhAccount *account)
{
	g_autoptr(GPtrArray) batch = take_batch(account);
	g_autoptr(GError) error = NULL;

	if (batch->len == 0)
		return;
	if (ph_account_acquire(account, &error) == NULL) {
		resolve_all(batch, false, error);
		return;
	}
	if (account->journal != NULL)
		work_deferred(account, batch);
	else
		work_directly(account, batch);
}

/* --- the pool ------------------------------------------------------------------------------------ */

/* Has more come? Then the account stays scheduled. A held one comes to rest all the same. */
static bool
goes_on(PhAccount *account, PhJournal **expecting_out)
{
	PH_LOCKED(&account->lock);
	*expecting_out = account->expecting;
	account->scheduled = !account->is_held && !g_queue_is_empty(&account->waiting);
	if (account->is_held)
		ph_signal_all(&account->moved);
	return account->scheduled;
}

/* The fastest of some commits tells how long the disk takes, however busy the processors are. The
 * pool is locked. */
static void
note_time(uint64_t us)
{
	pool.window_us = pool.n_timed == 0 ? us : MIN(pool.window_us, us);
	if (++pool.n_timed < WINDOW)
		return;
	pool.fastest_us = pool.window_us;
	pool.n_timed = 0;
}

static unsigned
most_threads(void)
{
	uint64_t wanted = pool.n_processors * (1 + pool.fastest_us / COMPUTE_US);

	return (unsigned) CLAMP(wanted, MIN_THREADS, PH_LANE_THREADS);
}

/* Returns: NULL when there is nothing to do and this thread is one too many. */
static PhAccount *
next_account(PhAccount *again, uint64_t last_us)
{
	PhAccount *account = NULL;

	PH_LOCKED(&pool.lock);
	if (last_us > 0)
		note_time(last_us);
	if (again != NULL)
		g_queue_push_tail(&pool.accounts, again);
	if (g_queue_is_empty(&pool.accounts) && pool.n_threads > most_threads()) {
		pool.n_threads--;
		return NULL;
	}
	pool.n_idle++;
	while (g_queue_is_empty(&pool.accounts))
		ph_signal_wait(&pool.work, &pool.lock);
	pool.n_idle--;
	account = g_queue_pop_head(&pool.accounts);
	return account;
}

static void *
work_for_ever(void *data)
{
	PhAccount *again = NULL;
	uint64_t last_us = 0;

	for (;;) {
		PhAccount *account = next_account(again, last_us);
		uint64_t started_us = ph_clock_us();
		PhJournal *expecting = NULL;

		if (account == NULL)
			return NULL;
		work(account);
		last_us = ph_clock_us() - started_us;
		again = goes_on(account, &expecting) ? account : NULL;
		if (again != NULL)
			continue;
		if (expecting != NULL)
			ph_journal_expect(expecting, -1);
		ph_account_unref(account);
	}
}

static void
schedule(PhAccount *account)
{
	bool some_idle = false;

	account->expecting = g_atomic_pointer_get(&account->journal);
	if (account->expecting != NULL)
		ph_journal_expect(account->expecting, 1);
	ph_lock_take(&pool.lock);
	if (!pool.ready) {
		ph_signal_init(&pool.work);
		pool.n_processors = g_get_num_processors();
		pool.ready = true;
	}
	g_queue_push_tail(&pool.accounts, ph_account_ref(account));
	if (pool.n_idle < g_queue_get_length(&pool.accounts) && pool.n_threads < most_threads()) {
		pool.n_threads++;
		g_thread_unref(g_thread_new("commit", work_for_ever, NULL));
	}
	some_idle = pool.n_idle > 0;
	ph_lock_drop(&pool.lock);
	/* who wakes finds the lock free; who is not idle yet looks before it waits */
	if (some_idle)
		ph_signal_one(&pool.work);
}

void
ph_lane_submit(PhTx *tx)
{
	PhAccount *account = tx->account;
	bool was_at_rest = false;

	if (tx->whole == NULL && ph_tx_needs_steps(tx)) {
		tx->state = PH_TX_WAITING;
		tx = ph_tx_next_step(tx);
	}
	ph_lock_take(&account->lock);
	tx->state = PH_TX_WAITING;
	g_queue_push_tail(&account->waiting, tx);
	was_at_rest = !account->scheduled && !account->is_held;
	account->scheduled = account->scheduled || was_at_rest;
	ph_lock_drop(&account->lock);
	if (was_at_rest)
		schedule(account);
}

/* --- holding ------------------------------------------------------------------------------------- */

void
ph_account_hold(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	while (account->is_held)
		ph_signal_wait(&account->moved, &account->lock);
	account->is_held = true;
	while (account->scheduled)
		ph_signal_wait(&account->moved, &account->lock);
}

void
ph_account_let_go(PhAccount *account)
{
	bool has_work = false;

	ph_lock_take(&account->lock);
	account->is_held = false;
	has_work = !account->scheduled && !g_queue_is_empty(&account->waiting);
	account->scheduled = account->scheduled || has_work;
	ph_signal_all(&account->moved);
	ph_lock_drop(&account->lock);
	if (has_work)
		schedule(account);
}

bool
ph_account_commit_held(PhAccount *account, PhTransaction *transaction, GError **error)
{
	g_autoptr(GPtrArray) batch = g_ptr_array_new();
	bool good = false;

	if (ph_account_acquire(account, error) == NULL)
		return false;
	g_ptr_array_add(batch, transaction);
	/* who sees it before it is durable waits */
	begin_commit(account);
	good = commit(account, batch, error)
	       && (account->journal == NULL || sync_store(account, error));
	end_commit(account, 0);
	ph_account_release(account);
	if (!good)
		return false;
	note_commit(account, batch);
	tell_others(batch);
	if (!transaction->done && error != NULL && transaction->error != NULL)
		*error = g_error_copy(transaction->error);
	return transaction->done;
}

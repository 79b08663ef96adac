/* ownership.c: what one process alone may have: the journal and the queue
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/ownership.h"

#include <posthorn/error.h>

#include "mailbox/account.h"
#include "server/durability.h"

#define QUIET_TIME                 \
	(PhDuration)               \
	{                          \
		UINT64_C(10000000) \
	}

struct PhOwnership {
	PhRuntime *runtime;
	void (*failed)(void *user_data);
	void (*done)(const char *why, void *user_data);
	void *user_data;
	PhJournal *journal; /* (nullable) */
	GPtrArray *former;  /* of PhJournal: ended ones, which somebody may still look at */
	bool has_queue;
	GThread *yielding; /* (nullable) it alone uses what is above meanwhile */
	gint cancelled;    /* atomic: it is to end */
	GError *error;     /* (nullable) the thread's */
};

PhOwnership *
ph_ownership_new(PhRuntime *runtime, void (*failed)(void *user_data), void *user_data)
{
	PhOwnership *ownership = g_new0(PhOwnership, 1);

	ownership->runtime = runtime;
	ownership->failed = failed;
	ownership->user_data = user_data;
	ownership->former = g_ptr_array_new_with_free_func((GDestroyNotify) ph_journal_free);
	return ownership;
}

/* --- taking ----------------------------------------------------------------------------------- */

static bool
take_journal(PhOwnership *ownership, const PhConfig *config, GError **error)
{
	if (!ph_durability_open(config, ownership->failed, ownership->user_data,
	                        &ownership->journal, NULL, error))
		return false;
	ph_accounts_configure(&(PhAccountsParams){
		.open_accounts = (size_t) ph_config_server(config)->open_accounts,
		.journal = ownership->journal,
		.commits_directly = true,
	});
	return true;
}

bool
ph_ownership_take(PhOwnership *ownership, PhConfig *config, GError **error)
{
	PhQueueRun *queue = ownership->runtime->queue;

	if (ownership->yielding != NULL) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "another process is about to take over; try again soon");
		return false;
	}
	if (ownership->journal == NULL && !take_journal(ownership, config, error))
		return false;
	if (!ph_durability_check(ownership->journal, config, error))
		return false;
	if (queue == NULL || ownership->has_queue)
		return true;
	ownership->has_queue = ph_queue_run_take(queue, config, error);
	return ownership->has_queue;
}

bool
ph_ownership_defer(PhOwnership *ownership, const PhConfig *config, GError **error)
{
	bool was_started = false;

	if (ownership->yielding != NULL)
		return true;
	/* what was left beside the queue by the last one that has ended */
	ph_ownership_tend(ownership);
	if (ownership->journal == NULL)
		return true;
	was_started = ph_journal_is_started(ownership->journal);
	if (!ph_durability_start(ownership->journal, config, error))
		return false;
	if (!was_started && ph_journal_is_started(ownership->journal))
		ph_accounts_use_journal(ownership->journal);
	return true;
}

/* --- letting go ------------------------------------------------------------------------------- */

/* Everything is durable in the stores when another process may open the journal. */
static bool
end_journal(PhOwnership *ownership, GError **error)
{
	if (ownership->journal == NULL)
		return true;
	if (!ph_accounts_begin_switch(QUIET_TIME, &ownership->cancelled)) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "an account was in use all the time, and the journal cannot change "
		             "hands; try again");
		return false;
	}
	ph_durability_yield(ownership->journal);
	g_ptr_array_add(ownership->former, g_steal_pointer(&ownership->journal));
	ph_accounts_end_switch(NULL);
	return true;
}

static bool
yield_all(PhOwnership *ownership, GError **error)
{
	PhQueueRun *queue = ownership->runtime->queue;

	if (ownership->journal != NULL && ph_journal_has_pending(ownership->journal)) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "accounts are still being replayed; try again soon");
		return false;
	}
	if (queue != NULL && !ph_queue_run_yield(queue, QUIET_TIME, &ownership->cancelled, error))
		return false;
	ownership->has_queue = false;
	return end_journal(ownership, error);
}

static gboolean
tell(gpointer user_data)
{
	PhOwnership *ownership = user_data;
	g_autoptr(GError) error = g_steal_pointer(&ownership->error);

	if (ownership->yielding == NULL)
		return G_SOURCE_REMOVE;
	(void) g_thread_join(g_steal_pointer(&ownership->yielding));
	ownership->done(error != NULL ? error->message : NULL, ownership->user_data);
	return G_SOURCE_REMOVE;
}

static void *
yield_now(void *data)
{
	PhOwnership *ownership = data;

	(void) yield_all(ownership, &ownership->error);
	g_idle_add(tell, ownership);
	return NULL;
}

void
ph_ownership_yield(PhOwnership *ownership, void (*done)(const char *why, void *user_data))
{
	if (ownership->yielding != NULL)
		return;
	ownership->done = done;
	ownership->yielding = g_thread_new("yield", yield_now, ownership);
}

void
ph_ownership_tend(PhOwnership *ownership)
{
	PhQueueRun *queue = ownership->runtime->queue;

	if (queue == NULL || ownership->yielding != NULL)
		return;
	if (ownership->has_queue)
		ph_queue_run_adopt(queue);
	else
		ph_queue_run_turn(queue);
}

/* --- the end ---------------------------------------------------------------------------------- */

void
ph_ownership_stop(PhOwnership *ownership)
{
	g_atomic_int_set(&ownership->cancelled, 1);
	if (ownership->yielding != NULL)
		(void) g_thread_join(g_steal_pointer(&ownership->yielding));
}

void
ph_ownership_close(PhOwnership *ownership, const PhConfig *config)
{
	if (ownership == NULL)
		return;
	ph_ownership_stop(ownership);
	ph_queue_run_close(ownership->runtime->queue);
	ph_durability_end(ownership->journal, config);
	g_clear_error(&ownership->error);
	g_ptr_array_unref(ownership->former);
	g_free(ownership);
}

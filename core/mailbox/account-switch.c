/* account-switch.c: all handles change between deferred commits and durable ones
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "mailbox/account-registry.h"

enum {
	SWITCH_LOOK_US = 5000,
};

/* With the registry's lock held: whoever needs a handle next, when nobody uses it, opens it anew. */
static void
outdate_all(void)
{
	for (guint i = 0; ph_account_registry.open != NULL && i < ph_account_registry.open->len;
	     i++) {
		PhAccount *account = g_ptr_array_index(ph_account_registry.open, i);

		PH_LOCKED(&account->lock);
		account->is_outdated = true;
	}
}

static bool
is_any_open(void)
{
	PH_LOCKED(&ph_account_registry.lock);
	if ((ph_account_registry.open == NULL || ph_account_registry.open->len == 0)
	    && ph_account_registry.n_moving == 0)
		return false;
	(void) ph_signal_wait_until(&ph_account_registry.moved, &ph_account_registry.lock,
	                            ph_clock_us() + SWITCH_LOOK_US);
	return (ph_account_registry.open != NULL && ph_account_registry.open->len > 0)
	       || ph_account_registry.n_moving > 0;
}

bool
ph_accounts_begin_switch(PhDuration within, gint *cancelled)
{
	uint64_t deadline_us = ph_clock_us() + within.us;
	bool is_open = true;

	ph_lock_take(&ph_account_registry.lock);
	ph_account_registry.is_switching = true;
	outdate_all();
	ph_lock_drop(&ph_account_registry.lock);
	while (is_open && ph_clock_us() < deadline_us && g_atomic_int_get(cancelled) == 0) {
		while (ph_accounts_close_oldest(NULL, 0))
			;
		is_open = is_any_open();
	}
	if (!is_open)
		return true;
	PH_LOCKED(&ph_account_registry.lock);
	ph_account_registry.is_switching = false;
	ph_signal_all(&ph_account_registry.moved);
	return false;
}

void
ph_accounts_end_switch(PhJournal *journal)
{
	PH_LOCKED(&ph_account_registry.lock);
	ph_account_registry.journal = journal;
	ph_account_registry.defers = journal != NULL;
	ph_account_registry.is_switching = false;
	ph_signal_all(&ph_account_registry.moved);
}

void
ph_accounts_use_journal(PhJournal *journal)
{
	PH_LOCKED(&ph_account_registry.lock);
	ph_account_registry.journal = journal;
	ph_account_registry.defers = journal != NULL;
	outdate_all();
}

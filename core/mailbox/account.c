/* account.c: accounts of the process: one object a user and section, few open engine handles
 *
 * An account object lives as long as somebody refers to it or its handle is open. Handles are
 * opened when first needed and closed when too many are open, the one used longest ago first; a
 * session that idles holds none. Opening and closing happen outside all locks; others wait for
 * the state to change.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/account.h"

#include <posthorn/slice.h>

#include "base/attempt.h"
#include "base/clock.h"
#include "base/horizon.h"
#include "base/identity.h"
#include "config/config.h"
#include "journal/journal.h"
#include "mailbox/account-registry.h"
#include "mailbox/echo.h"
#include "mailbox/foreign.h"
#include "plugin/call.h"
#include "plugin/instance.h"

#include <sys/random.h>

PhAccountRegistry ph_account_registry = { .lock = PH_LOCK_INIT, .max_open = PH_ACCOUNTS_OPEN };

/* --- life --------------------------------------------------------------------------------------- */

guint
ph_mailbox_id_hash(gconstpointer key)
{
	guint value = 0;

	memcpy(&value, ((const PhMailboxId *) key)->octets, sizeof value);
	return value;
}

gboolean
ph_mailbox_id_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(PhMailboxId)) == 0;
}

void
ph_mailbox_random(uint8_t *octets, size_t length)
{
	ssize_t got = getrandom(octets, length, 0);

	for (size_t i = got > 0 ? (size_t) got : 0; i < length; i++)
		octets[i] = (uint8_t) g_random_int();
}

/* @key, @identity: (owned). */
static PhAccount *
account_new(char *key, PhSection *section, PhIdentity *identity)
{
	PhAccount *account = g_new0(PhAccount, 1);

	account->key = key;
	account->echo = ph_echo_key(key);
	account->section = section;
	account->config = section->config != NULL ? ph_config_ref(section->config) : NULL;
	account->store = ph_section_table(section);
	account->identity = identity;
	account->list_version = 1;
	ph_lock_init(&account->lock);
	ph_signal_init(&account->moved);
	g_queue_init(&account->waiting);
	account->mailboxes = g_hash_table_new_full(ph_mailbox_id_hash, ph_mailbox_id_equal, g_free,
	                                           (GDestroyNotify) ph_mailbox_unref);
	account->foreign = ph_foreign_new(account);
	return account;
}

static void
account_free(PhAccount *account)
{
	ph_foreign_free(account->foreign);
	ph_names_unref(account->names);
	g_hash_table_destroy(account->mailboxes);
	ph_signal_clear(&account->moved);
	ph_lock_clear(&account->lock);
	ph_identity_unref(account->identity);
	if (account->config != NULL)
		ph_config_unref(account->config);
	if (account->former != NULL)
		g_ptr_array_unref(account->former);
	g_free(account->moved_to);
	g_free(account->key);
	g_free(account);
}

/* With the registry's lock held: accounts with the same key are in a row, the newest first. */
static void
leave_row(PhAccount *account)
{
	PhAccount *first = g_hash_table_lookup(ph_account_registry.accounts, account->key);
	PhAccount *before = first;

	if (first != account) {
		while (before != NULL && before->sibling != account)
			before = before->sibling;
		if (before == NULL)
			return;
		before->sibling = account->sibling;
		g_atomic_int_add(&ph_account_registry.n_siblings, -1);
		return;
	}
	if (account->sibling == NULL) {
		(void) g_hash_table_remove(ph_account_registry.accounts, account->key);
		return;
	}
	(void) g_hash_table_replace(ph_account_registry.accounts, account->sibling->key,
	                            account->sibling);
	g_atomic_int_add(&ph_account_registry.n_siblings, -1);
}

/* With the registry's lock held: nobody refers to it and nothing is open. */
static bool
take_if_unused(PhAccount *account)
{
	if (g_atomic_int_get(&account->n_refs) != 0 || account->state != PH_HANDLE_CLOSED)
		return false;
	leave_row(account);
	return true;
}

PhAccount *
ph_account_ref(PhAccount *account)
{
	g_atomic_int_inc(&account->n_refs);
	return account;
}

/* The last reference is given up under the registry's lock, so that nobody finds what goes away. */
void
ph_account_unref(PhAccount *account)
{
	bool unused = false;
	gint n = account != NULL ? g_atomic_int_get(&account->n_refs) : 0;

	while (n > 1) {
		if (g_atomic_int_compare_and_exchange(&account->n_refs, n, n - 1))
			return;
		n = g_atomic_int_get(&account->n_refs);
	}
	if (n == 0)
		return;
	ph_lock_take(&ph_account_registry.lock);
	if (g_atomic_int_dec_and_test(&account->n_refs))
		unused = take_if_unused(account);
	ph_lock_drop(&ph_account_registry.lock);
	if (unused)
		account_free(account);
}

/* --- handles ------------------------------------------------------------------------------------ */

/* With the registry's lock held. */
void
ph_accounts_moved(void)
{
	ph_account_registry.n_moving--;
	if (ph_account_registry.ready)
		ph_signal_all(&ph_account_registry.moved);
}

/* Waits while the handles of the process change from one way of committing to the other. */
static void
begin_opening_one(void)
{
	PH_LOCKED(&ph_account_registry.lock);
	while (ph_account_registry.is_switching)
		ph_signal_wait(&ph_account_registry.moved, &ph_account_registry.lock);
	ph_account_registry.n_moving++;
}

static void
close_handle(PhAccount *account)
{
	account->store->close_account(account->handle);
	ph_foreign_closed(account);
	ph_lock_take(&account->lock);
	account->handle = NULL;
	account->state = PH_HANDLE_CLOSED;
	ph_signal_all(&account->moved);
	ph_lock_drop(&account->lock);
}

/* With the registry's lock held: claims the handle of the account used longest ago. Returns: one
 * reference, the handle is to be closed; NULL when none is idle. */
static PhAccount *
claim_oldest(PhSection *section)
{
	PhAccount *oldest = NULL;
	uint64_t oldest_used = UINT64_MAX;

	for (guint i = 0; i < ph_account_registry.open->len; i++) {
		PhAccount *account = g_ptr_array_index(ph_account_registry.open, i);
		uint64_t last_used = 0;

		if (section != NULL && account->section != section)
			continue;
		ph_lock_take(&account->lock);
		last_used = account->n_users == 0 && account->state == PH_HANDLE_OPEN
		                    ? account->last_used
		                    : UINT64_MAX;
		ph_lock_drop(&account->lock);
		if (last_used < oldest_used) {
			oldest = account;
			oldest_used = last_used;
		}
	}
	if (oldest == NULL)
		return NULL;
	PH_LOCKED(&oldest->lock);
	if (oldest->n_users != 0 || oldest->state != PH_HANDLE_OPEN)
		return NULL;
	oldest->state = PH_HANDLE_MOVING;
	ph_account_registry.n_moving++;
	(void) g_ptr_array_remove_fast(ph_account_registry.open, oldest);
	return ph_account_ref(oldest);
}

bool
ph_accounts_close_oldest(PhSection *section, size_t keep)
{
	PhAccount *account = NULL;

	ph_lock_take(&ph_account_registry.lock);
	if (ph_account_registry.open != NULL && ph_account_registry.open->len > keep)
		account = claim_oldest(section);
	ph_lock_drop(&ph_account_registry.lock);
	if (account == NULL)
		return false;
	close_handle(account);
	ph_lock_take(&ph_account_registry.lock);
	ph_accounts_moved();
	ph_lock_drop(&ph_account_registry.lock);
	ph_account_unref(account);
	return true;
}

static bool
begin_opening(const PhAccount *account, PhAttempt *attempt, GError **error)
{
	char name[PH_ATTEMPT_NAME];

	g_snprintf(name, sizeof name, "opening '%s' in store '%s'",
	           ph_identity_address(ph_account_identity(account)),
	           ph_section_name(account->section));
	return ph_attempt_begin(attempt, PH_ATTEMPT_ACCOUNT, ph_attempt_key(name), name, error);
}

static bool
open_handle(PhAccount *account, void **handle_out, GError **error)
{
	PhAttempt attempt;
	PhCall call;
	bool good = false;

	while (ph_accounts_close_oldest(NULL, ph_account_registry.max_open - 1))
		;
	if (!begin_opening(account, &attempt, error))
		return false;
	if (ph_call_begin(&call, account->section, error)) {
		good = account->store->open_account(ph_section_instance(account->section),
		                                    ph_account_identity(account), handle_out,
		                                    error);
		if (good && !ph_account_prepare(account, *handle_out, error)) {
			account->store->close_account(*handle_out);
			*handle_out = NULL;
			good = false;
		}
		ph_call_end(&call, good);
	}
	ph_attempt_end(&attempt);
	return good;
}

/* Closes the handle that we have claimed because it is outdated. */
static void
close_outdated(PhAccount *account)
{
	ph_lock_take(&ph_account_registry.lock);
	(void) g_ptr_array_remove_fast(ph_account_registry.open, account);
	ph_account_registry.n_moving++;
	ph_lock_drop(&ph_account_registry.lock);
	account->store->close_account(account->handle);
	ph_foreign_closed(account);
	PH_LOCKED(&ph_account_registry.lock);
	ph_accounts_moved();
}

/* Is the handle there, or are we the one to open it? With the account's lock held. */
static bool
use_or_claim(PhAccount *account, void **handle_out)
{
	while (account->state == PH_HANDLE_MOVING)
		ph_signal_wait(&account->moved, &account->lock);
	if (account->state == PH_HANDLE_OPEN && (account->n_users > 0 || !account->is_outdated)) {
		account->n_users++;
		*handle_out = account->handle;
		return true;
	}
	*handle_out = account->state == PH_HANDLE_OPEN ? account->handle : NULL;
	account->state = PH_HANDLE_MOVING;
	account->is_outdated = false;
	return false;
}

void *
ph_account_acquire(PhAccount *account, GError **error)
{
	void *handle = NULL;
	bool good = false;

	ph_lock_take(&account->lock);
	good = use_or_claim(account, &handle);
	ph_lock_drop(&account->lock);
	if (good)
		return handle;
	if (handle != NULL)
		close_outdated(account);
	begin_opening_one();
	good = open_handle(account, &handle, error);
	ph_lock_take(&ph_account_registry.lock);
	ph_lock_take(&account->lock);
	account->handle = good ? handle : NULL;
	account->state = good ? PH_HANDLE_OPEN : PH_HANDLE_CLOSED;
	account->n_users = good ? 1 : 0;
	account->last_used = ph_clock_us();
	ph_signal_all(&account->moved);
	ph_lock_drop(&account->lock);
	if (good)
		g_ptr_array_add(ph_account_registry.open, account);
	ph_accounts_moved();
	ph_lock_drop(&ph_account_registry.lock);
	return good ? handle : NULL;
}

void
ph_account_release(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	account->n_users--;
	account->last_used = ph_clock_us();
	if (account->n_users == 0)
		ph_signal_all(&account->moved);
}

bool
ph_account_enter(PhAccount *account, PhAccountCall *call, GError **error)
{
	if (g_atomic_int_get(&account->is_retired)) {
		ph_error_set(error, PH_ERROR_GONE, "the user was moved to another store");
		return false;
	}
	call->account = account;
	call->is_blind = false;
	call->table = account->store;
	call->engine = ph_account_acquire(account, error);
	if (call->engine == NULL)
		return false;
	if (ph_call_begin(&call->call, account->section, error))
		return true;
	ph_account_release(account);
	return false;
}

void
ph_account_leave(PhAccountCall *call, bool ok)
{
	ph_call_end(&call->call, ok);
	if (!call->is_blind)
		ph_account_show(call->account);
	ph_account_release(call->account);
}

static void
show(PhAccount *account)
{
	uint64_t begun = 0;
	uint64_t position = 0;

	ph_lock_take(&account->lock);
	begun = account->n_begun;
	while (account->n_entered < begun)
		ph_signal_wait(&account->moved, &account->lock);
	position = account->entered;
	ph_lock_drop(&account->lock);
	ph_horizon_show(position);
}

/* A commit that runs now may have been seen already, and has no position yet; it may be one of another
 * config's account. */
void
ph_account_show(PhAccount *account)
{
	g_autoptr(GPtrArray) others = NULL;

	if (!ph_horizon_is_collecting())
		return;
	if (g_atomic_pointer_get(&account->journal) != NULL)
		show(account);
	others = ph_account_siblings(account);
	for (guint i = 0; others != NULL && i < others->len; i++)
		show(others->pdata[i]);
}

/* --- open mailboxes -------------------------------------------------------------------------- */

PhMailbox *
ph_account_mailbox(PhAccount *account, const PhMailboxId *id)
{
	PhMailbox *mailbox = NULL;

	PH_LOCKED(&account->lock);
	mailbox = g_hash_table_lookup(account->mailboxes, id);
	if (mailbox == NULL) {
		mailbox = ph_mailbox_new(account, id);
		(void) g_hash_table_insert(account->mailboxes, g_memdup2(id, sizeof *id), mailbox);
	}
	return ph_mailbox_ref(mailbox);
}

void
ph_account_touched(PhAccount *account, const PhMailboxId *id, uint64_t change)
{
	PhMailbox *mailbox = NULL;

	ph_lock_take(&account->lock);
	mailbox = g_hash_table_lookup(account->mailboxes, id);
	if (mailbox != NULL)
		(void) ph_mailbox_ref(mailbox);
	ph_lock_drop(&account->lock);
	if (mailbox != NULL)
		ph_mailbox_touched(mailbox, change);
	ph_mailbox_unref(mailbox);
}

/* --- the cache ----------------------------------------------------------------------------------- */

void
ph_accounts_configure(const PhAccountsParams *params)
{
	PH_LOCKED(&ph_account_registry.lock);
	if (!ph_account_registry.ready)
		ph_signal_init(&ph_account_registry.moved);
	ph_account_registry.ready = true;
	ph_account_registry.max_open =
		params->open_accounts != 0 ? params->open_accounts : PH_ACCOUNTS_OPEN;
	ph_account_registry.journal = params->journal;
	ph_account_registry.defers = params->journal != NULL && !params->commits_directly;
}

PhJournal *
ph_accounts_journal(void)
{
	PH_LOCKED(&ph_account_registry.lock);
	return ph_account_registry.journal;
}

PhJournal *
ph_account_journal(const PhAccount *account)
{
	PhJournal *journal = NULL;

	ph_lock_take(&ph_account_registry.lock);
	if (ph_account_registry.defers && account->store->defer != NULL)
		journal = ph_account_registry.journal;
	ph_lock_drop(&ph_account_registry.lock);
	return journal != NULL && ph_journal_is_started(journal) ? journal : NULL;
}

/* An account of the section whose handle is open. Returns: one reference, or NULL. */
static PhAccount *
find_open(const PhSection *section)
{
	PH_LOCKED(&ph_account_registry.lock);
	for (guint i = 0; ph_account_registry.open != NULL && i < ph_account_registry.open->len;
	     i++) {
		PhAccount *account = g_ptr_array_index(ph_account_registry.open, i);

		if (section == NULL || account->section == section)
			return ph_account_ref(account);
	}
	return NULL;
}

static bool
wait_until_idle(PhAccount *account, uint64_t deadline_us)
{
	PH_LOCKED(&account->lock);
	while (account->n_users > 0 && account->state == PH_HANDLE_OPEN)
		if (!ph_signal_wait_until(&account->moved, &account->lock, deadline_us))
			return false;
	return true;
}

/* A call that hangs in a plugin is not waited for longer than a stop may take. */
void
ph_accounts_forget_section(PhSection *section)
{
	const uint64_t grace_us = 4 * G_USEC_PER_SEC;
	uint64_t deadline_us = (uint64_t) g_get_monotonic_time() + grace_us;
	bool idle = true;

	while (idle) {
		g_autoptr(PhAccount) account = NULL;

		while (ph_accounts_close_oldest(section, 0))
			;
		account = find_open(section);
		if (account == NULL)
			return;
		idle = wait_until_idle(account, deadline_us);
	}
}

/* The identity with these limits. Returns: (owned). */
static PhIdentity *
limited(const PhIdentity *identity, const PhLimits *limits)
{
	if (ph_identity_quota_octets(identity) == limits->octets
	    && ph_identity_quota_messages(identity) == limits->messages)
		return ph_identity_ref(identity);
	return ph_identity_with_quota(identity, limits->octets, limits->messages);
}

/* With the registry's lock held: a quota that has changed since holds from the next moment on at
 * which nobody uses the handle. */
static void
take_limits(PhAccount *account, const PhIdentity *identity, const PhLimits *limits)
{
	PhIdentity *old = account->identity;

	if (ph_identity_quota_octets(old) == limits->octets
	    && ph_identity_quota_messages(old) == limits->messages)
		return;
	if (account->former == NULL)
		account->former =
			g_ptr_array_new_with_free_func((GDestroyNotify) ph_identity_unref);
	g_ptr_array_add(account->former, old);
	g_atomic_pointer_set(&account->identity, limited(identity, limits));
	PH_LOCKED(&account->lock);
	account->is_outdated = true;
}

PhAccount *
ph_account_get(PhSection *section, const PhIdentity *identity, const PhLimits *limits)
{
	char *key =
		g_strconcat(ph_section_name(section), "\n", ph_identity_address(identity), NULL);
	PhAccount *account = NULL;
	PhAccount *first = NULL;

	PH_LOCKED(&ph_account_registry.lock);
	if (ph_account_registry.accounts == NULL) {
		ph_account_registry.accounts = g_hash_table_new(ph_str_hash, g_str_equal);
		ph_account_registry.open = g_ptr_array_new();
	}
	first = g_hash_table_lookup(ph_account_registry.accounts, key);
	for (account = first; account != NULL && account->section != section;
	     account = account->sibling)
		;
	if (account != NULL) {
		take_limits(account, identity, limits);
		g_free(key);
		return ph_account_ref(account);
	}
	account = account_new(key, section, limited(identity, limits));
	account->sibling = first;
	if (first != NULL)
		g_atomic_int_inc(&ph_account_registry.n_siblings);
	(void) g_hash_table_replace(ph_account_registry.accounts, account->key, account);
	return ph_account_ref(account);
}

void
ph_account_touch_all(PhAccount *account)
{
	GHashTableIter iter;
	void *value = NULL;
	g_autoptr(GPtrArray) all =
		g_ptr_array_new_with_free_func((GDestroyNotify) ph_mailbox_unref);

	ph_lock_take(&account->lock);
	account->list_version++;
	account->counts_version++;
	g_hash_table_iter_init(&iter, account->mailboxes);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		g_ptr_array_add(all, ph_mailbox_ref(value));
	ph_lock_drop(&account->lock);
	for (guint i = 0; i < all->len; i++)
		ph_mailbox_touched(all->pdata[i], 0);
}

void
ph_account_forget_names(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	account->list_version++;
}

const PhIdentity *
ph_account_identity(const PhAccount *account)
{
	PhAccount *mutable_account = (PhAccount *) (uintptr_t) account;

	return g_atomic_pointer_get(&mutable_account->identity);
}

uint32_t
ph_account_abilities(const PhAccount *account)
{
	return account->store->abilities;
}

uint32_t
ph_account_max_keywords(const PhAccount *account)
{
	uint32_t most = account->store->max_keywords;

	return most != 0 ? MIN(most, PH_ACCOUNT_KEYWORDS) : PH_ACCOUNT_KEYWORDS;
}

bool
ph_account_lock_maildrop(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	if (account->maildrop_locked)
		return false;
	account->maildrop_locked = true;
	return true;
}

void
ph_account_unlock_maildrop(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	account->maildrop_locked = false;
}

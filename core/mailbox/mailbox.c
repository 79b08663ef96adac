/* mailbox.c: one open mailbox, shared by all its sessions
 *
 * The state is replaced as a whole; readers hold references. One thread reads from the store at a
 * time, without any lock held across that call; the others that need it wait for its result.
 * Keywords are added by the reading thread only and published by a counter, so that they are read
 * without a lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/mailbox.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/lock.h"
#include "mailbox/account.h"

#include <stdatomic.h>

enum {
	MAX_KEYWORDS = 64,
};

struct PhMailbox {
	gatomicrefcount references;
	PhAccount *account;
	PhMailboxId id;
	char *keywords[MAX_KEYWORDS];
	_Atomic uint32_t n_keywords;
	_Atomic uint64_t touched; /* counts commits that altered it */
	PhLock lock;              /* guards what follows */
	PhSignal loaded;
	bool is_loading;
	PhState *state;         /* (nullable) */
	uint64_t state_touched; /* `touched` when the state was begun to be read */
	GArray *watchers;       /* of PhSessionRef; (nullable) */
	uint32_t recent_from;
};

PhMailbox *
ph_mailbox_new(PhAccount *account, const PhMailboxId *id)
{
	PhMailbox *mailbox = g_new0(PhMailbox, 1);

	g_atomic_ref_count_init(&mailbox->references);
	mailbox->account = account;
	mailbox->id = *id;
	mailbox->recent_from = 1;
	atomic_store(&mailbox->touched, 1);
	ph_lock_init(&mailbox->lock);
	ph_signal_init(&mailbox->loaded);
	return mailbox;
}

PhMailbox *
ph_mailbox_ref(PhMailbox *mailbox)
{
	g_atomic_ref_count_inc(&mailbox->references);
	return mailbox;
}

void
ph_mailbox_unref(PhMailbox *mailbox)
{
	if (mailbox == NULL || !g_atomic_ref_count_dec(&mailbox->references))
		return;
	for (uint32_t i = 0; i < MAX_KEYWORDS; i++)
		g_free(mailbox->keywords[i]);
	ph_state_unref(mailbox->state);
	if (mailbox->watchers != NULL)
		g_array_unref(mailbox->watchers);
	ph_signal_clear(&mailbox->loaded);
	ph_lock_clear(&mailbox->lock);
	g_free(mailbox);
}

const PhMailboxId *
ph_mailbox_id(const PhMailbox *mailbox)
{
	return &mailbox->id;
}

/* --- keywords ----------------------------------------------------------------------------------------- */

uint32_t
ph_mailbox_n_keywords(const PhMailbox *mailbox)
{
	return atomic_load_explicit(&mailbox->n_keywords, memory_order_acquire);
}

const char *
ph_mailbox_keyword(const PhMailbox *mailbox, uint32_t index)
{
	return mailbox->keywords[index];
}

int
ph_mailbox_find_keyword(const PhMailbox *mailbox, PhSlice keyword)
{
	uint32_t n = ph_mailbox_n_keywords(mailbox);

	for (uint32_t i = 0; i < n; i++)
		if (ph_slice_is_nocase(keyword, mailbox->keywords[i]))
			return (int) i;
	return -1;
}

/* Thread: the one that loads. */
static uint64_t
keyword_bit(PhMailbox *mailbox, const char *keyword)
{
	int found = ph_mailbox_find_keyword(mailbox, ph_slice(keyword));
	if (found >= 0)
		return 1ULL << found;

	uint32_t n = ph_mailbox_n_keywords(mailbox);
	if (n == MAX_KEYWORDS)
		return 0;
	mailbox->keywords[n] = g_strdup(keyword);
	atomic_store_explicit(&mailbox->n_keywords, n + 1, memory_order_release);
	return 1ULL << n;
}

/* --- reading the store --------------------------------------------------------------------------------- */

/* Delta: what the store reported. */
typedef struct {
	PhMailbox *mailbox;
	PhStateBuilder *all; /* (nullable) everything is asked for, else: */
	GArray *messages;    /* of PhMessage */
	PhUidSet *expunged;
	uint64_t map[MAX_KEYWORDS]; /* the mailbox's bit for each of the store's; 0: not yet */
	const char *const *names;   /* what the map was made of */
} Delta;

static void
take_message(Delta *delta, const PhMessage *message)
{
	if (delta->all != NULL)
		ph_state_builder_add(delta->all, message, 1);
	else
		g_array_append_vals(delta->messages, message, 1);
}

/* The mailbox's bits for those of the store. */
static uint64_t
map_keywords(Delta *delta, uint64_t bits, const char *const *names)
{
	uint64_t mapped = 0;

	if (delta->names != names) {
		memset(delta->map, 0, sizeof delta->map);
		delta->names = names;
	}
	for (; bits != 0; bits &= bits - 1) {
		int bit = __builtin_ctzll(bits);

		if (delta->map[bit] == 0 && names[bit] != NULL)
			delta->map[bit] = keyword_bit(delta->mailbox, names[bit]);
		mapped |= delta->map[bit];
	}
	return mapped;
}

static bool
take_states(const PhMessageState *states, size_t n, const char *const *keywords, void *user_data)
{
	Delta *delta = user_data;
	uint64_t used = 0;

	for (size_t i = 0; i < n; i++)
		used |= states[i].keywords;
	if (used == 0 && delta->all != NULL) {
		ph_state_builder_add(delta->all, states, n);
		return true;
	}
	if (used == 0) {
		g_array_append_vals(delta->messages, states, (guint) n);
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		PhMessage message = states[i];

		message.keywords = map_keywords(delta, message.keywords, keywords);
		take_message(delta, &message);
	}
	return true;
}

static bool
take_record(const PhRecord *record, void *user_data)
{
	Delta *delta = user_data;
	PhMessage message = {
		.uid = record->uid,
		.flags = record->flags,
		.change = record->change,
	};

	for (const char *const *k = record->keywords; k != NULL && *k != NULL; k++)
		message.keywords |= keyword_bit(delta->mailbox, *k);
	take_message(delta, &message);
	return true;
}

static void
take_expunged(uint32_t first, uint32_t last, void *user_data)
{
	const Delta *delta = user_data;

	ph_uid_set_add_range(delta->expunged, first, last);
}

static bool
ask_store(Delta *delta, uint64_t since, PhChangesResult *result, GError **error)
{
	const PhChangesQuery query = {
		.since = since,
		.fields = PH_FIELD_FLAGS,
		.record = take_record,
		.expunged = take_expunged,
		.user_data = delta,
		.states = take_states,
		.states_data = delta,
	};
	PhAccountCall call;
	if (!ph_account_enter(delta->mailbox->account, &call, error))
		return false;

	bool ok = call.table->changes(call.engine, &delta->mailbox->id, &query, result, error);
	ph_account_leave(&call, ok);
	return ok;
}

/* All of the mailbox. Returns: (owned) NULL with @error. */
static PhState *
load_all(PhMailbox *mailbox, GError **error)
{
	g_autoptr(PhStateBuilder) builder = ph_state_builder_new();
	Delta delta = { .mailbox = mailbox, .all = builder };
	PhChangesResult result = { 0 };

	if (!ask_store(&delta, 0, &result, error))
		return NULL;
	return ph_state_builder_finish(g_steal_pointer(&builder), result.complete_to);
}

/* The state after what happened since @old. Returns: (owned) NULL with @error. */
static PhState *
load(PhMailbox *mailbox, const PhState *old, GError **error)
{
	uint64_t since = old != NULL ? ph_state_change(old) : 0;

	/* a mailbox that was never altered is at 0, and so is "all" */
	if (since == 0)
		return load_all(mailbox, error);

	g_autoptr(GArray) messages = g_array_new(FALSE, FALSE, sizeof(PhMessage));
	g_autoptr(PhUidSet) expunged = ph_uid_set_new();
	Delta delta = { .mailbox = mailbox, .messages = messages, .expunged = expunged };
	PhChangesResult result = { 0 };
	if (!ask_store(&delta, since, &result, error))
		return NULL;

	const PhMessage *first = (const PhMessage *) (void *) messages->data;
	if (!result.full && result.complete_to == since)
		return ph_state_ref((PhState *) (uintptr_t) old);
	if (result.full)
		return ph_state_new(first, messages->len, result.complete_to);
	return ph_state_apply(old, first, messages->len, expunged, result.complete_to);
}

/* Waits for another thread's reading, or takes the right to read. Returns: the state when it is
 * fresh (owned), else NULL with *old_out (owned, nullable) and the right taken. */
static PhState *
begin_loading(PhMailbox *mailbox, PhState **old_out, uint64_t *touched_out)
{
	PH_LOCKED(&mailbox->lock);
	while (mailbox->is_loading)
		ph_signal_wait(&mailbox->loaded, &mailbox->lock);
	if (mailbox->state != NULL && mailbox->state_touched == atomic_load(&mailbox->touched))
		return ph_state_ref(mailbox->state);

	mailbox->is_loading = true;
	*touched_out = atomic_load(&mailbox->touched);
	*old_out = mailbox->state != NULL ? ph_state_ref(mailbox->state) : NULL;
	return NULL;
}

static void
end_loading(PhMailbox *mailbox, PhState *fresh, uint64_t touched)
{
	PhState *dropped = NULL;

	ph_lock_take(&mailbox->lock);
	mailbox->is_loading = false;
	if (fresh != NULL) {
		dropped = mailbox->state;
		mailbox->state = ph_state_ref(fresh);
		mailbox->state_touched = touched;
	}
	ph_signal_all(&mailbox->loaded);
	ph_lock_drop(&mailbox->lock);
	ph_state_unref(dropped);
}

PhState *
ph_mailbox_state(PhMailbox *mailbox, GError **error)
{
	g_autoptr(PhState) old = NULL;
	uint64_t touched = 0;
	PhState *state = begin_loading(mailbox, &old, &touched);
	if (state != NULL) {
		ph_account_show(mailbox->account);
		return state;
	}

	state = load(mailbox, old, error);
	end_loading(mailbox, state, touched);
	return state;
}

bool
ph_mailbox_is_stale(PhMailbox *mailbox, const PhState *state)
{
	PH_LOCKED(&mailbox->lock);
	return mailbox->state != state || mailbox->state_touched != atomic_load(&mailbox->touched);
}

/* --- telling sessions ---------------------------------------------------------------------------------- */

void
ph_mailbox_touched(PhMailbox *mailbox, uint64_t change)
{
	(void) change;
	atomic_fetch_add(&mailbox->touched, 1);
	PH_LOCKED(&mailbox->lock);
	for (guint i = 0; mailbox->watchers != NULL && i < mailbox->watchers->len; i++)
		ph_session_notify(g_array_index(mailbox->watchers, PhSessionRef, i));
}

void
ph_mailbox_watch(PhMailbox *mailbox, PhSessionRef session)
{
	PH_LOCKED(&mailbox->lock);
	if (mailbox->watchers == NULL)
		mailbox->watchers = g_array_new(FALSE, FALSE, sizeof(PhSessionRef));
	g_array_append_val(mailbox->watchers, session);
}

void
ph_mailbox_unwatch(PhMailbox *mailbox, PhSessionRef session)
{
	PH_LOCKED(&mailbox->lock);
	for (guint i = 0; mailbox->watchers != NULL && i < mailbox->watchers->len; i++) {
		const PhSessionRef *one = &g_array_index(mailbox->watchers, PhSessionRef, i);
		if (one->slot == session.slot && one->generation == session.generation) {
			g_array_remove_index_fast(mailbox->watchers, i);
			return;
		}
	}
}

uint32_t
ph_mailbox_recent(PhMailbox *mailbox, uint32_t last_uid, bool claim)
{
	PH_LOCKED(&mailbox->lock);
	uint32_t from = mailbox->recent_from;
	if (claim && last_uid >= from)
		mailbox->recent_from = last_uid + 1;
	return from;
}

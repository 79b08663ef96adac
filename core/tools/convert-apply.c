/* convert-apply.c: applies a plan to the target, many transactions at a time
 *
 * Events of one change make one transaction; a window of events is read from the source, built and
 * submitted together, so that the target's lane commits it in few batches.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/lock.h"
#include "tools/convert.h"

enum {
	WINDOW_EVENTS = 512,
	WINDOW_EVENTS_MAX = 10000, /* with all that have the last one's change */
	WINDOW_OCTETS = 16 * 1024 * 1024,
};

/* Window: what is being built. */
typedef struct {
	PhConvert *convert;
	const GArray *from;
	const GArray *events;
	GHashTable *records;     /* (mailbox << 32 | uid) -> PhRecord */
	GPtrArray *transactions; /* of PhTransaction */
	uint64_t octets;
	guint next; /* event */
	PhLock lock;
	PhSignal resolved;
	guint n_waiting; /* guarded by the lock */
} Window;

static const PhConvertEvent *
event_at(const Window *window, guint index)
{
	return &g_array_index(window->events, PhConvertEvent, index);
}

static const PhMailboxInfo *
mailbox_of(const Window *window, const PhConvertEvent *event)
{
	return &g_array_index(window->from, PhMailboxInfo, event->mailbox);
}

/* --- records ------------------------------------------------------------------------------------- */

static guint64
key_of(uint32_t mailbox, uint32_t uid)
{
	return (guint64) mailbox << 32 | uid;
}

typedef struct {
	Window *window;
	uint32_t mailbox;
} Gathering;

static bool
gather_record(const PhRecord *record, void *user_data)
{
	const Gathering *gathering = user_data;
	guint64 *key = g_new(guint64, 1);

	*key = key_of(gathering->mailbox, record->uid);
	(void) g_hash_table_replace(gathering->window->records, key, ph_record_dup(record));
	return true;
}

static bool
wants_record(const PhConvertEvent *event)
{
	return event->kind == PH_CONVERT_APPEND || event->kind == PH_CONVERT_FLAGS;
}

/* The records of one mailbox among the next events. */
static bool
read_mailbox(Window *window, uint32_t mailbox, guint end, GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	Gathering gathering = { window, mailbox };

	for (guint i = window->next; i < end; i++)
		if (event_at(window, i)->mailbox == mailbox && wants_record(event_at(window, i)))
			ph_uid_set_add(uids, event_at(window, i)->uid);
	if (ph_uid_set_is_empty(uids))
		return true;
	return ph_read_records(window->convert->from,
	                       &g_array_index(window->from, PhMailboxInfo, mailbox).id, uids,
	                       gather_record, &gathering, error);
}

static bool
read_window(Window *window, guint end, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);

	g_hash_table_remove_all(window->records);
	for (guint i = window->next; i < end; i++) {
		uint32_t mailbox = event_at(window, i)->mailbox;

		if (g_hash_table_add(seen, GUINT_TO_POINTER(mailbox + 1))
		    && !read_mailbox(window, mailbox, end, error))
			return false;
	}
	return true;
}

static const PhRecord *
record_of(const Window *window, const PhConvertEvent *event)
{
	guint64 key = key_of(event->mailbox, event->uid);

	return g_hash_table_lookup(window->records, &key);
}

/* --- building ------------------------------------------------------------------------------------ */

static void
build_create(PhTransaction *transaction, const PhMailboxInfo *info, uint64_t change)
{
	PhOp *op = ph_transaction_create(transaction, ph_slice(info->name), info->special_use);

	op->mailbox = info->id;
	op->has_given = true;
	op->given_uidvalidity = info->uidvalidity;
	op->given_change = change;
}

/* Flags that differ first: a change that altered nothing would get no number. */
static void
build_flags(PhTransaction *transaction,
            const PhMailboxInfo *info,
            const PhRecord *record,
            uint64_t change)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(record->uid, record->uid);

	for (int turn = 0; turn < 2; turn++) {
		PhOp *op = ph_transaction_flags(transaction, &info->id, uids, PH_FLAGS_REPLACE,
		                                turn == 0 ? record->flags ^ PH_FLAG_FLAGGED
		                                          : record->flags,
		                                record->keywords);

		op->has_given = true;
		op->given_change = change;
	}
}

static void
build_expunge(PhTransaction *transaction, const PhMailboxInfo *info, uint32_t uid)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	PhOp *op = ph_transaction_expunge(transaction, &info->id, uids);

	op->has_given = true;
	op->given_change = info->change;
}

static bool
build_append(Window *window,
             PhTransaction *transaction,
             const PhConvertEvent *event,
             const PhRecord *record,
             GError **error)
{
	const PhMailboxInfo *info = mailbox_of(window, event);
	g_autoptr(GError) why = NULL;
	g_autoptr(PhContent) content =
		ph_read_content(window->convert->from, &info->id, record, &why);

	if (content == NULL && g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
		return true;
	if (content == NULL) {
		g_propagate_prefixed_error(error, g_steal_pointer(&why),
		                           "'%s' uid %u: ", info->name, record->uid);
		return false;
	}
	window->octets += ph_content_length(content);
	window->convert->n_copied++;
	return ph_transaction_add_record(transaction, &info->id, record, content, event->change,
	                                 error)
	       != NULL;
}

/* What was expunged in the source meanwhile is left out: the next pass sees it. */
static bool
build_event(Window *window, PhTransaction *transaction, const PhConvertEvent *event, GError **error)
{
	const PhMailboxInfo *info = mailbox_of(window, event);
	const PhRecord *record = wants_record(event) ? record_of(window, event) : NULL;

	if (wants_record(event) && record == NULL)
		return true;
	switch ((PhConvertKind) event->kind) {
	case PH_CONVERT_CREATE:
		build_create(transaction, info, event->change);
		break;
	case PH_CONVERT_APPEND:
		return build_append(window, transaction, event, record, error);
	case PH_CONVERT_FLAGS:
		build_flags(transaction, info, record, event->change);
		break;
	case PH_CONVERT_EXPUNGE:
		build_expunge(transaction, info, event->uid);
		break;
	}
	return true;
}

/* One transaction: the next events of one change. */
static bool
build_next(Window *window, guint end, GError **error)
{
	PhTransaction *transaction = ph_transaction_new(window->convert->to, NULL);
	uint64_t change = event_at(window, window->next)->change;
	bool good = true;

	g_ptr_array_add(window->transactions, transaction);
	while (good && window->next < end) {
		const PhConvertEvent *event = event_at(window, window->next);

		if (event->change != change || window->octets > WINDOW_OCTETS)
			break;
		good = build_event(window, transaction, event, error);
		window->next++;
	}
	if (transaction->n_ops == 0)
		g_ptr_array_set_size(window->transactions, (gint) window->transactions->len - 1);
	return good;
}

/* --- committing ------------------------------------------------------------------------------------ */

static void
note_resolved(void *user_data)
{
	Window *window = user_data;

	PH_LOCKED(&window->lock);
	if (--window->n_waiting == 0)
		ph_signal_all(&window->resolved);
}

static bool
commit(Window *window, GError **error)
{
	window->n_waiting = window->transactions->len;
	for (guint i = 0; i < window->transactions->len; i++)
		ph_transaction_submit(window->transactions->pdata[i],
		                      ph_wake_new_func(note_resolved, window));
	ph_lock_take(&window->lock);
	while (window->n_waiting > 0)
		ph_signal_wait(&window->resolved, &window->lock);
	ph_lock_drop(&window->lock);
	for (guint i = 0; i < window->transactions->len; i++) {
		const PhTransaction *transaction = window->transactions->pdata[i];

		if (transaction->done)
			continue;
		if (transaction->error != NULL)
			g_propagate_error(error, g_error_copy(transaction->error));
		else
			ph_error_set(error, PH_ERROR_TEMPORARY, "the store gave no reason");
		return false;
	}
	return true;
}

/* Where the window ends: not between two events of one change, if that can be helped. */
static guint
find_end(const Window *window)
{
	guint end = MIN(window->next + WINDOW_EVENTS, window->events->len);

	while (end < window->events->len && end - window->next < WINDOW_EVENTS_MAX
	       && event_at(window, end)->change == event_at(window, end - 1)->change)
		end++;
	return end;
}

static bool
apply_window(Window *window, GError **error)
{
	guint end = find_end(window);
	bool good = true;

	if (!read_window(window, end, error))
		return false;
	window->octets = 0;
	while (good && window->next < end && window->octets <= WINDOW_OCTETS)
		good = build_next(window, end, error);
	good = good && commit(window, error);
	g_ptr_array_set_size(window->transactions, 0);
	return good;
}

static void
tell(const Window *window)
{
	PhJob *job = window->convert->job;

	if (ph_job_progress(job))
		ph_job_print(job, PH_JOB_PROGRESS, "%s: %u of %u changes", window->convert->address,
		             window->next, window->events->len);
}

bool
ph_convert_apply(PhConvert *convert, const GArray *from, const GArray *events, GError **error)
{
	Window window = { .convert = convert, .from = from, .events = events };
	bool good = true;

	window.records = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                       (GDestroyNotify) ph_record_free);
	window.transactions = g_ptr_array_new_with_free_func((GDestroyNotify) ph_transaction_free);
	ph_lock_init(&window.lock);
	ph_signal_init(&window.resolved);
	while (good && window.next < events->len) {
		good = ph_job_go_on(convert->job, error) && apply_window(&window, error);
		tell(&window);
	}
	ph_signal_clear(&window.resolved);
	ph_lock_clear(&window.lock);
	g_ptr_array_unref(window.transactions);
	g_hash_table_unref(window.records);
	return good;
}

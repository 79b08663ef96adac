/* fulltext-fill.c: takes up what is new in a mailbox, in the background
 *
 * One thread for the process, started when it is first needed and as nice as threads can be. It
 * reads as a session does, through a view, and writes some hundred messages in a transaction; what
 * it had not finished is taken up the next time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "config/sections.h"
#include "mailbox/account.h"
#include "mailbox/fulltext.h"
#include "mailbox/search-eval.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BATCH = 500,             /* messages of one transaction */
	BATCH_OCTETS = 16 << 20, /* or so much text */
	WAITING_MAX = 1000,
	NICE = 19,
};

char *
ph_fulltext_path(PhAccount *account)
{
	const PhPluginSettings *settings = account->section->core_settings;

	if (settings == NULL || settings->search_index == NULL
	    || (account->store->abilities & PH_STORE_HIDES_OCTETS) != 0)
		return NULL;
	return ph_section_expand(settings->search_index, ph_account_identity(account));
}

/* --- one mailbox -------------------------------------------------------------------------------- */

/* Fill: a mailbox that is being taken up. */
typedef struct {
	PhAccount *account;
	PhFulltext *index;
	PhView *view;
	PhCursor *cursor;
	PhFulltextBox box;
	uint32_t last; /* the uid that is taken up last */
	uint64_t live;
	GString *text;
	GString *folded;
} Fill;

static void
fill_clear(Fill *fill)
{
	ph_cursor_free(fill->cursor);
	g_clear_pointer(&fill->view, ph_view_close);
	ph_fulltext_close(fill->index);
	if (fill->text != NULL)
		g_string_free(fill->text, TRUE);
	if (fill->folded != NULL)
		g_string_free(fill->folded, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fill, fill_clear)

typedef struct {
	const PhMailboxId *mailbox;
	char *name;
	uint64_t live;
} Look;

static bool
look_at(const PhMailboxInfo *info, void *user_data)
{
	Look *look = user_data;

	look->live += info->n_messages;
	if (memcmp(&info->id, look->mailbox, sizeof info->id) == 0)
		look->name = g_strdup(info->name);
	return true;
}

static bool
open_view(Fill *fill, const PhMailboxId *mailbox, GError **error)
{
	Look look = { .mailbox = mailbox };
	g_autofree char *name = NULL;
	const PhSessionRef nobody = { 0, 0 };

	if (!ph_account_mailboxes(fill->account, look_at, &look, error))
		return false;
	name = look.name;
	fill->live = look.live;
	if (name == NULL)
		return ph_error_set(error, PH_ERROR_NOT_FOUND, "the mailbox is gone"), false;
	fill->view = ph_view_open(fill->account, ph_slice(name), true, nobody, error);
	return fill->view != NULL;
}

/* A message that cannot be read any more has no text. */
static bool
add_message(Fill *fill, const PhRecord *record, GError **error)
{
	PhSubject subject = { .view = fill->view, .uid = record->uid, .record = record };
	g_autoptr(GError) failure = NULL;
	bool is_whole = true;

	g_string_truncate(fill->text, 0);
	g_string_truncate(fill->folded, 0);
	if (!ph_search_gather(&subject, PH_FULLTEXT_TEXT_MAX, fill->text, &is_whole, &failure))
		is_whole = false;
	ph_subject_clear(&subject);
	if (failure != NULL && !g_error_matches(failure, PH_ERROR, PH_ERROR_GONE)
	    && !g_error_matches(failure, PH_ERROR, PH_ERROR_CORRUPT)) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	ph_text_fold(fill->folded, PH_SLICE(fill->text->str, fill->text->len));
	return ph_fulltext_add(fill->index, &fill->box, record->uid,
	                       PH_SLICE(fill->folded->str, fill->folded->len), is_whole, error);
}

/* Some hundred messages. @done_out: there are no more. */
static bool
fill_batch(Fill *fill, bool *done_out, GError **error)
{
	g_autoptr(GError) failure = NULL;
	uint32_t upto = 0;
	uint32_t n = 0;
	size_t octets = 0;
	bool good = true;

	while (good && n < BATCH && octets < BATCH_OCTETS) {
		const PhRecord *record = ph_cursor_next(fill->cursor, &failure);

		if (record == NULL)
			break;
		good = add_message(fill, record, &failure);
		upto = record->uid;
		octets += fill->folded->len;
		n++;
	}
	*done_out = n < BATCH && octets < BATCH_OCTETS;
	if (failure == NULL) {
		if (*done_out)
			upto = fill->last;
		fill->box.upto = upto;
		return ph_fulltext_end(fill->index, &fill->box, upto, n, error);
	}
	ph_fulltext_undo(fill->index);
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static bool
begin(Fill *fill, GError **error)
{
	return ph_fulltext_begin(fill->index, ph_view_mailbox(fill->view),
	                         ph_view_uidvalidity(fill->view), fill->live, &fill->box, error);
}

static bool
is_new(const Fill *fill)
{
	return ph_view_count(fill->view) > 0
	       && ph_view_uid(fill->view, ph_view_count(fill->view)) > fill->box.upto;
}

static bool
fill_all(Fill *fill, GError **error)
{
	g_autoptr(PhUidSet) uids = NULL;
	bool done = false;

	if (!begin(fill, error))
		return false;
	if (!is_new(fill)) {
		ph_fulltext_undo(fill->index);
		return true;
	}
	/* not the view's next uid, which may be of a later moment than its messages */
	fill->last = ph_view_uid(fill->view, ph_view_count(fill->view));
	uids = ph_uid_set_new_range(fill->box.upto + 1, fill->last);
	fill->cursor = ph_cursor_new(fill->view, uids, PH_FIELD_STRUCTURE | PH_FIELD_BLOB);
	if (!fill_batch(fill, &done, error))
		return false;
	while (!done) {
		PhFulltextBox before = fill->box;

		if (!begin(fill, error))
			return false;
		/* another process went on, or began anew: the next search asks again */
		if (fill->box.no != before.no || fill->box.upto != before.upto) {
			ph_fulltext_undo(fill->index);
			return true;
		}
		if (!fill_batch(fill, &done, error))
			return false;
	}
	return true;
}

bool
ph_fulltext_fill(PhAccount *account, const PhMailboxId *mailbox, GError **error)
{
	g_auto(Fill) fill = { .account = account };
	g_autofree char *path = ph_fulltext_path(account);

	if (path == NULL)
		return true;
	fill.text = g_string_new(NULL);
	fill.folded = g_string_new(NULL);
	if (!open_view(&fill, mailbox, error))
		return false;
	fill.index = ph_fulltext_open(path, true, error);
	return fill.index != NULL && fill_all(&fill, error);
}

/* --- the thread --------------------------------------------------------------------------------- */

typedef struct {
	PhAccount *account;
	PhMailboxId mailbox;
} Wanted;

static struct {
	PhLock lock; /* guards all */
	PhSignal work;
	GQueue waiting; /* of Wanted */
	bool started;
} filler = { .lock = PH_LOCK_INIT };

static Wanted *
next_wanted(void)
{
	PH_LOCKED(&filler.lock);
	while (g_queue_is_empty(&filler.waiting))
		ph_signal_wait(&filler.work, &filler.lock);
	return g_queue_pop_head(&filler.waiting);
}

static void *
fill_for_ever(void *data)
{
	(void) setpriority(PRIO_PROCESS, (id_t) syscall(SYS_gettid), NICE);
	for (;;) {
		g_autofree Wanted *wanted = next_wanted();
		g_autoptr(GError) error = NULL;

		if (!ph_fulltext_fill(wanted->account, &wanted->mailbox, &error))
			ph_log_section(wanted->account->section, PH_LOG_WARNING,
			               "search-index-failed",
			               "a search index could not be brought up to date",
			               PH_LOG_TEXT("user", ph_identity_address(ph_account_identity(
								   wanted->account))),
			               PH_LOG_FAILURE(error), PH_LOG_END);
		ph_account_unref(wanted->account);
	}
	return NULL;
}

static bool
is_waiting(const PhAccount *account, const PhMailboxId *mailbox)
{
	for (const GList *item = filler.waiting.head; item != NULL; item = item->next) {
		const Wanted *wanted = item->data;

		if (wanted->account == account
		    && memcmp(&wanted->mailbox, mailbox, sizeof *mailbox) == 0)
			return true;
	}
	return false;
}

void
ph_fulltext_fill_soon(PhAccount *account, const PhMailboxId *mailbox)
{
	Wanted *wanted = NULL;

	PH_LOCKED(&filler.lock);
	if (g_queue_get_length(&filler.waiting) >= WAITING_MAX || is_waiting(account, mailbox))
		return;
	wanted = g_new0(Wanted, 1);
	wanted->account = ph_account_ref(account);
	wanted->mailbox = *mailbox;
	g_queue_push_tail(&filler.waiting, wanted);
	if (!filler.started) {
		ph_signal_init(&filler.work);
		filler.started = true;
		g_thread_unref(g_thread_new("search-index", fill_for_ever, NULL));
	}
	ph_signal_one(&filler.work);
}

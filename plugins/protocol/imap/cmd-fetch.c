/* cmd-fetch.c: FETCH
 *
 * First \Seen is set where the items ask for it (one transaction, durable before anything is told),
 * then the messages are answered one by one, in steps. What only the view knows (flags, uids,
 * change numbers) needs no record; dates, sizes and rendered structure come from records; octets
 * from the content. RFC 3501 section 6.4.5, RFC 7162.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>

#include "fetch-body.h"
#include "imap.h"
#include "set-walk.h"

typedef struct {
	ImapWork work;
	FetchQuery query;
	PhUidSet *numbers; /* what is left to be answered is what the walk has not seen */
	PhUidSet *uids;
	PhUidSet *seen;   /* uids that became \Seen by this command */
	PhCursor *cursor; /* NULL when no record is needed */
	SetWalk walk;
	GString *out;
	uint64_t n_told;
	uint32_t last; /* number of the message told last */
	bool failed;
	bool referred; /* content was queued for output: it may be full */
} Fetch;

static void
free_fetch(void *data)
{
	Fetch *fetch = data;

	imap_fetch_query_clear(&fetch->query);
	g_clear_pointer(&fetch->cursor, ph_cursor_free);
	ph_uid_set_free(fetch->numbers);
	ph_uid_set_free(fetch->uids);
	ph_uid_set_free(fetch->seen);
	if (fetch->out != NULL)
		g_string_free(fetch->out, TRUE);
	g_free(fetch);
}

static uint32_t
fields_of(const FetchQuery *query)
{
	uint32_t fields = 0;

	if (query->items & FETCH_INTERNALDATE)
		fields |= PH_FIELD_DATES;
	if (query->items & FETCH_SIZE)
		fields |= PH_FIELD_OCTETS;
	if (query->items & (FETCH_ENVELOPE | FETCH_BODY | FETCH_BODYSTRUCTURE))
		fields |= PH_FIELD_STRUCTURE | PH_FIELD_BLOB | PH_FIELD_OCTETS;
	for (guint i = 0; i < query->sections->len; i++) {
		const FetchSection *section = query->sections->pdata[i];

		fields |= PH_FIELD_BLOB | PH_FIELD_OCTETS;
		if (section->find[0] != '\0')
			fields |= PH_FIELD_STRUCTURE;
	}
	return fields;
}

/* --- one message --- */

static bool
append_rendered(FetchMessage *message, bool envelope, GError **error)
{
	PhSlice blob = message->record->structure;
	PhSlice text =
		envelope ? ph_structure_blob_envelope(blob) : ph_structure_blob_bodystructure(blob);

	if (text.length == 0) {
		const PhStructure *structure = imap_fetch_structure(message, error);

		if (structure == NULL)
			return false;
		text = envelope ? ph_structure_envelope(structure)
		                : ph_structure_bodystructure(structure);
	}
	imap_fetch_begin(message, envelope ? "ENVELOPE " : "BODYSTRUCTURE ");
	imap_put(message->out, text.data, text.length);
	return true;
}

static bool
append_body(FetchMessage *message, GError **error)
{
	const PhStructure *structure = imap_fetch_structure(message, error);

	if (structure == NULL)
		return false;
	imap_fetch_begin(message, "BODY ");
	ph_structure_append_body(structure, message->out);
	return true;
}

static void
append_view_items(const Imap *imap, const Fetch *fetch, uint32_t number, FetchMessage *message)
{
	uint32_t items = fetch->query.items;
	uint32_t uid =
		message->record != NULL ? message->record->uid : ph_view_uid(imap->view, number);
	bool became_seen = fetch->seen != NULL && ph_uid_set_contains(fetch->seen, uid);

	if ((items & FETCH_UID) || imap->uid) {
		imap_fetch_begin(message, "UID ");
		imap_append_number(message->out, uid);
	}
	if ((items & FETCH_FLAGS) || became_seen) {
		imap_fetch_begin(message, "FLAGS (");
		ph_view_append_flags(imap->view, number, message->out);
		imap_put(message->out, ")", 1);
	}
	/* a change is told with its number (RFC 7162 section 3.2) */
	if ((items & FETCH_MODSEQ) || (became_seen && imap->condstore)) {
		imap_fetch_begin(message, "MODSEQ (");
		imap_append_number(message->out, ph_view_message_change(imap->view, number));
		imap_put(message->out, ")", 1);
	}
}

static bool
append_record_items(FetchMessage *message, uint32_t items, GError **error)
{
	const PhRecord *record = message->record;

	if (items & FETCH_INTERNALDATE) {
		PhDate date = { record->internal_date, record->internal_zone };

		imap_fetch_begin(message, "INTERNALDATE \"");
		ph_date_append_imap_time(date, message->out);
		imap_put(message->out, "\"", 1);
	}
	if (items & FETCH_SIZE) {
		imap_fetch_begin(message, "RFC822.SIZE ");
		imap_append_number(message->out, record->octets);
	}
	return ((items & FETCH_ENVELOPE) == 0 || append_rendered(message, true, error))
	       && ((items & FETCH_BODYSTRUCTURE) == 0 || append_rendered(message, false, error))
	       && ((items & FETCH_BODY) == 0 || append_body(message, error));
}

static bool
append_sections(FetchMessage *message, const FetchQuery *query, GError **error)
{
	for (guint i = 0; i < query->sections->len; i++)
		if (!imap_fetch_section(message, query->sections->pdata[i], error))
			return false;
	return true;
}

/* A message that cannot be read is left out, unless a part of its answer is on its way. */
static PhNext
leave_out(Imap *imap, Fetch *fetch, bool begun, const GError *error)
{
	if (!g_error_matches(error, PH_ERROR, PH_ERROR_GONE)) {
		ph_log_session(imap->session, PH_LOG_ERROR, "message-unreadable",
		               "a message could not be read", PH_LOG_FAILURE(error), PH_LOG_END);
		fetch->failed = true;
	}
	return begun ? imap_bye(imap, "[UNAVAILABLE] A message could not be read.") : PH_DONE;
}

static PhNext
tell_message(Imap *imap, Fetch *fetch, uint32_t number, const PhRecord *record)
{
	FetchMessage message = { .session = imap->session,
		                 .view = imap->view,
		                 .record = record,
		                 .out = fetch->out };
	g_autoptr(GError) error = NULL;
	gsize start = fetch->out->len;
	bool ok;

	imap_put(fetch->out, "* ", 2);
	imap_append_number(fetch->out, number);
	imap_put(fetch->out, " FETCH (", 8);
	append_view_items(imap, fetch, number, &message);
	ok = record == NULL
	     || (append_record_items(&message, fetch->query.items, &error)
	         && append_sections(&message, &fetch->query, &error));
	imap_fetch_message_clear(&message);
	fetch->referred = fetch->referred || message.begun;
	if (!ok) {
		g_string_truncate(fetch->out, message.begun ? 0 : start);
		return leave_out(imap, fetch, message.begun, error);
	}
	imap_put(fetch->out, ")\r\n", 3);
	fetch->n_told++;
	return PH_DONE;
}

/* --- all messages --- */

static void
flush(Imap *imap, Fetch *fetch)
{
	ph_session_write(imap->session, PH_SLICE(fetch->out->str, fetch->out->len));
	g_string_truncate(fetch->out, 0);
}

static PhNext
finish(Imap *imap, Fetch *fetch)
{
	flush(imap, fetch);
	if (fetch->failed)
		return imap_no(imap, "[UNAVAILABLE] Some messages could not be read.");
	if (!imap->uid && fetch->n_told < ph_uid_set_count(fetch->numbers))
		return imap_ok(imap, "[EXPUNGEISSUED] Some messages are gone.");
	return imap_done(imap);
}

static uint32_t
number_of(const Imap *imap, Fetch *fetch, uint32_t uid)
{
	uint32_t next = fetch->last + 1;

	if (next > ph_view_count(imap->view) || ph_view_uid(imap->view, next) != uid)
		next = ph_view_number(imap->view, uid);
	return next;
}

/* The next message. Returns: its number, 0 at the end. */
static uint32_t
next_message(Imap *imap, Fetch *fetch, const PhRecord **record_out, GError **error)
{
	*record_out = NULL;
	if (fetch->cursor == NULL)
		return imap_set_walk(&fetch->walk, fetch->numbers);
	while ((*record_out = ph_cursor_next(fetch->cursor, error)) != NULL) {
		uint32_t number = number_of(imap, fetch, (*record_out)->uid);

		if (number == 0)
			continue;
		fetch->last = number;
		return number;
	}
	return 0;
}

static PhNext
fetch_step(Imap *imap)
{
	Fetch *fetch = (Fetch *) imap->work;
	g_autoptr(GError) error = NULL;
	const PhRecord *record;
	uint32_t number;

	for (uint32_t i = 1; (number = next_message(imap, fetch, &record, &error)) != 0; i++) {
		PhNext next = tell_message(imap, fetch, number, record);

		if (next != PH_DONE) {
			imap_work_end(imap);
			return next;
		}
		if (fetch->out->len < 32768 && !fetch->referred && i % 64 != 0)
			continue;
		if (fetch->out->len >= 32768)
			flush(imap, fetch);
		fetch->referred = false;
		if (ph_session_should_yield(imap->session)) {
			flush(imap, fetch);
			return PH_MORE;
		}
	}
	if (error != NULL) {
		flush(imap, fetch);
		return imap_error(imap, error);
	}
	return finish(imap, fetch);
}

static PhNext
start(Imap *imap, Fetch *fetch)
{
	uint32_t fields = fields_of(&fetch->query);

	fetch->out = g_string_sized_new(40000);
	if (fields != 0)
		fetch->cursor = ph_cursor_new(imap->view, fetch->uids, fields);
	return fetch_step(imap);
}

/* --- \Seen --- */

static PhNext
seen_resumed(Imap *imap)
{
	Fetch *fetch = (Fetch *) imap->work;
	const PhTransaction *transaction = fetch->work.transaction;

	if (!transaction->done) {
		/* The messages can be read all the same. */
		ph_log_session(imap->session, PH_LOG_WARNING, "seen-failed",
		               "a message could not be marked as seen",
		               PH_LOG_FAILURE(transaction->error), PH_LOG_END);
		g_clear_pointer(&fetch->seen, ph_uid_set_free);
		return start(imap, fetch);
	}
	ph_view_quiet(imap->view, transaction->ops[0], transaction->change);
	if (!imap_sync(imap, false))
		return PH_CLOSE;
	return start(imap, fetch);
}

static void
find_unseen(Imap *imap, Fetch *fetch)
{
	SetWalk walk = { 0, 0 };
	uint32_t number;

	fetch->seen = ph_uid_set_new();
	while ((number = imap_set_walk(&walk, fetch->numbers)) != 0)
		if ((ph_view_flags(imap->view, number) & PH_FLAG_SEEN) == 0)
			ph_uid_set_add(fetch->seen, ph_view_uid(imap->view, number));
}

static PhNext
mark_seen(Imap *imap, Fetch *fetch)
{
	static const char *const none[] = { NULL };
	PhTransaction *transaction;

	if (!fetch->query.sets_seen || ph_view_is_read_only(imap->view))
		return start(imap, fetch);
	/* Others may have changed flags since the client was told of them. */
	if (!imap_sync(imap, false)) {
		imap_work_end(imap);
		return PH_CLOSE;
	}
	find_unseen(imap, fetch);
	if (ph_uid_set_is_empty(fetch->seen))
		return start(imap, fetch);
	transaction = ph_transaction_new(imap->account, NULL);
	(void) ph_transaction_flags(transaction, ph_view_mailbox(imap->view), fetch->seen,
	                            PH_FLAGS_ADD, PH_FLAG_SEEN, none);
	return imap_submit(imap, transaction, seen_resumed);
}

static void
keep_changed(Imap *imap, Fetch *fetch)
{
	g_autoptr(PhUidSet) all = fetch->numbers;
	SetWalk walk = { 0, 0 };
	uint32_t number;

	fetch->numbers = ph_uid_set_new();
	while ((number = imap_set_walk(&walk, all)) != 0)
		if (ph_view_message_change(imap->view, number) > fetch->query.changed_since)
			ph_uid_set_add(fetch->numbers, number);
}

PhNext
imap_fetch(Imap *imap, Parser *parser)
{
	Fetch *fetch = g_new0(Fetch, 1);

	fetch->work.free = free_fetch;
	fetch->work.step = fetch_step;
	imap_work_begin(imap, fetch);
	fetch->numbers = imap_parse_numbers(imap, parser);
	if (fetch->numbers == NULL || !imap_fetch_parse(parser, &fetch->query))
		return imap_parse_bad(imap, parser);
	if (fetch->query.items & FETCH_MODSEQ)
		imap->condstore = true;
	if (fetch->query.has_changed_since)
		keep_changed(imap, fetch);
	fetch->uids = ph_view_uids(imap->view, fetch->numbers, NULL);
	return mark_seen(imap, fetch);
}

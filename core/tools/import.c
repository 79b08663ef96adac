/* import.c: an archive into an account, in batches that carry how far it is
 *
 * Into an account without messages everything is restored as it was, uids and uidvalidity included.
 * Into another one it is added: what has a uid that is there already is left alone, what has a
 * uid that can still be given keeps it, the rest gets new ones.
 *
 * Each batch's transaction notes the last message that it holds in a value of the account, so an
 * import that was killed goes on behind it when it is begun again with the same archive.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/clock.h"
#include "tools/archive.h"
#include "tools/job.h"
#include "tools/read.h"

#include <string.h>

enum {
	BATCH_MESSAGES = 200,
	BATCH_OCTETS = 8 * 1024 * 1024,
	LARGEST_LEAST = 256 * 1024 * 1024, /* mail of elsewhere may be larger than what we take */
};

typedef struct {
	PhJob *job;
	PhAccount *account;
	char *key;          /* of the value that notes how far it is */
	GHashTable *values; /* the archive's account values */
	bool is_exact;      /* the account had no messages */
	uint32_t done_mailbox;
	uint32_t done_message;
	uint32_t mailbox; /* numbers of the present ones */
	uint32_t message;
	PhMailboxId target;
	uint32_t uidnext;  /* of the target; UINT32_MAX: uids are not kept */
	PhUidSet *present; /* (nullable) uids that the target has */
	PhTransaction *batch;
	uint32_t n_batch;
	uint64_t batch_octets;
	uint32_t raise_uidnext; /* when the mailbox is complete */
	uint64_t raise_change;
	uint64_t n_imported;
	uint64_t n_skipped;
} Import;

/* --- batches ----------------------------------------------------------------------------------------- */

static PhTransaction *
batch(Import *import)
{
	if (import->batch == NULL)
		import->batch = ph_transaction_new(import->account, NULL);
	return import->batch;
}

static bool
flush(Import *import, GError **error)
{
	g_autofree char *progress =
		g_strdup_printf("%u %u %d", import->mailbox, import->message, import->is_exact);
	bool good = true;

	if (import->batch != NULL) {
		(void) ph_transaction_put(import->batch, NULL, import->key, ph_slice(progress));
		good = ph_transaction_run(import->batch, error);
		if (good)
			import->n_imported += import->n_batch;
	}
	g_clear_pointer(&import->batch, ph_transaction_free);
	import->n_batch = 0;
	import->batch_octets = 0;
	return good;
}

static bool
end_mailbox(Import *import, GError **error)
{
	bool raises = import->raise_uidnext != 0;

	if (import->mailbox > 0 && raises)
		(void) ph_transaction_raise(batch(import), &import->target, import->raise_uidnext,
		                            import->raise_change);
	import->raise_uidnext = 0;
	return flush(import, error);
}

/* --- the beginning --------------------------------------------------------------------------------- */

static bool
take_progress(Import *import, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", 3);
	uint32_t exact = 0;

	if (g_strv_length(words) != 3
	    || !ph_slice_to_u32(ph_slice(words[0]), UINT32_MAX, &import->done_mailbox)
	    || !ph_slice_to_u32(ph_slice(words[1]), UINT32_MAX, &import->done_message)
	    || !ph_slice_to_u32(ph_slice(words[2]), 1, &exact))
		return false;
	import->is_exact = exact == 1;
	return true;
}

static bool
is_without_messages(PhAccount *account, bool *empty_out, GError **error)
{
	PhQuota use;

	if (!ph_account_quota(account, &use, error))
		return false;
	*empty_out = use.messages == 0;
	return true;
}

static bool
begin(const char *id, GHashTable *values, void *user_data, GError **error)
{
	Import *import = user_data;
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
	g_autoptr(GHashTable) there = ph_read_values(import->account, NULL, error);
	g_autofree char *text = NULL;
	GBytes *progress = NULL;

	if (there == NULL)
		return false;
	import->values = g_hash_table_ref(values);
	import->key = g_strconcat(PH_KEY_OWN "import/", sum, NULL);
	progress = g_hash_table_lookup(there, import->key);
	if (progress == NULL)
		return is_without_messages(import->account, &import->is_exact, error);
	text = g_strndup(g_bytes_get_data(progress, NULL), g_bytes_get_size(progress));
	if (take_progress(import, text)) {
		ph_job_print(import->job, PH_JOB_OUT,
		             "goes on behind message %u of mailbox %u, where it was stopped",
		             import->done_message, import->done_mailbox);
		return true;
	}
	ph_error_set(error, PH_ERROR_CORRUPT, "the note of how far the import was is damaged");
	return false;
}

/* --- mailboxes ------------------------------------------------------------------------------------- */

/* @there: (nullable) the one that it replaces; of mail that knows no uses it keeps its own. */
static void
create(Import *import,
       const PhArchiveMailbox *mailbox,
       const char *name,
       const PhMailboxInfo *there,
       bool with_id)
{
	uint32_t use = mailbox->special_use;
	PhOp *op = NULL;

	if (!mailbox->has_id && there != NULL)
		use |= there->special_use;
	op = ph_transaction_create(batch(import), ph_slice(name), use);
	if (with_id)
		op->mailbox = mailbox->id;
	op->has_given = true;
	op->given_uidvalidity = mailbox->uidvalidity;
	import->target = op->mailbox;
	import->uidnext = mailbox->uidvalidity != 0 ? 1 : UINT32_MAX;
	/* whatever a client remembers is older than what it will see */
	(void) ph_transaction_raise(batch(import), &op->mailbox, 0, mailbox->change);
}

static bool
note_present(Import *import, const PhMailboxInfo *info, GError **error)
{
	g_autoptr(GArray) marks = ph_read_marks(import->account, &info->id, error);

	if (marks == NULL)
		return false;
	import->present = ph_uid_set_new();
	for (guint i = 0; i < marks->len; i++)
		ph_uid_set_add(import->present, g_array_index(marks, PhMark, i).uid);
	return true;
}

static bool
choose_target(Import *import, const PhArchiveMailbox *mailbox, const char *name, GError **error)
{
	g_autoptr(GArray) all = ph_read_mailboxes(import->account, error);
	const PhMailboxInfo *there = all != NULL ? ph_mailbox_by_name(all, name) : NULL;
	bool is_new = import->mailbox > import->done_mailbox;
	bool with_id = false;

	if (all == NULL)
		return false;
	if (there != NULL
	    && (!is_new || !import->is_exact || there->n_messages > 0
	        || mailbox->uidvalidity == 0)) {
		import->target = there->id;
		import->uidnext = UINT32_MAX;
		if (there->uidvalidity != mailbox->uidvalidity)
			return true;
		import->uidnext = there->uidnext;
		return note_present(import, there, error);
	}
	with_id = mailbox->has_id
	          && (ph_mailbox_by_id(all, &mailbox->id) == NULL
	              || ph_mailbox_by_id(all, &mailbox->id) == there);
	if (there != NULL)
		(void) ph_transaction_remove(batch(import), &there->id);
	create(import, mailbox, name, there, with_id);
	return true;
}

static void
put_values(Import *import, const PhMailboxId *mailbox, GHashTable *values, GHashTable *there)
{
	GHashTableIter iter;
	gpointer key = NULL;
	gpointer value = NULL;

	g_hash_table_iter_init(&iter, values);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		gsize length = 0;
		const char *data = g_bytes_get_data(value, &length);

		if (there != NULL && g_hash_table_contains(there, key))
			continue;
		if (g_str_has_prefix(key, PH_KEY_OWN) && !g_str_equal(key, PH_KEY_OWN "made"))
			continue;
		(void) ph_transaction_put(batch(import), mailbox, key, PH_SLICE(data, length));
	}
}

static bool
begin_mailbox(const PhArchiveMailbox *mailbox, void *user_data, GError **error)
{
	Import *import = user_data;
	bool is_inbox = g_ascii_strcasecmp(mailbox->name, "INBOX") == 0;
	const char *name = is_inbox ? "INBOX" : mailbox->name;
	const char *reason = NULL;

	if (!end_mailbox(import, error))
		return false;
	import->mailbox++;
	import->message = 0;
	g_clear_pointer(&import->present, ph_uid_set_free);
	if (!ph_mailbox_name_check(ph_slice(name), &reason)) {
		ph_error_set(error, PH_ERROR_INVALID, "mailbox %u of the archive: %s",
		             import->mailbox, reason);
		return false;
	}
	if (!choose_target(import, mailbox, name, error))
		return false;
	if (import->uidnext != UINT32_MAX) {
		import->raise_uidnext = mailbox->uidnext;
		import->raise_change = mailbox->change;
	}
	if (import->mailbox <= import->done_mailbox)
		return true;
	put_values(import, &import->target, mailbox->values, NULL);
	return flush(import, error);
}

/* --- messages -------------------------------------------------------------------------------------- */

static bool
wanted(const PhRecord *record, void *user_data)
{
	Import *import = user_data;

	import->message++;
	if (import->mailbox < import->done_mailbox
	    || (import->mailbox == import->done_mailbox && import->message <= import->done_message))
		return false;
	if (import->present != NULL && record->uid != 0
	    && ph_uid_set_contains(import->present, record->uid)) {
		import->n_skipped++;
		return false;
	}
	return true;
}

static bool
add_message(const PhRecord *record, PhContent *content, void *user_data, GError **error)
{
	Import *import = user_data;
	PhRecord kept = *record;

	if (!ph_job_go_on(import->job, error))
		return false;
	if (import->uidnext == UINT32_MAX || kept.uid < import->uidnext)
		kept.uid = 0;
	if (import->uidnext < UINT32_MAX - 1)
		import->uidnext = (kept.uid != 0 ? kept.uid : import->uidnext) + 1;
	if (kept.save_date == 0)
		kept.save_date = ph_clock_wall_us();
	if (ph_transaction_add_record(batch(import), &import->target, &kept, content, 0, error)
	    == NULL)
		return false;
	import->n_batch++;
	import->batch_octets += ph_content_length(content);
	if (ph_job_progress(import->job))
		ph_job_print(import->job, PH_JOB_PROGRESS, "mailbox %u, message %u",
		             import->mailbox, import->message);
	return (import->n_batch < BATCH_MESSAGES && import->batch_octets < BATCH_OCTETS)
	       || flush(import, error);
}

/* What was subscribed when the account was made, and is not in the archive's list, if it has one. */
static void
remove_subscriptions(Import *import, GHashTable *there)
{
	GHashTableIter iter;
	gpointer key = NULL;
	bool has_list = false;

	g_hash_table_iter_init(&iter, import->values);
	while (!has_list && g_hash_table_iter_next(&iter, &key, NULL))
		has_list = g_str_has_prefix(key, PH_KEY_SUBSCRIPTION);
	g_hash_table_iter_init(&iter, there);
	while (has_list && g_hash_table_iter_next(&iter, &key, NULL))
		if (g_str_has_prefix(key, PH_KEY_SUBSCRIPTION)
		    && !g_hash_table_contains(import->values, key))
			(void) ph_transaction_put(batch(import), NULL, key, PH_SLICE_EMPTY);
}

/* --- the end --------------------------------------------------------------------------------------- */

static bool
finish(Import *import, GError **error)
{
	g_autoptr(GHashTable) there = NULL;
	bool good = false;

	if (!end_mailbox(import, error))
		return false;
	there = ph_read_values(import->account, NULL, error);
	if (there == NULL)
		return false;
	if (import->is_exact)
		remove_subscriptions(import, there);
	put_values(import, NULL, import->values, import->is_exact ? NULL : there);
	(void) ph_transaction_put(batch(import), NULL, import->key, PH_SLICE_EMPTY);
	good = ph_transaction_run(import->batch, error);
	g_clear_pointer(&import->batch, ph_transaction_free);
	return good;
}

static bool
import_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	g_autoptr(PhAccount) account = ph_account_open(job->section, identity, error);
	uint64_t limit = ph_config_server(job->config)->message_size_limit.octets;
	Import import = { .job = job, .account = account };
	const PhArchiveEvents events = {
		.begin = begin,
		.mailbox = begin_mailbox,
		.message = add_message,
		.wanted = wanted,
		.user_data = &import,
	};
	bool good = false;

	if (account == NULL)
		return false;
	good = ph_archive_read(job->request->stream, MAX(limit, LARGEST_LEAST), &events, error)
	       && finish(&import, error);
	if (good)
		ph_job_print(job, PH_JOB_OUT,
		             "%s: imported %" G_GUINT64_FORMAT
		             " messages into %u mailboxes, %" G_GUINT64_FORMAT
		             " were there already",
		             ph_identity_address(identity), import.n_imported, import.mailbox,
		             import.n_skipped);
	g_clear_pointer(&import.batch, ph_transaction_free);
	g_clear_pointer(&import.present, ph_uid_set_free);
	g_clear_pointer(&import.values, g_hash_table_unref);
	g_free(import.key);
	return good;
}

bool
ph_job_import(PhJob *job, GError **error)
{
	if (job->request->stream >= 0)
		return ph_job_each_user(job, import_user, error);
	ph_error_set(error, PH_ERROR_INVALID, "there is no file to read");
	return false;
}

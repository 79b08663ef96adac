/* export.c: a live account as one archive, as it was at one moment
 *
 * While the account is held, what is known of mailboxes and messages is written into spools; the
 * octets are read afterwards, when it is used again: a message that is expunged meanwhile stays
 * readable for the store's grace time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/archive.h"
#include "tools/job.h"
#include "tools/read.h"

#include <string.h>

/* Where: what is needed to find a message's octets. */
typedef struct {
	uint32_t uid;
	PhBlobId blob;
} Where;

/* Piece: records of one messages-N.json in the spools. */
typedef struct {
	uint32_t mailbox;
	uint32_t n;
	uint64_t at; /* in the spool of records */
	uint64_t length;
} Piece;

typedef struct {
	PhJob *job;
	PhAccount *account;
	GArray *mailboxes; /* of PhMailboxInfo */
	GPtrArray *values; /* of GHashTable, by mailbox; the last one is the account's */
	GArray *pieces;    /* of Piece */
	PhSpool *records;
	PhSpool *wheres;
	GString *text; /* of the piece being written */
	Piece piece;
	GError **error;
	bool failed;
	uint64_t n_messages;
} Export;

/* --- the moment ------------------------------------------------------------------------------------- */

static bool
end_piece(Export *export)
{
	bool good = true;

	if (export->piece.n == 0)
		return true;
	export->piece.at = ph_spool_length(export->records);
	export->piece.length = export->text->len;
	good = ph_spool_write(export->records, PH_SLICE(export->text->str, export->text->len),
	                      export->error);
	(void) g_array_append_val(export->pieces, export->piece);
	g_string_truncate(export->text, 0);
	export->piece.n = 0;
	return good;
}

static bool
note_record(const PhRecord *record, void *user_data)
{
	Export *export = user_data;
	Where where;

	memset(&where, 0, sizeof where);
	where.uid = record->uid;
	where.blob = record->blob;
	if (export->piece.n > 0)
		g_string_append_c(export->text, ',');
	ph_archive_append_record(export->text, record);
	export->piece.n++;
	export->n_messages++;
	export->failed =
		!ph_spool_write(export->wheres, PH_SLICE((const char *) &where, sizeof where),
	                        export->error)
		|| (export->piece.n == PH_ARCHIVE_PIECE && !end_piece(export));
	return !export->failed;
}

static bool
note_mailbox(Export *export, guint index, GError **error)
{
	const PhMailboxInfo *info = &g_array_index(export->mailboxes, PhMailboxInfo, index);
	GHashTable *values = ph_read_values(export->account, &info->id, error);

	if (values == NULL)
		return false;
	g_ptr_array_add(export->values, values);
	export->piece.mailbox = index;
	return ph_read_records(export->account, &info->id, NULL, note_record, export, error)
	       && !export->failed && end_piece(export);
}

static bool
note_all_held(Export *export, GError **error)
{
	GHashTable *values = NULL;

	export->error = error;
	export->mailboxes = ph_read_mailboxes(export->account, error);
	for (guint i = 0; export->mailboxes != NULL && i < export->mailboxes->len; i++)
		if (!note_mailbox(export, i, error))
			return false;
	values = export->mailboxes != NULL ? ph_read_values(export->account, NULL, error) : NULL;
	if (values != NULL)
		g_ptr_array_add(export->values, values);
	return values != NULL;
}

/* --- writing it ------------------------------------------------------------------------------------- */

static bool
read_exactly(PhContent *content, uint64_t at, char *buffer, size_t length, GError **error)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = ph_content_read(content, at + got, buffer + got, length - got, error);

		if (n <= 0) {
			if (n == 0)
				ph_error_set(error, PH_ERROR_TEMPORARY, "a spool is too short");
			return false;
		}
		got += (size_t) n;
	}
	return true;
}

static bool
put_message(Export *export,
            PhArchiveWriter *writer,
            const PhMailboxInfo *info,
            const Where *where,
            GError **error)
{
	const PhRecord record = { .uid = where->uid, .blob = where->blob };
	g_autoptr(PhContent) content = ph_read_content(export->account, &info->id, &record, error);

	if (content == NULL || !ph_job_go_on(export->job, error)) {
		g_prefix_error(error, "'%s' uid %u: ", info->name, where->uid);
		return false;
	}
	return ph_archive_put_message(writer, content, error);
}

static bool
put_piece(Export *export,
          PhArchiveWriter *writer,
          const Piece *piece,
          PhContent *records,
          GError **error)
{
	g_autofree char *text = g_malloc(piece->length);

	return read_exactly(records, piece->at, text, piece->length, error)
	       && ph_archive_put_piece(writer, PH_SLICE(text, piece->length), error);
}

static bool
put_mailbox(Export *export, PhArchiveWriter *writer, guint index, GError **error)
{
	const PhMailboxInfo *info = &g_array_index(export->mailboxes, PhMailboxInfo, index);
	const PhArchiveMailbox mailbox = {
		.name = (char *) (uintptr_t) info->name,
		.id = info->id,
		.has_id = true,
		.uidvalidity = info->uidvalidity,
		.uidnext = info->uidnext,
		.change = info->change,
		.special_use = info->special_use,
		.values = export->values->pdata[index],
	};

	return ph_archive_put_mailbox(writer, &mailbox, error);
}

/* What is the server's own state stays here. */
static void
drop_own(GHashTable *values)
{
	GHashTableIter iter;
	gpointer key = NULL;

	g_hash_table_iter_init(&iter, values);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (g_str_has_prefix(key, PH_KEY_OWN) && !g_str_equal(key, PH_KEY_OWN "made"))
			g_hash_table_iter_remove(&iter);
}

static bool
put_pieces(Export *export,
           PhArchiveWriter *writer,
           PhContent *records,
           PhContent *wheres,
           GError **error)
{
	uint64_t at = 0;
	guint next = 0;

	for (guint i = 0; i < export->mailboxes->len; i++) {
		if (!put_mailbox(export, writer, i, error))
			return false;
		for (; next < export->pieces->len; next++) {
			const Piece *piece = &g_array_index(export->pieces, Piece, next);
			const PhMailboxInfo *info =
				&g_array_index(export->mailboxes, PhMailboxInfo, i);

			if (piece->mailbox != i)
				break;
			if (!put_piece(export, writer, piece, records, error))
				return false;
			for (uint32_t n = 0; n < piece->n; n++, at += sizeof(Where)) {
				Where where;

				if (!read_exactly(wheres, at, (char *) &where, sizeof where, error)
				    || !put_message(export, writer, info, &where, error))
					return false;
			}
			if (ph_job_progress(export->job))
				ph_job_print(export->job, PH_JOB_PROGRESS, "'%s': %u messages",
				             info->name, writer->message);
		}
	}
	return true;
}

static bool
write_out(Export *export, GError **error)
{
	PhArchiveWriter writer = { .fd = export->job->request->stream };
	g_autoptr(PhContent) records = ph_spool_finish(g_steal_pointer(&export->records), error);
	g_autoptr(PhContent) wheres =
		records != NULL ? ph_spool_finish(g_steal_pointer(&export->wheres), error) : NULL;
	GHashTable *values = export->values->pdata[export->mailboxes->len];
	g_autofree char *id = g_uuid_string_random();

	drop_own(values);
	return wheres != NULL && ph_archive_begin(&writer, id, values, error)
	       && put_pieces(export, &writer, records, wheres, error)
	       && ph_archive_finish(&writer, error);
}

static bool
export_account(Export *export, GError **error)
{
	bool good = false;

	ph_account_hold(export->account);
	good = note_all_held(export, error);
	ph_account_let_go(export->account);
	return good && write_out(export, error);
}

static bool
export_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	g_autoptr(PhAccount) account = ph_account_open(job->section, identity, error);
	Export export = { .job = job, .account = account };
	bool good = false;

	if (account == NULL)
		return false;
	export.values = g_ptr_array_new_with_free_func((GDestroyNotify) g_hash_table_unref);
	export.pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
	export.records = ph_spool_new();
	export.wheres = ph_spool_new();
	export.text = g_string_new(NULL);
	good = export_account(&export, error);
	if (good)
		ph_job_print(job, PH_JOB_NOTE,
		             "%s: exported %u mailboxes, %" G_GUINT64_FORMAT " messages",
		             ph_identity_address(identity), export.mailboxes->len,
		             export.n_messages);
	g_ptr_array_unref(export.values);
	g_array_unref(export.pieces);
	g_clear_pointer(&export.mailboxes, g_array_unref);
	g_clear_pointer(&export.records, ph_spool_free);
	g_clear_pointer(&export.wheres, ph_spool_free);
	g_string_free(export.text, TRUE);
	return good;
}

bool
ph_job_export(PhJob *job, GError **error)
{
	if (job->request->stream >= 0)
		return ph_job_each_user(job, export_user, error);
	ph_error_set(error, PH_ERROR_INVALID, "there is no file to write to");
	return false;
}

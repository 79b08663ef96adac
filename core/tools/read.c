/* read.c: an account's mailboxes, messages and values as a tool reads them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/read.h"

#include <posthorn/message.h>
#include <posthorn/slice.h>

#include <openssl/evp.h>
#include <string.h>

/* --- mailboxes ------------------------------------------------------------------------------------ */

static void
clear_info(void *data)
{
	g_free((char *) (uintptr_t) ((PhMailboxInfo *) data)->name);
}

static bool
gather_info(const PhMailboxInfo *info, void *user_data)
{
	PhMailboxInfo copy = *info;

	copy.name = g_strdup(info->name);
	(void) g_array_append_val((GArray *) user_data, copy);
	return true;
}

GArray *
ph_read_mailboxes(PhAccount *account, GError **error)
{
	g_autoptr(GArray) infos = g_array_new(FALSE, FALSE, sizeof(PhMailboxInfo));
	uint64_t change = 0;
	PhAccountCall call;
	bool good = false;

	g_array_set_clear_func(infos, clear_info);
	if (!ph_account_enter(account, &call, error))
		return NULL;
	good = call.table->mailboxes(call.engine, gather_info, infos, &change, error);
	ph_account_leave(&call, good);
	return good ? g_steal_pointer(&infos) : NULL;
}

const PhMailboxInfo *
ph_mailbox_by_id(const GArray *mailboxes, const PhMailboxId *id)
{
	for (guint i = 0; i < mailboxes->len; i++) {
		const PhMailboxInfo *info = &g_array_index(mailboxes, PhMailboxInfo, i);

		if (ph_mailbox_id_equal(&info->id, id))
			return info;
	}
	return NULL;
}

const PhMailboxInfo *
ph_mailbox_by_name(const GArray *mailboxes, const char *name)
{
	for (guint i = 0; i < mailboxes->len; i++) {
		const PhMailboxInfo *info = &g_array_index(mailboxes, PhMailboxInfo, i);

		if (strcmp(info->name, name) == 0)
			return info;
	}
	return NULL;
}

/* --- messages -------------------------------------------------------------------------------------- */

static bool
ask(PhAccount *account, const PhMailboxId *mailbox, const PhChangesQuery *query, GError **error)
{
	PhChangesResult result = { 0 };
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return false;
	good = call.table->changes(call.engine, mailbox, query, &result, error);
	ph_account_leave(&call, good);
	return good;
}

/* The same for the same flags and keywords, in whatever order and case. */
static uint32_t
state_of(const PhRecord *record)
{
	uint32_t sum = 0;

	for (const char *const *k = record->keywords; k != NULL && *k != NULL; k++) {
		g_autofree char *lower = g_ascii_strdown(*k, -1);

		sum += g_str_hash(lower) * 31 + 1;
	}
	return (sum << 5) ^ (sum >> 27) ^ record->flags;
}

static bool
gather_mark(const PhRecord *record, void *user_data)
{
	const PhMark mark = {
		.uid = record->uid,
		.state = state_of(record),
		.change = record->change,
	};

	(void) g_array_append_val((GArray *) user_data, mark);
	return true;
}

GArray *
ph_read_marks(PhAccount *account, const PhMailboxId *mailbox, GError **error)
{
	g_autoptr(GArray) marks = g_array_new(FALSE, FALSE, sizeof(PhMark));
	const PhChangesQuery query = {
		.fields = PH_FIELD_FLAGS,
		.record = gather_mark,
		.user_data = marks,
	};

	return ask(account, mailbox, &query, error) ? g_steal_pointer(&marks) : NULL;
}

bool
ph_read_records(PhAccount *account,
                const PhMailboxId *mailbox,
                const PhUidSet *uids,
                bool (*func)(const PhRecord *record, void *user_data),
                void *user_data,
                GError **error)
{
	const PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS | PH_FIELD_DATES | PH_FIELD_OCTETS | PH_FIELD_BLOB
		          | PH_FIELD_IDS | PH_FIELD_STRUCTURE,
		.record = func,
		.user_data = user_data,
	};

	return ask(account, mailbox, &query, error);
}

bool
ph_read_dates(PhAccount *account,
              const PhMailboxId *mailbox,
              bool (*func)(const PhRecord *record, void *user_data),
              void *user_data,
              GError **error)
{
	const PhChangesQuery query = {
		.fields = PH_FIELD_DATES,
		.record = func,
		.user_data = user_data,
	};

	return ask(account, mailbox, &query, error);
}

PhRecord *
ph_record_dup(const PhRecord *record)
{
	PhRecord *copy = g_memdup2(record, sizeof *record);

	copy->keywords = (const char *const *) g_strdupv((char **) (uintptr_t) record->keywords);
	copy->structure.data = record->structure.length > 0
	                               ? g_memdup2(record->structure.data, record->structure.length)
	                               : NULL;
	return copy;
}

void
ph_record_free(PhRecord *record)
{
	if (record == NULL)
		return;
	g_strfreev((char **) (uintptr_t) record->keywords);
	g_free((char *) (uintptr_t) record->structure.data);
	g_free(record);
}

PhContent *
ph_read_content(PhAccount *account,
                const PhMailboxId *mailbox,
                const PhRecord *record,
                GError **error)
{
	PhContent *content = NULL;
	PhAccountCall call;
	bool good = false;

	if (!ph_account_enter(account, &call, error))
		return NULL;
	good = call.table->content(call.engine, mailbox, record->uid, &record->blob, &content,
	                           error);
	ph_account_leave(&call, good);
	return good ? content : NULL;
}

/* --- values ---------------------------------------------------------------------------------------- */

static bool
gather_value(const char *key, PhSlice value, void *user_data)
{
	(void) g_hash_table_insert(user_data, g_strdup(key), g_bytes_new(value.data, value.length));
	return true;
}

GHashTable *
ph_read_values(PhAccount *account, const PhMailboxId *mailbox, GError **error)
{
	GHashTable *values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
	                                           (GDestroyNotify) g_bytes_unref);

	if (ph_account_values(account, mailbox, "", gather_value, values, error))
		return values;
	g_hash_table_unref(values);
	return NULL;
}

/* --- octets ---------------------------------------------------------------------------------------- */

static bool
digest_piece(PhSlice piece, void *user_data, GError **error)
{
	if (EVP_DigestUpdate(user_data, piece.data, piece.length) == 1)
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot compute a digest");
	return false;
}

bool
ph_content_digest(PhContent *content, uint8_t digest[PH_DIGEST_OCTETS], GError **error)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

	if (!good)
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot compute a digest");
	good = good
	       && ph_content_each(content, 0, ph_content_length(content), digest_piece, context,
	                          error)
	       && EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

PhOp *
ph_transaction_add_record(PhTransaction *transaction,
                          const PhMailboxId *mailbox,
                          const PhRecord *record,
                          PhContent *content,
                          uint64_t change,
                          GError **error)
{
	static const uint8_t none[sizeof record->message_id];
	g_autoptr(PhStructure) structure = record->structure.length > 0
	                                           ? ph_structure_from_blob(record->structure, NULL)
	                                           : NULL;
	const PhAppendOptions options = {
		.size = sizeof options,
		.flags = record->flags,
		.internal_zone = record->internal_zone,
		.internal_date = record->internal_date,
		.keywords = record->keywords,
		.structure = structure,
	};
	PhOp *op = ph_transaction_append(transaction, mailbox, content, &options, error);

	if (op == NULL)
		return NULL;
	op->internal_date = record->internal_date;
	op->save_date = record->save_date;
	op->has_given = record->uid != 0;
	op->given_uid = record->uid;
	op->given_change = change;
	if (memcmp(record->message_id, none, sizeof none) != 0)
		memcpy(op->message_id, record->message_id, sizeof op->message_id);
	return op;
}

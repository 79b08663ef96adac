/* index-dump.h: everything that a store tells about an account, as text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MAILBOX_INDEX_DUMP_H
#define TEST_MAILBOX_INDEX_DUMP_H

#include "accounts.h"

typedef struct {
	PhStore *table;
	void *engine;
	GString *out;
	PhMailboxId mailbox;
} Dump;

static inline bool
dump_value(const char *key, PhSlice value, void *user_data)
{
	Dump *dump = user_data;

	g_string_append_printf(dump->out, " value %s=%.*s\n", key, (int) value.length, value.data);
	return true;
}

static inline bool
dump_record(const PhRecord *record, void *user_data)
{
	Dump *dump = user_data;
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *structure = g_compute_checksum_for_data(
		G_CHECKSUM_SHA256, (const guchar *) record->structure.data,
		record->structure.length);
	g_autofree char *id = g_compute_checksum_for_data(G_CHECKSUM_SHA256, record->message_id,
	                                                  sizeof record->message_id);
	char octets[4096] = { 0 };

	g_assert_true(dump->table->content(dump->engine, &dump->mailbox, record->uid, &record->blob,
	                                   &content, &error));
	g_assert_no_error(error);
	g_assert_cmpint(ph_content_read(content, 0, octets, sizeof octets - 1, &error), ==,
	                (gssize) record->octets);
	g_string_append_printf(dump->out, " %u flags %u change %u", record->uid, record->flags,
	                       (unsigned) record->change);
	for (const char *const *k = record->keywords; *k != NULL; k++)
		g_string_append_printf(dump->out, " %s", *k);
	g_string_append_printf(dump->out,
	                       " date %" G_GINT64_FORMAT " %d saved %" G_GINT64_FORMAT
	                       " id %.8s structure %.8s octets %.20s\n",
	                       record->internal_date, record->internal_zone, record->save_date, id,
	                       structure, octets);
	return true;
}

static inline void
dump_gone(uint32_t first, uint32_t last, void *user_data)
{
	Dump *dump = user_data;

	g_string_append_printf(dump->out, " gone %u:%u\n", first, last);
}

static inline bool
dump_mailbox(const PhMailboxInfo *info, void *user_data)
{
	Dump *dump = user_data;
	PhChangesQuery all = { .fields = 63, .record = dump_record, .user_data = dump };
	PhChangesQuery since = { .since = 1,
		                 .fields = 63,
		                 .record = dump_record,
		                 .expunged = dump_gone,
		                 .user_data = dump };
	PhChangesResult result;
	g_autoptr(GError) error = NULL;

	dump->mailbox = info->id;
	g_string_append_printf(dump->out,
	                       "%s %u %u messages %u unseen %u deleted %u octets %u"
	                       " change %u\n",
	                       info->name, info->uidvalidity, info->uidnext, info->n_messages,
	                       info->n_unseen, info->n_deleted, (unsigned) info->octets,
	                       (unsigned) info->change);
	g_assert_true(dump->table->changes(dump->engine, &info->id, &all, &result, &error));
	g_string_append(dump->out, " since\n");
	g_assert_true(dump->table->changes(dump->engine, &info->id, &since, &result, &error));
	g_assert_true(dump->table->values(dump->engine, &info->id, "", dump_value, dump, &error));
	g_assert_no_error(error);
	return true;
}

/* Returns: (owned). */
static inline char *
dump_account(PhAccount *account)
{
	PhAccountCall call;
	g_autoptr(GError) error = NULL;
	Dump dump = { .out = g_string_new(NULL) };

	g_assert_true(ph_account_enter(account, &call, &error));
	dump.table = (PhStore *) (uintptr_t) call.table;
	dump.engine = call.engine;
	g_assert_true(call.table->mailboxes(call.engine, dump_mailbox, &dump, NULL, &error));
	g_assert_true(call.table->values(call.engine, NULL, "", dump_value, &dump, &error));
	ph_account_leave(&call, true);
	return g_string_free(dump.out, FALSE);
}

#endif

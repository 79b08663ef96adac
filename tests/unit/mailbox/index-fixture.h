/* index-fixture.h: an index in a folder of its own, and short words for what tests do with it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TEST_MAILBOX_INDEX_FIXTURE_H
#define TEST_MAILBOX_INDEX_FIXTURE_H

#include <posthorn/error.h>
#include <posthorn/index.h>
#include <posthorn/slice.h>

#include <glib/gstdio.h>

static const char *const no_keywords[] = { NULL };

typedef struct {
	char *folder;
	char *path;
	PhIndex *index;
	PhMailboxId inbox;
	uint8_t next_id;
} Fixture;

static inline PhIndex *
open_index(Fixture *f, uint64_t quota)
{
	g_autoptr(GError) error = NULL;
	PhIndexParams params = { .size = sizeof params, .path = f->path, .quota_messages = quota };
	PhIndex *index = ph_index_open(&params, &error);

	g_assert_no_error(error);
	return index;
}

/* --- building operations ------------------------------------------------------------------------ */

typedef struct {
	PhTransaction transaction;
	PhOp op;
	PhOp *ops[1];
} Tx;

static inline void
tx_init(Tx *tx, Fixture *f, uint32_t kind)
{
	memset(tx, 0, sizeof *tx);
	for (size_t i = 0; i < sizeof tx->transaction.id; i++)
		tx->transaction.id[i] = (uint8_t) g_random_int_range(0, 256);
	tx->ops[0] = &tx->op;
	tx->transaction.ops = tx->ops;
	tx->transaction.n_ops = 1;
	tx->op.kind = kind;
	tx->op.mailbox = f->inbox;
	tx->op.keywords = no_keywords;
	tx->op.refused = ph_uid_set_new();
	tx->op.missing = ph_uid_set_new();
	tx->op.from_uids = ph_uid_set_new();
	tx->op.to_uids = ph_uid_set_new();
}

static inline void
tx_clear(Tx *tx)
{
	ph_uid_set_free(tx->op.refused);
	ph_uid_set_free(tx->op.missing);
	ph_uid_set_free(tx->op.from_uids);
	ph_uid_set_free(tx->op.to_uids);
	g_clear_error(&tx->transaction.error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tx, tx_clear)

static inline bool
run(PhIndex *index, Tx *tx)
{
	g_autoptr(GError) error = NULL;
	PhTransaction *batch[] = { &tx->transaction };

	g_assert_true(ph_index_commit(index, batch, 1, &error));
	g_assert_no_error(error);
	return tx->transaction.done;
}

static inline uint32_t
append(Fixture *f, uint32_t flags, uint64_t octets)
{
	g_auto(Tx) tx = { 0 };

	tx_init(&tx, f, PH_OP_APPEND);
	tx.op.flags = flags;
	tx.op.octets = octets;
	tx.op.internal_date = 1000;
	tx.op.structure = PH_SLICE_LITERAL("structure");
	return run(f->index, &tx) ? tx.op.uid : 0;
}

static inline void
create(Fixture *f, const char *name, PhMailboxId *id_out)
{
	g_auto(Tx) tx = { 0 };

	tx_init(&tx, f, PH_OP_CREATE);
	memset(tx.op.mailbox.octets, ++f->next_id, sizeof tx.op.mailbox.octets);
	*id_out = tx.op.mailbox;
	tx.op.name = name;
	g_assert_true(run(f->index, &tx));
	g_assert_cmpuint(tx.op.uidvalidity, >, 0);
}

static inline uint64_t
set_flags(Fixture *f, uint32_t first, uint32_t last, uint32_t mode, uint32_t flags)
{
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(first, last);

	tx_init(&tx, f, PH_OP_FLAGS);
	tx.op.uids = uids;
	tx.op.flags_mode = mode;
	tx.op.flags = flags;
	g_assert_true(run(f->index, &tx));
	return tx.transaction.change;
}

static inline uint64_t
expunge(Fixture *f, uint32_t first, uint32_t last)
{
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(first, last);

	tx_init(&tx, f, PH_OP_EXPUNGE);
	tx.op.uids = uids;
	g_assert_true(run(f->index, &tx));
	return tx.transaction.change;
}

static inline char *
set_text(const PhUidSet *set)
{
	GString *out = g_string_new(NULL);

	ph_uid_set_append_text(set, out);
	return g_string_free(out, FALSE);
}

/* --- reading ------------------------------------------------------------------------------------- */

static inline bool
write_record(const PhRecord *record, void *user_data)
{
	GString *out = user_data;

	g_string_append_printf(out, "%u:%u", record->uid, record->flags);
	for (size_t i = 0; record->keywords != NULL && record->keywords[i] != NULL; i++)
		g_string_append_printf(out, "+%s", record->keywords[i]);
	g_string_append_c(out, ' ');
	return true;
}

static inline void
write_expunged(uint32_t first, uint32_t last, void *user_data)
{
	g_string_append_printf(user_data, "-%u:%u ", first, last);
}

/* "uid:flags ..." of what changed after @since, "-first:last" for expunges before them. */
static inline char *
changes(Fixture *f, const PhMailboxId *mailbox, uint64_t since, const PhUidSet *uids)
{
	g_autoptr(GError) error = NULL;
	GString *out = g_string_new(NULL);
	PhChangesResult result = { 0, false };
	PhChangesQuery query = { .since = since,
		                 .uids = uids,
		                 .fields = PH_FIELD_FLAGS,
		                 .record = write_record,
		                 .expunged = write_expunged,
		                 .user_data = out };

	g_assert_true(ph_index_changes(f->index, mailbox, &query, &result, &error));
	g_assert_no_error(error);
	g_assert_false(result.full);
	return g_string_free(out, FALSE);
}

static inline bool
find_info(const PhMailboxInfo *info, void *user_data)
{
	PhMailboxInfo *wanted = user_data;

	if (memcmp(&info->id, &wanted->id, sizeof info->id) == 0)
		*wanted = *info;
	return true;
}

static inline PhMailboxInfo
info_of(Fixture *f, const PhMailboxId *mailbox)
{
	g_autoptr(GError) error = NULL;
	PhMailboxInfo info = { .id = *mailbox };

	g_assert_true(ph_index_mailboxes(f->index, find_info, &info, NULL, &error));
	g_assert_no_error(error);
	return info;
}

static inline void
assert_counts(Fixture *f,
              const PhMailboxId *mailbox,
              uint32_t messages,
              uint32_t unseen,
              uint32_t deleted)
{
	PhMailboxInfo info = info_of(f, mailbox);

	g_assert_cmpuint(info.n_messages, ==, messages);
	g_assert_cmpuint(info.n_unseen, ==, unseen);
	g_assert_cmpuint(info.n_deleted, ==, deleted);
}

static inline void
fail_line(const char *line, void *user_data)
{
	g_test_message("%s", line);
	g_test_fail();
}

static inline void
set_up(Fixture *f, const void *data)
{
	f->folder = g_dir_make_tmp("posthorn-index-XXXXXX", NULL);
	f->path = g_build_filename(f->folder, "a", "b.sqlite", NULL);
	f->index = open_index(f, 0);
	create(f, "INBOX", &f->inbox);
}

static inline void
tear_down(Fixture *f, const void *data)
{
	g_autofree char *remove = g_strdup_printf("%s-wal", f->path);
	g_autofree char *shm = g_strdup_printf("%s-shm", f->path);
	g_autofree char *below = g_path_get_dirname(f->path);

	if (f->index != NULL)
		g_assert_true(ph_index_check(f->index, false, fail_line, NULL, NULL));
	ph_index_unref(f->index);
	(void) g_unlink(f->path);
	(void) g_unlink(remove);
	(void) g_unlink(shm);
	(void) g_rmdir(below);
	(void) g_rmdir(f->folder);
	g_free(f->path);
	g_free(f->folder);
}

#endif

/* test-deferred.c: with a journal nothing is told before it is durable, and replay makes it again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"
#include "base/horizon.h"
#include "journal/private.h"

/* A writer that makes everything durable at once, unless it is told to pause. */
typedef struct {
	PhJournal *journal;
	GThread *thread;
	gint is_paused;
	gint is_over;
} Writer;

static void *
write_on(void *data)
{
	Writer *writer = data;

	while (!g_atomic_int_get(&writer->is_over)) {
		PhJournalStats stats;

		ph_journal_stats(writer->journal, &stats);
		if (!g_atomic_int_get(&writer->is_paused))
			ph_horizon_advance(stats.end);
		g_usleep(500);
	}
	return NULL;
}

static PhJournal *
open_journal(const char *folder)
{
	g_autoptr(GError) error = NULL;
	PhJournalParams params = {
		.folder = folder,
		.size = 4U << 20,
		.checkpoint_us = 3600U * G_USEC_PER_SEC,
	};
	PhJournal *journal = ph_journal_open(&params, &error);

	g_assert_no_error(error);
	return journal;
}

static void
use_journal(PhJournal *journal)
{
	ph_accounts_configure(&(PhAccountsParams){ .journal = journal });
}

static char *
new_folder(void)
{
	char *folder = g_dir_make_tmp("posthorn-deferred-XXXXXX", NULL);

	(void) g_rmdir(folder);
	return folder;
}

static void
remove_folder(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;

	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		(void) g_unlink(path);
	}
	(void) g_rmdir(folder);
}

static void
note_resolved(void *user_data)
{
	g_atomic_int_inc((gint *) user_data);
}

static PhTransaction *
submit_append(PhAccount *account, const PhMailboxId *mailbox, gint *n_resolved)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("a: b\r\n\r\nc\r\n"));
	PhTransaction *transaction = ph_transaction_new(account, NULL);

	g_assert_nonnull(ph_transaction_append(transaction, mailbox, content, NULL, NULL));
	ph_transaction_submit(transaction, ph_wake_new_func(note_resolved, n_resolved));
	return transaction;
}

static uint32_t
n_messages(PhAccount *account)
{
	PhMailboxInfo info;

	g_assert_true(ph_account_find(account, ph_slice("INBOX"), &info, NULL));
	return info.n_messages;
}

/* What a session that looks at the mailbox must wait for. */
static uint64_t
position_shown(PhAccount *account)
{
	g_autoptr(PhView) view = NULL;
	uint64_t by_list = 0;
	uint64_t by_view = 0;

	ph_horizon_collect(&by_list);
	(void) n_messages(account);
	ph_horizon_collect(&by_view);
	view = ph_view_open(account, ph_slice("INBOX"), true, (PhSessionRef){ 0, 0 }, NULL);
	ph_horizon_collect(NULL);
	g_assert_nonnull(view);
	g_assert_cmpuint(by_list, ==, by_view);
	return by_view;
}

static void
wait_until(gint *n, gint wanted)
{
	while (g_atomic_int_get(n) < wanted)
		g_usleep(500);
}

static void
test_waits(void)
{
	g_autofree char *folder = new_folder();
	Writer writer = { .journal = open_journal(folder) };
	TestStore store;
	gint n_resolved = 0;

	writer.journal->is_started = true;
	writer.thread = g_thread_new("writer", write_on, &writer);
	use_journal(writer.journal);
	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhTransaction) first = NULL;
		g_autoptr(PhTransaction) second = NULL;
		uint64_t position = 0;

		g_assert_true(ph_horizon_reached(position_shown(account)));
		g_atomic_int_set(&writer.is_paused, 1);
		first = submit_append(account, &inbox, &n_resolved);
		while (n_messages(account) == 0)
			g_usleep(500);
		/* others see it, and must not say so; who made it is not told; the lane goes on */
		position = position_shown(account);
		g_assert_false(ph_horizon_reached(position));
		second = submit_append(account, &inbox, &n_resolved);
		while (n_messages(account) == 1)
			g_usleep(500);
		g_assert_cmpint(g_atomic_int_get(&n_resolved), ==, 0);
		g_assert_cmpuint(position_shown(account), >, position);
		g_atomic_int_set(&writer.is_paused, 0);
		wait_until(&n_resolved, 2);
		g_assert_true(first->done && second->done);
		g_assert_true(ph_horizon_reached(position_shown(account)));
	}
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhTransaction) lost = NULL;

		g_atomic_int_set(&writer.is_paused, 1);
		lost = submit_append(account, &inbox, &n_resolved);
		while (n_messages(account) == 2)
			g_usleep(500);
		ph_horizon_fail();
		wait_until(&n_resolved, 3);
		g_assert_false(lost->done);
		g_assert_error(lost->error, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN);
	}
	g_atomic_int_set(&writer.is_over, 1);
	(void) g_thread_join(writer.thread);
	test_store_clear(&store);
	use_journal(NULL);
	writer.journal->is_started = false;
	ph_journal_close(writer.journal, false);
	ph_horizon_begin(0);
	remove_folder(folder);
}

static bool (*real_sync)(void *account, GError **error);
static gint n_begun;
static gint n_synced;

static bool
slow_sync(void *account, GError **error)
{
	bool good = false;

	g_atomic_int_set(&n_begun, 1);
	g_usleep(100000);
	good = real_sync(account, error);
	g_atomic_int_set(&n_synced, 1);
	return good;
}

/* A session that looks when the change is there and its sync is under way. */
static void *
look_beside(void *account)
{
	uint64_t shown = 0;

	wait_until(&n_begun, 1);
	ph_horizon_collect(&shown);
	(void) n_messages(account);
	ph_horizon_collect(NULL);
	return GINT_TO_POINTER(g_atomic_int_get(&n_synced));
}

/* What a tool commits is synced in the store: until then nobody tells of it. */
static void
test_held(void)
{
	g_autofree char *folder = new_folder();
	PhJournal *journal = open_journal(folder);
	TestStore store;

	g_assert_true(ph_journal_start(journal, NULL));
	use_journal(journal);
	test_store_init(&store);
	real_sync = store.table->sync;
	store.table->sync = slow_sync;
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhTransaction *transaction = ph_transaction_new(account, NULL);
		GThread *reader = NULL;
		uint64_t shown = 0;

		g_assert_cmpuint(n_messages(account), ==, 0);
		ph_transaction_put(transaction, NULL, "key", ph_slice("value"));
		reader = g_thread_new("reader", look_beside, account);
		ph_account_hold(account);
		ph_horizon_collect(&shown); /* as a session that opens an account */
		g_assert_true(ph_account_commit_held(account, transaction, NULL));
		ph_horizon_collect(NULL);
		ph_account_let_go(account);
		g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(reader)), ==, 1);
		ph_transaction_free(transaction);
	}
	ph_accounts_forget_section(&store.section);
	use_journal(NULL);
	ph_journal_close(journal, false);
	ph_horizon_begin(0);
	test_store_clear(&store);
	remove_folder(folder);
}

/* --- replay --------------------------------------------------------------------------------------- */

static void
run(PhTransaction *transaction)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_transaction_run(transaction, &error));
	g_assert_no_error(error);
	ph_transaction_free(transaction);
}

static void
make_mail(PhAccount *account)
{
	static const char *const keywords[] = { "work", NULL };
	PhMailboxId inbox = test_mailbox(account, "INBOX");
	g_autoptr(PhUidSet) some = ph_uid_set_new_range(2, 4);
	g_autoptr(PhUidSet) one = ph_uid_set_new_range(5, 5);
	PhTransaction *transaction = NULL;
	PhMailboxId box;

	for (unsigned i = 0; i < 8; i++)
		(void) test_append(account, &inbox, ph_slice("x: y\r\n\r\nz\r\n"), 0);
	transaction = ph_transaction_new(account, NULL);
	(void) ph_transaction_create(transaction, ph_slice("box"), PH_USE_SENT);
	run(transaction);
	box = test_mailbox(account, "box");
	transaction = ph_transaction_new(account, NULL);
	(void) ph_transaction_flags(transaction, &inbox, some, PH_FLAGS_ADD, PH_FLAG_SEEN,
	                            keywords);
	(void) ph_transaction_copy(transaction, &inbox, some, &box);
	run(transaction);
	transaction = ph_transaction_new(account, NULL);
	(void) ph_transaction_move(transaction, &inbox, one, &box);
	(void) ph_transaction_rename(transaction, &box, ph_slice("chest"));
	(void) ph_transaction_put(transaction, NULL, "key", ph_slice("value"));
	run(transaction);
	transaction = ph_transaction_new(account, NULL);
	(void) ph_transaction_expunge(transaction, &inbox, some);
	run(transaction);
}

static bool
describe_record(const PhRecord *record, void *user_data)
{
	g_string_append_printf(user_data, " %u:%" G_GUINT64_FORMAT ":%x:%s", record->uid,
	                       record->change, record->flags,
	                       record->keywords[0] != NULL ? record->keywords[0] : "");
	return true;
}

static bool
describe_value(const char *key, PhSlice value, void *user_data)
{
	g_string_append_printf(user_data, " %s=%.*s", key, (int) value.length, value.data);
	return true;
}

/* Everything that a client could see. */
static char *
describe(PhAccount *account)
{
	GString *out = g_string_new(NULL);
	PhNames *names = ph_account_names(account, NULL);

	for (uint32_t i = 0; i < names->n; i++) {
		const PhMailboxInfo *info = &names->infos[i];
		PhChangesQuery query = {
			.fields = PH_FIELD_FLAGS,
			.record = describe_record,
			.user_data = out,
		};
		PhChangesResult result = { 0 };
		PhAccountCall call;

		g_string_append_printf(out, "\n%s %u %u %u %" G_GUINT64_FORMAT, info->name,
		                       info->uidvalidity, info->uidnext, info->special_use,
		                       info->change);
		g_assert_true(ph_account_enter(account, &call, NULL));
		g_assert_true(call.table->changes(call.engine, &info->id, &query, &result, NULL));
		ph_account_leave(&call, true);
	}
	ph_names_unref(names);
	g_assert_true(ph_account_values(account, NULL, "k", describe_value, out, NULL));
	return g_string_free(out, FALSE);
}

static void
copy_folder(const char *from, const char *to)
{
	g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
	const char *name = NULL;

	g_assert_cmpint(g_mkdir(to, 0700), ==, 0);
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *source = g_build_filename(from, name, NULL);
		g_autofree char *target = g_build_filename(to, name, NULL);
		g_autofree char *octets = NULL;
		gsize length = 0;

		g_assert_true(g_file_get_contents(source, &octets, &length, NULL));
		g_assert_true(g_file_set_contents(target, octets, (gssize) length, NULL));
	}
}

/* The store of the first one is lost altogether: the journal alone makes it again; twice. */
static void
test_replay(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *first = new_folder();
	g_autofree char *second = new_folder();
	const char *copies[] = { first, second };
	g_autofree char *before = NULL;
	PhJournal *journal = open_journal(folder);
	TestStore store;
	TestStore other;

	g_assert_true(ph_journal_start(journal, NULL));
	use_journal(journal);
	test_store_init(&store);
	test_store_init(&other);
	other.section.name = store.section.name;
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);

		make_mail(account);
		before = describe(account);
	}
	copy_folder(folder, first);
	copy_folder(folder, second);
	ph_accounts_forget_section(&store.section);
	ph_journal_close(journal, false);
	for (unsigned i = 0; i < 2; i++) {
		journal = open_journal(copies[i]);
		g_assert_true(ph_journal_has_pending(journal));
		g_assert_true(ph_journal_start(journal, NULL));
		use_journal(journal);
		{
			g_autoptr(PhAccount) account = test_account(&other, "ann", 0);
			g_autofree char *after = describe(account);
			g_autoptr(PhContent) octets = test_read_back(account, "INBOX", 1, NULL);

			g_assert_cmpstr(after, ==, before);
			g_assert_cmpuint(ph_content_length(octets), ==, 11);
			test_verify(account);
		}
		ph_accounts_forget_section(&other.section);
		use_journal(NULL);
		ph_journal_close(journal, false);
		remove_folder(copies[i]);
	}
	ph_horizon_begin(0);
	test_store_clear(&other);
	test_store_clear(&store);
	remove_folder(folder);
}

/* --- what is encrypted ----------------------------------------------------------------------------- */

static bool
holds(const char *folder, const char *what)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;
	bool found = false;

	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_autofree char *octets = NULL;
		gsize length = 0;

		g_assert_true(g_file_get_contents(path, &octets, &length, NULL));
		found = found || memmem(octets, length, what, strlen(what)) != NULL;
	}
	return found;
}

static bool
take_structure(const PhRecord *record, void *user_data)
{
	g_string_append_len(user_data, record->structure.data, (gssize) record->structure.length);
	return true;
}

/* Returns: (owned) the structures of all messages. */
static GString *
structures(PhAccount *account)
{
	GString *out = g_string_new(NULL);
	PhMailboxId inbox = test_mailbox(account, "INBOX");
	PhChangesQuery query = {
		.fields = PH_FIELD_STRUCTURE,
		.record = take_structure,
		.user_data = out,
	};
	PhChangesResult result = { 0 };
	PhAccountCall call;

	g_assert_true(ph_account_enter(account, &call, NULL));
	g_assert_true(call.table->changes(call.engine, &inbox, &query, &result, NULL));
	ph_account_leave(&call, true);
	return out;
}

/* Appends; @saved: the store as it is when the octets are durable and the commit is not. */
static void
append_hidden(PhAccount *account, const char *store, const char *saved)
{
	PhMailboxId inbox = test_mailbox(account, "INBOX");
	PhTransaction *transaction = ph_transaction_new(account, NULL);
	g_autoptr(PhContent) content = ph_content_new_copy(
		ph_slice("From: eve@far.example\r\nSubject: marmalade\r\n\r\nx\r\n"));

	g_assert_nonnull(ph_transaction_append(transaction, &inbox, content, NULL, NULL));
	copy_folder(store, saved);
	run(transaction);
}

/* Of a store that encrypts the journal knows nothing of what messages say; it is there again after a
 * replay all the same. */
static void
test_hidden(void)
{
	g_autofree char *folder = new_folder();
	g_autofree char *copy = new_folder();
	g_autofree char *saved = new_folder();
	g_autoptr(GString) before = NULL;
	PhJournal *journal = open_journal(folder);
	TestStore store;
	TestStore other;

	g_assert_true(ph_journal_start(journal, NULL));
	use_journal(journal);
	test_store_init(&store);
	test_store_init(&other);
	store.table->abilities |= PH_STORE_HIDES_OCTETS;
	other.table->abilities |= PH_STORE_HIDES_OCTETS;
	other.section.name = store.section.name;
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);

		append_hidden(account, store.folder, saved);
		before = structures(account);
	}
	g_assert_nonnull(memmem(before->str, before->len, "marmalade", 9));
	g_assert_false(holds(folder, "marmalade"));
	g_assert_false(holds(folder, "far.example"));
	copy_folder(folder, copy);
	ph_accounts_forget_section(&store.section);
	ph_journal_close(journal, false);
	g_assert_cmpint(g_rmdir(other.folder), ==, 0);
	copy_folder(saved, other.folder);
	journal = open_journal(copy);
	g_assert_true(ph_journal_has_pending(journal));
	g_assert_true(ph_journal_start(journal, NULL));
	use_journal(journal);
	{
		g_autoptr(PhAccount) account = test_account(&other, "ann", 0);
		g_autoptr(GString) after = structures(account);

		g_assert_true(g_string_equal(before, after));
		test_verify(account);
	}
	ph_accounts_forget_section(&other.section);
	use_journal(NULL);
	ph_journal_close(journal, false);
	ph_horizon_begin(0);
	test_store_clear(&other);
	test_store_clear(&store);
	remove_folder(folder);
	remove_folder(copy);
	remove_folder(saved);
}

static bool
no_sync(void *account, GError **error)
{
	ph_error_set(error, PH_ERROR_PERMANENT, "the disk is full of nothing");
	return false;
}

/* A value of such a store is synced there. When that fails the value is there all the same: nobody is told
 * that it is not, and others look again. */
static void
test_hidden_unknown(void)
{
	g_autofree char *folder = new_folder();
	PhJournal *journal = open_journal(folder);
	TestStore store;

	g_assert_true(ph_journal_start(journal, NULL));
	use_journal(journal);
	test_store_init(&store);
	store.table->abilities |= PH_STORE_HIDES_OCTETS;
	real_sync = store.table->sync;
	store.table->sync = no_sync;
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(GError) error = NULL;
		PhTransaction *transaction = ph_transaction_new(account, NULL);
		uint64_t version = account->counts_version;

		ph_transaction_put(transaction, NULL, "key", ph_slice("value"));
		g_assert_false(ph_transaction_run(transaction, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN);
		g_assert_cmpuint(account->counts_version, >, version);
		ph_transaction_free(transaction);
		store.table->sync = real_sync;
	}
	ph_accounts_forget_section(&store.section);
	use_journal(NULL);
	ph_journal_close(journal, false);
	ph_horizon_begin(0);
	test_store_clear(&store);
	remove_folder(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/deferred/nothing-undurable-is-told", test_waits);
	g_test_add_func("/mailbox/deferred/what-tools-do-waits-too", test_held);
	g_test_add_func("/mailbox/deferred/replay-gives-the-same", test_replay);
	g_test_add_func("/mailbox/deferred/journal-hides-what-the-store-hides", test_hidden);
	g_test_add_func("/mailbox/deferred/what-was-applied-is-not-denied", test_hidden_unknown);
	return g_test_run();
}

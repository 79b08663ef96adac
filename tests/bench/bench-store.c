/* bench-store.c: how fast is a store under the account layer?
 *
 * bench-store FOLDER [ACCOUNTS [SESSIONS [MESSAGES [OCTETS]]]]: appends messages of one size to
 * the inboxes of many accounts, many at a time, each durable before its session goes on; then
 * reads one mailbox of 10,000 messages in the ways IMAP does. Figures go to standard output, one a
 * line. Not part of the suites: run it by hand on a quiet machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"
#include "base/clock.h"

#include <sys/resource.h>

typedef struct {
	TestStore store;
	PhAccount **accounts;
	PhMailboxId *inboxes;
	uint32_t n_accounts;
	uint32_t n_sessions;
	uint32_t n_messages;
	char *octets;
	size_t length;
	PhStructure *structure;
	PhLock lock;
	PhSignal over;
	uint32_t next; /* message to submit */
	uint32_t n_done;
} Bench;

typedef struct {
	Bench *bench;
	PhTransaction *transaction;
	PhContent *content;
} Session;

static uint64_t
cpu_us(void)
{
	struct rusage usage;

	(void) getrusage(RUSAGE_SELF, &usage);
	return (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000
	       + (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void
report(const char *what, uint64_t n, uint64_t started, uint64_t cpu)
{
	double us = (double) (ph_clock_us() - started);
	double cpu_each = (double) (cpu_us() - cpu) / (double) n;

	g_print("%-28s %10.0f /s   %8.2f us CPU each   %8.3f ms in all\n", what,
	        (double) n * 1e6 / us, cpu_each, us / 1e3);
}

/* Octets that were given to write calls so far. */
static uint64_t
written(void)
{
	g_autofree char *text = NULL;
	const char *at = NULL;

	if (g_file_get_contents("/proc/self/io", &text, NULL, NULL))
		at = strstr(text, "wchar:");
	return at != NULL ? g_ascii_strtoull(at + 6, NULL, 10) : 0;
}

/* Resident memory of the process, in KiB. */
static uint64_t
resident(void)
{
	g_autofree char *text = NULL;
	uint64_t pages = 0;
	PhSlice rest = PH_SLICE_EMPTY;

	if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
		return 0;
	rest = ph_slice(text);
	(void) ph_slice_split(&rest, ' ');
	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT32_MAX, &pages);
	return pages * 4;
}

static void submit_next(Session *session);

static void
woken(void *user_data)
{
	Session *session = user_data;

	g_assert_no_error(session->transaction->error);
	ph_transaction_free(session->transaction);
	submit_next(session);
}

/* Takes the next message; the session ends when there is none. */
static void
submit_next(Session *session)
{
	Bench *bench = session->bench;
	g_autoptr(GError) error = NULL;
	PhAppendOptions options = { .size = sizeof options, .structure = bench->structure };
	uint32_t number = 0;
	uint32_t account = 0;

	ph_lock_take(&bench->lock);
	number = bench->next < bench->n_messages ? bench->next++ : UINT32_MAX;
	if (number == UINT32_MAX) {
		bench->n_done++;
		ph_signal_all(&bench->over);
	}
	ph_lock_drop(&bench->lock);
	if (number == UINT32_MAX)
		return;
	account = number % bench->n_accounts;
	session->transaction = ph_transaction_new(bench->accounts[account], NULL);
	(void) ph_transaction_append(session->transaction, &bench->inboxes[account],
	                             session->content, &options, &error);
	g_assert_no_error(error);
	ph_transaction_submit(session->transaction, ph_wake_new_func(woken, session));
}

static void
ingest(Bench *bench, const char *name)
{
	Session *sessions = g_new0(Session, bench->n_sessions);
	uint64_t started = 0;
	uint64_t cpu = 0;
	uint64_t octets = 0;

	bench->next = bench->n_done = 0;
	for (uint32_t i = 0; i < bench->n_sessions; i++) {
		sessions[i].bench = bench;
		sessions[i].content = ph_content_new_copy(PH_SLICE(bench->octets, bench->length));
	}
	started = ph_clock_us();
	cpu = cpu_us();
	octets = written();
	for (uint32_t i = 0; i < bench->n_sessions; i++)
		submit_next(&sessions[i]);
	ph_lock_take(&bench->lock);
	while (bench->n_done < bench->n_sessions)
		ph_signal_wait(&bench->over, &bench->lock);
	ph_lock_drop(&bench->lock);
	report(name, bench->n_messages, started, cpu);
	g_print("%-28s %10.0f octets written for each\n", "",
	        (double) (written() - octets) / bench->n_messages);
	for (uint32_t i = 0; i < bench->n_sessions; i++)
		ph_content_unref(sessions[i].content);
	g_free(sessions);
}

/* --- reading ------------------------------------------------------------------------------------- */

static void
fill(Bench *bench, PhAccount *account, const PhMailboxId *inbox, uint32_t n)
{
	g_autoptr(PhContent) content = ph_content_new_copy(PH_SLICE(bench->octets, bench->length));
	PhAppendOptions options = { .size = sizeof options, .structure = bench->structure };

	for (uint32_t i = 0; i < n; i += 500) {
		g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
		g_autoptr(GError) error = NULL;

		for (uint32_t j = 0; j < 500; j++)
			(void) ph_transaction_append(transaction, inbox, content, &options, NULL);
		(void) ph_transaction_run(transaction, &error);
		g_assert_no_error(error);
	}
}

static void
fetch(PhView *view, uint32_t fields, bool octets, const char *name)
{
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	g_autoptr(PhCursor) cursor = ph_cursor_new(view, all, fields);
	g_autoptr(GError) error = NULL;
	uint64_t started = ph_clock_us();
	uint64_t cpu = cpu_us();
	uint64_t n = 0;
	uint64_t total = 0;
	const PhRecord *record = NULL;

	while ((record = ph_cursor_next(cursor, &error)) != NULL) {
		n++;
		total += record->structure.length;
		if (octets) {
			g_autoptr(PhContent) content = ph_view_content(view, record, &error);
			PhSlice slice = PH_SLICE_EMPTY;

			(void) ph_content_peek(content, &slice);
			total += slice.length;
		}
	}
	g_assert_no_error(error);
	report(name, n, started, cpu);
	if (octets)
		g_print("%-28s %10.1f MB/s\n", "",
		        (double) total / (double) (ph_clock_us() - started));
}

static void
read_all(Bench *bench)
{
	enum {
		MANY = 10000
	};

	PhAccount *account = test_account(&bench->store, "reader", 0);
	PhMailboxId inbox = test_mailbox(account, "INBOX");
	uint32_t meta = PH_FIELD_FLAGS | PH_FIELD_DATES | PH_FIELD_OCTETS | PH_FIELD_STRUCTURE;

	fill(bench, account, &inbox, MANY);
	for (int i = 0; i < 3; i++) {
		uint64_t started = ph_clock_us();
		uint64_t cpu = cpu_us();
		g_autoptr(PhView) view = ph_view_open(account, PH_SLICE_LITERAL("INBOX"), false,
		                                      (PhSessionRef){ 0, 0 }, NULL);

		report(i == 0 ? "select cold" : "select warm", 1, started, cpu);
		fetch(view, PH_FIELD_FLAGS, false, "fetch flags");
		fetch(view, meta, false, "fetch metadata");
		fetch(view, PH_FIELD_BLOB, true, "fetch octets");
	}
	{
		g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
		g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
		uint64_t started = ph_clock_us();
		uint64_t cpu = cpu_us();

		(void) ph_transaction_flags(transaction, &inbox, all, PH_FLAGS_ADD, PH_FLAG_SEEN,
		                            NULL);
		g_assert_true(ph_transaction_run(transaction, NULL));
		report("store flags", MANY, started, cpu);
	}
	ph_account_unref(account);
}

static uint32_t
argument(int argc, char **argv, int at, uint32_t usual)
{
	uint32_t value = usual;

	if (argc > at)
		g_assert_true(ph_slice_to_u32(ph_slice(argv[at]), 10000000, &value));
	return value;
}

int
main(int argc, char **argv)
{
	Bench bench = { .n_done = 0 };

	(void) g_setenv("TMPDIR", argc > 1 ? argv[1] : "/tmp", TRUE);
	bench.n_accounts = argument(argc, argv, 2, 100);
	bench.n_sessions = argument(argc, argv, 3, 100);
	bench.n_messages = argument(argc, argv, 4, 20000);
	bench.length = argument(argc, argv, 5, 4096);
	bench.octets = g_malloc(bench.length);
	memset(bench.octets, 'x', bench.length);
	for (size_t i = 78; i + 2 < bench.length; i += 80)
		memcpy(bench.octets + i, "\r\n", 2);
	memcpy(bench.octets,
	       "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\n"
	       "Subject: measuring\r\nMessage-ID: <1@example.org>\r\n\r\n",
	       MIN(bench.length, 100));
	bench.structure = ph_structure_scan(PH_SLICE(bench.octets, bench.length));
	ph_lock_init(&bench.lock);
	ph_signal_init(&bench.over);
	test_store_init(&bench.store);
	bench.accounts = g_new0(PhAccount *, bench.n_accounts);
	bench.inboxes = g_new0(PhMailboxId, bench.n_accounts);
	{
		uint64_t started = ph_clock_us();
		uint64_t cpu = cpu_us();
		uint64_t memory = resident();

		for (uint32_t i = 0; i < bench.n_accounts; i++) {
			g_autofree char *user = g_strdup_printf("u%u", i + 1);

			bench.accounts[i] = test_account(&bench.store, user, 0);
			bench.inboxes[i] = test_mailbox(bench.accounts[i], "INBOX");
		}
		report("accounts made", bench.n_accounts, started, cpu);
		g_print("%-28s %10.1f KiB an open account\n", "",
		        (double) (resident() - memory) / bench.n_accounts);
	}
	for (int i = 0; i < 3; i++)
		ingest(&bench, "append");
	g_print("%-28s %10.1f MiB resident\n", "", (double) resident() / 1024);
	read_all(&bench);
	for (uint32_t i = 0; i < bench.n_accounts; i++)
		ph_account_unref(bench.accounts[i]);
	test_store_clear(&bench.store);
	return 0;
}

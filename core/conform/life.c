/* life.c: rules about the optional members and what only shows after a while
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

#include <unistd.h>

static void
on_finding(const char *line, void *user_data)
{
	g_string_append_printf(user_data, "%s; ", line);
}

static void
verify_clean(PhKitAccount *a, const char *when)
{
	g_autoptr(GString) findings = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	if (ph_kit.table->verify == NULL)
		return;
	if (!ph_kit.table->verify(a->handle, false, on_finding, findings, &error))
		ph_kit_fail("verify failed %s: %s", when, error->message);
	KIT_CHECK(findings->len == 0, "verify reports %s: %s", when, findings->str);
}

static void
use(PhKitAccount *a)
{
	PhMailboxId work;
	PhMailboxId gone;
	PhKitTx *tx = ph_kit_tx();

	ph_kit_create(a, "work/below", &work);
	ph_kit_create(a, "gone", &gone);
	ph_kit_fill(a, &a->inbox, 40);
	(void) ph_kit_set_flags(a, &a->inbox, "1:20", PH_FLAGS_ADD, PH_FLAG_SEEN, "one two");
	(void) ph_kit_transfer(a, PH_OP_COPY, &a->inbox, "1:10", &work);
	(void) ph_kit_transfer(a, PH_OP_MOVE, &a->inbox, "5:8", &gone);
	(void) ph_kit_expunge(a, &a->inbox, "10:15");
	ph_kit_remove(a, &gone);
	(void) ph_kit_add_put(tx, &work, "key", PH_SLICE_LITERAL("value"));
	(void) ph_kit_must(a, tx, "put");
}

static void
verify_healthy(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };

	if (ph_kit.table->verify == NULL)
		ph_kit_skip("the store has no verify");
	ph_kit_open(&a, "verify");
	verify_clean(&a, "on a new account");
	use(&a);
	verify_clean(&a, "on a used account");
	ph_kit_reopen(&a);
	verify_clean(&a, "after reopening");
}

static void
compact_keeps(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	g_autoptr(GError) error = NULL;
	PhMailboxInfo info;

	ph_kit_open(&a, "compact");
	use(&a);
	before = ph_kit_messages(&a, &a.inbox);
	info = ph_kit_must_info(&a, &a.inbox);
	KIT_CHECK(ph_kit.table->compact(a.handle, &error), "compact failed: %s", error->message);
	for (int round = 0; round < 2; round++) {
		g_free(after);
		after = ph_kit_messages(&a, &a.inbox);
		ph_kit_same_text("messages after compact", after, before);
		ph_kit_same("uidvalidity after compact", ph_kit_must_info(&a, &a.inbox).uidvalidity,
		            info.uidvalidity);
		ph_kit_same("uidnext after compact", ph_kit_must_info(&a, &a.inbox).uidnext,
		            info.uidnext);
		ph_kit_check_octets(&a, &a.inbox, 40, ph_kit_small());
		ph_kit_check_counts(&a);
		verify_clean(&a, "after compact");
		ph_kit_reopen(&a);
	}
}

/* The members that have a default may be called at any time. */
static void
optional_calls(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(GError) error = NULL;

	ph_kit_open(&a, "optional");
	ph_kit_fill(&a, &a.inbox, 3);
	KIT_CHECK(ph_kit.table->refresh(a.handle, &a.inbox, &error), "refresh failed: %s",
	          error->message);
	KIT_CHECK(ph_kit.table->sync(a.handle, &error), "sync failed: %s", error->message);
	ph_kit.table->forget(a.handle, 0);
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 3:-");
	if (ph_kit.table->share != NULL) {
		g_auto(PhKitAccount) b = { .handle = NULL };
		g_autoptr(PhContent) content = ph_kit_generated(1, 100000);
		g_autoptr(PhKitTx) tx = ph_kit_tx();
		PhBlobId blob;
		PhOp *op = NULL;

		ph_kit_open(&b, "shared");
		if (!ph_kit.table->upload(a.handle, content, false, &blob, &error))
			ph_kit_fail("upload: %s", error->message);
		op = ph_kit_add(tx, PH_OP_APPEND, &b.inbox);
		KIT_CHECK(ph_kit.table->share(a.handle, &blob, b.handle, &op->blob, &error),
		          "share failed: %s", error->message);
		op->octets = 100000;
		KIT_CHECK(ph_kit_commit(&b, tx), "append of a shared blob failed: %s",
		          tx->public.error->message);
		ph_kit.table->abandon(a.handle, &blob);
		{
			g_autoptr(PhContent) read = ph_kit_content(&b, &b.inbox, op->uid);

			ph_kit_check_generated(read, 1, 100000);
		}
	}
}

static void
need_disk(void)
{
	if (ph_kit_is(PH_STORE_VOLATILE))
		ph_kit_skip("the store says that it forgets with the process");
}

/* Another process finds everything, then writes; this one, opened again, finds that. */
static void
reopen_process(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *before = NULL;
	g_autofree char *octets = NULL;
	const char *const list[] = { "list", "process", NULL };
	const char *const append[] = { "append", "process", "5", NULL };
	GPid pid = 0;
	int output = -1;
	char buffer[4096] = "";
	ssize_t got = 0;
	size_t length = 0;

	need_disk();
	ph_kit_open(&a, "process");
	ph_kit_fill(&a, &a.inbox, 5);
	(void) ph_kit_set_flags(&a, &a.inbox, "2", PH_FLAGS_ADD, PH_FLAG_SEEN, "word");
	(void) ph_kit_expunge(&a, &a.inbox, "5");
	ph_kit_close(&a);
	pid = ph_kit_start(list, &output);
	while (length < sizeof buffer - 1
	       && (got = read(output, buffer + length, sizeof buffer - 1 - length)) > 0)
		length += (size_t) got;
	(void) close(output);
	KIT_CHECK(ph_kit_end(pid), "another process cannot open the account: %s", buffer);
	ph_kit_same_text("messages in another process", g_strchomp(buffer), "1:- 2:S+word 3:- 4:-");
	KIT_CHECK(ph_kit_end(ph_kit_start(append, NULL)), "another process cannot append");
	ph_kit_open(&a, "process");
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:S+word 3:- 4:- 6:- 7:- 8:- 9:- 10:-");
	verify_clean(&a, "after two processes");
}

int
ph_kit_role_list(const char *const *words)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *text = NULL;

	ph_kit_open(&a, words[0]);
	text = ph_kit_messages(&a, &a.inbox);
	return write(STDOUT_FILENO, text, strlen(text)) >= 0 ? 0 : 1;
}

/* What another program delivers. */
static void
foreign_delivery(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *user = g_strdup_printf("conform-%s-%s-foreign", ph_kit.run, ph_kit_rule);
	const char *argv[] = { ph_kit.foreign, user, "conform.example", ph_kit.data, NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(PhKitReading) reading = NULL;
	uint64_t before = 0;
	int status = 0;

	if (!ph_kit_is(PH_STORE_FOREIGN_WRITERS))
		ph_kit_skip("the store has no foreign writers");
	if (ph_kit.foreign == NULL)
		ph_kit_skip("no --foreign COMMAND that delivers as another program would");
	ph_kit_open(&a, "foreign");
	ph_kit_fill(&a, &a.inbox, 3);
	before = ph_kit_must_info(&a, &a.inbox).change;
	for (int i = 0; i < 3; i++)
		if (!g_spawn_sync(NULL, (char **) (uintptr_t) argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
		                  NULL, NULL, NULL, &status, &error)
		    || status != 0)
			ph_kit_skip("'%s' failed", ph_kit.foreign);
	KIT_CHECK(ph_kit.table->refresh(a.handle, &a.inbox, &error), "refresh failed: %s",
	          error->message);
	reading = ph_kit_read(&a, &a.inbox, before, NULL, KIT_ALL_FIELDS);
	ph_kit_same("records after three foreign deliveries", reading->records->len, 3);
	for (guint i = 0; i < reading->records->len; i++) {
		const PhRecord *record = &g_array_index(reading->records, PhKitRecord, i).record;
		g_autoptr(PhContent) content = ph_kit_content(&a, &a.inbox, record->uid);

		KIT_CHECK(record->uid > 3, "a foreign message got uid %u", record->uid);
		KIT_CHECK(ph_content_length(content) > 0, "a foreign message is empty");
	}
	ph_kit_check_counts(&a);
	before = ph_kit_must_info(&a, &a.inbox).change;
	KIT_CHECK(ph_kit.table->refresh(a.handle, &a.inbox, &error), "refresh failed: %s",
	          error->message);
	ph_kit_same("change after a refresh that finds nothing",
	            ph_kit_must_info(&a, &a.inbox).change, before);
	verify_clean(&a, "after foreign deliveries");
}

const PhConformRule ph_conform_life[] = {
	{ "verify-healthy", "STORE-1", "verify finds nothing in an account that was used",
	  verify_healthy },
	{ "compact-keeps", "STORE-1", "compact keeps messages, uids, flags, octets",
	  compact_keeps },
	{ "optional-calls", "contract", "refresh, sync, forget and share do no harm",
	  optional_calls },
	{ "reopen-process", "STORE-2", "another process finds everything and goes on",
	  reopen_process },
	{ "foreign-delivery", "STORE-3", "refresh finds what another program delivered, once",
	  foreign_delivery },
	{ NULL },
};

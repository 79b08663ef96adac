/* test-search.c: what SEARCH finds in octets: headers, bodies, charsets; and by several threads
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/search.h>
#include <posthorn/slice.h>

#include "accounts.h"
#include "config/sections.h"
#include "mailbox/fulltext.h"

typedef struct {
	TestStore store;
	PhAccount *account;
	PhMailboxId inbox;
} World;

static void
set_up(World *world, gconstpointer data)
{
	test_store_init(&world->store);
	world->account = test_account(&world->store, "anna", 0);
	world->inbox = test_mailbox(world->account, "INBOX");
}

static void
tear_down(World *world, gconstpointer data)
{
	ph_account_unref(world->account);
	test_store_clear(&world->store);
}

/* The sequence numbers that match, as text. */
static char *
search(World *world, uint32_t kind, const char *name, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhView) view = ph_view_open(world->account, PH_SLICE_LITERAL("INBOX"), true,
	                                      (PhSessionRef){ 0, 0 }, &error);
	g_autoptr(PhSearchKey) key = ph_search_key_new(kind);
	g_autoptr(PhSearch) run = NULL;
	GString *out = g_string_new(NULL);
	bool failed = false;

	g_assert_no_error(error);
	key->name = g_strdup(name);
	key->text = g_strdup(text);
	run = ph_search_new(view, key);
	while (!ph_search_step(run, NULL, &failed, &error))
		;
	g_assert_no_error(error);
	g_assert_false(failed);
	ph_uid_set_append_text(ph_search_result(run), out);
	return g_string_free(out, FALSE);
}

/* --- where text may hide ----------------------------------------------------------------------- */

#define BODY(charset, encoding, text)                              \
	"Subject: x\r\nContent-Type: text/plain; charset=" charset \
	"\r\nContent-Transfer-Encoding: " encoding "\r\n\r\n" text "\r\n"

static const struct {
	const char *message;
	uint32_t kind;
	const char *name;
	const char *text;
	bool found;
} rows[] = {
	/* headers: as they stand, folded, encoded, across a fold */
	{ "Subject: Good morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "MORNING", true },
	{ "Subject: Good\r\n morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "good morning", true },
	{ "Subject: Good\r\n morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "morning", true },
	{ "Subject: Good\r\n    morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "good morning", true },
	{ "Subject: Good \r\n\t morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "good morning", true },
	{ "Subject: Good\r\n  morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "good  morning", true },
	{ "Subject: Good  morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "good morning", true },
	{ "Subject: Good\r\nX: morning\r\n\r\n", PH_SEARCH_HEADER, "Subject", "morning", false },
	{ "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an\r\n\r\n", PH_SEARCH_HEADER, "Subject", "grüße",
	  true },
	{ "Subject: =?utf-8?b?aGVsbG8=?=\r\n\r\n", PH_SEARCH_HEADER, "Subject", "hello", true },
	{ "Subject: =?utf-8?b?aGVsbG8=?=\r\n\r\n", PH_SEARCH_TEXT, NULL, "hello", true },
	{ "Subject: =?utf-8?b?aGVsbG8=?=\r\nX: plain\r\n\r\n", PH_SEARCH_TEXT, NULL, "plain",
	  true },
	{ "Subject: a\r\nX-Kind: b\r\n\r\n", PH_SEARCH_TEXT, NULL, "x-kind", true },
	{ "Subject: a\r\n\r\nbody\r\n", PH_SEARCH_TEXT, NULL, "body", true },
	{ "Subject: a\r\n\r\nbody\r\n", PH_SEARCH_TEXT, NULL, "abody", false },
	{ "Subject: caf\xe9\r\n\r\n", PH_SEARCH_HEADER, "Subject", "caf", true },
	{ "Subject: caf\xe9\r\n\r\n", PH_SEARCH_HEADER, "Subject", "café", true },
	/* bodies: a header field is none; encodings and charsets */
	{ "Subject: needle\r\n\r\nhay\r\n", PH_SEARCH_BODY, NULL, "needle", false },
	{ BODY("us-ascii", "7bit", "some Needle here"), PH_SEARCH_BODY, NULL, "needle", true },
	{ BODY("utf-8", "base64", "c29tZSBOZWVkbGUgaGVyZQ=="), PH_SEARCH_BODY, NULL, "needle",
	  true },
	{ BODY("utf-8", "base64", "c29tZSBO\r\nZWVkbGUg\r\naGVyZQ=="), PH_SEARCH_BODY, NULL,
	  "needle", true },
	{ BODY("utf-8", "base64", "c29tZSBO*\r\nZWVkb\r\nGUgaGVyZQ=="), PH_SEARCH_BODY, NULL,
	  "needle", true },
	{ BODY("utf-8", "base64", "c29tZSBOZWVkbGUgaGVyZQ=="), PH_SEARCH_BODY, NULL, "c29t",
	  false },
	{ BODY("iso-8859-1", "quoted-printable", "a nee=\r\ndle"), PH_SEARCH_BODY, NULL, "needle",
	  true },
	{ BODY("iso-8859-1", "quoted-printable", "caf=E9"), PH_SEARCH_BODY, NULL, "CAFÉ", true },
	{ BODY("gb2312", "base64", "xOO6w2hlbGxv"), PH_SEARCH_BODY, NULL, "hello", true },
	{ BODY("gb2312", "base64", "xOO6w2hlbGxv"), PH_SEARCH_BODY, NULL, "你好", true },
	/* the second octet of a Shift_JIS character may look like a letter */
	{ BODY("shift_jis", "8bit", "\x83\x41"), PH_SEARCH_BODY, NULL, "a", false },
	{ BODY("shift_jis", "8bit", "\x83\x41 a"), PH_SEARCH_BODY, NULL, "a", true },
	{ BODY("utf-16", "base64", "//5uAGUAZQBkAGwAZQA="), PH_SEARCH_BODY, NULL, "needle", true },
};

static void
check_rows(World *world)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(PhUidSet) found = NULL;
		g_autofree char *text = search(world, rows[i].kind, rows[i].name, rows[i].text);

		found = ph_uid_set_parse(ph_slice(text), 0, 1000);
		g_test_message("row %zu: '%s' found in %s", i, rows[i].text, text);
		g_assert_cmpint(found != NULL && ph_uid_set_contains(found, (uint32_t) i + 1), ==,
		                rows[i].found);
	}
}

/* By a scan, and with an index of text. */
static void
finds_what_a_reader_sees(World *world, gconstpointer data)
{
	g_autofree char *path = g_build_filename(world->store.folder, "words.search", NULL);
	g_autoptr(GError) error = NULL;
	PhPluginSettings settings = { .search_index = path };

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		(void) test_append(world->account, &world->inbox, ph_slice(rows[i].message), 0);
	check_rows(world);
	world->store.section.core_settings = &settings;
	g_assert_true(ph_fulltext_fill(world->account, &world->inbox, &error));
	check_rows(world);
	world->store.section.core_settings = NULL;
}

/* --- many messages ------------------------------------------------------------------------------ */

enum {
	MANY = 5000, /* enough for several threads */
	APART = 37,
};

static void
append_many(World *world)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhTransaction) transaction = NULL;

	for (uint32_t i = 1; i <= MANY; i++) {
		g_autofree char *message = g_strdup_printf("Subject: number %u\r\n\r\n%s\r\n", i,
		                                           i % APART == 0 ? "needle" : "hay");
		g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(message));
		PhAppendOptions options = { .size = sizeof options };

		if (transaction == NULL)
			transaction = ph_transaction_new(world->account, NULL);
		g_assert_nonnull(ph_transaction_append(transaction, &world->inbox, content,
		                                       &options, &error));
		if (i % 500 != 0)
			continue;
		g_assert_true(ph_transaction_run(transaction, &error));
		g_clear_pointer(&transaction, ph_transaction_free);
	}
}

static void
many_messages_are_found_by_all_threads(World *world, gconstpointer data)
{
	g_autoptr(GString) expected = g_string_new(NULL);

	append_many(world);
	for (uint32_t i = APART; i <= MANY; i += APART)
		g_string_append_printf(expected, "%s%u", expected->len > 0 ? "," : "", i);
	for (int round = 0; round < 5; round++) {
		g_autofree char *found = search(world, PH_SEARCH_BODY, NULL, "needle");

		g_assert_cmpstr(found, ==, expected->str);
	}
}

#define ADD(path, function) g_test_add(path, World, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/mailbox/search/finds-what-a-reader-sees", finds_what_a_reader_sees);
	ADD("/mailbox/search/many-messages-are-found-by-all-threads",
	    many_messages_are_found_by_all_threads);
	return g_test_run();
}

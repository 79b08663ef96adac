/* test-fulltext.c: an index of text names what a scan finds, and a search with it answers the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/search.h>
#include <posthorn/slice.h>

#include "accounts.h"
#include "config/sections.h"
#include "mailbox/fulltext.h"
#include "mailbox/search-eval.h"

enum {
	NEEDLES = 4, /* of each message */
	LONGEST = 14,
};

typedef struct {
	TestStore store;
	PhAccount *account;
	PhMailboxId inbox;
	PhPluginSettings settings;
	char *path;
	GPtrArray *needles;
} World;

static void
set_up(World *world, gconstpointer data)
{
	test_store_init(&world->store);
	world->path = g_build_filename(world->store.folder, "words.search", NULL);
	world->settings.search_index = world->path;
	world->store.section.core_settings = &world->settings;
	world->account = test_account(&world->store, "anna", 0);
	world->inbox = test_mailbox(world->account, "INBOX");
	world->needles = g_ptr_array_new_with_free_func(g_free);
}

static void
tear_down(World *world, gconstpointer data)
{
	g_ptr_array_unref(world->needles);
	ph_account_unref(world->account);
	test_store_clear(&world->store);
	g_free(world->path);
}

static PhView *
open_view(World *world)
{
	g_autoptr(GError) error = NULL;
	PhView *view = ph_view_open(world->account, PH_SLICE_LITERAL("INBOX"), true,
	                            (PhSessionRef){ 0, 0 }, &error);

	g_assert_no_error(error);
	return view;
}

static char *
search(World *world, const PhSearchKey *key)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhView) view = open_view(world);
	g_autoptr(PhSearch) run = ph_search_new(view, key);
	GString *out = g_string_new(NULL);
	bool failed = false;

	while (!ph_search_step(run, NULL, &failed, &error))
		;
	g_assert_no_error(error);
	ph_uid_set_append_text(ph_search_result(run), out);
	return g_string_free(out, FALSE);
}

static PhSearchKey *
new_key(uint32_t kind, const char *text)
{
	PhSearchKey *key = ph_search_key_new(kind);

	key->text = g_strdup(text);
	if (kind == PH_SEARCH_HEADER)
		key->name = g_strdup("Subject");
	return key;
}

static char *
search_text(World *world, uint32_t kind, const char *text)
{
	g_autoptr(PhSearchKey) key = new_key(kind, text);

	return search(world, key);
}

static void
fill(World *world)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_fulltext_fill(world->account, &world->inbox, &error));
	g_assert_no_error(error);
}

/* What the index names for a string, as text. */
static char *
ask(World *world, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhFulltext) index = ph_fulltext_open(world->path, false, &error);
	g_autoptr(PhView) view = open_view(world);
	g_autoptr(PhUidSet) uids = NULL;
	PhFulltextBox box;
	GString *out = g_string_new(NULL);

	g_assert_no_error(error);
	g_assert_true(ph_fulltext_begin_read(index, &error));
	g_assert_true(
		ph_fulltext_box(index, &world->inbox, ph_view_uidvalidity(view), &box, &error));
	uids = ph_fulltext_ask(index, &box, ph_slice(text), &error);
	g_assert_no_error(error);
	ph_fulltext_end_read(index);
	ph_uid_set_append_text(uids, out);
	return g_string_free(out, FALSE);
}

static void
append(World *world, const char *message)
{
	(void) test_append(world->account, &world->inbox, ph_slice(message), 0);
}

/* --- what it names -------------------------------------------------------------------------------- */

static void
names_what_holds_a_string(World *world, gconstpointer data)
{
	g_autofree char *first = NULL;
	g_autofree char *quoted = NULL;
	g_autofree char *wide = NULL;
	g_autofree char *none = NULL;

	append(world, "Subject: one\r\n\r\nThe Posthorn blows\r\n");
	append(world, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nsay \"aye\" now\r\n");
	append(world, "Subject: three\r\n\r\nnothing\r\n");
	fill(world);
	first = ask(world, "posthorn");
	quoted = ask(world, "\"aye\"");
	wide = ask(world, "grü");
	none = ask(world, "elephant");
	g_assert_cmpstr(first, ==, "1");
	g_assert_cmpstr(quoted, ==, "2");
	g_assert_cmpstr(wide, ==, "2");
	g_assert_cmpstr(none, ==, "");
}

static void
what_is_new_is_found_and_taken_up_later(World *world, gconstpointer data)
{
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	g_autofree char *known = NULL;

	append(world, "Subject: a\r\n\r\nneedle\r\n");
	fill(world);
	append(world, "Subject: b\r\n\r\nneedle\r\n");
	before = search_text(world, PH_SEARCH_BODY, "needle");
	fill(world);
	after = search_text(world, PH_SEARCH_BODY, "needle");
	known = ask(world, "needle");
	g_assert_cmpstr(before, ==, "1:2");
	g_assert_cmpstr(after, ==, "1:2");
	g_assert_cmpstr(known, ==, "1:2");
}

static void
a_message_too_large_is_always_looked_at(World *world, gconstpointer data)
{
	g_autoptr(GString) message = g_string_new("Subject: large\r\n\r\n");
	g_autofree char *found = NULL;

	while (message->len < PH_FULLTEXT_TEXT_MAX)
		g_string_append(message, "hay hay hay hay hay hay hay hay hay hay hay hay\r\n");
	g_string_append(message, "needle\r\n");
	append(world, message->str);
	append(world, "Subject: small\r\n\r\nhay\r\n");
	fill(world);
	found = search_text(world, PH_SEARCH_BODY, "needle");
	g_assert_cmpstr(found, ==, "1");
}

static void
a_damaged_file_costs_no_answer(World *world, gconstpointer data)
{
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	g_autofree char *wal = g_strconcat(world->path, "-wal", NULL);

	append(world, "Subject: a\r\n\r\nneedle\r\n");
	fill(world);
	(void) g_unlink(wal);
	g_assert_true(g_file_set_contents(world->path,
	                                  "This is no database at all, but a text "
	                                  "that is longer than its header would be "
	                                  "in any database of the kind.",
	                                  -1, NULL));
	before = search_text(world, PH_SEARCH_BODY, "needle");
	fill(world);
	after = ask(world, "needle");
	g_assert_cmpstr(before, ==, "1");
	g_assert_cmpstr(after, ==, "1");
}

static void
count_line(const char *line, void *user_data)
{
	(*(int *) user_data)++;
}

/* All pages but the first are spoiled. */
static void
spoil(const char *path)
{
	enum {
		PAGE = 4096
	};

	g_autofree char *octets = NULL;
	gsize length = 0;

	g_assert_true(g_file_get_contents(path, &octets, &length, NULL));
	g_assert_cmpuint(length, >, PAGE);
	memset(octets + PAGE, 0xff, length - PAGE);
	g_assert_true(g_file_set_contents(path, octets, (gssize) length, NULL));
}

static void
damage_inside_is_found_and_thrown_away(World *world, gconstpointer data)
{
	g_autofree char *found = NULL;
	g_autofree char *after = NULL;
	int n = 0;

	append(world, "Subject: a\r\n\r\nneedle\r\n");
	fill(world);
	g_assert_true(ph_fulltext_check(world->path, count_line, &n));
	g_assert_cmpint(n, ==, 0);
	spoil(world->path);
	g_assert_false(ph_fulltext_check(world->path, count_line, &n));
	g_assert_cmpint(n, >, 0);
	found = search_text(world, PH_SEARCH_BODY, "needle");
	g_assert_cmpstr(found, ==, "1");
	g_assert_false(g_file_test(world->path, G_FILE_TEST_EXISTS));
	fill(world);
	after = ask(world, "needle");
	g_assert_cmpstr(after, ==, "1");
}

static void
one_that_is_being_made_is_no_failure(World *world, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(world->path, "", 0, NULL));
	g_assert_null(ph_fulltext_open(world->path, false, &error));
	g_assert_no_error(error);
}

/* The next uid may be of a later moment than the messages, when another process commits. */
static void
nothing_counts_as_taken_up_that_was_not_seen(World *world, gconstpointer data)
{
	g_autoptr(PhUidSet) second = ph_uid_set_new_range(2, 2);
	g_autoptr(PhTransaction) gone = ph_transaction_new(world->account, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(PhFulltext) index = NULL;
	g_autoptr(PhView) view = NULL;
	PhFulltextBox box;

	append(world, "Subject: a\r\n\r\nneedle\r\n");
	append(world, "Subject: b\r\n\r\nneedle\r\n");
	(void) ph_transaction_expunge(gone, &world->inbox, second);
	g_assert_true(ph_transaction_run(gone, &error));
	fill(world);
	view = open_view(world);
	g_assert_cmpuint(ph_view_uidnext(view), ==, 3);
	index = ph_fulltext_open(world->path, false, &error);
	g_assert_true(ph_fulltext_begin_read(index, &error));
	g_assert_true(
		ph_fulltext_box(index, &world->inbox, ph_view_uidvalidity(view), &box, &error));
	ph_fulltext_end_read(index);
	g_assert_cmpuint(box.upto, ==, 1);
}

/* --- the same as a scan ----------------------------------------------------------------------------- */

/* Some pieces of the message's text, cut between characters. */
static void
pick_needles(World *world, const char *message, gsize length)
{
	g_autofree char *valid = g_utf8_make_valid(message, (gssize) length);
	glong n = g_utf8_strlen(valid, -1);

	for (int i = 0; i < NEEDLES && n > LONGEST; i++) {
		glong at = g_test_rand_int_range(0, (gint32) (n - LONGEST));
		glong end = at + g_test_rand_int_range(1, LONGEST);
		char *needle = g_utf8_substring(valid, at, end);

		g_ptr_array_add(world->needles, needle);
	}
}

static void
append_examples(World *world)
{
	g_autofree char *folder =
		g_build_filename(g_getenv("POSTHORN_SOURCE_DIR"), "examples", "mail", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;

	g_assert_nonnull(dir);
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_autofree char *message = NULL;
		gsize length = 0;

		if (!g_str_has_suffix(name, ".eml")
		    || !g_file_get_contents(path, &message, &length, NULL)
		    || memchr(message, '\0', length) != NULL)
			continue;
		append(world, message);
		pick_needles(world, message, length);
	}
}

static void
answers_are_those_of_the_scan(World *world, gconstpointer data)
{
	static const uint32_t kinds[] = { PH_SEARCH_TEXT, PH_SEARCH_BODY, PH_SEARCH_HEADER };
	g_autoptr(GPtrArray) expected = g_ptr_array_new_with_free_func(g_free);

	append_examples(world);
	g_assert_cmpuint(world->needles->len, >, 100);
	for (guint i = 0; i < world->needles->len; i++)
		g_ptr_array_add(expected, search_text(world, kinds[i % G_N_ELEMENTS(kinds)],
		                                      g_ptr_array_index(world->needles, i)));
	fill(world);
	for (guint i = 0; i < world->needles->len; i++) {
		g_autofree char *found = search_text(world, kinds[i % G_N_ELEMENTS(kinds)],
		                                     g_ptr_array_index(world->needles, i));

		g_test_message("'%s'", (const char *) g_ptr_array_index(world->needles, i));
		g_assert_cmpstr(found, ==, g_ptr_array_index(expected, i));
	}
}

/* Of AND the common ones, of OR all; NOT, and what is too short, say nothing. */
static void
trees_are_narrowed_as_far_as_they_are_known(World *world, gconstpointer data)
{
	static const struct {
		uint32_t kind;
		const char *a;
		const char *b;
		const char *found;
	} rows[] = {
		{ PH_SEARCH_AND, "red", "blue", "2" }, { PH_SEARCH_OR, "red", "blue", "1:3" },
		{ PH_SEARCH_AND, "red", "e", "1:2" },  { PH_SEARCH_OR, "red", "e", "1:3" },
		{ PH_SEARCH_NOT, "red", NULL, "3:4" },
	};

	append(world, "Subject: a\r\n\r\nred\r\n");
	append(world, "Subject: b\r\n\r\nred and blue\r\n");
	append(world, "Subject: c\r\n\r\nblue\r\n");
	append(world, "Subject: d\r\n\r\nblack\r\n");
	fill(world);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(PhSearchKey) key = ph_search_key_new(rows[i].kind);
		g_autofree char *found = NULL;

		ph_search_key_add(key, new_key(PH_SEARCH_BODY, rows[i].a));
		if (rows[i].b != NULL)
			ph_search_key_add(key, new_key(PH_SEARCH_BODY, rows[i].b));
		found = search(world, key);
		g_assert_cmpstr(found, ==, rows[i].found);
	}
}

#define ADD(path, function) \
	g_test_add("/mailbox/fulltext/" path, World, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("names-what-holds-a-string", names_what_holds_a_string);
	ADD("what-is-new-is-found-and-taken-up-later", what_is_new_is_found_and_taken_up_later);
	ADD("a-message-too-large-is-always-looked-at", a_message_too_large_is_always_looked_at);
	ADD("a-damaged-file-costs-no-answer", a_damaged_file_costs_no_answer);
	ADD("damage-inside-is-found-and-thrown-away", damage_inside_is_found_and_thrown_away);
	ADD("one-that-is-being-made-is-no-failure", one_that_is_being_made_is_no_failure);
	ADD("nothing-counts-as-taken-up-that-was-not-seen",
	    nothing_counts_as_taken_up_that_was_not_seen);
	ADD("answers-are-those-of-the-scan", answers_are_those_of_the_scan);
	ADD("trees-are-narrowed-as-far-as-they-are-known",
	    trees_are_narrowed_as_far_as_they_are_known);
	return g_test_run();
}

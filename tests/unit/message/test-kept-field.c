/* test-kept-field.c: kept fields answer exactly as the octets of the message do
 *
 * For the examples, for whatever POSTHORN_MAIL (a folder of messages) holds, and for headers made of
 * odd pieces. With any choice of names, and however the message was fed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

#include <string.h>

static const char *const some_names[] = {
	"From",         "To",
	"Cc",           "Bcc",
	"Subject",      "Date",
	"Message-ID",   "References",
	"In-Reply-To",  "Reply-To",
	"Newsgroups",   "Content-Type",
	"Priority",     "X-Priority",
	"List-Id",      "List-Post",
	"Sender",       "LINES",
	"x-label",      "importance",
	"Mime-Version", "CONTENT-description",
};

static unsigned n_with;    /* structures that keep fields */
static unsigned n_without; /* and that do not */

static void
assert_fields(PhSlice message, PhSlice fields, const PhSlice *names, size_t n)
{
	g_autoptr(GString) expected = g_string_new(NULL);
	g_autoptr(GString) kept = g_string_new(NULL);

	ph_header_append_fields(message, names, n, false, expected);
	ph_header_append_fields(fields, names, n, false, kept);
	g_assert_cmpmem(kept->str, kept->len, expected->str, expected->len);
}

static void
assert_same(PhSlice message, const PhStructure *structure)
{
	PhSlice names[G_N_ELEMENTS(some_names)];
	PhSlice fields = PH_SLICE_EMPTY;
	g_autoptr(PhStructure) again = NULL;

	again = ph_structure_from_blob(ph_structure_blob(structure), NULL);
	g_assert_nonnull(again);
	if (!ph_structure_blob_fields(ph_structure_blob(structure), &fields)) {
		n_without++;
		return;
	}
	n_with++;
	for (size_t i = 0; i < G_N_ELEMENTS(some_names); i++) {
		names[i] = ph_slice(some_names[i]);
		g_assert_true(ph_structure_keeps_field(names[i]));
		assert_fields(message, fields, &names[i], 1);
	}
	assert_fields(message, fields, names, G_N_ELEMENTS(names));
	for (size_t i = G_N_ELEMENTS(names) - 1; i > 0; i--) {
		size_t other = (size_t) g_test_rand_int_range(0, (gint32) i + 1);
		PhSlice name = names[i];

		names[i] = names[other];
		names[other] = name;
	}
	assert_fields(message, fields, names, 5);
}

static void
check_message(PhSlice message)
{
	g_autoptr(PhStructure) whole = ph_structure_scan(message);
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();
	g_autoptr(PhStructure) pieces = NULL;
	PhSlice rest = message;
	PhSlice a = PH_SLICE_EMPTY;
	PhSlice b = PH_SLICE_EMPTY;

	assert_same(message, whole);
	while (rest.length > 0) {
		size_t n = (size_t) g_test_rand_int_range(1, 400);

		n = MIN(n, rest.length);
		ph_structure_scanner_feed(scanner, PH_SLICE(rest.data, n));
		rest = PH_SLICE(rest.data + n, rest.length - n);
	}
	pieces = ph_structure_scanner_finish(scanner);
	a = ph_structure_blob(whole);
	b = ph_structure_blob(pieces);
	g_assert_cmpmem(a.data, a.length, b.data, b.length);
}

static void
check_folder(const char *path)
{
	g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
		g_autofree char *below = g_build_filename(path, name, NULL);
		g_autofree char *octets = NULL;
		gsize length = 0;

		if (g_file_test(below, G_FILE_TEST_IS_DIR))
			check_folder(below);
		else if (g_file_get_contents(below, &octets, &length, NULL))
			check_message(PH_SLICE(octets, length));
	}
}

static void
test_mail(void)
{
	const char *more = g_getenv("POSTHORN_MAIL");
	g_autofree char *examples =
		g_build_filename(g_getenv("POSTHORN_SOURCE_DIR"), "examples", "mail", NULL);

	n_with = n_without = 0;
	check_folder(examples);
	g_assert_cmpuint(n_with, >, 50);
	if (more != NULL)
		check_folder(more);
	g_test_message("%u with, %u without", n_with, n_without);
	g_assert_cmpuint(n_without * 10, <, n_with);
}

/* Headers of odd pieces: folds, bare LF and CR, no colon, leading blanks, NUL, ends anywhere. */
static void
test_odd(void)
{
	static const struct {
		const char *text;
		size_t length;
	} pieces[] = {
		{ "Subject: x\r\n", 12 },
		{ "subject : y\n", 12 },
		{ " folded\r\n", 9 },
		{ "From:a@b\r\n\tc\r\n", 14 },
		{ "no colon\r\n", 10 },
		{ "X-Other: 1\r\n", 12 },
		{ "To: \0nul\r\n", 11 },
		{ "Date: 1\rnot an end\r\n", 21 },
		{ ":\r\n", 3 },
		{ "\r", 1 },
		{ "References: <1@a>\n <2@b>\r\n", 27 },
		{ "\r\n", 2 },
		{ "Cc: never ended", 15 },
		{ "List-Id:\r\n", 10 },
		{ "body: no\r\n", 10 },
	};

	for (int round = 0; round < 20000; round++) {
		g_autoptr(GString) message = g_string_new(NULL);

		for (int i = g_test_rand_int_range(0, 9); i > 0; i--) {
			size_t which = (size_t) g_test_rand_int_range(0, G_N_ELEMENTS(pieces));

			g_string_append_len(message, pieces[which].text,
			                    (gssize) pieces[which].length);
		}
		check_message(PH_SLICE(message->str, message->len));
	}
}

static void
test_long(void)
{
	PhSlice fields;
	g_autofree char *value = g_strnfill(20000, 'r');
	g_autofree char *text = g_strconcat("References: ", value, "\r\nSubject: x\r\n\r\n", NULL);
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(text));

	g_assert_false(ph_structure_blob_fields(ph_structure_blob(structure), &fields));
	g_assert_false(ph_structure_keeps_field(ph_slice("Received")));
	g_assert_false(ph_structure_keeps_field(ph_slice("")));
	g_assert_false(ph_structure_keeps_field(ph_slice("\xff")));
	check_message(ph_slice(text));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/kept-field/mail-answers-the-same", test_mail);
	g_test_add_func("/message/kept-field/odd-headers-answer-the-same", test_odd);
	g_test_add_func("/message/kept-field/long-ones-are-not-kept", test_long);
	return g_test_run();
}

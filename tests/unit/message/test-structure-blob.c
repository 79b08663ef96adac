/* test-structure-blob.c: a stored structure comes back, and a damaged one does not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/message.h>
#include <posthorn/slice.h>

static const char message[] =
	"From: Joe <joe@example.org>\r\nSubject: hello\r\nMessage-ID: <a@b>\r\n"
	"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nReferences: <x@y> <z@w>\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
	"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n--b\r\n"
	"Content-Type: text/html; charset=utf-8\r\nContent-Disposition: attachment;"
	" filename*=utf-8''%C3%A4.html\r\n\r\n<p>\r\n--b--\r\n";

static void
test_round_trip(void)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(message));
	PhSlice blob = ph_structure_blob(structure);
	g_autoptr(GError) error = NULL;
	g_autoptr(PhStructure) again = ph_structure_from_blob(blob, &error);
	g_autoptr(GString) one = g_string_new(NULL);
	g_autoptr(GString) two = g_string_new(NULL);
	const PhPart *part = NULL;

	g_assert_no_error(error);
	g_assert_true(ph_slice_equal(ph_structure_blob(again), blob));
	g_assert_true(
		ph_slice_equal(ph_structure_envelope(again), ph_structure_blob_envelope(blob)));
	g_assert_true(ph_slice_equal(ph_structure_bodystructure(again),
	                             ph_structure_blob_bodystructure(blob)));
	ph_structure_append_body(structure, one);
	ph_structure_append_body(again, two);
	g_assert_cmpstr(one->str, ==, two->str);
	g_assert_cmpuint(ph_structure_info(again)->n_parts, ==, 5);
	g_assert_true(ph_slice_is(ph_structure_info(again)->references, "<x@y> <z@w>"));
	part = ph_structure_part(again, 4);
	g_assert_cmpuint(part->parent, ==, 0);
	g_assert_true(ph_slice_is(part->filename, "\xc3\xa4.html"));
	g_assert_true(ph_slice_is(part->charset, "utf-8"));
	g_assert_true(ph_slice_is(part->disposition, "attachment"));
	g_assert_cmpuint(ph_structure_part(again, 2)->kind, ==, PH_PART_MESSAGE);
	g_assert_cmpuint(ph_structure_part(again, 3)->parent, ==, 2);
	g_assert_cmpuint(ph_structure_part(again, 1)->next, ==, 2);
	g_assert_cmpuint(ph_structure_part(again, 2)->next, ==, 4);
}

/* Uses all of a structure, so that a sanitizer sees what lies outside. */
static void
use(const PhStructure *structure)
{
	g_autoptr(GString) out = g_string_new(NULL);
	PhRange range;

	ph_structure_append_body(structure, out);
	g_string_append_len(out, ph_structure_envelope(structure).data,
	                    (gssize) ph_structure_envelope(structure).length);
	(void) ph_structure_find(structure, ph_slice("2.1"), &range);
	(void) ph_structure_find(structure, ph_slice("3.MIME"), &range);
	(void) ph_structure_find(structure, ph_slice("1.1.1.1.1"), &range);
	for (uint32_t i = 0; i < ph_structure_info(structure)->n_parts; i++) {
		PhSlice name = ph_structure_part(structure, i)->filename;

		g_string_append_len(out, name.length > 0 ? name.data : "", (gssize) name.length);
	}
}

static void
test_cut(void)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(message));
	PhSlice blob = ph_structure_blob(structure);

	for (size_t n = 0; n < blob.length; n++) {
		g_autofree char *copy = ph_slice_dup(PH_SLICE(blob.data, n));
		g_autoptr(GError) error = NULL;

		g_assert_null(ph_structure_from_blob(PH_SLICE(copy, n), &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
		g_assert_cmpuint(ph_structure_blob_envelope(PH_SLICE(copy, n)).length, ==, 0);
	}
}

static void
test_damaged(void)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(message));
	PhSlice blob = ph_structure_blob(structure);
	g_autofree char *copy = ph_slice_dup(blob);
	int refused = 0;

	for (size_t at = 0; at < blob.length; at++) {
		for (int value = 0; value < 256; value++) {
			g_autoptr(PhStructure) other = NULL;

			copy[at] = (char) value;
			other = ph_structure_from_blob(PH_SLICE(copy, blob.length), NULL);
			refused += other == NULL;
			if (other != NULL)
				use(other);
		}
		copy[at] = blob.data[at];
	}
	g_assert_cmpint(refused, >, 10000);
}

static void
test_version(void)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(message));
	PhSlice blob = ph_structure_blob(structure);
	g_autofree char *copy = ph_slice_dup(blob);
	g_autoptr(GError) error = NULL;

	copy[1]++;
	g_assert_null(ph_structure_from_blob(PH_SLICE(copy, blob.length), &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	g_assert_cmpuint(ph_structure_blob_bodystructure(PH_SLICE(copy, blob.length)).length, ==,
	                 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/structure-blob/comes-back-whole", test_round_trip);
	g_test_add_func("/message/structure-blob/refuses-cut-blobs", test_cut);
	g_test_add_func("/message/structure-blob/survives-every-damaged-octet", test_damaged);
	g_test_add_func("/message/structure-blob/refuses-other-versions", test_version);
	return g_test_run();
}

/* test-encode.c: what is binary or 8-bit in a message is encoded, and decodes to the same octets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/message.h>
#include <posthorn/slice.h>

#include <string.h>

static GString *
octets_of(PhContent *content)
{
	GString *out = g_string_new(NULL);

	g_string_set_size(out, ph_content_length(content));
	g_assert_cmpint(ph_content_read(content, 0, out->str, out->len, NULL), ==,
	                (gssize) out->len);
	return out;
}

static GString *
encode(PhSlice message, uint32_t limit)
{
	g_autoptr(PhContent) content = ph_content_new_copy(message);
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) encoded = ph_message_encode(content, limit, &error);

	g_assert_no_error(error);
	return octets_of(encoded);
}

static void
assert_encoded(PhSlice message, uint32_t limit, PhSlice wanted)
{
	GString *got = encode(message, limit);

	g_assert_cmpmem(got->str, got->len, wanted.data, wanted.length);
	g_string_free(got, TRUE);
}

static void
assert_same(PhSlice message, uint32_t limit)
{
	g_autoptr(PhContent) content = ph_content_new_copy(message);
	g_autoptr(PhContent) encoded = ph_message_encode(content, limit, NULL);

	g_assert_true(encoded == content);
}

#define TEXT(literal) PH_SLICE_LITERAL(literal)

static void
test_same(void)
{
	assert_same(TEXT("Subject: a\r\n\r\nbody\r\n"), PH_LIMIT_7BIT);
	assert_same(TEXT("Subject: a\r\n\r\nb\303\266dy\r\n"), PH_LIMIT_LINES);
	assert_same(PH_SLICE_EMPTY, PH_LIMIT_7BIT);
}

static void
test_single(void)
{
	assert_encoded(TEXT("Subject: a\r\n\r\na\0b\nc"), PH_LIMIT_LINES,
	               TEXT("MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"
	                    "Subject: a\r\n\r\nYQBiCmM=\r\n"));
	assert_encoded(
		TEXT("Content-Transfer-Encoding: 8bit\r\nmime-version: 1.0\r\n\r\n"
	             "caf\303\251 =\t\r\n.dot\r\n-dash \r\nFrom x\r\n\r\nend"),
		PH_LIMIT_7BIT,
		TEXT("Content-Transfer-Encoding: quoted-printable\r\nmime-version: 1.0\r\n\r\n"
	             "caf=C3=A9 =3D=09\r\n=2Edot\r\n=2Ddash=20\r\n=46rom x\r\n\r\nend"));
}

static void
test_parts(void)
{
	assert_encoded(
		TEXT("Content-Type: multipart/mixed; boundary=b\r\n"
	             "Content-Transfer-Encoding: binary\r\nMIME-Version: 1.0\r\n\r\n"
	             "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
	             "--b\r\nContent-Type: application/x-y\r\nContent-Transfer-Encoding: binary\r\n\r\n"
	             "\0\r\377\n\r\n--b--\r\n"),
		PH_LIMIT_LINES,
		TEXT("Content-Transfer-Encoding: 8bit\r\n"
	             "Content-Type: multipart/mixed; boundary=b\r\nMIME-Version: 1.0\r\n\r\n"
	             "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
	             "--b\r\nContent-Transfer-Encoding: base64\r\nContent-Type: application/x-y\r\n\r\n"
	             "AA3/Cg==\r\n--b--\r\n"));
}

static void
test_inside(void)
{
	GString *got =
		encode(TEXT("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\na\0b\r\n"),
	               PH_LIMIT_LINES);

	g_assert_cmpstr(got->str, ==,
	                "Content-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\n"
	                "Content-Transfer-Encoding: base64\r\nSubject: in\r\n\r\nYQBiDQo=\r\n");
	g_string_free(got, TRUE);
}

static void
test_refused(void)
{
	static const PhSlice wrong[] = {
		PH_SLICE_LITERAL("Subject: a\0b\r\n\r\n"),
		PH_SLICE_LITERAL("Subject: a\nb\r\n\r\nc"),
		PH_SLICE_LITERAL("Content-Type: multipart/mixed; boundary=b\r\n\r\npre\0amble\r\n"
		                 "--b\r\n\r\nx\r\n--b--\r\n"),
		PH_SLICE_LITERAL("Content-Transfer-Encoding: base64\r\n\r\nAA\0A\r\n"),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(PhContent) content = ph_content_new_copy(wrong[i]);
		g_autoptr(GError) error = NULL;

		g_assert_null(ph_message_encode(content, PH_LIMIT_LINES, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED);
	}
}

/* What a leaf decodes to. */
static GString *
decoded(const GString *message)
{
	PhSlice slice = PH_SLICE(message->str, message->len);
	g_autoptr(PhStructure) structure = ph_structure_scan(slice);
	const PhPart *part = ph_structure_part(structure, 0);
	g_autoptr(PhDecoder) decoder = ph_decoder_new(part->encoding, NULL);
	GString *out = g_string_new(NULL);

	ph_decoder_feed(decoder, PH_SLICE(slice.data + part->body_offset, part->body_size), out);
	ph_decoder_finish(decoder, out);
	return out;
}

static void
test_round_trips(void)
{
	static const char alphabet[] = "ab .-=F\t\r\n\n\r\303\251";

	for (unsigned round = 0; round < 3000; round++) {
		g_autoptr(GString) message = g_string_new("Subject: x\r\n\r\n");
		size_t head = message->len;
		unsigned n = (unsigned) g_test_rand_int_range(0, 400);
		uint32_t limit = round % 2 == 0 ? PH_LIMIT_LINES : PH_LIMIT_7BIT;
		GString *got = NULL;
		GString *back = NULL;

		for (unsigned i = 0; i < n; i++)
			g_string_append_c(message,
			                  alphabet[g_test_rand_int_range(0, sizeof alphabet)]);
		got = encode(PH_SLICE(message->str, message->len), limit);
		back = decoded(got);
		g_assert_cmpmem(back->str, back->len, message->str + head, message->len - head);
		g_string_free(got, TRUE);
		g_string_free(back, TRUE);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/encode/leaves-what-is-fine", test_same);
	g_test_add_func("/message/encode/a-single-part", test_single);
	g_test_add_func("/message/encode/each-part-that-needs-it", test_parts);
	g_test_add_func("/message/encode/in-a-message-in-a-message", test_inside);
	g_test_add_func("/message/encode/refuses-what-it-cannot-reach", test_refused);
	g_test_add_func("/message/encode/decodes-to-the-same", test_round_trips);
	return g_test_run();
}

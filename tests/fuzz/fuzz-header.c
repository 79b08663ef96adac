/* fuzz-header.c: header blocks and what their values mean
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PhSlice
text_of(const GString *text)
{
	return PH_SLICE(text->str, text->len);
}

static void
check_value(PhSlice value)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GString) base = g_string_new(NULL);
	g_autoptr(PhMimeValue) type = ph_mime_value_parse(value, true);
	g_autoptr(PhMimeValue) disposition = ph_mime_value_parse(value, false);
	bool reply = false;

	for (size_t i = 0; i < type->n_parameters; i++)
		g_assert_true(ph_slice_is_utf8(ph_slice(type->parameters[i].value)));
	(void) ph_mime_value_get(disposition, "filename");
	ph_header_append_unfolded(value, text);
	g_assert_cmpuint(text->len, <=, value.length);
	g_assert_null(memchr(text->str, '\n', text->len));
	g_string_truncate(text, 0);
	ph_header_decode(value, text);
	g_assert_true(ph_slice_is_utf8(text_of(text)));
	ph_subject_base(text_of(text), base, &reply);
	g_assert_cmpuint(base->len, <=, text->len);
	while (ph_message_id_next(&value, text))
		g_assert_cmpuint(text->len, >, 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice block = PH_SLICE((const char *) data, size);
	PhSlice rest = block;
	const PhSlice names[] = { PH_SLICE_LITERAL("subject"), PH_SLICE_LITERAL("x") };
	g_autoptr(GString) filtered = g_string_new(NULL);
	PhHeaderField field;
	size_t offset = 0;

	while (ph_header_next(&rest, &offset, &field)) {
		g_assert_true(field.whole.data == block.data + field.offset);
		check_value(field.value);
	}
	g_assert_cmpuint(offset + rest.length, ==, size);
	ph_header_append_fields(block, names, G_N_ELEMENTS(names), true, filtered);
	return 0;
}

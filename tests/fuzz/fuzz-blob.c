/* fuzz-blob.c: a stored structure, damaged or made up
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every octet that the structure shows. */
static uint32_t
touch(PhSlice text)
{
	return ph_slice_hash(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice blob = PH_SLICE((const char *) data, size);
	g_autoptr(PhStructure) structure = ph_structure_from_blob(blob, NULL);
	g_autoptr(GString) body = g_string_new(NULL);
	PhRange range;

	(void) touch(ph_structure_blob_envelope(blob));
	(void) touch(ph_structure_blob_bodystructure(blob));
	if (structure == NULL)
		return 0;
	(void) touch(ph_structure_envelope(structure));
	(void) touch(ph_structure_info(structure)->subject);
	(void) touch(ph_structure_info(structure)->references);
	ph_structure_append_body(structure, body);
	for (uint32_t i = 0; i < ph_structure_info(structure)->n_parts; i++) {
		const PhPart *part = ph_structure_part(structure, i);

		(void) touch(part->type);
		(void) touch(part->filename);
		g_assert_cmpuint(part->header_offset + part->header_size, <=,
		                 ph_structure_info(structure)->size);
	}
	(void) ph_structure_find(structure, ph_slice("1.2.3.4.TEXT"), &range);
	(void) ph_structure_find(structure, ph_slice("2.1.MIME"), &range);
	return 0;
}

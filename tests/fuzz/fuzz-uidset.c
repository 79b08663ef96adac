/* fuzz-uidset.c: a sequence-set from a client, written and read again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/uidset.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(PhUidSet) set = ph_uid_set_parse(PH_SLICE((const char *) data, size), 77, 1000);
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GString) again_text = g_string_new(NULL);
	g_autoptr(PhUidSet) again = NULL;

	if (set == NULL)
		return 0;
	ph_uid_set_append_text(set, text);
	again = ph_uid_set_parse(PH_SLICE(text->str, text->len), 0, 1000);
	g_assert_nonnull(again);
	ph_uid_set_append_text(again, again_text);
	g_assert_true(g_string_equal(text, again_text));
	g_assert_cmpuint(ph_uid_set_count(set), ==, ph_uid_set_count(again));
	return 0;
}

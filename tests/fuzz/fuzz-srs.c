/* fuzz-srs.c: addresses that look rewritten, and alias files
 *
 * Nobody without the secret makes an address that is taken, and what is rewritten comes back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "server/aliases.h"
#include "server/srs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const PhTime now = INT64_C(1700000000) * G_USEC_PER_SEC;
	g_autofree char *text = ph_slice_dup(PH_SLICE((const char *) data, size));
	PhSrs *srs = ph_srs_new(PH_SLICE_LITERAL("secret"), 21);
	GHashTable *table = ph_aliases_parse(PH_SLICE((const char *) data, size), NULL);
	g_autofree char *guessed = ph_srs_reverse(srs, text, now);
	g_autofree char *made = ph_srs_forward(srs, text, "our.example", now);
	g_autofree char *back = made != NULL ? ph_srs_reverse(srs, made, now) : NULL;

	g_assert_null(guessed);
	if (back != NULL && !ph_srs_is(text))
		g_assert_cmpstr(back, ==, text);
	if (table != NULL)
		g_hash_table_unref(table);
	ph_srs_free(srs);
	return 0;
}

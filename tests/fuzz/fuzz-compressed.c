/* fuzz-compressed.c: what the compress store reads from the store below, damaged or made up
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>

#include "compress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MOST = 8 * 1024 * 1024, /* a few octets may stand for very many: not all are read */
	PIECE = 100000,
};

static void
read_some(PhContent *content)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *buffer = g_malloc(PIECE);
	uint64_t offset = 0;

	while (offset < MIN(length, (uint64_t) MOST)) {
		g_autoptr(GError) error = NULL;
		ssize_t got = ph_content_read(content, offset, buffer, PIECE, &error);

		if (got < 0) {
			g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
			return;
		}
		g_assert_cmpint(got, ==, (gssize) MIN(length - offset, (uint64_t) PIECE));
		offset += (uint64_t) got;
	}
	(void) ph_content_read(content, length / 2, buffer, 1, NULL);
	(void) ph_content_read(content, length, buffer, 1, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(PhContent) stored = ph_content_new_copy(PH_SLICE((const char *) data, size));
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content = container_unpack(stored, &error);
	g_autoptr(PhContent) packed = NULL;
	g_autoptr(PhContent) back = NULL;

	if (content != NULL)
		read_some(content);
	else
		g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	packed = container_pack(stored, 1, NULL);
	back = container_unpack(packed, NULL);
	g_assert_nonnull(back);
	g_assert_cmpuint(ph_content_length(back), ==, size);
	return 0;
}

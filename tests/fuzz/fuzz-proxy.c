/* fuzz-proxy.c: PROXY headers; what is found never depends on what follows or on the pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "net/proxy-header.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A header that is there in whole is found in every longer input and in no shorter one. */
static void
check_pieces(PhSlice text, const PhProxyHeader *header)
{
	PhProxyHeader again;

	g_assert_cmpuint(header->used, <=, MIN(text.length, (size_t) PH_PROXY_HEADER_MAX));
	g_assert_cmpint(ph_proxy_header_parse(PH_SLICE(text.data, header->used), &again), ==,
	                PH_PROXY_OK);
	g_assert_cmpuint(again.used, ==, header->used);
	for (size_t n = 0; n < header->used; n += 1 + header->used / 16)
		g_assert_cmpint(ph_proxy_header_parse(PH_SLICE(text.data, n), &again), ==,
		                PH_PROXY_INCOMPLETE);
	g_assert_true(header->is_local
	              == (header->peer.any.sa_family == AF_UNSPEC
	                  && header->local.any.sa_family == AF_UNSPEC));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);
	PhProxyHeader header;
	PhProxyResult result = ph_proxy_header_parse(text, &header);

	if (result == PH_PROXY_OK)
		check_pieces(text, &header);
	else if (result == PH_PROXY_INCOMPLETE)
		g_assert_cmpuint(size, <, PH_PROXY_HEADER_MAX);
	return 0;
}

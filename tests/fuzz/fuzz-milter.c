/* fuzz-milter.c: what a milter sends
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_code(PhSlice text)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	char status[16];
	uint32_t code = 0;

	if (!packet_code(text, &code, status, lines))
		return;
	g_assert_cmpuint(code, >=, 400);
	g_assert_cmpuint(code, <=, 599);
	g_assert_cmpuint(lines->len, <=, text.length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice packet = PH_SLICE((const char *) data, size);
	g_autoptr(GString) out = g_string_new(NULL);
	PhSlice macros[MILTER_STAGES];
	Options options;
	Reply reply;

	if (size == 0)
		return 0;
	g_assert_cmpuint(packet_length(packet), <=, MILTER_PACKET);
	if (packet_options(packet, &options, macros)) {
		g_assert_cmpuint(options.actions, <=, MAY_ALL);
		for (size_t i = 0; i < MILTER_STAGES; i++)
			g_assert_cmpuint(macros[i].length, <, size);
	}
	if (packet_reply(packet, MAY_ALL, &reply))
		g_assert_cmpuint(reply.first.length + reply.second.length, <, size);
	g_assert_true(!packet_reply(packet, 0, &reply) || packet_reply(packet, MAY_ALL, &reply));
	check_code(packet);
	packet_header(out, ph_slice_from(packet, size / 2), packet, (data[0] & 1) != 0);
	g_assert_cmpuint(out->len, <=, MILTER_LENGTH + MILTER_PACKET);
	return 0;
}

/* fuzz-framing.c: input in two splits gives the same calls, within bounds
 *
 * The first octets choose the modes and the limit, the rest is the peer's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "net/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	n_choices = 8,
	flaw_bits = 0xff,
};

typedef struct {
	const uint8_t *choices;
	unsigned at;
	bool asked_nothing;
	GString *log;
} Follow;

static void
choose(Follow *follow, PhFraming *framing)
{
	uint8_t choice = follow->choices[follow->at++ % n_choices];
	uint8_t count = choice / 4;

	/* A protocol that asks for nothing again and again would go on for ever. */
	if (count == 0 && follow->asked_nothing)
		count = 1;
	follow->asked_nothing = count == 0;

	if (choice % 4 == 1)
		ph_framing_begin_data(framing);
	else if (choice % 4 == 2)
		ph_framing_begin_octets(framing, count, false);
	else if (choice % 4 == 3)
		ph_framing_begin_octets(framing, count, true);
}

static void
note(Follow *follow, PhFraming *framing, const PhFrame *frame)
{
	if (frame->slice.length > 0)
		g_string_append_len(follow->log, frame->slice.data, (gssize) frame->slice.length);
	if (frame->kind == PH_FRAME_LINE) {
		g_string_append_printf(follow->log, "|line %u|", frame->flaws);
		choose(follow, framing);
	} else if (frame->final) {
		g_string_append_printf(follow->log, "|end %u|", framing->flaws & flaw_bits);
		choose(follow, framing);
	}
}

static GString *
run(const uint8_t *choices, PhSlice input, size_t step)
{
	g_autoptr(GByteArray) buffer = g_byte_array_new();
	Follow follow = { .choices = choices, .log = g_string_new(NULL) };
	PhFraming framing;

	ph_framing_init(&framing, 1 + choices[0]);
	while (input.length > 0) {
		size_t n = MIN(step, input.length);
		PhFrame frame = { .kind = PH_FRAME_NONE };

		g_byte_array_append(buffer, (const guint8 *) input.data, (guint) n);
		input = ph_slice_from(input, n);
		do {
			size_t used = 0;

			ph_framing_next(&framing,
			                PH_SLICE((const char *) buffer->data, buffer->len), &frame,
			                &used);
			g_assert_cmpuint(used, <=, buffer->len);
			if (frame.kind != PH_FRAME_NONE)
				note(&follow, &framing, &frame);
			g_byte_array_remove_range(buffer, 0, (guint) used);
		} while (frame.kind != PH_FRAME_NONE);
		g_assert_cmpuint(buffer->len, <=, ph_framing_wanted(&framing));
	}
	return follow.log;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GString) whole = NULL;
	g_autoptr(GString) split = NULL;
	PhSlice input = PH_SLICE_EMPTY;

	if (size <= n_choices || size > 4096)
		return 0;
	input = PH_SLICE((const char *) data + n_choices, size - n_choices);
	whole = run(data, input, input.length);
	split = run(data, input, 1 + data[1] % 7);
	g_assert_true(g_string_equal(whole, split));
	return 0;
}

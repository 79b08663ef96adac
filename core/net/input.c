/* input.c: the window over what a session has read and not used
 *
 * A turn reads into the worker's buffer. What is left at its end (part of a line, commands that
 * wait behind a parked one) is copied to memory of the session, exactly as much as there is. When
 * that is much already, reading goes on in it, so that a peer who sends one octet at a time cannot
 * make every turn copy a long line twice.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/session.h"

#include <string.h>

enum {
	copied_octets = 8 * 1024,
	least_room = 512,
};

void
ph_input_open(PhInput *input, PhScratch *scratch)
{
	if (input->kept_length > copied_octets) {
		input->base = input->kept;
		input->start = input->kept_start;
		input->end = input->kept_start + input->kept_length;
		input->capacity = input->kept_capacity;
		return;
	}
	input->base = scratch->in;
	input->start = 0;
	input->end = input->kept_length;
	input->capacity = sizeof scratch->in;
	if (input->kept == NULL)
		return;
	memcpy(input->base, input->kept + input->kept_start, input->kept_length);
	ph_input_clear(input);
}

void
ph_input_close(PhInput *input, PhScratch *scratch)
{
	uint32_t length = input->end - input->start;

	if (input->base == NULL)
		return;
	if (input->base == scratch->in && length > 0) {
		input->kept = g_malloc(length);
		memcpy(input->kept, input->base + input->start, length);
		input->kept_start = 0;
		input->kept_length = length;
		input->kept_capacity = length;
	} else if (input->base != scratch->in && length > 0) {
		input->kept = input->base;
		input->kept_start = input->start;
		input->kept_length = length;
		input->kept_capacity = input->capacity;
	} else if (input->base != scratch->in) {
		input->kept = input->base;
		ph_input_clear(input);
	}
	input->base = NULL;
	input->start = 0;
	input->end = 0;
}

void
ph_input_clear(PhInput *input)
{
	g_clear_pointer(&input->kept, g_free);
	input->kept_start = 0;
	input->kept_length = 0;
	input->kept_capacity = 0;
}

/* Room behind the window's octets for at least one more, up to @wanted octets in all. */
char *
ph_input_room(PhInput *input, size_t wanted, size_t *room_out)
{
	uint32_t length = input->end - input->start;

	if (length == 0) {
		input->start = 0;
		input->end = 0;
	}
	if (input->start > 0 && input->capacity - input->end < PH_SCRATCH_READ) {
		memmove(input->base, input->base + input->start, length);
		input->start = 0;
		input->end = length;
	}
	if (input->capacity - input->end < least_room && input->base == input->kept) {
		input->capacity = (uint32_t) MAX(wanted + least_room, 2 * (size_t) length);
		input->kept = g_realloc(input->kept, input->capacity);
		input->base = input->kept;
		input->kept_capacity = input->capacity;
	}
	*room_out = MIN(input->capacity - input->end, (uint32_t) PH_SCRATCH_READ);
	return input->base + input->end;
}

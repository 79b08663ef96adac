/* flaws.c: finds what is wrong with the octets of a message body as they pass
 *
 * The state between two pieces: the flaws found so far (low bits), whether the last octet was a CR,
 * and how long the line is that has not ended yet (saturated). Octets are looked at in blocks of a
 * fixed size that the compiler turns into vector instructions; only line ends are looked at one by
 * one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/session.h>

#include <string.h>

enum {
	flaw_mask = 0xff,
	length_shift = 8,
	length_mask = 0xfff,
	longest_line = 998, /* RFC 5321 section 4.5.3.1.6 */
	block_octets = 64,
};

static const uint32_t behind_cr = 1U << 31;
static const unsigned char highest_bit = 0x80;

typedef struct {
	uint32_t flaws;
	size_t n_cr;
} Census;

static void
count_rest(Census *census, const unsigned char *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (at[i] == 0)
			census->flaws |= PH_FLAW_NUL;
		if (at[i] & highest_bit)
			census->flaws |= PH_FLAW_8BIT;
		if (at[i] == '\r')
			census->n_cr++;
	}
}

static Census
take_census(PhSlice piece)
{
	Census census = { 0, 0 };
	const unsigned char *at = (const unsigned char *) piece.data;
	size_t left = piece.length;

	for (; left >= block_octets; at += block_octets, left -= block_octets) {
		unsigned char high = 0;
		unsigned char nul = 0;
		unsigned char cr = 0;

		for (int i = 0; i < block_octets; i++) {
			high |= at[i];
			nul |= at[i] == 0;
			cr = (unsigned char) (cr + (at[i] == '\r'));
		}
		if (high & highest_bit)
			census.flaws |= PH_FLAW_8BIT;
		if (nul)
			census.flaws |= PH_FLAW_NUL;
		census.n_cr += cr;
	}
	count_rest(&census, at, left);
	return census;
}

uint32_t
ph_session_scan_flaws(uint32_t state, PhSlice piece, bool final)
{
	uint32_t flaws = state & flaw_mask;
	size_t line = (state >> length_shift) & length_mask;
	bool cr = (state & behind_cr) != 0;
	size_t n_pairs = 0;
	Census census = take_census(piece);
	const char *at = piece.data;
	const char *end = piece.length > 0 ? piece.data + piece.length : piece.data;

	flaws |= census.flaws;
	/* A CR at the end of the piece before counts with this one: it has a pair here, or not. */
	census.n_cr += cr;
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t) (end - at));
		bool paired = false;

		if (lf == NULL)
			break;
		paired = lf > piece.data ? lf[-1] == '\r' : cr;
		n_pairs += paired;
		if (!paired)
			flaws |= PH_FLAW_BARE_LF;
		if (line + (size_t) (lf - at) - (paired ? 1 : 0) > longest_line)
			flaws |= PH_FLAW_LONG_LINE;
		line = 0;
		at = lf + 1;
	}
	line = MIN(line + (size_t) (end - at), (size_t) length_mask);
	if (piece.length > 0)
		cr = end[-1] == '\r';
	if (census.n_cr - (cr && !final ? 1 : 0) != n_pairs)
		flaws |= PH_FLAW_BARE_CR;
	if (line > longest_line + (cr ? 1 : 0))
		flaws |= PH_FLAW_LONG_LINE;
	state = flaws | (uint32_t) (line << length_shift);
	return cr && !final ? state | behind_cr : state;
}

/* slice.c: pure helpers over octet slices: ASCII case, trimming, checked numbers, keyed hashes
 *
 * The hashes are SipHash-1-3 with a key of 16 random octets that is drawn once per process, so
 * that a peer who chooses the keys of a table cannot choose their buckets. The UTF-8 check is the
 * table of RFC 3629 section 4.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

static struct {
	uint64_t k0;
	uint64_t k1;
} hash_key;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static const char letter_fold = 0x20;

static char
fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c | letter_fold) : c;
}

bool
ph_slice_equal_nocase(PhSlice a, PhSlice b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++)
		if (a.data[i] != b.data[i] && fold(a.data[i]) != fold(b.data[i]))
			return false;
	return true;
}

bool
ph_slice_is_nocase(PhSlice a, const char *text)
{
	return ph_slice_equal_nocase(a, ph_slice(text));
}

bool
ph_slice_starts_nocase(PhSlice a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.length >= n && ph_slice_equal_nocase(PH_SLICE(a.data, n), PH_SLICE(prefix, n));
}

PhSlice
ph_slice_trim(PhSlice a)
{
	while (a.length > 0 && (a.data[0] == ' ' || a.data[0] == '\t')) {
		a.data++;
		a.length--;
	}
	while (a.length > 0 && (a.data[a.length - 1] == ' ' || a.data[a.length - 1] == '\t'))
		a.length--;
	return a;
}

ssize_t
ph_slice_find(PhSlice a, char c)
{
	const char *at = a.length > 0 ? memchr(a.data, c, a.length) : NULL;

	return at != NULL ? at - a.data : -1;
}

PhSlice
ph_slice_split(PhSlice *rest, char c)
{
	PhSlice whole = *rest;
	ssize_t at = ph_slice_find(whole, c);

	if (at < 0) {
		*rest = PH_SLICE_EMPTY;
		return whole;
	}
	*rest = PH_SLICE(whole.data + at + 1, whole.length - (size_t) at - 1);
	return PH_SLICE(whole.data, (size_t) at);
}

char *
ph_slice_dup(PhSlice a)
{
	char *copy = g_malloc(a.length + 1);

	if (a.length > 0)
		memcpy(copy, a.data, a.length);
	copy[a.length] = '\0';
	return copy;
}

static void
draw_key(void)
{
	uint64_t key[2] = { 0, 0 };
	ssize_t n = getrandom(key, sizeof key, 0);

	if (n != (ssize_t) sizeof key) {
		/* no kernel random: still differs by process and by address layout */
		key[0] ^= (uint64_t) g_get_monotonic_time() ^ ((uint64_t) getpid() << 32);
		key[1] ^= (uint64_t) (uintptr_t) &hash_key ^ (uint64_t) g_get_real_time();
	}
	hash_key.k0 = key[0];
	hash_key.k1 = key[1];
}

static inline uint64_t
rotate(uint64_t x, unsigned int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* Sets bit 0x20 of every octet that is an ASCII capital, eight at a time. */
static uint64_t
fold_word(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101ULL;
	uint64_t low = word & (0x7f * ones);
	uint64_t from_a = low + (0x80 - 'A') * ones;
	uint64_t after_z = low + (0x80 - 'Z' - 1) * ones;
	uint64_t capital = (from_a & ~after_z) & ~word & (0x80 * ones);

	return word | (capital >> 2);
}

static uint32_t
hash(PhSlice a, bool nocase)
{
	uint64_t v[4];
	size_t left = a.length;
	const char *at = a.data;

	(void) pthread_once(&key_once, draw_key);
	v[0] = hash_key.k0 ^ 0x736f6d6570736575ULL;
	v[1] = hash_key.k1 ^ 0x646f72616e646f6dULL;
	v[2] = hash_key.k0 ^ 0x6c7967656e657261ULL;
	v[3] = hash_key.k1 ^ 0x7465646279746573ULL;
	for (bool more = true; more;) {
		uint64_t word = 0;

		more = left >= sizeof word;
		if (left > 0)
			memcpy(&word, at, more ? sizeof word : left);
		if (nocase)
			word = fold_word(word);
		if (!more)
			word |= (uint64_t) (a.length & 0xff) << 56;
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
		if (more) {
			at += sizeof word;
			left -= sizeof word;
		}
	}
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	v[0] ^= v[1] ^ v[2] ^ v[3];
	return (uint32_t) (v[0] ^ (v[0] >> 32));
}

uint32_t
ph_slice_hash(PhSlice a)
{
	return hash(a, false);
}

uint32_t
ph_slice_hash_nocase(PhSlice a)
{
	return hash(a, true);
}

guint
ph_str_hash(gconstpointer key)
{
	return hash(ph_slice((const char *) key), false);
}

bool
ph_slice_to_u64(PhSlice a, uint64_t max, uint64_t *value_out)
{
	uint64_t value = 0;

	if (a.length == 0)
		return false;
	for (size_t i = 0; i < a.length; i++) {
		uint64_t digit = (uint64_t) (unsigned char) a.data[i] - '0';

		if (digit > 9 || digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*value_out = value;
	return true;
}

bool
ph_slice_to_u32(PhSlice a, uint32_t max, uint32_t *value_out)
{
	uint64_t value = 0;

	if (!ph_slice_to_u64(a, max, &value))
		return false;
	*value_out = (uint32_t) value;
	return true;
}

/* Octets of the UTF-8 sequence that begins at @at, 0 when it is not well formed. */
static size_t
utf8_sequence(const unsigned char *at, size_t left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t n = 0;

	if (at[0] >= 0xc2 && at[0] <= 0xdf)
		n = 2;
	else if (at[0] >= 0xe0 && at[0] <= 0xef)
		n = 3;
	else if (at[0] >= 0xf0 && at[0] <= 0xf4)
		n = 4;
	if (n == 0 || n > left)
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* How many octets at the start of @a are ASCII and not NUL. */
static size_t
ascii_run(PhSlice a)
{
	const uint64_t ones = 0x0101010101010101ULL;
	size_t i = 0;
	uint64_t word = 0;

	for (; i + sizeof word <= a.length; i += sizeof word) {
		memcpy(&word, a.data + i, sizeof word);
		if ((((word - ones) | word) & (0x80 * ones)) != 0)
			break;
	}
	while (i < a.length && a.data[i] != '\0' && (unsigned char) a.data[i] < 0x80)
		i++;
	return i;
}

bool
ph_slice_is_utf8(PhSlice a)
{
	for (size_t i = 0; i < a.length;) {
		size_t n = 0;

		i += ascii_run(PH_SLICE(a.data + i, a.length - i));
		if (i == a.length)
			break;
		n = utf8_sequence((const unsigned char *) a.data + i, a.length - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool
ph_slice_is_ascii(PhSlice a)
{
	return ascii_run(a) == a.length;
}

/* secret.c: octets that are wiped, compared in constant time, and drawn at random
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct PhSecret {
	size_t length;
	char octets[]; /* a NUL behind the last */
};

PhSecret *
ph_secret_new(PhSlice octets)
{
	PhSecret *secret = g_malloc(sizeof *secret + octets.length + 1);

	secret->length = octets.length;
	if (octets.length > 0)
		memcpy(secret->octets, octets.data, octets.length);
	secret->octets[octets.length] = '\0';
	return secret;
}

void
ph_secret_free(PhSecret *secret)
{
	if (secret == NULL)
		return;
	ph_secret_wipe(secret->octets, secret->length);
	g_free(secret);
}

PhSlice
ph_secret_slice(const PhSecret *secret)
{
	return PH_SLICE(secret->octets, secret->length);
}

bool
ph_secret_equal(PhSlice a, PhSlice b)
{
	/* reads all of @a whatever @b is; volatile keeps the loop from ending early */
	volatile unsigned char difference = a.length != b.length;

	for (size_t i = 0; i < a.length; i++) {
		const PhSlice *other = b.length == a.length ? &b : &a;

		difference |= (unsigned char) (a.data[i] ^ other->data[i]);
	}
	return difference == 0;
}

void
ph_secret_wipe(void *memory, size_t n)
{
	if (n > 0)
		explicit_bzero(memory, n);
}

void
ph_secret_random(void *memory, size_t n)
{
	char *at = memory;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		/* without random numbers no nonce is safe: there is nothing to fall back to */
		g_assert(got > 0 || errno == EINTR);
		if (got > 0) {
			at += got;
			n -= (size_t) got;
		}
	}
}

/* srs.c: senders of forwarded mail rewritten so that this server answers for them
 *
 * Hash and day are base32, which survives servers that change the case of local parts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/srs.h"

#include <posthorn/address.h>
#include <posthorn/slice.h>

#include <string.h>

enum {
	HASH = 6, /* characters: 30 bits */
	DAY = 2,  /* characters: 1024 days */
	DAYS = 1024,
	DIGEST = 32,
	FORM = 5, /* of "SRS0=" */
};

struct PhSrs {
	PhSecret *secret;
	uint32_t lifetime;
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

PhSrs *
ph_srs_new(PhSlice secret, uint32_t lifetime)
{
	PhSrs *srs = g_new0(PhSrs, 1);

	srs->secret = ph_secret_new(secret);
	srs->lifetime = lifetime;
	return srs;
}

void
ph_srs_free(PhSrs *srs)
{
	if (srs == NULL)
		return;
	ph_secret_free(srs->secret);
	g_free(srs);
}

/* --- hash and day ----------------------------------------------------------------------------- */

static void
make_hash(const PhSrs *srs, const char *text, char hash_out[HASH + 1])
{
	PhSlice secret = ph_secret_slice(srs->secret);
	g_autofree char *lower = g_ascii_strdown(text, -1);
	GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, (const guchar *) secret.data, secret.length);
	uint8_t digest[DIGEST];
	gsize length = sizeof digest;

	g_hmac_update(hmac, (const guchar *) lower, -1);
	g_hmac_get_digest(hmac, digest, &length);
	g_hmac_unref(hmac);
	for (unsigned i = 0; i < HASH; i++)
		hash_out[i] = digits[digest[i] & 31];
	hash_out[HASH] = '\0';
}

static uint32_t
day_of(PhTime now)
{
	return (uint32_t) (now / G_USEC_PER_SEC / 86400 % DAYS);
}

static int
digit_value(char c)
{
	const char *at = memchr(digits, g_ascii_toupper(c), sizeof digits - 1);

	return at != NULL ? (int) (at - digits) : -1;
}

/* Clocks of a day ahead are fine: the address may have been made on another machine. */
static bool
is_fresh(const PhSrs *srs, PhSlice day, PhTime now)
{
	int high = day.length == DAY ? digit_value(day.data[0]) : -1;
	int low = day.length == DAY ? digit_value(day.data[1]) : -1;
	uint32_t age = 0;

	if (high < 0 || low < 0)
		return false;
	age = (day_of(now) + DAYS - (uint32_t) (high * 32 + low)) % DAYS;
	return age <= srs->lifetime || age == DAYS - 1;
}

static bool
is_hash(const PhSrs *srs, PhSlice hash, const char *text)
{
	char wanted[HASH + 1];
	char upper[HASH];

	if (hash.length != HASH)
		return false;
	make_hash(srs, text, wanted);
	for (size_t i = 0; i < HASH; i++)
		upper[i] = g_ascii_toupper(hash.data[i]);
	return ph_secret_equal(PH_SLICE(upper, HASH), PH_SLICE(wanted, HASH));
}

/* --- forward ---------------------------------------------------------------------------------- */

static bool
has_form(PhSlice local, char which)
{
	return ph_slice_starts_nocase(local, "SRS") && local.length > FORM && local.data[3] == which
	       && strchr("=+-", local.data[4]) != NULL;
}

bool
ph_srs_is(const char *address)
{
	PhSlice local = ph_slice(address);

	return has_form(local, '0') || has_form(local, '1');
}

static char *
finish(char *local, const char *domain)
{
	g_autofree char *owned = local;

	if (strlen(owned) > PH_LOCAL_PART_MAX)
		return NULL;
	return g_strconcat(owned, "@", domain, NULL);
}

/* "SRS1=HASH=host==rest" for "SRS0=rest" at @host: the server that made it gets the bounce. */
static char *
forward_again(const PhSrs *srs, PhSlice local, const char *host, const char *domain)
{
	bool is_first = has_form(local, '0');
	PhSlice rest = ph_slice_from(local, is_first ? FORM - 1 : FORM);
	g_autofree char *hashed = NULL;
	char hash[HASH + 1];

	if (is_first) {
		hashed = g_strdup_printf("%s=%.*s", host, (int) rest.length, rest.data);
	} else {
		(void) ph_slice_split(&rest, '=');
		hashed = ph_slice_dup(rest);
	}
	make_hash(srs, hashed, hash);
	return finish(g_strdup_printf("SRS1=%s=%s", hash, hashed), domain);
}

char *
ph_srs_forward(const PhSrs *srs, const char *sender, const char *domain, PhTime now)
{
	const char *at = strrchr(sender, '@');
	PhSlice local = PH_SLICE(sender, at != NULL ? (size_t) (at - sender) : 0);
	uint32_t day = day_of(now);
	g_autofree char *hashed = NULL;
	char hash[HASH + 1];

	if (local.length == 0 || strchr(at, '=') != NULL)
		return NULL;
	if (has_form(local, '0') || has_form(local, '1'))
		return forward_again(srs, local, at + 1, domain);
	hashed = g_strdup_printf("%c%c=%s=%.*s", digits[day / 32], digits[day % 32], at + 1,
	                         (int) local.length, local.data);
	make_hash(srs, hashed, hash);
	return finish(g_strdup_printf("SRS0=%s=%s", hash, hashed), domain);
}

/* --- reverse ---------------------------------------------------------------------------------- */

/* "domain=local" to "local@domain". */
static char *
address_of(PhSlice rest)
{
	PhSlice domain = ph_slice_split(&rest, '=');
	PhAddress address;
	g_autofree char *text = g_strdup_printf("%.*s@%.*s", (int) rest.length, rest.data,
	                                        (int) domain.length, domain.data);

	if (rest.length == 0 || rest.length > PH_LOCAL_PART_MAX
	    || ph_domain_parse(domain, PH_ADDRESS_ALLOW_UTF8, &address.domain_kind)
	               != PH_ADDRESS_OK)
		return NULL;
	return g_steal_pointer(&text);
}

static char *
reverse_first(const PhSrs *srs, PhSlice rest, PhTime now)
{
	PhSlice hash = ph_slice_split(&rest, '=');
	g_autofree char *hashed = ph_slice_dup(rest);
	PhSlice day = ph_slice_split(&rest, '=');

	if (!is_hash(srs, hash, hashed) || !is_fresh(srs, day, now))
		return NULL;
	return address_of(rest);
}

static char *
reverse_again(const PhSrs *srs, PhSlice rest)
{
	PhSlice hash = ph_slice_split(&rest, '=');
	g_autofree char *hashed = ph_slice_dup(rest);
	PhSlice host = ph_slice_split(&rest, '=');
	uint32_t kind = 0;

	if (!is_hash(srs, hash, hashed) || rest.length < 2
	    || ph_domain_parse(host, PH_ADDRESS_ALLOW_UTF8, &kind) != PH_ADDRESS_OK)
		return NULL;
	return g_strdup_printf("SRS0%.*s@%.*s", (int) rest.length, rest.data, (int) host.length,
	                       host.data);
}

char *
ph_srs_reverse(const PhSrs *srs, const char *address, PhTime now)
{
	const char *at = strrchr(address, '@');
	PhSlice local = PH_SLICE(address, at != NULL ? (size_t) (at - address) : strlen(address));

	if (has_form(local, '0'))
		return reverse_first(srs, ph_slice_from(local, FORM), now);
	if (has_form(local, '1'))
		return reverse_again(srs, ph_slice_from(local, FORM));
	return NULL;
}

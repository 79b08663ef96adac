/* invent.c: what unknown users are shown instead of their own salt
 *
 * A salt that changed from one attempt to the next would tell that there is no such user. So it is a
 * keyed digest of the name; the key stays over restarts. RFC 5802 section 5.1 demands nothing here,
 * but see its section 9.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/invent.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE "login.key"

enum {
	KEY_MODE = 0600,
};

static bool
read_key(const char *path, uint8_t *key)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool whole = fd >= 0 && read(fd, key, PH_LOGIN_KEY_SIZE) == PH_LOGIN_KEY_SIZE;

	if (fd >= 0)
		(void) close(fd);
	return whole;
}

bool
ph_login_key_load(const char *data, uint8_t *key, GError **error)
{
	g_autofree char *path = g_build_filename(data, KEY_FILE, NULL);

	if (read_key(path, key))
		return true;
	ph_secret_random(key, PH_LOGIN_KEY_SIZE);
	return ph_durable_replace(AT_FDCWD, path, PH_SLICE((const char *) key, PH_LOGIN_KEY_SIZE),
	                          KEY_MODE, error);
}

void
ph_invent(const uint8_t *key, const char *purpose, PhSlice user, uint8_t *octets, size_t n)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	g_autoptr(GByteArray) text = g_byte_array_new();

	g_return_if_fail(n <= PH_INVENT_MAX);
	/* The purpose with its NUL: no purpose and name look like another pair. */
	g_byte_array_append(text, (const guint8 *) purpose, (guint) strlen(purpose) + 1);
	g_byte_array_append(text, (const guint8 *) user.data, (guint) user.length);
	if (HMAC(EVP_sha512(), key, PH_LOGIN_KEY_SIZE, text->data, text->len, digest, &length)
	    == NULL)
		memset(digest, 0, sizeof digest);
	memcpy(octets, digest, n);
	ph_secret_wipe(digest, sizeof digest);
}

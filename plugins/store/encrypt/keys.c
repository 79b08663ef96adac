/* keys.c: the master keys of a file, and an account's data keys wrapped by them
 *
 * A wrapped key: version 2, id of the master key (8), salt (16), when the key was made (8), the key (32),
 * tag (16). What wraps is derived from the master key, the account's address and the salt, so a wrapped
 * key means nothing in another account. In version 1 it is not told when.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "encrypt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	VERSION = 2,
	VERSION_BEFORE = 1,
	AT_SALT = 1 + KEY_ID,
	AT_MADE = AT_SALT + RANDOM,
	MAX_FILE = 64 * 1024,
	OTHERS = 0077, /* permissions that nobody but the owner may have */
};

/* --- the file ------------------------------------------------------------------------------------ */

static void
name_master(Key *key)
{
	uint8_t name[KEY];

	crypto_derive(key->key, "master key id", "", PH_SLICE_EMPTY, name);
	memcpy(key->id, name, KEY_ID);
}

static bool
parse_key(PhSlice text, Key *key_out)
{
	if (text.length != 2 * (size_t) KEY)
		return false;
	for (size_t i = 0; i < KEY; i++) {
		int high = g_ascii_xdigit_value(text.data[2 * i]);
		int low = g_ascii_xdigit_value(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key_out->key[i] = (uint8_t) (high << 4 | low);
	}
	name_master(key_out);
	return true;
}

bool
master_keys_parse(PhSlice text, GArray *keys, unsigned *line_out)
{
	unsigned number = 0;

	while (text.length > 0) {
		PhSlice line = ph_slice_trim(ph_slice_split(&text, '\n'));
		Key key;

		number++;
		if (line.length > 0 && line.data[line.length - 1] == '\r')
			line = ph_slice_trim(PH_SLICE(line.data, line.length - 1));
		if (line.length == 0 || line.data[0] == '#')
			continue;
		if (!parse_key(line, &key)) {
			if (line_out != NULL)
				*line_out = number;
			return false;
		}
		(void) g_array_append_val(keys, key);
		ph_secret_wipe(&key, sizeof key);
	}
	return true;
}

static ssize_t
read_whole(int fd, char *buffer, size_t room)
{
	size_t got = 0;

	while (got < room) {
		ssize_t n = read(fd, buffer + got, room - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t) n;
	}
	return (ssize_t) got;
}

static bool
check_file(int fd, const char *path, GError **error)
{
	struct stat status;

	if (fstat(fd, &status) != 0) {
		ph_error_set_errno(error, errno, "'%s' cannot be looked at", path);
		return false;
	}
	if (!S_ISREG(status.st_mode)) {
		ph_error_set(error, PH_ERROR_PERMANENT, "'%s' is no file", path);
		return false;
	}
	if ((status.st_mode & OTHERS) != 0) {
		ph_error_set(error, PH_ERROR_PERMANENT,
		             "'%s' holds keys and others may use it; chmod 600 %s", path, path);
		return false;
	}
	return true;
}

static bool
take_keys(PhSlice text, const char *path, MasterKeys *keys_out, GError **error)
{
	GArray *keys = g_array_new(FALSE, TRUE, sizeof(Key));
	unsigned line = 0;
	gsize n = 0;

	if (!master_keys_parse(text, keys, &line)) {
		ph_error_set(error, PH_ERROR_PERMANENT,
		             "line %u of '%s' is no key of 64 hexadecimal digits", line, path);
	} else if (keys->len == 0) {
		ph_error_set(error, PH_ERROR_PERMANENT,
		             "'%s' holds no key; openssl rand -hex 32 makes one", path);
	} else {
		keys_out->path = g_strdup(path);
		keys_out->keys = g_array_steal(keys, &n);
		keys_out->n = n;
	}
	if (n == 0)
		ph_secret_wipe(keys->data, keys->len * sizeof(Key));
	g_array_unref(keys);
	return n > 0;
}

bool
master_keys_read(const char *path, MasterKeys *keys_out, GError **error)
{
	g_autofree char *text = g_malloc(MAX_FILE);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = 0;
	bool good = false;

	if (fd < 0) {
		ph_error_set_errno(error, errno, "the keys in '%s' cannot be read", path);
		return false;
	}
	if (check_file(fd, path, error)) {
		got = read_whole(fd, text, MAX_FILE);
		if (got < 0)
			ph_error_set_errno(error, errno, "the keys in '%s' cannot be read", path);
		else if (got == MAX_FILE)
			ph_error_set(error, PH_ERROR_PERMANENT, "'%s' is too large", path);
		else
			good = take_keys(PH_SLICE(text, (size_t) got), path, keys_out, error);
		ph_secret_wipe(text, MAX_FILE);
	}
	(void) close(fd);
	return good;
}

void
master_keys_clear(MasterKeys *keys)
{
	ph_secret_wipe(keys->keys, keys->n * sizeof(Key));
	g_free(keys->keys);
	g_free(keys->path);
}

/* --- wrapping ------------------------------------------------------------------------------------ */

/* The salt of a wrapped key and the id of the key inside. */
static void
derive_wrapping(const Key *master,
                const char *address,
                const char *salt,
                const Key *key,
                uint8_t *out)
{
	char random[RANDOM + KEY_ID];

	memcpy(random, salt, RANDOM);
	memcpy(random + RANDOM, key->id, KEY_ID);
	crypto_derive(master->key, "wrap", address, PH_SLICE(random, sizeof random), out);
}

void
key_wrap(const MasterKeys *masters, const Key *key, const char *address, char *out)
{
	const Key *master = &masters->keys[masters->n - 1];
	const uint64_t made = GUINT64_TO_BE(key->made);
	uint8_t wrapping[KEY];
	Box box = { .key = wrapping, .bound = PH_SLICE(out, AT_MADE + MADE) };

	out[0] = VERSION;
	memcpy(out + 1, master->id, KEY_ID);
	ph_secret_random(out + AT_SALT, RANDOM);
	memcpy(out + AT_MADE, &made, MADE);
	derive_wrapping(master, address, out + AT_SALT, key, wrapping);
	crypto_seal(&box, PH_SLICE((const char *) key->key, KEY), out + AT_MADE + MADE);
	ph_secret_wipe(wrapping, sizeof wrapping);
}

static const Key *
find_master(const MasterKeys *masters, const char *id)
{
	for (size_t i = masters->n; i-- > 0;)
		if (memcmp(masters->keys[i].id, id, KEY_ID) == 0)
			return &masters->keys[i];
	return NULL;
}

static bool
fail_unknown(const MasterKeys *masters, const char *id, const char *address, GError **error)
{
	g_autoptr(GString) name = g_string_new(NULL);

	for (size_t i = 0; i < KEY_ID; i++)
		g_string_append_printf(name, "%02x", (unsigned char) id[i]);
	ph_error_set(error, PH_ERROR_TEMPORARY,
	             "the mail of '%s' is encrypted under master key %s, which is not in '%s'",
	             address, name->str, masters->path);
	return false;
}

/* Octets before the sealed key; 0: it is none of ours. */
static size_t
wrapped_head(PhSlice wrapped)
{
	if (wrapped.length == WRAPPED && wrapped.data[0] == VERSION)
		return AT_MADE + MADE;
	return wrapped.length == WRAPPED_BEFORE && wrapped.data[0] == VERSION_BEFORE ? AT_MADE : 0;
}

bool
key_unwrap(const MasterKeys *masters,
           PhSlice wrapped,
           const char *address,
           Key *key,
           GError **error)
{
	size_t head = wrapped_head(wrapped);
	const Key *master = NULL;
	uint8_t wrapping[KEY];
	Box box = { .key = wrapping, .bound = PH_SLICE(wrapped.data, head) };
	uint64_t made = 0;
	bool good = false;

	if (head == 0) {
		ph_error_set(error, PH_ERROR_CORRUPT, "a key of '%s' is damaged", address);
		return false;
	}
	master = find_master(masters, wrapped.data + 1);
	if (master == NULL)
		return fail_unknown(masters, wrapped.data + 1, address, error);
	derive_wrapping(master, address, wrapped.data + AT_SALT, key, wrapping);
	good = crypto_open(&box, ph_slice_from(wrapped, head), (char *) key->key);
	ph_secret_wipe(wrapping, sizeof wrapping);
	if (head > AT_MADE)
		memcpy(&made, wrapped.data + AT_MADE, MADE);
	key->made = GUINT64_FROM_BE(made);
	if (!good)
		ph_error_set(error, PH_ERROR_CORRUPT,
		             "a key of '%s' was altered or is another account's", address);
	return good;
}

bool
key_is_wrapped_by_newest(const MasterKeys *masters, PhSlice wrapped)
{
	return wrapped_head(wrapped) > 0
	       && memcmp(wrapped.data + 1, masters->keys[masters->n - 1].id, KEY_ID) == 0;
}

/* test-encrypt.c: what the encrypt store seals stays closed to others and to every change
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "encrypt.h"

#include <glib/gstdio.h>
#include <string.h>

#define ADDRESS "ann@example.org"
#define LINE_A  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define LINE_B  "ff112233445566778899aabbccddeeff00112233445566778899aabbccddee00\n"

static Key
make_key(uint8_t seed)
{
	Key key;

	memset(&key, seed, sizeof key);
	return key;
}

static char *
read_all(PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *octets = g_malloc(length + 1);

	if (ph_content_read(content, 0, octets, length, error) != (ssize_t) length)
		return NULL;
	return g_steal_pointer(&octets);
}

static PhContent *
seal(PhSlice octets)
{
	Key key = make_key(1);
	g_autoptr(PhContent) content = ph_content_new_copy(octets);
	g_autoptr(GError) error = NULL;
	PhContent *sealed = sealed_make(content, &key, ADDRESS, &error);

	g_assert_no_error(error);
	return sealed;
}

/* Opens and reads everything (owned); NULL when it is refused, as it should be, as CORRUPT. */
static char *
unseal(PhSlice octets, uint8_t seed, const char *address, uint64_t *length_out)
{
	Key key = make_key(seed);
	g_autoptr(PhContent) stored = ph_content_new_copy(octets);
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GError) error = NULL;
	char *got = NULL;

	if (octets.length < HEADER || !sealed_is(octets))
		return NULL;
	content = sealed_open(stored, PH_SLICE(octets.data, HEADER), &key, address, &error);
	if (content != NULL) {
		*length_out = ph_content_length(content);
		got = read_all(content, &error);
	}
	if (got == NULL)
		g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	return got;
}

static char *
make_text(size_t length)
{
	char *text = g_malloc(length + 1);

	for (size_t i = 0; i < length; i++)
		text[i] = (char) (i * 7 + i / 251);
	return text;
}

static void
test_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 300000 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree char *text = make_text(sizes[i]);
		g_autoptr(PhContent) sealed = seal(PH_SLICE(text, sizes[i]));
		g_autofree char *octets = read_all(sealed, NULL);
		uint64_t n_chunks = sizes[i] == 0 ? 1 : (sizes[i] - 1) / CHUNK + 1;
		uint64_t length = 0;
		g_autofree char *back =
			unseal(PH_SLICE(octets, ph_content_length(sealed)), 1, ADDRESS, &length);

		g_assert_nonnull(back);
		g_assert_cmpuint(length, ==, sizes[i]);
		g_assert_true(memcmp(back, text, sizes[i]) == 0);
		g_assert_cmpuint(ph_content_length(sealed), ==, HEADER + sizes[i] + n_chunks * TAG);
	}
}

/* The same octets never look the same, and never show. */
static void
test_nothing_shows(void)
{
	PhSlice text = PH_SLICE_LITERAL("a secret that is long enough to be found");
	g_autoptr(PhContent) one = seal(text);
	g_autoptr(PhContent) two = seal(text);
	g_autofree char *first = read_all(one, NULL);
	g_autofree char *second = read_all(two, NULL);
	size_t length = ph_content_length(one);

	g_assert_null(memmem(first, length, "secret", 6));
	g_assert_true(memcmp(first + HEADER, second + HEADER, length - HEADER) != 0);
	g_assert_true(memcmp(first, second, HEADER) != 0);
}

/* Every bit of a small one; some of one with several chunks. */
static void
flip_each(size_t size, size_t step)
{
	g_autofree char *text = make_text(size);
	g_autoptr(PhContent) sealed = seal(PH_SLICE(text, size));
	g_autofree char *octets = read_all(sealed, NULL);
	size_t length = ph_content_length(sealed);
	uint64_t got = 0;

	for (size_t i = 0; i < length; i += step) {
		for (int bit = 0; bit < 8; bit++) {
			octets[i] = (char) (octets[i] ^ (1 << bit));
			/* a key's id says which key to take; the caller would find none */
			g_assert_null(unseal(PH_SLICE(octets, length), 1, ADDRESS, &got));
			octets[i] = (char) (octets[i] ^ (1 << bit));
		}
	}
	for (size_t i = 0; i < length; i += step)
		g_assert_null(unseal(PH_SLICE(octets, i), 1, ADDRESS, &got));
}

static void
test_tampering(void)
{
	flip_each(0, 1);
	flip_each(200, 1);
	flip_each(200000, 20011);
}

static void
test_chunks_keep_their_place(void)
{
	const size_t whole = CHUNK + TAG;
	g_autofree char *text = make_text((size_t) 3 * CHUNK);
	g_autoptr(PhContent) one = seal(PH_SLICE(text, (size_t) 3 * CHUNK));
	g_autoptr(PhContent) two = seal(PH_SLICE(text, (size_t) 3 * CHUNK));
	g_autofree char *first = read_all(one, NULL);
	g_autofree char *second = read_all(two, NULL);
	g_autofree char *mixed = g_malloc(ph_content_length(one));
	size_t length = ph_content_length(one);
	uint64_t got = 0;

	/* exchanged */
	memcpy(mixed, first, length);
	memcpy(mixed + HEADER, first + HEADER + whole, whole);
	memcpy(mixed + HEADER + whole, first + HEADER, whole);
	g_assert_null(unseal(PH_SLICE(mixed, length), 1, ADDRESS, &got));
	/* of another message of the account, in the same place */
	memcpy(mixed, first, length);
	memcpy(mixed + HEADER, second + HEADER, whole);
	g_assert_null(unseal(PH_SLICE(mixed, length), 1, ADDRESS, &got));
	/* cut off where a chunk ends: refused before a length is told */
	g_assert_null(unseal(PH_SLICE(first, HEADER + 2 * whole), 1, ADDRESS, &got));
	g_assert_null(unseal(PH_SLICE(first, HEADER + whole), 1, ADDRESS, &got));
	g_assert_cmpuint(got, !=, (uint64_t) CHUNK);
	g_assert_cmpuint(got, !=, (uint64_t) 2 * CHUNK);
}

static void
test_other_keys_and_accounts(void)
{
	g_autoptr(PhContent) sealed = seal(ph_slice("for ann alone"));
	g_autofree char *octets = read_all(sealed, NULL);
	PhSlice all = PH_SLICE(octets, ph_content_length(sealed));
	uint64_t got = 0;

	g_assert_null(unseal(all, 2, ADDRESS, &got));
	g_assert_null(unseal(all, 1, "bob@example.org", &got));
}

static void
test_structures(void)
{
	Key key = make_key(1);
	g_autoptr(GByteArray) sealed = g_byte_array_new();
	g_autoptr(GByteArray) plain = g_byte_array_new();
	uint8_t message[16] = { 1 };
	uint8_t other[16] = { 2 };
	PhSlice all;

	structure_seal(ph_slice("parts and subject"), &key, ADDRESS, message, sealed);
	all = PH_SLICE((char *) sealed->data, sealed->len);
	g_assert_null(memmem(all.data, all.length, "subject", 7));
	g_assert_true(structure_open(all, &key, ADDRESS, message, plain));
	g_assert_true(ph_slice_is(PH_SLICE((char *) plain->data, plain->len), "parts and subject"));
	g_assert_false(structure_open(all, &key, ADDRESS, other, plain));
	g_assert_false(structure_open(all, &key, "bob", message, plain));
	for (size_t i = 0; i < all.length; i++) {
		sealed->data[i] ^= 1;
		g_assert_false(structure_key_id(all).length > 0
		               && structure_open(all, &key, ADDRESS, message, plain));
		sealed->data[i] ^= 1;
	}
	for (size_t i = 0; i < all.length; i++)
		g_assert_false(
			structure_key_id(PH_SLICE(all.data, i)).length > 0
			&& structure_open(PH_SLICE(all.data, i), &key, ADDRESS, message, plain));
}

/* Under another key, in another mailbox or account, or changed anywhere a value does not open. */
static void
test_values(void)
{
	const PhMailboxId one = { { 1 } };
	const PhMailboxId two = { { 2 } };
	const ValuePlace place = { &one, "/private/comment" };
	const ValuePlace others[] = {
		{ &one, "/private/commenu" }, { &one, "/private/comment2" }, { &one, "" },
		{ &two, "/private/comment" }, { NULL, "/private/comment" },
	};
	g_autoptr(GByteArray) sealed = g_byte_array_new();
	g_autoptr(GByteArray) plain = g_byte_array_new();
	Key key = make_key(3);
	PhSlice all;

	value_seal(ph_slice("a remark"), &key, ADDRESS, &place, sealed);
	all = PH_SLICE((char *) sealed->data, sealed->len);
	g_assert_null(memmem(all.data, all.length, "remark", 6));
	g_assert_cmpuint(all.length - strlen("a remark"), <=, PH_VALUE_ROOM);
	g_assert_true(value_is(all) && value_open(all, &key, ADDRESS, &place, plain));
	g_assert_true(ph_slice_is(PH_SLICE((char *) plain->data, plain->len), "a remark"));
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		g_assert_false(value_open(all, &key, ADDRESS, &others[i], plain));
	g_assert_false(value_open(all, &key, "bob", &place, plain));
	for (size_t i = 0; i < all.length; i++) {
		sealed->data[i] ^= 1;
		g_assert_false(value_is(all) && value_open(all, &key, ADDRESS, &place, plain));
		sealed->data[i] ^= 1;
	}
	for (size_t i = 0; i < all.length; i++)
		g_assert_false(value_is(PH_SLICE(all.data, i))
		               && value_open(PH_SLICE(all.data, i), &key, ADDRESS, &place, plain));
}

static MasterKeys
parse(const char *text)
{
	GArray *keys = g_array_new(FALSE, FALSE, sizeof(Key));
	MasterKeys masters = { .path = g_strdup("/keys") };

	g_assert_true(master_keys_parse(ph_slice(text), keys, NULL));
	masters.keys = g_array_steal(keys, &masters.n);
	g_array_unref(keys);
	return masters;
}

static void
test_wrapping(void)
{
	MasterKeys old = parse(LINE_A);
	MasterKeys both = parse("# two\n\n" LINE_A "  " LINE_B);
	MasterKeys fresh = parse(LINE_B);
	Key key = make_key(7);
	Key got = make_key(7);
	char wrapped[WRAPPED];
	PhSlice all = PH_SLICE(wrapped, WRAPPED);
	g_autoptr(GError) error = NULL;

	g_assert_cmpuint(both.n, ==, 2);
	key_wrap(&old, &key, ADDRESS, wrapped);
	memset(got.key, 0, KEY);
	g_assert_true(key_unwrap(&both, all, ADDRESS, &got, &error));
	g_assert_true(memcmp(got.key, key.key, KEY) == 0);
	g_assert_cmpuint(got.made, ==, key.made);
	g_assert_true(key_is_wrapped_by_newest(&old, all));
	g_assert_false(key_is_wrapped_by_newest(&both, all));
	g_assert_false(key_unwrap(&fresh, all, ADDRESS, &got, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(error->message, "/keys"));
	g_clear_error(&error);
	g_assert_false(key_unwrap(&both, all, "bob@example.org", &got, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	key_wrap(&both, &key, ADDRESS, wrapped);
	g_assert_true(key_unwrap(&fresh, all, ADDRESS, &got, NULL));
	for (size_t i = 0; i < WRAPPED; i++) {
		wrapped[i] = (char) (wrapped[i] ^ 1);
		g_assert_false(key_unwrap(&fresh, all, ADDRESS, &got, NULL));
		wrapped[i] = (char) (wrapped[i] ^ 1);
	}
	master_keys_clear(&old);
	master_keys_clear(&both);
	master_keys_clear(&fresh);
}

static void
assert_refused(const char *path, const char *text, int mode, const char *why)
{
	MasterKeys keys = { 0 };
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(g_chmod(path, mode), ==, 0);
	g_assert_false(master_keys_read(path, &keys, &error));
	g_assert_nonnull(strstr(error->message, why));
}

static void
test_key_files(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-keys-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "keys", NULL);
	MasterKeys keys = { 0 };
	g_autoptr(GError) error = NULL;

	assert_refused(path, LINE_A, 0640, "chmod 600");
	assert_refused(path, LINE_A, 0604, "chmod 600");
	assert_refused(path, LINE_A, 0602, "chmod 600");
	assert_refused(path, "", 0600, "no key");
	assert_refused(path, "# nothing\n", 0600, "no key");
	assert_refused(path, LINE_A "short\n", 0600, "line 2");
	assert_refused(path, "0" LINE_A, 0600, "line 1");
	g_assert_false(master_keys_read(folder, &keys, &error));
	g_clear_error(&error);
	g_assert_false(master_keys_read("/nowhere/keys", &keys, &error));
	g_clear_error(&error);
	g_assert_true(g_file_set_contents(path, LINE_A LINE_B, -1, NULL));
	g_assert_cmpint(g_chmod(path, 0400), ==, 0);
	g_assert_true(master_keys_read(path, &keys, &error));
	g_assert_cmpuint(keys.n, ==, 2);
	master_keys_clear(&keys);
	(void) g_remove(path);
	(void) g_remove(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_true(crypto_load(NULL));
	g_test_add_func("/encrypt/messages-of-every-size-come-back", test_sizes);
	g_test_add_func("/encrypt/nothing-shows", test_nothing_shows);
	g_test_add_func("/encrypt/every-change-is-found", test_tampering);
	g_test_add_func("/encrypt/chunks-keep-their-place", test_chunks_keep_their_place);
	g_test_add_func("/encrypt/other-keys-and-accounts-open-nothing",
	                test_other_keys_and_accounts);
	g_test_add_func("/encrypt/structures-are-bound-to-their-message", test_structures);
	g_test_add_func("/encrypt/values-are-bound-to-their-place", test_values);
	g_test_add_func("/encrypt/keys-are-wrapped-by-the-newest", test_wrapping);
	g_test_add_func("/encrypt/key-files-are-checked", test_key_files);
	return g_test_run();
}

/* fuzz-encrypted.c: what the encrypt store reads: messages, structures, wrapped keys, key files
 *
 * The first octet says which; the rest is read with a known key, so that seeds open.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>

#include "encrypt.h"

#include <string.h>

#define ADDRESS "ann@example.org"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_message(PhSlice octets, const Key *key)
{
	g_autoptr(PhContent) stored = ph_content_new_copy(octets);
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GError) error = NULL;
	Layout layout;
	char last = 0;

	if (octets.length < HEADER)
		return;
	if (sealed_layout(PH_SLICE(octets.data, HEADER), octets.length, &layout))
		g_assert_cmpuint(HEADER + layout.length + layout.n_chunks * TAG, ==, octets.length);
	content = sealed_open(stored, PH_SLICE(octets.data, HEADER), key, ADDRESS, &error);
	if (content == NULL)
		g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
	else if (ph_content_length(content) > 0)
		g_assert_cmpint(
			ph_content_read(content, ph_content_length(content) - 1, &last, 1, NULL),
			==, 1);
}

static void
read_structure(PhSlice octets, const Key *key)
{
	static const uint8_t message_id[16];
	g_autoptr(GByteArray) plain = g_byte_array_new();

	if (structure_key_id(octets).length > 0)
		(void) structure_open(octets, key, ADDRESS, message_id, plain);
}

static void
read_keys(PhSlice text, PhSlice wrapped)
{
	g_autoptr(GArray) keys = g_array_new(FALSE, TRUE, sizeof(Key));
	char path[] = "/keys";
	MasterKeys masters = { .path = path };
	Key key;

	if (!master_keys_parse(text, keys, NULL) || keys->len == 0)
		return;
	masters.keys = (Key *) (void *) keys->data;
	masters.n = keys->len;
	memset(&key, 0, sizeof key);
	(void) key_unwrap(&masters, wrapped, ADDRESS, &key, NULL);
	(void) key_is_wrapped_by_newest(&masters, wrapped);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice rest = PH_SLICE((const char *) data + 1, size - 1);
	Key key;

	if (size == 0 || !crypto_load(NULL))
		return 0;
	memset(&key, 1, sizeof key);
	switch (data[0] % 3) {
	case 0:
		read_message(rest, &key);
		break;
	case 1:
		read_structure(rest, &key);
		break;
	default:
		read_keys(rest, PH_SLICE(rest.data, MIN(rest.length, (size_t) WRAPPED)));
	}
	return 0;
}

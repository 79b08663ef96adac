/* fuzz-maildir.c: names of files and folders, blob ids and lists of a maildir
 *
 * A proper name is split as it was printed; a blob id that was packed is unpacked as it was. No
 * folder's name leads out of the maildir.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "maildir.h"
#include "takeover.h"
#include "tidy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_name(const char *name)
{
	char printed[BASE_MAX + 40];
	Letters letters = 0;
	Letters again = 0;
	bool odd = false;
	PhSlice base = file_name_split(name, &letters, &odd);
	uint64_t sizes[2] = { 0, 0 };

	if (base.length > BASE_MAX)
		return;
	file_name_print(printed, base, letters);
	g_assert_true(odd || g_str_equal(printed, name));
	g_assert_cmpuint(letters_from_flags(letters_to_flags(letters)) & ~letters, ==, 0);
	base = file_name_split(printed, &again, &odd);
	g_assert_false(odd);
	g_assert_true(letters == again);
	file_sizes(name, &sizes[0], &sizes[1]);
	g_assert_cmpuint(sizes[0] | sizes[1], <, 1ULL << 40);
}

static void
try_pack(const char *name, uint64_t numbers)
{
	File file = { .home = (uint32_t) numbers,
		      .octets = numbers & ((1ULL << 40) - 1),
		      .size = numbers >> 24,
		      .is_plain = (numbers & 1) != 0 };
	File back;
	PhBlobId blob;

	if (name[0] == '\0' || strlen(name) > NAME_ROOM)
		return; /* longer ones need a database */
	g_strlcpy(file.base, name, sizeof file.base);
	file_sizes(name, &file.size, &file.octets);
	g_assert_true(file_pack(&file, NULL, &blob, NULL));
	g_assert_true(file_unpack(&blob, NULL, &back));
	g_assert_cmpstr(back.base, ==, name);
	g_assert_true(back.size == file.size && back.octets == file.octets
	              && back.home == file.home);
	file_set_copy(&blob, 7);
	g_assert_cmpuint(file_copy(&blob), ==, 7);
}

/* Whatever a database may hold. */
static void
try_blobs(const uint8_t *data, size_t size)
{
	PhBlobId blob = { .length = 0 };
	size_t offset = 0;
	File file;

	while (trash_next_blob((const char *) data, size, &offset, &blob))
		if (file_unpack(&blob, NULL, &file))
			g_assert_cmpuint(strlen(file.base), <=, BASE_MAX);
	blob.length = (uint8_t) MIN(size, sizeof blob.octets);
	memcpy(blob.octets, data, blob.length);
	if (file_unpack(&blob, NULL, &file))
		g_assert_cmpuint(strlen(file.base), <=, BASE_MAX);
}

static void
try_folder(const char *text, uint8_t how)
{
	Settings settings = { .layout = how & 1, .names = how >> 1 & 1 };
	g_autofree char *name = folder_name(&settings, text);
	g_autofree char *path = folder_path(&settings, text, NULL);

	g_auto(GStrv) parts = path != NULL ? g_strsplit(path, "/", -1) : NULL;

	for (size_t i = 0; parts != NULL && parts[0] != NULL && parts[i] != NULL; i++)
		g_assert_false(g_str_equal(parts[i], "..")
		               || (parts[i][0] == '\0' && parts[1] != NULL));
	if (name != NULL)
		g_assert_true(g_utf8_validate(name, -1, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = NULL;
	PhSlice line = PH_SLICE((const char *) data, size);
	PhSlice base = PH_SLICE_EMPTY;
	uint32_t numbers[2] = { 0, 0 };
	uint64_t number = 0;

	if (size < sizeof number + 1)
		return 0;
	memcpy(&number, data, sizeof number);
	text = g_strndup((const char *) data + sizeof number + 1, size - sizeof number - 1);
	try_name(text);
	try_pack(text, number);
	try_blobs(data, size);
	if (g_utf8_validate(text, -1, NULL))
		try_folder(text, data[0]);
	for (unsigned version = 1; version <= 3; version += 2)
		if (takeover_parse_line(line, version, &numbers[0], &base))
			g_assert_cmpuint(base.length, <=, line.length);
	(void) takeover_parse_header(line, &numbers[0], &numbers[1]);
	return 0;
}

/* file-name.c: names of message files, flags in them, and blob ids that hold them
 *
 * A name is "base:2,letters". Letters stand in the order of their codes; what does not (or stands
 * twice, or is none) makes a name odd: it is given the proper one when the file is met.
 * A blob id holds the base name, without sizes that can be written again from the numbers beside it;
 * the number of the copy comes last, so that all copies of a file have one prefix.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "maildir.h"

#include <inttypes.h>
#include <string.h>

enum {
	BIT_UPLOAD = 1,
	BIT_ADOPTED = 2,
	BIT_PLAIN = 4,
	BIT_SIZES = 8, /* ",S=" and ",W=" follow from the numbers */
	BIT_LONG = 16, /* the name is a number of the table */
	HEAD = 16,
	COPY = 4,
	SIZE_OCTETS = 5,
	MARK = 'M',
};

static const struct {
	char letter;
	Letters bit;
	uint32_t flag; /* 0: none of ours */
} flag_letters[] = {
	{ 'D', LETTERS_DRAFT, PH_FLAG_DRAFT },
	{ 'F', LETTERS_FLAGGED, PH_FLAG_FLAGGED },
	{ 'P', LETTERS_PASSED, 0 },
	{ 'R', LETTERS_REPLIED, PH_FLAG_ANSWERED },
	{ 'S', LETTERS_SEEN, PH_FLAG_SEEN },
	{ 'T', LETTERS_TRASHED, PH_FLAG_DELETED },
};

static Letters
letter_bit(char letter)
{
	if (letter >= 'a' && letter <= 'z')
		return LETTERS_KEYWORD << (letter - 'a');
	for (size_t i = 0; i < G_N_ELEMENTS(flag_letters); i++)
		if (flag_letters[i].letter == letter)
			return flag_letters[i].bit;
	return 0;
}

PhSlice
file_name_split(const char *name, Letters *letters_out, bool *odd_out)
{
	const char *colon = strchr(name, ':');
	size_t length = colon != NULL ? (size_t) (colon - name) : strlen(name);
	Letters letters = LETTERS_PRESENT;
	bool odd = colon == NULL || strncmp(colon, ":2,", 3) != 0;
	char last = '\0';

	for (const char *c = odd ? "" : colon + 3; *c != '\0'; c++) {
		odd = odd || *c <= last || letter_bit(*c) == 0;
		letters |= letter_bit(*c);
		last = *c;
	}
	*letters_out = letters;
	*odd_out = odd;
	return PH_SLICE(name, length);
}

void
file_name_print(char *name, PhSlice base, Letters letters)
{
	size_t length = MIN(base.length, (size_t) BASE_MAX);

	if (length > 0)
		memcpy(name, base.data, length);
	if ((letters & LETTERS_NEW) == 0) {
		memcpy(name + length, ":2,", 3);
		length += 3;
		for (size_t i = 0; i < G_N_ELEMENTS(flag_letters); i++)
			if ((letters & flag_letters[i].bit) != 0)
				name[length++] = flag_letters[i].letter;
		for (int i = 0; i < KEYWORD_LETTERS; i++)
			if ((letters & LETTERS_KEYWORD << i) != 0)
				name[length++] = (char) ('a' + i);
	}
	name[length] = '\0';
}

uint32_t
letters_to_flags(Letters letters)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(flag_letters); i++)
		if ((letters & flag_letters[i].bit) != 0)
			flags |= flag_letters[i].flag;
	return flags;
}

Letters
letters_from_flags(uint32_t flags)
{
	Letters letters = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(flag_letters); i++)
		if ((flags & flag_letters[i].flag) != 0)
			letters |= flag_letters[i].bit;
	return letters;
}

/* --- sizes in names ------------------------------------------------------------------------------ */

static uint64_t
read_size(const char *base, const char *key)
{
	const char *found = strstr(base, key);
	uint64_t size = 0;
	size_t length = 0;

	if (found == NULL)
		return 0;
	found += strlen(key);
	while (found[length] >= '0' && found[length] <= '9')
		length++;
	return ph_slice_to_u64(PH_SLICE(found, length), UINT64_MAX >> 24, &size) ? size : 0;
}

void
file_sizes(const char *base, uint64_t *size_out, uint64_t *octets_out)
{
	*size_out = read_size(base, ",S=");
	*octets_out = read_size(base, ",W=");
}

static void
print_sizes(char *text, size_t room, const File *file)
{
	(void) g_snprintf(text, (gulong) room, ",S=%" PRIu64 ",W=%" PRIu64, file->size,
	                  file->octets);
}

/* --- blob ids ------------------------------------------------------------------------------------- */

static void
put_number(uint8_t *to, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t) (value >> (8 * i));
}

static uint64_t
get_number(const uint8_t *from, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value |= (uint64_t) from[i] << (8 * i);
	return value;
}

static bool
add_long_name(PhIndexConnection *connection, PhSlice name, int64_t *number_out, GError **error)
{
	sqlite3_stmt *row = ph_index_statement(connection, SQL_NAME_ADD,
	                                       "INSERT INTO name (text) VALUES (?1)", error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob64(row, 1, name.data, name.length, SQLITE_STATIC);
	if (!sql_done(connection, row, "keep a long name", error))
		return false;
	*number_out = sqlite3_last_insert_rowid(ph_index_database(connection));
	return true;
}

/* The base name without what can be written again. */
static PhSlice
bare_name(const File *file, uint8_t *bits)
{
	char sizes[64];
	size_t length = strlen(file->base);
	size_t tail = 0;

	print_sizes(sizes, sizeof sizes, file);
	tail = strlen(sizes);
	if (length > tail && g_str_has_suffix(file->base, sizes)) {
		*bits |= BIT_SIZES;
		length -= tail;
	}
	return PH_SLICE(file->base, length);
}

bool
file_pack(const File *file, PhIndexConnection *connection, PhBlobId *blob_out, GError **error)
{
	uint8_t bits =
		(uint8_t) ((file->is_upload ? BIT_UPLOAD : 0) | (file->is_adopted ? BIT_ADOPTED : 0)
	                   | (file->is_plain ? BIT_PLAIN : 0));
	PhSlice name = bare_name(file, &bits);
	uint8_t *octets = blob_out->octets;
	int64_t number = 0;

	memset(blob_out, 0, sizeof *blob_out);
	if (name.length > NAME_ROOM) {
		if (!add_long_name(connection, name, &number, error))
			return false;
		bits |= BIT_LONG;
		put_number(octets + HEAD, (uint64_t) number, sizeof number);
		name.length = sizeof number;
	} else {
		memcpy(octets + HEAD, name.data, name.length);
	}
	octets[0] = MARK;
	octets[1] = bits;
	put_number(octets + 2, file->home, 4);
	put_number(octets + 6, file->octets, SIZE_OCTETS);
	put_number(octets + 6 + SIZE_OCTETS, file->size, SIZE_OCTETS);
	put_number(octets + HEAD + name.length, file->copy, COPY);
	blob_out->length = (uint8_t) (HEAD + name.length + COPY);
	return true;
}

bool
file_is_long(const PhBlobId *blob)
{
	return blob->length > 1 && (blob->octets[1] & BIT_LONG) != 0;
}

static bool
read_name(const PhBlobId *blob, PhIndexConnection *connection, char *name, size_t *length_out)
{
	size_t length = (size_t) blob->length - HEAD - COPY;
	sqlite3_stmt *row = NULL;
	bool good = false;

	if (!file_is_long(blob)) {
		memcpy(name, blob->octets + HEAD, length);
		*length_out = length;
		return true;
	}
	row = connection != NULL && length == sizeof(int64_t) ? ph_index_statement(
		      connection, SQL_NAME_GET, "SELECT text FROM name WHERE id = ?1", NULL)
	                                                      : NULL;
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1,
	                          (int64_t) get_number(blob->octets + HEAD, sizeof(int64_t)));
	good = sqlite3_step(row) == SQLITE_ROW && sqlite3_column_bytes(row, 0) <= BASE_MAX;
	if (good) {
		*length_out = (size_t) sqlite3_column_bytes(row, 0);
		memcpy(name, sqlite3_column_blob(row, 0), *length_out);
	}
	(void) sqlite3_reset(row);
	return good;
}

bool
file_unpack(const PhBlobId *blob, PhIndexConnection *connection, File *file_out)
{
	const uint8_t *octets = blob->octets;
	size_t length = 0;

	if (blob->length <= HEAD + COPY || octets[0] != MARK)
		return false;
	*file_out = (File){
		.home = (uint32_t) get_number(octets + 2, 4),
		.copy = file_copy(blob),
		.octets = get_number(octets + 6, SIZE_OCTETS),
		.size = get_number(octets + 6 + SIZE_OCTETS, SIZE_OCTETS),
		.is_plain = (octets[1] & BIT_PLAIN) != 0,
		.is_upload = (octets[1] & BIT_UPLOAD) != 0,
		.is_adopted = (octets[1] & BIT_ADOPTED) != 0,
	};
	if (!read_name(blob, connection, file_out->base, &length))
		return false;
	file_out->base[length] = '\0';
	if (file_out->copy != 0)
		(void) g_snprintf(file_out->base + length, sizeof file_out->base - length, "_%08x",
		                  file_out->copy);
	length = strlen(file_out->base);
	if ((octets[1] & BIT_SIZES) != 0)
		print_sizes(file_out->base + length, sizeof file_out->base - length, file_out);
	return true;
}

void
file_set_copy(PhBlobId *blob, uint32_t copy)
{
	put_number(blob->octets + blob->length - COPY, copy, COPY);
}

uint32_t
file_copy(const PhBlobId *blob)
{
	return (uint32_t) get_number(blob->octets + blob->length - COPY, COPY);
}

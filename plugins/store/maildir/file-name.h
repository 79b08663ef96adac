/* file-name.h: names of message files, flags in them, and blob ids that hold them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_FILE_NAME_H
#define STORE_MAILDIR_FILE_NAME_H

#include <posthorn/index.h>
#include <posthorn/slice.h>

enum {
	NAME_ROOM = 44, /* of a file's name in a blob id */
	BASE_MAX = 255,
	KEYWORD_LETTERS = 26,
};

/* What a file's name says, and where it is: 0: there is no file. */
typedef uint64_t Letters;

#define LETTERS_PRESENT (1ULL << 63)
#define LETTERS_NEW     (1ULL << 62) /* in new: no flags */
#define LETTERS_DRAFT   (1ULL << 0)
#define LETTERS_FLAGGED (1ULL << 1)
#define LETTERS_PASSED  (1ULL << 2)
#define LETTERS_REPLIED (1ULL << 3)
#define LETTERS_SEEN    (1ULL << 4)
#define LETTERS_TRASHED (1ULL << 5)
#define LETTERS_KEYWORD (1ULL << 8) /* 'a'; the others above it */
#define LETTERS_FLAGS   0x3fULL
#define LETTERS_ALL     (LETTERS_FLAGS | ((1ULL << KEYWORD_LETTERS) - 1) << 8)

/* file_name_split: the base name and what stands behind it. @odd_out: the name is not the one that
 * file_name_print would give. */
PhSlice file_name_split(const char *name, Letters *letters_out, bool *odd_out);

/* file_name_print: "base:2,FS". @name: BASE_MAX + 40 octets. */
void file_name_print(char *name, PhSlice base, Letters letters);

uint32_t letters_to_flags(Letters letters);
Letters letters_from_flags(uint32_t flags);

/* File: what a blob id holds. */
typedef struct {
	uint32_t home;   /* folder in which it was delivered */
	uint32_t copy;   /* 0: the original */
	uint64_t octets; /* on the wire */
	uint64_t size;   /* of the file */
	bool is_plain;   /* the file holds what goes over the wire */
	bool is_upload;
	bool is_adopted;         /* upload that lies in the folder already */
	char base[BASE_MAX + 1]; /* with ",S=" and ",W=", and the mark of a copy */
} File;

/* file_pack: a name that is too long is kept in a table. */
bool file_pack(const File *file, PhIndexConnection *connection, PhBlobId *blob_out, GError **error);
bool file_unpack(const PhBlobId *blob, PhIndexConnection *connection, File *file_out);
/* file_is_long: it needs a connection to be unpacked. */
bool file_is_long(const PhBlobId *blob);
void file_set_copy(PhBlobId *blob, uint32_t copy);
uint32_t file_copy(const PhBlobId *blob);

/* file_sizes: ",S=" and ",W=" of a name; 0: not there. */
void file_sizes(const char *base, uint64_t *size_out, uint64_t *octets_out);

#endif

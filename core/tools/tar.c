/* tar.c: the few tar entries (ustar, regular files) that an archive of mail consists of
 *
 * IEEE Std 1003.1, pax, "ustar interchange format". A size is written in octal; what is read is
 * taken only with a right checksum.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/tar.h"

#include <posthorn/durable.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	SIZE_DIGITS = 11,
	PIECE = 65536
};

/* Header: as it is on paper. */
typedef struct {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char owner[32];
	char group[32];
	char device_major[8];
	char device_minor[8];
	char prefix[155];
	char pad[12];
} Header;

G_STATIC_ASSERT(sizeof(Header) == PH_TAR_BLOCK);

/* The sum of all octets, those of the checksum taken as blanks. */
static unsigned
checksum(const Header *header)
{
	const unsigned char *octets = (const unsigned char *) header;
	unsigned sum = 0;

	for (size_t i = 0; i < sizeof *header; i++) {
		bool own = i >= offsetof(Header, checksum)
		           && i < offsetof(Header, checksum) + sizeof header->checksum;

		sum += own ? ' ' : octets[i];
	}
	return sum;
}

/* --- writing -------------------------------------------------------------------------------------- */

static bool
put_header(int fd, const char *name, uint64_t size, GError **error)
{
	Header header = { .type = '0', .magic = "ustar", .version = { '0', '0' } };

	if (size >> (3 * SIZE_DIGITS) != 0 || strlen(name) >= sizeof header.name) {
		ph_error_set(error, PH_ERROR_TOO_LARGE, "'%s' does not fit into an archive", name);
		return false;
	}
	memcpy(header.name, name, strlen(name));
	memcpy(header.mode, "0000600", sizeof header.mode);
	memcpy(header.uid, "0000000", sizeof header.uid);
	memcpy(header.gid, "0000000", sizeof header.gid);
	memcpy(header.mtime, "00000000000", sizeof header.mtime);
	g_snprintf(header.size, sizeof header.size, "%011" G_GINT64_MODIFIER "o", size);
	g_snprintf(header.checksum, sizeof header.checksum, "%06o", checksum(&header));
	header.checksum[7] = ' ';
	return ph_durable_write(fd, PH_SLICE((const char *) &header, sizeof header), error);
}

static bool
put_padding(int fd, uint64_t size, GError **error)
{
	static const char zeros[PH_TAR_BLOCK];
	size_t rest = (size_t) (size % PH_TAR_BLOCK);

	return rest == 0 || ph_durable_write(fd, PH_SLICE(zeros, PH_TAR_BLOCK - rest), error);
}

bool
ph_tar_put(int fd, const char *name, PhSlice octets, GError **error)
{
	return put_header(fd, name, octets.length, error) && ph_durable_write(fd, octets, error)
	       && put_padding(fd, octets.length, error);
}

static bool
put_piece(PhSlice piece, void *user_data, GError **error)
{
	return ph_durable_write(*(const int *) user_data, piece, error);
}

bool
ph_tar_put_content(int fd, const char *name, PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);

	return put_header(fd, name, length, error)
	       && ph_content_each(content, 0, length, put_piece, &fd, error)
	       && put_padding(fd, length, error);
}

bool
ph_tar_end(int fd, GError **error)
{
	static const char zeros[2 * PH_TAR_BLOCK];

	return ph_durable_write(fd, PH_SLICE(zeros, sizeof zeros), error);
}

/* --- reading -------------------------------------------------------------------------------------- */

static bool
refuse(GError **error, const char *sentence)
{
	ph_error_set(error, PH_ERROR_INVALID, "%s", sentence);
	return false;
}

/* Returns: how many octets there were: fewer than @length at the end of the file; -1 with @error. */
static ssize_t
read_fully(int fd, char *buffer, size_t length, GError **error)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = read(fd, buffer + got, length - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ph_error_set_errno(error, errno, "cannot read the archive");
			return -1;
		}
		if (n == 0)
			break;
		got += (size_t) n;
	}
	return (ssize_t) got;
}

static bool
parse_octal(const char *text, size_t length, uint64_t *number_out)
{
	uint64_t number = 0;
	size_t i = 0;

	while (i < length && text[i] == ' ')
		i++;
	for (; i < length && text[i] != '\0' && text[i] != ' '; i++) {
		if (text[i] < '0' || text[i] > '7' || number >> 60 != 0)
			return false;
		number = number << 3 | (uint64_t) (text[i] - '0');
	}
	*number_out = number;
	return true;
}

static bool
is_empty(const Header *header)
{
	static const char zeros[PH_TAR_BLOCK];

	return memcmp(header, zeros, sizeof zeros) == 0;
}

static bool
take_header(PhTarReader *reader, const Header *header, GError **error)
{
	uint64_t sum = 0;

	if (memcmp(header->magic, "ustar", 5) != 0
	    || !parse_octal(header->checksum, sizeof header->checksum, &sum)
	    || sum != checksum(header))
		return refuse(error, "this is no archive of mail: an entry's header is wrong");
	if (!parse_octal(header->size, sizeof header->size, &reader->size)
	    || reader->size > INT64_MAX - PH_TAR_BLOCK)
		return refuse(error, "an entry of the archive has no sensible size");
	memcpy(reader->name, header->name, PH_TAR_NAME);
	reader->name[PH_TAR_NAME] = '\0';
	reader->left = reader->size;
	return true;
}

/* What is left of the present entry, with its padding. */
static bool
skip_rest(PhTarReader *reader, GError **error)
{
	uint64_t rest = reader->left + (PH_TAR_BLOCK - reader->size % PH_TAR_BLOCK) % PH_TAR_BLOCK;
	g_autofree char *buffer = rest > 0 ? g_malloc(PIECE) : NULL;

	while (rest > 0) {
		size_t wanted = (size_t) MIN(rest, PIECE);
		ssize_t n = read_fully(reader->fd, buffer, wanted, error);

		if (n < 0)
			return false;
		if ((size_t) n < wanted)
			return refuse(error, "the archive is cut off");
		rest -= wanted;
	}
	reader->size = 0;
	reader->left = 0;
	return true;
}

bool
ph_tar_next(PhTarReader *reader, bool *found_out, GError **error)
{
	Header header;

	do {
		ssize_t n = 0;

		if (!skip_rest(reader, error))
			return false;
		n = read_fully(reader->fd, (char *) &header, sizeof header, error);
		if (n < 0)
			return false;
		if (n != sizeof header)
			return refuse(error, "the archive is cut off");
		if (is_empty(&header)) {
			*found_out = false;
			return true;
		}
		if (!take_header(reader, &header, error))
			return false;
	} while (header.type != '0' && header.type != '\0');
	*found_out = true;
	return true;
}

ssize_t
ph_tar_read(PhTarReader *reader, char *buffer, size_t length, GError **error)
{
	size_t wanted = (size_t) MIN(reader->left, length);
	ssize_t n = read_fully(reader->fd, buffer, wanted, error);

	if (n < 0)
		return -1;
	if ((size_t) n < wanted) {
		(void) refuse(error, "the archive is cut off");
		return -1;
	}
	reader->left -= wanted;
	return n;
}

/* segment.c: one file of the journal
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "journal/segment.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "journal/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stands at the beginning of the file, in the machine's order: a journal stays where it is. */
typedef struct {
	char magic[8];
	uint64_t id;
	uint64_t sequence;
	uint64_t start;
	uint64_t checksum;
} Head;

static const char magic[8] = "PHSEG\x01\r\n";

static uint64_t
seed_of(uint64_t id, uint64_t sequence)
{
	return ph_journal_checksum(PH_SLICE((const char *) &sequence, sizeof sequence), id);
}

static uint64_t
checksum_of(const Head *head)
{
	return ph_journal_checksum(PH_SLICE((const char *) head, offsetof(Head, checksum)),
	                           head->id);
}

static PhSegment *
segment_new(int fd, unsigned slot, uint64_t size)
{
	PhSegment *segment = g_new0(PhSegment, 1);

	segment->fd = fd;
	segment->slot = slot;
	segment->size = size;
	return segment;
}

static bool
write_at(int fd, uint64_t at, PhSlice octets, GError **error)
{
	while (octets.length > 0) {
		ssize_t n = pwrite(fd, octets.data, octets.length, (off_t) at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ph_error_set_errno(error, n < 0 ? errno : EIO, "cannot write the journal");
			return false;
		}
		octets = ph_slice_from(octets, (size_t) n);
		at += (uint64_t) n;
	}
	return true;
}

static bool
fill(int fd, uint64_t size, GError **error)
{
	static const char zeros[256 * 1024];

	for (uint64_t at = 0; at < size; at += sizeof zeros)
		if (!write_at(fd, at, PH_SLICE(zeros, MIN(size - at, sizeof zeros)), error))
			return false;
	return ph_durable_sync(fd, error);
}

PhSegment *
ph_segment_make(int folder_fd, unsigned slot, uint64_t size, GError **error)
{
	g_autofree char *name = g_strdup_printf("segment-%u", slot);
	int fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
	                PH_SEGMENT_MODE);

	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot make '%s' of the journal", name);
		return NULL;
	}
	if (fill(fd, size, error) && ph_durable_sync_folder(folder_fd, error))
		return segment_new(fd, slot, size);
	(void) unlinkat(folder_fd, name, 0);
	(void) close(fd);
	return NULL;
}

static void
take_head(PhSegment *segment, uint64_t id)
{
	Head head = { .id = 0 };
	ssize_t n = pread(segment->fd, &head, sizeof head, 0);

	if (n != (ssize_t) sizeof head || memcmp(head.magic, magic, sizeof magic) != 0
	    || head.id != id || head.checksum != checksum_of(&head))
		return;
	segment->sequence = head.sequence;
	segment->start = head.start;
	segment->end = head.start;
	segment->seed = seed_of(id, head.sequence);
}

PhSegment *
ph_segment_open(int folder_fd, unsigned slot, uint64_t id, GError **error)
{
	g_autofree char *name = g_strdup_printf("segment-%u", slot);
	int fd = openat(folder_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	PhSegment *segment = NULL;
	struct stat info = { 0 };

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0 || fstat(fd, &info) != 0) {
		ph_error_set_errno(error, errno, "cannot open '%s' of the journal", name);
		if (fd >= 0)
			(void) close(fd);
		return NULL;
	}
	segment = segment_new(fd, slot, (uint64_t) info.st_size);
	take_head(segment, id);
	return segment;
}

void
ph_segment_free(PhSegment *segment)
{
	if (segment == NULL)
		return;
	(void) close(segment->fd);
	g_free(segment);
}

bool
ph_segment_begin(PhSegment *segment, uint64_t id, uint64_t sequence, uint64_t start, GError **error)
{
	Head head = { .id = id, .sequence = sequence, .start = start };

	memcpy(head.magic, magic, sizeof magic);
	head.checksum = checksum_of(&head);
	segment->sequence = sequence;
	segment->start = start;
	segment->end = start;
	segment->seed = seed_of(id, sequence);
	return write_at(segment->fd, 0, PH_SLICE((const char *) &head, sizeof head), error);
}

static uint64_t
offset_of(const PhSegment *segment, uint64_t position)
{
	return position - segment->start + PH_SEGMENT_HEAD;
}

uint64_t
ph_segment_room(const PhSegment *segment, uint64_t position)
{
	uint64_t offset = offset_of(segment, position);

	return segment->size > offset ? segment->size - offset : 0;
}

bool
ph_segment_write(PhSegment *segment, uint64_t position, PhSlice octets, GError **error)
{
	return write_at(segment->fd, offset_of(segment, position), octets, error);
}

ssize_t
ph_segment_read(PhSegment *segment, uint64_t position, char *buffer, size_t length, GError **error)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = pread(segment->fd, buffer + got, length - got,
		                  (off_t) (offset_of(segment, position) + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ph_error_set_errno(error, errno, "cannot read the journal");
			return -1;
		}
		if (n == 0)
			break;
		got += (size_t) n;
	}
	return (ssize_t) got;
}

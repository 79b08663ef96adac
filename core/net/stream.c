/* stream.c: the stream over a plain socket and the stream over memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static ssize_t
translate(ssize_t n, int again)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN ? again : PH_STREAM_FAILED;
}

static ssize_t
read_socket(PhStream *stream, char *buffer, size_t length)
{
	ssize_t n = 0;

	do {
		n = recv(stream->fd, buffer, length, 0);
	} while (n < 0 && errno == EINTR);
	return translate(n, PH_STREAM_WANT_READ);
}

static ssize_t
write_socket(PhStream *stream, const struct iovec *pieces, int n_pieces, bool more)
{
	int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);

	union {
		const struct iovec *pieces;
		struct iovec *base;
	} cast = { pieces };
	struct msghdr message = { .msg_iov = cast.base, .msg_iovlen = (size_t) n_pieces };
	ssize_t n = 0;

	do {
		if (n_pieces == 1)
			n = send(stream->fd, pieces[0].iov_base, pieces[0].iov_len, flags);
		else
			n = sendmsg(stream->fd, &message, flags);
	} while (n < 0 && errno == EINTR);
	return translate(n, PH_STREAM_WANT_WRITE);
}

static void
free_nothing(PhStream *stream)
{
}

static const PhStreamTable plain_table = {
	.read = read_socket,
	.write = write_socket,
	.free = free_nothing,
};

void
ph_stream_init_plain(PhStream *stream, int fd)
{
	*stream = (PhStream){ .table = &plain_table, .fd = fd, .can_sendfile = true };
}

typedef struct {
	PhStream stream; /* first */
	GByteArray *input;
	size_t at;
	bool eof;
	bool ended; /* the server has sent its end */
	size_t room;
	unsigned refusals; /* writes that find no room although there is some */
	GByteArray *output;
} Memory;

static ssize_t
read_memory(PhStream *stream, char *buffer, size_t length)
{
	Memory *memory = (Memory *) stream;
	size_t left = memory->input->len - memory->at;

	if (left == 0)
		return memory->eof ? PH_STREAM_EOF : PH_STREAM_WANT_READ;
	length = MIN(length, left);
	memcpy(buffer, memory->input->data + memory->at, length);
	memory->at += length;
	if (memory->at == memory->input->len) {
		g_byte_array_set_size(memory->input, 0);
		memory->at = 0;
	}
	return (ssize_t) length;
}

static ssize_t
write_memory(PhStream *stream, const struct iovec *pieces, int n_pieces, bool more)
{
	Memory *memory = (Memory *) stream;
	size_t before = memory->output->len;

	if (memory->refusals > 0) {
		memory->refusals--;
		return PH_STREAM_WANT_WRITE;
	}
	for (int i = 0; i < n_pieces && memory->room > 0; i++) {
		size_t n = MIN(pieces[i].iov_len, memory->room);

		g_byte_array_append(memory->output, pieces[i].iov_base, (guint) n);
		memory->room -= n;
	}
	if (memory->output->len == before)
		return PH_STREAM_WANT_WRITE;
	return (ssize_t) (memory->output->len - before);
}

static int
end_memory(PhStream *stream)
{
	((Memory *) stream)->ended = true;
	return 1;
}

static void
free_memory(PhStream *stream)
{
	Memory *memory = (Memory *) stream;

	g_byte_array_unref(memory->input);
	g_byte_array_unref(memory->output);
	g_free(memory);
}

static const PhStreamTable memory_table = {
	.read = read_memory,
	.write = write_memory,
	.shutdown = end_memory,
	.free = free_memory,
};

PhStream *
ph_stream_new_memory(void)
{
	Memory *memory = g_new0(Memory, 1);

	memory->stream = (PhStream){ .table = &memory_table, .fd = -1 };
	memory->input = g_byte_array_new();
	memory->output = g_byte_array_new();
	memory->room = SIZE_MAX;
	return &memory->stream;
}

void
ph_stream_memory_give(PhStream *stream, PhSlice octets)
{
	Memory *memory = (Memory *) stream;

	g_byte_array_append(memory->input, (const guint8 *) octets.data, (guint) octets.length);
}

void
ph_stream_memory_give_eof(PhStream *stream)
{
	((Memory *) stream)->eof = true;
}

bool
ph_stream_memory_readable(const PhStream *stream)
{
	const Memory *memory = (const Memory *) stream;

	return memory->input->len > memory->at || memory->eof;
}

size_t
ph_stream_memory_room(const PhStream *stream)
{
	return ((const Memory *) stream)->room;
}

void
ph_stream_memory_limit(PhStream *stream, size_t octets)
{
	((Memory *) stream)->room = octets;
}

void
ph_stream_memory_refuse(PhStream *stream, unsigned n)
{
	((Memory *) stream)->refusals = n;
}

GByteArray *
ph_stream_memory_output(PhStream *stream)
{
	return ((Memory *) stream)->output;
}

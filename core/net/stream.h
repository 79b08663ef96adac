/* stream.h: what a connection reads from and writes to: a socket, TLS over a socket, or memory
 *
 * A stream is non-blocking and never waits: it says what it wants, the connection arms the reactor
 * for that and calls again. It does not own the descriptor; the connection closes it after the
 * stream was freed. All calls for one stream are serial, on changing threads.
 *
 * Amounts are octets of plaintext. A result below 0 is one of PH_STREAM_*.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_STREAM_H
#define PH_NET_STREAM_H

#include <posthorn/types.h>

#include <sys/uio.h>

typedef struct PhStream PhStream;

enum {
	PH_STREAM_EOF = 0,         /* read: the peer has ended its side properly */
	PH_STREAM_WANT_READ = -1,  /* call again when the descriptor is readable */
	PH_STREAM_WANT_WRITE = -2, /* call again when the descriptor is writable */
	PH_STREAM_FAILED = -3,     /* broken (or ended without close_notify): close it */
};

/* PhStreamTable: members that are NULL are answered by the helpers below. */
typedef struct {
	/* read: up to @length octets to @buffer. Returns: octets, PH_STREAM_EOF, or below 0. */
	ssize_t (*read)(PhStream *stream, char *buffer, size_t length);

	/* write: from the pieces in order, as much as goes. A call that returned WANT_* is repeated
	 * later with the same octets in front, but perhaps at another address and with more behind
	 * (for OpenSSL: SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER and ENABLE_PARTIAL_WRITE). Small pieces
	 * should share a record. @more: further octets follow at once. Returns: octets taken (at
	 * least 1), or below 0. */
	ssize_t (*write)(PhStream *stream, const struct iovec *pieces, int n_pieces, bool more);

	/* pending: plaintext octets that read would give without touching the descriptor. NULL: 0 */
	size_t (*pending)(const PhStream *stream);

	/* handshake: Returns: 1 when done (also later), or below 0. NULL: done at once. */
	int (*handshake)(PhStream *stream);

	/* shutdown: tells the peer that nothing more comes (close_notify); does not wait for an
	 * answer. Returns: 1 done, or below 0. NULL: nothing to do. */
	int (*shutdown)(PhStream *stream);

	/* description: "TLSv1.3 TLS_AES_256_GCM_SHA384"; version: 0x0303, 0x0304; binding: appends
	 * the channel binding of that type. NULL: not encrypted. */
	const char *(*description)(const PhStream *stream);
	uint32_t (*version)(const PhStream *stream);
	bool (*binding)(PhStream *stream, const char *type, GByteArray *out);

	/* certificate: appends the peer's verified certificate (DER). @out: (nullable) */
	bool (*certificate)(PhStream *stream, GByteArray *out);

	/* failure: why handshake, read or write returned PH_STREAM_FAILED, for the log and for
	 * client sessions; sets @error and returns false. NULL: errno says it. */
	bool (*failure)(const PhStream *stream, GError **error);

	/* free: required. */
	void (*free)(PhStream *stream);
} PhStreamTable;

/* PhStream: the first member of every stream's own struct. */
struct PhStream {
	const PhStreamTable *table;
	int fd;            /* what the reactor watches; -1 for memory */
	bool can_sendfile; /* octets may go to fd directly (plain socket; kTLS one day) */
};

/* ph_stream_init_plain: an embedded stream over a plain socket; its free does nothing. */
void ph_stream_init_plain(PhStream *stream, int fd);

/* PhMemoryStream: for tests: what was given to it is read, what is written is gathered. */
PhStream *ph_stream_new_memory(void);
void ph_stream_memory_give(PhStream *stream, PhSlice octets);
void ph_stream_memory_give_eof(PhStream *stream);
bool ph_stream_memory_readable(const PhStream *stream);
size_t ph_stream_memory_room(const PhStream *stream);
/* ph_stream_memory_limit: write takes at most this many octets until the next call of it. */
void ph_stream_memory_limit(PhStream *stream, size_t octets);
/* ph_stream_memory_refuse: the next @n writes take nothing, as when the peer reads just after. */
void ph_stream_memory_refuse(PhStream *stream, unsigned n);
GByteArray *ph_stream_memory_output(PhStream *stream);

static inline ssize_t
ph_stream_read(PhStream *stream, char *buffer, size_t length)
{
	return stream->table->read(stream, buffer, length);
}

static inline ssize_t
ph_stream_write(PhStream *stream, const struct iovec *pieces, int n_pieces, bool more)
{
	return stream->table->write(stream, pieces, n_pieces, more);
}

static inline size_t
ph_stream_pending(const PhStream *stream)
{
	return stream->table->pending != NULL ? stream->table->pending(stream) : 0;
}

static inline int
ph_stream_handshake(PhStream *stream)
{
	return stream->table->handshake != NULL ? stream->table->handshake(stream) : 1;
}

static inline int
ph_stream_shutdown(PhStream *stream)
{
	return stream->table->shutdown != NULL ? stream->table->shutdown(stream) : 1;
}

#endif

/* tls-bio.c: the socket as OpenSSL sees it
 *
 * As OpenSSL's own socket BIO, but a peer that is gone raises no SIGPIPE, and the descriptor stays
 * the connection's. A ticket of TLS 1.3 (RFC 8446 section 4.6.1), for which no client waits, goes out with
 * the first octets after the handshake: one packet and one system call less.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/tls-private.h"

#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>
#include <sys/uio.h>

typedef struct {
	int fd;
	const SSL *ssl;
	GByteArray *held; /* (nullable) octets that go out with the next ones */
} Socket;

static int
socket_of(BIO *bio)
{
	return ((const Socket *) BIO_get_data(bio))->fd;
}

static bool
is_transient(int code)
{
	return code == EAGAIN || code == EINTR;
}

static int
read_socket(BIO *bio, char *buffer, size_t length, size_t *n_out)
{
	ssize_t n = recv(socket_of(bio), buffer, length, 0);

	BIO_clear_retry_flags(bio);
	if (n > 0) {
		*n_out = (size_t) n;
		return 1;
	}
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	else if (is_transient(errno))
		BIO_set_retry_read(bio);
	*n_out = 0;
	return 0;
}

static bool
hold(Socket *at, const char *buffer, size_t length)
{
	if (SSL_get_state(at->ssl) != TLS_ST_SW_SESSION_TICKET)
		return false;
	if (at->held == NULL)
		at->held = g_byte_array_new();
	g_byte_array_append(at->held, (const guint8 *) buffer, (guint) length);
	return true;
}

/* What was held and then the octets. Returns: how many of the latter went out; -1 as send. */
static ssize_t
send_all(Socket *at, const char *buffer, size_t length)
{
	struct iovec pieces[2] = { { at->held->data, at->held->len },
		                   { (void *) (uintptr_t) buffer, length } };
	const struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2 };
	size_t n_held = at->held->len;
	ssize_t n = sendmsg(at->fd, &message, MSG_NOSIGNAL);

	if (n < 0)
		return n;
	if ((size_t) n > n_held) {
		g_clear_pointer(&at->held, g_byte_array_unref);
		return n - (ssize_t) n_held;
	}
	g_byte_array_remove_range(at->held, 0, (guint) n);
	errno = EAGAIN;
	return -1;
}

static int
write_socket(BIO *bio, const char *buffer, size_t length, size_t *n_out)
{
	Socket *at = BIO_get_data(bio);
	ssize_t n = 0;

	BIO_clear_retry_flags(bio);
	if (hold(at, buffer, length))
		n = (ssize_t) length;
	else if (at->held != NULL)
		n = send_all(at, buffer, length);
	else
		n = send(at->fd, buffer, length, MSG_NOSIGNAL);
	if (n >= 0) {
		*n_out = (size_t) n;
		return 1;
	}
	if (is_transient(errno))
		BIO_set_retry_write(bio);
	*n_out = 0;
	return 0;
}

static long
control(BIO *bio, int command, long number, void *pointer)
{
	switch (command) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DUP:
		return 1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default:
		return 0;
	}
}

static int
created(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static int
destroyed(BIO *bio)
{
	Socket *at = BIO_get_data(bio);

	if (at != NULL && at->held != NULL)
		g_byte_array_unref(at->held);
	g_free(at);
	return 1;
}

static BIO_METHOD *
new_method(void)
{
	BIO_METHOD *method =
		BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "posthorn socket");

	g_assert(method != NULL);
	BIO_meth_set_read_ex(method, read_socket);
	BIO_meth_set_write_ex(method, write_socket);
	BIO_meth_set_ctrl(method, control);
	BIO_meth_set_create(method, created);
	BIO_meth_set_destroy(method, destroyed);
	return method;
}

BIO *
ph_tls_bio_new(const SSL *ssl, int fd)
{
	static gsize method;
	Socket *at = NULL;
	BIO *bio = NULL;

	if (g_once_init_enter(&method))
		g_once_init_leave(&method, (gsize) new_method());
	bio = BIO_new((const BIO_METHOD *) method);
	if (bio == NULL)
		return NULL;
	at = g_new0(Socket, 1);
	at->fd = fd;
	at->ssl = ssl;
	BIO_set_data(bio, at);
	return bio;
}

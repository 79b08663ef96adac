/* tls-bio.c: the socket as OpenSSL sees it
 *
 * As OpenSSL's own socket BIO, but a peer that is gone raises no SIGPIPE, and the descriptor stays
 * the connection's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/tls-private.h"

#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>

static int
socket_of(BIO *bio)
{
	return GPOINTER_TO_INT(BIO_get_data(bio));
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

static int
write_socket(BIO *bio, const char *buffer, size_t length, size_t *n_out)
{
	ssize_t n = send(socket_of(bio), buffer, length, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
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
	return method;
}

BIO *
ph_tls_bio_new(int fd)
{
	static gsize method;
	BIO *bio = NULL;

	if (g_once_init_enter(&method))
		g_once_init_leave(&method, (gsize) new_method());
	bio = BIO_new((const BIO_METHOD *) method);
	if (bio != NULL)
		BIO_set_data(bio, GINT_TO_POINTER(fd));
	return bio;
}

/* tls-stream.c: a stream that encrypts over a socket
 *
 * Small pieces of output share a record of at most 16 KiB; OpenSSL writes one record a call and
 * wants the same octets again after a short write, which is what the stream's contract gives.
 * Its error queue belongs to the thread, so it is emptied before each call whose result counts.
 * The reason of a failure is kept as text, and only then allocated.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/tls-stream.h"

#include <posthorn/error.h>

#include "net/tls-private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
	RECORD_MAX = 16384,
	EXPORTER_SIZE = 32
};

typedef struct {
	PhStream base; /* first: a stream is its base */
	SSL *ssl;
	PhTlsContext *context; /* the name callback looks into it */
	char *reason;          /* why it failed */
	char *peer;            /* (nullable) of a client: what its session is kept under */
} TlsStream;

static TlsStream *
tls_of(PhStream *stream)
{
	return (TlsStream *) stream;
}

static const TlsStream *
tls_of_const(const PhStream *stream)
{
	return (const TlsStream *) stream;
}

static void
keep_reason(TlsStream *tls, int code, int saved_errno)
{
	long verified = SSL_get_verify_result(tls->ssl);

	g_free(tls->reason);
	if (verified != X509_V_OK && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE) {
		tls->reason = g_strdup_printf("certificate not accepted: %s",
		                              X509_verify_cert_error_string(verified));
		ERR_clear_error();
	} else if (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0) {
		tls->reason = g_strdup(saved_errno != 0 ? g_strerror(saved_errno)
		                                        : "the peer closed the connection");
	} else {
		tls->reason = ph_tls_reason();
	}
}

/* Turns the result of an OpenSSL call that did not succeed into a PH_STREAM value. */
static int
classify(TlsStream *tls, int result)
{
	int saved_errno = errno;
	int code = SSL_get_error(tls->ssl, result);

	switch (code) {
	case SSL_ERROR_WANT_READ:
		return PH_STREAM_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return PH_STREAM_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return PH_STREAM_EOF;
	default:
		keep_reason(tls, code, saved_errno);
		return PH_STREAM_FAILED;
	}
}

static void
prepare(void)
{
	ERR_clear_error();
	errno = 0;
}

static ssize_t
read_tls(PhStream *stream, char *buffer, size_t length)
{
	TlsStream *tls = tls_of(stream);
	size_t n = 0;
	int result = 0;

	prepare();
	result = SSL_read_ex(tls->ssl, buffer, length, &n);
	return result > 0 ? (ssize_t) n : classify(tls, result);
}

/* Copies from the pieces, beginning @skip octets after their start. Returns: octets copied. */
static size_t
gather(const struct iovec *pieces, int n_pieces, size_t skip, char *buffer)
{
	size_t filled = 0;

	for (int i = 0; i < n_pieces && filled < RECORD_MAX; i++) {
		size_t from = MIN(skip, pieces[i].iov_len);
		size_t n = MIN(pieces[i].iov_len - from, RECORD_MAX - filled);

		skip -= from;
		if (n == 0)
			continue;
		memcpy(buffer + filled, (const char *) pieces[i].iov_base + from, n);
		filled += n;
	}
	return filled;
}

/* One record from one piece, without a copy. */
static ssize_t
write_piece(TlsStream *tls, const char *octets, size_t length)
{
	size_t n = 0;
	int result = 0;
	int outcome = 0;
	int saved_errno = 0;

	prepare();
	result = SSL_write_ex(tls->ssl, octets, length, &n);
	if (result > 0)
		return (ssize_t) n;
	saved_errno = errno;
	outcome = classify(tls, result);
	if (outcome != PH_STREAM_EOF)
		return outcome;
	keep_reason(tls, SSL_ERROR_SYSCALL, saved_errno);
	return PH_STREAM_FAILED;
}

/* The next record at @skip: straight from its piece when that fills a record or is the last. */
static ssize_t
write_record(TlsStream *tls, const struct iovec *pieces, int n_pieces, size_t skip)
{
	char buffer[RECORD_MAX];
	size_t n = 0;

	while (n_pieces > 0 && skip >= pieces->iov_len) {
		skip -= pieces->iov_len;
		pieces++;
		n_pieces--;
	}
	if (n_pieces == 0)
		return 0;
	if (n_pieces == 1 || pieces->iov_len - skip >= RECORD_MAX)
		return write_piece(tls, (const char *) pieces->iov_base + skip,
		                   MIN(pieces->iov_len - skip, (size_t) RECORD_MAX));
	n = gather(pieces, n_pieces, skip, buffer);
	return write_piece(tls, buffer, n);
}

static ssize_t
write_tls(PhStream *stream, const struct iovec *pieces, int n_pieces, bool more)
{
	TlsStream *tls = tls_of(stream);
	size_t total = 0;
	ssize_t n = 0;

	do {
		n = write_record(tls, pieces, n_pieces, total);
		if (n > 0)
			total += (size_t) n;
	} while (n > 0);
	return total > 0 ? (ssize_t) total : n;
}

/* Records that were read ahead but not yet opened count as one octet: the next read tells. */
static size_t
pending_tls(const PhStream *stream)
{
	const TlsStream *tls = tls_of_const(stream);
	int ready = SSL_pending(tls->ssl);

	return ready > 0 ? (size_t) ready : (size_t) SSL_has_pending(tls->ssl);
}

static int
handshake_tls(PhStream *stream)
{
	TlsStream *tls = tls_of(stream);
	int result = 0;
	int outcome = 0;

	if (SSL_is_init_finished(tls->ssl))
		return 1;
	prepare();
	result = SSL_do_handshake(tls->ssl);
	if (result == 1)
		return 1;
	outcome = classify(tls, result);
	if (outcome != PH_STREAM_EOF)
		return outcome;
	g_free(tls->reason);
	tls->reason = g_strdup("the peer closed the connection");
	return PH_STREAM_FAILED;
}

static int
shutdown_tls(PhStream *stream)
{
	TlsStream *tls = tls_of(stream);
	int result = 0;
	int outcome = 0;

	if (!SSL_is_init_finished(tls->ssl)
	    || (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return 1;
	prepare();
	result = SSL_shutdown(tls->ssl);
	if (result >= 0)
		return 1;
	outcome = classify(tls, result);
	return outcome == PH_STREAM_WANT_WRITE ? outcome : 1;
}

static const char *
describe(const PhStream *stream)
{
	const SSL *ssl = tls_of_const(stream)->ssl;
	char text[128];

	g_snprintf(text, sizeof text, "%s %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
	return g_intern_string(text);
}

static uint32_t
version(const PhStream *stream)
{
	return (uint32_t) SSL_version(tls_of_const(stream)->ssl);
}

/* RFC 9266: in TLS 1.2 only with the extended master secret. */
static bool
bind_exporter(SSL *ssl, GByteArray *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	uint8_t octets[EXPORTER_SIZE];

	if (SSL_version(ssl) != TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
		return false;
	if (SSL_export_keying_material(ssl, octets, sizeof octets, label, sizeof label - 1, NULL, 0,
	                               0)
	    != 1)
		return false;
	g_byte_array_append(out, octets, sizeof octets);
	return true;
}

/* RFC 5929 section 4.1: the certificate's own hash, with SHA-256 for MD5 and SHA-1. */
static const EVP_MD *
end_point_digest(const X509 *certificate)
{
	int digest = NID_undef;

	if (OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest, NULL) != 1
	    || digest == NID_undef)
		return NULL;
	if (digest == NID_md5 || digest == NID_sha1)
		digest = NID_sha256;
	return EVP_get_digestbynid(digest);
}

static bool
bind_end_point(SSL *ssl, GByteArray *out)
{
	X509 *certificate =
		SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
	const EVP_MD *digest = certificate != NULL ? end_point_digest(certificate) : NULL;
	uint8_t octets[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (digest == NULL || X509_digest(certificate, digest, octets, &n) != 1)
		return false;
	g_byte_array_append(out, octets, n);
	return true;
}

static bool
bind_channel(PhStream *stream, const char *type, GByteArray *out)
{
	SSL *ssl = tls_of(stream)->ssl;

	if (!SSL_is_init_finished(ssl))
		return false;
	if (strcmp(type, "tls-exporter") == 0)
		return bind_exporter(ssl, out);
	if (strcmp(type, "tls-server-end-point") == 0)
		return bind_end_point(ssl, out);
	return false;
}

static bool
show_certificate(PhStream *stream, GByteArray *out)
{
	SSL *ssl = tls_of(stream)->ssl;
	X509 *certificate = SSL_is_init_finished(ssl) ? SSL_get0_peer_certificate(ssl) : NULL;
	unsigned char *octets = NULL;
	int length = 0;

	if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
		return false;
	if (out == NULL)
		return true;
	length = i2d_X509(certificate, &octets);
	if (length <= 0)
		return false;
	g_byte_array_append(out, octets, (guint) length);
	OPENSSL_free(octets);
	return true;
}

static bool
tell_failure(const PhStream *stream, GError **error)
{
	const TlsStream *tls = tls_of_const(stream);

	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "TLS: %s",
	            tls->reason != NULL ? tls->reason : "unknown failure");
	return false;
}

static void
free_tls(PhStream *stream)
{
	TlsStream *tls = tls_of(stream);

	SSL_free(tls->ssl);
	ph_tls_context_unref(tls->context);
	g_free(tls->reason);
	g_free(tls->peer);
	g_free(tls);
}

static const PhStreamTable tls_table = {
	.read = read_tls,
	.write = write_tls,
	.pending = pending_tls,
	.handshake = handshake_tls,
	.shutdown = shutdown_tls,
	.description = describe,
	.version = version,
	.binding = bind_channel,
	.certificate = show_certificate,
	.failure = tell_failure,
	.free = free_tls,
};

static TlsStream *
new_stream(PhTlsContext *context, int fd)
{
	TlsStream *tls = g_new0(TlsStream, 1);
	BIO *bio = NULL;

	tls->base.table = &tls_table;
	tls->base.fd = fd;
	tls->context = ph_tls_context_ref(context);
	tls->ssl = SSL_new(ph_tls_context_ssl(context));
	bio = tls->ssl != NULL ? ph_tls_bio_new(tls->ssl, fd) : NULL;
	/* Both fail only without memory, and that ends the process as everywhere. */
	g_assert(tls->ssl != NULL && bio != NULL);
	SSL_set_bio(tls->ssl, bio, bio);
	return tls;
}

PhStream *
ph_tls_stream_new_server(PhTlsContext *context, int fd)
{
	TlsStream *tls = new_stream(context, fd);

	SSL_set_accept_state(tls->ssl);
	return &tls->base;
}

static void
demand_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);

	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	if (X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1)
		return;
	X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	X509_VERIFY_PARAM_set1_host(rules, name, 0);
	SSL_set_tlsext_host_name(ssl, name);
}

/* A session that began without verifying is never gone on with where something is verified. */
static void
take_up_session(TlsStream *tls, const char *name, const char *peer)
{
	PhTlsSessions *sessions = ph_tls_context_sessions(tls->context);
	SSL_SESSION *session = NULL;

	tls->peer = g_strconcat(peer, name != NULL ? " verified as " : " unverified", name, NULL);
	SSL_set_app_data(tls->ssl, tls->peer);
	session = ph_tls_sessions_take(sessions, tls->peer);
	if (session == NULL)
		return;
	(void) SSL_set_session(tls->ssl, session);
	SSL_SESSION_free(session);
}

PhStream *
ph_tls_stream_new_client(PhTlsContext *context, int fd, const char *name, const char *peer)
{
	TlsStream *tls = new_stream(context, fd);

	SSL_set_connect_state(tls->ssl);
	if (name != NULL)
		demand_name(tls->ssl, name);
	if (peer != NULL)
		take_up_session(tls, name, peer);
	return &tls->base;
}

void
ph_tls_stream_set_sni(PhStream *stream, const char *name)
{
	if (!g_hostname_is_ip_address(name))
		SSL_set_tlsext_host_name(tls_of(stream)->ssl, name);
}

bool
ph_tls_stream_was_resumed(const PhStream *stream)
{
	return SSL_session_reused(tls_of_const(stream)->ssl) == 1;
}

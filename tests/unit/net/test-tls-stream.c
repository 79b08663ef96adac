/* test-tls-stream.c: handshakes, names, octets, binding, resumption and failures over a socket pair
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "make-certificate.h"
#include "net/tls-private.h"
#include "net/tls-stream.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROUNDS = 10000,
	PAYLOAD = 300000
};

typedef struct {
	char *folder;
	int fds[2];
	PhTlsContext *server_context;
	PhTlsContext *client_context;
	PhStream *server;
	PhStream *client;
	char *asked; /* by a foreign client; NULL: mail.example.org */
} Fixture;

static char *
path_of(const Fixture *f, const char *name)
{
	return g_strdup_printf("%s/%s", f->folder, name);
}

/* A context with these certificates, each named as its files. */
static PhTlsContext *
server_context(const Fixture *f, const char *const *names, uint32_t minimum, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	PhTlsPair pairs[4] = { { NULL } };
	PhTlsServerOptions options = { .pairs = pairs, .minimum_version = minimum };

	for (; names[options.n_pairs] != NULL; options.n_pairs++) {
		const char *name = names[options.n_pairs];

		g_ptr_array_add(paths, g_strdup_printf("%s/%s.pem", f->folder, name));
		pairs[options.n_pairs].certificate = paths->pdata[paths->len - 1];
		g_ptr_array_add(paths, g_strdup_printf("%s/%s.key", f->folder, name));
		pairs[options.n_pairs].key = paths->pdata[paths->len - 1];
	}
	return ph_tls_context_new_server(&options, error);
}

static void
connect_both(Fixture *f)
{
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	g_assert_cmpint(socketpair(AF_UNIX, type, 0, f->fds), ==, 0);
}

static void
setup(Fixture *f, gconstpointer user_data)
{
	const char *const names[] = { "main", "other", "mainrsa", NULL };
	g_autofree char *ca = NULL;
	g_autoptr(GError) error = NULL;

	f->folder = g_dir_make_tmp("posthorn-tls-XXXXXX", NULL);
	make_certificate(f->folder, "main", "DNS:mail.example.org,IP:127.0.0.1", false);
	make_certificate(f->folder, "mainrsa", "DNS:mail.example.org", true);
	make_certificate(f->folder, "other", "DNS:*.other.example", false);
	f->server_context = server_context(f, names, 0x0303, &error);
	g_assert_no_error(error);
	ca = path_of(f, "main.pem");
	f->client_context = ph_tls_context_new_client(ca, &error);
	g_assert_no_error(error);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->fds),
	                ==, 0);
}

static void
teardown(Fixture *f, gconstpointer user_data)
{
	static const char *const files[] = { "main.pem",    "main.key",    "other.pem", "other.key",
		                             "mainrsa.pem", "mainrsa.key", NULL };

	if (f->server != NULL)
		f->server->table->free(f->server);
	if (f->client != NULL)
		f->client->table->free(f->client);
	ph_tls_context_unref(f->server_context);
	ph_tls_context_unref(f->client_context);
	close(f->fds[0]);
	close(f->fds[1]);
	for (size_t i = 0; files[i] != NULL; i++) {
		g_autofree char *path = path_of(f, files[i]);

		g_unlink(path);
	}
	g_rmdir(f->folder);
	g_free(f->folder);
}

static void
open_both(Fixture *f, const char *name)
{
	f->server = ph_tls_stream_new_server(f->server_context, f->fds[0]);
	f->client = ph_tls_stream_new_client(f->client_context, f->fds[1], name, NULL);
}

/* Runs both handshakes. Returns whether both ended well. */
static bool
shake(Fixture *f)
{
	int server = PH_STREAM_WANT_READ;
	int client = PH_STREAM_WANT_READ;

	for (int i = 0; i < ROUNDS && (server != 1 || client != 1); i++) {
		client = ph_stream_handshake(f->client);
		server = ph_stream_handshake(f->server);
		if (client == PH_STREAM_FAILED || server == PH_STREAM_FAILED)
			return false;
	}
	return server == 1 && client == 1;
}

/* Sends @octets from one side to the other in odd pieces and compares what arrives. */
static void
carry(PhStream *from, PhStream *to, PhSlice octets)
{
	g_autoptr(GByteArray) got = g_byte_array_new();
	size_t sent = 0;

	for (int i = 0; i < ROUNDS && got->len < octets.length; i++) {
		char buffer[5000];
		PhSlice rest = ph_slice_from(octets, sent);
		struct iovec pieces[3];
		size_t a = MIN(rest.length, (size_t) 7);
		size_t b = MIN(rest.length - a, (size_t) 20000);
		ssize_t n = 0;

		pieces[0] = (struct iovec){ (void *) (uintptr_t) rest.data, a };
		pieces[1] = (struct iovec){ (void *) (uintptr_t) (rest.data + a), b };
		pieces[2] = (struct iovec){ (void *) (uintptr_t) (rest.data + a + b),
			                    rest.length - a - b };
		if (rest.length > 0)
			n = ph_stream_write(from, pieces, 3, false);
		g_assert_cmpint(n, !=, PH_STREAM_FAILED);
		sent += n > 0 ? (size_t) n : 0;
		while ((n = ph_stream_read(to, buffer, sizeof buffer)) > 0)
			g_byte_array_append(got, (const guint8 *) buffer, (guint) n);
		g_assert_cmpint(n, ==, PH_STREAM_WANT_READ);
	}
	g_assert_cmpmem(got->data, got->len, octets.data, octets.length);
}

static void
test_octets_arrive(Fixture *f, gconstpointer user_data)
{
	g_autofree char *payload = g_malloc(PAYLOAD);
	char buffer[10];

	for (size_t i = 0; i < PAYLOAD; i++)
		payload[i] = (char) (i * 7 + i / 251);
	open_both(f, "mail.example.org");
	g_assert_true(shake(f));
	g_assert_cmpuint(f->server->table->version(f->server), ==, 0x0304);
	g_assert_cmpstr(f->server->table->description(f->server), ==,
	                f->client->table->description(f->client));
	carry(f->server, f->client, PH_SLICE(payload, PAYLOAD));
	carry(f->client, f->server, PH_SLICE(payload, PAYLOAD));
	g_assert_cmpint(ph_stream_shutdown(f->client), ==, 1);
	g_assert_cmpint(ph_stream_read(f->server, buffer, sizeof buffer), ==, PH_STREAM_EOF);
	carry(f->server, f->client, PH_SLICE_LITERAL("still heard after the other's end"));
	g_assert_cmpint(ph_stream_shutdown(f->server), ==, 1);
}

static void
test_binding(Fixture *f, gconstpointer user_data)
{
	static const char *const types[] = { "tls-exporter", "tls-server-end-point" };

	open_both(f, "mail.example.org");
	g_assert_true(shake(f));
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		g_autoptr(GByteArray) b = g_byte_array_new();

		g_assert_true(f->server->table->binding(f->server, types[i], a));
		g_assert_true(f->client->table->binding(f->client, types[i], b));
		g_assert_cmpuint(a->len, ==, 32);
		g_assert_cmpmem(a->data, a->len, b->data, b->len);
	}
	g_assert_false(f->server->table->binding(f->server, "tls-unique", NULL));
}

static void
test_names(Fixture *f, gconstpointer user_data)
{
	g_autofree char *ca = path_of(f, "other.pem");
	g_autoptr(GError) error = NULL;

	ph_tls_context_unref(f->client_context);
	f->client_context = ph_tls_context_new_client(ca, NULL);
	open_both(f, "mail.other.example");
	g_assert_true(shake(f));
	f->client->table->free(f->client);
	f->server->table->free(f->server);
	close(f->fds[0]);
	close(f->fds[1]);
	connect_both(f);
	open_both(f, "deep.mail.other.example");
	g_assert_false(shake(f));
	g_assert_false(f->client->table->failure(f->client, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_nonnull(strstr(error->message, "certificate not accepted"));
}

static void
test_address_as_name(Fixture *f, gconstpointer user_data)
{
	open_both(f, "127.0.0.1");
	g_assert_true(shake(f));
}

static void
test_wrong_name(Fixture *f, gconstpointer user_data)
{
	g_autoptr(GError) error = NULL;

	open_both(f, "elsewhere.example");
	g_assert_false(shake(f));
	f->client->table->failure(f->client, &error);
	g_assert_nonnull(strstr(error->message, "ostname mismatch"));
}

static void
test_unverified(Fixture *f, gconstpointer user_data)
{
	ph_tls_context_unref(f->client_context);
	f->client_context = ph_tls_context_new_client(NULL, NULL);
	open_both(f, NULL);
	g_assert_true(shake(f));
}

static void
test_no_tls_at_all(Fixture *f, gconstpointer user_data)
{
	g_autoptr(GError) error = NULL;

	f->server = ph_tls_stream_new_server(f->server_context, f->fds[0]);
	g_assert_cmpint(ph_stream_handshake(f->server), ==, PH_STREAM_WANT_READ);
	g_assert_cmpint(write(f->fds[1], "EHLO example.org\r\n", 18), ==, 18);
	g_assert_cmpint(ph_stream_handshake(f->server), ==, PH_STREAM_FAILED);
	f->server->table->failure(f->server, &error);
	g_assert_nonnull(error);
	g_test_message("%s", error->message);
}

static void
test_peer_vanishes(Fixture *f, gconstpointer user_data)
{
	g_autoptr(GError) error = NULL;
	struct iovec piece = { (char[]){ "x" }, 1 };
	char buffer[4];

	open_both(f, "mail.example.org");
	g_assert_true(shake(f));
	g_assert_cmpint(ph_stream_read(f->client, buffer, sizeof buffer), ==, PH_STREAM_WANT_READ);
	f->client->table->free(g_steal_pointer(&f->client));
	close(f->fds[1]);
	f->fds[1] = open("/dev/null", O_RDONLY);
	g_assert_cmpint(ph_stream_read(f->server, buffer, sizeof buffer), ==, PH_STREAM_EOF);
	g_assert_cmpint(ph_stream_write(f->server, &piece, 1, false), ==, PH_STREAM_FAILED);
	f->server->table->failure(f->server, &error);
	g_assert_cmpstr(error->message, ==, "TLS: Broken pipe");
}

/* A plain OpenSSL client, for what our client does not do. */
static SSL *
foreign_client(Fixture *f, SSL_CTX *context, SSL_SESSION *session)
{
	SSL *ssl = SSL_new(context);
	int client = 0;
	int server = 0;

	SSL_set_fd(ssl, f->fds[1]);
	SSL_set_connect_state(ssl);
	if (f->asked != NULL)
		SSL_set_tlsext_host_name(ssl, f->asked);
	else
		SSL_set_tlsext_host_name(ssl, "mail.example.org");
	if (session != NULL)
		SSL_set_session(ssl, session);
	f->server = ph_tls_stream_new_server(f->server_context, f->fds[0]);
	for (int i = 0; i < ROUNDS && (client != 1 || server != 1); i++) {
		client = SSL_do_handshake(ssl);
		server = ph_stream_handshake(f->server);
		if (server == PH_STREAM_FAILED)
			break;
	}
	return ssl;
}

static void
end_foreign(Fixture *f, SSL *ssl)
{
	char buffer[64];

	(void) SSL_read(ssl, buffer, sizeof buffer);
	SSL_shutdown(ssl);
	(void) ph_stream_read(f->server, buffer, sizeof buffer);
	f->server->table->free(g_steal_pointer(&f->server));
	while (read(f->fds[0], buffer, sizeof buffer) > 0)
		;
	while (read(f->fds[1], buffer, sizeof buffer) > 0)
		;
}

static void
say_something(Fixture *f)
{
	struct iovec piece = { (char[]){ "x" }, 1 };

	g_assert_cmpint(ph_stream_write(f->server, &piece, 1, false), ==, 1);
}

/* Nobody waits for a ticket: it does not go out alone. */
static void
test_ticket(Fixture *f, gconstpointer user_data)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = foreign_client(f, context, NULL);
	char buffer[64];

	g_assert_true(SSL_is_init_finished(ssl));
	g_assert_cmpstr(SSL_get_cipher_name(ssl), ==, "TLS_AES_128_GCM_SHA256");
	g_assert_cmpint(recv(f->fds[1], buffer, 1, MSG_PEEK), ==, -1);
	say_something(f);
	g_assert_cmpint(SSL_read(ssl, buffer, sizeof buffer), ==, 1);
	g_assert_cmpint(buffer[0], ==, 'x');
	g_assert_true(SSL_SESSION_is_resumable(SSL_get_session(ssl)));
	end_foreign(f, ssl);
	SSL_free(ssl);
	/* Nor does it wait for ever: the end takes it along. */
	ssl = foreign_client(f, context, NULL);
	g_assert_cmpint(ph_stream_shutdown(f->server), >=, 0);
	g_assert_cmpint(SSL_read(ssl, buffer, sizeof buffer), ==, 0);
	g_assert_true(SSL_SESSION_is_resumable(SSL_get_session(ssl)));
	end_foreign(f, ssl);
	SSL_free(ssl);
	/* What does not fit in the socket goes out later, whole. */
	ssl = foreign_client(f, context, NULL);
	while (send(f->fds[0], buffer, sizeof buffer, 0) > 0)
		;
	g_assert_cmpint(ph_stream_write(f->server, &(struct iovec){ buffer, 1 }, 1, false), ==,
	                PH_STREAM_WANT_WRITE);
	end_foreign(f, ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

/* Over a reload, with both versions: the second handshake continues the first session. */
static void
check_resumption(Fixture *f, int version)
{
	const char *const names[] = { "main", NULL };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL_SESSION *session = NULL;
	SSL *ssl = NULL;

	SSL_CTX_set_max_proto_version(context, version);
	ssl = foreign_client(f, context, NULL);
	g_assert_false(ph_tls_stream_was_resumed(f->server));
	say_something(f);
	end_foreign(f, ssl);
	session = SSL_get1_session(ssl);
	SSL_free(ssl);
	ph_tls_context_unref(f->server_context);
	f->server_context = server_context(f, names, 0x0303, NULL);
	ssl = foreign_client(f, context, session);
	g_assert_true(ph_tls_stream_was_resumed(f->server));
	g_assert_true(SSL_session_reused(ssl));
	end_foreign(f, ssl);
	SSL_SESSION_free(session);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void
test_resumption(Fixture *f, gconstpointer user_data)
{
	check_resumption(f, TLS1_3_VERSION);
	check_resumption(f, TLS1_2_VERSION);
}

static void
test_old_versions(Fixture *f, gconstpointer user_data)
{
	const char *const names[] = { "main", NULL };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	g_autoptr(GError) error = NULL;

	SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	ph_tls_context_unref(f->server_context);
	f->server_context = server_context(f, names, 0x0304, NULL);
	ssl = foreign_client(f, context, NULL);
	g_assert_false(f->server->table->failure(f->server, &error));
	g_assert_nonnull(strstr(error->message, "unsupported protocol"));
	end_foreign(f, ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

/* A context whose second certificate is stricter than the first, or the other way round. */
static PhTlsContext *
context_of_two(const Fixture *f, const uint32_t versions[2], const char *ciphers)
{
	const char *const names[] = { "main", "other" };
	char *paths[4] = { NULL };
	PhTlsPair pairs[2] = { { NULL } };
	const PhTlsServerOptions options = { .pairs = pairs, .n_pairs = 2 };
	PhTlsContext *context = NULL;

	for (size_t i = 0; i < 2; i++) {
		pairs[i].certificate = paths[2 * i] =
			g_strdup_printf("%s/%s.pem", f->folder, names[i]);
		pairs[i].key = paths[2 * i + 1] = g_strdup_printf("%s/%s.key", f->folder, names[i]);
		pairs[i].minimum_version = versions[i];
	}
	pairs[1].ciphers = ciphers;
	context = ph_tls_context_new_server(&options, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		g_free(paths[i]);
	return context;
}

static SSL *
call_name(Fixture *f, SSL_CTX *context, const char *name)
{
	SSL *ssl = NULL;

	f->asked = g_strdup(name);
	ssl = foreign_client(f, context, NULL);
	g_clear_pointer(&f->asked, g_free);
	return ssl;
}

/* [tls] and [tls NAME] each say what counts for their own names. */
static void
test_rules_of_a_name(Fixture *f, gconstpointer user_data)
{
	static const uint32_t versions[][2] = { { 0x0303, 0x0304 }, { 0x0304, 0x0303 } };
	static const char ciphers[] = "ECDHE-ECDSA-CHACHA20-POLY1305";

	for (size_t i = 0; i < 2; i++) {
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		const char *strict = i == 0 ? "a.other.example" : "mail.example.org";
		const char *loose = i == 0 ? "mail.example.org" : "a.other.example";
		SSL *ssl = NULL;

		ph_tls_context_unref(f->server_context);
		f->server_context = context_of_two(f, versions[i], i == 1 ? ciphers : NULL);
		SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
		ssl = call_name(f, context, strict);
		g_assert_false(SSL_is_init_finished(ssl));
		end_foreign(f, ssl);
		SSL_free(ssl);
		ssl = call_name(f, context, loose);
		g_assert_true(SSL_is_init_finished(ssl));
		if (i == 1)
			g_assert_cmpstr(SSL_get_cipher_name(ssl), ==, ciphers);
		end_foreign(f, ssl);
		SSL_free(ssl);
		SSL_CTX_free(context);
	}
}

/* One certificate each of RSA and ECDSA for one name: the client's abilities choose. */
static void
test_two_kinds_of_key(Fixture *f, gconstpointer user_data)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(context, "ECDHE-RSA-AES128-GCM-SHA256");
	ssl = foreign_client(f, context, NULL);
	g_assert_true(SSL_is_init_finished(ssl));
	g_assert_cmpint(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(ssl))), ==,
	                EVP_PKEY_RSA);
	end_foreign(f, ssl);
	SSL_free(ssl);
	SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256");
	ssl = foreign_client(f, context, NULL);
	g_assert_cmpint(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(ssl))), ==,
	                EVP_PKEY_EC);
	end_foreign(f, ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void
test_no_renegotiation(Fixture *f, gconstpointer user_data)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	char buffer[16];

	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	ssl = foreign_client(f, context, NULL);
	SSL_renegotiate(ssl);
	SSL_do_handshake(ssl);
	g_assert_cmpint(ph_stream_read(f->server, buffer, sizeof buffer), ==, PH_STREAM_WANT_READ);
	g_assert_cmpint(SSL_do_handshake(ssl), !=, 1);
	end_foreign(f, ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void
test_bad_files(Fixture *f, gconstpointer user_data)
{
	g_autofree char *certificate = path_of(f, "main.pem");
	g_autofree char *other_key = path_of(f, "other.key");
	g_autofree char *missing = path_of(f, "missing.pem");
	PhTlsPair mismatch = { certificate, other_key, NULL };
	PhTlsPair absent = { missing, other_key, NULL };
	PhTlsPair swapped = { other_key, certificate, NULL };
	g_autoptr(GError) error = NULL;

	g_assert_false(ph_tls_file_check(&mismatch, NULL, NULL, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_nonnull(strstr(error->message, "does not belong to"));
	g_clear_error(&error);
	g_assert_false(ph_tls_file_check(&absent, NULL, NULL, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_false(ph_tls_file_check(&swapped, NULL, NULL, &error));
	g_assert_nonnull(strstr(error->message, "holds no certificate"));
}

static void
test_good_files(Fixture *f, gconstpointer user_data)
{
	g_autofree char *certificate = path_of(f, "other.pem");
	g_autofree char *key = path_of(f, "other.key");
	PhTlsPair pair = { certificate, key, NULL };
	g_auto(GStrv) names = NULL;
	PhTime expiry = 0;

	g_assert_true(ph_tls_file_check(&pair, &names, &expiry, NULL));
	g_assert_cmpstr(names[0], ==, "*.other.example");
	g_assert_cmpint(expiry, >, g_get_real_time());
	g_assert_cmpint(expiry, <=, g_get_real_time() + G_TIME_SPAN_DAY);
	g_assert_cmpint(ph_tls_context_expiry(f->server_context), <=,
	                g_get_real_time() + G_TIME_SPAN_DAY);
}

#define ADD(name, func) g_test_add("/net/tls-stream/" name, Fixture, NULL, setup, func, teardown)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("octets-arrive-both-ways-and-ends-are-told", test_octets_arrive);
	ADD("both-ends-have-the-same-channel-binding", test_binding);
	ADD("the-name-asked-for-chooses-the-certificate", test_names);
	ADD("an-address-can-be-verified", test_address_as_name);
	ADD("a-certificate-for-another-name-is-not-accepted", test_wrong_name);
	ADD("nothing-is-verified-without-a-name", test_unverified);
	ADD("plaintext-instead-of-a-handshake-fails-with-a-reason", test_no_tls_at_all);
	ADD("a-vanished-peer-raises-no-signal", test_peer_vanishes);
	ADD("a-ticket-comes-with-the-first-octets", test_ticket);
	ADD("sessions-resume-over-a-reload", test_resumption);
	ADD("versions-below-the-minimum-are-refused", test_old_versions);
	ADD("each-name-has-its-own-rules", test_rules_of_a_name);
	ADD("two-kinds-of-key-serve-one-name", test_two_kinds_of_key);
	ADD("renegotiation-is-refused", test_no_renegotiation);
	ADD("bad-files-are-named", test_bad_files);
	ADD("names-and-expiry-come-from-the-certificate", test_good_files);
	return g_test_run();
}

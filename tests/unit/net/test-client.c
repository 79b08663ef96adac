/* test-client.c: client sessions over TLS, against servers that are right, wrong, old, or mute
 *
 * The server is a thread with OpenSSL alone, so that it can do what ours would not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/client.h>
#include <posthorn/slice.h>

#include "base/lock.h"
#include "loopback.h"
#include "make-certificate.h"
#include "net/net.h"
#include "net/tls-context.h"

#include <glib/gstdio.h>
#include <openssl/ssl.h>
#include <pthread.h>

/* What the server does with each connection. */
typedef enum {
	IMPLICIT,
	STARTTLS,
	REFUSES, /* STARTTLS */
	INJECTS, /* a line behind its answer to STARTTLS */
	MUTE,    /* never begins its handshake */
	ANSWERS, /* in plain text */
} Manner;

typedef struct {
	char *folder;
	PhReactor *reactor;
	int listener;
	uint16_t port;
	pthread_t thread;
	SSL_CTX *context;
	Manner manner;
	unsigned n_connections; /* before the thread ends */
	unsigned n_resumed;
	PhLock lock; /* guards what follows */
	PhSignal signal;
	GString *heard;
	char why[256];
	bool closed;
} Fixture;

/* --- the server --- */

static void
write_tls(SSL *ssl, const char *text)
{
	(void) SSL_write(ssl, text, (int) strlen(text));
}

static void
serve_tls(Fixture *f, int fd, const char *greeting)
{
	SSL *ssl = SSL_new(f->context);
	char octet = 0;

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		f->n_resumed += SSL_session_reused(ssl) == 1;
		write_tls(ssl, greeting);
		while (SSL_read(ssl, &octet, 1) > 0)
			;
		(void) SSL_shutdown(ssl);
	}
	SSL_free(ssl);
}

static void
read_line(int fd)
{
	char octet = 0;

	while (recv(fd, &octet, 1, 0) == 1 && octet != '\n')
		;
}

static void
serve_one(Fixture *f, int fd)
{
	if (f->manner == IMPLICIT)
		serve_tls(f, fd, "inside\r\n");
	if (f->manner == ANSWERS)
		say(fd, "hello\r\n");
	if (f->manner == STARTTLS || f->manner == REFUSES || f->manner == INJECTS) {
		say(fd, "hello\r\n");
		read_line(fd);
	}
	if (f->manner == STARTTLS) {
		say(fd, "220\r\n");
		serve_tls(f, fd, "inside\r\n");
	}
	if (f->manner == REFUSES)
		say(fd, "454\r\n");
	if (f->manner == INJECTS)
		say(fd, "220\r\nevil\r\n");
	if (f->manner != IMPLICIT && f->manner != STARTTLS)
		while (recv(fd, (char[100]){ 0 }, 100, 0) > 0)
			;
	close(fd);
}

static void *
serve(void *data)
{
	Fixture *f = data;

	for (unsigned i = 0; i < f->n_connections; i++)
		serve_one(f, accept(f->listener, NULL, NULL));
	return NULL;
}

/* --- the client --- */

static PhNext
connected(PhSession *session)
{
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	Fixture *f = ph_session_data(session);

	g_string_append_printf(f->heard, "%.*s%s ", (int) text.length, text.data,
	                       ph_session_is_tls(session) ? "(tls)" : "");
	if (ph_slice_is(text, "hello"))
		ph_session_write_text(session, "STARTTLS\r\n");
	if (ph_slice_is(text, "220"))
		ph_session_start_tls(session);
	return ph_slice_is(text, "inside") || ph_slice_is(text, "454") ? PH_CLOSE : PH_DONE;
}

static PhNext
tls_started(PhSession *session)
{
	Fixture *f = ph_session_data(session);

	g_string_append(f->heard, "started ");
	return PH_DONE;
}

static void
closed(PhSession *session, const GError *error)
{
	Fixture *f = ph_session_data(session);

	ph_lock_take(&f->lock);
	g_strlcpy(f->why, error != NULL ? error->message : "", sizeof f->why);
	f->closed = true;
	ph_signal_all(&f->signal);
	ph_lock_drop(&f->lock);
}

static const PhClientTable table = {
	.size = sizeof table,
	.connected = connected,
	.line = line,
	.tls_started = tls_started,
	.closed = closed,
};

static PhClientOptions
options_of(const Fixture *f, const char *ca_file, const char *name)
{
	bool implicit = f->manner == IMPLICIT || f->manner == MUTE || f->manner == ANSWERS;

	return (PhClientOptions){ .size = sizeof(PhClientOptions),
		                  .address = "127.0.0.1",
		                  .port = f->port,
		                  .tls = implicit ? PH_CLIENT_IMPLICIT_TLS : PH_CLIENT_STARTTLS,
		                  .tls_name = name,
		                  .ca_file = ca_file };
}

/* Connects and waits until the session has ended. */
static void
call(Fixture *f, const PhClientOptions *options)
{
	uint64_t until = (uint64_t) g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
	g_autoptr(GError) error = NULL;

	g_string_truncate(f->heard, 0);
	f->closed = false;
	ph_client_open(NULL, options, &table, f, &error);
	g_assert_no_error(error);
	ph_lock_take(&f->lock);
	while (!f->closed)
		g_assert_true(ph_signal_wait_until(&f->signal, &f->lock, until));
	ph_lock_drop(&f->lock);
}

/* --- set up --- */

static char *
path_of(const Fixture *f, const char *name)
{
	return g_strdup_printf("%s/%s", f->folder, name);
}

static void
begin_serving(Fixture *f, Manner manner, const char *certificate, unsigned n_connections)
{
	g_autofree char *chain = g_strdup_printf("%s/%s.pem", f->folder, certificate);
	g_autofree char *key = g_strdup_printf("%s/%s.key", f->folder, certificate);

	f->manner = manner;
	f->n_connections = n_connections;
	f->context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_session_id_context(f->context, (const unsigned char *) "t", 1);
	g_assert_cmpint(SSL_CTX_use_certificate_chain_file(f->context, chain), ==, 1);
	g_assert_cmpint(SSL_CTX_use_PrivateKey_file(f->context, key, SSL_FILETYPE_PEM), ==, 1);
}

static void
start_serving(Fixture *f)
{
	g_assert_cmpint(pthread_create(&f->thread, NULL, serve, f), ==, 0);
}

static void
set_up(Fixture *f, gconstpointer data)
{
	PhReactorParams params = { .processors = 1 };

	f->folder = g_dir_make_tmp("posthorn-client-XXXXXX", NULL);
	make_certificate(f->folder, "good", "DNS:mail.example.org,IP:127.0.0.1", false);
	make_certificate(f->folder, "stranger", "DNS:mail.example.org", false);
	make_certificate_until(f->folder, "old", "DNS:mail.example.org", false, -60);
	ph_lock_init(&f->lock);
	ph_signal_init(&f->signal);
	f->heard = g_string_new(NULL);
	f->listener = listen_somewhere(&f->port);
	f->reactor = ph_reactor_new(&params, NULL);
	g_assert_true(ph_reactor_start(f->reactor, NULL));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	static const char *const names[] = { "good", "stranger", "old" };

	g_assert_cmpint(pthread_join(f->thread, NULL), ==, 0);
	g_assert_true(ph_reactor_stop(f->reactor, (PhDuration){ 5 * G_USEC_PER_SEC }));
	ph_reactor_free(f->reactor);
	close(f->listener);
	SSL_CTX_free(f->context);
	g_string_free(f->heard, TRUE);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *chain = g_strdup_printf("%s/%s.pem", f->folder, names[i]);
		g_autofree char *key = g_strdup_printf("%s/%s.key", f->folder, names[i]);

		g_unlink(chain);
		g_unlink(key);
	}
	g_rmdir(f->folder);
	g_free(f->folder);
}

/* --- the cases --- */

static void
a_good_certificate_is_taken(Fixture *f, gconstpointer data)
{
	g_autofree char *ca = path_of(f, "good.pem");
	PhClientOptions options;

	begin_serving(f, IMPLICIT, "good", 2);
	start_serving(f);
	options = options_of(f, ca, "mail.example.org");
	call(f, &options);
	g_assert_cmpstr(f->why, ==, "");
	g_assert_cmpstr(f->heard->str, ==, "inside(tls) ");
	options = options_of(f, ca, "127.0.0.1");
	call(f, &options);
	g_assert_cmpstr(f->heard->str, ==, "inside(tls) ");
}

static void
sessions_are_gone_on_with(Fixture *f, gconstpointer data)
{
	g_autofree char *ca = path_of(f, "good.pem");
	PhClientOptions verified;
	PhClientOptions unverified;

	begin_serving(f, IMPLICIT, "good", 4);
	start_serving(f);
	unverified = options_of(f, ca, NULL);
	verified = options_of(f, ca, "mail.example.org");
	call(f, &unverified);
	/* Nothing was verified then: it is no beginning for what follows. */
	call(f, &verified);
	g_assert_cmpuint(f->n_resumed, ==, 0);
	call(f, &verified);
	call(f, &verified);
	g_assert_cmpstr(f->why, ==, "");
	g_assert_cmpint(pthread_join(f->thread, NULL), ==, 0);
	g_assert_cmpuint(f->n_resumed, ==, 2);
	f->n_connections = 0;
	start_serving(f);
}

static void
one_context_serves_until_its_file_changes(Fixture *f, gconstpointer data)
{
	g_autofree char *ca = path_of(f, "good.pem");
	g_autofree char *other = path_of(f, "stranger.pem");
	g_autoptr(PhTlsContext) first = ph_tls_context_for_client(ca, NULL);
	g_autoptr(PhTlsContext) second = ph_tls_context_for_client(ca, NULL);
	g_autoptr(PhTlsContext) third = NULL;
	g_autoptr(PhTlsContext) system = ph_tls_context_for_client(NULL, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(first == second);
	g_assert_true(system != first);
	g_assert_cmpint(g_rename(other, ca), ==, 0);
	third = ph_tls_context_for_client(ca, NULL);
	g_assert_true(third != first);
	g_assert_null(ph_tls_context_for_client("/nowhere/ca.pem", &error));
	g_assert_nonnull(error);
	begin_serving(f, IMPLICIT, "old", 0);
	start_serving(f);
}

typedef struct {
	Manner manner;
	const char *certificate;
	const char *trusted;
	const char *name;
	int newest; /* version that the server speaks; 0: any */
	const char *heard;
	const char *why; /* part of it */
} Case;

static void
is_refused(Fixture *f, gconstpointer data)
{
	const Case *c = data;
	g_autofree char *ca = path_of(f, c->trusted);
	PhClientOptions options;

	begin_serving(f, c->manner, c->certificate, 1);
	if (c->newest != 0) {
		SSL_CTX_set_min_proto_version(f->context, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(f->context, c->newest);
		SSL_CTX_set_cipher_list(f->context, "ALL:@SECLEVEL=0");
	}
	start_serving(f);
	options = options_of(f, ca, c->name);
	options.connect_timeout = (PhDuration){ 300 * 1000 };
	call(f, &options);
	g_assert_cmpstr(f->heard->str, ==, c->heard);
	if (strstr(f->why, c->why) == NULL)
		g_test_fail_printf("'%s' does not say '%s'", f->why, c->why);
}

static const Case wrong_name = { IMPLICIT, "good", "good.pem",        "mail.example.com",
	                         0,        "",     "ostname mismatch" };
static const Case unknown_ca = {
	IMPLICIT, "stranger", "good.pem", "mail.example.org", 0, "", "certificate not accepted"
};
static const Case expired = { IMPLICIT, "old", "old.pem", "mail.example.org", 0, "", "expired" };
static const Case too_old = { IMPLICIT,       "good", "good.pem", "mail.example.org",
	                      TLS1_1_VERSION, "",     "TLS: " };
static const Case mute = {
	MUTE, "good", "good.pem", "mail.example.org", 0, "", "no answer from '127.0.0.1' in time"
};
static const Case answers = { ANSWERS, "good", "good.pem", "mail.example.org", 0, "", "TLS: " };
static const Case refuses = {
	REFUSES, "good", "good.pem", "mail.example.org", 0, "hello 454 ", ""
};
static const Case injects = { INJECTS, "good",       "good.pem", "mail.example.org",
	                      0,       "hello 220 ", "lost" };
static const Case starttls = {
	STARTTLS, "good", "good.pem", "mail.example.org", 0, "hello 220 started inside(tls) ", ""
};
static const Case starttls_wrong = { STARTTLS, "good",       "good.pem",        "mail.example.com",
	                             0,        "hello 220 ", "ostname mismatch" };

#define ADD(name, data, func) \
	g_test_add("/net/client/" name, Fixture, data, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a-good-certificate-is-taken", NULL, a_good_certificate_is_taken);
	ADD("sessions-are-gone-on-with", NULL, sessions_are_gone_on_with);
	ADD("one-context-serves-until-its-file-changes", NULL,
	    one_context_serves_until_its_file_changes);
	ADD("a-wrong-name-is-refused", &wrong_name, is_refused);
	ADD("an-unknown-issuer-is-refused", &unknown_ca, is_refused);
	ADD("an-expired-certificate-is-refused", &expired, is_refused);
	ADD("an-old-version-is-refused", &too_old, is_refused);
	ADD("a-mute-peer-is-left-in-time", &mute, is_refused);
	ADD("plain-text-is-no-handshake", &answers, is_refused);
	ADD("a-refused-starttls-is-the-owners-to-see", &refuses, is_refused);
	ADD("a-line-behind-the-answer-to-starttls-ends-it", &injects, is_refused);
	ADD("starttls-encrypts", &starttls, is_refused);
	ADD("starttls-verifies", &starttls_wrong, is_refused);
	return g_test_run();
}

/* tls-context.c: certificates, keys and rules that connections are encrypted with
 *
 * A server context has one SSL_CTX for each set of names. Its own rules must count, also those of the
 * version, which OpenSSL decides before it looks at the name: so the right one is taken when the
 * client's first message has come. Exact names are found in a table, then the name with its
 * first label replaced by '*' (RFC 6125 section 6.4.3). The table is filled before the context is
 * shared and never changed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "net/tls-private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct PhTlsContext {
	gatomicrefcount references;
	GPtrArray *contexts; /* of SSL_CTX; the first one is the default */
	GHashTable *names;   /* lower-case DNS name -> SSL_CTX (borrowed from contexts) */
	PhTime expiry;
	PhTlsSessions *sessions; /* (nullable) of a client's */
};

static const unsigned char session_context[] = "posthorn";

char *
ph_tls_reason(void)
{
	unsigned long code = ERR_get_error();
	const char *data = NULL;
	int flags = 0;
	const char *reason = NULL;
	g_autofree char *text = NULL;

	if (code == 0)
		return g_strdup("connection closed");
	ERR_peek_last_error_data(&data, &flags);
	reason = ERR_SYSTEM_ERROR(code) ? g_strerror(ERR_GET_REASON(code))
	                                : ERR_reason_error_string(code);
	text = g_strdup(reason != NULL ? reason : "unknown failure");
	ERR_clear_error();
	return g_steal_pointer(&text);
}

G_GNUC_PRINTF(3, 4)

static void
set_failure(GError **error, PhError code, const char *format, ...)
{
	g_autofree char *reason = ph_tls_reason();
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, PH_ERROR, (int) code, "%s: %s", text, reason);
}

static void
free_ssl(gpointer ssl)
{
	SSL_CTX_free(ssl);
}

static PhTlsContext *
new_context(void)
{
	PhTlsContext *context = g_new0(PhTlsContext, 1);

	g_atomic_ref_count_init(&context->references);
	context->contexts = g_ptr_array_new_with_free_func(free_ssl);
	context->names = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	context->expiry = G_MAXINT64;
	return context;
}

PhTlsContext *
ph_tls_context_ref(PhTlsContext *context)
{
	g_atomic_ref_count_inc(&context->references);
	return context;
}

void
ph_tls_context_unref(PhTlsContext *context)
{
	if (context == NULL || !g_atomic_ref_count_dec(&context->references))
		return;
	g_hash_table_unref(context->names);
	g_ptr_array_unref(context->contexts);
	ph_tls_sessions_free(context->sessions);
	g_free(context);
}

PhTlsSessions *
ph_tls_context_sessions(const PhTlsContext *context)
{
	return context->sessions;
}

SSL_CTX *
ph_tls_context_ssl(const PhTlsContext *context)
{
	return context->contexts->pdata[0];
}

void
ph_tls_end_thread(void)
{
	OPENSSL_thread_stop();
}

PhTime
ph_tls_context_expiry(const PhTlsContext *context)
{
	return context->expiry;
}

/* What server and client contexts have in common. */
static void
set_rules(SSL_CTX *ssl, uint32_t minimum_version)
{
	SSL_CTX_set_min_proto_version(ssl, minimum_version >= TLS1_3_VERSION ? TLS1_3_VERSION
	                                                                     : TLS1_2_VERSION);
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION
	                                 | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
	                              | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ssl, 1);
}

static SSL_CTX *
find_by_name(const PhTlsContext *context, PhSlice wanted)
{
	g_autofree char *folded = g_ascii_strdown(wanted.data, (gssize) wanted.length);
	SSL_CTX *found = g_hash_table_lookup(context->names, folded);
	const char *dot = strchr(folded, '.');

	if (found == NULL && dot != NULL) {
		g_autofree char *wild = g_strconcat("*", dot, NULL);

		found = g_hash_table_lookup(context->names, wild);
	}
	return found;
}

/* The host name in the extension (RFC 6066 section 3): a list of length, type 0, length, name. */
static PhSlice
asked_name(SSL *ssl)
{
	enum {
		HEAD = 5
	};

	const unsigned char *octets = NULL;
	size_t length = 0;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &octets, &length) != 1
	    || length <= HEAD || octets[2] != TLSEXT_NAMETYPE_host_name
	    || (size_t) octets[3] * 256 + octets[4] > length - HEAD)
		return PH_SLICE_EMPTY;
	return PH_SLICE((const char *) octets + HEAD, (size_t) octets[3] * 256 + octets[4]);
}

static int
choose_by_hello(SSL *ssl, int *alert, void *user_data)
{
	PhSlice wanted = asked_name(ssl);
	SSL_CTX *found = wanted.length > 0 ? find_by_name(user_data, wanted) : NULL;

	if (found == NULL || found == SSL_get_SSL_CTX(ssl))
		return SSL_CLIENT_HELLO_SUCCESS;
	SSL_set_SSL_CTX(ssl, found);
	SSL_set_min_proto_version(ssl, (int) SSL_CTX_get_min_proto_version(found));
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* Tells the client whether its name was known. */
static int
confirm_name(SSL *ssl, int *alert, void *user_data)
{
	const char *wanted = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	if (wanted == NULL || find_by_name(user_data, ph_slice(wanted)) == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static void
add_name(GPtrArray *names, const ASN1_STRING *text)
{
	PhSlice name = PH_SLICE((const char *) ASN1_STRING_get0_data(text),
	                        (size_t) ASN1_STRING_length(text));

	if (name.length > 0 && name.length <= 255 && ph_slice_is_ascii(name))
		g_ptr_array_add(names, g_ascii_strdown(name.data, (gssize) name.length));
}

/* The DNS names of a certificate: alternative names, else the common name. */
static char **
names_of(X509 *certificate)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; all != NULL && i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type == GEN_DNS)
			add_name(names, name->d.dNSName);
	}
	GENERAL_NAMES_free(all);
	if (names->len == 0) {
		X509_NAME *subject = X509_get_subject_name(certificate);
		int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

		if (at >= 0)
			add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	}
	g_ptr_array_add(names, NULL);
	return (char **) g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

static PhTime
end_of_validity(const X509 *certificate)
{
	struct tm when = { .tm_sec = 0 };

	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1)
		return G_MAXINT64;
	return (PhTime) timegm(&when) * G_USEC_PER_SEC;
}

static bool
is_readable(const char *path, GError **error)
{
	FILE *file = fopen(path, "re");

	if (file != NULL) {
		(void) fclose(file);
		return true;
	}
	g_set_error(error, PH_ERROR, errno == ENOENT ? PH_ERROR_NOT_FOUND : PH_ERROR_DENIED,
	            "cannot read '%s': %s", path, g_strerror(errno));
	return false;
}

static bool
load_pair(SSL_CTX *ssl, const PhTlsPair *pair, GError **error)
{
	if (!is_readable(pair->certificate, error) || !is_readable(pair->key, error))
		return false;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ssl, pair->certificate) != 1) {
		set_failure(error, PH_ERROR_INVALID, "'%s' holds no certificate that can be used",
		            pair->certificate);
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(ssl, pair->key, SSL_FILETYPE_PEM) == 1)
		return true;
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH
	    || ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH) {
		ERR_clear_error();
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "the key '%s' does not belong to the certificate '%s'", pair->key,
		            pair->certificate);
		return false;
	}
	set_failure(error, PH_ERROR_INVALID, "'%s' holds no private key that can be used",
	            pair->key);
	return false;
}

enum {
	TLS13_SUITES = 0x13, /* high octet of their numbers */
};

/* The order among the suites that the system allows: those of AES with 128 bits first, as RFC 8446 demands
 * them of everybody and their digest costs half. */
static void
order_suites(SSL_CTX *ssl)
{
	static const char first[] = "TLS_AES_128_GCM_SHA256";
	STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ssl);
	g_autoptr(GString) others = g_string_new(first);
	bool is_there = false;

	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
		const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
		const char *name = SSL_CIPHER_get_name(cipher);

		if (SSL_CIPHER_get_protocol_id(cipher) >> 8 != TLS13_SUITES)
			continue;
		if (strcmp(name, first) == 0)
			is_there = true;
		else
			g_string_append_printf(others, ":%s", name);
	}
	if (is_there)
		(void) SSL_CTX_set_ciphersuites(ssl, others->str);
}

bool
ph_tls_knows_ciphers(const char *list)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
	bool good = ssl != NULL && SSL_CTX_set_cipher_list(ssl, list) == 1;

	SSL_CTX_free(ssl);
	ERR_clear_error();
	return good;
}

static bool
set_ciphers(SSL_CTX *ssl, const PhTlsServerOptions *options, const PhTlsPair *pair, GError **error)
{
	const char *ciphers = pair->ciphers != NULL ? pair->ciphers : options->ciphers;

	if (ciphers != NULL && SSL_CTX_set_cipher_list(ssl, ciphers) != 1) {
		set_failure(error, PH_ERROR_INVALID, "ciphers '%s'", ciphers);
		return false;
	}
	if (options->cipher_suites == NULL)
		order_suites(ssl);
	if (options->cipher_suites != NULL
	    && SSL_CTX_set_ciphersuites(ssl, options->cipher_suites) != 1) {
		set_failure(error, PH_ERROR_INVALID, "cipher suites '%s'", options->cipher_suites);
		return false;
	}
	if (options->groups != NULL && SSL_CTX_set1_groups_list(ssl, options->groups) != 1) {
		set_failure(error, PH_ERROR_INVALID, "groups '%s'", options->groups);
		return false;
	}
	return true;
}

/* A certificate that nobody vouches for is as good as none; the result keeps why. */
static int
go_on_anyway(int verified, X509_STORE_CTX *context)
{
	return 1;
}

/* Sessions are taken up again only where the same would be asked of the client. */
static bool
set_session_context(SSL_CTX *ssl, const PhTlsServerOptions *options, GError **error)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree char *text = NULL;
	gsize length = 0;
	guint8 digest[SSL_MAX_SID_CTX_LENGTH];
	gsize n = sizeof digest;

	if (options->client_ca_file == NULL)
		return SSL_CTX_set_session_id_context(ssl, session_context,
		                                      sizeof session_context - 1)
		       == 1;
	if (!g_file_get_contents(options->client_ca_file, &text, &length, error))
		return false;
	g_checksum_update(sum, (const guchar *) (options->client_required ? "require" : "request"),
	                  -1);
	g_checksum_update(sum, (const guchar *) text, (gssize) length);
	g_checksum_get_digest(sum, digest, &n);
	return SSL_CTX_set_session_id_context(ssl, digest, (unsigned) n) == 1;
}

static bool
set_client_ca(SSL_CTX *ssl, const PhTlsServerOptions *options, GError **error)
{
	const char *path = options->client_ca_file;
	STACK_OF(X509_NAME) *names = NULL;

	if (!set_session_context(ssl, options, error))
		return false;
	if (path == NULL)
		return true;
	if (!is_readable(path, error))
		return false;
	names = SSL_load_client_CA_file(path);
	if (names == NULL || SSL_CTX_load_verify_file(ssl, path) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		set_failure(error, PH_ERROR_INVALID, "'%s' holds no certificates", path);
		return false;
	}
	SSL_CTX_set_client_CA_list(ssl, names);
	if (options->client_required)
		SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, go_on_anyway);
	return true;
}

static SSL_CTX *
new_server_ssl(PhTlsContext *context,
               const PhTlsServerOptions *options,
               const PhTlsPair *pair,
               GError **error)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());

	if (ssl == NULL) {
		set_failure(error, PH_ERROR_TEMPORARY, "cannot make a TLS context");
		return NULL;
	}
	set_rules(ssl,
	          pair->minimum_version != 0 ? pair->minimum_version : options->minimum_version);
	if (!options->client_preference)
		SSL_CTX_set_options(ssl,
		                    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_num_tickets(ssl, 1);
	SSL_CTX_set_client_hello_cb(ssl, choose_by_hello, context);
	SSL_CTX_set_tlsext_servername_callback(ssl, confirm_name);
	SSL_CTX_set_tlsext_servername_arg(ssl, context);
	ph_tls_ticket_install(ssl);
	if (set_ciphers(ssl, options, pair, error) && set_client_ca(ssl, options, error))
		return ssl;
	SSL_CTX_free(ssl);
	return NULL;
}

/* The context that already serves the first of these names with a key of another kind. */
static SSL_CTX *
find_sibling(const PhTlsContext *context, X509 *certificate, char **names)
{
	SSL_CTX *ssl = names[0] != NULL ? g_hash_table_lookup(context->names, names[0]) : NULL;
	bool more = ssl != NULL && SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_FIRST) == 1;

	while (more) {
		EVP_PKEY *there = X509_get0_pubkey(SSL_CTX_get0_certificate(ssl));

		if (EVP_PKEY_get_base_id(there)
		    == EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)))
			return NULL;
		more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_NEXT) == 1;
	}
	return ssl;
}

static void
take_names(PhTlsContext *context, SSL_CTX *ssl, char **names)
{
	for (size_t i = 0; names[i] != NULL; i++)
		if (!g_hash_table_contains(context->names, names[i]))
			g_hash_table_insert(context->names, g_strdup(names[i]), ssl);
}

static bool
add_pair(PhTlsContext *context,
         const PhTlsServerOptions *options,
         const PhTlsPair *pair,
         GError **error)
{
	SSL_CTX *ssl = new_server_ssl(context, options, pair, error);
	g_auto(GStrv) names = NULL;
	SSL_CTX *sibling = NULL;
	X509 *certificate = NULL;

	if (ssl == NULL)
		return false;
	if (!load_pair(ssl, pair, error)) {
		SSL_CTX_free(ssl);
		return false;
	}
	certificate = SSL_CTX_get0_certificate(ssl);
	names = pair->names != NULL ? g_strdupv((char **) (uintptr_t) pair->names)
	                            : names_of(certificate);
	context->expiry = MIN(context->expiry, end_of_validity(certificate));
	sibling = find_sibling(context, certificate, names);
	if (sibling != NULL) {
		bool loaded = load_pair(sibling, pair, error);

		SSL_CTX_free(ssl);
		return loaded;
	}
	g_ptr_array_add(context->contexts, ssl);
	take_names(context, ssl, names);
	return true;
}

PhTlsContext *
ph_tls_context_new_server(const PhTlsServerOptions *options, GError **error)
{
	g_autoptr(PhTlsContext) context = new_context();

	if (options->n_pairs == 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "no certificate is given");
		return NULL;
	}
	for (size_t i = 0; i < options->n_pairs; i++)
		if (!add_pair(context, options, &options->pairs[i], error))
			return NULL;
	return g_steal_pointer(&context);
}

static bool
set_trust(SSL_CTX *ssl, const char *ca_file, GError **error)
{
	if (ca_file == NULL) {
		if (SSL_CTX_set_default_verify_paths(ssl) == 1)
			return true;
		set_failure(error, PH_ERROR_TEMPORARY, "cannot read the system's trust store");
		return false;
	}
	if (!is_readable(ca_file, error))
		return false;
	if (SSL_CTX_load_verify_file(ssl, ca_file) == 1)
		return true;
	set_failure(error, PH_ERROR_INVALID, "'%s' holds no certificates", ca_file);
	return false;
}

PhTlsContext *
ph_tls_context_new_client(const char *ca_file, GError **error)
{
	g_autoptr(PhTlsContext) context = new_context();
	SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());

	if (ssl == NULL) {
		set_failure(error, PH_ERROR_TEMPORARY, "cannot make a TLS context");
		return NULL;
	}
	g_ptr_array_add(context->contexts, ssl);
	set_rules(ssl, TLS1_2_VERSION);
	context->sessions = ph_tls_sessions_new(ssl);
	if (!set_trust(ssl, ca_file, error))
		return NULL;
	return g_steal_pointer(&context);
}

bool
ph_tls_file_check(const PhTlsPair *pair, char ***names_out, PhTime *expiry_out, GError **error)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
	bool good = false;

	g_return_val_if_fail(ssl != NULL, false);
	good = load_pair(ssl, pair, error);
	if (good && names_out != NULL)
		*names_out = names_of(SSL_CTX_get0_certificate(ssl));
	if (good && expiry_out != NULL)
		*expiry_out = end_of_validity(SSL_CTX_get0_certificate(ssl));
	SSL_CTX_free(ssl);
	return good;
}

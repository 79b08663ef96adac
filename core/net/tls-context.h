/* tls-context.h: certificates, keys and rules that connections are encrypted with
 *
 * A context is immutable and counted: a reload makes a new one, and connections keep the one they
 * began with. Ticket keys belong to the process and change every hour, so that resumption goes on
 * over a reload. Only TLS 1.2 and 1.3; no renegotiation, no compression, no session cache.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_TLS_CONTEXT_H
#define PH_NET_TLS_CONTEXT_H

#include <posthorn/types.h>

typedef struct PhTlsContext PhTlsContext;

/* PhTlsPair: a certificate chain and its key, paths of PEM files. */
typedef struct {
	const char *certificate;
	const char *key;
	const char *const *names; /* (nullable) instead of those in the certificate */
	/* For clients that ask for its names; of two kinds of key for one name the first pair's
	 * count. */
	uint32_t minimum_version; /* 0x0303 or 0x0304; 0: the options' */
	const char *ciphers;      /* (nullable) the options' */
} PhTlsPair;

/* PhTlsServerOptions: what a server context is made of; borrowed for the call. */
typedef struct {
	const PhTlsPair *pairs; /* the first one serves clients that ask for no name we have */
	size_t n_pairs;
	uint32_t minimum_version;   /* 0x0303 or 0x0304 */
	const char *ciphers;        /* (nullable) OpenSSL list for TLS 1.2 */
	const char *cipher_suites;  /* (nullable) for TLS 1.3 */
	const char *groups;         /* (nullable) key exchange groups */
	const char *client_ca_file; /* (nullable) ask clients for a certificate of these */
	bool client_required;       /* and let nobody in without a good one */
	bool client_preference;     /* the client's order of ciphers counts */
} PhTlsServerOptions;

/* ph_tls_context_new_server: reads all files. Names come from the certificates; two certificates
 * for the same name with different kinds of key serve it together.
 * Returns: (owned) one reference; NULL with INVALID or NOT_FOUND that names the file and says what
 * is wrong with it (unreadable, not PEM, key of another certificate, out of date is only warned of
 * by the checker). Thread: any. Blocks: on the disk. */
PhTlsContext *ph_tls_context_new_server(const PhTlsServerOptions *options, GError **error);

/* ph_tls_knows_ciphers: is one of the TLS 1.2 ciphers in @list known? */
bool ph_tls_knows_ciphers(const char *list);

/* ph_tls_context_new_client: for outbound connections. @ca_file: (nullable) instead of the
 * system's trust store. Whether a peer is verified is said for each connection. */
PhTlsContext *ph_tls_context_new_client(const char *ca_file, GError **error);

/* ph_tls_context_for_client: the same, but made only once for each file as long as that does not
 * change; remembers sessions. Returns: (owned) one reference. Thread: any. */
PhTlsContext *ph_tls_context_for_client(const char *ca_file, GError **error);

PhTlsContext *ph_tls_context_ref(PhTlsContext *context);
void ph_tls_context_unref(PhTlsContext *context);

/* ph_tls_context_expiry: the earliest end of validity of the certificates. */
PhTime ph_tls_context_expiry(const PhTlsContext *context);

/* ph_tls_end_thread: frees what OpenSSL keeps for this thread, which is about to end: later, at the
 * end of the process, that could be too late. */
void ph_tls_end_thread(void);

/* ph_tls_file_check: can this pair be used, as `posthorn check` asks. @names_out: (out, owned,
 * nullable) DNS names in it. @expiry_out: (out, nullable). */
bool ph_tls_file_check(const PhTlsPair *pair,
                       char ***names_out,
                       PhTime *expiry_out,
                       GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhTlsContext, ph_tls_context_unref)

#endif

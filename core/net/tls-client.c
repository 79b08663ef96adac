/* tls-client.c: what outbound TLS connections share: trust stores, and sessions to go on with
 *
 * One context for each file of trusted certificates, made when it is first asked for and again when
 * the file has changed, so that a connection costs no reading. Each keeps the last session of a
 * bounded number of peers. A session is kept for the name that was verified when it began: going on
 * with it verifies nothing again. It is used once, as RFC 8446 appendix C.4 asks for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/lock.h"
#include "net/tls-private.h"

#include <sys/stat.h>

enum {
	SESSIONS_MAX = 256,
	CONTEXTS_MAX = 64
};

/* --- sessions --- */

typedef struct {
	char *peer;
	SSL_SESSION *session;
	GList link; /* oldest at the head */
} Kept;

struct PhTlsSessions {
	PhLock lock; /* guards both */
	GHashTable *by_peer;
	GQueue order;
};

static void
free_kept(void *data)
{
	Kept *kept = data;

	SSL_SESSION_free(kept->session);
	g_free(kept->peer);
	g_free(kept);
}

/* OpenSSL has made a session that can be taken up later. Returns: 1: its reference is ours. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	const char *peer = SSL_get_app_data(ssl);
	PhTlsSessions *sessions = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (peer == NULL || sessions == NULL)
		return 0;
	ph_tls_sessions_keep(sessions, peer, session);
	return 1;
}

PhTlsSessions *
ph_tls_sessions_new(SSL_CTX *ssl)
{
	PhTlsSessions *sessions = g_new0(PhTlsSessions, 1);

	ph_lock_init(&sessions->lock);
	sessions->by_peer = g_hash_table_new_full(ph_str_hash, g_str_equal, NULL, free_kept);
	g_queue_init(&sessions->order);
	SSL_CTX_set_app_data(ssl, sessions);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ssl, keep_session);
	return sessions;
}

void
ph_tls_sessions_free(PhTlsSessions *sessions)
{
	if (sessions == NULL)
		return;
	g_hash_table_unref(sessions->by_peer);
	ph_lock_clear(&sessions->lock);
	g_free(sessions);
}

/* Under the lock. */
static void
forget(PhTlsSessions *sessions, Kept *kept)
{
	g_queue_unlink(&sessions->order, &kept->link);
	g_hash_table_remove(sessions->by_peer, kept->peer);
}

void
ph_tls_sessions_keep(PhTlsSessions *sessions, const char *peer, SSL_SESSION *session)
{
	Kept *kept = g_new0(Kept, 1);
	Kept *before = NULL;

	kept->peer = g_strdup(peer);
	kept->session = session;
	kept->link.data = kept;
	PH_LOCKED(&sessions->lock);
	before = g_hash_table_lookup(sessions->by_peer, peer);
	if (before == NULL && sessions->order.length >= SESSIONS_MAX)
		before = sessions->order.head->data;
	if (before != NULL)
		forget(sessions, before);
	g_hash_table_insert(sessions->by_peer, kept->peer, kept);
	g_queue_push_tail_link(&sessions->order, &kept->link);
}

SSL_SESSION *
ph_tls_sessions_take(PhTlsSessions *sessions, const char *peer)
{
	Kept *kept = NULL;
	SSL_SESSION *session = NULL;
	PH_LOCKED(&sessions->lock);

	kept = g_hash_table_lookup(sessions->by_peer, peer);
	if (kept == NULL)
		return NULL;
	session = kept->session;
	SSL_SESSION_up_ref(session);
	forget(sessions, kept);
	return session;
}

/* --- contexts --- */

typedef struct {
	PhTlsContext *context;
	struct stat file; /* as it was read */
} Trust;

static PhLock trust_lock = PH_LOCK_INIT; /* guards the table */
static PhLock make_lock = PH_LOCK_INIT;  /* one is made at a time: who waits finds it then */
static GHashTable *trusts;               /* path of the file, "" for the system's -> Trust */

static void
free_trust(void *data)
{
	Trust *trust = data;

	ph_tls_context_unref(trust->context);
	g_free(trust);
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size
	       && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec
	       && a->st_ctim.tv_sec == b->st_ctim.tv_sec
	       && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static PhTlsContext *
find_trust(const char *key, const struct stat *file)
{
	const Trust *trust = NULL;
	PH_LOCKED(&trust_lock);

	if (trusts == NULL)
		trusts = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, free_trust);
	trust = g_hash_table_lookup(trusts, key);
	if (trust == NULL || !is_same_file(&trust->file, file))
		return NULL;
	return ph_tls_context_ref(trust->context);
}

static void
keep_trust(const char *key, const struct stat *file, PhTlsContext *context)
{
	Trust *trust = g_new0(Trust, 1);

	trust->context = ph_tls_context_ref(context);
	trust->file = *file;
	PH_LOCKED(&trust_lock);
	if (g_hash_table_size(trusts) >= CONTEXTS_MAX)
		g_hash_table_remove_all(trusts);
	g_hash_table_insert(trusts, g_strdup(key), trust);
}

PhTlsContext *
ph_tls_context_for_client(const char *ca_file, GError **error)
{
	const char *key = ca_file != NULL ? ca_file : "";
	struct stat file = { .st_size = 0 };
	PhTlsContext *context = NULL;

	/* A file that is not there: reading it says so. */
	if (ca_file != NULL)
		(void) stat(ca_file, &file);
	context = find_trust(key, &file);
	if (context != NULL)
		return context;
	PH_LOCKED(&make_lock);
	context = find_trust(key, &file);
	if (context != NULL)
		return context;
	context = ph_tls_context_new_client(ca_file, error);
	if (context != NULL)
		keep_trust(key, &file, context);
	return context;
}

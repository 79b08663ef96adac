/* partial.c: remembers which recipients already have a message whose sender was told to try again
 *
 * There is one answer for all recipients of a message. When some accounts have taken it and one
 * cannot for the moment, the answer is 451 and the client comes back with the same message. The
 * accounts that were served must not get it twice. Transaction ids cannot tell: they are random,
 * because two submissions of equal octets are two messages. So, in this rare case only, what was
 * served is written down before the 451 is sent, keyed by a hash over sender, octets (as received,
 * without our trace fields) and recipient. A retry finds it, skips those recipients, and when all
 * are served at last the records are withdrawn, so that the next equal message is new again. A
 * commit whose outcome is unknown is written down with its transaction id and repeated with it.
 *
 * The file is a log of records of 72 octets: fixed length, little endian, each with a check sum, so
 * that a torn end is recognised. Records expire after five days, the longest that clients retry
 * (RFC 5321 section 4.5.4.1). The file is rewritten when it is opened and when most of it is dead.
 * While nothing is remembered, which is nearly always, a submission costs one comparison here.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/partial.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/little.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	RECORD_OCTETS = 72,
	LOG_MAX = 4 * PH_PARTIAL_MAX, /* records before the file is rewritten */
};

#define FILE_NAME   "partial-deliveries"
#define LIFETIME_US (G_TIME_SPAN_DAY * 5)

typedef struct {
	PhPartialEntry entry;
	PhTime made;
} Held;

struct PhPartial {
	PhLock lock;       /* guards everything below */
	gint n_held;       /* also read without the lock */
	GHashTable *held;  /* key to Held */
	GHashTable *hints; /* hint to number of entries */
	int folder_fd;
	int fd;
	size_t n_records; /* in the file */
};

static guint
hash_key(gconstpointer key)
{
	guint hash;

	memcpy(&hash, key, sizeof hash);
	return hash;
}

static gboolean
equal_keys(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof((PhPartialEntry *) 0)->key) == 0;
}

/* --- records ---------------------------------------------------------------------------------- */

static uint32_t
checksum(const uint8_t *octets, size_t n)
{
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ octets[i]) * 16777619U;
	return sum;
}

static void
encode(const PhPartialEntry *entry, PhTime made, uint8_t *record)
{
	ph_put64(record, (uint64_t) made);
	ph_put32(record + 8, entry->kind);
	ph_put32(record + 12, entry->hint);
	memcpy(record + 16, entry->key, 32);
	memcpy(record + 48, entry->transaction, 16);
	ph_put32(record + 64, 0);
	ph_put32(record + 68, checksum(record, 68));
}

static bool
decode(const uint8_t *record, Held *held_out)
{
	if (ph_get32(record + 68) != checksum(record, 68))
		return false;
	held_out->made = (PhTime) ph_get64(record);
	held_out->entry.kind = (uint32_t) ph_get32(record + 8);
	held_out->entry.hint = (uint32_t) ph_get32(record + 12);
	memcpy(held_out->entry.key, record + 16, 32);
	memcpy(held_out->entry.transaction, record + 48, 16);
	return held_out->entry.kind >= PH_PARTIAL_SERVED
	       && held_out->entry.kind <= PH_PARTIAL_FORGOTTEN;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void
count_hint(PhPartial *partial, uint32_t hint, int change)
{
	gpointer key = GUINT_TO_POINTER(hint);
	int count = GPOINTER_TO_INT(g_hash_table_lookup(partial->hints, key)) + change;

	if (count > 0)
		g_hash_table_insert(partial->hints, key, GINT_TO_POINTER(count));
	else
		g_hash_table_remove(partial->hints, key);
}

static void
drop_held(PhPartial *partial, const uint8_t *key)
{
	const Held *held = g_hash_table_lookup(partial->held, key);

	if (held == NULL)
		return;
	count_hint(partial, held->entry.hint, -1);
	g_hash_table_remove(partial->held, key);
}

static void
apply(PhPartial *partial, const Held *held)
{
	drop_held(partial, held->entry.key);
	if (held->entry.kind != PH_PARTIAL_FORGOTTEN) {
		Held *copy = g_memdup2(held, sizeof *held);

		g_hash_table_replace(partial->held, copy->entry.key, copy);
		count_hint(partial, held->entry.hint, 1);
	}
	g_atomic_int_set(&partial->n_held, (gint) g_hash_table_size(partial->held));
}

static void
expire(PhPartial *partial, PhTime now)
{
	GHashTableIter iter;
	gpointer value = NULL;

	g_hash_table_iter_init(&iter, partial->held);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Held *held = value;

		if (held->made + LIFETIME_US > now && held->made <= now)
			continue;
		count_hint(partial, held->entry.hint, -1);
		g_hash_table_iter_remove(&iter);
	}
	g_atomic_int_set(&partial->n_held, (gint) g_hash_table_size(partial->held));
}

/* --- the file --------------------------------------------------------------------------------- */

static bool
fail(GError **error, const char *doing)
{
	int number = errno;

	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "could not %s '%s': %s", doing, FILE_NAME,
	            g_strerror(number));
	return false;
}

/* Writes what is held to a new file and opens it for adding. */
static bool
rewrite(PhPartial *partial, GError **error)
{
	size_t n = g_hash_table_size(partial->held);
	g_autofree uint8_t *octets = g_malloc(n * RECORD_OCTETS + 1);
	GHashTableIter iter;
	gpointer value = NULL;
	size_t at = 0;

	g_hash_table_iter_init(&iter, partial->held);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Held *held = value;

		encode(&held->entry, held->made, octets + at);
		at += RECORD_OCTETS;
	}
	if (!ph_durable_replace(partial->folder_fd, FILE_NAME, PH_SLICE((const char *) octets, at),
	                        0600, error))
		return false;
	if (partial->fd >= 0)
		close(partial->fd);
	partial->n_records = n;
	partial->fd =
		openat(partial->folder_fd, FILE_NAME, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return partial->fd >= 0 || fail(error, "open");
}

static bool
load(PhPartial *partial, GError **error)
{
	int fd = openat(partial->folder_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t record[RECORD_OCTETS];
	Held held;

	if (fd < 0)
		return errno == ENOENT || fail(error, "open");
	for (size_t i = 0; i < 2 * LOG_MAX; i++) {
		ssize_t got = pread(fd, record, sizeof record, (off_t) (i * RECORD_OCTETS));

		if (got != (ssize_t) sizeof record || !decode(record, &held))
			break;
		apply(partial, &held);
	}
	close(fd);
	return true;
}

PhPartial *
ph_partial_open(const char *folder, GError **error)
{
	PhPartial *partial = g_new0(PhPartial, 1);

	ph_lock_init(&partial->lock);
	partial->held = g_hash_table_new_full(hash_key, equal_keys, NULL, g_free);
	partial->hints = g_hash_table_new(NULL, NULL);
	partial->fd = -1;
	partial->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (partial->folder_fd < 0) {
		fail(error, "open the folder of");
		ph_partial_free(partial);
		return NULL;
	}
	if (!load(partial, error)) {
		ph_partial_free(partial);
		return NULL;
	}
	expire(partial, g_get_real_time());
	if (!rewrite(partial, error)) {
		ph_partial_free(partial);
		return NULL;
	}
	return partial;
}

void
ph_partial_free(PhPartial *partial)
{
	if (partial == NULL)
		return;
	if (partial->fd >= 0)
		close(partial->fd);
	if (partial->folder_fd >= 0)
		close(partial->folder_fd);
	g_hash_table_unref(partial->held);
	g_hash_table_unref(partial->hints);
	ph_lock_clear(&partial->lock);
	g_free(partial);
}

/* --- keys ------------------------------------------------------------------------------------- */

uint32_t
ph_partial_hint(const char *sender, uint64_t octets)
{
	uint32_t hint = checksum((const uint8_t *) sender, strlen(sender));

	return (hint ^ (uint32_t) octets ^ (uint32_t) (octets >> 32)) * 16777619U;
}

bool
ph_partial_expects(PhPartial *partial, uint32_t hint)
{
	if (g_atomic_int_get(&partial->n_held) == 0)
		return false;
	PH_LOCKED(&partial->lock);
	return g_hash_table_contains(partial->hints, GUINT_TO_POINTER(hint));
}

static bool
add_piece(PhSlice piece, void *user_data, GError **error)
{
	g_checksum_update(user_data, (const guchar *) piece.data, (gssize) piece.length);
	return true;
}

bool
ph_partial_digest(const char *sender, PhContent *content, uint8_t *digest_out, GError **error)
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize length = 32;
	bool good;

	/* The NUL ends the sender, so that no octet can move from one to the other. */
	g_checksum_update(sum, (const guchar *) sender, (gssize) strlen(sender) + 1);
	good = ph_content_each(content, 0, ph_content_length(content), add_piece, sum, error);
	if (good)
		g_checksum_get_digest(sum, digest_out, &length);
	g_checksum_free(sum);
	return good;
}

void
ph_partial_key(const uint8_t *digest, const char *recipient, uint8_t *key_out)
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize length = 32;

	g_checksum_update(sum, digest, 32);
	g_checksum_update(sum, (const guchar *) recipient, (gssize) strlen(recipient));
	g_checksum_get_digest(sum, key_out, &length);
	g_checksum_free(sum);
}

bool
ph_partial_find(PhPartial *partial, PhPartialEntry *entry)
{
	const Held *held = NULL;

	PH_LOCKED(&partial->lock);
	held = g_hash_table_lookup(partial->held, entry->key);
	if (held == NULL || held->made + LIFETIME_US < g_get_real_time())
		return false;
	entry->kind = held->entry.kind;
	memcpy(entry->transaction, held->entry.transaction, sizeof entry->transaction);
	return true;
}

/* Adds records to the file; after a failed write or sync its end is in doubt: rewrite it. */
static bool
append(PhPartial *partial, const PhPartialEntry *entries, size_t n, GError **error)
{
	g_autofree uint8_t *octets = g_malloc(n * RECORD_OCTETS);
	PhTime now = g_get_real_time();

	for (size_t i = 0; i < n; i++)
		encode(&entries[i], now, octets + i * RECORD_OCTETS);
	if (partial->fd < 0)
		return fail(error, "use");
	if (!ph_durable_write(partial->fd, PH_SLICE((const char *) octets, n * RECORD_OCTETS),
	                      error)
	    || !ph_durable_sync(partial->fd, error)) {
		close(partial->fd);
		partial->fd = -1;
		return false;
	}
	partial->n_records += n;
	return true;
}

bool
ph_partial_remember(PhPartial *partial, const PhPartialEntry *entries, size_t n, GError **error)
{
	PhTime now = g_get_real_time();

	PH_LOCKED(&partial->lock);
	if (g_hash_table_size(partial->held) + n > PH_PARTIAL_MAX)
		expire(partial, now);
	if (n > 0 && entries[0].kind != PH_PARTIAL_FORGOTTEN
	    && g_hash_table_size(partial->held) + n > PH_PARTIAL_MAX) {
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT,
		            "more than %d partly delivered recipients are waiting for a retry",
		            PH_PARTIAL_MAX);
		return false;
	}
	if ((partial->fd < 0 || partial->n_records + n > LOG_MAX) && !rewrite(partial, error))
		return false;
	if (!append(partial, entries, n, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		Held held = { .entry = entries[i], .made = now };

		apply(partial, &held);
	}
	return true;
}

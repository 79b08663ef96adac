/* cache.c: what directories have answered, for a while
 *
 * A wrong password and an unknown name are kept alike, each for the very password that was tried:
 * otherwise the quick answer would tell the two apart ([DIR-1]).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/cache.h"

#include <posthorn/plugin.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "config/config.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum {
	MAX_ENTRIES = 20000, /* of each table */
	DIGEST = 32,
};

typedef struct {
	const void *instance; /* of the directory */
	bool has_secret;
	const char *name;
} Key;

typedef struct {
	Key key; /* the name is owned */
	GList link;
	uint64_t version;
	uint64_t ends_us;
	PhVerify result;
	PhIdentity *identity; /* (nullable) */
	uint8_t digest[DIGEST];
} Entry;

typedef struct {
	GHashTable *entries; /* Key to Entry */
	GQueue order;        /* the one kept longest ago at the head */
} Table;

static struct {
	PhLock lock; /* guards all below */
	bool is_ready;
	Table right;
	Table wrong;
	uint8_t key[DIGEST];
} cache = { .lock = PH_LOCK_INIT };

static guint
hash_key(gconstpointer data)
{
	const Key *key = data;

	return ph_str_hash(key->name) ^ GPOINTER_TO_UINT(key->instance) ^ (key->has_secret ? 1 : 0);
}

static gboolean
equal_keys(gconstpointer a, gconstpointer b)
{
	const Key *left = a;
	const Key *right = b;

	return left->instance == right->instance && left->has_secret == right->has_secret
	       && strcmp(left->name, right->name) == 0;
}

static void
free_entry(gpointer data)
{
	Entry *entry = data;

	ph_identity_unref(entry->identity);
	ph_secret_wipe(entry->digest, sizeof entry->digest);
	g_free((char *) (uintptr_t) entry->key.name);
	g_free(entry);
}

static void
init_table(Table *table)
{
	table->entries = g_hash_table_new_full(hash_key, equal_keys, NULL, free_entry);
	g_queue_init(&table->order);
}

/* Under the lock. */
static void
make_ready(void)
{
	if (cache.is_ready)
		return;
	ph_secret_random(cache.key, sizeof cache.key);
	init_table(&cache.right);
	init_table(&cache.wrong);
	cache.is_ready = true;
}

static Key
key_of(const PhCacheQuestion *question)
{
	return (Key){ .instance = ph_section_instance(question->section),
		      .has_secret = question->secret != NULL,
		      .name = question->name };
}

/* The key never changes once it is there: no lock is needed to hash with it. */
static bool
digest_of(const PhCacheQuestion *question, uint8_t digest[DIGEST])
{
	PhSlice secret = PH_SLICE_EMPTY;
	unsigned length = 0;

	memset(digest, 0, DIGEST);
	if (question->secret == NULL)
		return true;
	secret = ph_secret_slice(question->secret);
	return HMAC(EVP_sha256(), cache.key, DIGEST, (const unsigned char *) secret.data,
	            secret.length, digest, &length)
	               != NULL
	       && length == DIGEST;
}

static void
remove_entry(Table *table, Entry *entry)
{
	g_queue_unlink(&table->order, &entry->link);
	g_hash_table_remove(table->entries, &entry->key);
}

/* Under the lock. Returns: (borrowed, nullable) an entry that still holds for this very question. */
static const Entry *
find_in(Table *table, const Key *key, uint64_t version, const uint8_t digest[DIGEST])
{
	Entry *entry = g_hash_table_lookup(table->entries, key);

	if (entry == NULL)
		return NULL;
	if (entry->version != version || ph_clock_us() >= entry->ends_us) {
		remove_entry(table, entry);
		return NULL;
	}
	return ph_secret_equal(PH_SLICE((const char *) entry->digest, DIGEST),
	                       PH_SLICE((const char *) digest, DIGEST))
	               ? entry
	               : NULL;
}

static const PhPluginSettings *
settings_of(const PhCacheQuestion *question)
{
	return question->section->core_settings;
}

uint64_t
ph_cache_version(const PhCacheQuestion *question)
{
	const PhPluginSettings *settings = settings_of(question);
	const PhDirectory *table = ph_section_table(question->section);

	if (settings == NULL || (settings->cache.us == 0 && settings->cache_negative.us == 0)
	    || (table->flags & PH_DIRECTORY_UNKEPT) != 0)
		return 0;
	return table->version != NULL ? table->version(ph_section_instance(question->section)) : 1;
}

bool
ph_cache_find(const PhCacheQuestion *question,
              uint64_t version,
              PhVerify *result_out,
              PhIdentity **identity_out)
{
	const Key key = key_of(question);
	const Entry *entry = NULL;
	uint8_t digest[DIGEST];

	if (version == 0)
		return false;
	ph_lock_take(&cache.lock);
	make_ready();
	ph_lock_drop(&cache.lock);
	if (!digest_of(question, digest))
		return false;
	PH_LOCKED(&cache.lock);
	entry = find_in(&cache.right, &key, version, digest);
	if (entry == NULL)
		entry = find_in(&cache.wrong, &key, version, digest);
	ph_secret_wipe(digest, sizeof digest);
	if (entry == NULL)
		return false;
	*result_out = entry->result;
	if (entry->identity != NULL)
		*identity_out = ph_identity_ref(entry->identity);
	return true;
}

static void
put(Table *table, Entry *entry)
{
	Entry *before = g_hash_table_lookup(table->entries, &entry->key);

	if (before != NULL)
		remove_entry(table, before);
	else if (g_hash_table_size(table->entries) >= MAX_ENTRIES)
		remove_entry(table, table->order.head->data);
	entry->link.data = entry;
	g_queue_push_tail_link(&table->order, &entry->link);
	g_hash_table_insert(table->entries, &entry->key, entry);
}

void
ph_cache_keep(const PhCacheQuestion *question,
              uint64_t version,
              PhVerify result,
              PhIdentity *identity)
{
	bool is_right = result == PH_VERIFY_OK && identity != NULL;
	bool is_wrong = result == PH_VERIFY_WRONG || result == PH_VERIFY_UNKNOWN_USER;
	PhDuration time = { 0 };
	Entry *entry = NULL;

	if (version == 0 || (!is_right && !is_wrong))
		return;
	time = is_right ? settings_of(question)->cache : settings_of(question)->cache_negative;
	if (time.us == 0)
		return;
	entry = g_new0(Entry, 1);
	entry->key = key_of(question);
	entry->key.name = g_strdup(question->name);
	entry->version = version;
	entry->ends_us = ph_clock_us() + time.us;
	entry->result = result;
	entry->identity = is_right ? ph_identity_ref(identity) : NULL;
	if (!digest_of(question, entry->digest)) {
		free_entry(entry);
		return;
	}
	PH_LOCKED(&cache.lock);
	make_ready();
	put(is_right ? &cache.right : &cache.wrong, entry);
}

static void
empty(Table *table)
{
	g_queue_init(&table->order);
	g_hash_table_remove_all(table->entries);
}

void
ph_cache_forget(void)
{
	PH_LOCKED(&cache.lock);

	if (!cache.is_ready)
		return;
	empty(&cache.right);
	empty(&cache.wrong);
}

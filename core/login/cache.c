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
	MAX_ENTRIES = 20000,   /* of each table */
	MEMBERS_OCTETS = 1024, /* of a list that is kept */
	DIGEST = 32,
};

typedef enum {
	KEY_LOOKUP,
	KEY_VERIFY,
	KEY_LIST,
} KeyKind;

typedef struct {
	const void *instance; /* of the directory */
	KeyKind kind;
	const char *name;
} Key;

typedef struct {
	Key key; /* the name is owned */
	GList link;
	uint64_t version;
	uint64_t ends_us;
	PhCacheAnswer answer;
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

	return ph_str_hash(key->name) ^ GPOINTER_TO_UINT(key->instance) ^ (guint) key->kind;
}

static gboolean
equal_keys(gconstpointer a, gconstpointer b)
{
	const Key *left = a;
	const Key *right = b;

	return left->instance == right->instance && left->kind == right->kind
	       && strcmp(left->name, right->name) == 0;
}

static void
free_entry(gpointer data)
{
	Entry *entry = data;

	ph_identity_unref(entry->answer.identity);
	if (entry->answer.members != NULL)
		g_ptr_array_unref(entry->answer.members);
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
	KeyKind kind = question->secret != NULL ? KEY_VERIFY : KEY_LOOKUP;

	return (Key){ .instance = ph_section_instance(question->section),
		      .kind = question->is_list ? KEY_LIST : kind,
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

static PhCacheAnswer
copy_answer(const PhCacheAnswer *answer)
{
	PhCacheAnswer copy = *answer;

	if (copy.identity != NULL)
		ph_identity_ref(copy.identity);
	if (copy.members != NULL)
		g_ptr_array_ref(copy.members);
	return copy;
}

bool
ph_cache_find(const PhCacheQuestion *question, uint64_t version, PhCacheAnswer *answer_out)
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
	*answer_out = copy_answer(&entry->answer);
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

static bool
is_short(const GPtrArray *members)
{
	size_t octets = 0;

	for (guint i = 0; members != NULL && i < members->len && octets <= MEMBERS_OCTETS; i++)
		octets += strlen(members->pdata[i]) + 1;
	return octets <= MEMBERS_OCTETS;
}

/* How long such an answer is kept; 0: not at all. */
static uint64_t
keep_us(const PhCacheQuestion *question, const PhCacheAnswer *answer)
{
	bool is_complete = question->is_list ? answer->members != NULL && is_short(answer->members)
	                                     : answer->identity != NULL;

	if (answer->result == PH_VERIFY_OK)
		return is_complete ? settings_of(question)->cache.us : 0;
	if (answer->result == PH_VERIFY_WRONG || answer->result == PH_VERIFY_UNKNOWN_USER)
		return settings_of(question)->cache_negative.us;
	return 0;
}

void
ph_cache_keep(const PhCacheQuestion *question, uint64_t version, const PhCacheAnswer *answer)
{
	uint64_t time_us = version != 0 ? keep_us(question, answer) : 0;
	Entry *entry = NULL;

	if (time_us == 0)
		return;
	entry = g_new0(Entry, 1);
	entry->key = key_of(question);
	entry->key.name = g_strdup(question->name);
	entry->version = version;
	entry->ends_us = ph_clock_us() + time_us;
	entry->answer = answer->result == PH_VERIFY_OK
	                        ? copy_answer(answer)
	                        : (PhCacheAnswer){ .result = answer->result };
	if (!digest_of(question, entry->digest)) {
		free_entry(entry);
		return;
	}
	PH_LOCKED(&cache.lock);
	make_ready();
	put(answer->result == PH_VERIFY_OK ? &cache.right : &cache.wrong, entry);
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

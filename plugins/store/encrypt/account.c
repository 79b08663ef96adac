/* account.c: the data keys of one account, kept as values in the store below
 *
 * Each key is a value of its own, named by a random id, so two processes that open a new account at
 * the same moment make two keys and lose none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "account.h"

#include <posthorn/log.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include <string.h>

#define KEY_PREFIX RESERVED_PREFIX "key/"

static void
append_hex(GString *out, PhSlice octets)
{
	for (size_t i = 0; i < octets.length; i++)
		g_string_append_printf(out, "%02x", (unsigned char) octets.data[i]);
}

static char *
name_of(const uint8_t *id)
{
	GString *name = g_string_new(KEY_PREFIX);

	append_hex(name, PH_SLICE((const char *) id, KEY_ID));
	return g_string_free(name, FALSE);
}

static bool
parse_name(const char *name, uint8_t *id_out)
{
	const char *hex = name + strlen(KEY_PREFIX);

	if (strlen(hex) != 2 * (size_t) KEY_ID)
		return false;
	for (size_t i = 0; i < KEY_ID; i++) {
		int high = g_ascii_xdigit_value(hex[2 * i]);
		int low = g_ascii_xdigit_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		id_out[i] = (uint8_t) (high << 4 | low);
	}
	return true;
}

static const Key *
look_up(const Account *account, const char *id)
{
	for (guint i = 0; i < account->keys->len; i++) {
		const Key *key = &g_array_index(account->keys, Key, i);

		if (memcmp(key->id, id, KEY_ID) == 0)
			return key;
	}
	return NULL;
}

/* Stored: a wrapped key as it was read. */
typedef struct {
	uint8_t id[KEY_ID];
	char wrapped[WRAPPED];
	size_t length; /* 0: of a length that no key has */
} Stored;

static bool
take_stored(const char *name, PhSlice value, void *user_data)
{
	GArray *all = user_data;
	Stored stored = { { 0 }, { 0 }, 0 };

	if (!parse_name(name, stored.id))
		return true;
	if (value.length <= WRAPPED) {
		memcpy(stored.wrapped, value.data, value.length);
		stored.length = value.length;
	}
	(void) g_array_append_val(all, stored);
	return true;
}

static GArray *
read_stored(Account *account, GError **error)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(Stored));

	if (ph_below_values(account, NULL, KEY_PREFIX, take_stored, all, error))
		return all;
	g_array_unref(all);
	return NULL;
}

/* Those that are not known yet. @account is locked. */
static bool
unwrap_all(Account *account, const GArray *all, GError **error)
{
	uint64_t last = 0;

	for (guint i = 0; i < all->len; i++) {
		const Stored *stored = &g_array_index(all, Stored, i);
		Key key;
		bool good = false;

		if (look_up(account, (const char *) stored->id) != NULL)
			continue;
		memcpy(key.id, stored->id, KEY_ID);
		good = key_unwrap(&account->instance->masters,
		                  PH_SLICE(stored->wrapped, stored->length), account->address, &key,
		                  error);
		if (good)
			(void) g_array_append_val(account->keys, key);
		if (good && key.made >= last)
			account->is_outdated = !key_is_wrapped_by_newest(
				&account->instance->masters,
				PH_SLICE(stored->wrapped, stored->length));
		last = MAX(last, key.made);
		ph_secret_wipe(&key, sizeof key);
		if (!good)
			return false;
	}
	return true;
}

bool
account_load_keys(Account *account, GError **error)
{
	g_autoptr(GArray) all = read_stored(account, error);
	bool good = false;

	if (all == NULL)
		return false;
	(void) pthread_mutex_lock(&account->lock);
	good = unwrap_all(account, all, error);
	(void) pthread_mutex_unlock(&account->lock);
	return good;
}

static bool
put_key(Account *account, const Key *key, GError **error)
{
	static const char *const no_keywords[] = { NULL };
	g_autofree char *name = name_of(key->id);
	char wrapped[WRAPPED];
	PhOp op = {
		.kind = PH_OP_PUT,
		.is_account_value = true,
		.keywords = no_keywords,
		.key = name,
		.value = PH_SLICE(wrapped, WRAPPED),
	};
	PhOp *ops[] = { &op };
	PhTransaction transaction = { .ops = ops, .n_ops = 1 };
	PhTransaction *batch[] = { &transaction };

	key_wrap(&account->instance->masters, key, account->address, wrapped);
	ph_secret_random(transaction.id, sizeof transaction.id);
	if (!ph_below_commit(account, batch, 1, error))
		return false;
	if (!transaction.done && transaction.error != NULL)
		g_propagate_error(error, transaction.error);
	else if (!transaction.done)
		ph_error_set(error, PH_ERROR_TEMPORARY, "the key of '%s' was not kept",
		             account->address);
	return transaction.done;
}

/* The one that was made last; those of one second have some order, the same for everybody. */
static const Key *
newest(const Account *account)
{
	const Key *found = NULL;

	for (guint i = 0; i < account->keys->len; i++) {
		const Key *key = &g_array_index(account->keys, Key, i);

		if (found == NULL || key->made > found->made
		    || (key->made == found->made && memcmp(key->id, found->id, KEY_ID) > 0))
			found = key;
	}
	return found;
}

/* Whoever had the older master key may know the keys that it wraps. */
static bool
is_too_old(const Account *account, const Key *key, uint64_t now)
{
	uint64_t renew_after = account->instance->renew_after;

	return account->is_outdated
	       || (renew_after > 0 && key->made < now && now - key->made >= renew_after);
}

bool
account_make_key(Account *account, GError **error)
{
	uint64_t now = (uint64_t) g_get_real_time() / G_USEC_PER_SEC;
	const Key *before = newest(account);
	g_autoptr(GError) why = NULL;
	Key key;
	bool good = false;

	if (before != NULL && !is_too_old(account, before, now))
		return true;
	ph_secret_random(key.id, KEY_ID);
	ph_secret_random(key.key, KEY);
	/* a clock that was set back makes no key that is older than those before */
	key.made = before != NULL ? MAX(now, before->made + 1) : now;
	good = put_key(account, &key, &why);
	if (good)
		(void) g_array_append_val(account->keys, key);
	ph_secret_wipe(&key, sizeof key);
	if (good || before == NULL) {
		if (why != NULL)
			g_propagate_error(error, g_steal_pointer(&why));
		return good;
	}
	ph_log_section(account->instance->self, PH_LOG_WARNING, "encrypt-not-renewed",
	               "no new key could be made; the one before goes on to encrypt",
	               PH_LOG_TEXT("account", account->address), PH_LOG_FAILURE(why), PH_LOG_END);
	return true;
}

void
account_seal_key(Account *account, Key *key_out)
{
	(void) pthread_mutex_lock(&account->lock);
	*key_out = *newest(account);
	(void) pthread_mutex_unlock(&account->lock);
}

bool
account_known_key(Account *account, PhSlice id, Key *key_out)
{
	const Key *key = NULL;

	(void) pthread_mutex_lock(&account->lock);
	key = look_up(account, id.data);
	if (key != NULL)
		*key_out = *key;
	(void) pthread_mutex_unlock(&account->lock);
	return key != NULL;
}

void
account_fail_unknown(const Account *account, PhSlice id, GError **error)
{
	g_autoptr(GString) name = g_string_new(NULL);

	append_hex(name, id);
	ph_error_set(error, PH_ERROR_CORRUPT, "encrypted with key %s, which '%s' does not have",
	             name->str, account->address);
}

bool
account_find_key(Account *account, PhSlice id, Key *key_out, GError **error)
{
	if (account_known_key(account, id, key_out))
		return true;
	if (!account_load_keys(account, error))
		return false;
	if (account_known_key(account, id, key_out))
		return true;
	account_fail_unknown(account, id, error);
	return false;
}

/* Returns: false with @error when it cannot be wrapped anew. */
static bool
rewrap(Account *account, const Stored *stored, GError **error)
{
	Key key;
	bool good =
		account_find_key(account, PH_SLICE((const char *) stored->id, KEY_ID), &key, error)
		&& put_key(account, &key, error);

	ph_secret_wipe(&key, sizeof key);
	return good;
}

bool
account_check_keys(Account *account,
                   bool repair,
                   PhListLineFunc report,
                   void *user_data,
                   GError **error)
{
	g_autoptr(GArray) all = read_stored(account, error);
	unsigned n_wrapped = 0;

	for (guint i = 0; all != NULL && i < all->len; i++) {
		const Stored *stored = &g_array_index(all, Stored, i);

		if (key_is_wrapped_by_newest(&account->instance->masters,
		                             PH_SLICE(stored->wrapped, stored->length)))
			continue;
		if (repair && !rewrap(account, stored, error))
			return false;
		n_wrapped += repair;
		report(repair ? "a key that an older master key wrapped was wrapped anew"
		              : "a key is wrapped by an older master key",
		       user_data);
	}
	/* the old master key may go as soon as this was said */
	return all != NULL && (n_wrapped == 0 || ph_below_sync(account, error));
}

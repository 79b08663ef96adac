/* mbox.c: a store that keeps each mailbox in one file, as mail programs have done since 1975
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mbox.h"

#include <posthorn/content.h>
#include <posthorn/slice.h>
#include <posthorn/watch.h>

#include <unistd.h>

static const char *const variants[] = { "auto", "mboxo", "mboxrd", "mboxcl", "mboxcl2", NULL };

static const PhOption options[] = {
	PH_OPTION_TEMPLATE(Settings,
	                   inbox,
	                   "{data}/mail/{domain}/{user}/inbox",
	                   "the file of INBOX, for instance /var/mail/{user}"),
	PH_OPTION_TEMPLATE(Settings,
	                   folders,
	                   "{data}/mail/{domain}/{user}/folders",
	                   "the folder below which all other mailboxes lie"),
	PH_OPTION_TEMPLATE(Settings,
	                   index,
	                   "{data}/mail/{domain}/{user}/index.sqlite",
	                   "the database of uids, flags and places; other files lie beside it"),
	PH_OPTION_CHOICE(
		Settings,
		variant,
		"auto",
		variants,
		"how mail is read: auto believes Content-Length where it leads to a message"),
	PH_OPTION_LIST(Settings,
	               write_locks,
	               "fcntl, dotlock-try",
	               "locks for writing, in this order: dotlock, dotlock-try, fcntl, flock"),
	PH_OPTION_LIST(Settings, read_locks, "fcntl", "locks for reading: fcntl, flock"),
	PH_OPTION_DURATION(Settings,
	                   lock_timeout,
	                   "30s",
	                   "how long a lock is waited for before the answer is: try later"),
	PH_OPTION_DURATION(
		Settings,
		stale_lock,
		"2min",
		"a dot lock is removed when neither it nor the mailbox was touched so long"),
	PH_OPTION_DURATION(Settings,
	                   write_delay,
	                   "30s",
	                   "how long flags may be in the index only before they go into the file"),
	PH_OPTION_SIZE(Settings,
	               in_place,
	               "16M",
	               "up to so much is moved within the file; for more the file is written anew"),
	PH_OPTION_DURATION(Settings,
	                   grace,
	                   "1h",
	                   "how long a message can still be read after it was expunged"),
	PH_OPTION_SIZE(Settings, largest, "0", "the largest message that is taken; 0: no limit"),
	PH_OPTIONS_END,
};

/* --- sections ------------------------------------------------------------------------------------ */

typedef struct {
	Settings settings;
	PhSection *section;
} Instance;

static bool
check_locks(const char *const *words, const char *key, GError **error)
{
	for (; words != NULL && *words != NULL; words++) {
		if (file_is_lock_word(*words))
			continue;
		ph_error_set(error, PH_ERROR_INVALID,
		             "%s: '%s' is no lock; there are dotlock, dotlock-try, fcntl and flock",
		             key, *words);
		return false;
	}
	return true;
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *wanted = settings;
	Instance *instance = NULL;

	if (!check_locks(wanted->write_locks, "write-locks", error)
	    || !check_locks(wanted->read_locks, "read-locks", error))
		return false;
	instance = g_new0(Instance, 1);
	instance->settings = *wanted;
	instance->section = section;
	*instance_out = instance;
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

/* --- accounts ------------------------------------------------------------------------------------- */

static guint
id_hash(gconstpointer key)
{
	guint value = 0;

	memcpy(&value, key, sizeof value);
	return value;
}

static gboolean
id_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(PhMailboxId)) == 0;
}

static void
account_free(void *data)
{
	Account *account = data;

	g_hash_table_destroy(account->plan);
	g_hash_table_destroy(account->dirty);
	g_hash_table_destroy(account->told);
	g_hash_table_destroy(account->uploads);
	g_ptr_array_unref(account->former);
	g_ptr_array_unref(account->watches);
	(void) pthread_mutex_destroy(&account->lock);
	(void) pthread_mutex_destroy(&account->writer);
	if (account->lock_fd >= 0)
		(void) close(account->lock_fd);
	g_free(account->inbox);
	g_free(account->folders);
	g_free(account->path);
	g_free(account);
}

static Account *
account_new(const Instance *instance, const PhIdentity *identity)
{
	Account *account = g_new0(Account, 1);

	account->section = instance->section;
	account->settings = instance->settings;
	account->inbox = ph_section_expand(instance->settings.inbox, identity);
	account->folders = ph_section_expand(instance->settings.folders, identity);
	account->path = ph_section_expand(instance->settings.index, identity);
	account->lock_fd = -1;
	account->plan = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	account->dirty = g_hash_table_new_full(id_hash, id_equal, g_free, g_free);
	account->told = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	account->uploads = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
	                                         (GDestroyNotify) ph_content_unref);
	account->watches = g_ptr_array_new_with_free_func((GDestroyNotify) ph_watch_free);
	account->former = g_ptr_array_new_with_free_func(former_free);
	(void) pthread_mutex_init(&account->lock, NULL);
	(void) pthread_mutex_init(&account->writer, NULL);
	return account;
}

static bool
open_index(Account *account, const PhIdentity *identity, GError **error)
{
	const PhIndexParams params = {
		.size = sizeof params,
		.path = account->path,
		.hooks = &run_hooks,
		.user_data = account,
		.free = account_free,
		.quota_octets = ph_identity_quota_octets(identity),
		.quota_messages = ph_identity_quota_messages(identity),
	};

	account->index = ph_index_open(&params, error);
	if (account->index == NULL) {
		account_free(account);
		return false;
	}
	return true;
}

static bool
open_account(void *data, const PhIdentity *identity, void **account_out, GError **error)
{
	Account *account = account_new(data, identity);
	bool good = false;

	if (!open_index(account, identity, error))
		return false;
	good = file_lock_account(account, error);
	if (good) {
		bool is_new = subscriptions_are_unknown(account);

		/* first, so that it is done once more when it fails: then the index is new as before */
		good = (!is_new || subscriptions_take_over(account, error))
		       && list_sync(account, error);
		octets_expire(account);
		file_unlock_account(account);
	}
	if (!good) {
		ph_index_unref(account->index);
		return false;
	}
	*account_out = account;
	return true;
}

static void
close_account(void *data)
{
	Account *account = data;

	watch_end(account);
	(void) pthread_mutex_lock(&account->writer);
	if ((g_hash_table_size(account->dirty) > 0 || account->former->len > 0)
	    && file_lock_account(account, NULL)) {
		rewrite_due(account, true);
		former_close(account, true);
		file_unlock_account(account);
	}
	(void) pthread_mutex_unlock(&account->writer);
	ph_index_unref(account->index);
}

/* --- other programs ------------------------------------------------------------------------------ */

static bool
refresh_box(Account *account, const PhMailboxId *mailbox, GError **error)
{
	Box box;
	File file;
	bool good = false;

	if (account->former->len == 0 && open_is_same(account, mailbox))
		return true;
	good = open_box(account, mailbox, FILE_WRITE, &box, &file, error);
	if (good)
		file_close(&file);
	return good;
}

static bool
refresh(void *data, const PhMailboxId *mailbox, GError **error)
{
	Account *account = data;
	bool good = false;

	(void) pthread_mutex_lock(&account->writer);
	good = file_lock_account(account, error);
	if (good) {
		good = mailbox != NULL ? refresh_box(account, mailbox, error)
		                       : list_sync(account, error);
		rewrite_due(account, false);
		former_close(account, false);
		file_unlock_account(account);
	}
	(void) pthread_mutex_unlock(&account->writer);
	return good;
}

static const PhStore store = {
	.size = sizeof store,
	.abilities = PH_STORE_EXACT_QUOTA | PH_STORE_SHARED_PROCESSES | PH_STORE_FOREIGN_WRITERS,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = ph_index_store_mailboxes,
	.changes = ph_index_store_changes,
	.values = ph_index_store_values,
	.upload = octets_upload,
	.abandon = octets_abandon,
	.content = octets_content,
	.commit = commit_batch,
	.forget = ph_index_store_forget,
	.refresh = refresh,
	.watch = watch_account,
	.verify = verify_account,
	.compact = verify_compact,
};

static const PhOffer offers[] = { PH_OFFER_STORE("mbox", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "mbox",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "one file a mailbox, shared with mutt, procmail, UW-IMAP and Dovecot",
	.options = options,
	.offers = offers,
};

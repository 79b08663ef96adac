/* maildir.c: a store that keeps mail in maildirs, which other programs may use as well
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "hints.h"
#include "scan.h"
#include "uidlist.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char *const layouts[] = { "maildir++", "hierarchical", NULL };
static const char *const name_words[] = { "utf-7", "utf-8", NULL };
static const char *const line_words[] = { "lf", "crlf", NULL };

static const PhOption options[] = {
	PH_OPTION_TEMPLATE(Settings,
	                   path,
	                   "{data}/mail/{domain}/{user}/Maildir",
	                   "the maildir of one account: its INBOX, other folders in it"),
	PH_OPTION_TEMPLATE(Settings,
	                   index,
	                   PH_ABSENT,
	                   "folder for the index and removed mail, on the same file system; "
	                   "otherwise 'posthorn' in the maildir"),
	PH_OPTION_CHOICE(Settings,
	                 layout,
	                 "maildir++",
	                 layouts,
	                 "where folders lie: '.A.B' beside cur, or A/B"),
	PH_OPTION_CHOICE(Settings,
	                 names,
	                 "utf-7",
	                 name_words,
	                 "how letters beyond ASCII are written in folder names"),
	PH_OPTION_CHOICE(Settings,
	                 line_ends,
	                 "lf",
	                 line_words,
	                 "line ends of the files that are written; both kinds are read"),
	PH_OPTION_DURATION(Settings,
	                   grace,
	                   "1h",
	                   "how long a message can still be read after it was expunged"),
	PH_OPTION_SIZE(Settings, largest, "0", "the largest message that is taken; 0: no limit"),
	PH_OPTION_BOOLEAN(
		Settings,
		deferred,
		"yes",
		"with a journal, commit without a sync: quicker, but a new file stays in tmp "
		"for a second"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Settings *instance = g_memdup2(settings, sizeof *instance);

	instance->section = section;
	*instance_out = instance;
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

/* --- accounts ------------------------------------------------------------------------------------ */

static guint
id_hash(gconstpointer key)
{
	guint value = 0;

	memcpy(&value, ((const PhMailboxId *) key)->octets, sizeof value);
	return value;
}

static gboolean
id_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(PhMailboxId)) == 0;
}

static void
folder_free(void *data)
{
	Folder *folder = data;

	if (folder == NULL)
		return;
	g_free(folder->path);
	g_free(folder->name);
	hints_free(folder->hints);
	g_free(folder);
}

static void
account_free(void *data)
{
	Account *account = data;
	const int fds[] = { account->root_fd, account->place_fd, account->lock_fd };

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		if (fds[i] >= 0)
			(void) close(fds[i]);
	g_hash_table_destroy(account->folders);
	for (guint i = 0; i < account->numbered->len; i++)
		folder_free(g_ptr_array_index(account->numbered, i));
	g_ptr_array_unref(account->numbered);
	g_array_unref(account->arrivals);
	deliver_forget_late(account);
	g_byte_array_unref(account->drops);
	g_array_unref(account->notes);
	g_array_unref(account->plans);
	g_clear_pointer(&account->own, g_hash_table_unref);
	g_hash_table_unref(account->kept);
	g_hash_table_unref(account->uploads);
	g_hash_table_unref(account->stuck);
	(void) pthread_mutex_destroy(&account->lock);
	g_free(account->root);
	g_free(account->place);
	g_free(account);
}

static Account *
account_new(const Settings *settings, const PhIdentity *identity)
{
	Account *account = g_new0(Account, 1);

	account->settings = *settings;
	account->root = ph_section_expand(settings->path, identity);
	account->place = settings->index != NULL
	                         ? ph_section_expand(settings->index, identity)
	                         : g_build_filename(account->root, "posthorn", NULL);
	account->settings.path = account->settings.index = NULL; /* the instance's */
	account->root_fd = account->place_fd = account->lock_fd = -1;
	account->folders = g_hash_table_new(id_hash, id_equal);
	account->numbered = g_ptr_array_new();
	account->arrivals = g_array_new(FALSE, FALSE, sizeof(Arrival));
	account->late = g_array_new(FALSE, FALSE, sizeof(Arrival));
	account->drops = g_byte_array_new();
	account->notes = g_array_new(FALSE, FALSE, sizeof(Note));
	account->plans = g_array_new(FALSE, FALSE, sizeof(Plan));
	ph_secret_random(&account->next_copy, sizeof account->next_copy);
	ph_secret_random(&account->instance_id, sizeof account->instance_id);
	account->instance_id &= INT64_MAX;
	(void) pthread_mutex_init(&account->lock, NULL);
	account->kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	account->uploads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	account->stuck = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return account;
}

static bool
open_folders(Account *account, GError **error)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	g_autofree char *trash = g_build_filename(account->place, "trash", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *part = g_build_filename(account->root, parts[i], NULL);

		if (!ph_durable_make_folder(part, 0700, error))
			return false;
	}
	if (!ph_durable_make_folder(trash, 0700, error))
		return false;
	account->root_fd = open(account->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	account->place_fd = open(account->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	account->lock_fd =
		openat(account->place_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (account->root_fd >= 0 && account->place_fd >= 0 && account->lock_fd >= 0)
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot open '%s'", account->root);
	return false;
}

/* A new index takes over what is there; an old one finishes what a crash has left. */
static bool
settle_in(Account *account, GError **error)
{
	bool good = folders_load(account, error) && deliver_resume(account, error)
	            && tidy_resume(account, error) && folders_follow(account, NULL, error);

	if (good && g_hash_table_size(account->folders) == 0) {
		(void) flock(account->lock_fd, LOCK_EX);
		good = folders_look(account, error);
		(void) flock(account->lock_fd, LOCK_UN);
	}
	return good && subscriptions_look(account, error) && tidy_expect(account, error);
}

static bool
open_account(void *instance, const PhIdentity *identity, void **account_out, GError **error)
{
	Account *account = account_new(instance, identity);
	g_autofree char *path = g_build_filename(account->place, "index.sqlite", NULL);
	PhIndexParams params = {
		.size = sizeof params,
		.path = path,
		.hooks = &maildir_hooks,
		.user_data = account,
		.free = account_free,
		.quota_octets = ph_identity_quota_octets(identity),
		.quota_messages = ph_identity_quota_messages(identity),
	};

	if (!open_folders(account, error)) {
		account_free(account);
		return false;
	}
	account->index = ph_index_open(&params, error);
	if (account->index == NULL) {
		account_free(account);
		return false;
	}
	if (!settle_in(account, error)) {
		ph_index_unref(account->index);
		return false;
	}
	*account_out = account;
	return true;
}

static bool
watch(void *data, void (*func)(void *user_data), void *user_data, GError **error)
{
	hints_watch(data, func, user_data);
	return true;
}

static void
close_account(void *data)
{
	Account *account = data;

	tidy_finally(account);
	if (account->watches != NULL)
		scan_end(account);
	hints_unwatch(account);
	ph_index_unref(account->index);
}

/* --- the index's answers ------------------------------------------------------------------------- */

static bool
mailboxes(void *data,
          PhMailboxInfoFunc func,
          void *user_data,
          uint64_t *list_change_out,
          GError **error)
{
	Account *account = data;

	return ph_index_mailboxes(account->index, func, user_data, list_change_out, error);
}

static bool
changes(void *data,
        const PhMailboxId *mailbox,
        const PhChangesQuery *query,
        PhChangesResult *result_out,
        GError **error)
{
	Account *account = data;

	return ph_index_changes(account->index, mailbox, query, result_out, error);
}

static bool
values(void *data,
       const PhMailboxId *mailbox,
       const char *prefix,
       PhValueFunc func,
       void *user_data,
       GError **error)
{
	Account *account = data;

	return ph_index_values(account->index, mailbox, prefix, func, user_data, error);
}

static void
forget(void *data, PhTime before)
{
	Account *account = data;

	ph_index_forget(account->index, before);
}

/* --- commit --------------------------------------------------------------------------------------- */

static void
refuse(PhTransaction *transaction, GError *why)
{
	transaction->done = false;
	transaction->change = 0;
	g_clear_error(&transaction->error);
	transaction->error = why;
}

/* Does it alter what names of files follow? */
static bool
concerns_files(const PhTransaction *transaction)
{
	for (uint32_t i = 0; i < transaction->n_ops; i++)
		if (transaction->ops[i]->kind != PH_OP_APPEND
		    && transaction->ops[i]->kind != PH_OP_PUT)
			return true;
	return false;
}

/* The first commit that is not a replay's: the replay is over. */
static bool
check_first(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			if (batch[i]->ops[j]->has_given)
				return true;
	return defer_check(account, error);
}

/* A transaction that was applied before has added nothing: then its octets are looked at. */
static bool
check_replayed(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	guint n_given = 0;

	for (size_t i = 0; account->deferred && i < n; i++)
		for (uint32_t j = 0; j < batch[i]->n_ops; j++)
			n_given += batch[i]->done && batch[i]->ops[j]->kind == PH_OP_APPEND
			           && batch[i]->ops[j]->has_given;
	if (n_given <= account->n_added)
		return true;
	for (size_t i = 0; i < n; i++)
		for (uint32_t j = 0; batch[i]->done && j < batch[i]->n_ops; j++)
			if (batch[i]->ops[j]->kind == PH_OP_APPEND
			    && !defer_replayed(account, batch[i]->ops[j], error))
				return false;
	return true;
}

static bool
commit(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	Account *account = data;
	g_autofree PhTransaction **good = g_new(PhTransaction *, n + 1);
	size_t n_good = 0;
	bool structural = false;
	bool files = false;

	for (size_t i = 0; i < n; i++) {
		GError *why = NULL;

		structural = structural || folders_is_structural(batch[i]);
		files = files || concerns_files(batch[i]);
		if (folders_check(account, batch[i], &why))
			good[n_good++] = batch[i];
		else
			refuse(batch[i], why);
	}
	if (account->deferred && !account->checked && !check_first(account, batch, n, error))
		return false;
	if (!uidlist_before(account, batch, n, error))
		return false;
	account->n_added = 0;
	if (n_good > 0
	    && (!ph_index_commit(account->index, good, n_good, error)
	        || !check_replayed(account, good, n_good, error)))
		return false;
	defer_noted(account, good, n_good);
	subscriptions_note(account, good, n_good);
	/* what fails now is done when the account is opened the next time */
	if (structural)
		(void) folders_follow(account, NULL, NULL);
	if (files)
		tidy_soon(account);
	return true;
}

/* The index by itself; with @repair what lies in the folders is looked at anew. */
static bool
verify(void *data, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Account *account = data;
	bool good = ph_index_check(account->index, repair, report, user_data, error);

	for (guint i = 0; good && repair && i < account->numbered->len; i++) {
		Folder *folder = folder_at(account, i);

		if (folder == NULL || folder->is_gone)
			continue;
		folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
		good = scan_refresh(account, &folder->id, error);
	}
	return good;
}

/* Who wants new files in new at once asks for commits that sync. */
static void
narrow(void *instance, PhStore *table)
{
	const Settings *settings = instance;

	if (!settings->deferred)
		table->defer = NULL;
}

static const PhStore store = {
	.size = sizeof store,
	.abilities = PH_STORE_CHEAP_COPY | PH_STORE_EXACT_QUOTA | PH_STORE_FOREIGN_WRITERS,
	.create = create,
	.destroy = destroy,
	.open_account = open_account,
	.close_account = close_account,
	.mailboxes = mailboxes,
	.changes = changes,
	.values = values,
	.upload = deliver_upload,
	.abandon = deliver_abandon,
	.content = content_open,
	.commit = commit,
	.forget = forget,
	.refresh = scan_refresh,
	.sync = defer_sync,
	.defer = defer_account,
	.narrow = narrow,
	.watch = watch,
	.verify = verify,
};

static const PhOffer offers[] = { PH_OFFER_STORE("maildir", &store), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "maildir",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "each message in a file of a maildir, beside other programs",
	.options = options,
	.offers = offers,
};

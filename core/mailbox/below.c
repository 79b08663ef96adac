/* below.c: the account of a store below a wrapper, its members forwarded, and walks over messages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/below.h>
#include <posthorn/error.h>

#include <string.h>

enum {
	PORTION = 256, /* records read at once */
};

bool
ph_below_open(PhBelow *below, PhSection *section, const PhIdentity *identity, GError **error)
{
	below->store = ph_section_table(section);
	return below->store->open_account(ph_section_instance(section), identity, &below->account,
	                                  error);
}

void
ph_below_close(PhBelow *below)
{
	if (below->account != NULL)
		below->store->close_account(below->account);
	below->account = NULL;
}

bool
ph_below_is_exact(PhSection *section, GError **error)
{
	const PhStore *below = ph_section_table(section);

	if ((below->abilities & PH_STORE_MENDS_LINES) == 0)
		return true;
	ph_error_set(error, PH_ERROR_UNSUPPORTED,
	             "[store %s] may change line ends, and what this store keeps would not survive "
	             "it; name another one below",
	             ph_section_name(section));
	return false;
}

void
ph_below_narrow(PhSection *section, PhStore *table)
{
	const PhStore *below = ph_section_table(section);

	table->abilities = below->abilities;
	table->max_keywords = below->max_keywords;
	table->max_keyword_length = below->max_keyword_length;
	if (below->outcome == NULL)
		table->outcome = NULL;
	if (below->watch == NULL)
		table->watch = NULL;
	if (below->share == NULL)
		table->share = NULL;
	if (below->verify == NULL)
		table->verify = NULL;
	if (below->defer == NULL)
		table->defer = NULL;
}

/* --- members forwarded --------------------------------------------------------------------------- */

void
ph_below_close_account(void *account)
{
	ph_below_close(account);
	g_free(account);
}

bool
ph_below_mailboxes(void *account,
                   PhMailboxInfoFunc func,
                   void *user_data,
                   uint64_t *list_change_out,
                   GError **error)
{
	PhBelow *below = account;

	return below->store->mailboxes(below->account, func, user_data, list_change_out, error);
}

bool
ph_below_changes(void *account,
                 const PhMailboxId *mailbox,
                 const PhChangesQuery *query,
                 PhChangesResult *result_out,
                 GError **error)
{
	PhBelow *below = account;

	return below->store->changes(below->account, mailbox, query, result_out, error);
}

bool
ph_below_values(void *account,
                const PhMailboxId *mailbox,
                const char *prefix,
                PhValueFunc func,
                void *user_data,
                GError **error)
{
	PhBelow *below = account;

	return below->store->values(below->account, mailbox, prefix, func, user_data, error);
}

bool
ph_below_upload(void *account, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	PhBelow *below = account;

	return below->store->upload(below->account, content, durable, blob_out, error);
}

void
ph_below_abandon(void *account, const PhBlobId *blob)
{
	PhBelow *below = account;

	below->store->abandon(below->account, blob);
}

bool
ph_below_content(void *account,
                 const PhMailboxId *mailbox,
                 uint32_t uid,
                 const PhBlobId *blob,
                 PhContent **content_out,
                 GError **error)
{
	PhBelow *below = account;

	return below->store->content(below->account, mailbox, uid, blob, content_out, error);
}

bool
ph_below_commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	PhBelow *below = account;

	return below->store->commit(below->account, batch, n, error);
}

bool
ph_below_outcome(void *account, PhTransaction *transaction, GError **error)
{
	PhBelow *below = account;

	return below->store->outcome(below->account, transaction, error);
}

void
ph_below_forget(void *account, PhTime before)
{
	PhBelow *below = account;

	below->store->forget(below->account, before);
}

bool
ph_below_refresh(void *account, const PhMailboxId *mailbox, GError **error)
{
	PhBelow *below = account;

	return below->store->refresh(below->account, mailbox, error);
}

bool
ph_below_sync(void *account, GError **error)
{
	PhBelow *below = account;

	return below->store->sync(below->account, error);
}

bool
ph_below_defer(void *account, int *fd_out, GError **error)
{
	PhBelow *below = account;

	return below->store->defer(below->account, fd_out, error);
}

bool
ph_below_watch(void *account, void (*func)(void *user_data), void *user_data, GError **error)
{
	PhBelow *below = account;

	return below->store->watch(below->account, func, user_data, error);
}

bool
ph_below_share(void *account,
               const PhBlobId *blob,
               void *to_account,
               PhBlobId *blob_out,
               GError **error)
{
	PhBelow *below = account;
	PhBelow *to = to_account;

	return below->store->share(below->account, blob, to->account, blob_out, error);
}

bool
ph_below_verify(void *account, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	PhBelow *below = account;

	return below->store->verify(below->account, repair, report, user_data, error);
}

bool
ph_below_compact(void *account, GError **error)
{
	PhBelow *below = account;

	return below->store->compact(below->account, error);
}

/* --- every message ------------------------------------------------------------------------------- */

static void
clear_info(void *data)
{
	PhMailboxInfo *info = data;

	g_free((char *) (uintptr_t) info->name);
}

static bool
add_info(const PhMailboxInfo *info, void *user_data)
{
	GArray *infos = user_data;
	PhMailboxInfo copy = *info;

	copy.name = g_strdup(info->name);
	(void) g_array_append_val(infos, copy);
	return true;
}

static bool
add_record(const PhRecord *record, void *user_data)
{
	GArray *records = user_data;
	PhRecord copy = *record;

	copy.keywords = NULL;
	copy.structure = PH_SLICE_EMPTY;
	(void) g_array_append_val(records, copy);
	return records->len < PORTION;
}

/* The next messages above @uid. */
static bool
read_portion(const PhStore *store,
             void *account,
             const PhMailboxId *mailbox,
             uint32_t uid,
             GArray *records,
             GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid + 1, UINT32_MAX);
	PhChangesResult result = { 0 };
	PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS | PH_FIELD_DATES | PH_FIELD_OCTETS | PH_FIELD_BLOB
		          | PH_FIELD_IDS,
		.record = add_record,
		.user_data = records,
	};

	g_array_set_size(records, 0);
	return store->changes(account, mailbox, &query, &result, error);
}

typedef struct {
	const PhStore *store;
	void *account;
	PhStoreMessageFunc func;
	void *user_data;
} Walk;

static bool
walk_mailbox(const Walk *walk, const PhMailboxInfo *info, GError **error)
{
	g_autoptr(GArray) records = g_array_new(FALSE, FALSE, sizeof(PhRecord));
	uint32_t uid = 0;

	do {
		g_autoptr(GError) why = NULL;

		if (!read_portion(walk->store, walk->account, &info->id, uid, records, &why)) {
			if (g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
				return true;
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
		for (guint i = 0; i < records->len; i++) {
			const PhRecord *record = &g_array_index(records, PhRecord, i);

			uid = record->uid;
			if (!walk->func(info, record, walk->user_data, error))
				return false;
		}
	} while (records->len == PORTION && uid < UINT32_MAX);
	return true;
}

bool
ph_store_each_message(const PhStore *store,
                      void *account,
                      PhStoreMessageFunc func,
                      void *user_data,
                      GError **error)
{
	g_autoptr(GArray) infos = g_array_new(FALSE, FALSE, sizeof(PhMailboxInfo));
	const Walk walk = { store, account, func, user_data };
	uint64_t change = 0;

	g_array_set_clear_func(infos, clear_info);
	if (!store->mailboxes(account, add_info, infos, &change, error))
		return false;
	for (guint i = 0; i < infos->len; i++)
		if (!walk_mailbox(&walk, &g_array_index(infos, PhMailboxInfo, i), error))
			return false;
	return true;
}

typedef struct {
	const PhStore *store;
	void *account;
	PhListLineFunc report;
	void *user_data;
} Check;

static bool
pass_over(PhSlice piece, void *user_data, GError **error)
{
	return true;
}

static void
report_message(const Check *check,
               const PhMailboxInfo *info,
               const PhRecord *record,
               const char *what)
{
	g_autofree char *line =
		g_strdup_printf("message %u of '%s': %s", record->uid, info->name, what);

	check->report(line, check->user_data);
}

/* What is gone was expunged meanwhile. */
static bool
check_message(const PhMailboxInfo *info, const PhRecord *record, void *user_data, GError **error)
{
	const Check *check = user_data;
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GError) why = NULL;

	if ((check->store->content(check->account, &info->id, record->uid, &record->blob, &content,
	                           &why)
	     && ph_content_each(content, 0, ph_content_length(content), pass_over, NULL, &why))
	    || g_error_matches(why, PH_ERROR, PH_ERROR_GONE))
		return true;
	report_message(check, info, record, why->message);
	return true;
}

bool
ph_store_check_octets(const PhStore *store,
                      void *account,
                      PhListLineFunc report,
                      void *user_data,
                      GError **error)
{
	Check check = { store, account, report, user_data };

	return ph_store_each_message(store, account, check_message, &check, error);
}

/* read.c: answers from the first store, and from the second when the first cannot
 *
 * The second answers only while it holds what the first does. What was passed on already cannot be
 * passed on again by the other store, so a reading that fails half-way has failed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mirror.h"

#include <stdatomic.h>
#include <string.h>

/* May the second answer instead? Only when it holds what the first does. */
static const PhBelow *
instead(Account *account, const GError *why)
{
	if (account->is_behind
	    || !(g_error_matches(why, PH_ERROR, PH_ERROR_TEMPORARY)
	         || g_error_matches(why, PH_ERROR, PH_ERROR_CORRUPT)))
		return NULL;
	return second_of(account);
}

/* A line for each message of a mailbox would hide the others: one in a while has to do. */
static void
tell_instead(const Account *account, const char *what, const GError *why)
{
	Instance *instance = account->instance;
	uint64_t now = (uint64_t) g_get_monotonic_time();
	uint64_t last = instance->answered_at;

	instance->n_answered++;
	ph_section_count(instance->section, "answered", 1);
	if ((last != 0 && now - last < instance->retry_us)
	    || !atomic_compare_exchange_strong(&instance->answered_at, &last, now))
		return;
	ph_log_section(account->instance->section, PH_LOG_WARNING, "mirror-second-answers",
	               "the first store failed and the second answers",
	               PH_LOG_TEXT("account", ph_identity_address(account->identity)),
	               PH_LOG_TEXT("what", what), PH_LOG_NUMBER("answered", instance->n_answered),
	               PH_LOG_FAILURE(why), PH_LOG_END);
}

/* Stands for a blob in records that the second has told: its own ids mean something else to the
 * first. */
static const PhBlobId blob_of_second = { 15, "mirror's second" };

static bool
content_by_uid(const PhBelow *below,
               const PhMailboxId *mailbox,
               uint32_t uid,
               PhContent **content_out,
               GError **error)
{
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
	g_autoptr(GPtrArray) records = read_records(below, mailbox, uids, error);
	const PhRecord *record = NULL;

	if (records == NULL)
		return false;
	record = find_record(records, uid);
	if (record != NULL)
		return below->store->content(below->account, mailbox, uid, &record->blob,
		                             content_out, error);
	ph_error_set(error, PH_ERROR_GONE, "the message was removed");
	return false;
}

bool
read_content(void *data,
             const PhMailboxId *mailbox,
             uint32_t uid,
             const PhBlobId *blob,
             PhContent **content_out,
             GError **error)
{
	Account *account = data;
	g_autoptr(GError) why = NULL;
	const PhBelow *second = NULL;

	if (same_blob(blob, &blob_of_second)) {
		second = second_of(account);
		return (second != NULL && content_by_uid(second, mailbox, uid, content_out, NULL))
		       || content_by_uid(&account->first, mailbox, uid, content_out, error);
	}
	if (ph_below_content(data, mailbox, uid, blob, content_out, &why))
		return true;
	second = instead(account, why);
	if (second != NULL && content_by_uid(second, mailbox, uid, content_out, NULL)) {
		tell_instead(account, "content", why);
		return true;
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* Counted: how much was passed on. */
typedef struct {
	PhMailboxInfoFunc info;
	PhValueFunc value;
	const PhChangesQuery *query;
	void *user_data;
	unsigned n;
} Counted;

static bool
count_info(const PhMailboxInfo *info, void *user_data)
{
	Counted *counted = user_data;

	counted->n++;
	return counted->info(info, counted->user_data);
}

bool
read_mailboxes(void *data,
               PhMailboxInfoFunc func,
               void *user_data,
               uint64_t *list_change_out,
               GError **error)
{
	Counted counted = { .info = func, .user_data = user_data };
	const PhBelow *second = NULL;
	g_autoptr(GError) why = NULL;

	settle(data);
	if (ph_below_mailboxes(data, count_info, &counted, list_change_out, &why))
		return true;
	second = counted.n == 0 ? instead(data, why) : NULL;
	if (second != NULL) {
		tell_instead(data, "mailboxes", why);
		return second->store->mailboxes(second->account, func, user_data, list_change_out,
		                                error);
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool
count_record(const PhRecord *record, void *user_data)
{
	Counted *counted = user_data;

	counted->n++;
	return counted->query->record(record, counted->query->user_data);
}

static void
count_expunged(uint32_t first, uint32_t last, void *user_data)
{
	Counted *counted = user_data;

	counted->n++;
	if (counted->query->expunged != NULL)
		counted->query->expunged(first, last, counted->query->user_data);
}

static bool
hide_blob(const PhRecord *record, void *user_data)
{
	const PhChangesQuery *query = user_data;
	PhRecord copy = *record;

	copy.blob = blob_of_second;
	return query->record(&copy, query->user_data);
}

static void
pass_expunged(uint32_t first, uint32_t last, void *user_data)
{
	const PhChangesQuery *query = user_data;

	if (query->expunged != NULL)
		query->expunged(first, last, query->user_data);
}

static bool
changes_of_second(const PhBelow *second,
                  const PhMailboxId *mailbox,
                  const PhChangesQuery *query,
                  PhChangesResult *result_out,
                  GError **error)
{
	PhChangesQuery asked = *query;

	asked.states = NULL;
	asked.record = hide_blob;
	asked.expunged = pass_expunged;
	asked.user_data = (void *) (uintptr_t) query;
	return second->store->changes(second->account, mailbox, &asked, result_out, error);
}

bool
read_changes(void *data,
             const PhMailboxId *mailbox,
             const PhChangesQuery *query,
             PhChangesResult *result_out,
             GError **error)
{
	Counted counted = { .query = query };
	PhChangesQuery asked = *query;
	const PhBelow *second = NULL;
	g_autoptr(GError) why = NULL;

	asked.states = NULL; /* all are to be counted */
	asked.record = count_record;
	asked.expunged = count_expunged;
	asked.user_data = &counted;
	if (ph_below_changes(data, mailbox, &asked, result_out, &why))
		return true;
	second = counted.n == 0 ? instead(data, why) : NULL;
	if (second != NULL) {
		tell_instead(data, "changes", why);
		return changes_of_second(second, mailbox, query, result_out, error);
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool
count_value(const char *key, PhSlice value, void *user_data)
{
	Counted *counted = user_data;

	if (g_str_has_prefix(key, PREFIX))
		return true;
	counted->n++;
	return counted->value(key, value, counted->user_data);
}

bool
read_values(void *data,
            const PhMailboxId *mailbox,
            const char *prefix,
            PhValueFunc func,
            void *user_data,
            GError **error)
{
	Counted counted = { .value = func, .user_data = user_data };
	const PhBelow *second = NULL;
	g_autoptr(GError) why = NULL;

	if (ph_below_values(data, mailbox, prefix, count_value, &counted, &why))
		return true;
	second = counted.n == 0 ? instead(data, why) : NULL;
	if (second != NULL) {
		tell_instead(data, "values", why);
		return second->store->values(second->account, mailbox, prefix, count_value,
		                             &counted, error);
	}
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

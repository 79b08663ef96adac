/* index-store.c: members of PhStore for account objects that begin with their index
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/index.h>

static PhIndex *
index_of(void *account)
{
	return *(PhIndex **) account;
}

bool
ph_index_store_mailboxes(void *account,
                         PhMailboxInfoFunc func,
                         void *user_data,
                         uint64_t *list_change_out,
                         GError **error)
{
	return ph_index_mailboxes(index_of(account), func, user_data, list_change_out, error);
}

bool
ph_index_store_changes(void *account,
                       const PhMailboxId *mailbox,
                       const PhChangesQuery *query,
                       PhChangesResult *result_out,
                       GError **error)
{
	return ph_index_changes(index_of(account), mailbox, query, result_out, error);
}

bool
ph_index_store_values(void *account,
                      const PhMailboxId *mailbox,
                      const char *prefix,
                      PhValueFunc func,
                      void *user_data,
                      GError **error)
{
	return ph_index_values(index_of(account), mailbox, prefix, func, user_data, error);
}

bool
ph_index_store_commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	return ph_index_commit(index_of(account), batch, n, error);
}

void
ph_index_store_forget(void *account, PhTime before)
{
	ph_index_forget(index_of(account), before);
}

bool
ph_index_store_sync(void *account, GError **error)
{
	return ph_index_sync(index_of(account), error);
}

bool
ph_index_store_verify(void *account,
                      bool repair,
                      PhListLineFunc report,
                      void *user_data,
                      GError **error)
{
	return ph_index_check(index_of(account), repair, report, user_data, error);
}

bool
ph_index_store_compact(void *account, GError **error)
{
	return ph_index_compact(index_of(account), error);
}

/* account-session.c: the store of a session's listener
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/account.h"
#include "net/services.h"

struct PhAccounts {
	PhSection *store;
};

PhAccounts *
ph_accounts_new(PhSection *store)
{
	PhAccounts *accounts = g_new0(PhAccounts, 1);

	accounts->store = store;
	return accounts;
}

void
ph_accounts_free(PhAccounts *accounts)
{
	g_free(accounts);
}

PhAccount *
ph_session_account(PhSession *session, const PhIdentity *identity, GError **error)
{
	const PhServices *services = ph_session_services(session);

	if (services != NULL && services->accounts != NULL)
		return ph_account_open(services->accounts->store, identity, error);
	ph_error_set(error, PH_ERROR_UNSUPPORTED, "the session's listener has no store");
	return NULL;
}

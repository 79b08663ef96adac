/* service.c: what one listener's logins need: mechanisms, directories, policy
 *
 * Immutable once made. The four lists of mechanisms (with and without TLS, passwords allowed or
 * not) are computed once, because they stand in every greeting.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/service.h"

#include <posthorn/session.h>

#include "login/offered.h"

struct PhLoginService {
	PhLoginParams params;
	const char **offered[2][2]; /* [tls][plaintext ok]; names borrowed from the mechanisms */
};

static const char **
list_offered(const PhLoginParams *params, bool tls, bool plaintext_ok)
{
	GPtrArray *names = g_ptr_array_new();
	PhOfferedQuestion question = {
		.tls = tls,
		.plaintext_ok = plaintext_ok,
		.can_give_secret = ph_chain_can_give_secret(params->directories),
	};

	for (PhSection *const *m = params->mechanisms; m != NULL && *m != NULL; m++) {
		const PhMechanism *table = ph_section_table(*m);
		if (ph_offered_judge(table, &question) == PH_OFFERED_YES)
			g_ptr_array_add(names, (gpointer) (uintptr_t) table->sasl_name);
	}
	g_ptr_array_add(names, NULL);
	return (const char **) g_ptr_array_free(names, FALSE);
}

PhLoginService *
ph_login_service_new(const PhLoginParams *params)
{
	PhLoginService *service = g_new0(PhLoginService, 1);

	service->params = *params;
	for (int tls = 0; tls < 2; tls++)
		for (int plaintext_ok = 0; plaintext_ok < 2; plaintext_ok++)
			service->offered[tls][plaintext_ok] =
				list_offered(params, tls != 0, plaintext_ok != 0);
	return service;
}

void
ph_login_service_free(PhLoginService *service)
{
	if (service == NULL)
		return;
	for (int tls = 0; tls < 2; tls++)
		for (int plaintext_ok = 0; plaintext_ok < 2; plaintext_ok++)
			g_free(service->offered[tls][plaintext_ok]);
	g_free(service);
}

const PhLoginParams *
ph_login_service_params(const PhLoginService *service)
{
	return &service->params;
}

const char *const *
ph_offered_names(const PhLoginService *service, bool tls, bool plaintext_ok)
{
	return service->offered[tls ? 1 : 0][plaintext_ok ? 1 : 0];
}

PhOffered
ph_offered_find(const PhLoginService *service,
                PhSlice name,
                bool tls,
                bool plaintext_ok,
                PhSection **section_out)
{
	PhOfferedQuestion question = {
		.tls = tls,
		.plaintext_ok = plaintext_ok,
		.can_give_secret = ph_chain_can_give_secret(service->params.directories),
	};

	for (PhSection *const *m = service->params.mechanisms; m != NULL && *m != NULL; m++) {
		const PhMechanism *table = ph_section_table(*m);
		if (!ph_slice_is_nocase(name, table->sasl_name))
			continue;
		PhOffered offered = ph_offered_judge(table, &question);
		if (offered == PH_OFFERED_YES)
			*section_out = *m;
		return offered;
	}
	return PH_OFFERED_NO;
}

bool
ph_plaintext_ok(const PhLoginService *service, const PhSession *session)
{
	if (ph_session_is_tls(session))
		return true;
	if (service->params.plaintext == PH_PLAINTEXT_LOOPBACK)
		return ph_session_peer_is_loopback(session);
	return service->params.plaintext == PH_PLAINTEXT_ALWAYS;
}

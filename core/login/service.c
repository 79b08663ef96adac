/* service.c: what one listener's logins need: mechanisms, directories, policy
 *
 * Immutable but for the lists of names, which stand in every greeting: each list is made when it is
 * first wanted and kept. There are few: one for each set of mechanisms that was ever offered.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/service.h"

#include <posthorn/session.h>

#include "base/lock.h"
#include "login/cache.h"
#include "login/offered.h"

#include <string.h>

enum {
	MECHANISMS_MAX = 32, /* two bits of a set for each */
};

struct PhLoginService {
	PhLoginParams params;
	size_t n_mechanisms;
	bool wants_binding;
	bool wants_certificate;
	bool takes_passwords;
	PhLock lock;        /* guards lists */
	GHashTable *lists;  /* set of mechanisms to their names */
	GStringChunk *plus; /* "NAME-PLUS" */
};

static const PhMechanism *
mechanism_at(const PhLoginService *service, size_t i)
{
	return ph_section_table(service->params.mechanisms[i]);
}

static gboolean
equal_sets(gconstpointer a, gconstpointer b)
{
	return *(const uint64_t *) a == *(const uint64_t *) b;
}

static guint
hash_set(gconstpointer set)
{
	uint64_t bits = *(const uint64_t *) set;

	return (guint) (bits ^ bits >> 32);
}

PhLoginService *
ph_login_service_new(const PhLoginParams *params)
{
	PhLoginService *service = g_new0(PhLoginService, 1);

	service->params = *params;
	ph_cache_forget();
	ph_lock_init(&service->lock);
	service->lists = g_hash_table_new_full(hash_set, equal_sets, g_free, g_free);
	service->plus = g_string_chunk_new(64);
	service->takes_passwords = params->mechanisms == NULL || params->mechanisms[0] == NULL;
	for (PhSection *const *m = params->mechanisms; m != NULL && *m != NULL; m++) {
		const PhMechanism *table = ph_section_table(*m);

		service->n_mechanisms++;
		if ((table->flags & (PH_MECHANISM_HAS_PLUS | PH_MECHANISM_NEEDS_BINDING)) != 0)
			service->wants_binding = true;
		if ((table->flags & PH_MECHANISM_NEEDS_CERTIFICATE) != 0)
			service->wants_certificate = true;
		if ((table->flags & PH_MECHANISM_SHOWS_PASSWORD) != 0)
			service->takes_passwords = true;
	}
	return service;
}

void
ph_login_service_free(PhLoginService *service)
{
	if (service == NULL)
		return;
	g_hash_table_unref(service->lists);
	g_string_chunk_free(service->plus);
	ph_lock_clear(&service->lock);
	g_free(service);
}

const PhLoginParams *
ph_login_service_params(const PhLoginService *service)
{
	return &service->params;
}

/* --- what a connection can do --- */

static bool
can_bind(const PhSession *session)
{
	g_autoptr(GByteArray) octets = g_byte_array_new();

	return ph_session_tls_binding(session, "tls-exporter", octets)
	       || ph_session_tls_binding(session, "tls-server-end-point", octets);
}

PhLoginConnection
ph_login_connection(const PhLoginService *service, const PhSession *session)
{
	bool tls = ph_session_is_tls(session);

	return (PhLoginConnection){
		.tls = tls,
		.plaintext_ok = ph_plaintext_ok(service, session),
		.certificate = tls && service->wants_certificate
		               && ph_session_tls_certificate(session, NULL),
		.binding = tls && service->wants_binding && can_bind(session),
	};
}

/* --- what is offered on it --- */

static bool
can_give_secret(const PhLoginService *service, const PhMechanism *table)
{
	static const char *const plain[] = { "PLAIN", NULL };
	const char *const *schemes = table->schemes != NULL ? table->schemes : plain;

	if ((table->flags & PH_MECHANISM_NEEDS_SECRET) == 0)
		return false;
	for (; *schemes != NULL; schemes++)
		if (ph_chain_gives(service->params.directories, *schemes))
			return true;
	return false;
}

static uint64_t
offered_set(const PhLoginService *service, const PhLoginConnection *connection)
{
	uint64_t set = 0;

	for (size_t i = 0; i < MIN(service->n_mechanisms, (size_t) MECHANISMS_MAX); i++) {
		const PhMechanism *table = mechanism_at(service, i);
		const PhOfferedQuestion question = {
			.connection = *connection,
			.can_give_secret = can_give_secret(service, table),
		};

		if ((table->flags & PH_MECHANISM_IS_COMMAND) != 0)
			continue;
		if (ph_offered_judge_plus(table, &question) == PH_OFFERED_YES)
			set |= UINT64_C(1) << (2 * i);
		if (ph_offered_judge(table, &question) == PH_OFFERED_YES)
			set |= UINT64_C(2) << (2 * i);
	}
	return set;
}

static const char *const *
make_list(PhLoginService *service, uint64_t set)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (size_t i = 0; i < MIN(service->n_mechanisms, (size_t) MECHANISMS_MAX); i++) {
		const char *name = mechanism_at(service, i)->sasl_name;

		if ((set >> (2 * i) & 1) != 0) {
			g_autofree char *plus = g_strconcat(name, "-PLUS", NULL);
			g_ptr_array_add(names, g_string_chunk_insert_const(service->plus, plus));
		}
		if ((set >> (2 * i) & 2) != 0)
			g_ptr_array_add(names, (gpointer) (uintptr_t) name);
	}
	g_ptr_array_add(names, NULL);
	return (const char *const *) g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

const char *const *
ph_offered_names(PhLoginService *service, const PhLoginConnection *connection)
{
	uint64_t set = offered_set(service, connection);
	PH_LOCKED(&service->lock);
	const char *const *list = g_hash_table_lookup(service->lists, &set);

	if (list == NULL) {
		list = make_list(service, set);
		g_hash_table_insert(service->lists, g_memdup2(&set, sizeof set),
		                    (gpointer) (uintptr_t) list);
	}
	return list;
}

/* Is @name this mechanism's? @is_plus_out: with "-PLUS" behind it. */
static bool
is_called(const PhMechanism *table, PhSlice name, bool *is_plus_out)
{
	size_t length = strlen(table->sasl_name);

	*is_plus_out = false;
	if (ph_slice_is_nocase(name, table->sasl_name))
		return true;
	*is_plus_out = (table->flags & PH_MECHANISM_HAS_PLUS) != 0
	               && ph_slice_starts_nocase(name, table->sasl_name)
	               && ph_slice_is_nocase(ph_slice_from(name, length), "-PLUS");
	return *is_plus_out;
}

PhOffered
ph_offered_find(const PhLoginService *service,
                PhSlice name,
                const PhLoginConnection *connection,
                bool is_command,
                PhOfferedMechanism *found)
{
	for (size_t i = 0; i < service->n_mechanisms; i++) {
		const PhMechanism *table = mechanism_at(service, i);
		bool is_plus = false;

		if (((table->flags & PH_MECHANISM_IS_COMMAND) != 0) != is_command
		    || !is_called(table, name, &is_plus))
			continue;
		const PhOfferedQuestion question = {
			.connection = *connection,
			.can_give_secret = can_give_secret(service, table),
		};
		PhOffered plus = ph_offered_judge_plus(table, &question);
		PhOffered offered = is_plus ? plus : ph_offered_judge(table, &question);
		if (offered == PH_OFFERED_YES)
			*found = (PhOfferedMechanism){ service->params.mechanisms[i], is_plus,
				                       plus == PH_OFFERED_YES };
		return offered;
	}
	return PH_OFFERED_NO;
}

bool
ph_takes_passwords(const PhLoginService *service)
{
	return service->takes_passwords;
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

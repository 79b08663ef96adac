/* durability.c: [server] durability: the journal of this data directory, from start to stop
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/durability.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "server/claims.h"

#define LOCK_WAIT_US UINT64_C(10000000)

static PhClaims *claims; /* of the one journal of the process */

static const uint64_t least_size = UINT64_C(32) * 1024 * 1024;

static bool
wants_journal(const PhConfig *config)
{
	return ph_config_server(config)->durability == PH_DURABILITY_JOURNAL;
}

bool
ph_durability_open(const PhConfig *config,
                   void (*failed)(void *user_data),
                   void *user_data,
                   PhJournal **journal_out,
                   bool *used_out,
                   GError **error)
{
	const PhServerSettings *server = ph_config_server(config);
	g_autofree char *folder = g_build_filename(server->data, "journal", NULL);
	PhJournalParams params = {
		.folder = folder,
		.size = MAX(server->journal_size.octets, least_size),
		.checkpoint_us = server->checkpoint_interval.us,
		.lock_wait_us =
			failed != NULL ? LOCK_WAIT_US : 0, /* a tool asks the server again */
		.used_out = used_out,
		.failed = failed,
		.user_data = user_data,
	};

	*journal_out = NULL;
	if (!wants_journal(config) && !ph_journal_exists(folder))
		return true;
	*journal_out = ph_journal_open(&params, error);
	if (*journal_out == NULL)
		return false;
	if (wants_journal(config) || ph_journal_has_pending(*journal_out))
		return true;
	ph_journal_close(*journal_out, true);
	*journal_out = NULL;
	return true;
}

typedef struct {
	PhConfig *config;
	GError *error;
} Check;

static bool
check_section(const char *section, const PhIdentity *identity, void *user_data)
{
	Check *check = user_data;

	if (ph_config_section(check->config, "store", section) != NULL)
		return true;
	ph_error_set(&check->error, PH_ERROR_PERMANENT,
	             "the journal holds acknowledged mail for [store %s], which is not in the "
	             "config; put the section back until the server was stopped cleanly",
	             section);
	return false;
}

bool
ph_durability_check(PhJournal *journal, PhConfig *config, GError **error)
{
	Check check = { .config = config };

	if (!ph_claims_check(config, journal != NULL ? ph_journal_id(journal) : 0, error))
		return false;
	if (journal == NULL)
		return true;
	ph_journal_each_pending(journal, check_section, &check);
	if (check.error == NULL)
		return true;
	g_propagate_error(error, check.error);
	return false;
}

bool
ph_durability_start(PhJournal *journal, const PhConfig *config, GError **error)
{
	if (journal == NULL || !wants_journal(config))
		return true;
	if (claims == NULL)
		claims = ph_claims_new();
	return ph_claims_take(claims, config, ph_journal_id(journal), ph_journal_folder(journal),
	                      error)
	       && (ph_journal_is_started(journal) || ph_journal_start(journal, error));
}

void
ph_durability_yield(PhJournal *journal)
{
	bool is_clean = ph_journal_end(journal, false);

	ph_claims_free(g_steal_pointer(&claims), is_clean);
}

void
ph_durability_end(PhJournal *journal, const PhConfig *config)
{
	bool is_clean = journal != NULL && ph_journal_end(journal, !wants_journal(config));

	ph_claims_free(g_steal_pointer(&claims), is_clean);
	ph_journal_free(journal);
}

bool
ph_durability_is_same(const PhConfig *old, const PhConfig *next)
{
	const PhServerSettings *a = ph_config_server(old);
	const PhServerSettings *b = ph_config_server(next);

	return a->durability == b->durability && a->journal_size.octets == b->journal_size.octets
	       && a->checkpoint_interval.us == b->checkpoint_interval.us;
}

/* stats.c: accounts, mailboxes, messages and octets of a store, and who has most of them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/json.h"
#include "tools/job.h"

enum {
	LARGEST = 10
};

/* Use: of one user, or of all. */
typedef struct {
	char *address;
	uint64_t mailboxes;
	uint64_t messages;
	uint64_t octets;
} Use;

typedef struct {
	Use total;
	GArray *largest; /* of Use, the largest first, at most LARGEST */
} Stats;

static void
clear_use(void *data)
{
	g_free(((Use *) data)->address);
}

static bool
add_mailbox(const PhMailboxInfo *info, void *user_data)
{
	Use *use = user_data;

	use->mailboxes++;
	use->messages += info->n_messages;
	use->octets += info->octets;
	return true;
}

static void
note_largest(Stats *stats, Use *use)
{
	guint at = stats->largest->len;

	while (at > 0 && g_array_index(stats->largest, Use, at - 1).octets < use->octets)
		at--;
	g_array_insert_val(stats->largest, at, *use);
	if (stats->largest->len > LARGEST)
		g_array_set_size(stats->largest, LARGEST);
}

static bool
count_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	PhLimits limits = ph_account_limits(job->section, identity);
	g_autoptr(PhAccount) account = ph_account_attach(job->section, identity, &limits);
	Stats *stats = job->data;
	Use use = { .address = NULL };

	if (!ph_account_mailboxes(account, add_mailbox, &use, error))
		return false;
	stats->total.mailboxes += use.mailboxes;
	stats->total.messages += use.messages;
	stats->total.octets += use.octets;
	use.address = g_strdup(ph_identity_address(identity));
	note_largest(stats, &use);
	if (ph_job_progress(job))
		ph_job_print(job, PH_JOB_PROGRESS, "%u: %s", job->n_users, use.address);
	return true;
}

static void
print_json(PhJob *job, const Stats *stats)
{
	g_autoptr(GString) out = g_string_new("{");

	ph_json_member(out, "store", ph_section_name(job->section));
	g_string_append_printf(out,
	                       ",\"accounts\":%u,\"failed\":%u,\"mailboxes\":%" G_GUINT64_FORMAT
	                       ",\"messages\":%" G_GUINT64_FORMAT ",\"octets\":%" G_GUINT64_FORMAT
	                       ",\"largest\":[",
	                       job->n_users, job->n_failed, stats->total.mailboxes,
	                       stats->total.messages, stats->total.octets);
	for (guint i = 0; i < stats->largest->len; i++) {
		const Use *use = &g_array_index(stats->largest, Use, i);

		g_string_append(out, i > 0 ? ",{" : "{");
		ph_json_member(out, "user", use->address);
		g_string_append_printf(out,
		                       ",\"mailboxes\":%" G_GUINT64_FORMAT
		                       ",\"messages\":%" G_GUINT64_FORMAT
		                       ",\"octets\":%" G_GUINT64_FORMAT "}",
		                       use->mailboxes, use->messages, use->octets);
	}
	g_string_append(out, "]}");
	ph_job_print(job, PH_JOB_OUT, "%s", out->str);
}

static void
print_text(PhJob *job, const Stats *stats)
{
	ph_job_print(job, PH_JOB_OUT,
	             "[store %s] %u accounts, %" G_GUINT64_FORMAT " mailboxes, %" G_GUINT64_FORMAT
	             " messages, %" G_GUINT64_FORMAT " octets",
	             ph_section_name(job->section), job->n_users, stats->total.mailboxes,
	             stats->total.messages, stats->total.octets);
	for (guint i = 0; i < stats->largest->len; i++) {
		const Use *use = &g_array_index(stats->largest, Use, i);

		ph_job_print(job, PH_JOB_OUT,
		             "  %s: %" G_GUINT64_FORMAT " mailboxes, %" G_GUINT64_FORMAT
		             " messages, %" G_GUINT64_FORMAT " octets",
		             use->address, use->mailboxes, use->messages, use->octets);
	}
}

bool
ph_job_stats(PhJob *job, GError **error)
{
	g_autoptr(GArray) largest = g_array_new(FALSE, FALSE, sizeof(Use));
	Stats stats = { .largest = largest };

	g_array_set_clear_func(largest, clear_use);
	job->data = &stats;
	if (!ph_job_each_user(job, count_user, error))
		return false;
	if ((job->request->flags & PH_JOB_JSON) != 0)
		print_json(job, &stats);
	else
		print_text(job, &stats);
	return true;
}

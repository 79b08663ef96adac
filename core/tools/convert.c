/* convert.c: moves users from one store to another while they are served
 *
 * The target first follows the source, pass by pass, while sessions and deliveries go on. When
 * little is left the account is held: the last pass, the comparison, and the durable note in the
 * source that the user has moved happen while no commit of the account begins. Then whoever uses
 * the account is told that it is gone; the next opening leads to the target (see
 * account-open.c). There is no moment at which a change goes to the one and not to the other.
 *
 * Everything that a pass does is found by comparing both sides, so a conversion that was killed
 * goes on where it was when it is begun again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/convert.h"

#include <posthorn/slice.h>

#include <string.h>

enum {
	FEW_EVENTS = 200, /* that may be left when the account is held */
	PASSES_MAX = 20
};

/* --- the target ------------------------------------------------------------------------------------ */

static bool
has_mail(const GArray *mailboxes)
{
	for (guint i = 0; i < mailboxes->len; i++) {
		const PhMailboxInfo *info = &g_array_index(mailboxes, PhMailboxInfo, i);

		if (info->n_messages > 0 || strcmp(info->name, "INBOX") != 0)
			return true;
	}
	return false;
}

/* The target is empty or follows this source: anything else is somebody's mail. */
static bool
claim_target(PhConvert *convert, GError **error)
{
	const char *source = ph_section_name(convert->job->section);
	g_autoptr(GHashTable) values = ph_read_values(convert->to, NULL, error);
	g_autoptr(GArray) mailboxes = values != NULL ? ph_read_mailboxes(convert->to, error) : NULL;
	g_autoptr(PhTransaction) transaction = NULL;
	GBytes *follows = NULL;

	if (mailboxes == NULL)
		return false;
	follows = g_hash_table_lookup(values, PH_KEY_FOLLOWS);
	if (follows != NULL && g_bytes_get_size(follows) == strlen(source)
	    && memcmp(g_bytes_get_data(follows, NULL), source, strlen(source)) == 0)
		return true;
	if (follows != NULL || has_mail(mailboxes)) {
		ph_error_set(error, PH_ERROR_EXISTS,
		             "the user has mail of another origin in store '%s'",
		             ph_section_name(convert->job->to));
		return false;
	}
	transaction = ph_transaction_new(convert->to, NULL);
	(void) ph_transaction_put(transaction, NULL, PH_KEY_FOLLOWS, ph_slice(source));
	return ph_transaction_run(transaction, error);
}

/* --- passes ----------------------------------------------------------------------------------------- */

/* @n_out: how much there was to do. */
static bool
run_pass(PhConvert *convert, guint *n_out, GError **error)
{
	g_autoptr(GArray) from = ph_read_mailboxes(convert->from, error);
	g_autoptr(GArray) to = NULL;
	g_autoptr(GArray) events = NULL;

	if (from == NULL || !ph_convert_names(convert, from, error))
		return false;
	to = ph_read_mailboxes(convert->to, error);
	if (to == NULL)
		return false;
	events = ph_convert_plan(convert, from, to, error);
	if (events == NULL || !ph_convert_apply(convert, from, events, error))
		return false;
	*n_out = events->len;
	return ph_convert_values(convert, from, error) && ph_convert_raise(convert, from, error);
}

/* A mailbox that was removed in the middle of a pass is none in the next. */
static bool
is_passing(const GError *why)
{
	return g_error_matches(why, PH_ERROR, PH_ERROR_GONE)
	       || g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND);
}

static bool
follow(PhConvert *convert, GError **error)
{
	guint n = UINT_MAX;

	for (int passes = 0; n > FEW_EVENTS && passes < PASSES_MAX; passes++) {
		g_autoptr(GError) why = NULL;

		if (run_pass(convert, &n, &why) || is_passing(why))
			continue;
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	return true;
}

/* Takes in what other programs did to the files. */
static bool
refresh(PhConvert *convert, GError **error)
{
	g_autoptr(GArray) mailboxes = ph_read_mailboxes(convert->from, error);
	bool good = mailboxes != NULL;

	for (guint i = 0; good && i < mailboxes->len; i++) {
		PhAccountCall call;

		if (!ph_account_enter(convert->from, &call, error))
			return false;
		good = call.table->refresh(call.engine,
		                           &g_array_index(mailboxes, PhMailboxInfo, i).id, error);
		ph_account_leave(&call, good);
	}
	return good;
}

/* With the source held. */
static bool
finish_held(PhConvert *convert, GError **error)
{
	const char *target = ph_section_name(convert->job->to);
	guint n = 0;

	if (!refresh(convert, error) || !run_pass(convert, &n, error)
	    || !ph_convert_verify_all(convert, error))
		return false;
	if ((convert->job->request->flags & PH_JOB_COPY) != 0)
		return true;
	if (!ph_account_mark_moved(convert->from, target, error))
		return false;
	ph_account_retire(convert->from, target);
	return true;
}

static bool
convert_account(PhConvert *convert, GError **error)
{
	bool good = false;

	if (!claim_target(convert, error) || !follow(convert, error)
	    || !ph_convert_verify_octets(convert, error))
		return false;
	ph_account_hold(convert->from);
	good = finish_held(convert, error);
	ph_account_let_go(convert->from);
	return good;
}

/* --- users ------------------------------------------------------------------------------------------ */

static void
tell_done(const PhConvert *convert)
{
	bool copied = (convert->job->request->flags & PH_JOB_COPY) != 0;

	ph_job_print(convert->job, PH_JOB_OUT,
	             "%s: %s to '%s', %" G_GUINT64_FORMAT
	             " messages copied in this run, all compared",
	             convert->address, copied ? "copied" : "moved",
	             ph_section_name(convert->job->to), convert->n_copied);
}

static bool
convert_user(PhJob *job, const PhIdentity *identity, GError **error)
{
	static const PhLimits none;
	PhLimits limits = ph_account_limits(job->section, identity);
	g_autoptr(PhAccount) from = ph_account_attach(job->section, identity, &limits);
	g_autoptr(PhAccount) to = ph_account_attach(job->to, identity, &none);
	g_autofree char *moved = NULL;
	PhConvert convert = {
		.job = job,
		.address = ph_identity_address(identity),
		.from = from,
		.to = to,
	};
	bool good = false;

	if (!ph_account_moved_to(from, &moved, error)) {
		if (error == NULL || !g_error_matches(*error, PH_ERROR, PH_ERROR_GONE))
			return false;
		g_clear_error(error);
		moved = g_strdup(ph_section_name(job->to));
	}
	if (moved != NULL) {
		ph_job_print(job, PH_JOB_OUT, "%s: was moved to '%s' before", convert.address,
		             moved);
		return true;
	}
	convert.verified =
		g_hash_table_new_full(ph_mailbox_id_hash, ph_mailbox_id_equal, g_free, NULL);
	good = convert_account(&convert, error);
	g_hash_table_unref(convert.verified);
	if (good)
		tell_done(&convert);
	return good;
}

/* In the server users can only be led to the target when the config says so. */
static bool
may_switch(const PhJob *job, GError **error)
{
	const char *from = ph_section_name(job->section);
	const char *to = ph_section_name(job->to);

	if (job->section == job->to) {
		ph_error_set(error, PH_ERROR_INVALID, "both stores are '%s'", from);
		return false;
	}
	if ((job->request->flags & PH_JOB_ONLINE) == 0 || (job->request->flags & PH_JOB_COPY) != 0
	    || ph_section_plugin(job->section)->moves_to == job->to)
		return true;
	ph_error_set(error, PH_ERROR_INVALID,
	             "write moves-to = %s in [store %s] and reload, so that the server finds the "
	             "users in '%s' once they are moved; or make a copy only, with --copy",
	             to, from, to);
	return false;
}

bool
ph_job_convert(PhJob *job, GError **error)
{
	if (!may_switch(job, error) || !ph_job_each_user(job, convert_user, error))
		return false;
	ph_job_print(job, PH_JOB_OUT, "%u %s, %u failed", job->n_users,
	             job->n_users == 1 ? "user" : "users", job->n_failed);
	return true;
}

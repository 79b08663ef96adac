/* job.c: the steps of one question to an LDAP server
 *
 * With a `filter`: bind as the service, search, groups, then bind as the user or compare. With `user-dn`
 * alone the user is bound at once, and looked up as the service. A step sends one request.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "directory.h"
#include "escape.h"

enum {
	ENTRIES_MAX = 500, /* groups of a user, and what comes beside them */
};

Job *
job_new(Instance *instance, const char *name, const PhSecret *secret, int64_t deadline_us)
{
	Job *job = g_new0(Job, 1);
	const Settings *settings = instance->settings;
	int64_t own_us = g_get_monotonic_time() + (int64_t) settings->answer_timeout.us;

	job->instance = instance;
	job->user = ph_user_new(instance->rules, name);
	job->secret = secret;
	job->deadline_us = deadline_us > 0 ? MIN(deadline_us, own_us) : own_us;
	job->connection.fd = -1;
	job->result = PH_VERIFY_ERROR;
	if (settings->user_dn != NULL)
		job->dn = escape_fill(settings->user_dn, job->user, NULL, ESCAPE_DN);
	return job;
}

void
job_free(Job *job)
{
	ph_user_free(job->user);
	ph_identity_unref(job->identity);
	g_clear_error(&job->error);
	g_free(job->dn);
	g_free(job);
}

static void
finish(Job *job, PhVerify result)
{
	job->result = result;
	job->step = STEP_DONE;
}

void
job_fail(Job *job, GError *error)
{
	finish(job, PH_VERIFY_ERROR);
	g_clear_error(&job->error);
	job->error = error;
}

static void
fail_code(Job *job, const char *what, int code)
{
	GError *error = NULL;

	(void) fail_ldap(what, code, &error);
	job_fail(job, error);
}

static void
let_in(Job *job)
{
	if (job->is_unknown)
		finish(job, PH_VERIFY_UNKNOWN_USER);
	else
		finish(job, ph_user_accept(job->user, &job->identity, &job->error));
}

/* --- sending --------------------------------------------------------------------------------------- */

static bool
wants_search(const Job *job)
{
	const Settings *settings = job->instance->settings;

	return settings->filter != NULL || job->secret == NULL || settings->auth == AUTH_COMPARE
	       || job->instance->fields->len > 0;
}

static int
send_search(Job *job, const char *base, int scope, const char *filter, char **attributes)
{
	LDAP *ld = job->connection.ld;
	int message = -1;

	job->n_entries = 0;
	if (ldap_search_ext(ld, base, scope, filter, attributes, 0, NULL, NULL, NULL, ENTRIES_MAX,
	                    &message)
	    != LDAP_SUCCESS)
		return -1;
	return message;
}

static int
send_user_search(Job *job)
{
	const Settings *settings = job->instance->settings;
	g_autofree char *filter = NULL;

	if (settings->filter == NULL)
		return send_search(job, job->dn, LDAP_SCOPE_BASE, "(objectClass=*)",
		                   job->instance->wanted);
	filter = escape_fill(settings->filter, job->user, NULL, ESCAPE_FILTER);
	return send_search(job, settings->base, LDAP_SCOPE_SUBTREE, filter, job->instance->wanted);
}

static int
send_group_search(Job *job)
{
	const Settings *settings = job->instance->settings;
	char *attributes[] = { (char *) (uintptr_t) settings->group_attribute, NULL };
	g_autofree char *filter =
		escape_fill(settings->group_filter, job->user, job->dn, ESCAPE_FILTER);

	return send_search(job,
	                   settings->group_base != NULL ? settings->group_base : settings->base,
	                   LDAP_SCOPE_SUBTREE, filter, attributes);
}

static int
send_compare(Job *job)
{
	PhSlice password = ph_secret_slice(job->secret);
	struct berval value = { .bv_len = password.length,
		                .bv_val = (char *) (uintptr_t) password.data };
	int message = -1;

	if (ldap_compare_ext(job->connection.ld, job->dn, "userPassword", &value, NULL, NULL,
	                     &message)
	    != LDAP_SUCCESS)
		return -1;
	return message;
}

static int
send_request(Job *job)
{
	const Settings *settings = job->instance->settings;

	switch (job->step) {
	case STEP_SERVICE:
		return bind_request(job->connection.ld, settings->bind_dn,
		                    settings->bind_password != NULL
		                            ? ph_secret_slice(settings->bind_password)
		                            : PH_SLICE_LITERAL(""));
	case STEP_SEARCH:
		return send_user_search(job);
	case STEP_GROUPS:
		return send_group_search(job);
	case STEP_BIND:
		job->connection.is_service = false;
		return bind_request(job->connection.ld, job->dn, ph_secret_slice(job->secret));
	case STEP_COMPARE:
		return send_compare(job);
	case STEP_START:
	case STEP_DONE:
		break;
	}
	return -1;
}

/* What comes behind the step that was done well. */
static Step
step_after(const Job *job)
{
	const Settings *settings = job->instance->settings;
	Step prove = settings->auth == AUTH_COMPARE ? STEP_COMPARE : STEP_BIND;

	switch (job->step) {
	case STEP_START:
		if (!wants_search(job))
			return STEP_BIND;
		return job->connection.is_service ? STEP_SEARCH : STEP_SERVICE;
	case STEP_SERVICE:
		return STEP_SEARCH;
	case STEP_SEARCH:
		if (settings->group_filter != NULL)
			return STEP_GROUPS;
		return job->secret != NULL ? prove : STEP_DONE;
	case STEP_GROUPS:
		return job->secret != NULL ? prove : STEP_DONE;
	case STEP_BIND:
	case STEP_COMPARE:
	case STEP_DONE:
		break;
	}
	return STEP_DONE;
}

bool
job_advance(Job *job)
{
	if (job->step == STEP_DONE)
		return false;
	job->step = step_after(job);
	if (job->step == STEP_DONE) {
		let_in(job);
		return false;
	}
	job->n_asides = 0;
	job->message = send_request(job);
	if (job->message >= 0)
		return true;
	fail_code(job, "cannot ask the LDAP server", LDAP_SERVER_DOWN);
	return false;
}

/* --- taking --------------------------------------------------------------------------------------- */

static bool
add_values(Job *job, LDAPMessage *entry, const char *attribute, const char *field)
{
	struct berval **values = ldap_get_values_len(job->connection.ld, entry, attribute);
	bool good = true;

	for (size_t i = 0; good && values != NULL && values[i] != NULL; i++) {
		PhSlice octets = PH_SLICE(values[i]->bv_val, values[i]->bv_len);
		g_autofree char *text = ph_slice_is_utf8(octets) ? ph_slice_dup(octets) : NULL;

		good = ph_user_set(job->user, field, text, &job->error);
	}
	if (values != NULL)
		ldap_value_free_len(values);
	return good;
}

/* Somebody unknown is bound too, as an entry that is not there: that takes as long as a wrong password. */
static void
pass_for_unknown(Job *job)
{
	const Settings *settings = job->instance->settings;

	if (job->secret == NULL || settings->filter == NULL) {
		finish(job, PH_VERIFY_UNKNOWN_USER);
		return;
	}
	job->is_unknown = true;
	g_free(job->dn);
	job->dn = g_strconcat("cn=unknown,", settings->base, NULL);
}

static void
take_user(Job *job, LDAPMessage *entry)
{
	char *dn = ldap_get_dn(job->connection.ld, entry);

	g_free(job->dn);
	job->dn = g_strdup(dn != NULL ? dn : "");
	ldap_memfree(dn);
	for (guint i = 0; i < job->instance->fields->len; i++) {
		const Field *field = &g_array_index(job->instance->fields, Field, i);

		if (!add_values(job, entry, field->attribute, field->field)) {
			finish(job, PH_VERIFY_ERROR);
			return;
		}
	}
}

static void
fail_entries(Job *job, const char *what, unsigned most)
{
	GError *error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "the search finds more %s than %u", what, most);
	job_fail(job, error);
}

static void
take_entry(Job *job, LDAPMessage *entry)
{
	job->n_entries++;
	if (job->step == STEP_SEARCH && job->n_entries > 1)
		fail_entries(job, "users", 1);
	else if (job->step == STEP_SEARCH)
		take_user(job, entry);
	else if (job->n_entries > ENTRIES_MAX)
		fail_entries(job, "groups", ENTRIES_MAX);
	else if (!add_values(job, entry, job->instance->settings->group_attribute, "groups"))
		finish(job, PH_VERIFY_ERROR);
}

/* A password that is not right; what the server says of users that are not there differs. */
static void
refuse(Job *job, int code)
{
	if (code == LDAP_NO_SUCH_OBJECT || job->is_unknown)
		finish(job, PH_VERIFY_UNKNOWN_USER);
	else if (code == LDAP_INVALID_CREDENTIALS || code == LDAP_COMPARE_FALSE
	         || code == LDAP_INAPPROPRIATE_AUTH || code == LDAP_INVALID_DN_SYNTAX)
		finish(job, PH_VERIFY_WRONG);
	else
		fail_code(job, "the LDAP server refuses", code);
}

static void
take_result(Job *job, LDAPMessage *result)
{
	int code = LDAP_OTHER;
	bool compared = job->step == STEP_COMPARE;

	if (ldap_parse_result(job->connection.ld, result, &code, NULL, NULL, NULL, NULL, 0)
	    != LDAP_SUCCESS)
		code = LDAP_PROTOCOL_ERROR;
	if (job->step == STEP_SERVICE) {
		job->connection.is_service = code == LDAP_SUCCESS;
		if (code != LDAP_SUCCESS)
			fail_code(job, "the LDAP server refuses 'bind-dn'", code);
	} else if (code != (compared ? LDAP_COMPARE_TRUE : LDAP_SUCCESS)) {
		refuse(job, code);
	} else if (job->step == STEP_SEARCH && job->n_entries == 0) {
		pass_for_unknown(job);
	}
}

static bool
is_aside(int type)
{
	return type == LDAP_RES_SEARCH_REFERENCE || type == LDAP_RES_INTERMEDIATE;
}

/* References are not followed, and notes not read; both come without end from a server that is mad. */
static void
take_aside(Job *job)
{
	GError *error = NULL;

	job->n_asides++;
	if (job->n_asides <= ENTRIES_MAX)
		return;
	ph_error_set(&error, PH_ERROR_TEMPORARY,
	             "the LDAP server sends more than %u references or notes", ENTRIES_MAX);
	job_fail(job, error);
}

/* Messages are taken one by one, so that an endless answer is cut where it becomes too long. */
bool
job_take(Job *job)
{
	for (;;) {
		struct timeval at_once = { 0 };
		LDAPMessage *message = NULL;
		int type = ldap_result(job->connection.ld, job->message, LDAP_MSG_ONE, &at_once,
		                       &message);

		if (type == 0)
			return false;
		if (type < 0) {
			connection_close(&job->connection);
			fail_code(job, "the connection to the LDAP server is lost",
			          LDAP_SERVER_DOWN);
			return true;
		}
		if (type == LDAP_RES_SEARCH_ENTRY)
			take_entry(job, message);
		else if (is_aside(type))
			take_aside(job);
		else
			take_result(job, message);
		(void) ldap_msgfree(message);
		if (job->step == STEP_DONE || (type != LDAP_RES_SEARCH_ENTRY && !is_aside(type)))
			return true;
	}
}

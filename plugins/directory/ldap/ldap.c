/* ldap.c: users of an LDAP server: found by a search or a template, proved by a bind or a compare
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "directory.h"

#include <pthread.h>

static const char *const auth_words[] = { "bind", "compare", NULL };
static const char *const change_words[] = { "auto", "extended", "hash", NULL };

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 uri,
	                 PH_REQUIRED,
	                 "the server: ldap://HOST, ldaps://HOST or ldapi:///; several, by blanks"),
	PH_OPTION_BOOLEAN(Settings, starttls, "no", "begin TLS on an ldap:// connection first"),
	PH_OPTION_PATH(Settings,
	               ca_file,
	               PH_ABSENT,
	               "PEM file of who may vouch for the server; the system's when absent"),
	PH_OPTION_STRING(Settings, bind_dn, PH_ABSENT, "who searches; anonymous when absent"),
	PH_OPTION_SECRET(Settings, bind_password, PH_ABSENT, "the password of 'bind-dn'"),
	PH_OPTION_STRING(
		Settings,
		user_dn,
		PH_ABSENT,
		"a user's entry without a search: uid={local},ou=people,dc=example,dc=org"),
	PH_OPTION_STRING(Settings, base, PH_ABSENT, "below which entry users are searched for"),
	PH_OPTION_STRING(Settings,
	                 filter,
	                 PH_ABSENT,
	                 "what finds a user: (&(objectClass=person)(mail={user}))"),
	PH_OPTION_CHOICE(Settings,
	                 auth,
	                 "bind",
	                 auth_words,
	                 "how a password is proved: by a bind as the user, or by comparing"),
	PH_OPTION_LIST(Settings,
	               attributes,
	               PH_ABSENT,
	               "what is read of a user: quota=mailQuota, home=homeDirectory, name=cn"),
	PH_OPTION_STRING(Settings,
	                 group_base,
	                 PH_ABSENT,
	                 "below which entry groups are searched for; 'base' when absent"),
	PH_OPTION_STRING(Settings,
	                 group_filter,
	                 PH_ABSENT,
	                 "what finds a user's groups: (member={dn})"),
	PH_OPTION_STRING(Settings, group_attribute, "cn", "the attribute that names a group"),
	PH_OPTION_STRING(Settings,
	                 list_filter,
	                 PH_ABSENT,
	                 "what finds all users, for tools: (objectClass=inetOrgPerson)"),
	PH_OPTION_CHOICE(
		Settings,
		password_change,
		"auto",
		change_words,
		"who hashes a new password: the server (extended, RFC 3062), this program (hash), or "
		"the server where it says it can"),
	PH_OPTION_STRING(Settings, domain, PH_ABSENT, "domain of names without one"),
	PH_OPTION_INTEGER(Settings, connections, "16", 1, 256, "most connections to the server"),
	PH_OPTION_DURATION(Settings,
	                   answer_timeout,
	                   "5s",
	                   "most time for one question, and for connecting"),
	PH_OPTIONS_END,
};

/* --- life ----------------------------------------------------------------------------------------- */

static void
clear_field(gpointer data)
{
	Field *field = data;

	g_free(field->field);
	g_free(field->attribute);
}

static bool
read_fields(Instance *instance, GError **error)
{
	g_autoptr(GPtrArray) wanted = g_ptr_array_new();
	const char *const *texts = instance->settings->attributes;

	for (; texts != NULL && *texts != NULL; texts++) {
		g_auto(GStrv) parts = g_strsplit(*texts, "=", 2);
		Field field = { .field = NULL };

		if (parts[0] == NULL || parts[1] == NULL) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "'attributes' holds FIELD=ATTRIBUTE, not '%s'", *texts);
			return false;
		}
		field.field = g_strdup(g_strstrip(parts[0]));
		field.attribute = g_strdup(g_strstrip(parts[1]));
		g_array_append_val(instance->fields, field);
		g_ptr_array_add(wanted, g_strdup(field.attribute));
	}
	if (wanted->len == 0)
		g_ptr_array_add(wanted, g_strdup(LDAP_NO_ATTRS));
	g_ptr_array_add(wanted, NULL);
	instance->wanted = (char **) g_ptr_array_free(g_steal_pointer(&wanted), FALSE);
	return true;
}

static bool
check_settings(const Settings *settings, GError **error)
{
	const char *sentence = NULL;

	if (settings->filter == NULL && settings->user_dn == NULL)
		sentence = "users cannot be found: give 'filter' with 'base', or 'user-dn'";
	else if (settings->filter != NULL && settings->user_dn != NULL)
		sentence = "give either 'filter' or 'user-dn'";
	else if (settings->filter != NULL && settings->base == NULL)
		sentence = "'filter' needs a 'base'";
	else if (settings->starttls && !g_str_has_prefix(settings->uri, "ldap:"))
		sentence = "'starttls' is for ldap:// alone";
	if (sentence != NULL)
		ph_error_set(error, PH_ERROR_INVALID, "%s", sentence);
	return sentence == NULL;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	if (instance->pool != NULL)
		pool_free(instance->pool);
	g_array_unref(instance->fields);
	g_strfreev(instance->wanted);
	ph_user_rules_free(instance->rules);
	g_free(instance);
}

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	Instance *instance = NULL;

	if (!check_settings(data, error))
		return false;
	instance = g_new0(Instance, 1);
	instance->section = section;
	instance->settings = data;
	instance->rules = ph_user_rules_new(instance->settings->domain);
	instance->fields = g_array_new(FALSE, FALSE, sizeof(Field));
	g_array_set_clear_func(instance->fields, clear_field);
	if (!read_fields(instance, error)) {
		destroy(instance);
		return false;
	}
	instance->pool = pool_new(instance);
	*instance_out = instance;
	return true;
}

/* --- asking, without a thread ---------------------------------------------------------------------- */

static void
answer_question(Job *job, void *user_data)
{
	ph_question_answer(user_data, job->result, g_steal_pointer(&job->identity),
	                   g_steal_pointer(&job->error));
	job_free(job);
}

/* A simple bind with an empty password proves nothing, and servers say yes to it. */
static bool
is_empty(const PhSecret *secret)
{
	return secret != NULL && ph_secret_slice(secret).length == 0;
}

static void
begin(void *data, PhQuestion *question)
{
	Instance *instance = data;
	const PhSecret *secret = ph_question_secret(question);
	Job *job = NULL;

	if (is_empty(secret)) {
		ph_question_answer(question, PH_VERIFY_WRONG, NULL, NULL);
		return;
	}
	job = job_new(instance, ph_question_user(question), secret, ph_question_deadline(question));
	job->done = answer_question;
	job->user_data = question;
	pool_run(instance->pool, job);
}

/* --- asking, with a thread ------------------------------------------------------------------------- */

typedef struct {
	pthread_mutex_t lock; /* guards is_done */
	pthread_cond_t done;
	bool is_done;
} Waiter;

static void
wake_waiter(Job *job, void *user_data)
{
	Waiter *waiter = user_data;

	(void) pthread_mutex_lock(&waiter->lock);
	waiter->is_done = true;
	(void) pthread_cond_signal(&waiter->done);
	(void) pthread_mutex_unlock(&waiter->lock);
}

static PhVerify
ask(Instance *instance,
    const char *name,
    const PhSecret *secret,
    PhIdentity **identity_out,
    GError **error)
{
	Waiter waiter = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	Job *job = NULL;
	PhVerify result = PH_VERIFY_WRONG;

	if (is_empty(secret))
		return PH_VERIFY_WRONG;
	job = job_new(instance, name, secret, 0);
	job->done = wake_waiter;
	job->user_data = &waiter;
	pool_run(instance->pool, job);
	(void) pthread_mutex_lock(&waiter.lock);
	while (!waiter.is_done)
		(void) pthread_cond_wait(&waiter.done, &waiter.lock);
	(void) pthread_mutex_unlock(&waiter.lock);
	result = job->result;
	if (job->identity != NULL)
		*identity_out = g_steal_pointer(&job->identity);
	if (job->error != NULL)
		g_propagate_error(error, g_steal_pointer(&job->error));
	job_free(job);
	return result;
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	return ask(data, name, secret, identity_out, error);
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	return ask(data, name, NULL, identity_out, error);
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.flags = PH_DIRECTORY_HASHES,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.list = tools_list,
	.set = tools_set,
	.remove = tools_remove,
	.begin = begin,
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("ldap", &directory), PH_OFFERS_END };

/* libldap reads its own configuration once, before there are threads and a sandbox. */
static bool
load(GError **error)
{
	int version = 0;

	if (ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS)
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "libldap cannot be used");
	return false;
}

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "ldap",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users of an LDAP server",
	.options = options,
	.offers = offers,
	.load = load,
};

/* users.c: whose accounts a job works on
 *
 * A store cannot tell its users: the directories of the listeners and routes that use it can, or
 * the one that is named on the command line. Of a store that only follows another one (moves-to)
 * those of the other count.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/slice.h>

#include "plugin/call.h"
#include "plugin/instance.h"
#include "tools/job.h"

#include <string.h>

/* Does whoever names @store end up in @wanted? */
static bool
leads_to(const PhSection *store, const PhSection *wanted)
{
	for (int hops = 0; store != NULL && hops < 100; hops++) {
		if (store == wanted)
			return true;
		store = ph_section_plugin(store)->moves_to;
	}
	return false;
}

static void
add_directories(GPtrArray *found, PhSection *const *directories)
{
	for (size_t i = 0; directories != NULL && directories[i] != NULL; i++)
		if (!g_ptr_array_find(found, directories[i], NULL))
			g_ptr_array_add(found, directories[i]);
}

/* The directories of this store's users; all that are in use when nothing says which. */
static GPtrArray *
directories_of(const PhJob *job)
{
	PhSection *const *all = ph_config_sections(job->config);
	GPtrArray *found = g_ptr_array_new();

	for (size_t i = 0; all[i] != NULL; i++) {
		const PhListenerSettings *listener =
			ph_section_is_listener(all[i]) ? ph_section_listener(all[i]) : NULL;
		const PhRouteSettings *route =
			ph_section_is_route(all[i]) ? ph_section_route(all[i]) : NULL;

		if (listener != NULL && leads_to(listener->store, job->section))
			add_directories(found, listener->directory);
		if (route != NULL && leads_to(route->store, job->section))
			add_directories(found, route->directory);
	}
	for (size_t i = 0; found->len == 0 && all[i] != NULL; i++)
		if (all[i]->kind == PH_KIND_DIRECTORY)
			g_ptr_array_add(found, all[i]);
	return found;
}

/* --- one user ------------------------------------------------------------------------------------ */

static PhVerify
look_up(PhSection *section, const char *name, PhIdentity **identity_out, GError **error)
{
	const PhDirectory *table = ph_section_table(section);
	PhVerify result = PH_VERIFY_ERROR;
	PhCall call;

	if (!ph_call_begin(&call, section, error))
		return PH_VERIFY_ERROR;
	result = table->lookup(section->instance, name, identity_out, error);
	ph_call_end(&call, result != PH_VERIFY_ERROR);
	if (result == PH_VERIFY_ERROR && error != NULL && *error == NULL)
		ph_error_set(error, PH_ERROR_TEMPORARY, "the directory '%s' could not answer",
		             ph_section_name(section));
	return result;
}

/* Where no directory is: the name is the address. */
static PhIdentity *
make_identity(const char *name, GError **error)
{
	const char *at = strrchr(name, '@');
	g_autofree char *user = at != NULL ? g_strndup(name, (gsize) (at - name)) : g_strdup(name);
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = user,
		.domain = at != NULL ? at + 1 : "",
	};

	return ph_identity_new(&values, error);
}

static PhIdentity *
find_user(const GPtrArray *directories, const char *name, GError **error)
{
	PhIdentity *identity = NULL;

	if (directories->len == 0)
		return make_identity(name, error);
	for (guint i = 0; i < directories->len; i++) {
		PhVerify result = look_up(directories->pdata[i], name, &identity, error);

		if (result == PH_VERIFY_OK)
			return identity;
		if (result == PH_VERIFY_DISABLED)
			return make_identity(name, error);
		if (result == PH_VERIFY_ERROR)
			return NULL;
	}
	ph_error_set(error, PH_ERROR_NOT_FOUND, "no directory of this store knows '%s'", name);
	return NULL;
}

/* --- all of them --------------------------------------------------------------------------------- */

/* Run: a job over users. */
typedef struct {
	PhJob *job;
	PhJobUserFunc func;
	GHashTable *done; /* addresses */
	const GPtrArray *directories;
} Run;

static bool
run_user(Run *run, const PhIdentity *identity, GError **error)
{
	const char *address = ph_identity_address(identity);
	g_autoptr(GError) why = NULL;

	if (!ph_job_go_on(run->job, error))
		return false;
	if (!g_hash_table_add(run->done, g_strdup(address)))
		return true;
	run->job->n_users++;
	if (run->func(run->job, identity, &why))
		return true;
	if (!ph_job_go_on(run->job, error))
		return false;
	run->job->n_failed++;
	ph_job_print(run->job, PH_JOB_ERROR, "%s: %s", address,
	             why != NULL ? why->message : "failed without saying why");
	return true;
}

static bool
gather_name(const char *address, void *user_data)
{
	g_ptr_array_add(user_data, g_strdup(address));
	return true;
}

/* NAME/LABEL where NAME is listed too: an app password, say. */
static bool
is_of_another(const char *name, GHashTable *listed)
{
	const char *slash = strrchr(name, '/');
	g_autofree char *owner = slash != NULL ? g_strndup(name, (gsize) (slash - name)) : NULL;

	return owner != NULL && g_hash_table_contains(listed, owner);
}

/* What the directory lists, but for what is no user. Returns: (owned) */
static GPtrArray *
users_of(const GPtrArray *names)
{
	g_autoptr(GHashTable) listed = g_hash_table_new(g_str_hash, g_str_equal);
	GPtrArray *users = g_ptr_array_new();

	for (guint i = 0; i < names->len; i++)
		(void) g_hash_table_add(listed, names->pdata[i]);
	for (guint i = 0; i < names->len; i++)
		if (!is_of_another(names->pdata[i], listed))
			g_ptr_array_add(users, names->pdata[i]);
	return users;
}

static bool
run_directory(Run *run, PhSection *section, GError **error)
{
	const PhDirectory *table = ph_section_table(section);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) users = NULL;
	PhCall call;
	bool good = false;

	if (table->list == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "the directory '%s' cannot list its users; name a user",
		             ph_section_name(section));
		return false;
	}
	if (!ph_call_begin(&call, section, error))
		return false;
	good = table->list(section->instance, gather_name, names, error);
	ph_call_end(&call, good);
	users = users_of(names);
	for (guint i = 0; good && i < users->len; i++) {
		g_autoptr(GError) why = NULL;
		g_autoptr(PhIdentity) identity = find_user(run->directories, users->pdata[i], &why);

		if (identity != NULL) {
			good = run_user(run, identity, error);
			continue;
		}
		run->job->n_failed++;
		ph_job_print(run->job, PH_JOB_ERROR, "%s: %s", (const char *) users->pdata[i],
		             why->message);
	}
	return good;
}

bool
ph_job_each_user(PhJob *job, PhJobUserFunc func, GError **error)
{
	g_autoptr(GPtrArray) directories = directories_of(job);
	g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Run run = { .job = job, .func = func, .done = done, .directories = directories };
	bool good = true;

	if (job->request->user != NULL) {
		g_autoptr(PhIdentity) identity = find_user(directories, job->request->user, error);

		return identity != NULL && run_user(&run, identity, error);
	}
	if (directories->len == 0) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "there is no directory that could list the users; name a user");
		return false;
	}
	for (guint i = 0; good && i < directories->len; i++)
		good = run_directory(&run, directories->pdata[i], error);
	return good;
}

/* pam.c: the system's users, whose passwords PAM checks
 *
 * Who exists is what the name service says (getpwnam), or what PAM's account modules say. PAM reads
 * what only root may: the plugin has the flag PRIVILEGED, so that it runs in processes of its own and
 * never in the server's. PAM's own delay after a wrong password is switched off, because the server
 * has one for all directories.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	const char *service;
	const char *service_folder;
	const char *domain;
	uint32_t users;
	int64_t minimum_uid;
	int64_t maximum_uid;
} Settings;

typedef enum {
	USERS_SYSTEM = 0,
	USERS_ACCOUNT = 1,
} Users;

enum {
	UID_MOST = 0x7fffffff,
	BUFFER_FIRST = 1024,
	BUFFER_MOST = 1 << 20,
	GROUPS_MOST = 256,
	MESSAGES_MOST = 32,
	TAKEN = 32
};

static const char *const users_words[] = { "system", "account", NULL };

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 service,
	                 "posthorn",
	                 "the PAM service: a file's name in /etc/pam.d"),
	PH_OPTION_PATH(Settings,
	               service_folder,
	               PH_ABSENT,
	               "the folder of PAM's service files, instead of the system's"),
	PH_OPTION_STRING(Settings,
	                 domain,
	                 PH_ABSENT,
	                 "the users' domain; names of other domains are not known here"),
	PH_OPTION_CHOICE(
		Settings,
		users,
		"system",
		users_words,
		"who exists: users of the name service, or whom PAM's account modules take"),
	PH_OPTION_INTEGER(Settings,
	                  minimum_uid,
	                  "1000",
	                  0,
	                  UID_MOST,
	                  "users of the system below this number have no mail"),
	PH_OPTION_INTEGER(Settings,
	                  maximum_uid,
	                  "59999",
	                  0,
	                  UID_MOST,
	                  "users of the system above this number have no mail"),
	PH_OPTIONS_END,
};

/* --- the service ------------------------------------------------------------------------------ */

static bool
has_service(const Settings *settings)
{
	const char *const folders[] = { settings->service_folder, "/etc/pam.d", "/usr/lib/pam.d" };
	size_t first = settings->service_folder != NULL ? 0 : 1;
	size_t last = settings->service_folder != NULL ? 1 : G_N_ELEMENTS(folders);

	for (size_t i = first; i < last; i++) {
		g_autofree char *path = g_build_filename(folders[i], settings->service, NULL);

		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

typedef struct {
	int64_t took_us[TAKEN]; /* a ring */
	uint32_t n;
} Times;

typedef struct {
	const Settings *settings;
	pthread_mutex_t lock; /* guards what follows */
	Times wrong;          /* passwords */
	Times unknown;        /* names */
} Instance;

static bool
create(PhSection *section, const void *given, void **instance_out, GError **error)
{
	const Settings *settings = given;
	Instance *instance = NULL;

	if (strchr(settings->service, '/') != NULL) {
		ph_error_set(error, PH_ERROR_INVALID, "'service' is a file's name, not a path");
		return false;
	}
	if (!has_service(settings)) {
		ph_error_set(error, PH_ERROR_NOT_FOUND,
		             "there is no PAM service '%s'; copy the one of the plugin's README to "
		             "%s/%s",
		             settings->service,
		             settings->service_folder != NULL ? settings->service_folder
		                                              : "/etc/pam.d",
		             settings->service);
		return false;
	}
	instance = g_new0(Instance, 1);
	instance->settings = settings;
	(void) pthread_mutex_init(&instance->lock, NULL);
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	(void) pthread_mutex_destroy(&instance->lock);
	g_free(instance);
}

/* --- equal time -------------------------------------------------------------------------------- */

static int64_t
pick_time(const Times *times, uint32_t which)
{
	return times->n > 0 ? times->took_us[which % MIN(times->n, TAKEN)] : 0;
}

/* Somebody unknown is never shown to PAM, whose modules may count failures, and whose work for such names
 * differs; and the name service may look longer for who is not there. So both kinds of failure are
 * answered after the longer of two times that each kind took before, and a bit: both wait. */
static void
even_out(Instance *instance, Times *times, int64_t began_us, const PhSecret *secret)
{
	int64_t took_us = g_get_monotonic_time() - began_us;
	uint32_t which[2] = { 0 };
	int64_t left_us = 0;
	bool is_first = false;

	ph_secret_random(which, sizeof which);
	(void) pthread_mutex_lock(&instance->lock);
	times->took_us[times->n++ % TAKEN] = took_us;
	is_first = instance->wrong.n == 0;
	left_us =
		MAX(pick_time(&instance->wrong, which[0]), pick_time(&instance->unknown, which[1]));
	(void) pthread_mutex_unlock(&instance->lock);
	if (is_first)
		(void) ph_password_verify(NULL, secret, NULL);
	left_us = began_us + left_us * 5 / 4 - g_get_monotonic_time();
	const struct timespec rest = { .tv_sec = (time_t) (left_us / G_USEC_PER_SEC),
		                       .tv_nsec = (long) (left_us % G_USEC_PER_SEC) * 1000 };
	if (left_us > 0)
		(void) ppoll(NULL, 0, &rest, NULL);
}

/* --- PAM -------------------------------------------------------------------------------------- */

/* Talk: what PAM may be told. */
typedef struct {
	const char *user;
	const char *password; /* (nullable) */
} Talk;

/* Returns: (owned) PAM frees it; NULL for what cannot be answered. */
static char *
reply_to(const struct pam_message *message, const Talk *talk)
{
	const char *text = "";

	if (message->msg_style == PAM_PROMPT_ECHO_OFF)
		text = talk->password;
	else if (message->msg_style == PAM_PROMPT_ECHO_ON)
		text = talk->user;
	return text != NULL ? strdup(text) : NULL;
}

static int
converse(int n, const struct pam_message **messages, struct pam_response **out, void *user_data)
{
	struct pam_response *replies = NULL;

	if (n <= 0 || n > MESSAGES_MOST)
		return PAM_CONV_ERR;
	replies = calloc((size_t) n, sizeof *replies);
	if (replies == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		replies[i].resp = reply_to(messages[i], user_data);
		if (replies[i].resp != NULL)
			continue;
		for (int j = 0; j < i; j++)
			free(replies[j].resp);
		free(replies);
		return PAM_CONV_ERR;
	}
	*out = replies;
	return PAM_SUCCESS;
}

static void
no_delay(int status, unsigned int delay_us, void *user_data)
{
}

static int
start(const Settings *settings, const char *user, const struct pam_conv *talk, pam_handle_t **out)
{
	void (*delay)(int, unsigned int, void *) = no_delay;
	const void *item = NULL;
	int status = settings->service_folder != NULL
	                     ? pam_start_confdir(settings->service, user, talk,
	                                         settings->service_folder, out)
	                     : pam_start(settings->service, user, talk, out);

	memcpy(&item, &delay, sizeof item);
	if (status == PAM_SUCCESS)
		(void) pam_set_item(*out, PAM_FAIL_DELAY, item);
	return status;
}

static PhVerify
judge(int status, pam_handle_t *handle, GError **error)
{
	switch (status) {
	case PAM_SUCCESS:
		return PH_VERIFY_OK;
	case PAM_AUTH_ERR:
	case PAM_MAXTRIES:
	case PAM_CRED_INSUFFICIENT:
	case PAM_CONV_ERR:
		return PH_VERIFY_WRONG;
	case PAM_USER_UNKNOWN:
		return PH_VERIFY_UNKNOWN_USER;
	case PAM_ACCT_EXPIRED:
	case PAM_PERM_DENIED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
		return PH_VERIFY_DISABLED;
	default:
		ph_error_set(error, PH_ERROR_TEMPORARY, "PAM says: %s",
		             pam_strerror(handle, status));
		return PH_VERIFY_ERROR;
	}
}

/* Is @password the user's, and is the account in order? @password: (nullable) not asked for. */
static PhVerify
ask_pam(const Settings *settings, const char *user, const char *password, GError **error)
{
	Talk talk = { .user = user, .password = password };
	const struct pam_conv conversation = { converse, &talk };
	pam_handle_t *handle = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	int status = start(settings, user, &conversation, &handle);

	if (status == PAM_SUCCESS && password != NULL)
		status = pam_authenticate(handle, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (status == PAM_SUCCESS)
		status = pam_acct_mgmt(handle, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	result = judge(status, handle, error);
	if (handle != NULL)
		(void) pam_end(handle, status);
	return result;
}

/* --- who exists ------------------------------------------------------------------------------- */

/* The name without its domain; NULL when it is of another domain, or no name that could be passed
 * on. Returns: (owned) */
static char *
local_name(const Settings *settings, const char *address)
{
	PhSlice domain = ph_slice(address);
	PhSlice user = ph_slice_split(&domain, '@');

	if (domain.length > 0
	    && (settings->domain == NULL || !ph_slice_is_nocase(domain, settings->domain)))
		return NULL;
	if (user.length == 0 || user.data[0] == '-' || ph_slice_find(user, '/') >= 0
	    || ph_slice_find(user, ':') >= 0)
		return NULL;
	return ph_slice_dup(user);
}

typedef struct {
	struct passwd row;
	char *buffer; /* (owned) what the row points to */
} Account;

static void
clear_account(Account *account)
{
	g_free(account->buffer);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Account, clear_account)

static PhVerify
find_account(const Settings *settings, const char *name, Account *account, GError **error)
{
	struct passwd *found = NULL;
	int status = ERANGE;

	for (size_t size = BUFFER_FIRST; status == ERANGE && size <= BUFFER_MOST; size *= 2) {
		account->buffer = g_realloc(account->buffer, size);
		status = getpwnam_r(name, &account->row, account->buffer, size, &found);
	}
	if (found == NULL && status != 0 && status != ENOENT && status != ESRCH) {
		ph_error_set_errno(error, status, "cannot look the user up");
		return PH_VERIFY_ERROR;
	}
	if (found == NULL || (int64_t) found->pw_uid < settings->minimum_uid
	    || (int64_t) found->pw_uid > settings->maximum_uid)
		return PH_VERIFY_UNKNOWN_USER;
	return PH_VERIFY_OK;
}

/* Names of the user's groups. Returns: (owned) */
static char **
groups_of(const struct passwd *row)
{
	GPtrArray *names = g_ptr_array_new();
	gid_t ids[GROUPS_MOST];
	int n = GROUPS_MOST;

	if (getgrouplist(row->pw_name, row->pw_gid, ids, &n) < 0)
		n = 0;
	for (int i = 0; i < n; i++) {
		struct group *found = NULL;
		struct group group;
		char buffer[BUFFER_FIRST * 16];

		if (getgrgid_r(ids[i], &group, buffer, sizeof buffer, &found) == 0 && found != NULL)
			g_ptr_array_add(names, g_strdup(found->gr_name));
	}
	g_ptr_array_add(names, NULL);
	return (char **) g_ptr_array_free(names, FALSE);
}

static PhIdentity *
identity_of(const Settings *settings, const struct passwd *row, GError **error)
{
	g_auto(GStrv) groups = groups_of(row);
	PhSlice gecos = ph_slice(row->pw_gecos);
	g_autofree char *full_name = ph_slice_dup(ph_slice_split(&gecos, ','));
	g_autofree char *domain = g_ascii_strdown(settings->domain ? settings->domain : "", -1);
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = row->pw_name,
		.domain = domain,
		.full_name = full_name[0] != '\0' ? full_name : NULL,
		.home = row->pw_dir,
		.groups = (const char *const *) groups,
	};

	return ph_identity_new(&values, error);
}

static PhIdentity *
identity_of_name(const Settings *settings, const char *name, GError **error)
{
	g_autofree char *domain = g_ascii_strdown(settings->domain ? settings->domain : "", -1);
	const PhIdentityValues values = { .size = sizeof values, .user = name, .domain = domain };

	return ph_identity_new(&values, error);
}

/* Who it is, in whichever way users are known; the identity is made when the user is. */
static PhVerify
identify(const Settings *settings, const char *name, PhIdentity **identity_out, GError **error)
{
	g_auto(Account) account = { .buffer = NULL };
	PhVerify result = PH_VERIFY_OK;

	if (settings->users == USERS_SYSTEM)
		result = find_account(settings, name, &account, error);
	if (result != PH_VERIFY_OK)
		return result;
	*identity_out = settings->users == USERS_SYSTEM ? identity_of(settings, &account.row, error)
	                                                : identity_of_name(settings, name, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_ERROR;
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	const Settings *settings = ((const Instance *) instance)->settings;
	g_autofree char *name = local_name(settings, address);
	PhVerify result = PH_VERIFY_OK;

	if (name == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	if (settings->users == USERS_ACCOUNT)
		result = ask_pam(settings, name, NULL, error);
	return result == PH_VERIFY_OK ? identify(settings, name, identity_out, error) : result;
}

static PhVerify
verify(void *data,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	Instance *instance = data;
	const Settings *settings = instance->settings;
	int64_t began_us = g_get_monotonic_time();
	g_autofree char *name = local_name(settings, user);
	g_autoptr(PhIdentity) identity = NULL;
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	if (name != NULL)
		result = identify(settings, name, &identity, error);
	if (result == PH_VERIFY_OK)
		result = ask_pam(settings, name, ph_secret_slice(secret).data, error);
	if (result == PH_VERIFY_WRONG)
		even_out(instance, &instance->wrong, began_us, secret);
	else if (result == PH_VERIFY_UNKNOWN_USER)
		even_out(instance, &instance->unknown, began_us, secret);
	if (result == PH_VERIFY_OK)
		*identity_out = g_steal_pointer(&identity);
	return result;
}

static bool
list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	const Settings *settings = ((const Instance *) instance)->settings;
	const struct passwd *row = NULL;
	bool more = settings->users == USERS_SYSTEM;

	setpwent();
	while (more && (row = getpwent()) != NULL) {
		g_autoptr(PhIdentity) identity = NULL;

		if ((int64_t) row->pw_uid < settings->minimum_uid
		    || (int64_t) row->pw_uid > settings->maximum_uid)
			continue;
		identity = identity_of_name(settings, row->pw_name, NULL);
		more = identity == NULL || func(ph_identity_address(identity), user_data);
	}
	endpwent();
	return true;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.flags = PH_DIRECTORY_PRIVILEGED,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.list = list,
};

static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("pam", &directory),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "pam",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "the system's users, whose passwords PAM checks",
	.options = options,
	.offers = offers,
};

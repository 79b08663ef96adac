/* second-factor.c: one-time codes and app passwords, over another directory
 *
 * The password of a user with a one-time key is followed by the code of the moment. An app password is
 * one more password, for one program of the user, that can be taken back. Whether a code was right is not
 * told apart from whether the password was. Answers are never kept: a code holds once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "factors.h"
#include "totp.h"

#include <string.h>

typedef struct {
	PhSection *below;
	const char *path;
	bool required;
	const char *scope;
	int64_t window;
} Settings;

static const PhOption options[] = {
	PH_OPTION_SECTION(Settings,
	                  below,
	                  PH_REQUIRED,
	                  PH_KIND_DIRECTORY,
	                  "the directory that knows the users and their passwords"),
	PH_OPTION_PATH(Settings, path, PH_REQUIRED, "database of one-time keys and app passwords"),
	PH_OPTION_BOOLEAN(Settings,
	                  required,
	                  "no",
	                  "let nobody in with the password alone, whether there is a key or not"),
	PH_OPTION_STRING(Settings,
	                 scope,
	                 PH_ABSENT,
	                 "which app passwords hold here, besides those for all: imap, smtp, ..."),
	PH_OPTION_INTEGER(Settings,
	                  window,
	                  "1",
	                  0,
	                  10,
	                  "how many half minutes a code may be early or late"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	const PhDirectory *table; /* of the one below */
	Factors *factors;
} Instance;

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	const PhDirectory *table = ph_section_table(settings->below);
	Instance *instance = NULL;

	if (table->verify == NULL) {
		ph_error_set(error, PH_ERROR_INVALID, "the directory '%s' knows no passwords",
		             ph_section_name(settings->below));
		return false;
	}
	instance = g_new0(Instance, 1);
	instance->settings = settings;
	instance->table = table;
	instance->factors = factors_new(settings->path);
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	factors_free(instance->factors);
	g_free(instance);
}

static void *
below(const Instance *instance)
{
	return ph_section_instance(instance->settings->below);
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	const Instance *instance = data;

	return instance->table->lookup(below(instance), name, identity_out, error);
}

/* --- one-time codes --------------------------------------------------------------------------------- */

/* Cuts the code off the end. Returns: (owned) the password before it; NULL when there is no code. */
static PhSecret *
cut_code(const PhSecret *secret, uint32_t *code_out)
{
	PhSlice text = ph_secret_slice(secret);
	size_t length = text.length;

	if (length <= TOTP_DIGITS
	    || !ph_slice_to_u32(ph_slice_from(text, length - TOTP_DIGITS), UINT32_MAX, code_out))
		return NULL;
	return ph_secret_new(PH_SLICE(text.data, length - TOTP_DIGITS));
}

/* The step whose code it is, 0 when the key or the code is none. */
static uint64_t
find_step(const Instance *instance, const char *text, uint32_t code)
{
	uint8_t key[TOTP_KEY_MAX];
	size_t length = totp_key(text, key);
	uint64_t now = (uint64_t) (g_get_real_time() / G_USEC_PER_SEC);
	uint64_t step = 0;

	if (length > 0)
		step = totp_find(key, length, code, now, (unsigned) instance->settings->window);
	else
		ph_log(PH_LOG_ERROR, "one-time-key", "a one-time key is no base32 of 10 octets",
		       PH_LOG_END);
	ph_secret_wipe(key, sizeof key);
	return step;
}

/* Attempt: who wants in, with what. */
typedef struct {
	const char *name;
	const char *address; /* canonical */
	const PhSecret *secret;
} Attempt;

/* The password is verified whether the code is right or not: both take the same time. */
static PhVerify
verify_code(const Instance *instance,
            const Attempt *attempt,
            const char *key,
            PhIdentity **identity_out,
            GError **error)
{
	uint32_t code = 0;
	g_autoptr(PhSecret) password = cut_code(attempt->secret, &code);
	uint64_t step = password != NULL ? find_step(instance, key, code) : 0;
	g_autoptr(PhIdentity) identity = NULL;
	PhVerify result = instance->table->verify(below(instance), attempt->name,
	                                          password != NULL ? password : attempt->secret,
	                                          &identity, error);

	if (result != PH_VERIFY_OK)
		return result;
	if (step == 0)
		return PH_VERIFY_WRONG;
	result = factors_use(instance->factors, attempt->address, step, error);
	if (result == PH_VERIFY_OK)
		*identity_out = g_steal_pointer(&identity);
	return result;
}

/* --- app passwords ------------------------------------------------------------------------------------ */

static PhVerify
verify_app(const Instance *instance, const char *address, const PhSecret *secret, GError **error)
{
	const char *scope = instance->settings->scope;
	g_autoptr(GPtrArray) forms =
		factors_forms(instance->factors, address, scope != NULL ? scope : "", error);

	if (forms == NULL)
		return PH_VERIFY_ERROR;
	for (guint i = 0; i < forms->len; i++)
		if (ph_password_verify(forms->pdata[i], secret, NULL))
			return PH_VERIFY_OK;
	return PH_VERIFY_WRONG;
}

static void
free_key(char *key)
{
	if (key != NULL)
		ph_secret_wipe(key, strlen(key));
	g_free(key);
}

static PhVerify
verify_known(const Instance *instance,
             const Attempt *attempt,
             PhIdentity **identity_out,
             GError **error)
{
	char *key = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!factors_key(instance->factors, attempt->address, &key, error))
		return PH_VERIFY_ERROR;
	if (key != NULL) {
		result = verify_code(instance, attempt, key, identity_out, error);
	} else {
		g_autoptr(PhIdentity) identity = NULL;

		result = instance->table->verify(below(instance), attempt->name, attempt->secret,
		                                 &identity, error);
		if (result == PH_VERIFY_OK && instance->settings->required)
			result = PH_VERIFY_WRONG;
		else if (result == PH_VERIFY_OK)
			*identity_out = g_steal_pointer(&identity);
	}
	free_key(key);
	return result;
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhIdentity) identity = NULL;
	PhVerify result = lookup(data, name, &identity, error);
	PhVerify app = PH_VERIFY_WRONG;

	if (result == PH_VERIFY_UNKNOWN_USER || result == PH_VERIFY_DISABLED)
		return instance->table->verify(below(instance), name, secret, identity_out, error);
	if (result == PH_VERIFY_OK)
		app = verify_app(instance, ph_identity_address(identity), secret, error);
	if (result == PH_VERIFY_ERROR || app == PH_VERIFY_ERROR)
		return PH_VERIFY_ERROR;
	if (app != PH_VERIFY_OK) {
		const Attempt attempt = { name, ph_identity_address(identity), secret };

		return verify_known(instance, &attempt, identity_out, error);
	}
	*identity_out = g_steal_pointer(&identity);
	return PH_VERIFY_OK;
}

/* --- the rest --------------------------------------------------------------------------------------- */

static PhVerify
expand(void *data, const char *name, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;

	if (instance->table->expand == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return instance->table->expand(below(instance), name, func, user_data, error);
}

typedef struct {
	PhListFunc func;
	void *user_data;
	bool enough;
} Names;

static bool
pass_name(const char *name, void *user_data)
{
	Names *names = user_data;

	names->enough = !names->func(name, names->user_data);
	return !names->enough;
}

/* The users below, and then what they have here: NAME/LABEL. */
static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	Names names = { func, user_data, false };

	if (instance->table->list != NULL
	    && !instance->table->list(below(instance), pass_name, &names, error))
		return false;
	return names.enough || factors_list(instance->factors, func, user_data, error);
}

/* "anna@example.org/phone". Returns: (owned) the canonical address; @label_out: (borrowed) what is
 * behind the slash. NULL with an error. */
static char *
split_name(void *data, const char *name, const char **label_out, GError **error)
{
	const char *slash = strrchr(name, '/');
	g_autofree char *user = slash != NULL ? g_strndup(name, (gsize) (slash - name)) : NULL;
	g_autoptr(PhIdentity) identity = NULL;
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	if (slash == NULL || slash[1] == '\0') {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "users are changed in the directory below; here it is NAME/totp for a "
		             "one-time key and NAME/LABEL for an app password");
		return NULL;
	}
	*label_out = slash + 1;
	result = lookup(data, user, &identity, error);
	if (result == PH_VERIFY_UNKNOWN_USER || result == PH_VERIFY_DISABLED)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s' below", user);
	return identity != NULL ? g_strdup(ph_identity_address(identity)) : NULL;
}

static bool
check_key(const char *label, const char *hash, GError **error)
{
	uint8_t key[TOTP_KEY_MAX];
	bool is_plain = g_str_has_prefix(hash, "{PLAIN}");

	if (strcmp(label, "totp") != 0 || (is_plain && totp_key(hash + strlen("{PLAIN}"), key) > 0))
		return true;
	ph_error_set(error, PH_ERROR_INVALID,
	             "a one-time key is base32 of 10 to 64 octets, kept with --scheme PLAIN");
	return false;
}

static bool
set(void *data, const char *name, const char *hash, bool create_new, GError **error)
{
	const Instance *instance = data;
	const char *label = NULL;
	g_autofree char *address = split_name(data, name, &label, error);

	return address != NULL && check_key(label, hash, error)
	       && factors_set(instance->factors, address, label, hash, create_new, error);
}

static bool
remove_factor(void *data, const char *name, GError **error)
{
	const Instance *instance = data;
	const char *label = NULL;
	g_autofree char *address = split_name(data, name, &label, error);

	return address != NULL && factors_remove(instance->factors, address, label, error);
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.flags = PH_DIRECTORY_WRITES | PH_DIRECTORY_UNKEPT,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.expand = expand,
	.list = list,
	.set = set,
	.remove = remove_factor,
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("second-factor", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "second-factor",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "one-time codes and app passwords, over another directory",
	.options = options,
	.offers = offers,
};

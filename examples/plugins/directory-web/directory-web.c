/* directory-web.c: a directory that asks a web service of the site
 *
 *	GET  URL/USER              200 with the user, 404 when there is none
 *	POST URL/USER  password    200 with the user, 403 when it is wrong, 404
 *
 * The user comes as lines "name: value": user, domain, name, quota. Everything else is an answer for
 * later. A request has a time limit, and its answer a size; the section's `concurrency` bounds how
 * many there are at once. With `isolate = N` in the section libcurl is outside of the server.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <curl/curl.h>
#include <string.h>

typedef struct {
	const char *url;
	PhDuration patience;
} Settings;

enum {
	ANSWER_MOST = 64 << 10
};

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 url,
	                 PH_REQUIRED,
	                 "where the service is: https://example.org/users"),
	PH_OPTION_DURATION(Settings, patience, "5s", "most time for one request"),
	PH_OPTIONS_END,
};

static bool
load(GError **error)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "libcurl cannot be used");
	return false;
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

/* --- one request ------------------------------------------------------------------------------ */

/* More than the answer may have ends the transfer. */
static size_t
gather(char *octets, size_t size, size_t n, void *user_data)
{
	GString *answer = user_data;

	if (answer->len + n > ANSWER_MOST)
		return 0;
	g_string_append_len(answer, octets, (gssize) n);
	return n;
}

static void
prepare(CURL *curl, const Settings *settings, const char *user, GString *answer)
{
	g_autofree char *escaped = g_uri_escape_string(user, NULL, FALSE);
	g_autofree char *url = g_strdup_printf("%s/%s", settings->url, escaped);

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) (settings->patience.us / 1000));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, gather);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
}

/* The status of the answer; 0 with @error. @secret: (nullable) */
static long
request(const Settings *settings,
        const char *user,
        const PhSecret *secret,
        GString *answer,
        GError **error)
{
	CURL *curl = curl_easy_init();
	CURLcode code = CURLE_FAILED_INIT;
	long status = 0;

	if (curl != NULL) {
		prepare(curl, settings, user, answer);
		if (secret != NULL) {
			PhSlice body = ph_secret_slice(secret);

			curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long) body.length);
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
		}
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(curl);
	}
	if (code == CURLE_OK)
		return status;
	ph_error_set(error, PH_ERROR_TEMPORARY, "%s", curl_easy_strerror(code));
	return 0;
}

/* --- its answer ------------------------------------------------------------------------------- */

/* The value of a line "name: value"; NULL when there is none. Returns: (owned) */
static char *
value_of(const GString *answer, const char *name)
{
	PhSlice rest = PH_SLICE(answer->str, answer->len);

	while (rest.length > 0) {
		PhSlice value = ph_slice_split(&rest, '\n');
		PhSlice found = ph_slice_split(&value, ':');

		if (ph_slice_is(found, name))
			return g_strchomp(ph_slice_dup(ph_slice_trim(value)));
	}
	return NULL;
}

static PhIdentity *
read_identity(const GString *answer, GError **error)
{
	g_autofree char *user = value_of(answer, "user");
	g_autofree char *domain = value_of(answer, "domain");
	g_autofree char *name = value_of(answer, "name");
	g_autofree char *quota = value_of(answer, "quota");
	PhIdentityValues values = {
		.size = sizeof values,
		.user = user,
		.domain = domain,
		.full_name = name,
	};

	if (quota != NULL && !ph_slice_to_u64(ph_slice(quota), G_MAXINT64, &values.quota_octets)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the service gives a quota that is none");
		return NULL;
	}
	return ph_identity_new(&values, error);
}

static PhVerify
ask(const Settings *settings,
    const char *user,
    const PhSecret *secret,
    PhIdentity **identity_out,
    GError **error)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	long status = request(settings, user, secret, answer, error);

	switch (status) {
	case 0:
		return PH_VERIFY_ERROR;
	case 200:
		*identity_out = read_identity(answer, error);
		return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_ERROR;
	case 403:
		return PH_VERIFY_WRONG;
	case 404:
		return PH_VERIFY_UNKNOWN_USER;
	default:
		ph_error_set(error, PH_ERROR_TEMPORARY, "the service answers with status %ld",
		             status);
		return PH_VERIFY_ERROR;
	}
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	return ask(instance, address, NULL, identity_out, error);
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	return ask(instance, user, secret, identity_out, error);
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
	.verify = verify,
};

static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("web", &directory),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "web",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "asks a web service of the site",
	.options = options,
	.offers = offers,
	.load = load,
};

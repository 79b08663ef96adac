/* http.c: one bounded question over HTTP, by libcurl
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "http.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <curl/curl.h>

enum {
	BODY_MAX = 1 << 20,
	STATUS_OK = 200,
};

bool
http_load(GError **error)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		return true;
	g_set_error_literal(error, PH_ERROR, PH_ERROR_TEMPORARY, "libcurl cannot be used");
	return false;
}

bool
http_url_allowed(const char *url)
{
	static const char *const starts[] = { "http://127.0.0.1:", "http://127.0.0.1/",
		                              "http://[::1]:",     "http://[::1]/",
		                              "http://localhost:", "http://localhost/" };

	if (g_str_has_prefix(url, "https://"))
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(starts); i++)
		if (g_str_has_prefix(url, starts[i]))
			return true;
	return false;
}

static size_t
take_body(char *octets, size_t size, size_t n, void *user_data)
{
	GString *body = user_data;

	if (body->len + size * n > BODY_MAX)
		return 0;
	g_string_append_len(body, octets, (gssize) (size * n));
	return size * n;
}

static CURL *
prepare(const HttpQuestion *question, GString *body, char *problem)
{
	CURL *curl = curl_easy_init();
	if (curl == NULL)
		return NULL;

	curl_easy_setopt(curl, CURLOPT_URL, question->url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) (question->timeout.us / 1000));
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long) BODY_MAX);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "posthorn");
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	if (question->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, question->ca_file);
	if (question->form != NULL)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, question->form);
	if (question->user != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, question->user);
		curl_easy_setopt(
			curl, CURLOPT_PASSWORD,
			question->password != NULL ? ph_secret_slice(question->password).data : "");
	}
	return curl;
}

GString *
http_ask(const HttpQuestion *question, GError **error)
{
	char problem[CURL_ERROR_SIZE] = "";
	g_autoptr(GString) body = g_string_new(NULL);
	CURL *curl = prepare(question, body, problem);
	CURLcode code = curl != NULL ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
	long status = 0;

	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (status == STATUS_OK)
		return g_steal_pointer(&body);
	if (code == CURLE_OK)
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "'%s' answered with status %ld",
		            question->url, status);
	else
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "cannot ask '%s': %s",
		            question->url, problem[0] != '\0' ? problem : curl_easy_strerror(code));
	return NULL;
}

char *
http_escape(PhSlice text)
{
	return g_uri_escape_bytes((const guint8 *) text.data, text.length, NULL);
}

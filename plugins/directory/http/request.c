/* request.c: JSON to a URL and back, by libcurl
 *
 * A handle is used by one thread at a time and keeps its connection for the next request. Redirects are
 * not followed: a password goes to the host that the config names and to no other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "request.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>

enum {
	IDLE_MAX = 16,
	ANSWER_MAX = 65536,
	STATUS_OK = 200,
	US_PER_MS = 1000,
};

struct Client {
	ClientRules rules;
	struct curl_slist *headers;
	pthread_mutex_t lock; /* guards idle */
	GQueue idle;          /* of CURL */
};

bool
client_check_url(const char *url, GError **error)
{
	static const char *const allowed[] = { "https://", "http://127.0.0.1", "http://[::1]",
		                               "http://localhost" };
	bool good = false;

	for (size_t i = 0; i < G_N_ELEMENTS(allowed); i++) {
		size_t n = strlen(allowed[i]);

		good = good
		       || (strncmp(url, allowed[i], n) == 0 && url[n] != '\0'
		           && (i == 0 || strchr(":/", url[n]) != NULL));
	}
	if (!good)
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' is no https:// URL; http:// is taken for this machine alone",
		             url);
	return good;
}

Client *
client_new(const ClientRules *rules)
{
	Client *client = g_new0(Client, 1);

	client->rules = *rules;
	(void) pthread_mutex_init(&client->lock, NULL);
	g_queue_init(&client->idle);
	client->headers = curl_slist_append(NULL, "Content-Type: application/json");
	client->headers = curl_slist_append(client->headers, "Accept: application/json");
	client->headers = curl_slist_append(client->headers, "Expect:");
	if (rules->token != NULL) {
		PhSlice token = ph_secret_slice(rules->token);
		char *line = g_strconcat("Authorization: Bearer ", token.data, NULL);

		client->headers = curl_slist_append(client->headers, line);
		ph_secret_wipe(line, strlen(line));
		g_free(line);
	}
	return client;
}

static void
clean_up(void *handle)
{
	curl_easy_cleanup(handle);
}

void
client_free(Client *client)
{
	g_queue_clear_full(&client->idle, clean_up);
	for (struct curl_slist *one = client->headers; one != NULL; one = one->next)
		ph_secret_wipe(one->data, strlen(one->data));
	curl_slist_free_all(client->headers);
	(void) pthread_mutex_destroy(&client->lock);
	g_free(client);
}

/* libcurl's callback: what is too much ends the request. */
static size_t
take_octets(char *octets, size_t size, size_t n, void *data)
{
	GString *answer = data;
	size_t length = size * n;

	if (answer->len + length > ANSWER_MAX)
		return 0;
	g_string_append_len(answer, octets, (gssize) length);
	return length;
}

static CURL *
make_handle(const Client *client)
{
	const ClientRules *rules = &client->rules;
	CURL *handle = curl_easy_init();
	long limit_ms = (long) (rules->time_out.us / US_PER_MS);

	if (handle == NULL)
		return NULL;
	(void) curl_easy_setopt(handle, CURLOPT_URL, rules->url);
	(void) curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	(void) curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void) curl_easy_setopt(handle, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	(void) curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
	(void) curl_easy_setopt(handle, CURLOPT_PROXY, "");
	(void) curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, limit_ms);
	(void) curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, limit_ms);
	(void) curl_easy_setopt(handle, CURLOPT_HTTPHEADER, client->headers);
	(void) curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_octets);
	(void) curl_easy_setopt(handle, CURLOPT_USERAGENT, "posthorn");
	if (rules->ca_file != NULL) {
		(void) curl_easy_setopt(handle, CURLOPT_CAINFO, rules->ca_file);
		(void) curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	}
	return handle;
}

static CURL *
take(Client *client)
{
	(void) pthread_mutex_lock(&client->lock);
	CURL *handle = g_queue_pop_head(&client->idle);
	(void) pthread_mutex_unlock(&client->lock);
	return handle != NULL ? handle : make_handle(client);
}

static void
give_back(Client *client, CURL *handle)
{
	(void) pthread_mutex_lock(&client->lock);
	if (client->idle.length < IDLE_MAX)
		g_queue_push_head(&client->idle, g_steal_pointer(&handle));
	(void) pthread_mutex_unlock(&client->lock);
	if (handle != NULL)
		curl_easy_cleanup(handle);
}

bool
client_post(Client *client, const GString *question, GString *answer, GError **error)
{
	char reason[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURL *handle = take(client);
	CURLcode code = CURLE_OUT_OF_MEMORY;

	if (handle == NULL) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "libcurl gives no handle");
		return false;
	}
	g_string_truncate(answer, 0);
	(void) curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
	(void) curl_easy_setopt(handle, CURLOPT_POSTFIELDS, question->str);
	(void) curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, (long) question->len);
	(void) curl_easy_setopt(handle, CURLOPT_WRITEDATA, answer);
	code = curl_easy_perform(handle);
	(void) curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	(void) curl_easy_setopt(handle, CURLOPT_POSTFIELDS, NULL);
	(void) curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, NULL);
	give_back(client, handle);
	if (code != CURLE_OK)
		ph_error_set(error, PH_ERROR_TEMPORARY, "the request failed: %s",
		             reason[0] != '\0' ? reason : curl_easy_strerror(code));
	else if (status != STATUS_OK)
		ph_error_set(error, PH_ERROR_TEMPORARY, "the service answers with status %ld",
		             status);
	return code == CURLE_OK && status == STATUS_OK;
}

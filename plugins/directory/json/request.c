/* request.c: JSON to a URL and back, by libcurl
 *
 * One thread carries all requests; those that find no connection wait in a bounded queue. Connections are
 * kept for the next request. Redirects are not followed: a password goes to the host that the config names
 * and to no other.
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
	ANSWER_MAX = 65536,
	WAITING_MAX = 2000,
	STATUS_OK = 200,
	US_PER_MS = 1000,
	LONGEST_SLEEP_MS = 60000,
};

typedef struct {
	Talk *talk;
	CURL *handle;
	GString *answer;
	int64_t deadline_us;
	char reason[CURL_ERROR_SIZE];
} Request;

struct Client {
	ClientRules rules;
	struct curl_slist *headers;
	GQueue idle;        /* of CURL; this and running are the thread's own */
	GPtrArray *running; /* of Request */
	pthread_t thread;
	CURLM *multi;         /* (nullable) NULL: not started */
	pthread_mutex_t lock; /* guards what follows, and the start */
	bool stops;
	GQueue waiting; /* of Request */
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
	g_queue_init(&client->waiting);
	client->running = g_ptr_array_new();
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

/* --- one request ----------------------------------------------------------------------------------- */

/* Room for so many more. realloc would leave a copy behind, maybe of a stored password. */
static void
make_room(GString *answer, size_t n)
{
	GString *wider = NULL;
	GString narrow = *answer;

	if (n < answer->allocated_len - answer->len)
		return;
	wider = g_string_sized_new(2 * (answer->len + n));
	g_string_append_len(wider, answer->str, (gssize) answer->len);
	*answer = *wider;
	*wider = narrow;
	ph_secret_wipe(wider->str, wider->allocated_len);
	(void) g_string_free(wider, TRUE);
}

/* libcurl's callback: what is too much ends the request. */
static size_t
take_octets(char *octets, size_t size, size_t n, void *data)
{
	GString *answer = data;
	size_t length = size * n;

	if (answer->len + length > ANSWER_MAX)
		return 0;
	make_room(answer, length);
	g_string_append_len(answer, octets, (gssize) length);
	return length;
}

static CURL *
make_handle(const Client *client)
{
	const ClientRules *rules = &client->rules;
	CURL *handle = curl_easy_init();

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
	(void) curl_easy_setopt(handle, CURLOPT_HTTPHEADER, client->headers);
	(void) curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_octets);
	(void) curl_easy_setopt(handle, CURLOPT_USERAGENT, "posthorn");
	if (rules->ca_file != NULL) {
		(void) curl_easy_setopt(handle, CURLOPT_CAINFO, rules->ca_file);
		(void) curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	}
	return handle;
}

/* @error: (owned, nullable) */
static void
end_request(Request *request, GError *error)
{
	talk_answer(request->talk, PH_SLICE(request->answer->str, request->answer->len), error);
	ph_secret_wipe(request->answer->str, request->answer->allocated_len);
	(void) g_string_free(request->answer, TRUE);
	g_free(request);
}

static void
fail_request(Request *request, const char *why)
{
	GError *error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "%s", why);
	end_request(request, error);
}

static int64_t
left_ms(const Request *request)
{
	return (request->deadline_us - g_get_monotonic_time()) / US_PER_MS;
}

/* --- the thread -------------------------------------------------------------------------------------- */

static void
begin_request(Client *client, Request *request)
{
	const GString *question = talk_question(request->talk);
	int64_t limit_ms = left_ms(request);
	CURL *handle = NULL;

	if (limit_ms <= 0) {
		fail_request(request, "no connection to the service was free in time");
		return;
	}
	handle = g_queue_pop_head(&client->idle);
	if (handle == NULL)
		handle = make_handle(client);
	if (handle == NULL) {
		fail_request(request, "libcurl gives no handle");
		return;
	}
	request->handle = handle;
	(void) curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long) limit_ms);
	(void) curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long) limit_ms);
	(void) curl_easy_setopt(handle, CURLOPT_PRIVATE, request);
	(void) curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, request->reason);
	(void) curl_easy_setopt(handle, CURLOPT_POSTFIELDS, question->str);
	(void) curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, (long) question->len);
	(void) curl_easy_setopt(handle, CURLOPT_WRITEDATA, request->answer);
	g_ptr_array_add(client->running, request);
	(void) curl_multi_add_handle(client->multi, handle);
}

static void
give_back(Client *client, Request *request)
{
	CURL *handle = g_steal_pointer(&request->handle);

	(void) curl_multi_remove_handle(client->multi, handle);
	(void) g_ptr_array_remove_fast(client->running, request);
	(void) curl_easy_setopt(handle, CURLOPT_POSTFIELDS, NULL);
	(void) curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, NULL);
	g_queue_push_head(&client->idle, handle);
}

static void
finish(Client *client, Request *request, CURLcode code)
{
	long status = 0;
	GError *error = NULL;

	(void) curl_easy_getinfo(request->handle, CURLINFO_RESPONSE_CODE, &status);
	give_back(client, request);
	if (code != CURLE_OK)
		ph_error_set(&error, PH_ERROR_TEMPORARY, "the request failed: %s",
		             request->reason[0] != '\0' ? request->reason
		                                        : curl_easy_strerror(code));
	else if (status != STATUS_OK)
		ph_error_set(&error, PH_ERROR_TEMPORARY, "the service answers with status %ld",
		             status);
	end_request(request, error);
}

static void
take_answers(Client *client)
{
	int n_running = 0;
	int n_left = 0;
	CURLMsg *told = NULL;

	(void) curl_multi_perform(client->multi, &n_running);
	while ((told = curl_multi_info_read(client->multi, &n_left)) != NULL) {
		char *private = NULL;
		CURLcode code = told->data.result;

		if (told->msg == CURLMSG_DONE
		    && curl_easy_getinfo(told->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK)
			finish(client, (Request *) (void *) private, code);
	}
}

/* The next that may begin, or whose time is over. */
static Request *
next_waiting(Client *client)
{
	Request *first = NULL;

	(void) pthread_mutex_lock(&client->lock);
	first = g_queue_peek_head(&client->waiting);
	if (first != NULL
	    && (client->running->len < client->rules.connections || left_ms(first) <= 0))
		(void) g_queue_pop_head(&client->waiting);
	else
		first = NULL;
	(void) pthread_mutex_unlock(&client->lock);
	return first;
}

/* True: go on. @sleep_ms_out: until the first of those who wait has no time left. */
static bool
look_around(Client *client, int *sleep_ms_out)
{
	const Request *first = NULL;
	bool stops = false;

	*sleep_ms_out = LONGEST_SLEEP_MS;
	(void) pthread_mutex_lock(&client->lock);
	stops = client->stops;
	first = g_queue_peek_head(&client->waiting);
	if (first != NULL)
		*sleep_ms_out = (int) CLAMP(left_ms(first) + 1, 0, LONGEST_SLEEP_MS);
	(void) pthread_mutex_unlock(&client->lock);
	return !stops;
}

static void *
carry(void *data)
{
	Client *client = data;
	Request *next = NULL;
	int sleep_ms = 0;

	while (look_around(client, &sleep_ms)) {
		(void) curl_multi_poll(client->multi, NULL, 0, sleep_ms, NULL);
		take_answers(client);
		while ((next = next_waiting(client)) != NULL)
			begin_request(client, next);
		take_answers(client);
	}
	return NULL;
}

/* --- from outside ------------------------------------------------------------------------------------ */

/* Under the lock. The first question starts the thread: `create` runs in a process that may be another
 * one. */
static bool
start_once(Client *client)
{
	if (client->multi != NULL)
		return true;
	client->multi = curl_multi_init();
	if (client->multi == NULL)
		return false;
	(void) curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS,
	                         (long) client->rules.connections);
	if (pthread_create(&client->thread, NULL, carry, client) == 0)
		return true;
	(void) curl_multi_cleanup(g_steal_pointer(&client->multi));
	return false;
}

void
client_send(void *data, Talk *talk)
{
	Client *client = data;
	Request *request = g_new0(Request, 1);
	bool taken = false;

	request->talk = talk;
	request->answer = g_string_new(NULL);
	request->deadline_us = g_get_monotonic_time() + (int64_t) talk_patience(talk).us;
	(void) pthread_mutex_lock(&client->lock);
	taken = start_once(client) && client->waiting.length < WAITING_MAX;
	if (taken) {
		g_queue_push_tail(&client->waiting, request);
		(void) curl_multi_wakeup(client->multi);
	}
	(void) pthread_mutex_unlock(&client->lock);
	if (!taken)
		fail_request(request, "too many questions wait for the service");
}

static void
clean_up(void *handle)
{
	curl_easy_cleanup(handle);
}

static void
stop(Client *client)
{
	static const char why[] = "the section is no more";

	(void) pthread_mutex_lock(&client->lock);
	client->stops = true;
	(void) curl_multi_wakeup(client->multi);
	(void) pthread_mutex_unlock(&client->lock);
	(void) pthread_join(client->thread, NULL);
	while (client->running->len > 0) {
		Request *request = client->running->pdata[0];

		give_back(client, request);
		fail_request(request, why);
	}
	while (client->waiting.length > 0)
		fail_request(g_queue_pop_head(&client->waiting), why);
	g_queue_clear_full(&client->idle, clean_up);
	(void) curl_multi_cleanup(client->multi);
}

void
client_free(void *data)
{
	Client *client = data;

	if (client->multi != NULL)
		stop(client);
	for (struct curl_slist *one = client->headers; one != NULL; one = one->next)
		ph_secret_wipe(one->data, strlen(one->data));
	curl_slist_free_all(client->headers);
	g_ptr_array_unref(client->running);
	(void) pthread_mutex_destroy(&client->lock);
	g_free(client);
}

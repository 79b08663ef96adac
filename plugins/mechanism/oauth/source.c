/* source.c: where keys come from: a file that may change, or an address
 *
 * No lock is held while a file is read or an address asked. While one thread asks, others use what is
 * there; when nothing is there yet each asks for itself, and the section's `concurrency` bounds them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "source.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "http.h"

#include <pthread.h>
#include <sys/stat.h>

enum {
	RETRY_US = 10 * 1000 * 1000,
};

struct KeySource {
	PhSection *section;
	KeySourceOptions options;
	pthread_mutex_t lock; /* guards the rest */
	KeySet *keys;         /* (nullable) */
	struct timespec changed;
	off_t octets;
	int64_t next_us; /* when to ask again; monotonic */
	int64_t soonest_us;
	bool complained;
};

KeySource *
key_source_new(PhSection *section, const KeySourceOptions *options)
{
	KeySource *source = g_new0(KeySource, 1);

	source->section = section;
	source->options = *options;
	(void) pthread_mutex_init(&source->lock, NULL);
	return source;
}

void
key_source_free(KeySource *source)
{
	if (source == NULL)
		return;
	key_set_unref(source->keys);
	(void) pthread_mutex_destroy(&source->lock);
	g_free(source);
}

/* Is there nothing, or may there be something newer? Whoever is told so has to look. */
static bool
must_look(KeySource *source, bool missed, const struct stat *status)
{
	int64_t now = g_get_monotonic_time();
	bool due = missed ? now >= source->soonest_us : now >= source->next_us;

	if (status != NULL)
		return source->keys == NULL || status->st_size != source->octets
		       || status->st_ctim.tv_sec != source->changed.tv_sec
		       || status->st_ctim.tv_nsec != source->changed.tv_nsec;
	if (source->keys != NULL && !due)
		return false;
	source->next_us = now + (int64_t) source->options.refresh.us;
	source->soonest_us = now + RETRY_US;
	return true;
}

static KeySet *
look(const KeySource *source, GError **error)
{
	g_autoptr(GString) body = NULL;
	g_autofree char *text = NULL;
	gsize length = 0;

	if (source->options.url != NULL) {
		const HttpQuestion question = { .url = source->options.url,
			                        .ca_file = source->options.ca_file,
			                        .timeout = source->options.timeout };
		body = http_ask(&question, error);
		return body != NULL ? key_set_parse(PH_SLICE(body->str, body->len), false, error)
		                    : NULL;
	}
	if (!g_file_get_contents(source->options.path, &text, &length, error))
		return NULL;
	return key_set_parse(PH_SLICE(text, length), true, error);
}

static void
complain(KeySource *source, const GError *failure)
{
	(void) pthread_mutex_lock(&source->lock);
	bool first = !source->complained;
	source->complained = true;
	source->next_us = g_get_monotonic_time() + RETRY_US;
	(void) pthread_mutex_unlock(&source->lock);
	if (first)
		ph_log_section(source->section, PH_LOG_ERROR, "keys-unreadable",
		               "the keys of tokens cannot be read; those from before are used",
		               PH_LOG_FAILURE(failure), PH_LOG_END);
}

static void
swap_in(KeySource *source, KeySet *keys, const struct stat *status)
{
	(void) pthread_mutex_lock(&source->lock);
	KeySet *old = source->keys;
	source->keys = key_set_ref(keys);
	source->complained = false;
	if (status != NULL) {
		source->changed = status->st_ctim;
		source->octets = status->st_size;
	}
	(void) pthread_mutex_unlock(&source->lock);
	key_set_unref(old);
}

KeySet *
key_source_get(KeySource *source, bool missed, GError **error)
{
	struct stat status = { 0 };
	bool is_file = source->options.url == NULL;
	bool is_there = is_file && stat(source->options.path, &status) == 0;
	g_autoptr(GError) failure = NULL;

	(void) pthread_mutex_lock(&source->lock);
	KeySet *keys = source->keys != NULL ? key_set_ref(source->keys) : NULL;
	bool looks = (!is_file || is_there || keys == NULL)
	             && must_look(source, missed, is_there ? &status : NULL);
	(void) pthread_mutex_unlock(&source->lock);
	if (!looks)
		return keys;

	KeySet *newer = look(source, &failure);
	if (newer != NULL) {
		swap_in(source, newer, is_there ? &status : NULL);
		key_set_unref(keys);
		return newer;
	}
	complain(source, failure);
	if (keys == NULL)
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "no keys for tokens: %s",
		            failure->message);
	return keys;
}

/* http.h: one bounded question over HTTP
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_HTTP_H
#define OAUTH_HTTP_H

#include <posthorn/secret.h>

/* HttpQuestion: borrowed. */
typedef struct {
	const char *url;          /* https, or http to a loopback address */
	const char *ca_file;      /* (nullable) instead of the system's */
	const char *form;         /* (nullable) posted as it is; else it is a GET */
	const char *user;         /* (nullable) for basic authentication */
	const PhSecret *password; /* (nullable) */
	PhDuration timeout;       /* for all of it */
} HttpQuestion;

/* http_load: once, before there are threads. */
bool http_load(GError **error);

/* http_url_allowed: is it one that we ask? Pure. */
bool http_url_allowed(const char *url);

/* http_ask: (owned) the body of an answer with status 200, at most 1 MiB; NULL with TEMPORARY. No
 * redirection is followed. Blocks: up to the time-out. */
GString *http_ask(const HttpQuestion *question, GError **error);

/* http_escape: (owned) for a form. */
char *http_escape(PhSlice text);

#endif

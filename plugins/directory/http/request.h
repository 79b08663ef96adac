/* request.h: JSON to a URL and back, by libcurl
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <posthorn/secret.h>

/* Client: connections to one URL that nobody uses at this moment. Thread: any. */
typedef struct Client Client;

/* ClientRules: borrowed for the client's life. */
typedef struct {
	const char *url;
	const char *ca_file;   /* (nullable) the system's */
	const PhSecret *token; /* (nullable) for Authorization */
	PhDuration time_out;   /* of one request, the connection included */
} ClientRules;

/* client_check_url: https, or http to this machine. */
bool client_check_url(const char *url, GError **error);

Client *client_new(const ClientRules *rules);
void client_free(Client *client);

/* client_post: @answer: at most 64 KiB. Errors: TEMPORARY, also for every status but 200. */
bool client_post(Client *client, const GString *question, GString *answer, GError **error);

#endif

/* request.h: JSON to a URL and back, by libcurl
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef JSON_REQUEST_H
#define JSON_REQUEST_H

#include "speaker.h"

/* Client: one thread and its connections to one URL. Thread: any. */
typedef struct Client Client;

/* ClientRules: borrowed for the client's life. */
typedef struct {
	const char *url;
	const char *ca_file;   /* (nullable) the system's */
	const PhSecret *token; /* (nullable) for Authorization */
	unsigned connections;  /* most questions at once; others wait */
} ClientRules;

/* client_check_url: https, or http to this machine. */
bool client_check_url(const char *url, GError **error);

/* client_new: starts nothing yet. */
Client *client_new(const ClientRules *rules);

/* client_send, client_free: those of a SpeakerWay. An answer has at most 64 KiB; every status but 200 is
 * a TEMPORARY error. */
void client_send(void *client, Talk *talk);
void client_free(void *client);

#endif

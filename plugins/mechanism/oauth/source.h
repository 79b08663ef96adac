/* source.h: where keys come from: a file that may change, or an address
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_SOURCE_H
#define OAUTH_SOURCE_H

#include <posthorn/plugin.h>

#include "keys.h"

typedef struct KeySource KeySource;

/* KeySourceOptions: borrowed for as long as the source lives. One of path and url. */
typedef struct {
	const char *path;
	const char *url;
	const char *ca_file; /* (nullable) */
	PhDuration refresh;  /* of the url */
	PhDuration timeout;  /* of one question */
} KeySourceOptions;

KeySource *key_source_new(PhSection *section, const KeySourceOptions *options);
void key_source_free(KeySource *source);

/* key_source_get: (owned) the keys as they are now. @missed: a token came whose key is not among them: ask
 * again, but not more often than every ten seconds. What was good once stays when the file or the
 * address is away. Errors: TEMPORARY when there never were any. Thread: any. Blocks: yes. */
KeySet *key_source_get(KeySource *source, bool missed, GError **error);

#endif

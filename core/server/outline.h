/* outline.h: what the supervisor reads from a config by itself, without loading a plugin
 *
 * Only who the server runs as, where it logs, and which addresses it listens on. Whether the
 * config is right is for a fresh process to say (`posthorn check`); what cannot be understood here
 * is left out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_OUTLINE_H
#define PH_SERVER_OUTLINE_H

#include "config/keyfile.h"

/* PhOutlineAddress: one address of one listener. */
typedef struct {
	char *name; /* of the section */
	char *text; /* as written: "127.0.0.1:25" */
} PhOutlineAddress;

typedef struct {
	char *path;        /* of the config file, absolute */
	char *user;        /* (nullable) */
	char *group;       /* (nullable) */
	char *data;        /* (nullable) */
	char *control;     /* (nullable) path of the control socket */
	uint32_t log_sink; /* PhLogSink */
	uint32_t log_level;
	GArray *addresses; /* of PhOutlineAddress, in the order of the file */
	char **programs;   /* absolute paths that values begin with: what may be run */
	PhKeyfile *keyfile;
} PhOutline;

/* ph_outline_log_sink: the PhLogSink that [server] log means for this process. */
uint32_t ph_outline_log_sink(uint32_t choice);

/* ph_outline_read: Returns: (owned). NULL with NOT_FOUND or DENIED when the file cannot be read. */
PhOutline *ph_outline_read(const char *path, GError **error);

/* ph_outline_config_of: a config of [server] and one section alone, each key in the line where it is
 * in the file. @title: "directory people". Returns: (owned) NULL when there is no such section. */
char *ph_outline_config_of(const PhOutline *outline, const char *title);

void ph_outline_free(PhOutline *outline);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhOutline, ph_outline_free)

#endif

/* section.h: PhSection as the core sees it, and where offers of plugins come from
 *
 * A section is made by the config layer; the plugin layer adds table, instance and call counters.
 * After that it does not change until its config is freed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_SECTION_H
#define POSTHORN_CONFIG_SECTION_H

#include <posthorn/options.h>

#include "config/keyfile.h"

typedef struct PhConfig PhConfig;
typedef struct PhCalls PhCalls;       /* plugin/calls.h */
typedef struct PhInstance PhInstance; /* plugin/instance.h */

/* PhOfferInfo: one offer of a plugin that was adopted. Lives as long as the process. */
typedef struct {
	uint32_t kind;
	uint32_t needs; /* PH_NEEDS_* of a protocol, PH_ROUTE_NEEDS_* of a transport */
	const char *name;
	const char *plugin_name; /* of the plugin that makes the offer */
	const char *version;
	const char *licence;
	const char *summary;
	const char *path;             /* of its file */
	const PhOption *options;      /* in this core's stride, ended by a NULL key; never NULL */
	const void *table;            /* the completed vtable */
	bool (*load)(GError **error); /* (nullable) */
	const char *not_isolated;     /* (nullable) why it cannot be isolated */
} PhOfferInfo;

/* PhOfferSource: how the config layer asks the plugin layer, which stands above it. */
typedef struct {
	/* open: where to look from now on. @folders: (nullable) [server] plugin-path. @user: who
	 * besides root may own plugin files. */
	void (*open)(void *user_data, const char *const *folders, uid_t user);
	/* find: NULL with a sentence when there is none or it is refused. @name: an offer's name or
	 * "/absolute/file.so:name". */
	const PhOfferInfo *(*find)(void *user_data,
	                           uint32_t kind,
	                           const char *name,
	                           GError **error);
	/* names: (owned) names that find would look for files of, for hints; never NULL. */
	char **(*names)(void *user_data, uint32_t kind);
	void *user_data;
} PhOfferSource;

struct PhSection {
	PhConfig *config; /* borrowed: it owns the section */
	const char *word; /* "listener" */
	const char *name;
	uint32_t kind;     /* PhKind: a listener is a PROTOCOL, a route a TRANSPORT */
	unsigned int line; /* of the header; of the key that named it when implicit */
	bool is_implicit;  /* a plugin's name stood where a section's name could */
	bool is_used;      /* a listener or route needs it */
	bool owns_settings;
	const PhKeyfileSection *keys; /* NULL when implicit */
	const PhOfferInfo *offer;     /* NULL only while a config with mistakes is read */
	void *core_settings;          /* by word: sections.h */
	void *settings;               /* the plugin's, as its rows describe */
	GPtrArray *uses;              /* of PhSection: what it names; borrowed */
	uint32_t mark;                /* for walks over `uses` */
	/* the plugin layer's */
	PhInstance *held;
	void *narrowed; /* (owned, nullable) the offer's table as far as it holds for this section */
	void *instance;
	PhCalls *calls;
};

#endif

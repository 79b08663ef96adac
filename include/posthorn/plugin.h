/* plugin.h: the descriptor that a plugin exports, and the section it is created for
 *
 * A plugin is one shared object that exports one constant symbol, `ph_plugin`. The core opens the
 * file once, refuses it when others than root or the server's user could have written it, compares
 * `abi` before it reads anything else, copies every table and fills in defaults for members that
 * the plugin does not have. Code is never unloaded.
 *
 *	PH_EXPORT const PhPlugin ph_plugin = {
 *		.abi = PH_ABI,
 *		.name = "passwd-file",
 *		.version = "1.0",
 *		.licence = "LGPL-2.1-or-later",
 *		.summary = "users from a passwd-style file",
 *		.options = options,
 *		.offers = offers,
 *	};
 *
 * Life of an offer: `load` once a process, then for each config section and generation `create`,
 * use, `destroy`. Two sections may use one plugin with different options: keep no global mutable
 * state.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_PLUGIN_H
#define POSTHORN_PLUGIN_H

#include <posthorn/options.h>

G_BEGIN_DECLS

/* Until release 1.0 the major is 0 and a minor may break; from 1.0 on, tables only grow. */
#define PH_ABI_MAJOR 0
#define PH_ABI_MINOR 1
#define PH_ABI_MAGIC 0x50484f52u /* "PHOR" */

/* PhAbi: what the plugin was built against. Its own layout never changes. */
typedef struct {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t plugin_size; /* sizeof(PhPlugin) */
	uint32_t offer_size;  /* sizeof(PhOffer): stride of the offers */
	uint32_t option_size; /* sizeof(PhOption): stride of the options */
	uint32_t reserved;
} PhAbi;

#define PH_ABI                                                                                     \
	{                                                                                          \
		PH_ABI_MAGIC, PH_ABI_MAJOR, PH_ABI_MINOR, sizeof(PhPlugin), sizeof(PhOffer),       \
			sizeof(PhOption), 0                                                        \
	}

typedef struct PhProtocol PhProtocol;
typedef struct PhMechanism PhMechanism;
typedef struct PhDirectory PhDirectory;
typedef struct PhStore PhStore;
typedef struct PhFilter PhFilter;
typedef struct PhTransport PhTransport;

/* PhOffer: one thing that the plugin can do. One shared object may make several offers; `options`
 * may be NULL: then the plugin's own table holds. */
typedef struct {
	uint32_t kind; /* PhKind */
	uint32_t reserved;
	const char *name; /* what `plugin = ` in a section says */
	union {
		const void *table;
		const PhProtocol *protocol;
		const PhMechanism *mechanism;
		const PhDirectory *directory;
		const PhStore *store;
		const PhFilter *filter;
		const PhTransport *transport;
	};
	const PhOption *options;
	/* (nullable) why it cannot run in processes of its own (`isolate`), a sentence without its
	 * stop, for people: "it asks the server's resolver". Such a section is refused. */
	const char *not_isolated;
} PhOffer;

#define PH_OFFER_PROTOCOL(n, vtable)  { .kind = PH_KIND_PROTOCOL, .name = (n), .protocol = (vtable) }
#define PH_OFFER_MECHANISM(n, vtable) { .kind = PH_KIND_MECHANISM, .name = (n), .mechanism = (vtable) }
#define PH_OFFER_DIRECTORY(n, vtable) { .kind = PH_KIND_DIRECTORY, .name = (n), .directory = (vtable) }
#define PH_OFFER_STORE(n, vtable)     { .kind = PH_KIND_STORE, .name = (n), .store = (vtable) }
#define PH_OFFER_FILTER(n, vtable)    { .kind = PH_KIND_FILTER, .name = (n), .filter = (vtable) }
#define PH_OFFER_TRANSPORT(n, vtable) { .kind = PH_KIND_TRANSPORT, .name = (n), .transport = (vtable) }
#define PH_OFFERS_END                 { .kind = 0 }

typedef struct {
	PhAbi abi;
	const char *name;    /* lower case letters, digits, '-'; at most 32 octets */
	const char *version; /* of the plugin, for people */
	const char *licence; /* SPDX expression */
	const char *summary; /* one line */
	const PhOption *options;
	const PhOffer *offers;
	/* load: once per process, before any section is created; NULL when there is nothing to do.
	 * For work that needs files which the sandbox will hide (NSS, CA files, iconv tables).
	 * Thread: load. Blocks: briefly. Errors: stop the server's start with file and line of the
	 * first section that names the plugin. */
	bool (*load)(GError **error);
} PhPlugin;

/* PhSection: a config section in use, `[directory people]`. It belongs to the core, is immutable
 * after load, and outlives the instance created for it. Thread: any, for all functions here. */

/* ph_section_name: "people" (borrowed from the section). */
PH_PUBLIC const char *ph_section_name(PhSection *section);

/* ph_section_kind: a PhKind. */
PH_PUBLIC uint32_t ph_section_kind(PhSection *section);

/* ph_section_instance: what `create` of that section's plugin returned; for plugins that stand on
 * another section (PH_OPTION_SECTION). NULL before it was created. */
PH_PUBLIC void *ph_section_instance(PhSection *section);

/* ph_section_table: the core's completed copy of that section's vtable (every optional member is
 * filled in), to call it: `const PhStore *below = ph_section_table(settings->below)`. */
PH_PUBLIC const void *ph_section_table(PhSection *section);

/* ph_section_hostname: [server] hostname, for greetings and trace fields. Borrowed. */
PH_PUBLIC const char *ph_section_hostname(PhSection *section);

/* ph_section_data: [server] data, the directory that the server may write to. Borrowed. */
PH_PUBLIC const char *ph_section_data(PhSection *section);

/* ph_section_message_size_limit: [server] message-size-limit in octets: SIZE, APPENDLIMIT. */
PH_PUBLIC uint64_t ph_section_message_size_limit(PhSection *section);

/* ph_section_expand: fills in a template's {user}, {domain}, {address} with one identity's values.
 * Values are made safe as one path component each: '/', NUL, control characters and a leading dot
 * are escaped as %XX. @identity: (borrowed). Returns: (owned) g_free it. */
PH_PUBLIC char *ph_section_expand(const char *path_template, const PhIdentity *identity);

/* ph_section_count: adds @change to what `posthorn status` shows beside the section under @name ("behind",
 * "copied": lower case, '-' between words; at most 16 names). For events that an administrator looks
 * for, not for every call: calls, errors and times are counted anyway. What an isolated plugin counts
 * stays in its process. */
PH_PUBLIC void ph_section_count(PhSection *section, const char *name, int64_t change);

G_END_DECLS

#endif

/* config.h: one immutable, counted configuration
 *
 * Made from a file in one go, with every mistake collected. Holds the settings of the server and of
 * each section, with references resolved to sections; instances are the plugin layer's business.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_CONFIG_H
#define POSTHORN_CONFIG_CONFIG_H

#include "config/mistakes.h"
#include "config/section.h"
#include "config/sections.h"

/* PhConfigTls: one certificate; the first has no name. */
typedef struct {
	const char *name; /* "" for [tls] */
	unsigned int line;
	const PhTlsSettings *settings;
} PhConfigTls;

/* ph_config_load: reads and checks the file that @mistakes names. Returns: (owned) one reference;
 * NULL when there is an error (warnings are none). Thread: load or main. Blocks: on the disk. */
PhConfig *ph_config_load(const char *path, const PhOfferSource *source, PhMistakes *mistakes);

/* ph_config_load_to_check: the same, and can this machine open the listeners' sockets? Nobody else
 * asks that: an address may be another machine's for now (a tool on a standby needs none), and a
 * socket may be open already (a reload keeps it, a service manager passes it); the server sees it
 * when it opens one. */
PhConfig *ph_config_load_to_check(const char *path,
                                  const PhOfferSource *source,
                                  PhMistakes *mistakes);

/* ph_config_parse: the same for octets in memory; @folder is what relative paths are below. */
PhConfig *ph_config_parse(PhSlice octets,
                          const char *folder,
                          const PhOfferSource *source,
                          PhMistakes *mistakes);

/* ph_config_parse_for_tool: the same, for who does not serve: there need not be a listener. */
PhConfig *ph_config_parse_for_tool(PhSlice octets,
                                   const char *folder,
                                   const PhOfferSource *source,
                                   PhMistakes *mistakes);

PhConfig *ph_config_ref(PhConfig *config);
void ph_config_unref(PhConfig *config);

/* Everything below is borrowed from the config. Thread: any. */

const PhServerSettings *ph_config_server(const PhConfig *config);
const char *ph_config_folder(const PhConfig *config);

/* ph_config_user: whom the server runs as: [server] user, or who calls. */
uid_t ph_config_user(const PhConfig *config);
gid_t ph_config_group(const PhConfig *config);

/* ph_config_make_data: creates the data directory, mode 0700 and owned by the server's user, when
 * it is not there and the one above it is. Errors: those of ph_error_set_errno(). */
bool ph_config_make_data(const PhConfig *config, GError **error);

/* ph_config_queue: (borrowed) defaults when there is no such section. ph_config_needs_queue: there is
 * one, or a route whose transport does not commit by itself. */
const PhQueueOptions *ph_config_queue(const PhConfig *config);
bool ph_config_needs_queue(const PhConfig *config);

/* ph_config_tls: number @index, the unnamed one first; NULL behind the last. */
const PhConfigTls *ph_config_tls(const PhConfig *config, size_t index);

/* ph_config_tls_line: of @key in that section, or of its header. */
unsigned int ph_config_tls_line(const PhConfig *config, const PhConfigTls *tls, const char *key);

/* ph_config_plain: the settings of a section without plugin and name, such as "resolver"; with the
 * defaults when it is not written. @line_out: (out, nullable) of its header; 0 when it is not. */
const void *ph_config_plain(const PhConfig *config, const char *word, unsigned int *line_out);
const PhResolverSettings *ph_config_resolver(const PhConfig *config);

/* ph_config_sections: every section with a plugin that a listener or route needs, what is named
 * before what names it; NULL behind the last. */
PhSection *const *ph_config_sections(const PhConfig *config);

/* ph_config_all_sections: those that nothing needs too, in the order of the file. */
PhSection *const *ph_config_all_sections(const PhConfig *config);

/* ph_config_section: by word and name, NULL when there is none. */
PhSection *ph_config_section(const PhConfig *config, const char *word, const char *name);

/* The core's settings of a section. */
const PhListenerSettings *ph_section_listener(const PhSection *section);
const PhRouteSettings *ph_section_route(const PhSection *section);
const PhPluginSettings *ph_section_plugin(const PhSection *section);

/* ph_section_is_listener, _is_route: which of the words it stands under. */
bool ph_section_is_listener(const PhSection *section);
bool ph_section_is_route(const PhSection *section);

/* ph_section_title: "[listener imap]". Returns: (owned). */
char *ph_section_title(const PhSection *section);

/* ph_section_key_line: the line of a key as written in the file, the header's when it is absent. */
unsigned int ph_section_key_line(const PhSection *section, const char *key);

/* ph_section_isolate: in how many processes of its own the section's plugin runs; 0: in none. */
uint32_t ph_section_isolate(const PhSection *section);

/* ph_section_is_privileged: does its plugin read what only root may? */
bool ph_section_is_privileged(const PhSection *section);

/* ph_section_limits: concurrency and timeout of calls into the section's plugin; 0: none. */
void ph_section_limits(const PhSection *section,
                       uint32_t *concurrency_out,
                       PhDuration *timeout_out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhConfig, ph_config_unref)

#endif

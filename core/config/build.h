/* build.h: inside the config folder only: a config while it is made
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_BUILD_H
#define POSTHORN_CONFIG_BUILD_H

#include "config/config.h"
#include "config/listen.h"
#include "config/options.h"

#include <stdatomic.h>

/* PhConfigPlain: a section without plugin and name, written or not. */
typedef struct {
	const PhSectionKind *kind;
	unsigned int line; /* 0: it is not written */
	void *settings;
} PhConfigPlain;

struct PhConfig {
	atomic_uint n_refs;
	char *folder;
	PhKeyfile *keyfile;
	PhServerSettings *server;
	unsigned int server_line;
	uid_t user;
	gid_t group;
	GArray *tls;         /* of PhConfigTls */
	GArray *plain;       /* of PhConfigPlain */
	GPtrArray *sections; /* of PhSection: owned, in the order of the file, then implicit ones */
	GPtrArray *all;      /* the same, NULL behind the last */
	GPtrArray *ordered;  /* used ones, by need, NULL behind the last */
};

/* PhConfigPurpose: what a config is made for. */
typedef enum {
	PH_CONFIG_FOR_USE = 0,
	PH_CONFIG_FOR_TOOL,  /* nothing is served: no listener is needed */
	PH_CONFIG_FOR_CHECK, /* the server is to start with it on this machine */
} PhConfigPurpose;

/* PhBuilder: one making. */
typedef struct {
	PhConfig *config;
	const PhOfferSource *source;
	PhMistakes *mistakes;
	PhConfigPurpose purpose;
	PhOptionContext context;
	PhSection *current; /* whose keys are being bound */
} PhBuilder;

/* ph_build_all: fills builder->config; mistakes tell what is wrong. */
void ph_build_all(PhBuilder *builder);

/* ph_check_all: what can only be seen when everything stands: order, references, addresses,
 * domains, files. Called even when there are mistakes, and tells further ones. */
void ph_check_all(PhBuilder *builder);

/* ph_check_login: can anybody log in at this listener? Its `tls` is settled. */
void ph_check_login(PhBuilder *builder, const PhSection *section);

/* ph_check_store: can the rules of a [store] be followed? */
void ph_check_store(PhBuilder *builder, const PhSection *section);

/* ph_check_here: has this machine the address of a listener, or the folder of its socket? */
void ph_check_here(PhBuilder *builder, const PhSection *section, const PhListenAddress *address);

/* ph_check_control: is there a folder for the control socket? */
void ph_check_control(PhBuilder *builder, const char *path, unsigned int line);

/* ph_check_accounts: has each user of a [store] a place that is nobody else's? */
void ph_check_accounts(PhBuilder *builder, const PhSection *section);

/* ph_check_order: walks what sections use: marks used ones, finds circles, fills `ordered`. */
void ph_check_order(PhBuilder *builder);

#endif

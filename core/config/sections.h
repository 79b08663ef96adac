/* sections.h: the kinds of sections and the core's own keys in them, as rows like a plugin's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_SECTIONS_H
#define POSTHORN_CONFIG_SECTIONS_H

#include <posthorn/options.h>

/* PhDurability: [server] durability */
typedef enum {
	PH_DURABILITY_STORE = 0,
	PH_DURABILITY_JOURNAL = 1,
} PhDurability;

typedef enum {
	PH_LOG_CHOICE_AUTO = 0,
	PH_LOG_CHOICE_JOURNALD = 1,
	PH_LOG_CHOICE_TEXT = 2,
	PH_LOG_CHOICE_JSON = 3,
} PhLogChoice;

typedef enum {
	PH_PLAINTEXT_NEVER = 0,
	PH_PLAINTEXT_LOOPBACK = 1,
	PH_PLAINTEXT_ALWAYS = 2,
} PhPlaintextAuth;

typedef enum {
	PH_LISTENER_TLS_NONE = 0,
	PH_LISTENER_TLS_STARTTLS = 1,
	PH_LISTENER_TLS_IMPLICIT = 2,
} PhListenerTls;

typedef enum {
	PH_CLIENT_CERTIFICATES_NONE = 0,
	PH_CLIENT_CERTIFICATES_REQUEST = 1,
	PH_CLIENT_CERTIFICATES_REQUIRE = 2,
} PhClientCertificates;

typedef enum {
	PH_TLS_MINIMUM_1_2 = 0,
	PH_TLS_MINIMUM_1_3 = 1,
} PhTlsMinimum;

typedef enum {
	PH_ON_FAILURE_TEMPORARY = 0,
	PH_ON_FAILURE_ACCEPT = 1,
	PH_ON_FAILURE_REJECT = 2,
	PH_ON_FAILURE_DISCARD = 3,
	PH_ON_FAILURE_QUARANTINE = 4,
} PhOnFailure;

/* PhOnFall: what a chain of directories does when one could not let the user in */
typedef enum {
	PH_ON_FALL_STOP = 0,
	PH_ON_FALL_NEXT = 1,
} PhOnFall;

/* [server] */
typedef struct {
	const char *hostname;
	const char *data;
	const char *user;    /* (nullable) */
	const char *group;   /* (nullable) */
	uint32_t durability; /* PhDurability */
	uint32_t log;        /* PhLogChoice */
	uint32_t log_level;  /* 0: error ... 4: debug; ph_server_log_level() */
	int64_t workers;     /* 0: automatic */
	int64_t max_connections;
	int64_t max_connections_per_address;
	PhSize max_output_memory;
	const char *control;
	PhDuration drain;
	const char *const *plugin_path; /* (nullable) */
	PhSize message_size_limit;
	int64_t open_accounts;
	PhDuration login_delay;
	PhDuration login_delay_max;
	int64_t login_failures;
	PhSize journal_size;
	PhDuration checkpoint_interval;
} PhServerSettings;

/* [tls] and [tls NAME] */
typedef struct {
	const char *certificate;
	const char *key;
	const char *const *names; /* (nullable) from the certificate */
	uint32_t minimum_version; /* PhTlsMinimum */
	const char *ciphers;      /* (nullable) OpenSSL's list for TLS 1.2 */
} PhTlsSettings;

/* [listener NAME] */
typedef struct {
	const char *plugin;
	const char *const *address;
	uint32_t tls; /* PhListenerTls, settled: see ph_config_load() */
	PhSection *store;
	PhSection *const *directory;
	PhSection *const *mechanisms;
	PhSection *const *filters;
	uint32_t plaintext_auth; /* PhPlaintextAuth */
	const char *const *proxy_protocol;
	int64_t max_connections;             /* 0: the server's */
	int64_t max_connections_per_address; /* 0: the server's */
	uint32_t client_certificates;        /* PhClientCertificates */
	const char *client_ca;               /* (nullable) who vouches for them */
	PhSection *const *master_directory; /* (nullable) who may act as every user */
	const char *master_separator;       /* (nullable) */
	const char *const *proxy_groups;    /* (nullable) */
} PhListenerSettings;

/* [route NAME] */
typedef struct {
	const char *const *domains;
	const char *transport;
	PhSection *store;
	PhSection *const *directory;
	int64_t concurrency;
	PhDuration timeout;
	const char *catch_all;     /* (nullable) */
	const char *postmaster;    /* (nullable) */
	const char *separators;    /* (nullable) */
	PhSection *const *filters; /* (nullable) */
	uint32_t accept_from;      /* by default, anyone, trusted */
	bool detail_mailbox;
	const char *aliases;               /* (nullable) */
	const char *const *domain_aliases; /* (nullable) route-rules.h */
	const PhSecret *srs_secret;        /* (nullable) */
	PhDuration srs_lifetime;
} PhRouteSettings;

/* [directory NAME], [store NAME], [mechanism NAME], [transport NAME], [filter NAME] */
typedef struct {
	const char *plugin;
	int64_t concurrency;    /* calls at once; 0: no limit */
	PhDuration timeout;     /* of one call; 0: none */
	uint32_t on_failure;    /* filters: PhOnFailure */
	const char *quarantine; /* filters: the mailbox */
	/* [directory NAME], [mechanism NAME], [filter NAME] */
	int64_t isolate; /* processes that the plugin runs in; 0: the server's own */
	PhSize isolate_memory;
	/* [store NAME] alone */
	PhSize quota;                 /* of a user whose directory gives none; 0: no limit */
	int64_t quota_messages;       /* 0: no limit */
	const char *const *mailboxes; /* (nullable) made for a new user: store-rules.h */
	const char *const *retention; /* (nullable) store-rules.h */
	PhDuration retention_interval;
	const char *search_index; /* (nullable) template: fulltext.h */
	PhSection *moves_to;      /* (nullable) where `store convert` takes the users */
	/* [directory NAME] alone */
	uint32_t on_wrong; /* PhOnFall */
	uint32_t on_error; /* PhOnFall */
	PhDuration cache;
	PhDuration cache_negative;
	const char *rehash; /* (nullable) */
} PhPluginSettings;

/* [resolver] */
typedef struct {
	const char *const *server; /* (nullable) */
	PhDuration timeout;
	const char *trust_anchor; /* (nullable) */
	const char *hosts;        /* (nullable) */
	int64_t max_questions;
} PhResolverSettings;

/* PhDoubleBounce: [queue] double-bounce */
typedef enum {
	PH_DOUBLE_BOUNCE_POSTMASTER = 0,
	PH_DOUBLE_BOUNCE_HOLD = 1,
	PH_DOUBLE_BOUNCE_DISCARD = 2,
} PhDoubleBounce;

/* [queue] */
typedef struct {
	const char *path;
	const char *const *retry; /* durations: ph_config_load() has checked them */
	PhDuration lifetime;
	PhDuration warn_after; /* 0: never */
	int64_t concurrency;
	int64_t concurrency_per_destination;
	int64_t recipients_per_delivery;
	int64_t failures_until_pause;
	PhSize segment_size;
	uint32_t double_bounce; /* PhDoubleBounce */
	const char *postmaster;
} PhQueueOptions;

/* PhSectionKind: one row for each word that may open a section header. */
typedef struct {
	const char *word;
	uint32_t kind;          /* PhKind of the plugin behind it; 0 for none */
	const char *plugin_key; /* the key that names the plugin; NULL for none */
	bool takes_name;        /* [word NAME] */
	bool needs_name;
	const PhOption *rows;
	const char *help;      /* one line */
	const char *file_kind; /* "protocol": how the plugin kind is called; NULL for none */
} PhSectionKind;

/* ph_section_kinds: NULL word behind the last. */
extern const PhSectionKind ph_section_kinds[];

/* ph_section_kind_find: by its word; NULL when there is none. */
const PhSectionKind *ph_section_kind_find(const char *word);

/* ph_kind_name: "protocol". ph_kind_word: the section that a reference to this kind names:
 * "directory". ph_kind_from_name: 0 for none. */
const char *ph_kind_name(uint32_t kind);
const char *ph_kind_word(uint32_t kind);
uint32_t ph_kind_from_name(const char *name);

/* ph_server_log_level: the PhLogLevel of [server] log-level. */
uint32_t ph_server_log_level(const PhServerSettings *server);

#endif

/* sections.c: the kinds of sections and the core's own keys in them, as rows like a plugin's
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/sections.h"

#include <posthorn/log.h>

#include "base/limits.h"

#include <string.h>

static const char *const durability_words[] = { "store", "journal", NULL };
static const char *const log_words[] = { "auto", "journald", "text", "json", NULL };
static const char *const level_words[] = { "error", "warning", "notice", "info", "debug", NULL };
static const char *const tls_words[] = { "none", "starttls", "implicit", NULL };
static const char *const client_words[] = { "none", "request", "require", NULL };
static const char *const plaintext_words[] = { "never", "loopback", "always", NULL };
static const char *const version_words[] = { "1.2", "1.3", NULL };
static const char *const fall_words[] = { "stop", "next", NULL };
static const char *const failure_words[] = { "temporary", "accept",     "reject",
	                                     "discard",   "quarantine", NULL };
static const char *const accept_words[] = { "default", "anyone", "trusted", NULL };

static const char *const double_bounce_words[] = { "postmaster", "hold", "discard", NULL };

enum {
	MANY = 1000000,
	ISOLATE_MOST = 64
};

static const PhOption server_rows[] = {
	PH_OPTION_STRING(
		PhServerSettings,
		hostname,
		PH_ABSENT,
		"the server's name for greetings and trace fields; the machine's when absent"),
	PH_OPTION_PATH(PhServerSettings,
	               data,
	               PH_REQUIRED,
	               "the directory that the server may write to"),
	PH_OPTION_STRING(PhServerSettings,
	                 user,
	                 PH_ABSENT,
	                 "the user to become when started as root"),
	PH_OPTION_STRING(PhServerSettings,
	                 group,
	                 PH_ABSENT,
	                 "the group to become when started as root; the user's when absent"),
	PH_OPTION_CHOICE(PhServerSettings,
	                 durability,
	                 "store",
	                 durability_words,
	                 "who makes changes durable: each store for itself, or one journal for all "
	                 "that can defer it"),
	PH_OPTION_SIZE(PhServerSettings,
	               journal_size,
	               "256M",
	               "room of the journal, in files made beforehand; at least 32M"),
	PH_OPTION_DURATION(PhServerSettings,
	                   checkpoint_interval,
	                   "30s",
	                   "how often at least the stores are synced and the journal's room freed"),
	PH_OPTION_CHOICE(PhServerSettings,
	                 log,
	                 "auto",
	                 log_words,
	                 "where log lines go; auto is journald under systemd, else text on stderr"),
	PH_OPTION_CHOICE(PhServerSettings,
	                 log_level,
	                 "info",
	                 level_words,
	                 "the most detailed lines that are written"),
	PH_OPTION_INTEGER(PhServerSettings,
	                  workers,
	                  "0",
	                  0,
	                  PH_LIMIT_WORKERS,
	                  "most worker threads; 0 lets the pool grow to 64 when calls block"),
	PH_OPTION_INTEGER(PhServerSettings,
	                  max_connections,
	                  "10000",
	                  1,
	                  MANY,
	                  "most connections at once, of all listeners together"),
	PH_OPTION_INTEGER(PhServerSettings,
	                  max_connections_per_address,
	                  "50",
	                  1,
	                  MANY,
	                  "most connections at once from one client address"),
	PH_OPTION_SIZE(PhServerSettings,
	               max_output_memory,
	               "256M",
	               "most memory for answers that clients have not taken yet"),
	PH_OPTION_PATH(PhServerSettings,
	               control,
	               "{data}/control.sock",
	               "the socket that posthorn status and reload speak to"),
	PH_OPTION_DURATION(PhServerSettings,
	                   drain,
	                   "10min",
	                   "how long sessions may go on after a reload or stop"),
	PH_OPTION_LIST(PhServerSettings,
	               plugin_path,
	               PH_ABSENT,
	               "directories that plugins are looked for in, instead of the built-in one"),
	PH_OPTION_SIZE(PhServerSettings,
	               message_size_limit,
	               "50M",
	               "the largest message that is taken, by every protocol"),
	PH_OPTION_INTEGER(PhServerSettings,
	                  open_accounts,
	                  "500",
	                  1,
	                  MANY,
	                  "most accounts that are kept open while nobody uses them"),
	PH_OPTION_DURATION(PhServerSettings,
	                   login_delay,
	                   "2s",
	                   "how long the answer to a first failed login is held back"),
	PH_OPTION_DURATION(PhServerSettings,
	                   login_delay_max,
	                   "15s",
	                   "the longest such delay; each further failure doubles it"),
	PH_OPTION_INTEGER(PhServerSettings,
	                  login_failures,
	                  "5",
	                  1,
	                  100,
	                  "failed logins after which a connection is closed"),
	PH_OPTIONS_END,
};

static const PhOption tls_rows[] = {
	PH_OPTION_PATH(PhTlsSettings,
	               certificate,
	               PH_REQUIRED,
	               "PEM file with the certificate and its chain"),
	PH_OPTION_PATH(PhTlsSettings, key, PH_REQUIRED, "PEM file with the private key"),
	PH_OPTION_LIST(PhTlsSettings,
	               names,
	               PH_ABSENT,
	               "server names that it is for; those of the certificate when absent"),
	PH_OPTION_CHOICE(PhTlsSettings,
	                 minimum_version,
	                 "1.2",
	                 version_words,
	                 "the oldest TLS version that is spoken"),
	PH_OPTION_STRING(PhTlsSettings,
	                 ciphers,
	                 PH_ABSENT,
	                 "OpenSSL's cipher list for TLS 1.2; its default when absent"),
	PH_OPTIONS_END,
};

static const PhOption listener_rows[] = {
	PH_OPTION_STRING(PhListenerSettings, plugin, PH_REQUIRED, "the protocol to speak"),
	PH_OPTION_LIST(PhListenerSettings,
	               address,
	               PH_REQUIRED,
	               "IP:PORT, [IPv6]:PORT, *:PORT, unix:/path or systemd:NAME"),
	PH_OPTION_CHOICE(PhListenerSettings,
	                 tls,
	                 PH_ABSENT,
	                 tls_words,
	                 "starttls when absent and there is a [tls] section, else none"),
	PH_OPTION_SECTION(PhListenerSettings,
	                  store,
	                  PH_ABSENT,
	                  PH_KIND_STORE,
	                  "where the users' mail is"),
	PH_OPTION_SECTIONS(PhListenerSettings,
	                   directory,
	                   PH_ABSENT,
	                   PH_KIND_DIRECTORY,
	                   "who may log in; asked in this order until one knows the user"),
	PH_OPTION_SECTIONS(PhListenerSettings,
	                   mechanisms,
	                   PH_ABSENT,
	                   PH_KIND_MECHANISM,
	                   "ways to log in that are offered"),
	PH_OPTION_SECTIONS(PhListenerSettings,
	                   filters,
	                   PH_ABSENT,
	                   PH_KIND_FILTER,
	                   "filters that are asked about what comes in, in this order"),
	PH_OPTION_CHOICE(PhListenerSettings,
	                 plaintext_auth,
	                 "loopback",
	                 plaintext_words,
	                 "from where passwords are taken over a connection without TLS"),
	PH_OPTION_LIST(PhListenerSettings,
	               proxy_protocol,
	               PH_ABSENT,
	               "networks of load balancers that send a PROXY header; others may not"),
	PH_OPTION_INTEGER(PhListenerSettings,
	                  max_connections,
	                  "0",
	                  0,
	                  MANY,
	                  "most connections at once; 0 for the server's limit alone"),
	PH_OPTION_INTEGER(PhListenerSettings,
	                  max_connections_per_address,
	                  "0",
	                  0,
	                  MANY,
	                  "most connections at once from one client address; 0 for the server's"),
	PH_OPTION_CHOICE(PhListenerSettings,
	                 client_certificates,
	                 "none",
	                 client_words,
	                 "whether TLS clients are asked for a certificate, or must have one"),
	PH_OPTION_PATH(PhListenerSettings,
	               client_ca,
	               PH_ABSENT,
	               "PEM file with the certificates of those who vouch for clients"),
	PH_OPTION_SECTIONS(PhListenerSettings,
	                   master_directory,
	                   PH_ABSENT,
	                   PH_KIND_DIRECTORY,
	                   "master users: whoever is proved by these may act as every user"),
	PH_OPTION_STRING(PhListenerSettings,
	                 master_separator,
	                 PH_ABSENT,
	                 "one character: with * a master user logs in as USER*MASTER too"),
	PH_OPTION_LIST(PhListenerSettings,
	               proxy_groups,
	               PH_ABSENT,
	               "groups whose members may act as every user (SASL authorisation names)"),
	PH_OPTIONS_END,
};

static const PhOption route_rows[] = {
	PH_OPTION_LIST(PhRouteSettings,
	               domains,
	               PH_REQUIRED,
	               "domains that it serves; * for all that no other route names"),
	PH_OPTION_STRING(PhRouteSettings,
	                 transport,
	                 PH_REQUIRED,
	                 "the transport plugin, or a [transport NAME] section"),
	PH_OPTION_SECTION(PhRouteSettings, store, PH_ABSENT, PH_KIND_STORE, "where the mail goes"),
	PH_OPTION_SECTIONS(PhRouteSettings,
	                   directory,
	                   PH_ABSENT,
	                   PH_KIND_DIRECTORY,
	                   "which users exist; asked in this order"),
	PH_OPTION_INTEGER(PhRouteSettings,
	                  concurrency,
	                  "0",
	                  0,
	                  MANY,
	                  "most deliveries at once; 0 for no limit"),
	PH_OPTION_DURATION(PhRouteSettings, timeout, "5min", "most time for one delivery"),
	PH_OPTION_STRING(PhRouteSettings,
	                 catch_all,
	                 PH_ABSENT,
	                 "the user who gets mail for names that nobody has; else it is refused"),
	PH_OPTION_STRING(PhRouteSettings,
	                 postmaster,
	                 PH_ABSENT,
	                 "the user who gets postmaster's mail where no user has that name"),
	PH_OPTION_STRING(PhRouteSettings,
	                 separators,
	                 PH_ABSENT,
	                 "characters that end the user in user+detail: + or +-"),
	PH_OPTION_SECTIONS(PhRouteSettings,
	                   filters,
	                   PH_ABSENT,
	                   PH_KIND_FILTER,
	                   "filters that are asked before each delivery, in this order"),
	PH_OPTION_CHOICE(
		PhRouteSettings,
		accept_from,
		"default",
		accept_words,
		"whose mail it takes: anyone's, or that of trusted submitters (logged in, or "
		"in relay-networks); by default anyone's when it has a directory or ends "
		"here, else trusted"),
	PH_OPTION_BOOLEAN(
		PhRouteSettings,
		detail_mailbox,
		"no",
		"deliver user+detail into the user's mailbox of that name, when there is one"),
	PH_OPTION_PATH(PhRouteSettings,
	               aliases,
	               PH_ABSENT,
	               "file of lines NAME: ADDRESS, ADDRESS ...; read again when it has changed"),
	PH_OPTION_LIST(PhRouteSettings,
	               domain_aliases,
	               PH_ABSENT,
	               "other names of its domains, each OTHER -> DOMAIN"),
	PH_OPTION_SECRET(PhRouteSettings,
	                 srs_secret,
	                 PH_ABSENT,
	                 "rewrites (SRS) the senders of mail that an alias here sends to another "
	                 "server, with this secret; best file:/path"),
	PH_OPTION_DURATION(PhRouteSettings,
	                   srs_lifetime,
	                   "21d",
	                   "how long bounces to a rewritten sender are taken"),
	PH_OPTIONS_END,
};

static const PhOption resolver_rows[] = {
	PH_OPTION_LIST(PhResolverSettings,
	               server,
	               PH_ABSENT,
	               "name servers to ask: IP, IP:PORT or [IPv6]:PORT; those of "
	               "/etc/resolv.conf when absent"),
	PH_OPTION_DURATION(
		PhResolverSettings,
		timeout,
		"10s",
		"most time for one question; then it is asked again with the next attempt"),
	PH_OPTION_PATH(PhResolverSettings,
	               trust_anchor,
	               PH_ABSENT,
	               "file with the root's key, such as /usr/share/dns/root.key: answers are "
	               "validated (DNSSEC); the name servers must pass signatures on"),
	PH_OPTION_PATH(PhResolverSettings,
	               hosts,
	               "/etc/hosts",
	               "file with names and addresses that need no name server"),
	PH_OPTION_INTEGER(PhResolverSettings,
	                  max_questions,
	                  "1000",
	                  1,
	                  MANY,
	                  "most questions under way at once"),
	PH_OPTIONS_END,
};

#define BULKHEAD_ROWS(default_concurrency)                                                    \
	PH_OPTION_INTEGER(PhPluginSettings, concurrency, default_concurrency, 0, MANY,        \
	                  "most calls into the plugin at once; others wait; 0 for no limit"), \
		PH_OPTION_DURATION(PhPluginSettings, timeout, "30s",                          \
	                           "most time for one call and for waiting for it; then the " \
	                           "client is told to try later")

#define ISOLATE_ROWS                                                                            \
	PH_OPTION_INTEGER(PhPluginSettings, isolate, "0", 0, ISOLATE_MOST,                      \
	                  "run the plugin in so many processes of its own, one call at a time " \
	                  "in each; 0 runs it in the server's"),                                \
		PH_OPTION_SIZE(PhPluginSettings, isolate_memory, "256M",                        \
	                       "most memory of each such process; one that wants more dies")

static const PhOption plugin_rows[] = {
	PH_OPTION_STRING(PhPluginSettings, plugin, PH_REQUIRED, "the plugin to use"),
	BULKHEAD_ROWS("0"),
	PH_OPTIONS_END,
};

static const PhOption mechanism_rows[] = {
	PH_OPTION_STRING(PhPluginSettings, plugin, PH_REQUIRED, "the plugin to use"),
	BULKHEAD_ROWS("0"),
	ISOLATE_ROWS,
	PH_OPTIONS_END,
};

/* One that hangs must not take the threads of all the others. */
static const PhOption directory_rows[] = {
	PH_OPTION_STRING(PhPluginSettings, plugin, PH_REQUIRED, "the plugin to use"),
	BULKHEAD_ROWS("16"),
	PH_OPTION_CHOICE(PhPluginSettings,
	                 on_wrong,
	                 "stop",
	                 fall_words,
	                 "when it knows the user and the password is wrong: the next directory may "
	                 "know another one"),
	PH_OPTION_CHOICE(PhPluginSettings,
	                 on_error,
	                 "stop",
	                 fall_words,
	                 "when it cannot answer: users that the next one knows get in, all others "
	                 "are told to try later"),
	PH_OPTION_DURATION(
		PhPluginSettings,
		cache,
		"30s",
		"how long a right password and what is known of a user are kept; 0s: not "
		"at all"),
	PH_OPTION_DURATION(PhPluginSettings,
	                   cache_negative,
	                   "5s",
	                   "how long a wrong password or an unknown name is kept"),
	PH_OPTION_STRING(PhPluginSettings,
	                 rehash,
	                 PH_ABSENT,
	                 "the scheme that a password is stored in anew when its user logs in with "
	                 "it, such as ARGON2ID"),
	ISOLATE_ROWS,
	PH_OPTIONS_END,
};

static const PhOption store_rows[] = {
	PH_OPTION_STRING(PhPluginSettings, plugin, PH_REQUIRED, "the plugin to use"),
	BULKHEAD_ROWS("0"),
	PH_OPTION_SIZE(PhPluginSettings,
	               quota,
	               "0",
	               "most octets of a user whose directory gives no quota; 0 for no limit"),
	PH_OPTION_INTEGER(
		PhPluginSettings,
		quota_messages,
		"0",
		0,
		INT64_MAX,
		"most messages of a user whose directory gives no such limit; 0 for none"),
	PH_OPTION_LIST(
		PhPluginSettings,
		mailboxes,
		PH_ABSENT,
		"made and subscribed at a user's first visit: Sent \\Sent, Junk \\Junk, Lists"),
	PH_OPTION_LIST(PhPluginSettings,
	               retention,
	               PH_ABSENT,
	               "what is removed by age or beyond a number: Trash 30d, Lists/* 5000"),
	PH_OPTION_DURATION(PhPluginSettings,
	                   retention_interval,
	                   "1h",
	                   "how often 'retention' is looked after; 1min or more"),
	PH_OPTION_TEMPLATE(
		PhPluginSettings,
		search_index,
		PH_ABSENT,
		"where an index of each user's text is kept, which makes searches quick: "
		"{data}/search/{domain}/{user}"),
	PH_OPTION_SECTION(
		PhPluginSettings,
		moves_to,
		PH_ABSENT,
		PH_KIND_STORE,
		"the store that users whom `posthorn store convert` has moved are served from"),
	PH_OPTIONS_END,
};

static const PhOption filter_rows[] = {
	PH_OPTION_STRING(PhPluginSettings, plugin, PH_REQUIRED, "the plugin to use"),
	BULKHEAD_ROWS("16"),
	ISOLATE_ROWS,
	PH_OPTION_CHOICE(PhPluginSettings,
	                 on_failure,
	                 "temporary",
	                 failure_words,
	                 "the verdict when the filter fails or does not answer in time"),
	PH_OPTION_STRING(
		PhPluginSettings,
		quarantine,
		"Quarantine",
		"the mailbox of the recipient that gets what is quarantined; where there is "
		"no mailbox it is held in the queue"),
	PH_OPTIONS_END,
};

static const PhOption queue_rows[] = {
	PH_OPTION_PATH(PhQueueOptions,
	               path,
	               "{data}/queue",
	               "the directory of mail that was accepted and not delivered yet"),
	PH_OPTION_LIST(PhQueueOptions,
	               retry,
	               "5min, 10min, 20min, 40min, 4000s",
	               "how long to wait before the second attempt, the third and so on; the last "
	               "repeats"),
	PH_OPTION_DURATION(PhQueueOptions,
	                   lifetime,
	                   "5d",
	                   "how long delivery is tried; then the sender gets the mail back"),
	PH_OPTION_DURATION(PhQueueOptions,
	                   warn_after,
	                   "4h",
	                   "after what time the sender is told that a mail is late; 0s for never"),
	PH_OPTION_INTEGER(PhQueueOptions, concurrency, "1000", 1, MANY, "most deliveries at once"),
	PH_OPTION_INTEGER(PhQueueOptions,
	                  concurrency_per_destination,
	                  "20",
	                  1,
	                  MANY,
	                  "most deliveries at once to one destination"),
	PH_OPTION_INTEGER(PhQueueOptions,
	                  recipients_per_delivery,
	                  "100",
	                  1,
	                  1000,
	                  "most recipients of one mail that a destination gets at once"),
	PH_OPTION_INTEGER(PhQueueOptions,
	                  failures_until_pause,
	                  "3",
	                  1,
	                  1000,
	                  "deliveries in a row that nobody answered until a destination is left "
	                  "alone for the time of 'retry'"),
	PH_OPTION_SIZE(PhQueueOptions,
	               segment_size,
	               "64M",
	               "a further file is begun when one is so large"),
	PH_OPTION_CHOICE(PhQueueOptions,
	                 double_bounce,
	                 "postmaster",
	                 double_bounce_words,
	                 "what becomes of a report that cannot be delivered either"),
	PH_OPTION_STRING(PhQueueOptions, postmaster, "postmaster", "who gets such reports"),
	PH_OPTIONS_END,
};

const PhSectionKind ph_section_kinds[] = {
	{ "server", 0, NULL, false, false, server_rows, "the server as a whole", NULL },
	{ "tls", 0, NULL, true, false, tls_rows,
	  "a certificate; further ones have a name and are chosen by the client's SNI", NULL },
	{ "resolver", 0, NULL, false, false, resolver_rows, "how the DNS is asked", NULL },
	{ "queue", 0, NULL, false, false, queue_rows,
	  "mail that was accepted and not delivered yet", NULL },
	{ "listener", PH_KIND_PROTOCOL, "plugin", true, true, listener_rows,
	  "addresses where a protocol is spoken", "protocol" },
	{ "route", PH_KIND_TRANSPORT, "transport", true, true, route_rows,
	  "where mail for some domains goes", NULL },
	{ "mechanism", PH_KIND_MECHANISM, "plugin", true, true, mechanism_rows, "a way to log in",
	  "mechanism" },
	{ "directory", PH_KIND_DIRECTORY, "plugin", true, true, directory_rows, "who exists",
	  "directory" },
	{ "store", PH_KIND_STORE, "plugin", true, true, store_rows, "where mail is kept", "store" },
	{ "filter", PH_KIND_FILTER, "plugin", true, true, filter_rows,
	  "a verdict on mail that comes in", "filter" },
	{ "transport", PH_KIND_TRANSPORT, "plugin", true, true, plugin_rows,
	  "a way onward that several routes share", "transport" },
	{ NULL, 0, NULL, false, false, NULL, NULL, NULL },
};

const PhSectionKind *
ph_section_kind_find(const char *word)
{
	for (const PhSectionKind *row = ph_section_kinds; row->word != NULL; row++)
		if (strcmp(row->word, word) == 0)
			return row;
	return NULL;
}

const char *
ph_kind_name(uint32_t kind)
{
	for (const PhSectionKind *row = ph_section_kinds; row->word != NULL; row++)
		if (row->kind == kind && row->file_kind != NULL)
			return row->file_kind;
	return "unknown";
}

const char *
ph_kind_word(uint32_t kind)
{
	for (const PhSectionKind *row = ph_section_kinds; row->word != NULL; row++)
		if (row->kind == kind && row->file_kind != NULL)
			return row->word;
	return "unknown";
}

uint32_t
ph_kind_from_name(const char *name)
{
	for (const PhSectionKind *row = ph_section_kinds; row->word != NULL; row++)
		if (row->file_kind != NULL && strcmp(row->file_kind, name) == 0)
			return row->kind;
	return 0;
}

uint32_t
ph_server_log_level(const PhServerSettings *server)
{
	return PH_LOG_ERROR + server->log_level;
}

/* limits.h: every cap of the server, named, in one table
 *
 * A cap that an operator may want to move is an option, and its default stands here too. Values
 * follow what trusted servers ship; the RFC that sets a floor is cited.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_LIMITS_H
#define POSTHORN_BASE_LIMITS_H

#include <posthorn/types.h>

#define PH_KIB(n) ((n) *1024)
#define PH_MIB(n) ((n) *1024 * 1024)

enum {
	/* lines, in octets without CRLF */
	PH_LIMIT_LINE_DEFAULT = PH_KIB(4),     /* until a protocol sets its own */
	PH_LIMIT_LINE_MAX = PH_KIB(64),        /* what a protocol may ask for */
	PH_LIMIT_SMTP_LINE = PH_KIB(4),        /* RFC 5321 4.5.3.1.4 wants 512 */
	PH_LIMIT_SMTP_AUTH_LINE = PH_KIB(16),  /* RFC 4954 wants 12,288 */
	PH_LIMIT_IMAP_LINE_BEFORE = PH_KIB(8), /* before login */
	PH_LIMIT_IMAP_LINE = PH_KIB(64),
	PH_LIMIT_POP3_LINE = PH_KIB(1),
	PH_LIMIT_TEXT_LINE = 998,         /* RFC 5322 2.1.1: longer is only noted */
	PH_LIMIT_CLIENT_LINE = PH_KIB(4), /* a remote server's reply is hostile too */
	PH_LIMIT_CLIENT_LINES = 500,

	/* addresses, RFC 5321 4.5.3.1 */
	PH_LIMIT_LOCAL_PART = 64,
	PH_LIMIT_DOMAIN = 255,
	PH_LIMIT_ADDRESS = 320,
	PH_LIMIT_RECIPIENTS = 1000, /* RFC 5321 4.5.3.1.8 wants 100 */

	/* messages */
	PH_LIMIT_MESSAGE = PH_MIB(50),
	PH_LIMIT_HEADER_LINE = PH_MIB(1),
	PH_LIMIT_HEADER = PH_MIB(10),
	PH_LIMIT_MIME_DEPTH = 100,
	PH_LIMIT_MIME_PARTS = 10000,
	PH_LIMIT_ADDRESSES = 10000,
	PH_LIMIT_HOPS = 100, /* Received fields, RFC 5321 6.3 */

	/* commands with structure */
	PH_LIMIT_ARGUMENT_DEPTH = 50,
	PH_LIMIT_ARGUMENTS = 10000,
	PH_LIMIT_LITERAL_BEFORE = PH_KIB(8), /* before login */
	PH_LIMIT_SEARCH_DEPTH = 50,
	PH_LIMIT_BAD_COMMANDS = 20, /* then goodbye */

	/* sessions */
	PH_LIMIT_SESSION_MEMORY = PH_MIB(16),
	PH_LIMIT_INPUT_BUFFERED = PH_KIB(64), /* pipelined input that is kept */
	PH_LIMIT_SPOOL_MEMORY = PH_KIB(64),   /* above it a file */
	PH_LIMIT_OUTPUT_HIGH = PH_KIB(256),
	PH_LIMIT_OUTPUT_RANGES = 8,
	PH_LIMIT_CONNECTIONS = 10000,
	PH_LIMIT_CONNECTIONS_ADDRESS = 50,
	PH_LIMIT_WORKERS = 64,
	PH_LIMIT_STEP_US = 5000,

	/* config, options and plugins */
	PH_LIMIT_CONFIG_FILE = PH_MIB(1),
	PH_LIMIT_CONFIG_LINE = PH_KIB(16),
	PH_LIMIT_CONFIG_SECTIONS = 1000,
	PH_LIMIT_CONFIG_MISTAKES = 200, /* more are not told */
	PH_LIMIT_NAME = 32,             /* of a section or plugin */
	PH_LIMIT_PLUGIN_OPTIONS = 256,
	PH_LIMIT_PLUGIN_OFFERS = 64,
	PH_LIMIT_SECRET_FILE = PH_KIB(16),

	/* log */
	PH_LIMIT_LOG_VALUE = 512, /* octets of one value before escaping */
	PH_LIMIT_LOG_SENTENCE = 512,
	PH_LIMIT_LOG_FIELDS = 24,
	PH_LIMIT_LOG_LINE = PH_KIB(16),
	PH_LIMIT_LOG_BURST = 2000, /* lines of one event in a second; info has none */

	/* identities */
	PH_LIMIT_USER = 255,
	PH_LIMIT_GROUPS = 1024,
};

/* Times, in microseconds. */
#define PH_LIMIT_COMMAND_US        (UINT64_C(300) * 1000000) /* RFC 5321 4.5.3.2.7: 5 min */
#define PH_LIMIT_LOGIN_US          (UINT64_C(180) * 1000000)
#define PH_LIMIT_IMAP_IDLE_US      (UINT64_C(1800) * 1000000) /* RFC 9051 5.4: 30 min */
#define PH_LIMIT_POP3_IDLE_US      (UINT64_C(600) * 1000000)  /* RFC 1939 3: 10 min */
#define PH_LIMIT_HANDSHAKE_US      (UINT64_C(60) * 1000000)
#define PH_LIMIT_CONNECT_US        (UINT64_C(30) * 1000000)
#define PH_LIMIT_AUTH_DELAY_US     (UINT64_C(2) * 1000000)
#define PH_LIMIT_AUTH_DELAY_MAX_US (UINT64_C(15) * 1000000)
#define PH_LIMIT_DRAIN_US          (UINT64_C(600) * 1000000)
#define PH_LIMIT_STOP_US           (UINT64_C(5) * 1000000)

/* PH_LIMIT_DATA_RATE: octets a second that a peer must send or take while data is under way. */
enum {
	PH_LIMIT_DATA_RATE = 500
};

#endif

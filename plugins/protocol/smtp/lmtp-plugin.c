/* lmtp-plugin.c: the lmtp protocol plugin: its options and what it offers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "smtp.h"

static const char *const newline_words[] = { "reject", "accept", NULL };
static const char *const show_words[] = { "no", "authenticated", "yes", NULL };

static const PhOption options[] = {
	PH_OPTION_SIZE(Settings,
	               message_size_limit,
	               PH_ABSENT,
	               "largest message that is taken; as in [server] when absent"),
	PH_OPTION_INTEGER(Settings,
	                  max_recipients,
	                  "1000",
	                  1,
	                  100000,
	                  "recipients of one message; further ones get 452"),
	PH_OPTION_INTEGER(Settings,
	                  max_errors,
	                  "1000",
	                  1,
	                  100000,
	                  "errors after which the session is closed with 421"),
	PH_OPTION_INTEGER(Settings,
	                  delay_errors,
	                  "1000",
	                  0,
	                  100000,
	                  "errors after which each further one is answered slowly"),
	PH_OPTION_DURATION(Settings, error_delay, "1s", "how slowly"),
	PH_OPTION_INTEGER(Settings,
	                  max_hops,
	                  "100",
	                  1,
	                  10000,
	                  "Received fields above which a message is a mail loop"),
	PH_OPTION_SIZE(Settings, command_length, "4K", "longest command line"),
	PH_OPTION_SIZE(Settings, auth_length, "12K", "longest line of an AUTH exchange"),
	PH_OPTION_DURATION(Settings, command_timeout, "5min", "time for a whole command line"),
	PH_OPTION_DURATION(Settings, data_timeout, "3min", "time for the next block of a message"),
	PH_OPTION_DURATION(Settings,
	                   commit_timeout,
	                   "10min",
	                   "time for storing a message before the session is given up"),
	PH_OPTION_BOOLEAN(Settings, hello_required, "yes", "refuse MAIL before LHLO"),
	PH_OPTION_BOOLEAN(Settings,
	                  hello_strict,
	                  "no",
	                  "the client's name must be a domain or an address literal"),
	PH_OPTION_BOOLEAN(Settings, auth_required, "no", "refuse MAIL before AUTH"),
	PH_OPTION_CHOICE(Settings, vrfy, "no", show_words, "who may ask whether a user exists"),
	PH_OPTION_CHOICE(Settings,
	                 bare_newline,
	                 "reject",
	                 newline_words,
	                 "messages that hold CR or LF alone, or NUL"),
	PH_OPTION_LIST(Settings,
	               xclient_networks,
	               PH_ABSENT,
	               "networks of mail servers that may say by XCLIENT who the client is"),
	PH_OPTION_LIST(Settings,
	               withhold,
	               PH_ABSENT,
	               "extensions that are not offered: BINARYMIME, DSN, REQUIRETLS, DELIVERBY, "
	               "MT-PRIORITY"),
	PH_OPTION_STRING(Settings,
	                 banner,
	                 "Posthorn",
	                 "text behind the server's name in the greeting"),
	PH_OPTIONS_END,
};

static const PhOffer offers[] = { PH_OFFER_PROTOCOL("lmtp", &lmtp_protocol), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "lmtp",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "takes mail by LMTP for the users' mailboxes",
	.options = options,
	.offers = offers,
};

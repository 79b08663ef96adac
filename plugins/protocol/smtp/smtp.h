/* smtp.h: what the files of the smtp plugin share
 *
 * A Client is small (an idle session holds it and a hello name); an Envelope exists from MAIL to
 * the end of the transaction. Each command is one function that answers and says what follows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_H
#define POSTHORN_SMTP_H

#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/filter.h>
#include <posthorn/login.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>
#include <posthorn/transport.h>

#include "fields.h"
#include "hops.h"
#include "rates.h"

enum {
	SHOW_NO = 0,            /* VRFY 252, EXPN 502 */
	SHOW_AUTHENTICATED = 1, /* only to users who have logged in */
	SHOW_YES = 2,
};

enum {
	SERVICE_MX = 0,         /* takes mail from other hosts */
	SERVICE_SUBMISSION = 1, /* takes it from users, who log in */
	SERVICE_LMTP = 2,       /* takes it for final delivery: RFC 2033 */
};

enum {
	SENDER_OWN = 0,      /* the envelope's sender must be the user's */
	SENDER_OWN_FROM = 1, /* and one address in From, too */
	SENDER_ANY = 2,
};

typedef struct {
	PhSize message_size_limit;
	PhSize command_length;
	PhSize auth_length;
	int64_t max_recipients;
	int64_t max_errors;
	int64_t delay_errors;
	int64_t max_hops;
	PhDuration error_delay;
	PhDuration command_timeout;
	PhDuration data_timeout;
	PhDuration commit_timeout;
	const char *banner;
	uint32_t vrfy;
	uint32_t expn;
	uint32_t bare_newline;
	uint32_t early_input;
	uint32_t service;
	uint32_t sender_check;
	uint32_t etrn;
	int64_t messages_per_hour;
	int64_t recipients_per_hour;
	PhDuration future_release;
	const char *const *relay_networks;
	const char *const *xclient_networks;
	const char *const *withhold;
	bool hello_required;
	bool hello_strict;
	bool auth_required;
} Settings;

/* Server: one listener section. */
typedef struct {
	const Settings *settings;
	PhSection *section;
	char *greeting; /* "220 host ESMTP banner" */
	uint64_t size_limit;
	uint32_t service;    /* SERVICE_* */
	uint32_t withheld;   /* OFFER_* */
	PhNetworks *relay;   /* (nullable) peers that may relay */
	PhNetworks *xclient; /* (nullable) peers that may say who the client is */
	Rates *rates;        /* (nullable) */
	bool needs_login;    /* before MAIL */
} Server;

typedef enum {
	MODE_COMMAND = 0,
	MODE_AUTH = 1,   /* the next line answers a challenge */
	MODE_DATA = 2,   /* dot-stuffed data is coming */
	MODE_CHUNK = 3,  /* octets of BDAT are coming */
	MODE_COMMIT = 4, /* parked until the transports have answered */
	MODE_LOGIN = 5,  /* parked by the login service */
	MODE_DELAY = 6,  /* parked because of too many errors */
	MODE_ASK = 7,    /* parked until the filters have answered */
	MODE_ROUTE = 8,  /* parked until a directory has said who the recipient is */
} Mode;

/* Verdict: why content is being thrown away. */
typedef enum {
	VERDICT_GOOD = 0,
	VERDICT_TOO_LARGE = 1, /* 552 5.3.4 */
	VERDICT_NO_SPACE = 2,  /* 452 4.3.1: the spool could not be written */
	VERDICT_ORDER = 3,     /* 503 5.5.1: BDAT without a transaction */
	VERDICT_REFUSED = 4,   /* as `refusal` says */
} Verdict;

typedef struct {
	PhMail *mail;
	PhSpool *spool;  /* once content is coming */
	uint64_t octets; /* of content that were kept */
	size_t charged;  /* taken from the session's budget */
	uint32_t flaws;  /* state of ph_session_scan_flaws() over all chunks */
	Hops hops;
	Fields fields; /* of a submitted message, and of one whose header is asked about */
	char *asked;   /* (nullable) the recipient that a directory is asked about */
	char *orcpt;   /* (nullable) its parameters */
	uint32_t notify;
	bool is_utf8;    /* MAIL with SMTPUTF8 */
	bool is_binary;  /* MAIL with BODY=BINARYMIME */
	bool is_chunked; /* BDAT has begun */
	bool is_lowered; /* its priority is not what the client asked for */
	bool shows_head; /* the filters are asked when the header is complete */
	bool is_shown;   /* it is, and the mail has it */
	bool is_asked;   /* they were */
} Envelope;

typedef struct {
	const Server *server;
	char *hello;        /* what the client calls itself; NULL before HELO and EHLO */
	char *told_hello;   /* (nullable) what a proxy says that it calls itself */
	Envelope *envelope; /* between MAIL and its end */
	PhIdentity *user;
	PhLogin *login;
	PhFilters *filters;                 /* (nullable) */
	PhNext (*then)(PhSession *session); /* when the filters agree */
	char *refusal;                      /* (nullable) to be said later */
	uint64_t chunk;                     /* announced by the BDAT under way */
	uint32_t n_errors;                  /* since the last accepted message */
	uint32_t n_messages;
	char mechanism[24]; /* of AUTH, upper case */
	uint8_t mode;
	uint8_t verdict;
	uint8_t asking_mode; /* that goes on when the filters have answered about a header */
	bool asking_final;   /* what they are asked about has ended */
	uint8_t stage;       /* that the filters are asked at */
	bool is_extended;    /* EHLO, not HELO */
	bool is_last;        /* BDAT LAST */
	bool is_trusted;     /* its address may relay */
	bool may_xclient;    /* the peer itself may say who the client is */
} Client;

/* smtp_is_lmtp: one answer for each recipient, other verbs. */
static inline bool
smtp_is_lmtp(const Client *client)
{
	return client->server->service == SERVICE_LMTP;
}

/* smtp.c */
extern const PhProtocol smtp_protocol;
extern const PhProtocol lmtp_protocol;
void smtp_weigh(PhSession *session);
PhNext smtp_greet(PhSession *session);

/* commands.c */
PhNext smtp_command(PhSession *session, PhSlice line);
PhSlice smtp_verb(PhSlice line, PhSlice *argument_out);

/* reply.c */
PhNext smtp_reply(PhSession *session, const char *text);
PhNext smtp_refuse(PhSession *session, const char *text);
size_t smtp_answers(const Client *client);
PhNext smtp_refuse_message(PhSession *session, const char *text);
void smtp_describe(const GError *error, char *text, size_t size);
PhNext smtp_goodbye(PhSession *session, const char *text);

/* ehlo.c */
PhNext smtp_helo(PhSession *session, PhSlice argument);
PhNext smtp_ehlo(PhSession *session, PhSlice argument);
uint32_t smtp_offers(PhSession *session);
PhNext smtp_starttls(PhSession *session, PhSlice argument);
void smtp_forget(Client *client);

/* mail.c */
PhNext smtp_mail(PhSession *session, PhSlice argument);
PhNext smtp_rset(PhSession *session, PhSlice argument);
void smtp_drop_envelope(PhSession *session);

/* rcpt.c */
PhNext smtp_rcpt(PhSession *session, PhSlice argument);
PhNext smtp_routed(PhSession *session);
PhNext smtp_vrfy(PhSession *session, PhSlice argument);
PhNext smtp_expn(PhSession *session, PhSlice argument);

/* data.c */
PhNext smtp_data(PhSession *session, PhSlice argument);
PhNext smtp_bdat(PhSession *session, PhSlice argument);
PhNext smtp_content(PhSession *session, PhSlice piece, bool final);
PhNext smtp_refuse_data(PhSession *session, const char *text);
PhNext smtp_refuse_header(PhSession *session, const char *text);
bool smtp_is_early(const Client *client);

/* finish.c */
PhNext smtp_finish(PhSession *session, uint32_t flaws);
PhNext smtp_committed(PhSession *session);
PhNext smtp_discarded(PhSession *session);
void smtp_log_message(PhSession *session, uint32_t level, const char *event, const char *reply);

/* ask.c */
PhNext smtp_ask(PhSession *session, uint32_t stage, PhNext (*then)(PhSession *session));
PhNext smtp_answered(PhSession *session);
PhNext smtp_tell_refused(PhSession *session, PhSlice address, const char *text);
PhNext smtp_tell_unknown(PhSession *session, PhSlice line);

/* xclient.c */
PhNext smtp_xclient(PhSession *session, PhSlice argument);

/* etrn.c */
bool smtp_may_etrn(PhSession *session);
PhNext smtp_etrn(PhSession *session, PhSlice argument);

/* auth.c */
PhNext smtp_auth(PhSession *session, PhSlice argument);
PhNext smtp_auth_line(PhSession *session, PhSlice line, uint32_t flaws);
PhNext smtp_auth_resumed(PhSession *session);

#endif

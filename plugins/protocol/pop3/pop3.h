/* pop3.h: what the files of the pop3 plugin share
 *
 * Before login a Client holds next to nothing; after it the view of INBOX as it was at that moment
 * and one number for each message. Long answers are made in steps; `work` says which one is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_POP3_H
#define POSTHORN_POP3_H

#include <posthorn/error.h>
#include <posthorn/login.h>
#include <posthorn/mailbox.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>

#include "delay.h"
#include "stuff.h"
#include "surrogate.h"

/* Utf8Headers: what a client that has not said UTF8 gets of a message whose header has octets above
 * 127: one that stands for it (surrogate.h), the message itself, or -ERR [UTF8]. */
typedef enum {
	UTF8_SURROGATE = 0,
	UTF8_SEND = 1,
	UTF8_REFUSE = 2,
} Utf8Headers;

typedef enum {
	MAILDROP_EXCLUSIVE = 0,
	MAILDROP_SHARED = 1,
} Maildrop;

typedef struct {
	PhSize command_length;
	PhSize auth_length;
	PhDuration login_timeout;
	PhDuration idle_timeout;
	PhDuration login_delay;
	PhDuration expire;
	uint32_t maildrop;     /* Maildrop */
	uint32_t utf8_headers; /* Utf8Headers */
	int64_t max_errors;
	const char *banner;
} Settings;

typedef struct {
	const Settings *settings;
	char *greeting;
	Delay *delay;
} Server;

typedef enum {
	WORK_NONE = 0,
	WORK_ANSWER = 1, /* the next line answers an AUTH challenge */
	WORK_LOGIN = 2,  /* parked by the login service */
	WORK_LOAD = 3,   /* reading the sizes of all messages */
	WORK_LIST = 4,   /* LIST without a number */
	WORK_UIDL = 5,   /* UIDL without a number */
	WORK_SEND = 6,   /* RETR and TOP */
	WORK_UPDATE = 7, /* parked: QUIT removes what was marked */
} Work;

/* Message: one of the maildrop; number N stands at N - 1. */
typedef struct {
	uint64_t octets : 63;
	uint64_t is_deleted : 1;
} Message;

typedef struct {
	const Server *server;
	char *user; /* given by USER, until PASS */
	PhLogin *login;
	PhLogin *apop; /* (nullable) its challenge stands in the greeting; answered once */
	/* the maildrop, after login */
	PhAccount *account;
	PhView *view;
	Message *messages;
	PhCursor *cursor;                   /* WORK_LOAD */
	PhNext (*then)(PhSession *session); /* behind WORK_LOAD */
	PhTransaction *transaction;         /* WORK_UPDATE */
	PhContent *content;                 /* WORK_SEND */
	PhCursor *reader;                   /* of the message sent last, and those behind it */
	uint64_t offset;                    /* in content, of what is sent next */
	Stuff stuff;
	uint64_t total; /* octets of all messages, until has_sizes */
	size_t charged;
	uint32_t n_messages;
	uint32_t n_deleted;
	uint32_t n_sent;
	uint32_t next;        /* number that the listing goes on with, or is about */
	uint32_t reader_next; /* number of the reader's next record; 0: none */
	uint32_t last;        /* number that was sent last */
	uint32_t n_errors;
	uint8_t work;
	bool has_lock;
	bool has_sizes;
	bool is_utf8; /* the client said so */
} Client;

/* commands.c */
PhNext pop3_command(PhSession *session, PhSlice line);

/* reply.c */
PhNext pop3_reply(PhSession *session, const char *text);
PhNext pop3_refuse(PhSession *session, const char *text);
PhNext pop3_refuse_error(PhSession *session, const char *doing, const GError *error);

/* login.c */
PhNext pop3_user(PhSession *session, PhSlice argument);
PhNext pop3_pass(PhSession *session, PhSlice argument);
PhNext pop3_greet(PhSession *session);
PhNext pop3_apop(PhSession *session, PhSlice argument);
PhNext pop3_auth(PhSession *session, PhSlice argument);
PhNext pop3_auth_line(PhSession *session, PhSlice line, uint32_t flaws);
PhNext pop3_login_resumed(PhSession *session);

/* extensions.c */
PhNext pop3_capa(PhSession *session, PhSlice argument);
PhNext pop3_stls(PhSession *session, PhSlice argument);
PhNext pop3_utf8(PhSession *session, PhSlice argument);
PhNext pop3_lang(PhSession *session, PhSlice argument);
/* pop3_needs_utf8: must the message not go to this client? */
bool pop3_needs_utf8(const Client *client, PhContent *content);

/* drop.c */
PhNext pop3_open(PhSession *session, const PhIdentity *identity);
PhNext pop3_load(PhSession *session);
void pop3_leave(PhSession *session);
PhNext pop3_stat(PhSession *session, PhSlice argument);
PhNext pop3_list(PhSession *session, PhSlice argument);
PhNext pop3_uidl(PhSession *session, PhSlice argument);
PhNext pop3_dele(PhSession *session, PhSlice argument);
PhNext pop3_rset(PhSession *session, PhSlice argument);
PhNext pop3_quit(PhSession *session, PhSlice argument);
PhNext pop3_updated(PhSession *session);
PhNext pop3_listing(PhSession *session);
bool pop3_number(const Client *client, PhSlice text, uint32_t *number_out);

/* retr.c */
PhNext pop3_retr(PhSession *session, PhSlice argument);
PhNext pop3_top(PhSession *session, PhSlice argument);
PhNext pop3_sending(PhSession *session);

#endif

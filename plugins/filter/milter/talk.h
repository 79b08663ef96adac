/* talk.h: one conversation with a milter, for the messages of one session
 *
 * The conversation is a client session of the core; between questions it is parked. A question is
 * prepared by the asker's thread: what is to be said stands in `script`, one letter a command, with
 * the packets that are short already written; then the session is woken and belongs to the talk's
 * client callbacks until it has answered. So the lock only guards the handing over.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MILTER_TALK_H
#define MILTER_TALK_H

#include <posthorn/client.h>
#include <posthorn/filter.h>

#include "packet.h"

typedef struct {
	const char *address;
	PhDuration connect_timeout;
	PhDuration reply_timeout;
	bool pipelining;
} Settings;

/* Milter: one filter section. */
typedef struct {
	PhSection *section;
	const Settings *settings;
	char *address; /* "unix:/path" or an IP address */
	uint16_t port;
} Milter;

/* Change: one modification, kept until the final reply. */
typedef struct {
	char kind; /* REPLY_* */
	uint32_t index;
	char *first;
	char *second;  /* (nullable) */
	size_t length; /* of @first, for a body */
} Change;

enum {
	SCRIPT_MAX = 16
};

typedef struct {
	gint refs;         /* the filter's state, and the connection */
	gint is_cancelled; /* atomic: nobody waits for the answer to the question */
	const Milter *milter;
	GMutex lock;       /* guards the four below */
	bool is_connected; /* there is a client session, perhaps still connecting */
	bool is_handed;    /* the question is the client session's */
	bool is_ending;
	PhWake *idle; /* (nullable) of the parked client session */
	/* Of the asker until it hands over, then of the client session: */
	PhFilterQuestion *question; /* NULL: none */
	PhWake *answer;
	char script[SCRIPT_MAX]; /* what is still to be said */
	GString *said;           /* packets of the script's short commands, in order */
	size_t said_at;
	GString *held;       /* packets that go out before the next that is waited for */
	size_t held_data_at; /* where DATA begins there, which is answered: one more than that; 0: no */
	char current;        /* the command whose packets are being said */
	GString *awaited;   /* commands that were said and must be answered, in order */
	GPtrArray *changes; /* of Change */
	size_t change_octets;
	PhContent *content; /* (nullable) of the message */
	GString *header;    /* (nullable) its block */
	PhSlice header_rest;
	size_t header_offset;
	uint64_t body_at;
	Options options;
	char *macros[MILTER_STAGES]; /* (nullable) names that the milter wants at each stage */
	bool knows_macros;           /* it has said so */
	bool is_cut;                 /* what is in `said` holds no other macros */
	PhVerdict verdict;
	bool was_answered; /* something in this question */
	bool may_retry;
	bool in_message;      /* between MAIL and the end of its message */
	bool is_told_refused; /* the recipient was refused */
	bool skips_body;
	bool skips_header;
	bool was_ended; /* by a final reply */
} Talk;

/* talk.c */
Talk *talk_new(const Milter *milter);
Talk *talk_ref(Talk *talk);
void talk_unref(Talk *talk);
/* talk_end: no more questions: QUIT, and the connection closes. */
void talk_end(Talk *talk);
/* talk_hand_over: the client session goes on with the question. False: it is gone; open another. */
bool talk_hand_over(Talk *talk, PhWake *idle);
/* talk_open: connects; the script follows. */
bool talk_open(Talk *talk, GError **error);
/* talk_answer: the question is over: with what the verdict says. */
void talk_answer(Talk *talk);
void talk_fail(Talk *talk, const char *why);

/* macros.c: macros_add: those of @command, before it. macros_cut: those of @packet that are wanted.
 * macros_learn: @lists: what was negotiated. macros_client_name: "[192.0.2.1]" when nobody knows a
 * name; (owned). */
void macros_add(const Talk *talk, GString *out, char command, const PhFilterQuestion *question);
void macros_cut(const Talk *talk, PhSlice packet, GString *out);
void macros_learn(Talk *talk, const PhSlice *lists);
void macros_forget(Talk *talk);
char *macros_client_name(const PhMail *mail);

/* script.c: what is said for a question. False with @error. */
bool script_prepare(Talk *talk, PhFilterQuestion *question, bool is_connected, GError **error);
/* script_hold: true: nothing of it is answered, so it is kept for later and the question is over. */
bool script_hold(Talk *talk);
/* script_say: writes as much as may be said now. True: all was said, or an answer comes first;
 * false: the output is full. */
bool script_say(Talk *talk, PhSession *session);
/* script_drop_held: what was to go out before is not said. */
void script_drop_held(Talk *talk);
/* script_rewind: for another connection: nothing of it was answered. */
void script_forget(Talk *talk);

/* change.c: modifications. */
bool change_keep(Talk *talk, const Reply *reply);
void change_free(gpointer change);
void change_apply(Talk *talk, PhFilterQuestion *question);

#endif

/* filter.h: a verdict or a change at each stage of a message's way
 *
 * Filters of a listener are asked in order, at the stages that they want; filters of a route before
 * each delivery to a recipient. The first verdict that is not PH_VERDICT_NONE or PH_VERDICT_ACCEPT
 * ends the question. A filter that does not answer in its section's `timeout`, or that fails, gives
 * the verdict that its section's `on-failure` names, and is not asked again for that message; a
 * filter that dies or hangs never stops the server.
 *
 * A filter changes a mail through the functions below: at its own question, until it has answered.
 * What it changes is what the next filter sees, and what is stored or sent.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_FILTER_H
#define POSTHORN_FILTER_H

#include <posthorn/plugin.h>
#include <posthorn/transport.h>

G_BEGIN_DECLS

/* PhFilterResult. */
typedef enum {
	PH_VERDICT_NONE = 0,       /* no opinion: ask the next */
	PH_VERDICT_ACCEPT = 1,     /* this filter asks no more for this message; at connect and helo:
	                            * for this session */
	PH_VERDICT_REJECT = 2,     /* 5yz with the reply's text */
	PH_VERDICT_TEMPORARY = 3,  /* 4yz */
	PH_VERDICT_DISCARD = 4,    /* say 250, deliver nothing */
	PH_VERDICT_QUARANTINE = 5, /* deliver into the mailbox that the section's `quarantine` names;
	                            * mail for other recipients is held in the queue, because of `text` */
	PH_VERDICT_DROP = 6,       /* say 421 and close the connection */
	PH_VERDICT_REDIRECT = 7,   /* to the address in `text` instead of the recipients: at recipient
	                            * and delivery of that one, else of all; then the next is asked */
	PH_VERDICT_FAILED = 8,     /* the filter could not tell, for the reason in `text`: `on-failure` */
} PhFilterResult;

/* PhVerdict: filled by the filter; allocated and zeroed by the core. */
typedef struct {
	uint32_t result;    /* PhFilterResult */
	uint32_t smtp_code; /* 0: the default of the result */
	char status[16];    /* "5.7.1" or empty */
	char text[480];     /* for the client, UTF-8, lines parted by \n; empty: a default */
	PhDuration delay;   /* the answer is held back so long, and no thread: at most 1 h */
} PhVerdict;

/* PhStage: where a message is. */
typedef enum {
	PH_STAGE_CONNECT = 1,
	PH_STAGE_HELO = 2,
	PH_STAGE_SENDER = 3,
	PH_STAGE_RECIPIENT = 4, /* `recipient` of the question is asked about */
	PH_STAGE_HEADER = 5,    /* the header is there, of the body perhaps nothing: then the content
	                         * is NULL. The client hears of it at the end of its message; what is
	                         * refused here is not kept */
	PH_STAGE_MESSAGE = 6,   /* all octets are there */
	PH_STAGE_DELIVERY = 7,  /* before the delivery to one recipient: the mail has only that one */
	PH_STAGE_DATA = 8,      /* DATA was given, or BDAT for the first time */
	PH_STAGE_REFUSED = 9,   /* the recipient of the fact `refused-recipient` was refused with
	                         * `refused-reply`; what the filter says is not heard */
	PH_STAGE_UNKNOWN = 10,  /* the client gave the unknown command of the fact `command` */
} PhStage;

/* PhFilterQuestion: what one call is about. Allocated by the core; lives until the answer. */
typedef struct {
	uint32_t stage;    /* PhStage */
	bool is_pending;   /* ph_filter_park() was called */
	PhMail *mail;      /* (borrowed) what is known so far; at connect and helo only facts */
	void *core;        /* the core's own */
	size_t recipient;  /* index, at PH_STAGE_RECIPIENT */
	PhVerdict verdict; /* PH_VERDICT_NONE at first */
} PhFilterQuestion;

/* ph_filter_park: for a filter that cannot answer at once: it then returns true and answers later,
 * by filling question->verdict and completing the wake, from any thread; it holds no thread
 * meanwhile. Returns: (owned). Thread: session, inside `ask`. */
PH_PUBLIC PhWake *ph_filter_park(PhFilterQuestion *question);

/* ph_filter_claim: a filter that has parked calls it before it changes the mail or fills in the
 * verdict. False: nobody waits for that any more: complete the wake and touch nothing. What it wants
 * to read of the mail meanwhile it copies or references before it parks. Thread: any. */
PH_PUBLIC bool ph_filter_claim(PhFilterQuestion *question);

struct PhFilter {
	size_t size;
	uint32_t stages; /* bits 1 << PhStage: where it wants to be asked */
	uint32_t reserved;

	/* create, destroy. Required. Thread: load / main. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);
	void (*destroy)(void *instance);

	/* begin, end: state for one session's messages (for one delivery at PH_STAGE_DELIVERY), made
	 * at its first question. After a failure `end` and a new `begin` may follow in the same
	 * session: whoever keeps what was said at connect and helo takes it from the facts.
	 * @mail: (borrowed) that of the first question. Optional. Thread: session. */
	void *(*begin)(void *instance, PhMail *mail);
	void (*end)(void *instance, void *state);

	/* ask: a verdict at one stage: fills question->verdict. One question at a time for one state.
	 * Required. Thread: session. Blocks: at most the section's `timeout`.
	 * Errors: any: the `on-failure` verdict holds. */
	bool (*ask)(void *instance, void *state, PhFilterQuestion *question, GError **error);

	/* cancel: nobody waits for the answer any more (the deadline passed, the client has gone):
	 * the filter completes the wake soon all the same; `end` follows. It may run while the wake
	 * is being completed elsewhere: then there is nothing to do. Optional. Thread: any. Blocks:
	 * no. */
	void (*cancel)(void *instance, void *state);

	/* wants: those of `stages` where this section has something to say: it is not asked at
	 * others. Optional: all of them. Thread: load, after create. Blocks: no. */
	uint32_t (*wants)(void *instance);
};

/* --- what is known of a mail ------------------------------------------------------------------ */

/* ph_mail_fact: how the mail came, also for mail from the queue; NULL: not known. Borrowed from the
 * mail until the next question. The names:
 *   client-address  "192.0.2.1", "2001:db8::1", "unix"
 *   client-port     "40312"
 *   client-name     the client's host name, when somebody has looked it up
 *   local-address   "address:port" that the client is connected to
 *   helo            what the client calls itself
 *   tls             "TLSv1.3 TLS_AES_256_GCM_SHA384"
 *   listener        the name of the listener's section
 *   auth-mechanism  "SCRAM-SHA-256": how the user has logged in
 *   tls-subject     whose certificate the client has shown, when it was verified: "CN=mx.example.net"
 *   tls-issuer      who has signed it
 * The user is ph_mail_user(), parameters of MAIL are ph_mail_parameter(). Thread: session. */
PH_PUBLIC const char *ph_mail_fact(const PhMail *mail, const char *name);

/* ph_mail_set_fact: @value: copied. Thread: session. */
PH_PUBLIC void ph_mail_set_fact(PhMail *mail, const char *name, PhSlice value);

/* ph_mail_message: the octets as they would be stored: ph_mail_prepended() and ph_mail_content().
 * Returns: (owned) one reference; NULL before the content is there. */
PH_PUBLIC PhContent *ph_mail_message(const PhMail *mail);

/* ph_mail_header: the header block of ph_mail_content() with all edits, for header.h. @block_out is
 * borrowed from the mail until the next edit. Blocks: on the disk when the message is large.
 * Errors: INVALID before the header is there, TOO_LARGE above PH_HEADER_SUM_MAX. */
PH_PUBLIC bool ph_mail_header(PhMail *mail, PhSlice *block_out, GError **error);

/* ph_mail_show_header: for protocols, before PH_STAGE_HEADER while the content is still coming: what
 * ph_mail_header() gives meanwhile. The content, when it is set, must begin with it; what filters
 * have changed by then is changed in that. @block: copied, with its empty line. Thread: session. */
PH_PUBLIC void ph_mail_show_header(PhMail *mail, PhSlice block);

/* --- changing a mail -------------------------------------------------------------------------- */

/* Header edits: of what was received; our own trace stands before it and is not counted. @name: a
 * field's name. @value: line ends inside are folds: they become CRLF and a blank. A blank is put
 * before a value that does not begin with one.
 *   insert   before the field at @index, of all fields, from 0; beyond the last: at the end
 *   replace  the field that is number @nth of that name, from 1; added when there is none
 *   delete   the same; nothing happens when there is none
 * ph_mail_content() has the edits from the next question on. Thread: session; until the answer is
 * given from any. Blocks: on the disk. Errors: INVALID for a bad name or a NUL, those of
 * ph_mail_header(). */
PH_PUBLIC bool ph_mail_header_add(PhMail *mail, const char *name, PhSlice value, GError **error);
PH_PUBLIC bool ph_mail_header_insert(PhMail *mail,
                                     size_t index,
                                     const char *name,
                                     PhSlice value,
                                     GError **error);
PH_PUBLIC bool ph_mail_header_replace(PhMail *mail,
                                      const char *name,
                                      uint32_t nth,
                                      PhSlice value,
                                      GError **error);
PH_PUBLIC bool ph_mail_header_delete(PhMail *mail, const char *name, uint32_t nth, GError **error);

/* ph_mail_replace_body: what stands behind the empty line. @body: referenced. */
PH_PUBLIC bool ph_mail_replace_body(PhMail *mail, PhContent *body, GError **error);

/* Recipients: ph_mail_add_recipient() adds one, and the client is not told; the sender is
 * ph_mail_set_sender(). ph_mail_remove_recipient: nobody gets the mail because of it; it keeps its
 * index, and its result is that of a delivered one. */
PH_PUBLIC void ph_mail_remove_recipient(PhMail *mail, size_t index);

/* ph_mail_find_recipient: the index of @address, ASCII case of the domain aside; -1: none. */
PH_PUBLIC ssize_t ph_mail_find_recipient(const PhMail *mail, PhSlice address);

/* PhRecipientFlags. */
enum {
	PH_RECIPIENT_ADDED = 1U << 0,   /* by a filter: the client does not know of it */
	PH_RECIPIENT_REMOVED = 1U << 1, /* by a filter */
};

PH_PUBLIC uint32_t ph_mail_recipient_flags(const PhMail *mail, size_t index);

/* --- asking, for protocols -------------------------------------------------------------------- */

/* PhFilters: the filters of one session. A protocol whose `needs` say PH_ASKS_FILTERS makes it in
 * `opened`, asks at each stage, and frees it in `closed`. NULL stands for a listener without
 * filters, and is taken by all functions. */
typedef struct PhFilters PhFilters;

PH_PUBLIC PhFilters *ph_filters_new(PhSession *session);

/* ph_filters_free: an answer that is awaited is not awaited any more. */
PH_PUBLIC void ph_filters_free(PhFilters *filters);

/* ph_filters_set_hello: what the client calls itself, before PH_STAGE_HELO. */
PH_PUBLIC void ph_filters_set_hello(PhFilters *filters, PhSlice name);

/* ph_filters_want: is there one that wants to be asked at that stage? Thread: session. */
PH_PUBLIC bool ph_filters_want(const PhFilters *filters, uint32_t stage);

/* ph_filters_ask: @mail: (nullable before PH_STAGE_SENDER) at PH_STAGE_RECIPIENT with the recipient
 * in question last: it is taken out again when it is refused. Returns: true: the answer is there;
 * false: call ph_filters_wait() and ask for the verdict when its wake was completed.
 * Thread: session. */
PH_PUBLIC bool ph_filters_ask(PhFilters *filters, uint32_t stage, PhMail *mail);

/* ph_filters_tell_refused, ph_filters_tell_command: the facts of PH_STAGE_REFUSED and
 * PH_STAGE_UNKNOWN, before that question. */
PH_PUBLIC void ph_filters_tell_refused(PhFilters *filters, PhSlice address, const char *reply);
PH_PUBLIC void ph_filters_tell_command(PhFilters *filters, PhSlice line);

/* ph_filters_wait: @wake: (owned) completed when the answer is there. Thread: session. */
PH_PUBLIC void ph_filters_wait(PhFilters *filters, PhWake *wake);

/* ph_filters_verdict: the answer, (borrowed) until the next question: NONE (go on), REJECT,
 * TEMPORARY, DROP, and at PH_STAGE_MESSAGE also DISCARD (answer 250 and do not submit). All else
 * was done by the core. NULL stands for NONE. */
PH_PUBLIC const PhVerdict *ph_filters_verdict(const PhFilters *filters);

/* ph_verdict_reply: what the client is told for REJECT, TEMPORARY and DROP: code, status and text,
 * lines but the last end in CRLF. Octets above 127 only when @is_utf8. @size: at least 1024. */
PH_PUBLIC void ph_verdict_reply(const PhVerdict *verdict, bool is_utf8, char *text, size_t size);

G_END_DECLS

#endif

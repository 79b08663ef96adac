/* imap.h: the state of an IMAP session, and what its commands share
 *
 * A line (or several, joined by literals) becomes a command; its row in the table names a function,
 * which answers at once and ends with imap_ok(), imap_no() or imap_bad(), or keeps what it needs in
 * `work` and returns PH_WAIT (a transaction) or PH_MORE (a long answer). Everything a command was
 * given is borrowed until its function returns.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_IMAP_H
#define IMAP_IMAP_H

#include <posthorn/login.h>
#include <posthorn/mailbox.h>
#include <posthorn/protocol.h>

#include "parse.h"

enum {
	IMAP_TAG_MAX = 64,
};

typedef struct {
	PhSize line_limit_before_login;
	PhSize line_limit;
	PhSize command_limit_before_login;
	PhSize command_limit;
	PhSize message_limit;
	PhDuration login_timeout;
	PhDuration idle_timeout;
	int64_t max_errors;
} Settings;

/* ImapState: also bits, for the table of commands. */
typedef enum {
	IMAP_GREETED = 1,
	IMAP_LOGGED_IN = 2,
	IMAP_SELECTED = 4,
} ImapState;

typedef struct Imap Imap;
typedef struct Command Command;

typedef PhNext (*ImapFunc)(Imap *imap);
typedef PhNext (*ImapLineFunc)(Imap *imap, PhSlice line, uint32_t flaws);
typedef PhNext (*ImapOctetsFunc)(Imap *imap, PhSlice piece, bool final);

/* ImapUpdates: which unasked news may precede the tagged answer of a command. */
enum {
	IMAP_KEEPS_NUMBERS =
		1U << 0,           /* FETCH, STORE, SEARCH: no EXPUNGE (RFC 3501 section 7.4.1) */
	IMAP_HAS_UID = 1U << 1,    /* may follow UID; then numbers may change */
	IMAP_ONLY_UID = 1U << 2,   /* UID EXPUNGE has a row of its own */
	IMAP_NO_UPDATES = 1U << 3, /* LOGOUT, SELECT: no news */
	IMAP_EXPUNGES = 1U << 4,   /* what was removed is told in any case */
};

struct Command {
	const char *name;
	PhNext (*run)(Imap *imap, Parser *parser);
	uint32_t states; /* ImapState bits */
	uint32_t flags;  /* IMAP_* above */
	/* literal: (nullable) a literal is announced at the end of @text: is it for this function?
	 * Then it has taken over and *next_out says how to go on. */
	bool (*literal)(Imap *imap, PhSlice text, uint64_t size, bool wait, PhNext *next_out);
};

/* ImapWork: what a command keeps while it waits. The first member of each command's own struct. */
typedef struct {
	void (*free)(void *work);
	ImapFunc step;              /* after PH_MORE */
	ImapFunc resumed;           /* after PH_WAIT */
	PhTransaction *transaction; /* (owned) submitted and not yet answered, or answered */
} ImapWork;

struct Imap {
	PhSession *session;
	const Settings *settings;
	PhAccount *account;
	PhView *view;
	PhLogin *login;
	const Command *command; /* in progress; NULL: none, or an unknown one */
	ImapWork *work;
	GString *text;        /* the command so far, when it has literals */
	size_t charged;       /* octets of the session's budget that @text took */
	ImapLineFunc on_line; /* who gets the next lines; NULL: they are commands */
	ImapOctetsFunc on_octets;
	const char *refusal; /* static: answered when the command has been skipped */
	uint64_t skipped;    /* octets skipped so far */
	uint32_t state;      /* ImapState */
	uint32_t n_errors;
	bool uid;       /* the command came with UID */
	bool condstore; /* MODSEQ is told in every FETCH of flags (RFC 7162) */
	bool idling;
	bool bad_literal; /* a NUL was in one */
	char tag[IMAP_TAG_MAX + 1];
};

/* --- input.c ------------------------------------------------------------------------------ */

PhNext imap_input_line(Imap *imap, PhSlice line, uint32_t flaws);
void imap_input_clear(Imap *imap);

/* imap_input_refuse: answers a command whose literal is not wanted: at once when the client waits
 * for "+", else when the literal and the rest of the command were read. @reply: (kept) what
 * follows the tag. */
PhNext imap_input_refuse(Imap *imap, uint64_t size, bool wait, const char *reply);

/* imap_flaw_text: what to say about PH_LINE_* flaws. */
const char *imap_flaw_text(uint32_t flaws);

/* --- command.c ---------------------------------------------------------------------------- */

/* imap_command_begin: takes tag and name from the start of a command and finds its row.
 * Returns: NULL when it may go on, else (static) the answer that follows the tag. */
const char *imap_command_begin(Imap *imap, Parser *parser);

/* imap_command_run: the whole command is there. */
PhNext imap_command_run(Imap *imap, PhSlice text);

/* --- reply.c ------------------------------------------------------------------------------ */

/* The tagged answer that ends a command, after the news that it allows. @text: "[CODE] Words." */
PhNext imap_ok(Imap *imap, const char *text);
PhNext imap_no(Imap *imap, const char *text);
PhNext imap_bad(Imap *imap, const char *text);
/* imap_done: "OK NAME completed." */
PhNext imap_done(Imap *imap);
PhNext imap_parse_bad(Imap *imap, const Parser *parser);
/* imap_error: the answer for the error's class; logged when the server is at fault. */
PhNext imap_error(Imap *imap, const GError *error);
/* imap_error_text: (owned) the same as text for imap_reply. */
char *imap_error_text(Imap *imap, const GError *error);
/* imap_reply: @reply is "OK ...", "NO ..." or "BAD ..." in one piece. */
PhNext imap_reply(Imap *imap, const char *reply);
PhNext imap_bye(Imap *imap, const char *text);

/* imap_sync: tells what has changed in the selected mailbox. False: it is gone, and BYE was said. */
bool imap_sync(Imap *imap, bool expunges);
void imap_write_capabilities(Imap *imap);
void imap_append_number(GString *out, uint64_t number);

/* imap_append_name: " name" as IMAP writes a mailbox, with a leading blank. */
void imap_append_name(GString *out, PhSlice utf8);

/* --- work --------------------------------------------------------------------------------- */

/* imap_work_begin: @work: (owned) kept until the command is answered. */
void imap_work_begin(Imap *imap, void *work);
void imap_work_end(Imap *imap);

/* imap_submit: commits @transaction (owned); @resumed follows, with the transaction in the work. */
PhNext imap_submit(Imap *imap, PhTransaction *transaction, ImapFunc resumed);

/* imap_submit_plain: for commands without results: OK or the error. */
PhNext imap_submit_plain(Imap *imap, PhTransaction *transaction);

/* imap_deselect: no mailbox is selected any more. */
void imap_deselect(Imap *imap);

/* imap_parse_mailbox: a blank and a mailbox name, as UTF-8 with INBOX in capitals. NULL: answered
 * by imap_parse_bad. */
char *imap_parse_mailbox(Parser *parser);
char *imap_mailbox_name(PhSlice name);

/* imap_find: the mailbox; false with *next_out when it was answered. @code: "TRYCREATE" or NULL. */
bool imap_find(Imap *imap,
               const char *name,
               const char *code,
               PhMailboxInfo *out,
               PhNext *next_out);

/* imap_parse_numbers: a set of messages of the selected mailbox as numbers: of uids those that
 * exist, of sequence numbers all, or the parser fails. (owned) */
PhUidSet *imap_parse_numbers(Imap *imap, Parser *parser);

/* imap_parse_status: "(MESSAGES UNSEEN)" as bits of rows that imap_append_status knows. */
bool imap_parse_status(Parser *parser, uint32_t *items_out);
void imap_append_status(Imap *imap,
                        const char *name,
                        const PhMailboxInfo *info,
                        uint32_t items,
                        GString *out);

/* imap_use_names: the words of PH_USE_* bits, "\\Sent" and so on, in the order of the bits. */
extern const char *const imap_use_names[7];

/* --- commands ----------------------------------------------------------------------------- */

PhNext imap_capability(Imap *imap, Parser *parser);
PhNext imap_noop(Imap *imap, Parser *parser);
PhNext imap_logout(Imap *imap, Parser *parser);
PhNext imap_id(Imap *imap, Parser *parser);
PhNext imap_enable(Imap *imap, Parser *parser);
PhNext imap_namespace(Imap *imap, Parser *parser);
PhNext imap_starttls(Imap *imap, Parser *parser);
PhNext imap_authenticate(Imap *imap, Parser *parser);
PhNext imap_login(Imap *imap, Parser *parser);
PhNext imap_login_resumed(Imap *imap);
PhNext imap_select(Imap *imap, Parser *parser);
PhNext imap_unselect(Imap *imap, Parser *parser);
PhNext imap_close(Imap *imap, Parser *parser);
PhNext imap_create(Imap *imap, Parser *parser);
PhNext imap_delete(Imap *imap, Parser *parser);
PhNext imap_rename(Imap *imap, Parser *parser);
PhNext imap_subscribe(Imap *imap, Parser *parser);
PhNext imap_list(Imap *imap, Parser *parser);
PhNext imap_status(Imap *imap, Parser *parser);
PhNext imap_get_quota(Imap *imap, Parser *parser);
PhNext imap_get_quota_root(Imap *imap, Parser *parser);
PhNext imap_set_quota(Imap *imap, Parser *parser);
PhNext imap_append(Imap *imap, Parser *parser);
bool imap_append_literal(Imap *imap, PhSlice text, uint64_t size, bool wait, PhNext *next_out);
PhNext imap_expunge(Imap *imap, Parser *parser);
PhNext imap_search(Imap *imap, Parser *parser);
PhNext imap_sort(Imap *imap, Parser *parser);
PhNext imap_thread(Imap *imap, Parser *parser);
PhNext imap_fetch(Imap *imap, Parser *parser);
PhNext imap_store(Imap *imap, Parser *parser);
PhNext imap_copy(Imap *imap, Parser *parser);
PhNext imap_idle(Imap *imap, Parser *parser);
PhNext imap_idle_notified(Imap *imap);

#endif

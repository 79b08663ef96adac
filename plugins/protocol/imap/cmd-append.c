/* cmd-append.c: APPEND and MULTIAPPEND
 *
 * A message streams into a spool as it arrives; its name, flags and size are judged before it is
 * invited. Several messages are one transaction (RFC 3502). What a mailbox holds has CR LF line
 * ends and no NUL: a message with a bare CR, a bare LF or a NUL is refused as a whole, because
 * changing octets would break signatures. RFC 3501 section 6.3.11, RFC 4315 (APPENDUID).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "imap.h"

/* What a message takes until all are committed: its octets in memory, and what describes it. */
#define MEMORY_OF_SPOOL   ((uint64_t) 65536)
#define MEMORY_OF_MESSAGE ((uint64_t) 1024)

typedef struct {
	ImapWork work;
	PhMailboxInfo target;
	PhTransaction *building; /* (owned) until it is submitted */
	PhSpool *spool;          /* (owned) the message that is arriving */
	FlagList flags;
	PhDate date;
	bool has_date;
	const char *refusal; /* why nothing is stored: what follows the tag */
	char *failure;       /* (owned) the same, when something failed */
	Imap *imap;
	size_t charged;
} Append;

static void
free_append(void *data)
{
	Append *append = data;

	g_clear_pointer(&append->building, ph_transaction_free);
	g_clear_pointer(&append->spool, ph_spool_free);
	imap_flags_clear(&append->flags);
	g_free(append->failure);
	if (append->charged > 0)
		ph_session_refund(append->imap->session, append->charged);
	g_free(append);
}

/* " (\Flags) "date" {n}": everything before a message; the literal is the last thing in it. */
static bool
parse_options(Parser *parser, Append *append)
{
	append->has_date = false;
	imap_flags_clear(&append->flags);
	if (!imap_parse_space(parser))
		return false;
	if (imap_parse_peek(parser, '(')
	    && (!imap_parse_flags(parser, false, &append->flags) || !imap_parse_space(parser)))
		return false;
	if (imap_parse_peek(parser, '"')) {
		PhSlice text;

		if (!imap_parse_string(parser, &text) || !imap_parse_space(parser))
			return false;
		if (!ph_date_parse_imap_time(text, &append->date))
			return imap_parse_fail(parser, "There is no such date");
		append->has_date = true;
	}
	return imap_parse_peek(parser, '{')
	       && memchr(parser->at + 1, '{', (size_t) (parser->end - parser->at - 1)) == NULL;
}

static PhNext
appended(Imap *imap)
{
	const PhTransaction *transaction = imap->work->transaction;
	g_autoptr(PhUidSet) uids = NULL;
	g_autoptr(GString) text = NULL;

	if (!transaction->done)
		return imap_error(imap, transaction->error);
	uids = ph_uid_set_new();
	for (uint32_t i = 0; i < transaction->n_ops; i++)
		ph_uid_set_add(uids, transaction->ops[i]->uid);
	text = g_string_new("[APPENDUID ");
	imap_append_number(text, transaction->ops[0]->uidvalidity);
	g_string_append_c(text, ' ');
	ph_uid_set_append_text(uids, text);
	g_string_append(text, "] APPEND completed.");
	return imap_ok(imap, text->str);
}

static const char *
flaw_refusal(uint32_t flaws)
{
	if (flaws & PH_FLAW_NUL)
		return "NO [CANNOT] The message holds a NUL.";
	if (flaws & PH_FLAW_BARE_LF)
		return "NO [CANNOT] The message has a line that ends with LF alone; CR LF is needed.";
	if (flaws & PH_FLAW_BARE_CR)
		return "NO [CANNOT] The message holds a CR that is not followed by LF.";
	return NULL;
}

static void
fail(Imap *imap, Append *append, const GError *error)
{
	append->failure = imap_error_text(imap, error);
	append->refusal = append->failure;
}

static void
add_message(Imap *imap, Append *append)
{
	PhAppendOptions options = {
		.size = sizeof options,
		.flags = append->flags.flags,
		.keywords = append->flags.keywords != NULL
		                    ? (const char *const *) append->flags.keywords->pdata
		                    : NULL,
		.internal_date = append->has_date ? append->date.time : 0,
		.internal_zone = append->has_date ? append->date.zone_minutes : 0,
	};
	g_autoptr(PhContent) content = NULL;
	g_autoptr(GError) error = NULL;

	append->refusal = flaw_refusal(ph_session_data_flaws(imap->session));
	if (append->refusal != NULL)
		return;
	content = ph_spool_finish(g_steal_pointer(&append->spool), &error);
	if (content == NULL
	    || ph_transaction_append(append->building, &append->target.id, content, &options,
	                             &error)
	               == NULL)
		fail(imap, append, error);
}

static PhNext
message_octets(Imap *imap, PhSlice piece, bool final)
{
	Append *append = (Append *) imap->work;
	g_autoptr(GError) error = NULL;

	if (append->refusal == NULL && piece.length > 0
	    && !ph_spool_write(append->spool, piece, &error))
		fail(imap, append, error);
	if (!final)
		return PH_DONE;
	if (append->refusal == NULL)
		add_message(imap, append);
	g_clear_pointer(&append->spool, ph_spool_free);
	imap->on_octets = NULL;
	return PH_DONE;
}

static PhNext
finish(Imap *imap, Append *append)
{
	if (append->refusal != NULL)
		return imap_reply(imap, append->refusal);
	imap->on_line = NULL;
	return imap_submit(imap, g_steal_pointer(&append->building), appended);
}

static PhNext message_line(Imap *imap, PhSlice line, uint32_t flaws);

/* Is a message of @size to be taken now? NULL: yes. */
static const char *
judge_size(Imap *imap, Append *append, uint64_t size)
{
	size_t memory = MIN(size, MEMORY_OF_SPOOL) + MEMORY_OF_MESSAGE;

	if (size == 0)
		return "NO [CANNOT] A message cannot be empty.";
	if (size > imap->settings->message_limit.octets)
		return "NO [TOOBIG] The message is larger than the limit.";
	if (!ph_session_charge(imap->session, memory))
		return "NO [LIMIT] Too many messages at once.";
	append->charged += memory;
	return NULL;
}

static PhNext
receive(Imap *imap, Append *append, uint64_t size, bool wait)
{
	const char *refusal = judge_size(imap, append, size);

	if (refusal != NULL)
		return imap_input_refuse(imap, size, wait, refusal);
	append->spool = ph_spool_new();
	imap->on_octets = message_octets;
	imap->on_line = message_line;
	if (wait)
		ph_session_write_text(imap->session, "+ OK\r\n");
	ph_session_read_octets(imap->session, size, false);
	return PH_DONE;
}

/* What follows a message: nothing, or the next one. */
static PhNext
message_line(Imap *imap, PhSlice line, uint32_t flaws)
{
	Append *append = (Append *) imap->work;
	g_auto(Parser) parser = { NULL, NULL, NULL, NULL };
	uint64_t size;
	bool wait;

	if (flaws & PH_LINE_TOO_LONG)
		return imap_bye(imap, "[LIMIT] The line is too long.");
	if (line.length == 0 && flaws == 0)
		return finish(imap, append);
	if (imap_literal_at_end(line, &size, &wait) != IMAP_LITERAL_OK)
		return imap_bad(imap, "Another message or the end of the line is missing.");
	imap_parser_init(&parser, line);
	if (flaws != 0 || !parse_options(&parser, append))
		return imap_input_refuse(imap, size, wait,
		                         "BAD The arguments of APPEND are wrong.");
	if (append->refusal != NULL)
		return imap_input_refuse(imap, size, wait, append->refusal);
	return receive(imap, append, size, wait);
}

static const char *
find_target(Imap *imap, const char *name, PhMailboxInfo *info)
{
	g_autoptr(GError) error = NULL;

	if (ph_account_find(imap->account, ph_slice(name), info, &error))
		return NULL;
	return g_error_matches(error, PH_ERROR, PH_ERROR_NOT_FOUND)
	               ? "NO [TRYCREATE] There is no such mailbox."
	               : "NO [UNAVAILABLE] The mailbox cannot be opened at the moment.";
}

bool
imap_append_literal(Imap *imap, PhSlice text, uint64_t size, bool wait, PhNext *next_out)
{
	g_auto(Parser) parser = { NULL, NULL, NULL, NULL };
	g_autofree char *name = NULL;
	const char *refusal;
	Append *append;

	imap_parser_init(&parser, text);
	(void) imap_command_begin(imap, &parser);
	name = imap_parse_mailbox(&parser);
	if (name == NULL)
		return false;
	append = g_new0(Append, 1);
	append->work.free = free_append;
	append->imap = imap;
	imap_work_begin(imap, append);
	refusal = parse_options(&parser, append) ? find_target(imap, name, &append->target)
	                                         : "BAD The arguments of APPEND are wrong.";
	imap_input_clear(imap);
	if (refusal != NULL) {
		*next_out = imap_input_refuse(imap, size, wait, refusal);
		return true;
	}
	append->building = ph_transaction_new(imap->account, NULL);
	*next_out = receive(imap, append, size, wait);
	return true;
}

PhNext
imap_append(Imap *imap, Parser *parser)
{
	return imap_bad(imap, "The message is missing: a literal ends the command.");
}

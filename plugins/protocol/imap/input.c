/* input.c: joins lines and literals to commands, within bounds
 *
 * A command without literals is parsed where it lies. One with literals is gathered in `text`,
 * charged to the session's budget and freed when it has run. A literal that is not wanted is
 * refused before it is invited; one that comes uninvited (LITERAL+, RFC 7888) is skipped with the
 * rest of its command, so that its octets are never taken for commands.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

/* What is skipped before the connection is closed instead. */
#define SKIP_LIMIT (UINT64_C(128) << 20)

void
imap_input_clear(Imap *imap)
{
	if (imap->text != NULL)
		g_string_free(imap->text, TRUE);
	imap->text = NULL;
	if (imap->charged > 0)
		ph_session_refund(imap->session, imap->charged);
	imap->charged = 0;
	imap->bad_literal = false;
}

const char *
imap_flaw_text(uint32_t flaws)
{
	if (flaws & PH_LINE_TOO_LONG)
		return "BAD [LIMIT] The line is too long.";
	if (flaws & PH_LINE_NUL)
		return "BAD A command cannot hold a NUL.";
	if (flaws & PH_LINE_BARE_LF)
		return "BAD Lines end with CR LF, not with LF alone.";
	return "BAD A CR stands alone in the line.";
}

static PhNext
end_refusal(Imap *imap)
{
	const char *reply = imap->refusal;

	imap->refusal = NULL;
	imap->on_line = NULL;
	imap->on_octets = NULL;
	imap_input_clear(imap);
	return imap_reply(imap, reply);
}

static PhNext
skip_octets(Imap *imap, PhSlice piece, bool final)
{
	return PH_DONE;
}

static PhNext
skip_line(Imap *imap, PhSlice line, uint32_t flaws)
{
	uint64_t size;
	bool wait;

	if (flaws & PH_LINE_TOO_LONG)
		return imap_bye(imap, "[LIMIT] The line is too long.");
	if (imap_literal_at_end(line, &size, &wait) != IMAP_LITERAL_OK)
		return end_refusal(imap);
	return imap_input_refuse(imap, size, wait, imap->refusal);
}

PhNext
imap_input_refuse(Imap *imap, uint64_t size, bool wait, const char *reply)
{
	imap->refusal = reply;
	if (wait) {
		imap->skipped = 0;
		return end_refusal(imap);
	}
	if (size > SKIP_LIMIT - MIN(imap->skipped, SKIP_LIMIT)) {
		(void) end_refusal(imap);
		return imap_bye(imap, "[TOOBIG] The literal is too large to be skipped.");
	}
	imap->skipped += size;
	imap->on_line = skip_line;
	imap->on_octets = skip_octets;
	ph_session_read_octets(imap->session, size, false);
	return PH_DONE;
}

static PhNext
literal_octets(Imap *imap, PhSlice piece, bool final)
{
	if (piece.length > 0 && memchr(piece.data, '\0', piece.length) != NULL)
		imap->bad_literal = true;
	g_string_append_len(imap->text, piece.data, (gssize) piece.length);
	if (final)
		imap->on_octets = NULL;
	return PH_DONE;
}

static bool
fits(Imap *imap, size_t line, uint64_t literal)
{
	uint64_t limit = imap->state == IMAP_GREETED
	                         ? imap->settings->command_limit_before_login.octets
	                         : imap->settings->command_limit.octets;
	uint64_t have = (imap->text != NULL ? imap->text->len : 0) + line + 2;

	if (have > limit || literal > limit - have
	    || !ph_session_charge(imap->session, line + 2 + literal))
		return false;
	imap->charged += line + 2 + literal;
	return true;
}

static void
add_line(Imap *imap, PhSlice line)
{
	if (imap->text == NULL)
		imap->text = g_string_sized_new(256);
	g_string_append_len(imap->text, line.data, (gssize) line.length);
}

/* A line ends with a literal: keep both, give it to the command, or refuse it. */
static PhNext
take_literal(Imap *imap, PhSlice line, uint64_t size, bool wait)
{
	const Command *command = imap->command;
	PhNext next = PH_DONE;

	if (!fits(imap, line.length, 0))
		return imap_input_refuse(imap, size, wait, "NO [LIMIT] The command is too long.");
	add_line(imap, line);
	if (command != NULL && command->literal != NULL
	    && command->literal(imap, PH_SLICE(imap->text->str, imap->text->len), size, wait,
	                        &next))
		return next;
	if (!fits(imap, 0, size))
		return imap_input_refuse(imap, size, wait, "NO [LIMIT] The command is too long.");
	g_string_append(imap->text, "\r\n");
	if (wait)
		ph_session_write_text(imap->session, "+ OK\r\n");
	imap->on_octets = literal_octets;
	ph_session_read_octets(imap->session, size, false);
	return PH_DONE;
}

static PhNext
bad_line(Imap *imap, PhSlice line, uint32_t flaws)
{
	uint64_t size;
	bool wait;

	if (flaws & PH_LINE_TOO_LONG) {
		/* Its end is unknown: a literal may have been announced there. */
		(void) imap_reply(imap, imap_flaw_text(flaws));
		return imap_bye(imap, "[LIMIT] The line is too long.");
	}
	if (imap_literal_at_end(line, &size, &wait) == IMAP_LITERAL_OK)
		return imap_input_refuse(imap, size, wait, imap_flaw_text(flaws));
	imap_input_clear(imap);
	return imap_reply(imap, imap_flaw_text(flaws));
}

static PhNext
run_whole(Imap *imap, PhSlice line)
{
	PhNext next;

	if (imap->text == NULL)
		return imap_command_run(imap, line);
	if (!fits(imap, line.length, 0)) {
		imap_input_clear(imap);
		return imap_no(imap, "[LIMIT] The command is too long.");
	}
	if (imap->bad_literal) {
		imap_input_clear(imap);
		return imap_bad(imap, "A literal cannot hold a NUL.");
	}
	add_line(imap, line);
	next = imap_command_run(imap, PH_SLICE(imap->text->str, imap->text->len));
	imap_input_clear(imap);
	return next;
}

PhNext
imap_input_line(Imap *imap, PhSlice line, uint32_t flaws)
{
	uint64_t size = 0;
	bool wait = true;
	ImapLiteral literal = imap_literal_at_end(line, &size, &wait);
	const char *refusal = NULL;

	if (imap->text == NULL) {
		g_auto(Parser) parser = { NULL, NULL, NULL, NULL };

		imap->skipped = 0;
		imap_parser_init(&parser, line);
		refusal = imap_command_begin(imap, &parser);
	}
	if (flaws != 0)
		return bad_line(imap, line, flaws);
	if (literal == IMAP_LITERAL_NONE)
		return refusal != NULL ? imap_reply(imap, refusal) : run_whole(imap, line);
	if (literal == IMAP_LITERAL_BAD) {
		refusal = "BAD [TOOBIG] No literal can be that large.";
		size = UINT64_MAX;
	}
	return refusal != NULL ? imap_input_refuse(imap, size, wait, refusal)
	                       : take_literal(imap, line, size, wait);
}

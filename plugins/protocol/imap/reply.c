/* reply.c: tagged answers, news about the mailbox, capabilities
 *
 * Every command ends here: first what has changed in the mailbox, as far as the command allows it,
 * then the tagged line. EXPUNGE is held back while the client has sent more (it may name sequence
 * numbers that would shift under it) and during FETCH, STORE and SEARCH. RFC 3501 section 7.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>

#include "imap.h"

void
imap_append_number(GString *out, uint64_t number)
{
	char digits[24];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char) ('0' + number % 10);
		number /= 10;
	} while (number > 0);
	g_string_append_len(out, digits + at, (gssize) (sizeof digits - at));
}

void
imap_write_capabilities(Imap *imap)
{
	g_autoptr(GString) out = g_string_new("IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE");

	if (imap->state == IMAP_GREETED) {
		if (ph_session_tls_available(imap->session))
			g_string_append(out, " STARTTLS");
		if (!ph_login_plaintext_allowed(imap->session))
			g_string_append(out, " LOGINDISABLED");
		for (const char *const *name = ph_login_mechanisms(imap->session); *name != NULL;
		     name++)
			g_string_append_printf(out, " AUTH=%s", *name);
	} else {
		g_string_append(out,
		                " NAMESPACE UIDPLUS UNSELECT CHILDREN MOVE MULTIAPPEND SORT"
		                " THREAD=ORDEREDSUBJECT THREAD=REFERENCES SPECIAL-USE"
		                " CREATE-SPECIAL-USE CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS"
		                " STATUS=SIZE WITHIN QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE");
		g_string_append_printf(out, " APPENDLIMIT=%" G_GUINT64_FORMAT,
		                       imap->settings->message_limit.octets);
	}
	ph_session_write(imap->session, PH_SLICE(out->str, out->len));
}

/* News: what the events of one sync need. */
typedef struct {
	Imap *imap;
	GString *out;
} News;

static void
news_line(News *news, uint32_t number, const char *word)
{
	g_string_append(news->out, "* ");
	imap_append_number(news->out, number);
	g_string_append(news->out, word);
	if (news->out->len > 16384) {
		ph_session_write(news->imap->session, PH_SLICE(news->out->str, news->out->len));
		g_string_truncate(news->out, 0);
	}
}

static void
tell_expunged(void *user_data, uint32_t number, uint32_t uid)
{
	news_line(user_data, number, " EXPUNGE\r\n");
}

static void
tell_count(void *user_data, uint32_t n_messages, uint32_t n_recent)
{
	news_line(user_data, n_messages, " EXISTS\r\n");
	news_line(user_data, n_recent, " RECENT\r\n");
}

static void
tell_flags(void *user_data, uint32_t number)
{
	News *news = user_data;
	const PhView *view = news->imap->view;

	news_line(news, number, " FETCH (");
	if (news->imap->uid) {
		g_string_append(news->out, "UID ");
		imap_append_number(news->out, ph_view_uid(view, number));
		g_string_append_c(news->out, ' ');
	}
	g_string_append(news->out, "FLAGS (");
	ph_view_append_flags(view, number, news->out);
	g_string_append_c(news->out, ')');
	if (news->imap->condstore) {
		g_string_append(news->out, " MODSEQ (");
		imap_append_number(news->out, ph_view_message_change(view, number));
		g_string_append_c(news->out, ')');
	}
	g_string_append(news->out, ")\r\n");
}

static void
tell_keywords(void *user_data)
{
	News *news = user_data;

	g_string_append(news->out, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
	for (const char *const *k = ph_view_keywords(news->imap->view); *k != NULL; k++)
		g_string_append_printf(news->out, " %s", *k);
	g_string_append(news->out, ")\r\n");
}

static const PhViewEvents news_events = {
	.expunged = tell_expunged,
	.count = tell_count,
	.flags = tell_flags,
	.keywords = tell_keywords,
};

bool
imap_sync(Imap *imap, bool expunges)
{
	g_autoptr(GError) error = NULL;
	News news = { imap, NULL };
	bool ok;

	if (imap->view == NULL || !ph_view_needs_sync(imap->view))
		return true;
	news.out = g_string_sized_new(256);
	ok = ph_view_sync(imap->view, expunges, &news_events, &news, &error);
	ph_session_write(imap->session, PH_SLICE(news.out->str, news.out->len));
	g_string_free(news.out, TRUE);
	if (!ok && g_error_matches(error, PH_ERROR, PH_ERROR_GONE)) {
		(void) imap_bye(imap, "The selected mailbox was deleted.");
		return false;
	}
	return true;
}

static bool
tell_news(Imap *imap)
{
	uint32_t flags = imap->command != NULL ? imap->command->flags : IMAP_KEEPS_NUMBERS;
	bool expunges = (flags & IMAP_EXPUNGES) != 0
	                || (((flags & IMAP_KEEPS_NUMBERS) == 0 || imap->uid)
	                    && !ph_session_has_input(imap->session));

	return (flags & IMAP_NO_UPDATES) != 0 || imap_sync(imap, expunges);
}

/* After the tagged line: nothing of the command is left. */
static PhNext
after_command(Imap *imap)
{
	imap_work_end(imap);
	imap->command = NULL;
	imap->on_line = NULL;
	if (ph_session_is_draining(imap->session))
		return imap_bye(imap, "[UNAVAILABLE] The server is going down, come back soon.");
	return PH_DONE;
}

PhNext
imap_reply(Imap *imap, const char *reply)
{
	PhSession *session = imap->session;

	if (reply[0] != 'B' && imap->view != NULL && !tell_news(imap)) {
		imap_work_end(imap);
		return PH_CLOSE;
	}
	ph_session_write_text(session, imap->tag);
	ph_session_write(session, PH_SLICE(" ", 1));
	ph_session_write_text(session, reply);
	ph_session_write(session, PH_SLICE("\r\n", 2));
	if (reply[0] == 'B' && ++imap->n_errors > (uint64_t) imap->settings->max_errors) {
		imap_work_end(imap);
		return imap_bye(imap, "[LIMIT] Too many bad commands.");
	}
	return after_command(imap);
}

static PhNext
reply_word(Imap *imap, const char *word, const char *text)
{
	g_autofree char *reply = g_strconcat(word, text, NULL);

	return imap_reply(imap, reply);
}

PhNext
imap_ok(Imap *imap, const char *text)
{
	return reply_word(imap, "OK ", text);
}

PhNext
imap_no(Imap *imap, const char *text)
{
	return reply_word(imap, "NO ", text);
}

PhNext
imap_bad(Imap *imap, const char *text)
{
	return reply_word(imap, "BAD ", text);
}

PhNext
imap_done(Imap *imap)
{
	g_autofree char *reply = g_strconcat("OK ", imap->uid ? "UID " : "", imap->command->name,
	                                     " completed.", NULL);

	return imap_reply(imap, reply);
}

PhNext
imap_parse_bad(Imap *imap, const Parser *parser)
{
	g_autofree char *reply = g_strconcat(
		"BAD ", parser->error != NULL ? parser->error : "Syntax error", ".", NULL);

	return imap_reply(imap, reply);
}

char *
imap_error_text(Imap *imap, const GError *error)
{
	const PhErrorReply *row = ph_error_reply(error);

	if (row->code == PH_ERROR_TEMPORARY || row->code == PH_ERROR_CORRUPT
	    || row->code == PH_ERROR_OUTCOME_UNKNOWN)
		ph_log_session(
			imap->session, PH_LOG_ERROR, "command-failed", "a command failed",
			PH_LOG_TEXT("command", imap->command != NULL ? imap->command->name : ""),
			PH_LOG_FAILURE(error), PH_LOG_END);
	return row->imap_code != NULL
	               ? g_strdup_printf("%s [%s] %s", row->imap_reply, row->imap_code, row->text)
	               : g_strdup_printf("%s %s", row->imap_reply, row->text);
}

PhNext
imap_error(Imap *imap, const GError *error)
{
	g_autofree char *reply = imap_error_text(imap, error);

	return imap_reply(imap, reply);
}

PhNext
imap_bye(Imap *imap, const char *text)
{
	ph_session_write_text(imap->session, "* BYE ");
	ph_session_write_text(imap->session, text);
	ph_session_write_text(imap->session, "\r\n");
	return PH_CLOSE;
}

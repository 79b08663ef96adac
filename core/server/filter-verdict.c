/* filter-verdict.c: what a verdict does to a mail, and what the client is told
 *
 * Text of filters goes to the peer: only printable characters, and only so much.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "config/sections.h"
#include "server/filter-chain.h"
#include "server/mail.h"

#include <string.h>

enum {
	LINE_MAX_OCTETS = 400,
	PREFIX_OCTETS = 16
};

static void
set_verdict(PhVerdict *verdict, uint32_t result, const char *status, const char *text)
{
	*verdict = (PhVerdict){ .result = result };
	g_strlcpy(verdict->status, status, sizeof verdict->status);
	g_strlcpy(verdict->text, text, sizeof verdict->text);
}

void
ph_verdict_of_failure(const PhFilterRow *row, PhVerdict *verdict_out)
{
	switch ((PhOnFailure) row->on_failure) {
	case PH_ON_FAILURE_ACCEPT:
		set_verdict(verdict_out, PH_VERDICT_NONE, "", "");
		return;
	case PH_ON_FAILURE_REJECT:
		set_verdict(verdict_out, PH_VERDICT_REJECT, "5.7.1", "not taken by policy");
		return;
	case PH_ON_FAILURE_DISCARD:
		set_verdict(verdict_out, PH_VERDICT_DISCARD, "", "");
		return;
	case PH_ON_FAILURE_QUARANTINE:
		set_verdict(verdict_out, PH_VERDICT_QUARANTINE, "", "");
		return;
	case PH_ON_FAILURE_TEMPORARY:
		break;
	}
	set_verdict(verdict_out, PH_VERDICT_TEMPORARY, "4.7.1", "service is away, try later");
}

/* --- redirect --------------------------------------------------------------------------------- */

/* The canonical form; 0 when it is no address. */
static size_t
canonical(const char *text, char *out, size_t size)
{
	PhAddress address;

	if (ph_address_parse_mailbox(ph_slice_trim(ph_slice(text)), PH_ADDRESS_ALLOW_UTF8, &address)
	            != PH_ADDRESS_OK
	    || address.kind != PH_ADDRESS_MAILBOX)
		return 0;
	return (size_t) g_snprintf(out, size, "%s@%s", address.local, address.domain);
}

static void
remove_others(PhMail *mail, uint32_t stage, size_t recipient, size_t n_before)
{
	bool is_one = stage == PH_STAGE_RECIPIENT;

	for (size_t i = 0; i < n_before; i++)
		if (!is_one || i == recipient)
			ph_mail_remove_recipient(mail, i);
}

static void
redirect(const PhFilterRow *row, uint32_t stage, PhMail *mail, size_t recipient, PhVerdict *verdict)
{
	char text[PH_LOCAL_PART_MAX + PH_DOMAIN_MAX + 2];
	size_t length = canonical(verdict->text, text, sizeof text);
	size_t n_before = ph_mail_n_recipients(mail);
	PhRcpt result = PH_RCPT_UNKNOWN;

	if (length > 0) {
		mail->is_asked = true;
		result = ph_mail_add_recipient(mail, PH_SLICE(text, length));
		mail->is_asked = false;
	}
	if (result == PH_RCPT_OK) {
		remove_others(mail, stage, recipient, n_before);
		mail->is_redirected |= stage == PH_STAGE_SENDER;
		set_verdict(verdict, PH_VERDICT_NONE, "", "");
		return;
	}
	ph_log_section(row->section, PH_LOG_WARNING, "filter-failed",
	               "cannot redirect: no mail is taken for that address",
	               PH_LOG_TEXT("id", ph_mail_id(mail)), PH_LOG_TEXT("to", verdict->text),
	               PH_LOG_END);
	set_verdict(verdict, PH_VERDICT_TEMPORARY, "4.3.5", "local error, try later");
}

/* --- quarantine ------------------------------------------------------------------------------- */

/* Where it goes is settled when all recipients are known: the first filter that says so counts. */
static void
quarantine(const PhFilterRow *row, PhMail *mail, PhVerdict *verdict)
{
	bool has_reason = verdict->text[0] != '\0';

	if (has_reason)
		ph_mail_set_fact(mail, "quarantine-reason", ph_slice(verdict->text));
	if (mail->hold == NULL) {
		mail->hold =
			g_strdup_printf(PH_QUARANTINED "'%s'%s%s", ph_section_name(row->section),
		                        has_reason ? ": " : "", verdict->text);
		mail->aside = g_strdup(row->quarantine);
	}
	set_verdict(verdict, PH_VERDICT_ACCEPT, "", "");
}

static bool
has_mailboxes(const PhMail *mail)
{
	for (guint i = 0; i < mail->targets->len; i++)
		if (ph_mail_target(mail, i)->route->params.store == NULL)
			return false;
	return true;
}

bool
ph_quarantine_settle(PhMail *mail)
{
	g_autofree char *hold = g_steal_pointer(&mail->hold);
	g_autofree char *mailbox = g_steal_pointer(&mail->aside);
	bool has_queue = mail->router != NULL && ph_router_queue(mail->router) != NULL;
	bool is_held = !has_mailboxes(mail);

	if (!is_held)
		ph_mail_set_fact(mail, "mailbox", ph_slice(mailbox));
	else if (has_queue)
		mail->hold = g_steal_pointer(&hold);
	ph_log(PH_LOG_INFO, "quarantined",
	       !is_held ? "the message goes into a mailbox of its own"
	                : (has_queue ? "the message is held in the queue"
	                             : "the message can be kept nowhere: there is no queue"),
	       PH_LOG_TEXT("id", ph_mail_id(mail)), PH_LOG_TEXT("mailbox", is_held ? "" : mailbox),
	       PH_LOG_TEXT("reason", mail->hold != NULL ? mail->hold : hold), PH_LOG_END);
	return !is_held || has_queue;
}

void
ph_verdict_apply(const PhFilterRow *row,
                 uint32_t stage,
                 PhMail *mail,
                 size_t recipient,
                 PhVerdict *verdict)
{
	bool has_mail = stage != PH_STAGE_CONNECT && stage != PH_STAGE_HELO;

	if (verdict->result > PH_VERDICT_REDIRECT
	    || (!has_mail
	        && (verdict->result == PH_VERDICT_REDIRECT
	            || verdict->result == PH_VERDICT_QUARANTINE
	            || verdict->result == PH_VERDICT_DISCARD))) {
		ph_log_section(row->section, PH_LOG_WARNING, "filter-failed",
		               "a verdict that means nothing here",
		               PH_LOG_NUMBER("verdict", verdict->result),
		               PH_LOG_NUMBER("stage", stage), PH_LOG_END);
		set_verdict(verdict, PH_VERDICT_NONE, "", "");
		return;
	}
	if (verdict->result == PH_VERDICT_REDIRECT)
		redirect(row, stage, mail, recipient, verdict);
	else if (verdict->result == PH_VERDICT_QUARANTINE)
		quarantine(row, mail, verdict);
	if (verdict->result == PH_VERDICT_TEMPORARY && verdict->smtp_code == 421)
		verdict->result = PH_VERDICT_DROP;
}

/* --- the reply -------------------------------------------------------------------------------- */

static unsigned
reply_code(const PhVerdict *verdict)
{
	unsigned code = verdict->smtp_code;

	if (verdict->result == PH_VERDICT_DROP)
		return 421;
	if (verdict->result == PH_VERDICT_REJECT)
		return code >= 500 && code <= 599 ? code : 550;
	return code >= 400 && code <= 499 ? code : 451;
}

/* "class.subject.detail" (RFC 3463 section 2) of the code's class. */
static bool
is_status(const char *status, char class)
{
	unsigned dots = 0;
	size_t digits = 0;

	if (status[0] != class || status[1] != '.')
		return false;
	for (size_t i = 0; status[i] != '\0'; i++) {
		digits = status[i] == '.' ? 0 : digits + 1;
		dots += status[i] == '.' ? 1 : 0;
		if (digits > 3 || (status[i] == '.' && status[i + 1] == '.')
		    || (status[i] != '.' && !g_ascii_isdigit(status[i])))
			return false;
	}
	return dots == 2 && digits > 0;
}

static void
append_line(GString *out, const PhVerdict *verdict, const char *status, PhSlice line, bool is_last)
{
	g_string_append_printf(out, "%u%c%s ", reply_code(verdict), is_last ? ' ' : '-', status);
	g_string_append_len(out, line.data, (gssize) MIN(line.length, (size_t) LINE_MAX_OCTETS));
	if (!is_last)
		g_string_append(out, "\r\n");
}

/* What is printable, with '\n' kept. */
static GString *
clean_text(const char *text, bool is_utf8)
{
	bool keeps_utf8 = is_utf8 && ph_slice_is_utf8(ph_slice(text));
	GString *out = g_string_new(NULL);

	for (size_t i = 0; text[i] != '\0'; i++) {
		unsigned char c = (unsigned char) text[i];

		if (c == '\n' || (c >= ' ' && c < 127) || (keeps_utf8 && c > 127))
			g_string_append_c(out, text[i]);
		else
			g_string_append_c(out, '?');
	}
	while (out->len > 0 && out->str[out->len - 1] == '\n')
		g_string_truncate(out, out->len - 1);
	return out;
}

static const char *
default_text(uint32_t result)
{
	if (result == PH_VERDICT_REJECT)
		return "not taken by policy";
	return result == PH_VERDICT_DROP ? "closing" : "try later";
}

void
ph_verdict_reply(const PhVerdict *verdict, bool is_utf8, char *text, size_t size)
{
	bool is_reject = verdict->result == PH_VERDICT_REJECT;
	const char *status = is_reject ? "5.7.1" : "4.7.1";
	const char *said = verdict->text[0] != '\0' ? verdict->text : default_text(verdict->result);
	g_autoptr(GString) clean = clean_text(said, is_utf8);
	g_autoptr(GString) out = g_string_new(NULL);
	PhSlice rest = PH_SLICE(clean->str, clean->len);

	if (is_status(verdict->status, is_reject ? '5' : '4'))
		status = verdict->status;
	while (rest.length > 0) {
		PhSlice line = ph_slice_split(&rest, '\n');

		/* The last one must fit. */
		if (out->len + line.length + rest.length + PREFIX_OCTETS > size)
			rest = PH_SLICE_EMPTY;
		append_line(out, verdict, status, line, rest.length == 0);
	}
	if (out->len == 0)
		append_line(out, verdict, status, PH_SLICE_EMPTY, true);
	g_strlcpy(text, out->str, size);
}

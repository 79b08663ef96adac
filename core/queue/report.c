/* report.c: makes the reports that tell a sender what became of a mail
 *
 * One multipart/report of three parts. The first holds everything as text and is always sent in
 * seven bits. The other two follow RFC 3464, or RFC 6533 when the sender takes SMTPUTF8 and there
 * is something above 127 to say; without SMTPUTF8 a UTF-8 address is written with \x{...}, a
 * header with octets above 127 is quoted, and a whole mail with such a header is cut to its header.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/report.h"

#include <posthorn/address.h>
#include <posthorn/date.h>
#include <posthorn/slice.h>

#include "queue/report-text.h"
#include "queue/report-words.h"

#include <string.h>

enum {
	NAME_MAX_OCTETS = 255, /* of a host or an id */
	ADDRESS_OCTETS = 700,  /* an address, quoted */
	REASON_OCTETS = 300,
};

/* Returned: what of the mail goes back. */
typedef struct {
	GString *octets;
	const char *type; /* NULL: nothing */
	const char *encoding;
	bool is_quoted;
} Returned;

/* Composer: one report being made. */
typedef struct {
	const PhReport *report;
	GString *out;
	GString *scratch;
	Returned returned;
	bool is_global; /* the status holds UTF-8 */
	uint32_t needs;
} Composer;

/* --- small pieces ----------------------------------------------------------------------------- */

/* All of these give a text that lives until the next of them. */
static const char *
clean(Composer *composer, const char *text, size_t max)
{
	g_string_truncate(composer->scratch, 0);
	ph_report_clean(text, max, !composer->is_global, composer->scratch);
	return composer->scratch->str;
}

static const char *
date_text(Composer *composer, PhTime time)
{
	g_string_truncate(composer->scratch, 0);
	ph_date_append_mail(ph_date_local(time), composer->scratch);
	return composer->scratch->str;
}

static char *
wire_address(const char *address)
{
	g_autoptr(GString) wire = g_string_new(NULL);
	GString *cleaned = g_string_new(NULL);

	ph_report_append_address(address, wire);
	ph_report_clean(wire->str, ADDRESS_OCTETS, false, cleaned);
	return g_string_free(cleaned, FALSE);
}

static bool
is_ascii(const char *text)
{
	return ph_slice_is_ascii(ph_slice(text));
}

static void
append_typed(Composer *composer, const char *name, const char *type, const char *value)
{
	g_autofree char *typed = g_strdup_printf("%s; %s", type, value);

	ph_report_field(name, typed, composer->out);
}

/* A field with an address: as it is, or in the form that RFC 6533 has for seven bits. */
static void
append_address(Composer *composer, const char *name, const char *type, const char *address)
{
	g_autoptr(GString) seven = NULL;

	if (is_ascii(address)) {
		append_typed(composer, name, type, address);
	} else if (composer->is_global) {
		append_typed(composer, name, "utf-8", address);
	} else {
		seven = g_string_new(NULL);
		ph_report_append_unicode(address, seven);
		append_typed(composer, name, "utf-8", seven->str);
	}
}

/* The octets of xtext; the text itself when it is none. */
static char *
decode_xtext(const char *text, size_t length)
{
	g_autoptr(GString) decoded = g_string_new(NULL);
	GString *cleaned = g_string_new(NULL);

	if (!ph_xtext_decode(PH_SLICE(text, length), decoded))
		g_string_append_len(decoded, text, (gssize) length);
	ph_report_clean(decoded->str, ADDRESS_OCTETS, false, cleaned);
	return g_string_free(cleaned, FALSE);
}

/* --- the header ------------------------------------------------------------------------------- */

static uint32_t
first_action(const PhReport *report)
{
	uint32_t first = PH_REPORT_EXPANDED;

	for (size_t i = 0; i < report->n_recipients; i++)
		first = MIN(first, report->recipients[i].action);
	return first;
}

static void
append_header(Composer *composer)
{
	const PhReport *report = composer->report;
	g_autofree char *host = g_strdup(clean(composer, report->hostname, NAME_MAX_OCTETS));
	g_autofree char *sender = wire_address(report->sender);
	g_autofree char *to = g_strdup_printf("<%s>", sender);
	GString *out = composer->out;

	if (!is_ascii(sender))
		composer->needs |= PH_REPORT_NEEDS_UTF8;
	g_string_append_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", host);
	ph_report_field("To", to, out);
	ph_report_field("Subject", ph_report_words(first_action(report))->subject, out);
	ph_report_field("Date", date_text(composer, report->now), out);
	g_string_append_printf(out, "Message-ID: <%s@%s>\r\n", report->id, host);
	g_string_append(out, "Auto-Submitted: auto-replied\r\n"
	                     "MIME-Version: 1.0\r\n");
	g_string_append_printf(out,
	                       "Content-Type: multipart/report; report-type=%s;\r\n"
	                       " boundary=\"=_%s\"\r\n",
	                       composer->is_global ? "global-delivery-status" : "delivery-status",
	                       report->id);
}

static void
begin_part(Composer *composer, const char *type, const char *encoding)
{
	g_string_append_printf(composer->out, "\r\n--=_%s\r\nContent-Type: %s\r\n",
	                       composer->report->id, type);
	if (encoding != NULL)
		g_string_append_printf(composer->out, "Content-Transfer-Encoding: %s\r\n",
		                       encoding);
	g_string_append(composer->out, "\r\n");
}

/* --- the text --------------------------------------------------------------------------------- */

static void
append_said(const PhReportRecipient *recipient, GString *text)
{
	g_autoptr(GString) said = g_string_new(NULL);
	g_autoptr(GString) host = g_string_new(NULL);
	const char *by = recipient->remote_mta;

	if (recipient->diagnostic == NULL) {
		ph_report_clean(ph_report_cause(recipient), REASON_OCTETS, false, said);
		ph_report_paragraph(said->str, 4, text);
		return;
	}
	ph_report_clean(by != NULL ? by : "", NAME_MAX_OCTETS, false, host);
	if (host->len > 0)
		g_string_append_printf(text, "    The server %s said:\r\n", host->str);
	else
		g_string_append(text, "    The answer was:\r\n");
	ph_report_clean(recipient->diagnostic, PH_REPORT_REPLY_MAX, false, said);
	ph_report_paragraph(said->str, 4, text);
}

static void
append_recipient_text(Composer *composer, const PhReportRecipient *recipient, GString *text)
{
	g_autofree char *address = wire_address(recipient->address);
	char status[PH_REPORT_STATUS];

	g_string_append_printf(text, "\r\n<%s>\r\n", address);
	append_said(recipient, text);
	ph_report_status(recipient, status);
	if (recipient->action == PH_REPORT_FAILED)
		ph_report_paragraph(ph_report_advice(status), 4, text);
	if (recipient->action == PH_REPORT_DELAYED && recipient->retry_until != 0)
		g_string_append_printf(text, "    It is tried until %s.\r\n",
		                       date_text(composer, recipient->retry_until));
}

static void
append_group_text(Composer *composer, uint32_t action, GString *text)
{
	const PhReport *report = composer->report;
	bool is_first = true;

	for (size_t i = 0; i < report->n_recipients; i++) {
		if (report->recipients[i].action != action)
			continue;
		if (is_first) {
			g_string_append(text, "\r\n");
			ph_report_paragraph(ph_report_words(action)->heading, 0, text);
		}
		is_first = false;
		append_recipient_text(composer, &report->recipients[i], text);
	}
}

static void
append_text(Composer *composer)
{
	const PhReport *report = composer->report;
	g_autoptr(GString) text = g_string_new(NULL);
	bool is_plain = false;

	g_string_append_printf(text, "This is the mail server %s.\r\n",
	                       clean(composer, report->hostname, NAME_MAX_OCTETS));
	for (uint32_t action = PH_REPORT_FAILED; action <= PH_REPORT_EXPANDED; action++)
		append_group_text(composer, action, text);
	g_string_append(text, "\r\n");
	if (composer->returned.type != NULL)
		ph_report_paragraph(strstr(composer->returned.type, "headers") != NULL
		                            ? "The header of your mail is below."
		                            : "Your mail is below.",
		                    0, text);
	ph_report_paragraph("This report was made by a program. Its details, for programs and "
	                    "postmasters, follow.",
	                    0, text);
	is_plain = is_ascii(text->str) && !ph_report_shape(PH_SLICE(text->str, text->len)).is_unfit;
	begin_part(composer, "text/plain; charset=utf-8", is_plain ? "7bit" : "quoted-printable");
	if (is_plain)
		g_string_append_len(composer->out, text->str, (gssize) text->len);
	else
		ph_report_quote(PH_SLICE(text->str, text->len), composer->out);
}

/* --- the status ------------------------------------------------------------------------------- */

static bool
is_atom(const char *text)
{
	size_t n = 0;

	while (g_ascii_isalnum(text[n]) || text[n] == '-' || text[n] == '.')
		n++;
	return text[n] == '\0' && n <= NAME_MAX_OCTETS;
}

static void
append_original(Composer *composer, const char *orcpt)
{
	const char *semicolon = strchr(orcpt, ';');
	g_autofree char *type = NULL;
	g_autofree char *address = NULL;

	if (semicolon == NULL || semicolon == orcpt)
		return;
	type = g_strndup(orcpt, (size_t) (semicolon - orcpt));
	if (!is_atom(type))
		return;
	address = decode_xtext(semicolon + 1, strlen(semicolon + 1));
	append_address(composer, "Original-Recipient", type, address);
}

static void
append_diagnostic(Composer *composer, const PhReportRecipient *recipient)
{
	const char *text = recipient->diagnostic;
	size_t max = PH_REPORT_REPLY_MAX;

	if (text == NULL) {
		if (recipient->action > PH_REPORT_DELAYED)
			return;
		text = ph_report_cause(recipient);
		max = REASON_OCTETS;
	}
	append_typed(composer, "Diagnostic-Code",
	             ph_report_is_smtp(recipient->diagnostic) ? "smtp" : "x-posthorn",
	             clean(composer, text, max));
}

static void
append_recipient(Composer *composer, const PhReportRecipient *recipient)
{
	g_autofree char *address = wire_address(recipient->address);
	char status[PH_REPORT_STATUS];

	g_string_append(composer->out, "\r\n");
	if (recipient->orcpt != NULL)
		append_original(composer, recipient->orcpt);
	append_address(composer, "Final-Recipient", "rfc822", address);
	ph_report_field("Action", ph_report_words(recipient->action)->action, composer->out);
	ph_report_status(recipient, status);
	ph_report_field("Status", status, composer->out);
	if (recipient->remote_mta != NULL && recipient->remote_mta[0] != '\0')
		append_typed(composer, "Remote-MTA", "dns",
		             clean(composer, recipient->remote_mta, NAME_MAX_OCTETS));
	append_diagnostic(composer, recipient);
	if (recipient->last_attempt != 0)
		ph_report_field("Last-Attempt-Date", date_text(composer, recipient->last_attempt),
		                composer->out);
	if (recipient->action == PH_REPORT_DELAYED && recipient->retry_until != 0)
		ph_report_field("Will-Retry-Until", date_text(composer, recipient->retry_until),
		                composer->out);
}

static void
append_status(Composer *composer)
{
	const PhReport *report = composer->report;

	begin_part(composer,
	           composer->is_global ? "message/global-delivery-status"
	                               : "message/delivery-status",
	           composer->is_global ? "8bit" : NULL);
	if (report->envid != NULL) {
		g_autofree char *envid = decode_xtext(report->envid, strlen(report->envid));

		ph_report_field("Original-Envelope-Id", clean(composer, envid, ADDRESS_OCTETS),
		                composer->out);
	}
	append_typed(composer, "Reporting-MTA", "dns",
	             clean(composer, report->hostname, NAME_MAX_OCTETS));
	if (report->mail_id != NULL)
		ph_report_field("X-Posthorn-Mail-Id",
		                clean(composer, report->mail_id, NAME_MAX_OCTETS), composer->out);
	if (report->arrived != 0)
		ph_report_field("Arrival-Date", date_text(composer, report->arrived),
		                composer->out);
	for (size_t i = 0; i < report->n_recipients; i++)
		append_recipient(composer, &report->recipients[i]);
}

/* Would anything of the status be lost in seven bits? */
static bool
needs_global(const PhReport *report)
{
	for (size_t i = 0; i < report->n_recipients; i++) {
		const PhReportRecipient *recipient = &report->recipients[i];

		if (!is_ascii(recipient->address)
		    || (recipient->diagnostic != NULL && !is_ascii(recipient->diagnostic)))
			return true;
	}
	return false;
}

/* --- the mail --------------------------------------------------------------------------------- */

static bool
read_start(PhContent *content, uint64_t max, GString *out, GError **error)
{
	uint64_t length = MIN(ph_content_length(content), max);
	size_t start = out->len;

	g_string_set_size(out, start + length);
	for (uint64_t done = 0; done < length;) {
		ssize_t n = ph_content_read(content, done, out->str + start + done, length - done,
		                            error);

		if (n <= 0) {
			g_string_truncate(out, start + done);
			return n == 0;
		}
		done += (uint64_t) n;
	}
	return true;
}

/* Octets up to the empty line; whole lines only when there is none. */
static size_t
header_length(const GString *octets)
{
	size_t start = 0;

	while (start < octets->len) {
		const char *line = octets->str + start;
		const char *end = memchr(line, '\n', octets->len - start);

		if (end == NULL || (end == line + 1 && line[0] == '\r'))
			return start;
		start = (size_t) (end - octets->str) + 1;
	}
	return start;
}

static bool
wants_full(const PhReport *report)
{
	return report->returns_full && first_action(report) == PH_REPORT_FAILED
	       && ph_content_length(report->content) + report->prepended.length
	                  <= PH_REPORT_FULL_MAX;
}

static void
set_returned(Composer *composer, bool is_whole, PhReportShape header, PhReportShape all)
{
	Returned *returned = &composer->returned;
	bool is_global = header.has_8bit && header.is_utf8 && composer->report->takes_utf8
	                 && !header.is_unfit;

	returned->encoding = "7bit";
	if (is_global) {
		returned->type = is_whole ? "message/global" : "message/global-headers";
		composer->needs |= PH_REPORT_NEEDS_UTF8 | PH_REPORT_NEEDS_8BIT;
	} else {
		returned->type = is_whole ? "message/rfc822" : "text/rfc822-headers";
		returned->is_quoted = !is_whole && (all.has_8bit || all.is_unfit);
	}
	if (is_whole && all.has_8bit)
		composer->needs |= PH_REPORT_NEEDS_8BIT;
	if (returned->is_quoted)
		returned->encoding = "quoted-printable";
	else if (all.has_8bit)
		returned->encoding = "8bit";
}

static bool
take_mail(Composer *composer, GError **error)
{
	const PhReport *report = composer->report;
	GString *octets = composer->returned.octets;
	PhReportShape header;
	PhReportShape all;
	bool is_whole = false;
	size_t n = 0;

	if (report->content == NULL)
		return true;
	is_whole = wants_full(report);
	g_string_append_len(octets, report->prepended.data, (gssize) report->prepended.length);
	if (!read_start(report->content, is_whole ? PH_REPORT_FULL_MAX : PH_REPORT_HEADER_MAX,
	                octets, error))
		return false;
	n = header_length(octets);
	header = ph_report_shape(PH_SLICE(octets->str, n));
	all = ph_report_shape(PH_SLICE(octets->str, octets->len));
	if (all.is_unfit || (header.has_8bit && !(report->takes_utf8 && header.is_utf8)))
		is_whole = false;
	if (!is_whole) {
		g_string_truncate(octets, n);
		all = header;
	}
	set_returned(composer, is_whole, header, all);
	return true;
}

static void
append_mail(Composer *composer)
{
	const Returned *returned = &composer->returned;
	PhSlice octets = PH_SLICE(returned->octets->str, returned->octets->len);

	if (returned->type == NULL)
		return;
	begin_part(composer, returned->type, returned->encoding);
	if (returned->is_quoted)
		ph_report_quote(octets, composer->out);
	else
		g_string_append_len(composer->out, octets.data, (gssize) octets.length);
}

PhContent *
ph_report_compose(const PhReport *report, uint32_t *needs_out, GError **error)
{
	g_autoptr(GString) scratch = g_string_new(NULL);
	g_autoptr(GString) octets = g_string_new(NULL);
	Composer composer = { .report = report, .scratch = scratch };
	gsize length = 0;

	composer.returned.octets = octets;
	if (!take_mail(&composer, error))
		return NULL;
	composer.out = g_string_sized_new(4096 + octets->len);
	composer.is_global = report->takes_utf8 && needs_global(report);
	if (composer.is_global)
		composer.needs |= PH_REPORT_NEEDS_UTF8 | PH_REPORT_NEEDS_8BIT;
	append_header(&composer);
	append_text(&composer);
	append_status(&composer);
	append_mail(&composer);
	g_string_append_printf(composer.out, "\r\n--=_%s--\r\n", report->id);
	*needs_out = composer.needs;
	length = composer.out->len;
	return ph_content_new_take(g_string_free(composer.out, FALSE), length);
}

/* report-words.c: what a report tells a person, and the status that says the same to a program
 *
 * The status of a peer's reply is used when it has one and its class fits what became of the
 * recipient: a 4.x.x that was tried for too long stays 4.x.x (RFC 3464 section 2.3.3).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/report-words.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <string.h>

static const PhReportWords words[] = {
	{ "failed", "Your mail could not be delivered",
	  "Your mail could not be delivered to the following, and will not be tried again:" },
	{ "failed", "Your mail could not be delivered",
	  "Your mail could not be delivered to the following, and will not be tried again:" },
	{ "delayed", "Your mail is delayed",
	  "Your mail could not be delivered to the following yet. It is still being tried; you need"
	  " not send it again:" },
	{ "relayed", "Your mail was handed on",
	  "Your mail was handed to another server for the following. That server does not say"
	  " whether it arrives:" },
	{ "delivered", "Your mail was delivered", "Your mail was delivered to the following:" },
	{ "expanded", "Your mail was sent on to several",
	  "The following stand for several, and your mail was sent on to them:" },
};

const PhReportWords *
ph_report_words(uint32_t action)
{
	return action < G_N_ELEMENTS(words) ? &words[action] : &words[0];
}

/* --- advice ----------------------------------------------------------------------------------- */

typedef struct {
	const char *prefix; /* of the status behind its class: ".1.1" */
	const char *text;
} Advice;

/* The first that fits is taken. */
static const Advice advice[] = {
	{ ".1.1",
	  "Check the spelling of the address. If it is right, ask the recipient in another way"
	  " whether it is still in use." },
	{ ".1.6", "Ask the recipient in another way for the new address." },
	{ ".1.10", "This domain takes no mail. Check the spelling of what stands behind the @." },
	{ ".1.2",
	  "No server was found for this domain. Check the spelling of what stands behind the @." },
	{ ".1.7", "The other server does not accept the address that you send from." },
	{ ".1.8", "The other server does not accept the domain that you send from." },
	{ ".2.1", "The recipient's mailbox is closed. Ask in another way for another address." },
	{ ".2.2", "The recipient's mailbox is full. Tell the recipient, and send the mail again"
	          " later." },
	{ ".2.3", "The mail is too large for the recipient. Send it in parts, or offer large files"
	          " in another way." },
	{ ".3.4", "The mail is too large. Send it in parts, or offer large files in another way." },
	{ ".6.7", "The address holds characters that the other server cannot take. Ask the"
	          " recipient for an address of plain letters." },
	{ ".7.30", "The mail asks for a protected way, and the other server offers none." },
	{ ".7.", "The other server has rules that forbid this mail. Its text above may say which;"
	         " its postmaster can tell more." },
	{ ".4.6", "The address leads in a circle. Tell the recipient or the postmaster of that"
	          " domain." },
	{ ".4.", "The other server could not be reached for too long. Send the mail again later,"
	         " or reach the recipient in another way." },
	{ ".6.", "The other server cannot take the form of this mail. Sending it as plain text may"
	         " help." },
	{ ".1.", "Check the spelling of the address." },
};

const char *
ph_report_advice(const char *status)
{
	const char *behind = status + strcspn(status, ".");

	for (size_t i = 0; i < G_N_ELEMENTS(advice); i++) {
		size_t n = strlen(advice[i].prefix);

		if (strncmp(behind, advice[i].prefix, n) == 0
		    && (advice[i].prefix[n - 1] == '.' || behind[n] == '\0'))
			return advice[i].text;
	}
	return "If the text above does not help you, ask the postmaster of this server and send"
	       " this report along.";
}

/* --- status ----------------------------------------------------------------------------------- */

static bool
is_reply_code(PhSlice text)
{
	return text.length >= 3 && text.data[0] >= '2' && text.data[0] <= '5'
	       && g_ascii_isdigit(text.data[1]) && g_ascii_isdigit(text.data[2])
	       && (text.length == 3 || text.data[3] == ' ' || text.data[3] == '-');
}

bool
ph_report_is_smtp(const char *diagnostic)
{
	return diagnostic != NULL && is_reply_code(PH_SLICE(diagnostic, strnlen(diagnostic, 4)));
}

/* One number of a status: up to three digits without a leading zero. */
static bool
is_number(PhSlice text)
{
	uint32_t value = 0;

	return text.length <= 3 && ph_slice_to_u32(text, 999, &value)
	       && (text.length == 1 || text.data[0] != '0');
}

static bool
take_status(PhSlice text, char status_out[PH_REPORT_STATUS])
{
	PhSlice rest = PH_SLICE(text.data, MIN(text.length, (size_t) PH_REPORT_STATUS));
	PhSlice whole = ph_slice_split(&rest, ' ');
	PhSlice numbers = whole;
	PhSlice class = ph_slice_split(&numbers, '.');
	PhSlice subject = ph_slice_split(&numbers, '.');

	if (whole.length >= PH_REPORT_STATUS || class.length != 1
	    || strchr("245", class.data[0]) == NULL || !is_number(subject) || !is_number(numbers))
		return false;
	memcpy(status_out, whole.data, whole.length);
	status_out[whole.length] = '\0';
	return true;
}

static void
take_reply(const char *diagnostic, char status_out[PH_REPORT_STATUS])
{
	PhSlice text = PH_SLICE(diagnostic, strnlen(diagnostic, 4 + PH_REPORT_STATUS));

	if (text.length > 4 && take_status(ph_slice_from(text, 4), status_out))
		return;
	g_snprintf(status_out, PH_REPORT_STATUS, "%c.0.0", text.data[0]);
}

/* Does the class fit the action? A temporary one that became final still does. */
static bool
fits(uint32_t action, char class)
{
	if (action == PH_REPORT_DELAYED)
		return class == '4';
	if (action == PH_REPORT_FAILED)
		return class == '4' || class == '5';
	return class == '2';
}

static char
class_of(uint32_t action)
{
	if (action == PH_REPORT_DELAYED)
		return '4';
	return action == PH_REPORT_FAILED ? '5' : '2';
}

/* Without a word from anybody: expired when it was tried, else undefined. */
static void
take_error(const PhReportRecipient *recipient, char status_out[PH_REPORT_STATUS])
{
	const char *status = "5.0.0";

	if (recipient->action > PH_REPORT_DELAYED)
		status = "2.0.0";
	else if (recipient->error != NULL && !ph_error_is_temporary(recipient->error))
		status = ph_error_reply(recipient->error)->smtp_status;
	else if (recipient->action == PH_REPORT_DELAYED)
		status = "4.4.1";
	else if (recipient->error != NULL)
		status = g_error_matches(recipient->error, PH_ERROR, PH_ERROR_OVER_QUOTA) ? "4.2.2"
		                                                                          : "4.4.7";
	g_strlcpy(status_out, status, PH_REPORT_STATUS);
}

void
ph_report_status(const PhReportRecipient *recipient, char status_out[PH_REPORT_STATUS])
{
	bool is_given = recipient->status != NULL
	                && take_status(PH_SLICE(recipient->status,
	                                        strnlen(recipient->status, PH_REPORT_STATUS)),
	                               status_out);

	if (!is_given && ph_report_is_smtp(recipient->diagnostic))
		take_reply(recipient->diagnostic, status_out);
	else if (!is_given)
		take_error(recipient, status_out);
	if (!fits(recipient->action, status_out[0]))
		status_out[0] = class_of(recipient->action);
}

const char *
ph_report_cause(const PhReportRecipient *recipient)
{
	const GError *error = recipient->error;

	if (recipient->reason != NULL)
		return recipient->reason;
	if (recipient->action > PH_REPORT_DELAYED)
		return "It was accepted";
	if (error == NULL || g_error_matches(error, PH_ERROR, PH_ERROR_TEMPORARY)
	    || g_error_matches(error, PH_ERROR, PH_ERROR_OUTCOME_UNKNOWN))
		return recipient->action == PH_REPORT_DELAYED
		               ? "It could not be delivered for now"
		               : "It could not be delivered for too long";
	return ph_error_reply(error)->smtp_text;
}

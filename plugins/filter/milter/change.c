/* change.c: what a milter changes: kept until its final reply, then done in order
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/log.h>

#include "talk.h"

#include <string.h>

enum {
	CHANGES_MAX = 10000,
	OCTETS_MAX = 64 << 20
};

void
change_free(gpointer pointer)
{
	Change *change = pointer;

	g_free(change->first);
	g_free(change->second);
	g_free(change);
}

bool
change_keep(Talk *talk, const Reply *reply)
{
	Change *change = NULL;

	talk->change_octets += reply->first.length + reply->second.length;
	if (talk->changes->len >= CHANGES_MAX || talk->change_octets > OCTETS_MAX)
		return false;
	change = g_new0(Change, 1);
	change->kind = reply->kind;
	change->index = reply->index;
	change->first = ph_slice_dup(reply->first);
	change->second = ph_slice_dup(reply->second);
	change->length = reply->first.length;
	g_ptr_array_add(talk->changes, change);
	return true;
}

/* "<local@domain>" or without brackets, canonical. Returns: (owned); NULL: it is none. */
static char *
address_of(const char *text)
{
	PhSlice slice = ph_slice_trim(ph_slice(text));
	PhAddress address;

	if (slice.length > 2 && slice.data[0] == '<' && slice.data[slice.length - 1] == '>')
		slice = PH_SLICE(slice.data + 1, slice.length - 2);
	if (ph_address_parse_mailbox(slice, PH_ADDRESS_ALLOW_UTF8, &address) != PH_ADDRESS_OK
	    || address.kind != PH_ADDRESS_MAILBOX)
		return NULL;
	return g_strdup_printf("%s@%s", address.local, address.domain);
}

static void
change_sender(PhMail *mail, const char *text)
{
	g_autofree char *address = address_of(text);

	if (address != NULL)
		ph_mail_set_sender(mail, ph_slice(address));
	else if (strcmp(text, "<>") == 0 || text[0] == '\0')
		ph_mail_set_sender(mail, PH_SLICE_EMPTY);
}

static void
add_recipient(const Talk *talk, PhMail *mail, const char *text)
{
	g_autofree char *address = address_of(text);
	PhRcpt result = PH_RCPT_UNKNOWN;

	if (address != NULL)
		result = ph_mail_add_recipient(mail, ph_slice(address));
	if (result != PH_RCPT_OK)
		ph_log_section(talk->milter->section, PH_LOG_WARNING, "milter-recipient",
		               "the milter adds a recipient that no mail is taken for",
		               PH_LOG_TEXT("id", ph_mail_id(mail)), PH_LOG_TEXT("to", text),
		               PH_LOG_END);
}

static void
delete_recipient(PhMail *mail, const char *text)
{
	g_autofree char *address = address_of(text);
	ssize_t index = address != NULL ? ph_mail_find_recipient(mail, ph_slice(address)) : -1;

	if (index >= 0)
		ph_mail_remove_recipient(mail, (size_t) index);
}

/* Ours is not among the fields that a milter counts; the first two places are before the first. */
static bool
change_header(PhMail *mail, const Change *change, GError **error)
{
	PhSlice value = ph_slice(change->second);

	if (change->kind == REPLY_ADD_HEADER)
		return ph_mail_header_add(mail, change->first, value, error);
	if (change->kind == REPLY_INSERT_HEADER)
		return ph_mail_header_insert(mail, change->index > 0 ? change->index - 1 : 0,
		                             change->first, value, error);
	if (value.length == 0)
		return ph_mail_header_delete(mail, change->first, change->index, error);
	return ph_mail_header_replace(mail, change->first, change->index, value, error);
}

/* The pieces of a new body; bare line ends become whole ones. */
static void
append_body(GString *body, const Change *change)
{
	for (size_t i = 0; i < change->length; i++) {
		char c = change->first[i];
		bool follows_cr = body->len > 0 && body->str[body->len - 1] == '\r';

		if (c == '\n' && !follows_cr)
			g_string_append_c(body, '\r');
		else if (c != '\n' && follows_cr)
			g_string_append_c(body, '\n');
		g_string_append_c(body, c);
	}
}

static bool
replace_body(const Talk *talk, PhMail *mail, GError **error)
{
	GString *body = g_string_new(NULL);
	g_autoptr(PhContent) content = NULL;
	size_t length = 0;

	for (guint i = 0; i < talk->changes->len; i++) {
		const Change *change = talk->changes->pdata[i];

		if (change->kind == REPLY_BODY)
			append_body(body, change);
	}
	if (body->len > 0 && body->str[body->len - 1] == '\r')
		g_string_append_c(body, '\n');
	length = body->len;
	content = ph_content_new_take(g_string_free(body, FALSE), length);
	return ph_mail_replace_body(mail, content, error);
}

static bool
apply(const Talk *talk, PhMail *mail, const Change *change, bool *has_body, GError **error)
{
	switch (change->kind) {
	case REPLY_ADD_HEADER:
	case REPLY_INSERT_HEADER:
	case REPLY_CHANGE_HEADER:
		return change_header(mail, change, error);
	case REPLY_SENDER:
		change_sender(mail, change->first);
		return true;
	case REPLY_ADD_RECIPIENT:
	case REPLY_ADD_RECIPIENT_PARAMETERS:
		add_recipient(talk, mail, change->first);
		return true;
	case REPLY_DELETE_RECIPIENT:
		delete_recipient(mail, change->first);
		return true;
	case REPLY_BODY:
		*has_body = true;
		return true;
	default:
		return true;
	}
}

void
change_apply(Talk *talk, PhFilterQuestion *question)
{
	bool may_change = talk->verdict.result == PH_VERDICT_NONE
	                  || talk->verdict.result == PH_VERDICT_ACCEPT
	                  || talk->verdict.result == PH_VERDICT_QUARANTINE;
	g_autoptr(GError) error = NULL;
	bool has_body = false;

	for (guint i = 0; may_change && error == NULL && i < talk->changes->len; i++)
		(void) apply(talk, question->mail, talk->changes->pdata[i], &has_body, &error);
	if (has_body && error == NULL)
		(void) replace_body(talk, question->mail, &error);
	if (error == NULL)
		return;
	question->verdict = (PhVerdict){ .result = PH_VERDICT_FAILED };
	g_strlcpy(question->verdict.text, error->message, sizeof question->verdict.text);
}

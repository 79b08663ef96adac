/* success.c: reports of success for recipients that stand for others, or have the mail at once
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/success.h"

#include <posthorn/filter.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "base/clock.h"
#include "queue/report.h"
#include "server/queue-mail.h"

#include <string.h>

static PhMailParameter *
find(const GArray *rows, const char *name)
{
	for (guint i = 0; rows != NULL && i < rows->len; i++) {
		PhMailParameter *row = &g_array_index(rows, PhMailParameter, i);

		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static const char *
value_of(const GArray *rows, const char *name)
{
	const PhMailParameter *row = find(rows, name);

	return row != NULL ? row->value : NULL;
}

bool
ph_success_is_wanted(const PhRecipient *recipient)
{
	PhSlice rest = ph_slice(value_of(recipient->parameters, "NOTIFY"));

	while (rest.length > 0)
		if (ph_slice_is_nocase(ph_slice_trim(ph_slice_split(&rest, ',')), "SUCCESS"))
			return true;
	return false;
}

bool
ph_success_any(const PhMail *mail)
{
	for (guint i = 0; i < mail->recipients->len; i++)
		if (ph_success_is_wanted(&g_array_index(mail->recipients, PhRecipient, i)))
			return true;
	return false;
}

static bool
is_list(const PhMail *mail, const PhRecipient *recipient)
{
	for (uint32_t i = 0; i < recipient->n_targets; i++)
		if (ph_mail_target(mail, recipient->targets[i])->detour.sender != NULL)
			return true;
	return false;
}

bool
ph_success_ends(const PhMail *mail, const PhRecipient *recipient)
{
	return recipient->n_targets > 1 || is_list(mail, recipient);
}

void
ph_success_strip(GArray *parameters)
{
	PhMailParameter *row = find(parameters, "NOTIFY");
	PhSlice rest = ph_slice(row != NULL ? row->value : NULL);
	GString *kept = NULL;

	if (row == NULL)
		return;
	kept = g_string_new(NULL);
	while (rest.length > 0) {
		PhSlice word = ph_slice_trim(ph_slice_split(&rest, ','));

		if (word.length > 0 && !ph_slice_is_nocase(word, "SUCCESS"))
			g_string_append_printf(kept, "%s%.*s", kept->len > 0 ? "," : "",
			                       (int) word.length, word.data);
	}
	if (kept->len == 0)
		g_string_append(kept, "NEVER");
	g_free(row->value);
	row->value = g_string_free(kept, FALSE);
}

/* --- the report ------------------------------------------------------------------------------- */

static bool
has_succeeded(const PhMail *mail, const PhRecipient *recipient)
{
	for (uint32_t i = 0; i < recipient->n_targets; i++)
		if (ph_mail_target(mail, recipient->targets[i])->error != NULL)
			return false;
	return recipient->n_targets > 0;
}

static GArray *
list_rows(const PhMail *mail)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(PhReportRecipient));

	for (guint i = 0; i < mail->recipients->len; i++) {
		const PhRecipient *recipient = &g_array_index(mail->recipients, PhRecipient, i);
		PhReportRecipient row = { .action = is_list(mail, recipient) ? PH_REPORT_DELIVERED
			                                                     : PH_REPORT_EXPANDED,
			                  .address = recipient->address,
			                  .orcpt = value_of(recipient->parameters, "ORCPT"),
			                  .last_attempt = ph_clock_wall_us() };

		if (ph_success_is_wanted(recipient) && ph_success_ends(mail, recipient)
		    && has_succeeded(mail, recipient))
			g_array_append_val(rows, row);
	}
	return rows;
}

static PhMail *
compose(const PhMail *mail, const GArray *rows)
{
	const PhRouteParams *params = &ph_mail_target(mail, 0)->route->params;
	PhMail *made = ph_mail_new_routed(mail->router);
	uint32_t needs = 0;
	PhReport report = {
		.hostname = ph_section_hostname(params->section),
		.sender = ph_mail_sender(mail),
		.id = ph_mail_id(made),
		.mail_id = mail->id,
		.envid = ph_mail_parameter(mail, "ENVID"),
		.takes_utf8 = ph_mail_parameter(mail, "SMTPUTF8") != NULL,
		.arrived = mail->arrived,
		.now = ph_clock_wall_us(),
		.prepended = ph_mail_prepended(mail),
		.content = mail->content,
		.recipients = (const PhReportRecipient *) (const void *) rows->data,
		.n_recipients = rows->len,
	};
	g_autoptr(PhContent) content = ph_report_compose(&report, &needs, NULL);

	if (content == NULL) {
		ph_mail_unref(made);
		return NULL;
	}
	ph_mail_set_sender(made, PH_SLICE_EMPTY);
	ph_mail_set_fact(made, PH_QUEUE_FACT_REPORT, PH_SLICE_LITERAL("sender"));
	ph_mail_set_content(made, content);
	if ((needs & PH_REPORT_NEEDS_8BIT) != 0)
		ph_mail_set_parameter(made, "BODY", PH_SLICE_LITERAL("8BITMIME"));
	if ((needs & PH_REPORT_NEEDS_UTF8) != 0)
		ph_mail_set_parameter(made, "SMTPUTF8", PH_SLICE_EMPTY);
	return made;
}

/* @rows: (owned, nullable). */
static PhMail *
make_report(const PhMail *mail, GArray *rows)
{
	const char *sender = ph_mail_sender(mail);
	PhMail *made = rows != NULL && rows->len > 0 ? compose(mail, rows) : NULL;

	if (rows != NULL)
		g_array_unref(rows);
	if (made == NULL || ph_mail_add_recipient(made, ph_slice(sender)) == PH_RCPT_OK)
		return made;
	ph_log(PH_LOG_NOTICE, "report-lost", "the sender of a mail cannot be told of its success",
	       PH_LOG_TEXT("id", mail->id), PH_LOG_TEXT("to", sender), PH_LOG_END);
	ph_mail_unref(made);
	return NULL;
}

PhMail *
ph_success_report(const PhMail *mail)
{
	return make_report(mail, ph_mail_sender(mail)[0] != '\0' ? list_rows(mail) : NULL);
}

/* --- mail that was delivered at once ---------------------------------------------------------- */

/* Telling: a mail whose results wait until its sender was told. */
typedef struct {
	PhMail *mail;
	PhMail *report; /* (nullable) */
	void (*done)(PhMail *mail);
} Telling;

static bool
is_asked_for(const PhMail *mail, const PhTarget *target)
{
	return target->error == NULL && !target->was_served
	       && ph_success_is_wanted(
		       &g_array_index(mail->recipients, PhRecipient, target->recipient));
}

static GArray *
list_targets(const PhMail *mail)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(PhReportRecipient));

	for (guint i = 0; i < mail->targets->len; i++) {
		const PhTarget *target = ph_mail_target(mail, i);
		PhReportRecipient row = { .action = PH_REPORT_DELIVERED,
			                  .address = target->address,
			                  .orcpt = ph_mail_recipient_parameter(
						  mail, target->recipient, "ORCPT"),
			                  .last_attempt = ph_clock_wall_us() };

		if (is_asked_for(mail, target))
			g_array_append_val(rows, row);
	}
	return rows;
}

static void
told(void *user_data)
{
	Telling *telling = user_data;

	telling->done(telling->mail);
	ph_mail_unref(telling->report);
	ph_mail_unref(telling->mail);
	g_free(telling);
}

static void
tell(void *user_data)
{
	Telling *telling = user_data;

	telling->report = make_report(telling->mail, list_targets(telling->mail));
	if (telling->report != NULL)
		ph_mail_submit(telling->report, ph_wake_new_func(told, telling));
	else
		told(telling);
}

bool
ph_success_tell(PhMail *mail, void (*done)(PhMail *mail))
{
	Telling *telling = NULL;
	bool asks = false;

	if (mail->router == NULL || ph_mail_sender(mail)[0] == '\0')
		return false;
	for (guint i = 0; i < mail->targets->len && !asks; i++)
		asks = is_asked_for(mail, ph_mail_target(mail, i));
	if (!asks)
		return false;
	telling = g_new0(Telling, 1);
	telling->mail = ph_mail_ref(mail);
	telling->done = done;
	ph_router_run(mail->router, tell, telling);
	return true;
}

/* test-filter-verdicts.c: every verdict at every stage, and every `on-failure` in the place of one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/wake.h>

#include "config/sections.h"
#include "routing.h"
#include "server/filter-chain.h"

/* Answer: what the one filter says. */
typedef struct {
	PhVerdict verdict;
	bool fails;
	bool parks;
} Answer;

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Answer *answer = instance;

	if (answer->fails) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "no idea");
		return false;
	}
	question->verdict = answer->verdict;
	if (answer->parks)
		ph_wake_complete(ph_filter_park(question));
	return true;
}

static void *
begin(void *instance, PhMail *mail)
{
	return NULL;
}

static void
end(void *instance, void *state)
{
}

static void
cancel(void *instance, void *state)
{
}

static const PhFilter table = {
	.size = sizeof table,
	.stages = UINT32_MAX,
	.begin = begin,
	.end = end,
	.ask = ask,
	.cancel = cancel,
};

/* Outcome: what the protocol is told, and what the mail is like. */
typedef struct {
	uint32_t result;    /* ACCEPT stands for "go on" as NONE does, and is shown as that */
	bool is_discarded;  /* the mail is */
	bool is_held;       /* the mail has a reason to wait */
	bool is_redirected; /* the recipient is another */
} Outcome;

static const uint32_t stages[] = { PH_STAGE_CONNECT,   PH_STAGE_HELO,    PH_STAGE_SENDER,
	                           PH_STAGE_RECIPIENT, PH_STAGE_DATA,    PH_STAGE_HEADER,
	                           PH_STAGE_MESSAGE,   PH_STAGE_DELIVERY };

static Outcome
outcome_of(uint32_t stage, uint32_t result)
{
	bool has_mail = stage != PH_STAGE_CONNECT && stage != PH_STAGE_HELO;
	bool is_last = stage == PH_STAGE_MESSAGE || stage == PH_STAGE_DELIVERY;

	switch (result) {
	case PH_VERDICT_REJECT:
	case PH_VERDICT_TEMPORARY:
	case PH_VERDICT_DROP:
		return (Outcome){ .result = result };
	case PH_VERDICT_DISCARD:
		return (Outcome){ .result = is_last ? PH_VERDICT_DISCARD : PH_VERDICT_NONE,
			          .is_discarded = has_mail };
	case PH_VERDICT_QUARANTINE:
		/* The routes here have no store, and there is no queue. */
		return (Outcome){ .result = is_last ? PH_VERDICT_TEMPORARY : PH_VERDICT_NONE,
			          .is_held = has_mail && !is_last };
	case PH_VERDICT_REDIRECT:
		return (Outcome){ .is_redirected = has_mail };
	default:
		return (Outcome){ .result = PH_VERDICT_NONE };
	}
}

/* Settings of one question. */
typedef struct {
	PhRouter *router;
	uint32_t stage;
	uint32_t on_failure;
	Answer *answer;
} Case;

static PhMail *
make_mail(const Case *row)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("A: b\r\n\r\nbody"));
	PhMail *mail = ph_mail_new_routed(row->router);

	ph_mail_set_sender(mail, ph_slice("carla@example.net"));
	if (row->stage != PH_STAGE_SENDER)
		g_assert_cmpint(ph_mail_add_recipient(mail, ph_slice("bob@example.org")), ==,
		                PH_RCPT_OK);
	if (row->stage == PH_STAGE_HEADER)
		ph_mail_show_header(mail, ph_slice("A: b\r\n\r\n"));
	if (row->stage == PH_STAGE_MESSAGE || row->stage == PH_STAGE_DELIVERY)
		ph_mail_set_content(mail, content);
	return mail;
}

/* Asks; the reply is that of the last refusal. */
static Outcome
ask_one(const Case *row, char reply[1024])
{
	PhSection section = { .word = "filter", .name = "x", .kind = PH_KIND_FILTER };
	g_autofree PhFilterChain *chain = g_malloc0(sizeof *chain + sizeof(PhFilterRow));
	g_autoptr(PhMail) mail = make_mail(row);
	PhFilters *filters = NULL;
	Outcome got = { 0 };

	section.calls = ph_calls_new(16, (PhDuration){ G_USEC_PER_SEC });
	chain->n = 1;
	chain->stages = table.stages;
	chain->rows[0] = (PhFilterRow){ .section = &section,
		                        .table = &table,
		                        .instance = row->answer,
		                        .stages = table.stages,
		                        .timeout_us = G_USEC_PER_SEC,
		                        .on_failure = row->on_failure,
		                        .quarantine = "Aside" };
	filters = ph_filters_open(chain);
	g_assert_true(
		ph_filters_ask(filters, row->stage, row->stage <= PH_STAGE_HELO ? NULL : mail));
	got.result = ph_filters_verdict(filters)->result;
	ph_verdict_reply(ph_filters_verdict(filters), false, reply, 1024);
	if (got.result == PH_VERDICT_ACCEPT)
		got.result = PH_VERDICT_NONE;
	got.is_discarded = mail->is_discarded;
	got.is_held = mail->hold != NULL;
	got.is_redirected = ph_mail_find_recipient(mail, ph_slice("root@example.org")) >= 0
	                    && ph_mail_find_recipient(mail, ph_slice("bob@example.org")) < 0;
	ph_filters_free(filters);
	ph_calls_unref(section.calls);
	return got;
}

static void
assert_same(const Case *row, uint32_t result, const Outcome *got)
{
	Outcome wanted = outcome_of(row->stage, result);

	if (got->result == wanted.result && got->is_discarded == wanted.is_discarded
	    && got->is_held == wanted.is_held && got->is_redirected == wanted.is_redirected)
		return;
	g_test_message(
		"stage %u, verdict %u, on-failure %u: result %u discarded %d held %d redirected %d",
		row->stage, result, row->on_failure, got->result, got->is_discarded, got->is_held,
		got->is_redirected);
	g_test_fail();
}

typedef struct {
	PhRouter *router;
	FakeTransport *transport;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	fixture->transport = fake_transport_new();
	fixture->router = fake_router(NULL, fixture->transport, NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_router_unref(fixture->router);
	fake_transport_free(fixture->transport);
}

static void
test_verdicts(Fixture *fixture, gconstpointer data)
{
	char reply[1024];

	for (size_t s = 0; s < G_N_ELEMENTS(stages); s++)
		for (uint32_t result = PH_VERDICT_NONE; result <= PH_VERDICT_REDIRECT; result++)
			for (unsigned parks = 0; parks < 2; parks++) {
				Answer answer = { .verdict = { .result = result },
					          .parks = parks == 1 };
				Case row = { fixture->router, stages[s], PH_ON_FAILURE_REJECT,
					     &answer };
				Outcome got;

				if (result == PH_VERDICT_REDIRECT)
					g_strlcpy(answer.verdict.text, "root@example.org",
					          sizeof answer.verdict.text);
				got = ask_one(&row, reply);
				assert_same(&row, result, &got);
			}
}

static void
test_failures(Fixture *fixture, gconstpointer data)
{
	static const struct {
		uint32_t on_failure;
		uint32_t result;
	} rows[] = { { PH_ON_FAILURE_TEMPORARY, PH_VERDICT_TEMPORARY },
		     { PH_ON_FAILURE_ACCEPT, PH_VERDICT_NONE },
		     { PH_ON_FAILURE_REJECT, PH_VERDICT_REJECT },
		     { PH_ON_FAILURE_DISCARD, PH_VERDICT_DISCARD },
		     { PH_ON_FAILURE_QUARANTINE, PH_VERDICT_QUARANTINE } };

	char reply[1024];

	for (size_t s = 0; s < G_N_ELEMENTS(stages); s++)
		for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
			for (unsigned how = 0; how < 3; how++) {
				Answer answer = { .verdict = { .result = PH_VERDICT_FAILED },
					          .fails = how == 0,
					          .parks = how == 1 };
				Case row = { fixture->router, stages[s], rows[i].on_failure,
					     &answer };
				Outcome got = ask_one(&row, reply);

				assert_same(&row, rows[i].result, &got);
			}
}

/* What the client is told is the filter's, or the default of the stage's verdict. */
static void
test_replies(Fixture *fixture, gconstpointer data)
{
	static const struct {
		PhVerdict verdict;
		const char *reply;
	} rows[] = {
		{ { .result = PH_VERDICT_REJECT,
		    .smtp_code = 554,
		    .status = "5.7.3",
		    .text = "own" },
		  "554 5.7.3 own" },
		{ { .result = PH_VERDICT_REJECT }, "550 5.7.1 not taken by policy" },
		{ { .result = PH_VERDICT_REJECT, .smtp_code = 450, .status = "4.7.3" },
		  "550 5.7.1 not taken by policy" },
		{ { .result = PH_VERDICT_TEMPORARY,
		    .smtp_code = 450,
		    .status = "4.2.1",
		    .text = "busy" },
		  "450 4.2.1 busy" },
		{ { .result = PH_VERDICT_TEMPORARY }, "451 4.7.1 try later" },
		{ { .result = PH_VERDICT_TEMPORARY, .smtp_code = 421, .text = "go" },
		  "421 4.7.1 go" },
		{ { .result = PH_VERDICT_DROP, .text = "enough" }, "421 4.7.1 enough" },
		{ { .result = PH_VERDICT_REJECT, .text = "one\ntwo" },
		  "550-5.7.1 one\r\n550 5.7.1 two" },
	};

	char reply[1024];

	for (size_t s = 0; s < G_N_ELEMENTS(stages); s++)
		for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
			Answer answer = { .verdict = rows[i].verdict };
			const Case row = { fixture->router, stages[s], PH_ON_FAILURE_ACCEPT,
				           &answer };

			(void) ask_one(&row, reply);
			g_assert_cmpstr(reply, ==, rows[i].reply);
		}
}

static void
test_redirect_to_nobody(Fixture *fixture, gconstpointer data)
{
	for (size_t s = 2; s < G_N_ELEMENTS(stages); s++) {
		Answer answer = { .verdict = { .result = PH_VERDICT_REDIRECT,
			                       .text = "nobody@example.org" } };
		const Case row = { fixture->router, stages[s], PH_ON_FAILURE_ACCEPT, &answer };
		char reply[1024];
		Outcome got = ask_one(&row, reply);

		g_assert_cmpuint(got.result, ==, PH_VERDICT_TEMPORARY);
		g_assert_cmpstr(reply, ==, "451 4.3.5 local error, try later");
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/server/filter-verdicts/each-at-each-stage", Fixture, NULL, set_up,
	           test_verdicts, tear_down);
	g_test_add("/server/filter-verdicts/each-on-failure-at-each-stage", Fixture, NULL, set_up,
	           test_failures, tear_down);
	g_test_add("/server/filter-verdicts/replies-are-the-filters-own", Fixture, NULL, set_up,
	           test_replies, tear_down);
	g_test_add("/server/filter-verdicts/redirects-to-nobody-are-temporary", Fixture, NULL,
	           set_up, test_redirect_to_nobody, tear_down);
	return g_test_run();
}

/* test-filter.c: filters are asked in order; late, failing and closed ones harm nobody
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/wake.h>

#include "config/sections.h"
#include "routing.h"
#include "server/filter-chain.h"

/* Fake: what it answers, and how. */
typedef struct {
	PhVerdict verdict;
	bool parks;
	bool fails;
	bool adds_header;
	/* what happened */
	PhFilterQuestion *question; /* that is parked */
	PhWake *wake;
	gint n_asked;
	gint n_begun;
	gint n_ended;
	gint n_cancelled;
} Fake;

static void *
begin(void *instance, PhMail *mail)
{
	Fake *fake = instance;

	g_atomic_int_inc(&fake->n_begun);
	return fake;
}

static void
end(void *instance, void *state)
{
	Fake *fake = state;

	g_atomic_int_inc(&fake->n_ended);
}

static void
cancel(void *instance, void *state)
{
	Fake *fake = state;

	g_atomic_int_inc(&fake->n_cancelled);
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	Fake *fake = state;

	g_atomic_int_inc(&fake->n_asked);
	if (fake->fails) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "no idea");
		return false;
	}
	if (fake->adds_header
	    && !ph_mail_header_add(question->mail, "X-Seen", ph_slice("yes"), error))
		return false;
	question->verdict = fake->verdict;
	if (fake->parks) {
		fake->question = question;
		fake->wake = ph_filter_park(question);
	}
	return true;
}

static const PhFilter table = {
	.size = sizeof table,
	.stages = 1U << PH_STAGE_SENDER | 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_MESSAGE,
	.begin = begin,
	.end = end,
	.ask = ask,
	.cancel = cancel,
};

typedef struct {
	Fake fakes[3];
	PhSection sections[3];
	PhFilterChain *chain;
	PhFilters *filters;
	PhMail *mail;
	FakeTransport *transport;
	PhRouter *router;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	static const char *const names[] = { "a", "b", "c" };

	fixture->chain = g_malloc0(sizeof *fixture->chain + 3 * sizeof fixture->chain->rows[0]);
	fixture->chain->n = 3;
	fixture->chain->stages = table.stages;
	for (size_t i = 0; i < 3; i++) {
		fixture->sections[i] =
			(PhSection){ .word = "filter", .name = names[i], .kind = PH_KIND_FILTER };
		fixture->sections[i].calls = ph_calls_new(16, (PhDuration){ 100000 });
		fixture->chain->rows[i] = (PhFilterRow){ .section = &fixture->sections[i],
			                                 .table = &table,
			                                 .instance = &fixture->fakes[i],
			                                 .stages = table.stages,
			                                 .timeout_us = 100000,
			                                 .on_failure = PH_ON_FAILURE_ACCEPT,
			                                 .quarantine = "Aside" };
	}
	fixture->transport = fake_transport_new();
	fixture->router = fake_router(NULL, fixture->transport, NULL);
	fixture->filters = ph_filters_open(fixture->chain);
	fixture->mail = ph_mail_new_routed(fixture->router);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_mail_unref(fixture->mail);
	ph_filters_free(fixture->filters);
	for (size_t i = 0; i < 3; i++) {
		g_assert_cmpint(fixture->fakes[i].n_ended, ==, fixture->fakes[i].n_begun);
		ph_calls_unref(fixture->sections[i].calls);
	}
	g_free(fixture->chain);
	ph_router_unref(fixture->router);
	fake_transport_free(fixture->transport);
}

static void
count_wake(void *user_data)
{
	g_atomic_int_inc((gint *) user_data);
}

static void
wait_until(gint *counter, gint wanted)
{
	for (unsigned i = 0; i < 5000 && g_atomic_int_get(counter) < wanted; i++)
		g_usleep(1000);
	g_assert_cmpint(g_atomic_int_get(counter), ==, wanted);
}

static uint32_t
result(const Fixture *fixture)
{
	return ph_filters_verdict(fixture->filters)->result;
}

static void
test_order(Fixture *fixture, gconstpointer data)
{
	fixture->fakes[0].verdict.result = PH_VERDICT_ACCEPT;
	fixture->fakes[1].verdict.result = PH_VERDICT_REJECT;
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_REJECT);
	g_assert_cmpint(fixture->fakes[2].n_asked, ==, 0);
	fixture->fakes[1].verdict.result = PH_VERDICT_NONE;
	g_assert_cmpint(ph_mail_add_recipient(fixture->mail, ph_slice("bob@example.org")), ==,
	                PH_RCPT_OK);
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_RECIPIENT, fixture->mail));
	g_assert_cmpint(fixture->fakes[0].n_asked, ==, 1); /* has accepted this message */
	g_assert_cmpint(fixture->fakes[2].n_asked, ==, 1);
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	g_assert_cmpint(fixture->fakes[0].n_asked, ==, 2); /* the next one is another */
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_HELO, NULL));
	g_assert_cmpint(fixture->fakes[1].n_asked, ==, 3); /* not wanted there */
}

static void
test_refused_recipients_go(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(ph_mail_add_recipient(fixture->mail, ph_slice("alice@example.org")), ==,
	                PH_RCPT_OK);
	g_assert_cmpint(ph_mail_add_recipient(fixture->mail, ph_slice("bob@example.org")), ==,
	                PH_RCPT_OK);
	fixture->fakes[0].verdict.result = PH_VERDICT_REDIRECT;
	g_strlcpy(fixture->fakes[0].verdict.text, "root@example.org",
	          sizeof fixture->fakes[0].verdict.text);
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_RECIPIENT, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_NONE);
	g_assert_cmpuint(ph_mail_n_recipients(fixture->mail), ==, 3);
	g_assert_cmpuint(fixture->mail->targets->len, ==, 2);
	g_assert_cmpint(ph_mail_add_recipient(fixture->mail, ph_slice("root@example.org")), ==,
	                PH_RCPT_OK);
	fixture->fakes[1].verdict.result = PH_VERDICT_TEMPORARY;
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_RECIPIENT, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_TEMPORARY);
	g_assert_cmpuint(ph_mail_n_recipients(fixture->mail), ==, 3);
	g_assert_cmpuint(fixture->mail->targets->len, ==, 2);
}

static void
test_discard(Fixture *fixture, gconstpointer data)
{
	fixture->fakes[1].verdict.result = PH_VERDICT_DISCARD;
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_NONE);
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_MESSAGE, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_DISCARD);
	g_assert_cmpint(fixture->fakes[0].n_asked, ==, 1);
}

static void
test_parked(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("A: b\r\n\r\nbody"));
	gint n_wakes = 0;
	PhSlice block;

	ph_mail_set_content(fixture->mail, content);
	fixture->fakes[0].adds_header = true;
	fixture->fakes[1].parks = true;
	fixture->fakes[2].verdict.result = PH_VERDICT_REJECT;
	g_assert_false(ph_filters_ask(fixture->filters, PH_STAGE_MESSAGE, fixture->mail));
	ph_filters_wait(fixture->filters, ph_wake_new_func(count_wake, &n_wakes));
	g_assert_cmpint(n_wakes, ==, 0);
	g_assert_true(ph_mail_header(fixture->mail, &block, NULL));
	g_assert_true(ph_slice_is(block, "A: b\r\nX-Seen: yes\r\n\r\n"));
	g_assert_true(ph_filter_claim(fixture->fakes[1].question));
	ph_wake_complete(fixture->fakes[1].wake);
	wait_until(&n_wakes, 1);
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_REJECT);
}

/* The deadline passes: the next is asked; the late answer finds nobody. */
static void
test_late(Fixture *fixture, gconstpointer data)
{
	gint n_wakes = 0;

	fixture->fakes[0].parks = true;
	fixture->fakes[0].verdict.result = PH_VERDICT_REJECT;
	g_assert_false(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	ph_filters_wait(fixture->filters, ph_wake_new_func(count_wake, &n_wakes));
	wait_until(&n_wakes, 1);
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_NONE);
	g_assert_cmpint(fixture->fakes[0].n_cancelled, ==, 1);
	g_assert_cmpint(fixture->fakes[0].n_ended, ==, 0);
	g_assert_cmpint(fixture->fakes[1].n_asked, ==, 1);
	g_assert_false(ph_filter_claim(fixture->fakes[0].question));
	ph_wake_complete(fixture->fakes[0].wake);
	wait_until(&fixture->fakes[0].n_ended, 1);
}

/* The session goes while a filter thinks. */
static void
test_closed(Fixture *fixture, gconstpointer data)
{
	fixture->fakes[0].parks = true;
	g_assert_false(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	ph_filters_free(g_steal_pointer(&fixture->filters));
	g_assert_cmpint(fixture->fakes[0].n_cancelled, ==, 1);
	ph_wake_complete(fixture->fakes[0].wake);
	g_assert_cmpint(fixture->fakes[0].n_ended, ==, 1);
}

static void
test_failure(Fixture *fixture, gconstpointer data)
{
	fixture->fakes[0].fails = true;
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_NONE);
	fixture->chain->rows[0].on_failure = PH_ON_FAILURE_TEMPORARY;
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_TEMPORARY);
	fixture->fakes[0].fails = false;
	fixture->fakes[0].verdict.result = PH_VERDICT_FAILED;
	fixture->chain->rows[0].on_failure = PH_ON_FAILURE_REJECT;
	g_assert_true(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_REJECT);
}

static void
test_delay(Fixture *fixture, gconstpointer data)
{
	gint n_wakes = 0;
	gint64 began = g_get_monotonic_time();

	fixture->fakes[0].verdict.delay.us = 50000;
	fixture->fakes[1].verdict.delay.us = 50000;
	fixture->fakes[2].verdict.result = PH_VERDICT_REJECT;
	g_assert_false(ph_filters_ask(fixture->filters, PH_STAGE_SENDER, fixture->mail));
	ph_filters_wait(fixture->filters, ph_wake_new_func(count_wake, &n_wakes));
	wait_until(&n_wakes, 1);
	g_assert_cmpint(g_get_monotonic_time() - began, >=, 100000);
	g_assert_cmpuint(result(fixture), ==, PH_VERDICT_REJECT);
}

static void
test_reply(void)
{
	PhVerdict verdict = { .result = PH_VERDICT_REJECT, .text = "one\ntwo\r\nthree\xc3\xa4" };
	char text[1024];

	ph_verdict_reply(&verdict, false, text, sizeof text);
	g_assert_cmpstr(text, ==, "550-5.7.1 one\r\n550-5.7.1 two?\r\n550 5.7.1 three??");
	verdict =
		(PhVerdict){ .result = PH_VERDICT_TEMPORARY, .smtp_code = 550, .status = "5.1.1" };
	ph_verdict_reply(&verdict, false, text, sizeof text);
	g_assert_cmpstr(text, ==, "451 4.7.1 try later");
	verdict = (PhVerdict){ .result = PH_VERDICT_DROP, .text = "go" };
	ph_verdict_reply(&verdict, false, text, sizeof text);
	g_assert_cmpstr(text, ==, "421 4.7.1 go");
	verdict = (PhVerdict){ .result = PH_VERDICT_REJECT, .smtp_code = 554, .status = "5.7.9" };
	g_strlcpy(verdict.text, "\n\n", sizeof verdict.text);
	ph_verdict_reply(&verdict, true, text, sizeof text);
	g_assert_cmpstr(text, ==, "554 5.7.9 ");
}

#define ADD(name, function) \
	g_test_add("/server/filter/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("asked-in-order-until-one-decides", test_order);
	ADD("refused-recipients-are-taken-out", test_refused_recipients_go);
	ADD("a-discard-is-told-at-the-end", test_discard);
	ADD("one-that-parks-is-waited-for", test_parked);
	ADD("one-that-is-late-is-left-alone", test_late);
	ADD("a-session-may-go-meanwhile", test_closed);
	ADD("a-failure-is-what-the-section-says", test_failure);
	ADD("delays-add-up", test_delay);
	g_test_add_func("/server/filter/replies-are-clean", test_reply);
	return g_test_run();
}

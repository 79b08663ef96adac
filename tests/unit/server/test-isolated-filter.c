/* test-isolated-filter.c: what an isolated filter answers is done as a whole, or not at all
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "server/isolated-filter.h"
#include "server/mail.h"

#include <unistd.h>

enum {
	BODY_MAX = 1000
};

typedef struct {
	char octets[PH_PACKET_MAX];
	PhPacket packet;
	PhMail *mail;
	PhFilterQuestion question;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("A: b\r\n\r\nbody"));
	const PhRecipient row = { .address = g_strdup("anna@example.org") };

	fixture->packet = (PhPacket){ .octets = fixture->octets };
	fixture->mail = ph_mail_new_routed(NULL);
	fixture->question = (PhFilterQuestion){ .stage = PH_STAGE_MESSAGE, .mail = fixture->mail };
	ph_mail_set_sender(fixture->mail, ph_slice("carla@example.net"));
	g_array_append_val(fixture->mail->recipients, row);
	ph_mail_set_content(fixture->mail, content);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_mail_unref(fixture->mail);
}

/* A verdict of 550 5.7.1 with these changes. */
static void
write_answer(Fixture *fixture, uint64_t removed, uint64_t header_mark, uint64_t body_mark)
{
	PhPacket *packet = &fixture->packet;

	packet->length = 0;
	ph_packet_number(packet, 1);
	ph_packet_number(packet, PH_VERDICT_REJECT);
	ph_packet_number(packet, 554);
	ph_packet_text(packet, "5.7.3");
	ph_packet_text(packet, "go away");
	ph_packet_number(packet, 0);
	ph_packet_text(packet, "other@example.net");
	ph_packet_number(packet, 1);
	ph_packet_text(packet, "a-fact");
	ph_packet_text(packet, "its value");
	ph_packet_number(packet, 1);
	ph_packet_number(packet, removed);
	ph_packet_octets(packet, ph_slice("X-Before: yes\r\n"));
	ph_packet_number(packet, header_mark);
	ph_packet_number(packet, body_mark);
}

static PhFilterReading
read_answer(Fixture *fixture, size_t length, int passed, GError **error)
{
	PhPacketReader reader = { .rest = PH_SLICE(fixture->octets, length) };

	return ph_isolated_filter_read(&reader, passed, BODY_MAX, &fixture->question, error);
}

static void
assert_untouched(const Fixture *fixture)
{
	g_assert_cmpstr(ph_mail_sender(fixture->mail), ==, "carla@example.net");
	g_assert_null(ph_mail_fact(fixture->mail, "a-fact"));
	g_assert_cmpuint(ph_mail_recipient_flags(fixture->mail, 0), ==, 0);
	g_assert_cmpuint(ph_mail_prepended(fixture->mail).length, ==, 0);
	g_assert_cmpuint(fixture->question.verdict.result, ==, PH_VERDICT_NONE);
}

static void
test_answer(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	int passed = ph_isolated_octets(ph_slice("C: d\r\n\r\nnew"), NULL, &error);
	PhSlice block;

	g_assert_no_error(error);
	write_answer(fixture, 0, strlen("C: d\r\n\r\n") + 1, strlen("new") + 1);
	g_assert_cmpint(read_answer(fixture, fixture->packet.length, passed, &error), ==,
	                PH_FILTER_ANSWERED);
	g_assert_no_error(error);
	close(passed);
	g_assert_cmpuint(fixture->question.verdict.smtp_code, ==, 554);
	g_assert_cmpstr(fixture->question.verdict.text, ==, "go away");
	g_assert_cmpstr(ph_mail_sender(fixture->mail), ==, "other@example.net");
	g_assert_cmpstr(ph_mail_fact(fixture->mail, "a-fact"), ==, "its value");
	g_assert_cmpuint(ph_mail_recipient_flags(fixture->mail, 0), ==, PH_RECIPIENT_REMOVED);
	g_assert_true(ph_slice_is(ph_mail_prepended(fixture->mail), "X-Before: yes\r\n"));
	g_assert_true(ph_mail_header(fixture->mail, &block, NULL));
	g_assert_true(ph_slice_is(block, "C: d\r\n\r\n"));
	ph_mail_apply_edits(fixture->mail);
	g_assert_cmpuint(ph_content_length(fixture->mail->content), ==, strlen("C: d\r\n\r\nnew"));
}

static void
test_nonsense(Fixture *fixture, gconstpointer data)
{
	write_answer(fixture, 0, 0, 0);
	for (size_t length = 0; length < fixture->packet.length; length++) {
		g_assert_cmpint(read_answer(fixture, length, -1, NULL), ==, PH_FILTER_NONSENSE);
		assert_untouched(fixture);
	}
	write_answer(fixture, 1, 0, 0); /* no such recipient */
	g_assert_cmpint(read_answer(fixture, fixture->packet.length, -1, NULL), ==,
	                PH_FILTER_NONSENSE);
	write_answer(fixture, 0, 5, 0); /* nothing was passed */
	g_assert_cmpint(read_answer(fixture, fixture->packet.length, -1, NULL), ==,
	                PH_FILTER_NONSENSE);
	write_answer(fixture, 0, 0, 5); /* a body without a header */
	g_assert_cmpint(read_answer(fixture, fixture->packet.length, 0, NULL), ==,
	                PH_FILTER_NONSENSE);
	write_answer(fixture, 0, 5, BODY_MAX + 2);
	g_assert_cmpint(read_answer(fixture, fixture->packet.length, 0, NULL), ==,
	                PH_FILTER_NONSENSE);
	assert_untouched(fixture);
}

static void
test_failure(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) said = g_error_new_literal(PH_ERROR, PH_ERROR_TEMPORARY, "no idea");
	g_autoptr(GError) error = NULL;

	ph_packet_number(&fixture->packet, 0);
	ph_packet_error(&fixture->packet, said);
	g_assert_cmpint(read_answer(fixture, fixture->packet.length, -1, &error), ==,
	                PH_FILTER_FAILED);
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	assert_untouched(fixture);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/server/isolated-filter/an-answer-is-done-to-the-mail", Fixture, NULL, set_up,
	           test_answer, tear_down);
	g_test_add("/server/isolated-filter/of-nonsense-nothing-is-done", Fixture, NULL, set_up,
	           test_nonsense, tear_down);
	g_test_add("/server/isolated-filter/an-error-comes-across", Fixture, NULL, set_up,
	           test_failure, tear_down);
	return g_test_run();
}
